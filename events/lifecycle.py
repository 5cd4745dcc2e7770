"""A title and a retirement: what they make of a state, and the drafts that retire an agent and take it back.

Rules. (1) What came before the retirement is answered; an input behind it leads to no inference, whichever way it came.
(2) A retired agent has no timer that could ring: those that are set are cancelled in the same append, a call that is
about to set one is failed there, and no other may set one. (3) No context hangs on either, and ids that are made of
seqs leave these events out: so a rerun, which is retired where its recording was and is taken back at the end, has the
same bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from msgspec.structs import replace

from palimpsest.events.alarms import cancelling
from palimpsest.events.codec import draft
from palimpsest.events.envelope import Draft, Envelope
from palimpsest.events.functions import functions_of, named, topic
from palimpsest.events.functions.timers import NO_TIMER
from palimpsest.events.state import Pending, Retired, State
from palimpsest.events.types import AgentReinstated, AgentRetired, FunctionFailed, Timer, TimerSet, TitleChanged

RETIRED: Final = "the agent is retired"
"""Why an input was skipped."""


# --- the fold -----------------------------------------------------------------------------------------------------


def titled(state: State, _at: Envelope, event: TitleChanged) -> State:
    return replace(state, title=event.title, shift=state.shift + 1)


def retired(state: State, at: Envelope, event: AgentRetired) -> State:
    """What a fork kept of its parent's timers, and has not set yet, it does not set any more."""
    since = Retired(seq=at.seq, key=at.key, time_ms=at.time, reason=event.reason, timers=event.timers)
    theirs = state.unadopted
    if theirs and theirs.alarms:
        alarms = tuple(alarm for alarm in state.alarms if alarm.key not in theirs.alarms)
        left = replace(theirs, alarms=()) if theirs.inputs else None
        state = replace(state, alarms=alarms, unadopted=left)
    return replace(state, retired=since, shift=state.shift + 1)


def reinstated(state: State, _at: Envelope, _event: AgentReinstated) -> State:
    return replace(state, retired=None, shift=state.shift + 1)


# --- inputs -------------------------------------------------------------------------------------------------------


def is_late(state: State, waiting: Pending) -> bool:
    """Whether an input came after its agent was retired."""
    return state.retired is not None and waiting.seq > state.retired.seq


def late(state: State) -> Pending | None:
    """The first input that came after the agent was retired."""
    return next((each for each in state.pending if is_late(state, each)), None)


# --- drafts -------------------------------------------------------------------------------------------------------


def retiring(state: State, now_ms: int, *, opened: Collection[str], reason: str = "") -> list[Draft]:
    """The drafts that retire an agent, to append with `state.seq` expected. `opened` are the keys of the alarms that
    are to ring here: one that rests (an import's) rests on."""
    agent, theirs = state.agent, state.unadopted.alarms if state.unadopted else ()
    going = [alarm for alarm in state.alarms if alarm.key in opened]
    timers = tuple(alarm.timer for alarm in state.alarms if alarm.key in opened or alarm.key in theirs)
    event = AgentRetired(reason=reason, timers=timers)
    return [
        *_unset(state, now_ms),
        *(cancelling(agent, alarm.key, alarm.timer, now_ms) for alarm in going),
        draft(agent, now_ms, event, key=f"retire:{state.seq}", opens="retirement"),
    ]


def _unset(state: State, now_ms: int) -> Iterable[Draft]:
    """What fails the call that is about to set a timer. It has not the answer's key (see `decide`): the answer comes
    with the timer, and has to find the call closed."""
    turn = state.turn
    if turn is None or turn.phase != "calling":
        return ()
    call, asked = turn.calls[turn.done], turn.request_key
    if topic(named(functions_of(state), call.name)) != "timer":
        return ()
    event = FunctionFailed(call=call.id, name=call.name, error=NO_TIMER)
    key = f"retired:{asked}"
    return (draft(state.agent, now_ms, event, key=key, turn=turn.input, cause=asked, closes=asked),)


def reinstating(state: State, now_ms: int, timers: Iterable[Timer]) -> list[Draft]:
    """The drafts that take a retired agent back, with these timers set; to append with `state.seq` expected."""
    assert state.retired is not None, "a retired agent is taken back"
    agent, key = state.agent, state.retired.key
    back = draft(agent, now_ms, AgentReinstated(), key=f"reinstate:{key}", cause=key, closes=key)
    alarms = (
        draft(agent, now_ms, TimerSet(timer=timer), key=f"alarm:{key}:{number}", opens="alarm")
        for number, timer in enumerate(timers)
    )
    return [back, *alarms]


def retiring_again(before: State, fork: str, now_ms: int) -> list[Draft]:
    """The draft that has a rerun's fork retired from its beginning, where what is run again was."""
    since = before.retired
    if since is None:
        return []
    event = AgentRetired(reason=since.reason, timers=since.timers)
    return [draft(fork, now_ms, event, key="retire", opens="retirement")]


def taking_back(state: State, now_ms: int) -> list[Draft]:
    """The draft that takes a rerun's fork back, where it is retired at its end."""
    return reinstating(state, now_ms, ()) if state.retired else []
