"""Which events of a stream are meant: from a seq or a time to another, of a turn, of a kind.

Rule: what is sought is found by halving or by the few events that tell of it, not by reading the stream.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Final

import msgspec
from msgspec.structs import replace

from palimpsest.console.show import many, one_line
from palimpsest.console.story import ordinal
from palimpsest.events.codec import KINDS, decode
from palimpsest.events.debug.choice import Wanted
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import BadInput
from palimpsest.events.sources import is_source
from palimpsest.events.types import INPUTS, TurnEnded
from palimpsest.questions.streams import CHUNK, head_of
from palimpsest.store.logs.contract import LogReader
from palimpsest.store.logs.states import load

SLACK_MS: Final = 3_600_000
"""Clocks may differ: what is sought by its time is sought from an hour before."""
_INPUTS: Final = frozenset(kind.__name__ for kind in INPUTS)


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be shown of a stream: its events first … last, those of them that are wanted, of these the last so
    many turns (events, where it is flat; 0: all); `follow`: and what is still to come."""

    agent: str
    first: int
    last: int
    wanted: Wanted
    newest: int = 0
    follow: bool = False


def bounded(log: LogReader, agent: str, since: str | None, until: str | None) -> Stretch:
    """The stretch between two seqs or times, each of which may be left out."""
    end = head_of(log, agent).seq
    first, since_ms = _when(since, "--since", ends=False) if since is not None else (1, None)
    last, until_ms = _when(until, "--until", ends=True) if until is not None else (end, None)
    if since_ms is not None:
        first = seq_before(log, agent, end, since_ms - SLACK_MS)
    if until_ms is not None:
        last = seq_before(log, agent, end, until_ms + SLACK_MS)
    if first > end:
        raise BadInput(f"Agent '{agent}' has events 1 to {end}: there is none from {first} on.")
    if last < first or (since_ms is not None and until_ms is not None and until_ms < since_ms):
        raise BadInput(f"There is nothing from {since} to {until}: the end lies before the beginning.")
    wanted = Wanted(since_ms=since_ms, until_ms=until_ms)
    return Stretch(agent=agent, first=first, last=min(last, end), wanted=wanted)


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


def _when(given: str, option: str, *, ends: bool) -> tuple[int, int | None]:
    """A seq, or else a time in milliseconds (with a seq of 1): a day's end, where it `ends` and names but a day."""
    if re.fullmatch(r"\d{1,12}", given):
        if int(given) < 1:
            raise BadInput(f"{option} {given}: events are counted from 1.")
        return int(given), None
    try:
        moment_ = datetime.fromisoformat(given.strip())
    except ValueError:
        raise BadInput(
            f"{option} '{one_line(given, 40)}' is neither a seq nor a time: write 1234, 2026-11-22, "
            "2026-11-22T21:51 or 2026-11-22T21:51:11 (UTC)."
        ) from None
    if ends and re.fullmatch(r"\d{4}-\d\d-\d\d|\d{8}", given.strip()):
        moment_ += timedelta(days=1, milliseconds=-1)
    elif ends and not moment_.microsecond:
        moment_ += timedelta(milliseconds=999)
    return 1, round((moment_ if moment_.tzinfo else moment_.replace(tzinfo=UTC)).timestamp() * 1000)


def of_turn(log: LogReader, stretch: Stretch, given: str) -> Stretch:
    """The stretch from a turn's input to its end."""
    agent, end = stretch.agent, stretch.last
    if is_source(agent):
        raise BadInput(f"'{agent}' is a source, which has no turns: leave out --turn.")
    counted = re.fullmatch(r"(\d+)(?:st|nd|rd|th)", given.strip().lower())
    input = _nth_turn(log, agent, end, int(counted[1])) if counted else _turn_at(log, agent, end, given)
    last = next((each.seq for each in _ends(log, agent, input, end) if _input_of(each) == input), end)
    wanted = replace(stretch.wanted, turn=input)
    return replace(stretch, first=max(stretch.first, input), last=last, wanted=wanted)


def _turn_at(log: LogReader, agent: str, end: int, given: str) -> int:
    """The input of the turn that event `given` is in, or is the input of."""
    seq = int(given) if re.fullmatch(r"\d{1,12}", given) else 0
    if not 1 <= seq <= end:
        raise BadInput(f"--turn '{one_line(given, 20)}': give the seq of an event of 1 to {end}, or the turn as 12th.")
    at = log.read(agent, seq - 1, seq)[0]
    if at.turn or at.kind in _INPUTS:
        return at.turn or seq
    raise BadInput(f"Event {seq} of agent '{agent}' ({at.kind}) belongs to no turn. `events {agent} --from {seq}`")


def _nth_turn(log: LogReader, agent: str, end: int, number: int) -> int:
    """The input of the agent's turn of this number, ended or running."""
    state = load(log, agent, end)
    turns = state.turns if state else 0
    if 0 < number <= turns:
        return _input_of(next(itertools.islice(_ends(log, agent, 0, end), number - 1, None)))
    if state and state.turn and number == turns + 1:
        return state.turn.input
    raise BadInput(f"Agent '{agent}' has had {many(turns, 'turn')} by event {end}: there is no {ordinal(number)}.")


def _ends(log: LogReader, agent: str, after: int, to: int) -> Iterator[Envelope]:
    while chunk := log.read(agent, after, to, CHUNK, frozenset({"TurnEnded"})):
        yield from chunk
        after = chunk[-1].seq


def _input_of(ended: Envelope) -> int:
    event = decode(ended)
    return event.input if isinstance(event, TurnEnded) else 0


def first_of_last(log: LogReader, stretch: Stretch) -> int:
    """Where the last so many turns begin: at the event that starts the first of them."""
    missing, to = stretch.newest, stretch.last
    while to >= stretch.first:
        after = max(stretch.first - 1, to - CHUNK)
        began = log.read(stretch.agent, after, to, kinds=frozenset({"TurnStarted"}))
        if len(began) >= missing:
            return began[-missing].seq
        missing, to = missing - len(began), after
    return stretch.first


def kind_named(given: str) -> str:
    """The kind that was meant, in whatever case. Raises BadInput with what it may have meant."""
    found = {kind.lower(): kind for kind in KINDS}
    if given.lower() in found:
        return found[given.lower()]
    part = [kind for name, kind in found.items() if given.lower() in name]
    near = part[:6] or [found[name] for name in get_close_matches(given.lower(), found, n=3)]
    hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(KINDS)}."
    raise BadInput(f"There is no kind of event '{given}'. {hint}")
