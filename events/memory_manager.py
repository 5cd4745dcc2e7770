"""The memory manager without its shell: events in, one append out, its outcome back in.

Rules. (1) An agent is decided on its folded state, and its drafts expect that seq: where another writer came first,
nothing is taken, and the agent is loaded and decided again. (2) The cursor goes with the
output. (3) What an agent is owed after a crash is read from the open inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from palimpsest.events.cache import StateCache
from palimpsest.events.context import Count
from palimpsest.events.decide import advance
from palimpsest.events.envelope import Draft, Envelope
from palimpsest.events.errors import PalimpsestError
from palimpsest.events.kinds import kinds_of
from palimpsest.events.position import UNPLACED, Position
from palimpsest.events.state import State
from palimpsest.events.times import Offset, no_zones
from palimpsest.events.types import (
    INPUTS,
    AgentCreated,
    AgentForked,
    AgentReinstated,
    AgentRetired,
    Event,
    EvictionStarted,
    FormatChanged,
    FunctionFailed,
    FunctionReturned,
    InferenceCompleted,
    InferenceFailed,
    InferenceRequested,
    InputAdopted,
    MemoryPressureWarned,
    SettingsChanged,
    SourceAttached,
    SourceDetached,
    StopRequested,
    TimerCancelled,
    TimerSet,
    TimeZoneSet,
    TitleChanged,
    TurnStarted,
)
from palimpsest.events.vocabulary import DraftOutcome

_FOREIGN: Final[tuple[type[Event], ...]] = (
    *INPUTS,
    InputAdopted,
    StopRequested,
    SettingsChanged,
    TitleChanged,
    AgentRetired,
    AgentReinstated,
    TimeZoneSet,
    FormatChanged,
    InferenceCompleted,
    InferenceFailed,
    FunctionReturned,
    FunctionFailed,
    TimerSet,
    TimerCancelled,
    SourceAttached,
    SourceDetached,
)

FOREIGN: Final = kinds_of(*_FOREIGN)
"""The kinds that others write: what the memory manager waits for. Its own it folds at once; but what follows from an
answer may come with it, decided by the LLM processor (`InferenceDesk.followed`)."""

OWN: Final = kinds_of(AgentCreated, AgentForked, TurnStarted, InferenceRequested, MemoryPressureWarned, EvictionStarted)
"""Those that never come with an answer (`InferenceDesk.followed`): an agent's first, and what is counted for."""


class Plan(msgspec.Struct, frozen=True):
    """What to append: the drafts of several agents, each with the seq that its stream must have."""

    drafts: tuple[Draft, ...]
    expected: Mapping[str, int]
    position: Position


class Due(msgspec.Struct, frozen=True):
    """A state whose snapshot is due, and the stream's hash there."""

    state: State
    chain: bytes


class MemoryManager:
    """Folds and decides for every agent of a partition. Not for two tasks at once: take, plan, settle, in turn."""

    def __init__(
        self, count: Count, offset: Offset = no_zones, /, *, capacity: int = 4096, snapshot_every: int = 500
    ) -> None:
        self.states = StateCache(capacity)
        self.position = UNPLACED
        """Up to where the log is folded. Whoever recovers the manager says where it begins."""
        self._count = count
        self._offset = offset
        self._snapshot_every = snapshot_every
        self._dirty: dict[str, None] = {}
        self._planned: dict[str, State] = {}
        self.broken: dict[str, Exception] = {}
        """Agents whose events could not be folded, or whose next step not decided, and why; for the shell to take
        away."""
        self._marks: dict[str, int] = {}

    def concerning(self, envelopes: Iterable[Envelope]) -> list[Envelope]:
        """Those that have to be folded: not its own events of agents whose states it does not hold (any more)."""
        others = set()
        found = []
        for envelope in envelopes:
            if envelope.kind in FOREIGN:
                others.add(envelope.stream)
            if envelope.stream in others or self.states.get(envelope.stream):
                found.append(envelope)
        return found

    def missing(self, envelopes: Iterable[Envelope]) -> dict[str, int]:
        return self.states.missing(envelopes)

    def owe(self, state: State) -> None:
        """Take up an agent that has an open input (after a start)."""
        self.states.put(state)
        self._dirty[state.agent] = None

    def take(self, envelopes: Iterable[Envelope], position: Position) -> list[Due]:
        """Fold what the log brought, up to `position`; the snapshots that are due."""
        due = []
        for envelope in envelopes:
            if envelope.stream in self.broken:
                continue
            try:
                taken = self.states.take(envelope)
            except PalimpsestError as error:
                self._break(envelope.stream, error)
                continue
            if taken is None:
                continue
            self._dirty[envelope.stream] = None
            if self._snapshot_is_due(envelope):
                due.append(Due(taken[0], envelope.hash))
        self.position = max(self.position, position)
        return due

    def _snapshot_is_due(self, envelope: Envelope) -> bool:
        """Whether this event is the first folded here past a multiple of `snapshot_every`."""
        if len(self._marks) > 2 * self.states.capacity:
            self._marks.clear()
        following = (envelope.seq // self._snapshot_every + 1) * self._snapshot_every
        mark = self._marks.setdefault(envelope.stream, following)
        self._marks[envelope.stream] = following
        return envelope.seq >= mark

    def _break(self, agent: str, error: Exception) -> None:
        self.broken[agent] = error
        self.states.drop(agent)

    def plan(self, now_ms: int, limit: int = 512) -> Plan | None:
        """Decide for the agents that changed, at most `limit` of them at once; None if nothing is to be appended."""
        drafts: list[Draft] = []
        expected: dict[str, int] = {}
        self._planned = {}
        while self._dirty and len(expected) < limit:
            agent = next(iter(self._dirty))
            del self._dirty[agent]
            state = self.states.get(agent)
            if state is None:
                continue
            try:
                after, made = advance(state, self._count, now_ms, self._offset)
            except Exception as error:  # noqa: BLE001 - one agent that cannot be decided must not hold up the others
                self._break(agent, error)
                continue
            if made:
                drafts += made
                expected[agent] = state.seq
                self._planned[agent] = after
        if not drafts:
            self.states.trim()
            return None
        return Plan(tuple(drafts), expected, self.position)

    @property
    def has_more(self) -> bool:
        """Whether there are agents to decide for that the last plan left out."""
        return bool(self._dirty)

    def settle(self, outcomes: Sequence[tuple[str, DraftOutcome]]) -> list[str]:
        """Learn what became of the plan: (agent, outcome) for each draft.

        A stream whose drafts were all appended is where the plan left it. Any other has moved on, by another's event
        or by a predecessor's append under the same keys (which need not be the plan that was made here): those agents
        are returned, to be loaded as they are now and owed again.
        """
        refused = {agent for agent, outcome in outcomes if outcome != "appended"}
        for agent, state in self._planned.items():
            if agent not in refused:
                self.states.put(state)
        self._planned = {}
        if not self._dirty:
            self.states.trim()
        return sorted(refused)
