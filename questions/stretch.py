"""Which events of a stream are meant: from a seq or a time to another, of a turn, of a kind.

Rule: what is sought is found by halving or by the few events that tell of it, not by reading the stream.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec.structs import replace

from palimpsest.events.codec import decode
from palimpsest.events.debug.choice import EventChoice
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import BadInput, HasNoTurns, InNoTurn, NoSuchEvent, NoSuchTurn
from palimpsest.events.kinds import kinds_of
from palimpsest.events.sources import is_source
from palimpsest.events.types import INPUTS, TurnEnded, TurnStarted
from palimpsest.questions.streams import CHUNK, head_of
from palimpsest.store.logs.contract import LogReader
from palimpsest.store.logs.states import load

SLACK_MS: Final = 3_600_000
"""Clocks may differ: what is sought by its time is sought from an hour before."""
_INPUTS: Final = kinds_of(*INPUTS)


class Excerpt(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be shown of a stream: its events first … last, those of them that are wanted, of these the last so
    many turns (events, where it is flat; 0: all); `follow`: and what is still to come."""

    agent: str
    first: int
    last: int
    wanted: EventChoice
    newest: int = 0
    follow: bool = False


class Bound(msgspec.Struct, frozen=True):
    """Where a stretch begins or ends: at event `seq`, or at a time. `said` is what a person wrote for it."""

    seq: int = 1
    time_ms: int | None = None
    said: str = ""

    def __str__(self) -> str:
        return self.said or (str(self.seq) if self.time_ms is None else f"{self.time_ms} ms")


def bounded(log: LogReader, agent: str, since: Bound | None = None, until: Bound | None = None) -> Excerpt:
    """The stretch between two seqs or times, each of which may be left out. Raises UnknownAgent; BadInput where nothing
    lies between them."""
    end = head_of(log, agent).seq
    first, last = since.seq if since else 1, until.seq if until else end
    since_ms, until_ms = since.time_ms if since else None, until.time_ms if until else None
    if since_ms is not None:
        first = seq_before(log, agent, end, since_ms - SLACK_MS)
    if until_ms is not None:
        last = seq_before(log, agent, end, until_ms + SLACK_MS)
    if first > end:
        raise BadInput(f"Agent '{agent}' has events 1 to {end}: there is none from {first} on.")
    if last < first or (since_ms is not None and until_ms is not None and until_ms < since_ms):
        raise BadInput(f"There is nothing from {since} to {until}: the end lies before the beginning.")
    wanted = EventChoice(since_ms=since_ms, until_ms=until_ms)
    return Excerpt(agent=agent, first=first, last=min(last, end), wanted=wanted)


def seq_before(log: LogReader, agent: str, end: int, time_ms: int) -> int:
    """A seq near the last event at or before a time (at least 1): times rise along a stream, so it is halved."""
    low, high = 1, end
    while low < high:
        middle = (low + high + 1) // 2
        if log.read(agent, middle - 1, middle)[0].time <= time_ms:
            low = middle
        else:
            high = middle - 1
    return low


def of_turn(log: LogReader, stretch: Excerpt, *, seq: int = 0, number: int | None = None) -> Excerpt:
    """The stretch from a turn's input to its end: of the turn that event `seq` is in, or is the input of; or of the
    agent's turn of this `number`. Raises BadInput where there is none."""
    agent, end = stretch.agent, stretch.last
    if is_source(agent):
        raise HasNoTurns(agent)
    input = _turn_at(log, agent, end, seq) if number is None else _nth_turn(log, agent, end, number)
    last = next((each.seq for each in _ends(log, agent, input, end) if _input_of(each) == input), end)
    wanted = replace(stretch.wanted, turn=input)
    return replace(stretch, first=max(stretch.first, input), last=last, wanted=wanted)


def _turn_at(log: LogReader, agent: str, end: int, seq: int) -> int:
    if not 1 <= seq <= end:
        raise NoSuchEvent(agent, seq, end)
    at = log.read(agent, seq - 1, seq)[0]
    if at.turn or at.kind in _INPUTS:
        return at.turn or seq
    raise InNoTurn(agent, seq, at.kind)


def _nth_turn(log: LogReader, agent: str, end: int, number: int) -> int:
    """The input of the agent's turn of this number, ended or running."""
    state = load(log, agent, end)
    turns = state.turns if state else 0
    if 0 < number <= turns:
        return _input_of(next(itertools.islice(_ends(log, agent, 0, end), number - 1, None)))
    if state and state.turn and number == turns + 1:
        return state.turn.input
    raise NoSuchTurn(agent, number, turns, end)


def _ends(log: LogReader, agent: str, after: int, to: int) -> Iterator[Envelope]:
    while chunk := log.read(agent, after, to, CHUNK, kinds_of(TurnEnded)):
        yield from chunk
        after = chunk[-1].seq


def _input_of(ended: Envelope) -> int:
    event = decode(ended)
    return event.input if isinstance(event, TurnEnded) else 0


def first_of_last(log: LogReader, stretch: Excerpt) -> int:
    """Where the last so many turns begin: at the event that starts the first of them."""
    missing, to = stretch.newest, stretch.last
    while to >= stretch.first:
        after = max(stretch.first - 1, to - CHUNK)
        began = log.read(stretch.agent, after, to, kinds=kinds_of(TurnStarted))
        if len(began) >= missing:
            return began[-missing].seq
        missing, to = missing - len(began), after
    return stretch.first
