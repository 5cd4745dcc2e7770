"""What was under way in an agent at an event: what a fork there has of its parent's, and takes up once it goes on."""

from __future__ import annotations

from typing import Literal

import msgspec

from palimpsest.events.inputs import text_of
from palimpsest.events.kinds import Kind
from palimpsest.events.state import State
from palimpsest.events.types import Timer
from palimpsest.events.vocabulary import Phase


class OpenInput(msgspec.Struct, frozen=True, kw_only=True):
    """An input that has no end yet; `text` is the user's, or whatever it says ("": nothing)."""

    seq: int
    kind: Kind
    text: str


class UnderWay(msgspec.Struct, frozen=True, kw_only=True):
    """`turn` is the running turn's input (None: the agent was at rest), `step` where the turn stood (`call`
    is asked of another part). `waiting` are the inputs behind it, `timers` those that are set."""

    turn: OpenInput | None
    step: Phase | Literal["", "evicting"]
    call: str
    waiting: tuple[OpenInput, ...]
    timers: tuple[Timer, ...]


def under_way(state: State) -> UnderWay:
    turn, call = state.turn, ""
    step: Phase | Literal["", "evicting"] = ""
    running = None
    if turn is not None:
        wire = next((entry.wire for entry in state.queue if entry.seq == turn.input), b"")
        running = OpenInput(seq=turn.input, kind=turn.input_kind, text=text_of(wire) if wire else "")
        step = turn.rewound or turn.phase
        if step == "ready" and state.eviction:
            step = "evicting"
        if step == "calling" and turn.done < len(turn.calls):
            call = turn.calls[turn.done].name
    waiting = tuple(OpenInput(seq=p.seq, kind=p.kind, text=text_of(p.wire)) for p in state.pending)
    return UnderWay(
        turn=running,
        step=step,
        call=call,
        waiting=waiting,
        timers=tuple(alarm.timer for alarm in state.alarms),
    )
