"""Forking agents, letting forks go on, and undoing a turn: over a log actor, or over a log's file that nobody else has.

Rules. (1) A fork is one event; nothing of its parent is copied, and the parent is not touched. (2) Everything that can
be refused is refused before anything is written. (3) A fork is at rest until it is given an input or resumed. (4) An
undo is a fork to which the timers move: they are set there and cancelled at the parent in one transaction, so that no
accident leaves them ringing in both, or in neither.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final

import msgspec

from palimpsest.actors.links.calls import StreamLog, unknown
from palimpsest.actors.parts.process import now_ms
from palimpsest.actors.requests import sources
from palimpsest.actors.requests.checks import check_id, check_name, check_settings, check_text
from palimpsest.events.alarms import cancelling, taking_up
from palimpsest.events.codec import decode, draft
from palimpsest.events.decide import resumption
from palimpsest.events.envelope import Draft, Envelope
from palimpsest.events.errors import AgentExists, AgentIsRetired, BadInput, PalimpsestError
from palimpsest.events.forks import DROPPED, KEPT, MOVED, moving
from palimpsest.events.kinds import kinds_of
from palimpsest.events.position import Position
from palimpsest.events.servers import chosen
from palimpsest.events.sources import is_source
from palimpsest.events.state import Alarm, State
from palimpsest.events.types import (
    AgentForked,
    Block,
    Parent,
    Settings,
    Timer,
    TimerCancelled,
    TimerFired,
    TimerSet,
    UserMessageReceived,
)
from palimpsest.store.logs.contract import THERE, Append

ASKED: Final = kinds_of(UserMessageReceived)
ALARMS: Final = kinds_of(AgentForked, TimerSet, TimerFired, TimerCancelled)
LOOKED_BACK: Final = 2_000
"""So many events are read at once where the last message is looked for."""
FORKS_AT_ONCE: Final = 200
READS_AT_ONCE: Final = 100


class Overrides(msgspec.Struct, frozen=True, kw_only=True):
    """What is otherwise in a fork; None: as it was."""

    settings: Settings | None = None
    system: str | None = None
    blocks: tuple[Block, ...] | None = None
    keep_timers: bool = False


class Origin(msgspec.Struct, frozen=True):
    """Where an agent can be forked: its state at a seq, and the event there."""

    state: State
    event: Envelope


async def place(log: StreamLog, agent: str, seq: int | None = None) -> Origin:
    """Where an agent stood at a seq (None: stands now). Raises UnknownAgent, BadInput where it has no such event."""
    if is_source(agent):
        raise BadInput(f"'{agent}' is a source, and has no state of its own to fork: name an agent.")
    state = (await log.states({agent: seq})).get(agent) if seq is None or seq >= 1 else None
    if state is None:
        state = (await log.states({agent: None})).get(agent)
        if state is None:
            raise await unknown(log, agent)
    if seq is not None and state.seq != seq:
        raise BadInput(f"Agent '{agent}' has events 1 to {state.seq}: there is none at {seq}. Nothing was changed.")
    (event,) = await log.read(agent, state.seq - 1, state.seq)
    return Origin(state, event)


async def fork(log: StreamLog, at: Origin, names: Sequence[str], overrides: Overrides) -> None:
    """Begin forks of these names there. Raises AgentExists, BadInput."""
    _check(names, overrides)
    await check_free(log, names)
    event = AgentForked(
        parent=Parent(agent=at.state.agent, seq=at.state.seq),
        hash=at.event.hash,
        settings=overrides.settings,
        system=overrides.system,
        blocks=overrides.blocks,
        timers=KEPT if overrides.keep_timers else DROPPED,
    )
    # A key of this call's own: made again after the log's process died, it is known for what it is.
    key, left = f"fork:{uuid.uuid4().hex}", iter(names)
    while part := list(islice(left, FORKS_AT_ONCE)):
        drafts = tuple(draft(name, now_ms(), event, key=key) for name in part)
        answers = await log.append(Append(drafts, dict.fromkeys(part, 0), forks=dict.fromkeys(part, event.parent)))
        for name, answer in zip(part, answers, strict=True):
            if answer.outcome == "conflict":
                raise AgentExists(name)
            assert answer.outcome in THERE, "the parent was read a moment ago"


def _check(names: Iterable[str], overrides: Overrides) -> None:
    for name in names:
        check_name(name)
    if overrides.settings is not None:
        check_settings(overrides.settings)
    if overrides.system is not None:
        check_text(overrides.system, "system text", may_be_empty=True)
    for block in overrides.blocks or ():
        check_id(block.label, "label of a core-memory block")
        check_text(block.value + block.description, "core memory", may_be_empty=True)


async def check_free(log: StreamLog, names: Sequence[str]) -> None:
    """Raises AgentExists for the first name that is taken: so that of many forks none is made."""
    left = iter(names)
    while part := list(islice(left, READS_AT_ONCE)):
        firsts = await asyncio.gather(*(log.read(name, limit=1) for name in part))
        for name, first in zip(part, firsts, strict=True):
            if first:
                raise AgentExists(name)


class Resumed(msgspec.Struct, frozen=True):
    """The state of an agent that goes on, and the positions of the events by which a fork took up its inputs, by the
    inputs' seqs; none, where they were open already."""

    state: State
    positions: dict[int, Position]


async def resume(log: StreamLog, agent: str) -> Resumed:
    """Let a fork take up what it has of its parent's: the turn that was running, inputs that wait, timers that it kept.

    Whatever other agent it is, it goes on by itself, and nothing is written. Raises UnknownAgent, AgentIsRetired.
    """
    while True:
        state = (await place(log, agent)).state
        if state.retired:
            raise AgentIsRetired(agent)
        drafts = resumption(state, now_ms())
        if not drafts:
            return Resumed(state, {})
        answers = await log.append(Append(tuple(drafts), {agent: state.seq}))
        if all(answer.outcome == "appended" for answer in answers):
            taken = zip(drafts, answers, strict=True)
            there = {made.turn: answer.position for made, answer in taken if made.turn and answer.position}
            return Resumed(state, there)
        # Another event came in between: it is looked at again.


# --- undo ---------------------------------------------------------------------------------------------------------


class Undone(msgspec.Struct, frozen=True, kw_only=True):
    """What an undo made: the agent that goes on from before the message at seq `input`, which said `text`."""

    agent: str
    input: int
    text: str
    moved: tuple[Timer, ...] = ()
    dropped: tuple[Timer, ...] = ()
    """Timers that the undone turns had set: they ring nowhere any more."""


async def undo(log: StreamLog, agent: str) -> Undone:
    """Make an agent that goes on from before the last user's message; timers move to it, and the agent that is left
    rings no more. Settings and sources that it was given since stay: no turn changed them. Raises UnknownAgent;
    BadInput where there is no such message, or the agent is at work."""
    for _ in range(TRIES):
        state = (await place(log, agent)).state
        if not state.unadopted and (state.turn or state.pending):
            raise BadInput(f"'{agent}' is at work: wait until its turn has ended, or stop it. Nothing was undone.")
        message = await _last_message(log, state)
        before = await place(log, agent, message.seq - 1)
        later = await log.read(agent, before.state.seq, state.seq, None, ALARMS)
        alarms = moving(before.state, ((envelope, decode(envelope)) for envelope in later))
        name = await free_name(log, state)
        with suppress(_Overtaken):
            await _move(log, state, before, name, alarms)
            await _keep_sources(log, state, before.state, name)
            event = decode(message)
            assert isinstance(event, UserMessageReceived), "only these are read"
            ids = {alarm.timer.id for alarm in alarms}
            dropped = tuple(alarm.timer for alarm in state.alarms if alarm.timer.id not in ids)
            moved = tuple(alarm.timer for alarm in alarms)
            return Undone(agent=name, input=message.seq, text=event.text, moved=moved, dropped=dropped)
    raise BadInput(f"'{agent}' changes all the time. Nothing was undone: try again.")


class _Overtaken(Exception):
    """Another event came in between: it is looked at again."""


async def _last_message(log: StreamLog, state: State) -> Envelope:
    to = state.seq
    while to > 0:
        if found := await log.read(state.agent, max(0, to - LOOKED_BACK), to, None, ASKED):
            return found[-1]
        to -= LOOKED_BACK
    raise BadInput(f"Agent '{state.agent}' was not told anything yet: there is nothing to undo.")


async def _move(log: StreamLog, state: State, before: Origin, name: str, alarms: Sequence[Alarm]) -> None:
    now, parent = now_ms(), Parent(agent=before.state.agent, seq=before.state.seq)
    settings = chosen(state) if chosen(state) != chosen(before.state) else None
    event = AgentForked(parent=parent, hash=before.event.hash, settings=settings, timers=MOVED)
    begun: list[Draft] = [draft(name, now, event, key=f"fork:{uuid.uuid4().hex}")]
    begun += [taking_up(name, alarm.key, alarm.timer, now) for alarm in alarms]
    theirs = state.unadopted.alarms if state.unadopted else ()
    left = [taking_up(state.agent, a.key, a.timer, now) for a in state.alarms if a.key in theirs]
    left += [cancelling(state.agent, a.key, a.timer, now, moved_to=name) for a in state.alarms]
    expected = {name: 0, state.agent: state.seq}
    answers = await log.append(Append((*begun, *left), expected, forks={name: parent}, together=True))
    if not all(answer.outcome in THERE for answer in answers):
        raise _Overtaken


async def _keep_sources(log: StreamLog, state: State, before: State, name: str) -> None:
    """Let the fork have the sources that the agent has now."""
    now, then = _attached(state), _attached(before)
    for source in (*now, *then):
        with suppress(PalimpsestError):  # it was unloaded meanwhile, say: the fork is there, and that is to be told
            if source not in then:
                await sources.attach(log, source, [name])
            elif source not in now:
                await sources.detach(log, source, [name])


def _attached(state: State) -> tuple[str, ...]:
    return state.sources if state.next_sources is None else state.next_sources


async def free_name(log: StreamLog, state: State) -> str:
    """A name for an agent that goes on in another's place: ada, ada-2, ada-3 …"""
    stem, dash, number = state.agent.rpartition("-")
    stem, first = (stem, int(number) + 1) if state.parent and dash and number.isdecimal() else (state.agent, 2)
    for count_ in range(first, first + MOST_NAMES):
        name = f"{stem}-{count_}"
        check_name(name)
        if not await log.read(name, limit=1):
            return name
    raise BadInput(f"There are too many agents named {stem}-2 and so on. Fork it by a name of your own.")


MOST_NAMES: Final = 10_000
TRIES: Final = 50
"""So often an undo begins again because another event came in between."""
