"""Forks: what becomes of a state where another stream goes on from it, and how what was open there is opened again.

Rules. (1) Nothing of the parent's is run twice: what was asked of another part at the fork is asked for anew, in the
fork's own stream, from the same context. (2) A fork is at rest until it is given an input of its own, or resumed: then
`adoptions` come first. (3) `State.shift` counts the events that only the fork has; ids that are made of seqs leave
them out, so that with the same inputs, settings and answers a fork's contexts are its parent's, byte for byte.
(4) Timers move to a fork, or stay; they are never set in both, but where a user asked for that ("kept").
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, assert_never

from msgspec.structs import replace

from palimpsest.events.encodings import is_servers
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import LogDamaged
from palimpsest.events.margins import asks
from palimpsest.events.phases import AT_MODEL
from palimpsest.events.rendering import shapes
from palimpsest.events.state import UNCOUNTED, Alarm, Eviction, State, Turn, Unadopted, moved
from palimpsest.events.types import (
    AgentForked,
    Event,
    InputAdopted,
    Settings,
    Timer,
    TimerCancelled,
    TimerFired,
    TimerSet,
)

TAKEN_UP: Final = "fork"
"""The cause of a timer that a fork sets again because its parent had set it: nobody asked for it in the fork."""
DROPPED: Final = "dropped"
KEPT: Final = "kept"
MOVED: Final = "moved"


def forked(state: State, at: Envelope, event: AgentForked) -> State:
    """The state of a fork at its first own event, from its parent's."""
    parent = event.parent
    if (parent.agent, parent.seq) != (state.agent, state.seq) or at.stream == state.agent:
        why = f"it forks agent '{parent.agent}' at {parent.seq}, and stands behind '{state.agent}' at {state.seq}"
        raise LogDamaged(at.stream, at.seq, why)
    state = replace(_rewound(state), agent=at.stream, parent=parent, shift=state.shift + 1, retired=None)
    if event.timers != KEPT:
        state = replace(state, alarms=())
    if event.settings is not None:
        state = with_settings(state, event.settings)
    if event.system is not None:
        state = replace(state, system=event.system, head_tokens=UNCOUNTED)
    if event.blocks is not None:
        state = replace(state, blocks=event.blocks, head_tokens=UNCOUNTED)
    return replace(state, unadopted=_unadopted(state))


def _rewound(state: State) -> State:
    """What is open at another part was not asked yet: so that `decide` asks again, from the same context."""
    turn = state.turn
    if turn is None:
        return state
    ready = moved(turn, "ready", request_key="", rewound=turn.phase)
    match turn.phase:
        case "inferring":
            return replace(state, turn=replace(ready, steps=turn.steps - 1))
        case "summarising":
            return replace(state, turn=ready, eviction=_asked_once_less(state.eviction))
        case "calling":
            number = turn.number or int(turn.request_key.removeprefix("m"))  # a call's key is its seq
            return replace(state, turn=moved(ready, "acting", number=number))
        case "ready" | "acting" | "failed":
            return state
        case _:
            assert_never(turn.phase)


def _asked_once_less(eviction: Eviction | None) -> Eviction | None:
    return replace(eviction, attempts=eviction.attempts - 1) if eviction else None


def _unadopted(state: State) -> Unadopted | None:
    running = (state.turn.input,) if state.turn else ()
    inputs = (*running, *(pending.seq for pending in state.pending))
    alarms = tuple(alarm.key for alarm in state.alarms)
    return Unadopted(inputs=inputs, alarms=alarms) if inputs or alarms else None


def with_settings(state: State, settings: Settings) -> State:
    """The state with settings that were chosen anew: their first server is asked, whichever was before."""
    turn = replace(state.turn, down=()) if state.turn else None
    return asked_with(replace(state, server=0, chosen=None, switched_ms=0, turn=turn), settings)


def asked_with(state: State, settings: Settings) -> State:
    """The state with these settings. Another encoding makes every count void, and so does a model that gets messages
    in another form."""
    before = state.settings
    same_shapes = shapes(state.format, settings.model) == shapes(state.format, before.model)
    same_server = (settings.base_url, settings.model) == (before.base_url, before.model)
    state = replace(asks(state, settings), head_tokens=UNCOUNTED)
    if settings.encoding == before.encoding and same_shapes and (same_server or not _hangs_on_server(state)):
        return state
    queue = tuple(replace(entry, tokens=UNCOUNTED) for entry in state.queue)
    summary = replace(state.summary, tokens=UNCOUNTED) if state.summary else None
    return replace(state, queue=queue, summary=summary)


def _hangs_on_server(state: State) -> bool:
    """Whether what is sent, or what it counts, hangs on the server that it is sent to."""
    return is_servers(state.settings.encoding) or bool(state.stand_ins) or any(entry.own for entry in state.queue)


# --- taking up again ----------------------------------------------------------------------------------------------


def is_awake(state: State) -> bool:
    """Whether the fork was given an input of its own, besides what it has of its parent's."""
    theirs = state.unadopted.inputs if state.unadopted else ()
    return any(pending.seq not in theirs for pending in state.pending)


def adoptions(state: State) -> tuple[Event, ...]:
    """What opens in the fork's stream what it has of its parent's: inputs, running or waiting, and alarms."""
    unadopted = state.unadopted or Unadopted()
    timers = {alarm.key: alarm.timer for alarm in state.alarms}
    return (
        *(InputAdopted(input=seq) for seq in unadopted.inputs),
        *(TimerSet(timer=timers[key]) for key in unadopted.alarms),
    )


def adopted(state: State, at: Envelope, event: InputAdopted) -> State:
    """From now on the input is owed under the key of this event."""
    unadopted = state.unadopted or Unadopted()
    if event.input not in unadopted.inputs:
        raise LogDamaged(
            at.stream, at.seq, f"it takes up input {event.input}, which is none that the fork is to take up"
        )
    if state.turn and state.turn.input == event.input:
        state = replace(state, turn=replace(state.turn, input_key=at.key))
    pending = tuple(replace(each, key=at.key) if each.seq == event.input else each for each in state.pending)
    left = replace(unadopted, inputs=tuple(seq for seq in unadopted.inputs if seq != event.input))
    return replace(state, pending=pending, unadopted=_or_none(left), shift=state.shift + 1)


def timer_set(state: State, at: Envelope, event: TimerSet) -> State:
    """An alarm of the parent's has the same key in the fork."""
    unadopted = state.unadopted
    if unadopted is None or at.key not in unadopted.alarms:
        alarms = (*state.alarms, Alarm(timer=event.timer, key=at.key))
        return replace(state, alarms=alarms, shift=state.shift + (at.cause == TAKEN_UP))
    left = replace(unadopted, alarms=tuple(key for key in unadopted.alarms if key != at.key))
    return replace(state, unadopted=_or_none(left), shift=state.shift + 1)


def _or_none(left: Unadopted) -> Unadopted | None:
    return left if left.inputs or left.alarms else None


def asked_again(state: State) -> State:
    """A request is made: if it is the one that was open at the parent, the fork has it once more."""
    turn = state.turn
    if turn is None or not turn.rewound:
        return state
    return replace(state, turn=replace(turn, rewound=""), shift=state.shift + 1)


def stopped(state: State, turn: Turn) -> State:
    """A turn was stopped. What was open at the parent, and was not asked for again, has no InferenceCancelled here."""
    return replace(state, shift=state.shift - 1) if turn.rewound in AT_MODEL else state


# --- timers that move ---------------------------------------------------------------------------------------------


def moving(before: State, later: Iterable[tuple[Envelope, Event]]) -> tuple[Alarm, ...]:
    """The timers that go over to a fork that is made at `before`, in place of the agent with the events `later`.

    What turns did to timers is undone with them: what they set does not go over, what they cancelled does. What has
    rung has rung: it goes over only where it rings again, for then. What was set or cancelled by no turn stays so.
    """
    going: dict[str, Timer] = {alarm.key: alarm.timer for alarm in before.alarms}
    rung: set[str] = set()
    left: set[str] = set()
    """The ids of those that a fork on the way had at its parent: some of them it took along, for when they ring now."""
    for at, event in later:
        match event:
            case AgentForked(timers=timers) if timers != KEPT:
                going, left = {}, {each.id for each in going.values()}
            case TimerSet(timer=timer) if at.cause == TAKEN_UP:
                if timer.id in left or at.key in going:
                    going[at.key] = timer
            case TimerSet(timer=timer) if not at.cause or at.cause in rung:
                going[at.key] = timer
            case TimerFired() if going.pop(at.closes, None):
                rung.add(at.closes)
            case TimerCancelled(call="") if at.closes:
                going.pop(at.closes, None)
            case _:
                pass
    return tuple(Alarm(timer=timer, key=key) for key, timer in going.items())
