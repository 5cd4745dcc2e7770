"""The event after which a check on an agent's context or state turns bad.

Rule: both ends are checked first, then it is halved; each state is folded on from the nearest that is held or saved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from palimpsest.events.debug.bisect import Boundary, bisect
from palimpsest.events.errors import EndsSwapped, NoBoundary
from palimpsest.events.evolve import fold
from palimpsest.events.state import State
from palimpsest.questions.streams import agent_head, check_event, stretches
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


def first_bad(
    log: LogReader, agent: str, is_good: Callable[[State], bool], *, good: int | None = None, bad: int | None = None,
    text: str = "",
) -> Boundary:  # fmt: skip
    """The event after which an agent's state turns bad, between an event where it is good (None: the first) and one
    where it is bad (None: the last). `text`: what makes it good, for a hint where it stands not there from the first
    event on. Raises UnknownAgent, NoSuchEvent, EndsSwapped, NoBoundary."""
    head = agent_head(log, agent)
    first, last = 1 if good is None else good, head.seq if bad is None else bad
    check_event(head, first, "good")
    check_event(head, last, "bad")
    if first >= last:
        raise EndsSwapped(first, last)
    states = States(log, agent)

    def good_at(seq: int) -> bool:
        return is_good(states.at(seq))

    try:
        return bisect(first, last, good_at)
    except NoBoundary as error:
        near = _near(log, agent, text, last, good_at) if text and good is None and not error.good else 0
        raise NoBoundary(error.seq, good=error.good, near=near) from None


def _near(log: LogReader, agent: str, text: str, bad: int, good_at: Callable[[int], bool]) -> int:
    """Where a good end may be, for a text that was not there from the beginning on (0: nowhere)."""
    wanted, said = text.encode("utf-8", "surrogateescape"), 0
    for each in stretches(log, agent, 1, bad - 1):
        if wanted in each.body:
            said = each.seq
    return next((seq for seq in range(said, min(said + SOON, bad)) if said and good_at(seq)), 0)
