"""`view`: a session as one HTML file, for whoever has no tool at hand but a browser."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import click

from palimpsest.console.called import given_bundle
from palimpsest.console.inspect import reading
from palimpsest.console.options import bundle_option
from palimpsest.console.session_page import PageFacts, page
from palimpsest.console.show import names_of
from palimpsest.events.errors import BadInput
from palimpsest.questions.sessions import session
from palimpsest.questions.texts import one_line, utc
from palimpsest.store.folder import expanded
from palimpsest.store.logs.contract import LogReader, agents_of
from palimpsest.store.output import check_place, whole

MOST_MB: Final = 20
_MB: Final = 1_000_000


@click.command("view")
@click.argument("agent", required=False)
@bundle_option
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar="FILE", help="The page's file.")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the last N turns.")
@click.option(
    "--most-mb",
    type=click.IntRange(min=1),
    default=MOST_MB,
    metavar="N",
    help="So much for turns, messages, changes and evictions (20).",
)
@click.option("--force", is_flag=True, help="Write over FILE if it is there.")
def command(agent: str | None, *, output: Path, last: int | None, most_mb: int, force: bool) -> int:
    """Write AGENT's session into one HTML file: its turns, the window of each request, what was evicted and summed up,
    core memory over time, settings, and whether the log was proved.

    The file needs no network and no script, and shows every text as a text. With --bundle FILE the agent is the
    bundle's. Exit code 1: the page was written, and the log could not be proved.
    """
    place = expanded(output)
    check_place(place, force=force)
    with reading() as log:
        told = session(log, agent or _only(log), last=last or 0)
    from palimpsest import __version__

    written = PageFacts(__version__, utc(time.time_ns() // 1_000_000)[:19], most_mb * _MB)
    try:
        with whole(place, force=force) as file:
            for piece in page(told, written):
                file.write(piece.encode())
            size = file.tell()
    except OSError as error:
        raise BadInput(f"{place} cannot be written: {error.strerror}. Nothing was left there: make room.") from None
    click.echo(f"The session of {one_line(told.head.stream)} is in {place} ({size / _MB:.1f} MB).")
    if told.proof.difference:
        click.echo(f"The log is NOT proved: {told.proof.difference}.", err=True)
    return 1 if told.proof.difference else 0


def _only(log: LogReader) -> str:
    """The agent that a bundle is of. Raises BadInput where a name is needed."""
    bundle = given_bundle()
    if bundle is not None:
        from palimpsest.store.bundles.file import BundleReader

        with BundleReader(expanded(bundle)) as reader:
            return reader.manifest.agent
    known = [head.stream for head in agents_of(log.heads())]
    raise BadInput(f"Say whose session: `view AGENT -o page.html`. There are: {names_of(known) or 'no agents yet'}.")
