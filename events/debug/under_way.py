"""What was under way in an agent at an event: what a fork there has of its parent's, and takes up once it goes on."""

from __future__ import annotations

import msgspec

from palimpsest.events.inputs import text_of
from palimpsest.events.state import Phase, State
from palimpsest.events.types import Timer


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """An input that has no end yet; `text` is the user's, or whatever it says ("": nothing)."""

    seq: int
    kind: str
    text: str


class UnderWay(msgspec.Struct, frozen=True, kw_only=True):
    """`turn` is the running turn's input (None: the agent was at rest), `step` where the turn stood: "ready" (a request
    is due), "inferring", "acting" (an answer is carried out), "calling" (`call` is asked of another part),
    "summarising", "evicting" or "failed". `waiting` are the inputs behind it, `timers` those that are set."""

    turn: Input | None
    step: str
    call: str
    waiting: tuple[Input, ...]
    timers: tuple[Timer, ...]


def under_way(state: State) -> UnderWay:
    turn, step, call = state.turn, "", ""
    running = None
    if turn is not None:
        wire = next((entry.wire for entry in state.queue if entry.seq == turn.input), b"")
        running = Input(seq=turn.input, kind=turn.input_kind, text=text_of(wire) if wire else "")
        step = turn.rewound or turn.phase
        if step == Phase.READY and state.eviction:
            step = "evicting"
        if step == Phase.CALLING and turn.done < len(turn.calls):
            call = turn.calls[turn.done].name
    waiting = tuple(Input(seq=p.seq, kind=p.kind, text=text_of(p.wire)) for p in state.pending)
    return UnderWay(
        turn=running,
        step=step,
        call=call,
        waiting=waiting,
        timers=tuple(alarm.timer for alarm in state.alarms),
    )
