"""A turn looked back on, up to its answer: the windows that the model was asked with, and the searches that it made.

Rule: the *decisive* request is the last one before the answer that is judged: what stood in its window could be said.
Where no answer was given by then, it is the window as it stood at the end that is judged.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from palimpsest.events.codec import decode
from palimpsest.events.envelope import Envelope
from palimpsest.events.evolve import evolve
from palimpsest.events.functions import PAGE, function_named
from palimpsest.events.functions.entry import Store
from palimpsest.events.position import Position
from palimpsest.events.state import State
from palimpsest.events.types import (
    Event,
    Found,
    FunctionCalled,
    FunctionFailed,
    FunctionReturned,
    InferenceRequested,
    MessageSent,
)


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """A search of the turn, and what came back: by event `returned` (0: nothing did), or `error`."""

    asked: Envelope
    call: FunctionCalled
    returned: int = 0
    result: str = ""
    found: tuple[Found, ...] = ()
    total: int = 0
    error: str = ""
    between: tuple[int, int] | None = None

    @property
    def seq(self) -> int:
        return self.asked.seq

    @property
    def query(self) -> str:
        return ", ".join(str(value) for name, value in self.call.arguments.items() if name != PAGE.name)

    @property
    def looks_in(self) -> frozenset[Store]:
        return looks_in(self.call.name)

    @property
    def is_ranked(self) -> bool:
        """Whether it gave its page in an order of its own."""
        function = function_named(self.call.name)
        return function is not None and function.finds == "ranking"


def looks_in(name: str) -> frozenset[Store]:
    """Where a function looks for something (nowhere: it is no search)."""
    function = function_named(name)
    return function.looks_in if function else frozenset()


class JudgedTurn(msgspec.Struct, frozen=True, kw_only=True):
    """The turn of the input at seq `input`, up to event `end`. `answer` is the message that is judged (0: none was sent
    by then); `windows` are the requests for a reply that came before the judged state, each with the state that it was
    asked with; `judged` is the state at the decisive request, or, without an answer, at `end`."""

    input: int
    end: int
    answer: int
    request: int
    """The decisive request (0: no answer was given)."""
    windows: tuple[tuple[int, State], ...]
    judged: State
    events: tuple[tuple[Envelope, Event], ...]
    searches: tuple[Search, ...]

    @property
    def until(self) -> int:
        """The seq up to which the agent could know things."""
        return self.request or self.end

    @property
    def position(self) -> Position:
        """Of the last event that the agent could know of."""
        return max(at.position for at, _ in self.events if at.seq <= self.until)


def look_back(state: State | None, envelopes: Iterable[Envelope], input: int) -> JudgedTurn:
    """The turn of an input: its events up to the one that is judged, from the state before them on."""
    events: list[tuple[Envelope, Event]] = []
    windows: list[tuple[int, State]] = []
    for envelope in envelopes:
        event = decode(envelope)
        state = evolve(state, envelope, event)
        events.append((envelope, event))
        if isinstance(event, InferenceRequested) and event.purpose == "reply" and envelope.turn == input:
            windows.append((envelope.seq, state))
    assert state is not None and events, "a turn has events"
    answer = max((at.seq for at, event in events if isinstance(event, MessageSent) and at.turn == input), default=0)
    asked = [(seq, each) for seq, each in windows if seq < answer]
    request, judged = asked.pop() if asked else (0, state)
    return JudgedTurn(
        input=input,
        end=events[-1][0].seq,
        answer=answer,
        request=request,
        windows=tuple(asked if answer else windows),
        judged=judged,
        events=tuple(events),
        searches=tuple(_searches(events, input)),
    )


def _searches(events: Iterable[tuple[Envelope, Event]], input: int) -> list[Search]:
    found: dict[str, Search] = {}
    for at, event in events:
        match event:
            case FunctionCalled(name=name) if looks_in(name) and at.turn == input:
                found[at.key] = Search(asked=at, call=event)
            case FunctionReturned() if at.closes in found:
                found[at.closes] = msgspec.structs.replace(
                    found[at.closes],
                    returned=at.seq,
                    result=event.result,
                    found=event.found,
                    total=event.total,
                    between=event.between,
                )
            case FunctionFailed(error=error) if at.closes in found:
                found[at.closes] = msgspec.structs.replace(found[at.closes], returned=at.seq, error=error)
    return list(found.values())
