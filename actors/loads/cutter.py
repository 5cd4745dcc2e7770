"""A document's passages in stretches, each an event: new ones, and those that the log has already, passed over.

Rule: what goes on where an earlier load stopped must cut as that one did. Each stretch that the log has is held against
the same stretch cut now, so that passages of another version of the reader, or of other sizes, are never mixed in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

import msgspec

from palimpsest.events.documents import Passage, digest_of, pack_passages, unpacked
from palimpsest.events.envelope import Envelope
from palimpsest.events.sources import Document
from palimpsest.events.types import PassagesLoaded

BATCH_PASSAGES: Final = 200
BATCH_BYTES: Final = 96_000
"""Of text: packed it is a third of that, so that a call stays below what goes through Ray's object store."""


class CutDiffers(Exception):
    """An earlier load has cut this document in another way."""


class LoggedStretch(msgspec.Struct, frozen=True):
    """A stretch that the log has: how many passages, and what tells them from others."""

    count: int
    digest: bytes


def stretch_of(at: Envelope, event: PassagesLoaded) -> LoggedStretch:
    return LoggedStretch(event.count, digest_of(unpacked(at, event)))


class Cutter:
    """Cuts a document's passages into stretches, those left out that the log has. Runs in a thread.

    `there`: the stretches that the log has. Raises CutDiffers where one holds other passages than are cut now.
    """

    def __init__(self, document: Document, passages: Iterator[Passage], there: Mapping[int, LoggedStretch]) -> None:
        self.count = 0
        self.chars = 0
        self.text_bytes = 0
        self._document = document
        self._passages = passages
        self._there = there
        self._starts = sorted(there)

    def next(self) -> PassagesLoaded | int | None:
        """The next stretch, or how many passages the log has here already; None at the end."""
        first = self.count
        if (logged := self._there.get(first)) is not None:
            stretch = list(islice(self._passages, logged.count))
            if digest_of(stretch) != logged.digest:
                raise CutDiffers
            return self._take(stretch)
        following = next((start for start in self._starts if start > first), first + BATCH_PASSAGES)
        stretch = []
        size = 0
        for passage in islice(self._passages, min(BATCH_PASSAGES, following - first)):
            stretch.append(passage)
            size += len(passage.text.encode("utf-8", "replace"))
            if size >= BATCH_BYTES:
                break
        chars = self.chars
        if self._take(stretch) is None:
            if following in self._there:  # it ends before what the log has of it
                raise CutDiffers
            return None
        return PassagesLoaded(
            document=self._document.id,
            path=self._document.path,
            first=first,
            count=len(stretch),
            chars=self.chars - chars,
            packed=pack_passages(stretch),
            page=stretch[0].page,
            line=stretch[0].first_line,
        )

    def _take(self, passages: Sequence[Passage]) -> int | None:
        self.count += len(passages)
        self.chars += sum(len(passage.fresh) for passage in passages)
        self.text_bytes += sum(len(passage.text) for passage in passages)
        return len(passages) or None
