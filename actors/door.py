"""A partition's door: how much may be owed at once, and which inputs are refused when it is more.

Rules. (1) Only inputs are refused, before anything is acknowledged; what answers a request makes less owed, and passes.
(2) An input counts from the moment that it is let in: a burst cannot slip through while a commit is under way. What the
log then does not take counts no more. (3) An input that the log has already is let in: it gets its old answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from events.envelope import Draft, Topic
from store.log import Append, Appended

LATER_MS = 1000
LATER_AN_AGENT_MS = 5000
ENDS = frozenset({"TurnEnded", "InputSkipped"})


class Door:
    """Counts what is owed a turn, in all and by agent, and what waits for a commit (`waiting`)."""

    def __init__(
        self,
        is_known: Callable[[str, str], bool],
        *,
        max_open: int = 20_000,
        max_open_an_agent: int = 100,
        max_waiting: int = 50_000,
    ) -> None:
        self.max_open = max_open
        self.max_open_an_agent = max_open_an_agent
        self.max_waiting = max_waiting
        self.waiting = 0
        self._is_known = is_known
        self._open: Counter[str] = Counter()
        self._total = 0

    def admit(self, append: Append) -> tuple[Append, dict[str, int]]:
        """The append without the streams whose inputs are refused, and these with their waits in milliseconds."""
        refused: dict[str, int] = {}
        for draft in append.drafts:
            if draft.opens == Topic.TURN and not draft.closes:
                wait_ms = self._wait_ms(draft.agent)
                if wait_ms and not self._is_known(draft.agent, draft.key):
                    refused[draft.agent] = wait_ms
        if refused:
            kept = tuple(draft for draft in append.drafts if draft.agent not in refused)
            append = Append(kept, append.expected, append.cursor, append.snapshots)
        for draft in append.drafts:
            if draft.opens == Topic.TURN:
                self.opened(draft.agent)
        return append, refused

    def _wait_ms(self, agent: str) -> int:
        """0: come in."""
        if self.waiting >= self.max_waiting or self._total >= self.max_open:
            return LATER_MS
        return LATER_AN_AGENT_MS if self._open[agent] >= self.max_open_an_agent else 0

    def opened(self, agent: str) -> None:
        self._open[agent] += 1
        self._total += 1

    def _closed(self, agent: str) -> None:
        self._total -= 1
        self._open[agent] -= 1
        if not self._open[agent]:
            del self._open[agent]

    def note(self, drafts: Sequence[Draft], answers: Sequence[Appended]) -> None:
        """Learn from a commit which inputs were not taken after all, and which were answered."""
        for draft, answer in zip(drafts, answers, strict=True):
            taken = answer.outcome == "appended"
            if draft.opens == Topic.TURN and not taken:
                self._closed(draft.agent)
            if draft.kind in ENDS and taken:
                self._closed(draft.agent)

    def failed(self, drafts: Sequence[Draft]) -> None:
        """A commit failed: nothing of it was taken."""
        for draft in drafts:
            if draft.opens == Topic.TURN:
                self._closed(draft.agent)
