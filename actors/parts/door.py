"""A partition's door: how much may be owed at once, and which inputs are refused when it is more.

Rules. (1) Only inputs are refused, before anything is acknowledged; what answers a request makes less owed, and passes.
(2) An input counts from the moment that it is let in: a burst cannot slip through while a commit is under way. What the
log then does not take counts no more. (3) An input that the log has already is let in: it gets its old answer.
(4) Bytes are bounded like numbers; where nothing waits, one input is let in whatever its size. (5) A retired agent gets
no input and no timer, whoever sends it: the log tells who is retired, at the start and by each commit.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from palimpsest.events.envelope import Draft
from palimpsest.events.kinds import kind_of, kinds_of
from palimpsest.events.types import AgentReinstated, AgentRetired, InputAdopted, InputSkipped, TurnEnded
from palimpsest.store.logs.contract import Append, Appended

LATER_MS = 1000
LATER_AN_AGENT_MS = 5000
ENDS = kinds_of(TurnEnded, InputSkipped)
AGAIN_S = 1.0
"""So long an agent whose retirement was overtaken takes nothing: else a busy one could not be retired."""
NEVER = 0
"""The wait of what a retired agent is sent."""
RETIRED = kind_of(AgentRetired)
REINSTATED = kind_of(AgentReinstated)
OWED = kinds_of(InputAdopted)
"""A fork's input, which was let in at its parent."""


class Backlog:
    """Counts what is owed a turn, in all and by agent, and what waits for a commit (`waiting`): inputs and bytes."""

    def __init__(
        self,
        is_known: Callable[[str, str], bool],
        *,
        max_open: int = 20_000,
        max_open_an_agent: int = 100,
        max_waiting: int = 50_000,
        max_open_bytes: int = 512_000_000,
        max_open_bytes_an_agent: int = 16_000_000,
        max_waiting_bytes: int = 128_000_000,
    ) -> None:
        self.max_open = max_open
        self.max_open_an_agent = max_open_an_agent
        self.max_waiting = max_waiting
        self.max_open_bytes = max_open_bytes
        self.max_open_bytes_an_agent = max_open_bytes_an_agent
        self.max_waiting_bytes = max_waiting_bytes
        self.waiting = 0
        self.waiting_bytes = 0
        self._is_known = is_known
        self._open: Counter[str] = Counter()
        self._total = 0
        self._bytes: Counter[str] = Counter()
        self._total_bytes = 0
        self._sizes: dict[tuple[str, str], int] = {}
        """The bytes of each input that the log has, and that is owed a turn."""
        self._retired: set[str] = set()
        self._leaving: Counter[str] = Counter()
        """The agents whose retirement waits for a commit, or is in one."""
        self._tried: dict[str, float] = {}
        """Those whose retirement was overtaken by an event, and until when nothing more comes in."""

    def admit(self, append: Append) -> tuple[Append, dict[str, int]]:
        """The append without the streams whose inputs are refused, and these with their waits in milliseconds (NEVER:
        they are retired)."""
        refused: dict[str, int] = {}
        for draft in append.drafts:
            if draft.stream in self._retired:
                if self._is_barred(draft, append):
                    refused[draft.stream] = NEVER
            elif self._leaves(draft.stream) and self._is_barred(draft, append):
                refused[draft.stream] = LATER_AN_AGENT_MS
            elif draft.opens == "turn" and not draft.closes and draft.kind not in OWED:
                wait_ms = self._wait_ms(draft.stream, len(draft.body))
                if wait_ms and not self._is_known(draft.stream, draft.key):
                    refused[draft.stream] = wait_ms
        if refused:
            kept = tuple(draft for draft in append.drafts if draft.stream not in refused)
            append = replace(append, drafts=kept)
        for draft in append.drafts:
            if draft.opens == "turn":
                self._count(draft.stream, len(draft.body))
            if draft.kind == RETIRED:
                self._leaving[draft.stream] += 1
        return append, refused

    def _leaves(self, agent: str) -> bool:
        """Whether the agent is being retired: what comes now would stand behind that, and have no answer. Where it was
        not taken, the next try is soon."""
        return bool(self._leaving[agent]) or self._tried.get(agent, 0.0) > time.monotonic()

    def _has_left(self, agent: str, *, taken: bool) -> None:
        self._leaving[agent] -= 1
        if self._leaving[agent] <= 0:
            del self._leaving[agent]
        if taken:
            self._retired.add(agent)
            self._tried.pop(agent, None)
        else:
            self._tried[agent] = time.monotonic() + AGAIN_S

    def _is_barred(self, draft: Draft, append: Append) -> bool:
        """Whether this is new to a retired agent, which the append does not take back."""
        is_new = (draft.opens == "turn" and not draft.closes and draft.kind not in OWED) or (
            draft.opens == "alarm" and not draft.cause
        )
        returns = any(each.kind == REINSTATED and each.stream == draft.stream for each in append.drafts)
        return is_new and not returns and not self._is_known(draft.stream, draft.key)

    def _wait_ms(self, agent: str, size: int) -> int:
        """0: come in."""
        if self.waiting >= self.max_waiting or _is_over(self.waiting_bytes, size, self.max_waiting_bytes):
            return LATER_MS
        if self._total >= self.max_open or _is_over(self._total_bytes, size, self.max_open_bytes):
            return LATER_MS
        if self._open[agent] >= self.max_open_an_agent:
            return LATER_AN_AGENT_MS
        return LATER_AN_AGENT_MS if _is_over(self._bytes[agent], size, self.max_open_bytes_an_agent) else 0

    def opened(self, agent: str, key: str, size: int) -> None:
        """An input of the log's that is owed a turn."""
        self._count(agent, size)
        self._sizes[agent, key] = size

    def retired(self, agent: str) -> None:
        """An agent that the log has as retired."""
        self._retired.add(agent)

    def queued(self, drafts: Sequence[Draft]) -> None:
        """These wait for a commit."""
        self.waiting += len(drafts)
        self.waiting_bytes += _size(drafts)

    def begun(self, drafts: Sequence[Draft]) -> None:
        """The commit of these has begun."""
        self.waiting -= len(drafts)
        self.waiting_bytes -= _size(drafts)

    def _count(self, agent: str, size: int) -> None:
        self._open[agent] += 1
        self._total += 1
        self._bytes[agent] += size
        self._total_bytes += size

    def _closed(self, agent: str, size: int) -> None:
        self._total -= 1
        self._total_bytes -= size
        self._open[agent] -= 1
        self._bytes[agent] -= size
        if not self._open[agent]:
            del self._open[agent], self._bytes[agent]

    def note(self, drafts: Sequence[Draft], answers: Sequence[Appended]) -> None:
        """Learn from a commit which inputs were not taken after all, and which were answered."""
        for draft, answer in zip(drafts, answers, strict=True):
            taken = answer.outcome == "appended"
            if draft.opens == "turn" and taken:
                self._sizes[draft.stream, draft.key] = len(draft.body)
            elif draft.opens == "turn":
                self._closed(draft.stream, len(draft.body))
            if draft.kind == RETIRED:
                self._has_left(draft.stream, taken=taken)
            elif draft.kind == REINSTATED and taken:
                self._retired.discard(draft.stream)
            if draft.kind in ENDS and taken:
                size = self._sizes.pop((draft.stream, draft.closes), None)
                if size is not None:  # an input that rests (of an import, say) was never counted
                    self._closed(draft.stream, size)

    def failed(self, drafts: Sequence[Draft]) -> None:
        """A commit failed: nothing of it was taken."""
        for draft in drafts:
            if draft.opens == "turn":
                self._closed(draft.stream, len(draft.body))
            if draft.kind == RETIRED:
                self._has_left(draft.stream, taken=False)


def _is_over(held: int, more: int, most: int) -> bool:
    """Whether there is no room for so many bytes more; there always is, where none are held."""
    return held > 0 and held + more > most


def _size(drafts: Sequence[Draft]) -> int:
    return sum(len(draft.body) for draft in drafts)
