"""`agents`, and how every look into the log begins: its file is read while others may write to it, without Ray."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from palimpsest.console.called import as_typed
from palimpsest.console.options import bundle_option, data_folder, given_bundle
from palimpsest.console.progress import bar
from palimpsest.console.show import Page, one_line, print_json, utc
from palimpsest.events.types import Parent
from palimpsest.questions.plain import plain
from palimpsest.store.logs.contract import LogReader
from palimpsest.store.logs.sqlite_log import SqliteLog

if TYPE_CHECKING:
    from palimpsest.questions.listings import AgentListed


@contextlib.contextmanager
def reading() -> Iterator[LogReader]:
    """The log of the data folder, or of the bundle that is given, for reading. Raises BadInput where there is none."""
    bundle = given_bundle()
    if bundle is None:
        with SqliteLog.open_readonly(data_folder().log_path()) as log:
            yield log
        return
    from palimpsest.store.bundles.log import read_bundle

    with bar(f"Reading {one_line(bundle.name)}") as step:
        bundled = read_bundle(bundle, step)
    yield bundled


# --- agents -------------------------------------------------------------------------------------------------------


@click.command("agents")
@bundle_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def agents_command(as_json: bool) -> None:
    """List the agents: how many events each has, since when, and what it still waits for."""
    from palimpsest.questions.listings import all_agents

    with reading() as log:
        found = all_agents(log)
    if as_json:
        for each in found:
            print_json(_object(each))
        return
    if not found:
        click.echo(as_typed("There is no agent yet: `chat NAME` makes one."), err=True)
        return
    header = ("agent", "events", "created (UTC)", "last event (UTC)", "waiting", "timers")
    forks = any(each.parent for each in found)
    Page().table(
        (*header, "") if forks else header,
        [(*_row(each), _parent(each.parent)) if forks else _row(each) for each in found],
        right=frozenset({1, 4, 5}),
        labels={1: "events", 4: "waiting", 5: "timers"},
    )


def _object(each: AgentListed) -> dict[str, Any]:
    head = each.head
    row = {"agent": head.agent, "events": head.seq, "created_ms": head.created_ms, "updated_ms": head.updated_ms}
    row |= {"waiting": each.waiting}
    row |= {"parent": plain(each.parent)} if each.parent else {}
    return {**row, "timers": each.timers}


def _row(each: AgentListed) -> tuple[str, ...]:
    head = each.head
    times = _minute(head.created_ms), _minute(head.updated_ms)
    return one_line(head.agent), str(head.seq), *times, str(each.waiting), str(each.timers)


def _parent(parent: Parent | None) -> str:
    return f"fork of {one_line(parent.agent)} at {parent.seq}" if parent else ""


def _minute(time_ms: int) -> str:
    return utc(time_ms)[:16]
