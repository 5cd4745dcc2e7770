"""An agent's title, its retirement, and taking it back: over a log actor, or over a log's file that nobody else has.

Rules. (1) Each is decided upon the agent as it is now, and appended with that seq expected: what happens in between is
looked at again. (2) What is so already is not made so again. (3) A timer that repeats goes on from the day on which its
agent is taken back; one that was to ring once, and is past, rings no more, and is named.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, TypeVar

import msgspec

from palimpsest.actors.links.calls import StreamLog, unknown
from palimpsest.actors.parts.door import NEVER
from palimpsest.actors.parts.process import now_ms
from palimpsest.actors.requests.checks import check_label, shown
from palimpsest.actors.requests.zones import AlarmLog
from palimpsest.events.codec import draft
from palimpsest.events.envelope import Draft
from palimpsest.events.errors import AgentIsRetired, BadInput, Overloaded, PalimpsestError
from palimpsest.events.lifecycle import reinstating, retiring
from palimpsest.events.sources import is_source
from palimpsest.events.state import State
from palimpsest.events.times import zone_of
from palimpsest.events.types import Timer, TitleChanged
from palimpsest.store.logs.contract import MUST_EXIST, THERE, Append, Appended, StreamHead, agents_of
from palimpsest.store.times.schedule import BadTimer, goes_by_clocks, moved, next_of

T = TypeVar("T")

MAX_TITLE_CHARS: Final = 100
TRIES: Final = 50
"""So often it is begun again because another event came in between."""


class Retirement(msgspec.Struct, frozen=True, kw_only=True):
    """What a retirement did: `timers` ring no more, and so many inputs (`owed`) came before it, and are answered still.
    `again`: the agent was retired already."""

    agent: str
    timers: tuple[Timer, ...] = ()
    owed: int = 0
    again: bool = False


class Return(msgspec.Struct, frozen=True, kw_only=True):
    """What taking an agent back did: `timers` are set again, and those that `passed` were to ring once, meanwhile.
    `again`: the agent was not retired."""

    agent: str
    timers: tuple[Timer, ...] = ()
    passed: tuple[Timer, ...] = ()
    again: bool = False


def refusal(agent: str, answer: Appended) -> PalimpsestError:
    """The error for an input that the log's door refused."""
    if answer.again_ms == NEVER:
        return AgentIsRetired(agent)
    return Overloaded(
        f"Agent '{agent}', or the system, has too many inputs waiting, or too large ones.", answer.again_ms / 1000
    )


def check_title(title: str) -> None:
    """Raises BadInput where a title cannot be one."""
    check_label(title, "title")
    if len(title) > MAX_TITLE_CHARS or not title.isprintable():
        raise BadInput(f"{shown(title)} cannot be a title: give at most {MAX_TITLE_CHARS} printable characters.")


async def known(log: StreamLog, agent: str) -> State:
    """The agent as it is now. Raises UnknownAgent, BadInput for a source."""
    if is_source(agent):
        raise BadInput(f"'{agent}' is a source: name an agent.")
    state = (await log.states({agent: None})).get(agent)
    if state is None:
        raise await unknown(log, agent)
    return state


async def listed(log: AlarmLog, *, retired: bool) -> list[StreamHead]:
    """The agents, each with its last seq; with `retired` those too that are retired."""
    found = agents_of(await log.heads())
    gone = set() if retired else {each.stream for each in (await log.open_requests("retirement")).envelopes}
    return [head for head in found if head.stream not in gone]


async def rename(log: StreamLog, agent: str, title: str) -> str:
    """Give an agent a title ("": none); the one that it had. Raises UnknownAgent, BadInput."""
    title = title.strip()
    check_title(title)
    state = await known(log, agent)
    if title != state.title:
        await log.append(Append((titling(agent, title),), {agent: MUST_EXIST}))
    return state.title


def titling(agent: str, title: str) -> Draft:
    return draft(agent, now_ms(), TitleChanged(title=title), key=f"title:{uuid.uuid4().hex}")


async def retire(log: AlarmLog, agents: Sequence[str], *, reason: str = "") -> list[Retirement]:
    """Retire agents: they take no inputs and ring no timers any more. What they were sent before is answered. Raises
    UnknownAgent, BadInput, with none of them retired."""
    check_label(reason, "reason")
    return await _each(log, agents, lambda agent: _retire(log, agent, reason))


async def reinstate(log: AlarmLog, agents: Sequence[str]) -> list[Return]:
    """Take retired agents back. Raises UnknownAgent, with none of them taken back."""
    return await _each(log, agents, lambda agent: _reinstate(log, agent))


async def _each(log: StreamLog, agents: Sequence[str], work: Callable[[str], Awaitable[T]]) -> list[T]:
    names = list(dict.fromkeys(agents))
    for agent in names:
        await known(log, agent)
    return [await work(agent) for agent in names]


async def _retire(log: AlarmLog, agent: str, reason: str) -> Retirement:
    for _ in range(TRIES):
        state = await known(log, agent)
        if state.retired:
            return Retirement(agent=agent, timers=state.retired.timers, again=True)
        opened = {envelope.key for envelope in (await log.open_requests("alarm", agent)).envelopes}
        drafts = retiring(state, now_ms(), opened=opened, reason=reason)
        if await _is_taken(log, state, drafts):
            owed = (await log.open_requests("turn", agent)).envelopes
            since = await known(log, agent)
            return Retirement(agent=agent, timers=since.retired.timers if since.retired else (), owed=len(owed))
    raise _restless(agent)


async def _reinstate(log: AlarmLog, agent: str) -> Return:
    for _ in range(TRIES):
        state, now = await known(log, agent), now_ms()
        if not state.retired:
            return Return(agent=agent, again=True)
        then = (await log.states({agent: state.retired.seq}))[agent]
        timers = [(timer, _again(_as_here(timer, then, state, now), now)) for timer in state.retired.timers]
        due = [then for _, then in timers if then]
        if await _is_taken(log, state, reinstating(state, now, due)):
            passed = tuple(timer for timer, then in timers if then is None)
            return Return(agent=agent, timers=tuple(due), passed=passed)
    raise _restless(agent)


def _as_here(timer: Timer, then: State, state: State, now: int) -> Timer:
    """The timer by the clocks that the agent goes by now, where it has been moved to others while it was retired."""
    if zone_of(then) == zone_of(state) or not goes_by_clocks(timer):
        return timer
    try:
        return moved(timer, zone_of(state), now)
    except BadTimer:  # a client's, which never repeats
        return timer


def _again(timer: Timer, now: int) -> Timer | None:
    """The timer as it is due from now on (None: it is past)."""
    if timer.due_ms > now:
        return timer
    try:
        return next_of(timer, now)
    except BadTimer:  # a client's, which never repeats
        return None


async def _is_taken(log: StreamLog, state: State, drafts: Iterable[Draft]) -> bool:
    answers = await log.append(Append(tuple(drafts), {state.agent: state.seq}))
    return all(answer.outcome in THERE for answer in answers)


def _restless(agent: str) -> BadInput:
    return BadInput(f"'{agent}' changes all the time. Nothing was changed: try again.")
