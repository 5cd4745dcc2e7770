"""`agents`, and how every look into the log begins: its file is read while others may write to it, without Ray."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

import click

from palimpsest.console.called import as_typed
from palimpsest.console.describe import plain
from palimpsest.console.options import bundle_option, data_folder, given_bundle
from palimpsest.console.progress import bar
from palimpsest.console.show import Page, one_line, print_json, utc
from palimpsest.events.envelope import Envelope, Topic
from palimpsest.events.errors import AtRest, BadInput
from palimpsest.events.sources import is_source, source_of
from palimpsest.events.state import State
from palimpsest.events.types import Parent
from palimpsest.store.logs.contract import LAST_SEQ, LogReader, StreamHead, agents_of, unknown_agent
from palimpsest.store.logs.sqlite_log import SqliteLog

CHUNK: Final = 2000


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


def head_of(log: LogReader, agent: str) -> StreamHead:
    """Where the agent's stream stands. Raises UnknownAgent."""
    head = log.head(agent)
    if head is None:
        raise unknown_agent(agent, log.heads())
    return head


def agent_head(log: LogReader, agent: str) -> StreamHead:
    """The same where only an agent will do. Raises BadInput for a source's stream."""
    head = head_of(log, agent)
    if is_source(agent):
        raise BadInput(
            f"'{agent}' is a source, which has no context and no memory of its own: name an agent. "
            f"`sources {source_of(agent)}` and `events {agent}` show what it has."
        )
    return head


def check_event(head: StreamHead, seq: int | None, option: str = "") -> None:
    """Raises BadInput where the agent has no such event; `option` is what the user gave it by (None: nothing)."""
    if seq is not None and not 1 <= seq <= head.seq:
        by = f" ({option} SEQ)" if option else ""
        raise BadInput(f"Agent '{head.agent}' has events 1 to {head.seq}: there is no event {seq}{by}.")


_ASKED: Final = (Topic.INFERENCE, Topic.STORAGE, Topic.TIMER)


def check_is_owed(log: LogReader, state: State) -> None:
    """Raises AtRest where what is under way is owed by no part. (A fork that has not taken up what was its parent's
    rests too, but can be let go on.)"""
    if state.unadopted or not (state.turn or state.pending):
        return
    topics = _ASKED if state.turn and state.turn.request_key else (Topic.TURN,)
    if not any(log.open_requests(topic, state.agent) for topic in topics):
        raise AtRest(state.agent)


def find(log: LogReader, agent: str, key: str, to: int) -> Envelope | None:
    """The event with this key among events 1 to `to` of an agent; of a fork's, also those that it goes on from."""
    streams = (agent, *(parent.agent for parent in log.lineage(agent)))
    found = (log.find(stream, key) for stream in streams)
    return next((each for each in found if each and each.seq <= to), None)


def unprovable(log: LogReader, agent: str) -> frozenset[int]:
    """The seqs of an agent's requests whose contexts hold text that was masked, its ancestors' included: in a bundle,
    or before it was imported."""
    ends = {agent: LAST_SEQ} | {parent.agent: parent.seq for parent in log.lineage(agent)}
    redactions = (log.redaction(stream) for stream in ends)
    return frozenset(seq for each in redactions if each for seq in each.unprovable if seq <= ends[each.stream])


def stretches(
    log: LogReader, agent: str, first: int, last: int, kinds: frozenset[str] | None = None
) -> Iterator[Envelope]:
    """Events first … last of a stream, of the wanted kinds, read in chunks, so that memory stays bounded."""
    after = first - 1
    while after < last:
        chunk = log.read(agent, after=after, to=last, limit=CHUNK, kinds=kinds)
        if not chunk:
            return
        yield from chunk
        after = chunk[-1].seq


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
