"""Which points a stream has, and which words stand in them: what totals and word statistics are counted from.

Rules. (1) It is a cache of what the engine holds, read from it when a stream is first searched and kept up with every
write; nothing rests here. (2) A count is exact, as of any seq: of what was born by then, had not died, and is not
hidden. (3) A few hundred bytes a point of the streams lately searched; the least lately used are dropped.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import log
from typing import Final

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from palimpsest.store.index.points import Burial, IndexEntry, Key, Listed, Scope, ScopePart, listed
from palimpsest.store.index.postings import Postings
from palimpsest.store.index.settings import PointKind

_FIRST: Final = 16
"""More points of a stream than can have others before it in their context."""

HELD_POINTS: Final = 400_000
"""Points of all streams held together, over which the least lately searched stream is dropped."""

Mask = NDArray[np.bool_]


class Shelf:
    """The points of one kind of one stream, in order of seq and chunk."""

    def __init__(self, events: Iterable[Listed]) -> None:
        self._seqs, self._chunks, self._times = array("q"), array("q"), array("q")
        self._deaths, self._reach = array("q"), array("q")
        self._documents: list[str] = []
        self._names, self._speakers = dict[str, int](), array("q")
        """Who spoke, numbered; of each point the number."""
        self._terms = Postings()
        self._reaching = False
        """Whether any has a context."""
        self.speakers: dict[str, int] = {}
        """Each with the seq at which it was first heard."""
        self.mortal = False
        """Whether anything on it has died."""
        for one in sorted(events, key=lambda one: one.key):
            self.add(one)

    def __len__(self) -> int:
        return len(self._seqs)

    @property
    def head(self) -> int:
        """The seq of the last point (0: none)."""
        return self._seqs[-1] if self._seqs else 0

    def add(self, one: Listed) -> None:
        """An event's points."""
        seq, first, points = one.key.seq, one.key.chunk, len(one.sizes)
        if self._seqs and (seq, first) <= (self._seqs[-1], self._chunks[-1]):
            return  # put again: they are here
        self._terms.add(one.sizes, one.terms)
        self._seqs.extend([seq] * points)
        self._chunks.extend(range(first, first + points))
        self._times.extend([one.time_ms] * points)
        self._deaths.extend([one.died] * points)
        self._reach.extend(one.reach)
        self._documents.extend([one.document] * points)
        self._speakers.extend([self._names.setdefault(one.speaker, len(self._names))] * points)
        self._reaching = self._reaching or any(one.reach)
        self.mortal = self.mortal or one.died > 0
        self.speakers.setdefault(one.speaker, seq)

    def bury(self, burial: Burial) -> None:
        for number, seq in enumerate(self._seqs):
            if not self._deaths[number] and seq < burial.died and burial.document in {"", self._documents[number]}:
                self._deaths[number] = burial.died
                self.mortal = True

    def seen(self, as_of: int, hidden: frozenset[int], scope: Scope) -> Mask:
        """Which points a view of it has, by their number; of whom and of which time the scope says."""
        start_ms, end_ms = scope.start_ms, scope.end_ms
        seqs = _numbers(self._seqs)
        mask = seqs <= as_of
        if self.mortal:
            deaths = _numbers(self._deaths)
            mask &= (deaths == 0) | (deaths > as_of)
        if hidden:
            mask &= ~np.isin(seqs, list(hidden))
        if start_ms is not None or end_ms is not None:
            times = _numbers(self._times)
            mask &= (times >= (start_ms or 0)) & (times <= (end_ms if end_ms is not None else 1 << 62))
        if scope.speakers is not None:
            numbers = [number for name, number in self._names.items() if name in scope.speakers]
            mask &= np.isin(_numbers(self._speakers), numbers)
        return mask

    def where(self, term: int) -> NDArray[np.uint32]:
        return self._terms.where(term)

    def settle(self) -> None:
        """Make looking for words faster, a little at a time."""
        self._terms.settle()

    def saying(self, terms: Iterable[int]) -> Mask:
        """Which points share a term themselves."""
        said = np.zeros(len(self), np.bool_)
        for term in terms:
            said[self.where(term)] = True
        return said

    def surrounded(self, said: Mask, before: Mask) -> Mask:
        """Which of the points are so, or have one in their context that is; `before`: those that stand before the
        first, in the stream that a fork goes on from."""
        if not self._reaching:
            return said
        reach = _numbers(self._reach)
        so_far = np.concatenate(([0], np.cumsum(np.concatenate((before, said)))))
        here = np.arange(len(self)) + len(before)
        near: Mask = so_far[here] - so_far[np.maximum(here - reach, 0)] > 0
        return said | near

    def results(self, mask: Mask, *, whole: bool) -> int:
        """How many points of a mask; `whole`: how many events have one."""
        if not whole:
            return int(np.count_nonzero(mask))
        seqs = _numbers(self._seqs)[mask]
        return int(np.count_nonzero(np.diff(seqs))) + bool(len(seqs))

    def born(self, as_of: int) -> int:
        """How many of its points there were at a seq."""
        return int(np.searchsorted(_numbers(self._seqs), as_of, side="right"))

    @property
    def reach_before(self) -> int:
        """How many points before its first are in its points' context: in the stream that a fork goes on from."""
        return max((reach - number for number, reach in enumerate(self._reach[:_FIRST])), default=0)

    def number(self, key: Key) -> int:
        """A point's number, which is on the shelf."""
        low = int(np.searchsorted(_numbers(self._seqs), key.seq))
        return low + key.chunk - self._chunks[low]


class Count:
    """What a scope holds: how many points, how often each term, who speaks."""

    def __init__(self, shelves: Sequence[Shelf], seen: Sequence[Mask], scope: Scope) -> None:
        views = scope.views
        self._shelves = shelves
        self._seen = seen
        self._lineage = views[: scope.own]
        self._whole = scope.whole
        self._streams = {view.stream: number for number, view in enumerate(views)}
        self.speakers = frozenset(
            name
            for shelf, view in zip(shelves, views, strict=True)
            for name, seq in shelf.speakers.items()
            if seq <= view.as_of
        )
        self.points = sum(int(np.count_nonzero(mask)) for mask in seen)

    def idf(self, terms: Iterable[int]) -> dict[int, float]:
        """Of the terms that stand anywhere in the scope."""
        found: dict[int, float] = {}
        for term in terms:
            pairs = zip(self._shelves, self._seen, strict=True)
            n = sum(int(np.count_nonzero(mask[shelf.where(term)])) for shelf, mask in pairs)
            if n:
                found[term] = log((self.points - n + 0.5) / (n + 0.5) + 1)
        return found

    def match(self, terms: Sequence[int]) -> Matched:
        saying = [shelf.saying(terms) for shelf in self._shelves]
        masks = [
            shelf.surrounded(said, self._before(number, saying)) & seen
            for number, (shelf, said, seen) in enumerate(zip(self._shelves, saying, self._seen, strict=True))
        ]
        return Matched(self._shelves, self._streams, masks, whole=self._whole)

    def _before(self, number: int, saying: Sequence[Mask]) -> Mask:
        """Of what a fork's first points have in their context: which points say it."""
        found = np.zeros(0, np.bool_)
        wanted = self._shelves[number].reach_before
        for at in range(number + 1, len(self._lineage)):
            if len(found) >= wanted:
                break
            born = self._shelves[at].born(self._lineage[at].as_of)
            found = np.concatenate((saying[at][max(0, born - wanted + len(found)) : born], found))
        return found


class Matched:
    """Which points of a scope match some terms. `whole`: all points of an event are one result."""

    def __init__(
        self, shelves: Sequence[Shelf], streams: Mapping[str, int], masks: Sequence[Mask], *, whole: bool
    ) -> None:
        self._shelves, self._streams, self._masks, self._whole = shelves, streams, masks, whole
        self.points = sum(int(np.count_nonzero(mask)) for mask in masks)

    def total_with(self, near: Iterable[Key]) -> int:
        """How many results there are, with those that were found otherwise."""
        masks = self._masks
        if near := list(near):
            masks = [mask.copy() for mask in masks]
            for key in near:
                at = self._streams[key.stream]
                masks[at][self._shelves[at].number(key)] = True
        return sum(shelf.results(mask, whole=self._whole) for shelf, mask in zip(self._shelves, masks, strict=True))


class Census:
    """The shelves of the streams lately searched. `listing` reads one from the engine."""

    def __init__(self, listing: Callable[[str, PointKind], Iterable[Listed]]) -> None:
        self._listing = listing
        self._shelves: OrderedDict[tuple[str, str], Shelf] = OrderedDict()

    def count(self, scope: Scope) -> Count:
        shelves = [self._shelf(view.stream, scope.kind) for view in scope.views]
        seen = [
            shelf.seen(view.as_of, scope.hidden if number < scope.own else frozenset(), scope)
            for number, (shelf, view) in enumerate(zip(shelves, scope.views, strict=True))
        ]
        for shelf in shelves:
            shelf.settle()
        return Count(shelves, seen, scope)

    def parts(self, scope: Scope) -> tuple[ScopePart, ...]:
        """What an engine has to look for: without conditions that all points of a shelf meet, which cost time."""
        found = []
        for number, view in enumerate(scope.views):
            shelf = self._shelf(view.stream, scope.kind)
            if len(shelf):
                as_of = view.as_of if view.as_of < shelf.head or shelf.mortal else None
                hidden = tuple(sorted(scope.hidden)) if number < scope.own else ()
                speakers = None if scope.speakers is None else tuple(sorted(scope.speakers))
                one = ScopePart(view.stream, scope.kind, as_of, shelf.mortal, hidden, speakers)
                found.append(replace(one, start_ms=scope.start_ms, end_ms=scope.end_ms))
        return tuple(found)

    def put(self, entries: Sequence[IndexEntry], burials: Sequence[Burial]) -> None:
        """Keep up with a write: of what is held alone."""
        for burial in burials:
            for (stream, _), shelf in self._shelves.items():
                if stream == burial.stream:
                    shelf.bury(burial)
        if not self._shelves:
            return
        for first, one in listed(entries, burials):
            held = self._shelves.get((one.key.stream, entries[first].kind))
            if held is not None:
                held.add(one)

    def _shelf(self, stream: str, kind: PointKind) -> Shelf:
        name = (stream, kind)
        shelf = self._shelves.pop(name, None)
        if shelf is None:
            shelf = Shelf(self._listing(stream, kind))
        self._shelves[name] = shelf
        while len(self._shelves) > 8 and sum(map(len, self._shelves.values())) > HELD_POINTS:
            self._shelves.popitem(last=False)
        return shelf


def _numbers(values: array[int]) -> NDArray[np.int64]:
    return np.frombuffer(values, np.int64) if values else np.zeros(0, np.int64)
