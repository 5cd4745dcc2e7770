"""What an agent was after any event: its memory, its queue, what it waited for, and what waited for it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from palimpsest.events.codec import decode
from palimpsest.events.debug.overview import EventAt, Overview, overview
from palimpsest.events.envelope import Envelope
from palimpsest.events.kinds import Kind, kinds_of
from palimpsest.events.passages import input_text
from palimpsest.events.state import State
from palimpsest.events.types import ArchivalMemoryInserted, Event, InputArchived, MessageSent, TurnStarted
from palimpsest.questions.streams import CHUNK, find
from palimpsest.questions.windows import recorded, state_at
from palimpsest.store.logs.contract import LogReader

RECALL = kinds_of(TurnStarted, MessageSent)
ARCHIVAL = kinds_of(ArchivalMemoryInserted, InputArchived)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Something in external storage: the event that bore it, whose words they are, and how many passages it has."""

    seq: int
    time_ms: int
    who: str
    text: str
    passages: int = 0


def overview_at(log: LogReader, agent: str, seq: int) -> Overview:
    """The overview of an agent after its event `seq`. Raises UnknownAgent; BadInput where it has no such event."""
    state = state_at(log, agent, seq, end="at")
    return overview(recorded(log, state, agent), events_of(log, agent), open_request(log, agent, state))


def open_request(log: LogReader, agent: str, state: State) -> Envelope | None:
    """The event that opened the running turn's request, if one is open."""
    key = state.turn.request_key if state.turn else ""
    return find(log, agent, key, state.seq) if key else None


def events_of(log: LogReader, agent: str) -> EventAt:
    """An agent's events by their seqs."""

    def event_at(seq: int) -> Event | None:
        found = log.read(agent, seq - 1, seq)
        return decode(found[0]) if found else None

    return event_at


# --- external storage ---------------------------------------------------------------------------------------------


def kept(log: LogReader, agent: str, seq: int, kinds: frozenset[Kind]) -> Iterator[Kept]:
    """What recall or archival storage held after event `seq`, the newest first."""
    event_at = events_of(log, agent)
    to = seq
    while to > 0:
        after = max(0, to - CHUNK)
        for envelope in reversed(log.read(agent, after, to, kinds=kinds)):
            yield _kept(envelope, event_at)
        to = after


def _kept(envelope: Envelope, event_at: EventAt) -> Kept:
    event = decode(envelope)
    match event:
        case MessageSent():
            return Kept(seq=envelope.seq, time_ms=envelope.time, who="agent", text=event.text)
        case ArchivalMemoryInserted():
            passages = len(event.ends)
            return Kept(seq=envelope.seq, time_ms=envelope.time, who="agent", text=event.text, passages=passages)
        case TurnStarted() | InputArchived():
            came = event_at(event.input)
            passages = len(event.ends) if isinstance(event, InputArchived) else 0
            text = input_text(came) if came else ""
            return Kept(seq=event.input, time_ms=envelope.time, who="input", text=text, passages=passages)
        case _:
            return Kept(seq=envelope.seq, time_ms=envelope.time, who=envelope.kind, text="")
