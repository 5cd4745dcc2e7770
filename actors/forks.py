"""Forking agents, and letting forks go on: over a log actor, or over a log's file that nobody else has.

Rules. (1) A fork is one event; nothing of its parent is copied, and the parent is not touched. (2) Everything that can
be refused is refused before anything is written. (3) A fork is at rest until it is given an input or resumed.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

import msgspec

from actors.calls import Log, unknown
from actors.checks import check_id, check_name, check_settings, check_text
from actors.process import now_ms
from events.codec import draft
from events.decide import resumption
from events.envelope import Envelope
from events.errors import AgentExists, BadInput
from events.forks import DROPPED, KEPT
from events.sources import is_source
from events.state import State
from events.types import AgentForked, Block, Parent, Settings
from store.log import Append

FORKS_AT_ONCE: Final = 200
READS_AT_ONCE: Final = 100


class Overrides(msgspec.Struct, frozen=True, kw_only=True):
    """What is otherwise in a fork; None: as it was."""

    settings: Settings | None = None
    system: str | None = None
    blocks: tuple[Block, ...] | None = None
    keep_timers: bool = False


class Place(msgspec.Struct, frozen=True):
    """Where an agent can be forked: its state at a seq, and the event there."""

    state: State
    event: Envelope


async def place(log: Log, agent: str, seq: int | None = None) -> Place:
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
    return Place(state, event)


async def fork(log: Log, at: Place, names: Sequence[str], overrides: Overrides) -> None:
    """Begin forks of these names there. Raises AgentExists, BadInput."""
    _check(names, overrides)
    await _check_free(log, names)
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
            assert answer.outcome in ("appended", "duplicate"), "the parent was read a moment ago"


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


async def _check_free(log: Log, names: Sequence[str]) -> None:
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
    positions: dict[int, int]


async def resume(log: Log, agent: str) -> Resumed:
    """Let a fork take up what it has of its parent's: the turn that was running, inputs that wait, timers that it kept.

    Whatever other agent it is, it goes on by itself, and nothing is written. Raises UnknownAgent.
    """
    while True:
        state = (await place(log, agent)).state
        drafts = resumption(state, now_ms())
        if not drafts:
            return Resumed(state, {})
        answers = await log.append(Append(tuple(drafts), {agent: state.seq}))
        if all(answer.outcome == "appended" for answer in answers):
            taken = zip(drafts, answers, strict=True)
            return Resumed(state, {made.turn: answer.position for made, answer in taken if made.turn})
        # Another event came in between: it is looked at again.
