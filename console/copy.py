"""`copy`: a log from a data folder into a database, and back. It starts nothing."""

from __future__ import annotations

import contextlib
from shlex import quote

import click

from palimpsest.console.called import as_typed, shown_data
from palimpsest.console.options import json_option
from palimpsest.console.progress import bar
from palimpsest.console.show import Page, many, print_json
from palimpsest.events.errors import BadInput
from palimpsest.questions.plain import plain
from palimpsest.questions.texts import one_line
from palimpsest.store.folder import DataFolder, data_at
from palimpsest.store.logs.copying import Copied, check_beginning, copy


@click.command("copy")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@json_option
def command(source: str, target: str, as_json: bool) -> None:
    """Copy the log of FROM, with all of its agents and sources, to TO: each a data folder, or a database's URL.

    \b
    copy ~/.palimpsest postgresql://palimpsest@db.example/agents
    copy postgresql://palimpsest@db.example/agents ~/from-the-database

    Every event is proved by its hash as it goes, and the two logs are compared at the end. FROM stays as it is. TO is
    empty, or has the beginning of the same log: a copy that was cut off goes on, and one made again takes what is new.
    Timers and turns that are open are open in both: so work with one of the two only. A password is best given in
    PGPASSWORD, PGPASSFILE or ?password_file=FILE.
    """
    ours, theirs = data_at(source), data_at(target)
    if str(ours.log()) == str(theirs.log()):
        raise BadInput("FROM and TO are the same log.")
    done = _copied(ours, theirs)
    if as_json:
        print_json({"from": str(ours), "to": str(theirs), **plain(done)})
        return
    there = f" ({many(done.there, 'event')} were there already)" * bool(done.there)
    Page().line(
        f"Copied {many(done.events - done.there, 'event')} to {one_line(str(theirs), 300)}{there}: all "
        f"{many(done.events, 'event')} of {many(done.streams, 'stream')} are proved, and what is open is open there."
    )
    click.echo(as_typed(f"Look at it: `palimpsest agents --data {quote(shown_data(target))}`"))


def _copied(ours: DataFolder, theirs: DataFolder) -> Copied:
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(ours.log().reader())
        if theirs.log().is_there():  # before its writer is fenced
            with theirs.log().reader() as there:
                check_beginning(log, there)
        for folder in (ours, theirs):
            if not folder.database:
                stack.enter_context(folder.lock("copy", how="alone"))
        place = stack.enter_context(theirs.log().store())
        place.open_epoch()
        left = log.position(place.partition).number - place.position(place.partition).number
        with bar("Proving and copying", max(0, left)) as step:
            return copy(log, place, step)
