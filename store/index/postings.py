"""In which points a word stands: postings, in sorted runs: many are taken in as fast as numbers are sorted.

Rules. (1) What is new waits unsorted, and is looked through; `settle` sorts a part of it, so that no search waits for
all. (2) Small runs become one, so that there are few. (3) Points are numbered in the order in which they come.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

WAITING: Final = 32_768
"""So many may wait: they are looked through in some 10 us."""
AT_ONCE: Final = 1_000_000
"""So many are sorted at once, in some 60 ms."""

Numbers = NDArray[np.uint32]
_NONE: Final = np.zeros(0, np.uint32)


class Run:
    """Postings sorted by term, then by point."""

    def __init__(self, pairs: NDArray[np.uint64]) -> None:
        """`pairs` are terms times 2^32 plus points, in order."""
        self._points = pairs.astype(np.uint32)
        terms = (pairs >> np.uint64(32)).astype(np.uint32)
        begins = np.ones(len(terms), np.bool_)
        np.not_equal(terms[1:], terms[:-1], out=begins[1:])
        starts = np.flatnonzero(begins)
        self._terms = terms[starts]
        self._bounds = np.append(starts, len(terms))

    def __len__(self) -> int:
        return len(self._points)

    def where(self, term: int) -> Numbers:
        at = int(np.searchsorted(self._terms, np.uint32(term)))
        if at == len(self._terms) or self._terms[at] != term:
            return _NONE
        return self._points[self._bounds[at] : self._bounds[at + 1]]

    def pairs(self) -> NDArray[np.uint64]:
        return _pairs(np.repeat(self._terms, np.diff(self._bounds)), self._points)


class Postings:
    """Of the points of a shelf, by number."""

    def __init__(self) -> None:
        self._runs: list[Run] = []
        self._count = 0
        self._new: list[tuple[int, Sequence[int], bytes]] = []
        self._terms, self._points = _NONE, _NONE
        """What waits, but for what is new."""

    def add(self, sizes: Sequence[int], terms: bytes) -> None:
        """The next points, with so many terms each."""
        self._new.append((self._count, sizes, terms))
        self._count += len(sizes)

    def where(self, term: int) -> Numbers:
        """The points that have a term, in order."""
        found = [run.where(term) for run in self._runs]
        if self._new:
            self._take_in()
        if len(self._terms):
            found.append(self._points[self._terms == term])
        return found[0] if len(found) == 1 else np.concatenate([_NONE, *found])

    def settle(self) -> None:
        """Sort some of what waits, if it is much."""
        self._take_in()
        if len(self._terms) <= WAITING:
            return
        pairs = _pairs(self._terms[:AT_ONCE], self._points[:AT_ONCE])
        pairs.sort()
        self._terms, self._points = self._terms[AT_ONCE:], self._points[AT_ONCE:]
        self._runs.append(Run(pairs))
        while len(self._runs) > 1 and len(self._runs[-2]) < min(2 * len(self._runs[-1]), AT_ONCE):
            both = [run.pairs() for run in self._runs[-2:]]
            self._runs[-2:] = [Run(np.sort(np.concatenate(both), kind="stable"))]  # two in order are merged

    def _take_in(self) -> None:
        if not self._new:
            return
        first = self._new[0][0]
        sizes = np.concatenate([np.asarray(sizes, np.int64) for _, sizes, _ in self._new])
        points = np.repeat(np.arange(first, first + len(sizes), dtype=np.uint32), sizes)
        terms = np.frombuffer(b"".join(terms for _, _, terms in self._new), np.uint32)
        self._terms = np.concatenate([self._terms, terms])
        self._points = np.concatenate([self._points, points])
        self._new.clear()


def _pairs(terms: Numbers, points: Numbers) -> NDArray[np.uint64]:
    return terms.astype(np.uint64) << np.uint64(32) | points
