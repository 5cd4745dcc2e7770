"""`load`: files and folders into a source. It starts Ray, since agents get word of it.

Rule: what can be refused (a name, a size, an agent, its window) is refused before Ray is started.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from palimpsest.console.joining import at_work
from palimpsest.console.options import address_option, data_folder, index_options, index_settings, json_option
from palimpsest.console.show import Page, many, names_of, print_json, terminal
from palimpsest.events.errors import BadInput
from palimpsest.questions.plain import plain
from palimpsest.questions.streams import state_now
from palimpsest.questions.texts import one_line
from palimpsest.store.folder import DataFolder
from palimpsest.store.library.reading import folded

if TYPE_CHECKING:
    from palimpsest.actors.client import Client
    from palimpsest.actors.loads.loading import Progress, Report
    from palimpsest.actors.system import System
    from palimpsest.store.index.settings import IndexSettings

INDEX_WAIT_S: Final = 2.0
SHOWN: Final = 40
"""As many refused files are shown; --json has all."""


@click.command("load")
@click.argument("source")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--attach", "agents", multiple=True, metavar="AGENT", help="Attach it to this agent; may be given again.")
@click.option(
    "--passage-tokens",
    type=click.IntRange(min=1),
    metavar="N",
    help="The size of a new source's passages (default: 200).",
)
@click.option(
    "--overlap-tokens", type=click.IntRange(min=0), metavar="N",
    help="How much each shares with the one before (default: 20).",
)  # fmt: skip
@index_options
@address_option
@json_option
def load_command(
    source: str,
    paths: tuple[Path, ...],
    *,
    agents: tuple[str, ...],
    passage_tokens: int | None,
    overlap_tokens: int | None,
    address: str,
    as_json: bool,
) -> int:
    """Load files and folders into SOURCE, which is made if there is none.

    Text, Markdown, HTML, PDF, DOCX, CSV and JSON, told by their content. What is there already is skipped, a file that
    changed takes the place of what it was, and a load that was interrupted goes on when it is given again. The agents
    that have the source attached get an upload event.
    """
    from palimpsest.actors.requests.sources import check_source

    check_source(source)
    if not any(path.exists() or path.is_symlink() for path in paths):
        raise BadInput(f"There is no file or folder '{one_line(str(paths[0]))}'. Check the path.")
    folder, settings = data_folder(), index_settings()
    sizes = {"passage_tokens": passage_tokens or 0, "overlap_tokens": -1 if overlap_tokens is None else overlap_tokens}
    if not address:
        _foresee(folder, source, agents, **sizes)
    report = asyncio.run(_load(folder, source, paths, agents=agents, sizes=sizes, address=address, settings=settings))
    if as_json:
        number = report.position.number if report.position else 0
        print_json({**plain(report), "position": number})
    else:
        print_report(Page(), report)
    return 0 if report.loaded or report.skipped else 1


def _foresee(folder: DataFolder, name: str, agents: tuple[str, ...], passage_tokens: int, overlap_tokens: int) -> None:
    """Raise now what the loader would raise once the system is up."""
    from palimpsest.actors.loads.loading import check_sizes, sizes_of_new
    from palimpsest.actors.requests.sources import check_window

    if not folder.log().is_there():
        sizes_of_new(passage_tokens, overlap_tokens)
        if agents:
            raise BadInput(f"There is no agent '{one_line(agents[0])}' yet: `chat {one_line(agents[0])}` makes it.")
        return
    with folder.log().reader() as log:
        if source := folded(log, name):
            check_sizes(source, passage_tokens, overlap_tokens)
        else:
            sizes_of_new(passage_tokens, overlap_tokens)
        for agent in agents:
            check_window(state_now(log, agent), name)


async def _load(
    folder: DataFolder,
    source: str,
    paths: tuple[Path, ...],
    *,
    agents: tuple[str, ...],
    sizes: dict[str, int],
    address: str,
    settings: IndexSettings,
) -> Report:
    async with at_work(folder, f"load {source}", address=address, index=settings) as system:
        client = system.client()
        try:
            with showing() as on_progress:
                report = await client.load_source(source, paths, agents=agents, on_progress=on_progress, **sizes)
            await _until_indexed(system, client)
        except asyncio.CancelledError:
            click.echo("Interrupted. What is loaded stays: the same command goes on from here.", err=True)
            raise
    return report


async def _until_indexed(system: System, client: Client) -> None:
    """Wait until searches find all that was loaded, and say so; or why they do not yet."""
    told = False
    while await client.indexed(wait_s=INDEX_WAIT_S):
        trouble = (await system.status())["storage"]["trouble"]
        if trouble:
            click.echo(f"It is in the log, and will be searched once the index can take it in. {trouble}", err=True)
            return
        if not told:
            click.echo("Loaded; the index takes it in …", err=True)
        told = True
    click.echo("Indexed: searches find it all.", err=True)


@contextlib.contextmanager
def showing() -> Iterator[Callable[[Progress], None]]:
    """A bar with rate and time left on a terminal, a line for every tenth in a pipe; on standard error."""
    if not sys.stderr.isatty():
        tenths = 0

        def line(progress: Progress) -> None:
            nonlocal tenths
            done = 10 * progress.done_bytes // max(1, progress.total_bytes)
            if done > tenths:
                tenths = done
                found = f"{many(progress.documents, 'file')}, {many(progress.passages, 'passage')}"
                click.echo(f"{10 * done} % of {progress.total_bytes:,} bytes: {found}", err=True)

        yield line
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.fields[what]}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("{task.fields[passages]:,} passages", markup=False),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=terminal(sys.stderr), transient=True) as bar:
        task = bar.add_task("load", total=None, what="", passages=0)
        yield lambda p: bar.update(
            task, completed=p.done_bytes, total=p.total_bytes, what=one_line(p.path, 40), passages=p.passages
        )


def print_report(page: Page, report: Report) -> None:
    rate = report.passages / max(report.seconds, 1e-9)
    page.line(
        (f"Source {one_line(report.source)}", "bold"),
        f": {many(len(report.loaded), 'document')} loaded ({many(report.passages, 'passage')} in {report.seconds:.1f} "
        f"s, {rate:,.0f}/s), {len(report.skipped):,} skipped (there already), {len(report.refused):,} refused.",
    )
    if not (report.loaded or report.skipped or report.refused):
        page.line(("  There is no file under what was named: name a folder that has some, or the files.", "yellow"))
    replaced = [loaded.path for loaded in report.loaded if loaded.replaced]
    if replaced:
        shown = one_line(", ".join(replaced), 300)
        page.line(f"  {many(len(replaced), 'document')} took the place of what stood at the same path: {shown}")
    _warn_of_mixing(page, report)
    if report.same:
        path, other = (one_line(each, 100) for each in report.same[0])
        page.line(
            f"  {many(len(report.same), 'document')} of the same bytes as another that is there: {path} is {other}. "
            f"Searches find both; `unload {one_line(report.source)} {path}` takes one out."
        )
    for loaded in report.loaded:
        for note in loaded.notes:
            page.line((f"  {one_line(loaded.path)}: {one_line(note, 300)}", "dim"))
    for refused in report.refused[:SHOWN]:
        page.line((f"  refused {one_line(refused.path)}: {one_line(refused.reason, 400)}", "yellow"))
    if len(report.refused) > SHOWN:
        page.line(f"  … and {len(report.refused) - SHOWN:,} more (--json lists all).")
    if report.attached:
        page.line(f"Attached to {names_of(report.attached)}.")
    if report.told:
        page.line(f"Told of it: {names_of(report.told)}.")


def _warn_of_mixing(page: Page, report: Report) -> None:
    """Say so where files of one folder took the place of another folder's: it is seldom meant."""
    mixed = [loaded for loaded in report.loaded if loaded.instead_of]
    if not mixed:
        return
    first = mixed[0]
    page.line(
        (
            f"  Warning: {many(len(mixed), 'document')} of another folder went for that: {one_line(first.path)} was "
            f"{one_line(first.instead_of, 200)}. If both are to be there, load the folder above both, or each into a "
            "source of its own; to have the others again, load them again.",
            "yellow",
        )
    )
