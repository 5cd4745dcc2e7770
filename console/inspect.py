"""`agents`, and how every look into the log begins: its file is read while others may write to it, without Ray."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import click

from palimpsest.console.called import as_typed
from palimpsest.console.options import bundle_option, data_folder, given_bundle
from palimpsest.console.progress import bar
from palimpsest.console.show import Page, one_line, print_json, utc
from palimpsest.events.envelope import Envelope, Topic
from palimpsest.events.types import Parent
from palimpsest.questions.plain import plain
from palimpsest.store.logs.contract import LogReader, agents_of
from palimpsest.store.logs.sqlite_log import SqliteLog


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
    with reading() as log:
        heads = agents_of(log.heads())
        owed = _counts(log.open_requests(Topic.TURN))
        timers = _counts(log.open_requests(Topic.ALARM))
        parents = {head.agent: parents[0] for head in heads if (parents := log.lineage(head.agent))}
    if as_json:
        for head in heads:
            row = {"agent": head.agent, "events": head.seq, "created_ms": head.created_ms}
            row |= {"updated_ms": head.updated_ms, "waiting": owed.get(head.agent, 0)}
            row |= {"parent": plain(parents[head.agent])} if head.agent in parents else {}
            print_json({**row, "timers": timers.get(head.agent, 0)})
        return
    if not heads:
        click.echo(as_typed("There is no agent yet: `chat NAME` makes one."), err=True)
        return
    header = ("agent", "events", "created (UTC)", "last event (UTC)", "waiting", "timers")
    rows: list[tuple[str, ...]] = []
    for head in heads:
        agent, waiting, timer = head.agent, str(owed.get(head.agent, 0)), str(timers.get(head.agent, 0))
        line = (one_line(agent), str(head.seq), _minute(head.created_ms), _minute(head.updated_ms), waiting, timer)
        rows.append((*line, _parent(parents.get(agent))) if parents else line)
    Page().table(
        (*header, "") if parents else header,
        rows,
        right=frozenset({1, 4, 5}),
        labels={1: "events", 4: "waiting", 5: "timers"},
    )


def _parent(parent: Parent | None) -> str:
    return f"fork of {one_line(parent.agent)} at {parent.seq}" if parent else ""


def _counts(opened: list[Envelope]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for envelope in opened:
        counts[envelope.agent] = counts.get(envelope.agent, 0) + 1
    return counts


def _minute(time_ms: int) -> str:
    return utc(time_ms)[:16]
