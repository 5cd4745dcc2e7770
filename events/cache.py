"""The states that a consumer of the log holds: those recently used; the rest are a snapshot and some events away."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from palimpsest.events.codec import decode
from palimpsest.events.envelope import Envelope
from palimpsest.events.evolve import evolve
from palimpsest.events.kinds import kind_of
from palimpsest.events.state import State
from palimpsest.events.types import AgentForked, Event

_FORKED: Final = kind_of(AgentForked)


class StateCache:
    """States by agent, at most `capacity` of them, the least recently used dropped first.

    `take` folds envelopes that come in the partition's order. A gap between the held state and the next event (or no
    state at all) is for the caller to fill by `put`, with the state before that event. A fork's first event is passed
    over: before it stands its parent's state, and it is loaded with what comes next.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._states: OrderedDict[str, State] = OrderedDict()

    def __len__(self) -> int:
        return len(self._states)

    def get(self, agent: str) -> State | None:
        return self._states.get(agent)

    def put(self, state: State) -> None:
        self._states[state.agent] = state
        self._states.move_to_end(state.agent)

    def drop(self, agent: str) -> None:
        self._states.pop(agent, None)

    def missing(self, envelopes: Iterable[Envelope]) -> dict[str, int]:
        """The agents whose state must be loaded before these envelopes are taken, each with the seq to load to.

        Where an agent has several gaps it is the last one: what stands before that is then folded already.
        """
        wanted: dict[str, int] = {}
        following: dict[str, int] = {}
        for envelope in envelopes:
            agent = envelope.stream
            if envelope.kind == _FORKED:
                continue
            if agent not in following:
                held = self._states.get(agent)
                following[agent] = held.seq + 1 if held else 1
            if envelope.seq > following[agent]:
                wanted[agent] = envelope.seq - 1
            following[agent] = max(following[agent], envelope.seq + 1)
        return wanted

    def take(self, envelope: Envelope) -> tuple[State, Event] | None:
        """The state after this event, and the event; None if it was folded before."""
        held = self._states.get(envelope.stream)
        if envelope.kind == _FORKED or (held is not None and envelope.seq <= held.seq):
            return None
        event = decode(envelope)
        state = evolve(held, envelope, event)
        self.put(state)
        return state, event

    def trim(self) -> None:
        """Drop the least recently used beyond the capacity. Called between batches, never within one."""
        while len(self._states) > self.capacity:
            self._states.popitem(last=False)
