"""`agents`: the list of all agents, by page. Starts nothing, and works while a chat runs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import click

from palimpsest.console.called import as_typed
from palimpsest.console.inspect import reading
from palimpsest.console.options import bundle_option
from palimpsest.console.show import Page, many, print_json
from palimpsest.events.errors import BadInput
from palimpsest.events.types import Parent
from palimpsest.questions.plain import plain
from palimpsest.questions.roster import DOINGS, SORTS, Doing, Roster, RosterQuery, Row, Sort
from palimpsest.questions.texts import one_line, utc

A_PAGE: Final = 50
WORDS_SHOWN: Final = 48
_STATES: Final = [doing.replace(" ", "-") for doing in DOINGS]


@click.command("agents")
@click.option("--grep", "names", default="", metavar="NAME", help="Those of such names: a part of one, or support-*.")
@click.option("--title", default="", metavar="TEXT", help="Those whose title has this text.")
@click.option("--model", default="", metavar="M", help="Those that ask such a model.")
@click.option("--source", default="", metavar="SOURCE", help="Those that have this source attached.")
@click.option("--state", type=click.Choice(_STATES), default=None, help="Those that do this now.")
@click.option("--retired", is_flag=True, help="The retired ones alone.")
@click.option("--all", "everyone", is_flag=True, help="The retired ones too.")
@click.option("--sort", type=click.Choice(SORTS), default="name", help="In this order (default: by name).")
@click.option("--reverse", is_flag=True, help="In the opposite order.")
@click.option("--page", "number", type=click.IntRange(min=1), default=1, metavar="N", help="The page (default: 1).")
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help=f"Agents a page (default: {A_PAGE}; with --json, all)."
)
@bundle_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def command(
    *,
    names: str,
    title: str,
    model: str,
    source: str,
    state: str | None,
    retired: bool,
    everyone: bool,
    sort: Sort,
    reverse: bool,
    number: int,
    limit: int | None,
    as_json: bool,
) -> None:
    """List the agents: what they do, run on and said last, and how full their windows are. Retired ones are left out.

    \b
    States: idle, in-a-turn, waiting (inputs), at-rest (a fork or an import, in the middle of a turn), set-aside (it
    cannot be read), retired.

    \b
    agents --grep 'support-*' --sort updated
    agents --state waiting --json
    agents --source manuals --page 2
    """
    if retired and (state or everyone):
        raise BadInput("--retired lists the retired ones alone: leave out --state and --all.")
    doing: Doing | None = DOINGS[_STATES.index(state)] if state else "retired" if retired else None
    wanted = RosterQuery(
        names=names, title=title, model=model, source=source, state=doing or "", retired=everyone, sort=sort,
        reverse=reverse,
    )  # fmt: skip
    most = limit or (None if as_json else A_PAGE)
    with reading() as log:
        roster = Roster(log)
        found = roster.rows(wanted, (number - 1) * (most or 0))
        if as_json:
            for row in islice(found, most):
                print_json(_as_json(row))
            return
        rows, more = _page(found, most or A_PAGE)
    if not rows:
        click.echo(_none(roster, wanted, number), err=True)
        return
    _print(rows)
    if more:
        click.echo(f"There are more: --page {number + 1} (of {many(roster.agents, 'agent')} in all).", err=True)


def _page(found: Iterator[Row], most: int) -> tuple[list[Row], bool]:
    """A page, and whether there is one behind it."""
    rows = list(islice(found, most + 1))
    return rows[:most], len(rows) > most


def _none(roster: Roster, wanted: RosterQuery, number: int) -> str:
    if roster.agents == 0:
        return as_typed("There is no agent yet: `chat NAME` makes one.")
    if number > 1:
        return "There are no more: --page 1 shows the first."
    if roster.retired == roster.agents and wanted == RosterQuery():
        return f"All agents are retired ({roster.retired}): --retired lists them."
    return f"None of {many(roster.agents, 'agent')} is such a one."


def _as_json(row: Row) -> dict[str, Any]:
    """All of a row but what does not hold of it."""
    fields: dict[str, Any] = plain(row)
    optional = ("parent", "words", "problem")
    return {name: value for name, value in fields.items() if value or name not in optional}


HEADER: Final = ("agent", "state", "model", "window", "events", "last event (UTC)", "timers", "last words")


def _print(rows: list[Row]) -> None:
    forks = any(row.parent for row in rows)
    lines = [(*_line(row), _parent(row.parent)) if forks else _line(row) for row in rows]
    Page().table(
        (*HEADER, "") if forks else HEADER,
        lines,
        right=frozenset({3, 4, 6}),
        labels={3: "window", 4: "events", 6: "timers"},
    )


def _line(row: Row) -> tuple[str, ...]:
    name = one_line(row.agent) + (f" “{one_line(row.title)}”" if row.title else "")
    state = f"waiting {row.waiting}" if row.state == "waiting" else row.state
    if row.state == "in a turn" and row.waiting > 1:
        state += f", {row.waiting - 1} waiting"
    model, window = one_line(row.model, 40) or "-", share(row)
    return (name, state, model, window, f"{row.events:,}", utc(row.updated_ms)[:16], str(row.timers), _words(row))


def share(row: Row) -> str:
    """How full the window is, in percent."""
    return f"{100 * row.filled_tokens / row.window_tokens:.0f}%" if row.filled_tokens else "-"


def _words(row: Row) -> str:
    if row.problem:
        return one_line(row.problem, 2 * WORDS_SHOWN)
    return f"{one_line(row.words.who, 20)}: {one_line(row.words.text, WORDS_SHOWN)}" if row.words else "-"


def _parent(parent: Parent | None) -> str:
    return f"fork of {one_line(parent.agent)} at {parent.seq}" if parent else ""
