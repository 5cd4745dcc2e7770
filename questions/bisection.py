"""`bisect`: the event after which a check on an agent's context or state turns bad."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from palimpsest.events.evolve import fold
from palimpsest.events.state import State
from palimpsest.questions.streams import stretches
from palimpsest.store.logs.contract import LogReader
from palimpsest.store.logs.states import load

SOON: Final = 8
"""So many events after a text came up it stands in the window, or not at all."""


class States:
    """An agent's states at some events, each folded on from the nearest one that is held or saved."""

    def __init__(self, log: LogReader, agent: str) -> None:
        self._log = log
        self._agent = agent
        self._held: dict[int, State] = {}

    def at(self, seq: int) -> State:
        """The state after an event, which is there."""
        before = max((held for held in self._held if held <= seq), default=0)
        saved = self._log.snapshots(self._agent, seq, limit=1)
        if saved and saved[0].seq > before:
            state = load(self._log, self._agent, seq)
        else:
            state = fold(self._log.read(self._agent, before, seq), self._held.get(before))
        assert state is not None, "a stream with a head has events"
        self._held[seq] = state
        return state


def _hint(log: LogReader, agent: str, text: str, bad: int, is_good: Callable[[int], bool]) -> str:
    """Where a good end may be, for a text that was not there from the beginning on."""
    wanted, said = text.encode("utf-8", "surrogateescape"), 0
    for each in stretches(log, agent, 1, bad - 1):
        if wanted in each.body:
            said = each.seq
    near = next((seq for seq in range(said, min(said + SOON, bad)) if said and is_good(seq)), 0)
    return f" After event {near} it is good: --good {near}." if near else ""
