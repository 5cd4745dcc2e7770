"""The contract written down a second time, as naively as can be: one list of events, searched from the start each time.

It shares nothing with the backends (they share `store.logs.admission`), so that a mistake in the rules is seen.
"""

from __future__ import annotations

from collections.abc import Sequence

from palimpsest.events.envelope import Draft
from palimpsest.events.types import Parent
from palimpsest.events.vocabulary import DraftOutcome
from palimpsest.store.logs.contract import Append, Appended, Snapshot
from tests.contract.words import nth


class Oracle:
    def __init__(self) -> None:
        self.events: list[Draft] = []
        self.forks: dict[str, Parent] = {}
        self.cursors: dict[str, int] = {}
        self.snapshots: dict[tuple[str, int], Snapshot] = {}

    def whole(self, agent: str) -> list[Draft]:
        """A stream, with what it goes on from."""
        parent = self.forks.get(agent)
        inherited = self.whole(parent.agent)[: parent.seq] if parent else []
        return inherited + [e for e in self.events if e.stream == agent]

    def seq(self, agent: str) -> int:
        return len(self.whole(agent))

    def place(self, agent: str, key: str) -> tuple[int, int] | None:
        seq = self.forks[agent].seq if agent in self.forks else 0
        for position, e in enumerate(self.events, 1):
            seq += e.stream == agent
            if (e.stream, e.key) == (agent, key):
                return seq, position
        return None

    def open_requests(self, agent: str) -> list[str]:
        """The keys of what an agent has open, in order."""
        closed = {e.closes for e in self.events if e.stream == agent}
        return [e.key for e in self.events if e.stream == agent and e.opens and e.key not in closed]

    def append(self, append: Append) -> list[Appended]:
        """One stream at a time on a copy of the events, then once more in the drafts' own order."""
        verdicts = {agent: self._verdict(agent, append) for agent in {d.stream for d in append.drafts}}
        if append.together and not set(verdicts.values()) <= {"appended", "duplicate"}:
            verdicts = {agent: "withheld" if each == "appended" else each for agent, each in verdicts.items()}
        answers = []
        for draft in append.drafts:
            place, verdict = self.place(draft.stream, draft.key), verdicts[draft.stream]
            if place:
                answers.append(Appended("duplicate", place[0], nth(place[1])))
            elif verdict == "appended":
                if draft.stream in append.forks:
                    self.forks.setdefault(draft.stream, append.forks[draft.stream])
                self.events.append(draft)
                answers.append(Appended(verdict, self.seq(draft.stream), nth(len(self.events))))
            else:
                answers.append(Appended(verdict, self.seq(draft.stream)))
        if append.cursor:
            self.cursors[append.cursor[0]] = append.cursor[1].number
        for snapshot in append.snapshots:
            if verdicts.get(snapshot.stream) == "appended":
                self.snapshots[snapshot.stream, snapshot.seq] = snapshot
        return answers

    def _verdict(self, agent: str, append: Append) -> DraftOutcome:
        new: list[Draft] = []
        for draft in append.drafts:
            known = self.place(agent, draft.key) or any(d.key == draft.key for d in new)
            if draft.stream == agent and not known:
                new.append(draft)
        if not new:
            return "duplicate"
        expected, seq = append.expected.get(agent), self.seq(agent)
        if (expected == -1 and seq == 0) or (expected not in (None, -1) and expected != seq):
            return "conflict"
        parent = append.forks.get(agent)
        if parent and seq:
            return "conflict"
        if not self._closable(agent, new):
            return "closed"
        return "no parent" if parent and not 1 <= parent.seq <= self.seq(parent.agent) else "appended"

    def _closable(self, agent: str, new: Sequence[Draft]) -> bool:
        trial = Oracle()
        trial.events = list(self.events)
        for draft in new:
            if draft.closes and draft.closes not in trial.open_requests(agent):
                return False
            trial.events.append(draft)
        return True
