"""What was said, by whom and when on the agent's clock: a stretch of a stream as a transcript, in bounded memory.

Rules. (1) It begins anywhere: the state before says whose clock it is, and what is under way. (2) A turn's input stands
with its turn, where the answer is. (3) Texts are whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, Literal

import msgspec

from palimpsest.events.debug.moments import Called, Item, Moment, Noted, Step, TurnBegan, TurnClosed
from palimpsest.events.formats import ZONED
from palimpsest.events.times import is_utc, stamp, zone_of
from palimpsest.events.types import (
    INPUTS,
    AgentCreated,
    AgentForked,
    Event,
    InferenceCompleted,
    InputSkipped,
    MessageSent,
    Parent,
    StopRequested,
    TimeZoneSet,
    TurnStarted,
    UserMessageReceived,
)
from palimpsest.questions.descriptions import call_text, cut_text, describe
from palimpsest.questions.streams import is_masked, stretches
from palimpsest.questions.stretch import Excerpt
from palimpsest.questions.timelines import parts_of, state_before, timeline_from
from palimpsest.store.logs.contract import LogReader

Who = Literal["user", "agent", "interrupt", "thought", "call", "note"]
LONG: Final = 10_000_000
"""As many characters as a call's argument may have: nothing is clipped."""


class Utterance(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was said. `who` said it, `name` as they are called, `time` on the agent's clock; `turn` is the seq
    of the turn's input (0: none)."""

    seq: int
    time_ms: int
    time: str
    who: Who
    name: str
    text: str
    turn: int = 0


class Extras(msgspec.Struct, frozen=True):
    """What is told beside what was said."""

    thoughts: bool = False
    calls: bool = False


class Heading(msgspec.Struct, frozen=True, kw_only=True):
    """Whose transcript it is, of which events; whose part it begins with, and whether texts in it were masked."""

    agent: str
    first: int
    last: int
    forked_from: tuple[Parent, ...]
    masked: bool


def heading(log: LogReader, stretch: Excerpt) -> Heading:
    """What stands over a stretch's transcript."""
    agent, first = stretch.agent, stretch.first
    parents = tuple(each for each in log.lineage(agent) if first <= each.seq)
    masked = is_masked(log, agent, first)
    return Heading(agent=agent, first=first, last=stretch.last, forked_from=parents, masked=masked)


def spoken(log: LogReader, stretch: Excerpt, choice: Extras) -> Iterator[Utterance]:
    """What was said in a stretch, in the order of the turns."""
    agent, first = stretch.agent, stretch.first
    before = state_before(log, agent, first)
    clock = _AgentClock(before.offset_s if before and zone_of(before) else None)
    wanted = stretch.wanted
    for part in parts_of(timeline_from(log, agent, first, before), stretches(log, agent, first, stretch.last)):
        clock.heed(part)
        for each in _said(part, agent, choice, clock):
            if each.seq >= first and _within(each.time_ms, wanted.since_ms, wanted.until_ms):
                yield each


def _within(time_ms: int, since_ms: int | None, until_ms: int | None) -> bool:
    return (since_ms is None or time_ms >= since_ms) and (until_ms is None or time_ms <= until_ms)


class _AgentClock:
    """The agent's clock, as the events tell how far it is ahead of UTC (None: it shows UTC)."""

    def __init__(self, offset_s: int | None) -> None:
        self._offset_s = offset_s

    def heed(self, part: Item) -> None:
        for each in part.events:
            match each.event:
                case AgentCreated(parts=parts, zone=zone, offset_s=offset_s):
                    self._offset_s = offset_s if ZONED in parts and not is_utc(zone) else None
                case TimeZoneSet(offset_s=offset_s) | TurnStarted(offset_s=offset_s):
                    self._offset_s = offset_s

    def shows(self, time_ms: int) -> str:
        return stamp(time_ms, self._offset_s)


def _said(part: Item, agent: str, choice: Extras, clock: _AgentClock) -> Iterator[Utterance]:
    def say(seq: int, time_ms: int, who: Who, text: str, name: str = "") -> Utterance:
        time = clock.shows(time_ms)
        return Utterance(seq=seq, time_ms=time_ms, time=time, who=who, name=name or who, text=text, turn=part.turn)

    match part:
        case TurnBegan():
            if part.input:
                yield _input(part.input, say)
        case Step():
            if choice.thoughts and part.purpose == "reply":
                yield from (
                    say(part.answered, part.time_ms + part.wall_ms, "thought", text) for text in _thoughts(part)
                )
        case Called():
            last = part.events[-1]
            if isinstance(last.event, MessageSent):
                yield say(part.seq, part.time_ms, "agent", last.event.text + cut_text(last.event), agent)
            elif choice.calls:
                yield say(part.seq, part.time_ms, "call", _call(part, last.event))
        case TurnClosed():
            if part.reason != "yielded":
                detail = f": {part.detail}" if part.detail else ""
                yield say(part.seq, part.time_ms, "note", f"the turn ended ({part.reason}{detail})")
        case Noted():
            yield from _noted(part, say)


def _noted(part: Noted, say: Callable[..., Utterance]) -> Iterator[Utterance]:
    for each in part.events:
        match each.event:
            case AgentForked(parent=parent):
                what = f"forked from {parent.agent} at its event {parent.seq}: what stands above was said with that one"
                yield say(each.seq, each.time_ms, "note", what)
            case StopRequested() | InputSkipped():
                yield say(each.seq, each.time_ms, "interrupt", f"{_words(each.kind)}: {describe(each.event)}")
            case event if event is not None and isinstance(event, INPUTS):
                yield _input(each, say)
            case None:
                yield say(each.seq, each.time_ms, "note", each.problem)


def _input(came: Moment, say: Callable[..., Utterance]) -> Utterance:
    if isinstance(came.event, UserMessageReceived):
        return say(came.seq, came.time_ms, "user", came.event.text, came.event.name)
    text = describe(came.event) if came.event else came.problem
    return say(came.seq, came.time_ms, "interrupt", f"{_words(came.kind)}: {text}")


def _words(kind: str) -> str:
    """A kind of event in words: TimerFired is timer fired."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", kind).lower()


def _thoughts(step: Step) -> Iterator[str]:
    """What the model thought: beside its calls, and where the server shows it."""
    last = step.events[-1].event
    if isinstance(last, InferenceCompleted) and last.reasoning:
        yield last.reasoning
    if step.content and step.calls:
        yield step.content


def _call(part: Called, event: Event | None) -> str:
    """A call and what became of it."""
    name = part.name or _words(part.events[-1].kind)
    result = part.result or (describe(event) if event else part.events[-1].problem)
    return f"{call_text(name, part.arguments, LONG)} -> {'' if part.ok else 'failed: '}{result}"
