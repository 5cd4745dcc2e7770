"""All that an agent is, on one page: what it is called and runs on, what it knows, what it waits for, how much of all
there is. It takes a reader and prints nothing."""

from __future__ import annotations

import msgspec

from palimpsest.events.servers import chosen
from palimpsest.events.state import State
from palimpsest.events.times import zone_of
from palimpsest.events.types import Block, Settings, Timer
from palimpsest.questions.roster import Roster, Row
from palimpsest.store.logs.contract import LogReader, StreamHead
from palimpsest.store.logs.states import load


class Out(msgspec.Struct, frozen=True, kw_only=True):
    """A retirement: when and why, and the timers that are set again when it is undone."""

    since_ms: int
    reason: str
    timers: tuple[Timer, ...]


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is: turns that ended, messages that recall finds, passages in archival storage, events."""

    turns: int
    recall_messages: int
    archival_passages: int
    events: int


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as it is now: its row in the list, and what has no room there. `server`: which of its servers is asked
    (0: the first); `timers` are those that are set, whether they ring here or rest."""

    row: Row
    settings: Settings
    server: int
    blocks: tuple[Block, ...]
    system_chars: int
    timers: tuple[Timer, ...]
    time_zone: str
    counts: Counts
    retired: Out | None = None


def profile(log: LogReader, head: StreamHead) -> Profile | Row:
    """An agent's page; where its stream cannot be read, its row, which says why."""
    row = Roster(log).row(head)
    state = None if row.problem else load(log, head.stream)
    return _profile(row, state) if state else row


def _profile(row: Row, state: State) -> Profile:
    since = state.retired
    return Profile(
        row=row,
        settings=chosen(state),
        server=state.server,
        blocks=state.blocks,
        system_chars=len(state.system),
        timers=tuple(alarm.timer for alarm in state.alarms),
        time_zone=zone_of(state) or "UTC",
        counts=Counts(
            turns=state.turns,
            recall_messages=state.recall_messages,
            archival_passages=state.archival_passages,
            events=state.seq,
        ),
        retired=Out(since_ms=since.time_ms, reason=since.reason, timers=since.timers) if since else None,
    )
