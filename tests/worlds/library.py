"""A log in memory with sources in it, as a loader would have written them."""

from __future__ import annotations

from collections.abc import Sequence

from palimpsest.events.codec import draft
from palimpsest.events.documents import Passage, pack_passages
from palimpsest.events.envelope import Draft, Envelope
from palimpsest.events.sources import document_id, stream_of
from palimpsest.events.types import (
    DocumentLoaded,
    DocumentOpened,
    DocumentRemoved,
    Event,
    PassagesLoaded,
    SourceCreated,
)
from palimpsest.store.logs.contract import Append
from palimpsest.store.logs.in_memory import InMemoryLog

START_MS = 1_795_361_055_000  # 2026-11-22 15:24:15 UTC


class Desk(InMemoryLog):
    """An InMemoryLog in which sources can be filled by a line."""

    def __init__(self) -> None:
        super().__init__()
        self.open_epoch()
        self._keys = 0

    def add(self, stream: str, *events: Event) -> Envelope:
        drafts = tuple(self._draft(stream, event) for event in events)
        assert {answer.outcome for answer in self.append([Append(drafts)])[0]} == {"appended"}
        return self.read(stream)[-1]

    def _draft(self, stream: str, event: Event) -> Draft:
        self._keys += 1
        return draft(stream, START_MS, event, key=f"k{self._keys}")

    def source(self, name: str) -> None:
        self.add(stream_of(name), SourceCreated(passage_tokens=200, overlap_tokens=0))

    def document(
        self, source: str, path: str, passages: Sequence[Passage], *, at_once: int = 2, backwards: bool = False
    ) -> str:
        """A document, so many passages to an event; `backwards`: in flight they overtook each other."""
        id = document_id(path, str(len(passages)))
        opened = DocumentOpened(document=id, path=path, media_type="text/plain", size_bytes=1, sha256="aa")
        stretches = [self._stretch(id, path, passages, first, at_once) for first in range(0, len(passages), at_once)]
        if backwards:
            stretches.reverse()
        chars = sum(len(passage.fresh) for passage in passages)
        loaded = DocumentLoaded(document=id, passages=len(passages), chars=chars)
        self.add(stream_of(source), opened, *stretches, loaded)
        return id

    def _stretch(self, id: str, path: str, passages: Sequence[Passage], first: int, count: int) -> PassagesLoaded:
        these = passages[first : first + count]
        return PassagesLoaded(
            document=id,
            path=path,
            first=first,
            count=len(these),
            chars=sum(len(passage.fresh) for passage in these),
            packed=pack_passages(these),
            page=these[0].page,
            line=these[0].first_line,
        )

    def remove(self, source: str, document: str) -> None:
        self.add(stream_of(source), DocumentRemoved(document=document))


def lines(first: int, last: int, word: str = "line") -> list[Passage]:
    """Passages of two lines each, numbered as they say."""
    return [
        Passage(text=f"{word} {n}\n{word} {n + 1}", first_line=n, last_line=n + 1) for n in range(first, last + 1, 2)
    ]
