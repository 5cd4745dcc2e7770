"""In which points a word stands: postings, in sorted runs: many are taken in as fast as numbers are sorted.

Rule: what is new waits unsorted until it is much; runs of like size become one, so that there are few.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

WAITING: Final = 32_768
"""So many may wait unsorted: they are looked through in some 10 us."""

Numbers = NDArray[np.uint32]


class Run:
    """Postings sorted by term, then by point."""

    def __init__(self, pairs: NDArray[np.uint64]) -> None:
        """`pairs` are terms times 2^32 plus points; sorted here, in place."""
        pairs.sort()
        self._points = pairs.astype(np.uint32)
        terms = (pairs >> np.uint64(32)).astype(np.uint32)
        begins = np.ones(len(terms), np.bool_)
        np.not_equal(terms[1:], terms[:-1], out=begins[1:])
        starts = np.flatnonzero(begins)
        self._terms = terms[starts]
        self._bounds = np.append(starts, len(terms)).astype(np.uint32)

    def __len__(self) -> int:
        return len(self._points)

    def where(self, term: int) -> Numbers:
        at = int(np.searchsorted(self._terms, np.uint32(term)))
        if at == len(self._terms) or self._terms[at] != term:
            return self._points[:0]
        return self._points[self._bounds[at] : self._bounds[at + 1]]

    def pairs(self) -> NDArray[np.uint64]:
        return _pairs(np.repeat(self._terms, np.diff(self._bounds)), self._points)


class Postings:
    """Of the points of a shelf, by number."""

    def __init__(self) -> None:
        self._runs: list[Run] = []
        self._terms, self._points = array("I"), array("I")

    def add(self, first: int, sizes: Sequence[int], terms: bytes) -> None:
        """Points from number `first` on, with so many terms each."""
        self._terms.frombytes(terms)
        points = np.arange(first, first + len(sizes), dtype=np.uint32)
        self._points.frombytes(np.repeat(points, sizes).tobytes())

    def where(self, term: int) -> Numbers:
        """The points that have a term, in order."""
        if len(self._terms) > WAITING:
            self._sort()
        found = [run.where(term) for run in self._runs]
        if self._terms:
            waiting = np.frombuffer(self._terms, np.uint32) == term
            found.append(np.frombuffer(self._points, np.uint32)[waiting])
        return found[0] if len(found) == 1 else np.concatenate([np.zeros(0, np.uint32), *found])

    def _sort(self) -> None:
        self._runs.append(Run(_pairs(np.frombuffer(self._terms, np.uint32), np.frombuffer(self._points, np.uint32))))
        self._terms, self._points = array("I"), array("I")
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            last = self._runs.pop().pairs()
            self._runs[-1] = Run(np.concatenate([self._runs[-1].pairs(), last]))


def _pairs(terms: Numbers, points: Numbers) -> NDArray[np.uint64]:
    return terms.astype(np.uint64) << np.uint64(32) | points
