"""What becomes of each draft of an append: the one truth that every backend shares.

An `Admission` decides over what a backend can look up (`Facts`, as they stood before the transaction) and over what it
has itself admitted so far; it touches nothing. The backend then writes `envelopes`, `opened`, `closed`, `cursors` and
`snapshots` in one transaction.

The rules, for the drafts of one stream in one append:
(1) A draft whose key the stream has is a duplicate, and is answered before anything else is looked at. Are all of them
    duplicates, then the append is a retry that was already taken, and no expectation is checked.
(2) The rest is taken all or none. The expected seq is compared with the seq that the stream has now, duplicates or not:
    a caller that expects seq n decided upon the events up to n. If some of its drafts are there and the stream still is
    at n, it knew of them, and the rest follows; if the stream has gone on, it decided upon a past, and must read again.
(3) Then every request that a draft closes must be open: opened in the log or by an earlier draft, and closed by none.
    An append `at_rest` is not asked: it tells what was open elsewhere. What it opens rests: no part owes an answer, but
    whoever has one may give it (a turn that rests can be stopped, a timer called off). A retirement is owed by no part,
    and holds wherever it came from.
(4) A stream that is to be begun as a fork must not be there, and its parent must have the seq that it goes on from. Who
    forks where the parent is a fork itself, and has inherited that event, forks the stream that really has it.
(5) Of an append that is to be taken together nothing is taken where one of its streams is refused.
A key that comes twice in one append is looked at once: the second has the fate of the first, as its duplicate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

import msgspec

from palimpsest.events.envelope import GENESIS, Draft, Envelope, place
from palimpsest.events.position import Position
from palimpsest.events.types import Parent
from palimpsest.store.bundles.manifest import Redacted
from palimpsest.store.logs.contract import MUST_EXIST, Append, Appended, Snapshot, resting


class OpenRequest(msgspec.Struct, frozen=True, array_like=True):
    """An open request: the event that opened it, and the part that owes the answer."""

    stream: str
    key: str
    topic: str
    position: Position


class Facts(Protocol):
    """What a backend looks up, as it stood before the batch."""

    def end(self, agent: str) -> tuple[int, bytes]:
        """The stream's seq and hash; (0, GENESIS) where there is none."""
        ...

    def root(self, parent: Parent) -> tuple[Parent, bytes] | None:
        """The stream that itself has the event of this seq, and its hash there; None if there is no such event."""
        ...

    def placed(self, agent: str, key: str) -> tuple[int, Position] | None:
        """The seq and position of the stream's event with this key."""
        ...

    def request(self, agent: str, key: str) -> OpenRequest | None:
        """The stream's open request with this key."""
        ...


class Admission:
    """The appends of one transaction, admitted one after another: each sees what the ones before it did. They are
    placed in one partition, after `position`."""

    def __init__(self, facts: Facts, position: Position) -> None:
        self.envelopes: Final[list[Envelope]] = []
        self.opened: Final[dict[tuple[str, str], OpenRequest]] = {}
        self.closed: Final[list[OpenRequest]] = []
        self.cursors: Final[dict[str, int]] = {}
        """Each consumer's number in the partition."""
        self.snapshots: Final[list[Snapshot]] = []
        self.forks: Final[dict[str, Parent]] = {}
        self.redactions: Final[list[Redacted]] = []
        self.position = position
        self._facts = facts
        self._ends: dict[str, tuple[int, bytes]] = {}
        self._places: dict[tuple[str, str], tuple[int, Position] | None] = {}
        self._requests: dict[tuple[str, str], OpenRequest | None] = {}

    def admit(self, append: Append) -> list[Appended]:
        """Decide upon one append; the answers stand in the order of its drafts."""
        fresh = self._fresh(append.drafts)
        refused = self._refused(fresh, append)
        answers = [self._answer(draft, refused, append.at_rest) for draft in append.drafts]
        if append.cursor is not None:
            consumer, position = append.cursor
            self.cursors[consumer] = position.number_in(self.position.partition)
        taken = fresh.keys() - refused.keys()
        self.snapshots.extend(snapshot for snapshot in append.snapshots if snapshot.stream in taken)
        self.redactions.extend(each for each in append.redactions if each.stream in taken)
        return answers

    def _fresh(self, drafts: Iterable[Draft]) -> dict[str, dict[str, Draft]]:
        """By stream and key, the drafts whose key is new; of a key that comes twice, the first."""
        fresh: dict[str, dict[str, Draft]] = {}
        for draft in drafts:
            if self._placed(draft) is None:
                fresh.setdefault(draft.stream, {}).setdefault(draft.key, draft)
        return fresh

    def _refused(self, fresh: Mapping[str, Mapping[str, Draft]], append: Append) -> dict[str, Appended]:
        """The answer to all the fresh drafts of a stream, for each stream that cannot take them."""
        refused = {}
        begun: list[str] = []
        for agent, drafts in fresh.items():
            seq, parent = self._end(agent)[0], append.forks.get(agent)
            if not _as_expected(seq, append.expected.get(agent)) or (parent is not None and seq):
                refused[agent] = Appended("conflict", seq)
            elif not append.at_rest and not self._all_open(drafts.values()):
                refused[agent] = Appended("closed", seq)
            elif parent is not None:
                if self._begin(agent, parent):
                    begun.append(agent)
                else:
                    refused[agent] = Appended("no parent", 0)
        return self._withheld(fresh, refused, begun) if append.together and refused else refused

    def _withheld(
        self, agents: Iterable[str], refused: Mapping[str, Appended], begun: Iterable[str]
    ) -> dict[str, Appended]:
        """The answers where a part of what is to be taken together was refused; the forks that were begun are not."""
        for agent in begun:
            del self.forks[agent]
            self._ends[agent] = 0, GENESIS
        return {agent: refused.get(agent) or Appended("withheld", self._end(agent)[0]) for agent in agents}

    def _begin(self, agent: str, parent: Parent) -> bool:
        """Let a stream go on from another; False if that has no such event."""
        found = self._root(parent)
        if found is None:
            return False
        self.forks[agent] = found[0]
        self._ends[agent] = found[0].seq, found[1]
        return True

    def _root(self, parent: Parent) -> tuple[Parent, bytes] | None:
        """As the backend's, with what this batch has admitted."""
        while (above := self.forks.get(parent.agent)) and parent.seq <= above.seq:
            parent = Parent(agent=above.agent, seq=parent.seq)
        found = self._facts.root(parent)
        if found is None:
            here = (e for e in self.envelopes if (e.stream, e.seq) == (parent.agent, parent.seq))
            found = next(((parent, envelope.hash) for envelope in here), None)
        return found

    def _all_open(self, drafts: Iterable[Draft]) -> bool:
        """Whether each request that these drafts of one stream close is open when its turn comes."""
        opened: set[str] = set()
        closed: set[str] = set()
        for draft in drafts:
            key = draft.closes
            if key:
                if key in closed or not (key in opened or self._request(draft.stream, key)):
                    return False
                closed.add(key)
            if draft.opens:
                opened.add(draft.key)
        return True

    def _answer(self, draft: Draft, refused: Mapping[str, Appended], at_rest: bool) -> Appended:
        place = self._placed(draft)
        if place is not None:
            return Appended("duplicate", *place)
        return refused.get(draft.stream) or self._take(draft, at_rest)

    def _take(self, draft: Draft, at_rest: bool) -> Appended:
        seq, previous = self._end(draft.stream)
        seq += 1
        self.position = position = self.position.moved(1)
        envelope = place(draft, seq, position, previous)
        self.envelopes.append(envelope)
        self._ends[draft.stream] = seq, envelope.hash
        self._places[draft.stream, draft.key] = seq, position
        if draft.closes and (not at_rest or self._request(draft.stream, draft.closes)):
            self._close(draft.stream, draft.closes)
        if draft.opens:
            topic = resting(draft.opens) if at_rest and draft.opens != "retirement" else draft.opens
            self._open(OpenRequest(draft.stream, draft.key, topic, position))
        return Appended("appended", seq, position)

    def _open(self, request: OpenRequest) -> None:
        name = request.stream, request.key
        self.opened[name] = self._requests[name] = request

    def _close(self, agent: str, key: str) -> None:
        request = self._request(agent, key)
        assert request is not None, "a closing draft was taken whose request is not open"
        self._requests[agent, key] = None
        if self.opened.pop((agent, key), None) is None:
            self.closed.append(request)

    def _end(self, agent: str) -> tuple[int, bytes]:
        end = self._ends.get(agent)
        if end is None:
            end = self._ends[agent] = self._facts.end(agent)
        return end

    def _placed(self, draft: Draft) -> tuple[int, Position] | None:
        name = draft.stream, draft.key
        if name not in self._places:
            self._places[name] = self._facts.placed(draft.stream, draft.key)
        return self._places[name]

    def _request(self, agent: str, key: str) -> OpenRequest | None:
        name = agent, key
        if name not in self._requests:
            self._requests[name] = self._facts.request(agent, key)
        return self._requests[name]


def _as_expected(seq: int, expected: int | None) -> bool:
    if expected is None:
        return True
    return seq >= 1 if expected == MUST_EXIST else seq == expected
