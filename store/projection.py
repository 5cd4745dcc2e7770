"""Recall and archival memory as a projection of the log: events in, points out, and searches over them.

Rules. (1) It holds nothing that the log does not: a folder that is missing, damaged or of another make is built again
from position 0. (2) What it has applied, and its position, are one write: whoever opens it goes on from `position`.
(3) A search is a function of the views that it sees (streams, each as of a seq), and of nothing else in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import structlog

from events.codec import decode
from events.documents import unpacked
from events.envelope import Envelope
from events.errors import StorageDamaged
from events.passages import Hit, Page, chunks, input_text, split
from events.sources import source_of
from events.types import (
    INPUTS,
    ArchivalMemoryInserted,
    DocumentRemoved,
    InputArchived,
    MessageSent,
    PassagesLoaded,
    SourceUnloaded,
    UserMessageReceived,
)
from store import lexical
from store.embeddings import Embedder
from store.index_folder import IndexFolder
from store.points import Burial, Engine, Entry, Found, Key, Mark, Match, Place, Scope, Stored, View
from store.vectors import ENGINE, EdgeEngine

SCHEMA: Final = 2
"""Which events bear points and what a point holds. Raise it with any change: indexes are then built again."""

_INPUT_KINDS: Final = frozenset(event.__name__ for event in INPUTS)

BEARING: Final = _INPUT_KINDS | {
    "MessageSent",
    "ArchivalMemoryInserted",
    "InputArchived",
    "PassagesLoaded",
    "DocumentRemoved",
    "SourceUnloaded",
}
"""The kinds of events that bear points: all that an index needs to be shown (`LogReader.tail(kinds=BEARING)`)."""

Read = Callable[[str, int, int], Sequence[Envelope]]
"""(stream, after, to) -> its events with after < seq <= to, in order, from the log (`LogReader.read`)."""

MESSAGE_CHARS: Final = 1200
"""A longer message is kept in pieces of at most so many characters, so that a page of hits stays readable."""
BATCH_POINTS: Final = 1000
FLUSH_POINTS: Final = 5000
"""Points between two flushes: what a start replays after a crash (some 0.2 s), or reads again after a power loss."""
QUERY_CHARS: Final = 4000
"""A query is cut here: far more than anyone asks, and the cost of a search grows with it."""


_NONE: Final[frozenset[int]] = frozenset()


class Batch:
    """What some events bear, gathered for one write."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.burials: list[Burial] = []


class MemoryIndex:
    """Drives an engine by a log. One owner, one thread."""

    def __init__(self, engine: Engine, folder: IndexFolder, embedder: Embedder, read: Read) -> None:
        self._engine = engine
        self._folder = folder
        self._embedder = embedder
        self._read = read
        self._mark = engine.mark()
        self._unflushed = 0

    @classmethod
    def open(cls, path: Path, embedder: Embedder, read: Read, *, log_id: str = "") -> MemoryIndex:
        """The index in a folder, as far as it is; from position 0 if there is none that is whole and of this make.

        `log_id` names the log that it follows: another name, another index. Raises StorageUnavailable if another
        process has the folder.
        """
        stamp = f"{ENGINE}/schema {SCHEMA}/words {lexical.VERSION}/{embedder.name}/{embedder.dimension}/{log_id}"
        folder = IndexFolder(path)
        try:
            return cls(_engine(folder, embedder.dimension, stamp), folder, embedder, read)
        except BaseException:
            folder.release()
            raise

    @property
    def position(self) -> int:
        """The log's position up to which all events are in."""
        return self._mark.position

    @property
    def points(self) -> int:
        """How many messages and passages are in, dead ones too."""
        return self._mark.points

    def apply(self, envelopes: Sequence[Envelope], position: int) -> None:
        """Take the events after the index's position, up to `position`; those it has already are passed over.

        Events must come in the log's order; of those before `position`, only the kinds in BEARING are needed.
        """
        batch, here = Batch(), {(e.agent, e.seq): e for e in envelopes if e.kind in _INPUT_KINDS}
        done = self.position
        for envelope in envelopes:
            if envelope.position <= done:
                continue
            if len(batch.entries) >= BATCH_POINTS:
                self._put(batch, done)
                batch = Batch()
            self._bear(envelope, here, batch)
            done = envelope.position
        if batch.entries or batch.burials or position > self.position:
            self._put(batch, max(done, position))

    def search(
        self, views: Sequence[View], *, kind: str, query: str, page: int, size: int, hidden: frozenset[int] = _NONE
    ) -> Page:
        """What matches a query, best first, then newest first; without the first view's seqs `hidden`. An empty query
        matches all.

        A match shares a word with the query (stop words and endings apart), or is similar enough in meaning.
        """
        scope, take = Scope(tuple(views), kind, hidden), (page + 1) * size
        text = query[:QUERY_CHARS].encode("utf-8", "replace").decode().strip()
        if text:
            vector = self._embedder.embed([text])[0].tolist()
            found = self._engine.search(scope, lexical.ready(text), vector, take)
        else:
            found = self._engine.listing(scope, take, latest=True)
        nth = _ranks(scope)
        best = sorted(found.matches, key=lambda m: (-m.score, nth[m.key.stream], -m.key.seq, m.key.chunk))
        return self._page(best, found, page, size, scored=bool(text))

    def by_date(
        self,
        views: Sequence[View],
        *,
        start_ms: int,
        end_ms: int,
        page: int,
        size: int,
        hidden: frozenset[int] = _NONE,
    ) -> Page:
        """What was said from start_ms to end_ms, both inclusive, in the order of time; without the first view's seqs
        `hidden`."""
        scope = Scope(tuple(views), "message", hidden)
        found = self._engine.listing(scope, (page + 1) * size, start_ms=start_ms, end_ms=end_ms)
        nth = _ranks(scope)
        first = sorted(found.matches, key=lambda m: (m.score, -nth[m.key.stream], m.key.seq, m.key.chunk))
        return self._page(first, found, page, size, scored=False)

    def flush(self) -> None:
        self._engine.flush()
        self._unflushed = 0

    def close(self) -> None:
        """Flush, and let the folder go."""
        try:
            self._engine.close()
        finally:
            self._folder.release()

    def _page(self, ranked: Sequence[Match], found: Found, page: int, size: int, *, scored: bool) -> Page:
        wanted = ranked[page * size : (page + 1) * size] if page >= 0 else ()
        stored = self._engine.read([match.key for match in wanted])
        hits = (_hit(s, match.score if scored else 0.0) for match, s in zip(wanted, stored, strict=True))
        return Page(tuple(hits), found.total)

    def _put(self, batch: Batch, position: int) -> None:
        vectors = self._embedder.embed([entry.text for entry in batch.entries])
        mark = Mark(position, self._mark.points + len(batch.entries), self._mark.stamp)
        self._engine.put(batch.entries, vectors, mark, batch.burials)
        self._mark = mark
        self._unflushed += len(batch.entries)
        if self._unflushed >= FLUSH_POINTS:
            self.flush()

    def _bear(self, envelope: Envelope, here: dict[tuple[str, int], Envelope], batch: Batch) -> None:
        """What an event does to the index: the one place that says it, a case each kind in BEARING."""
        if envelope.kind not in BEARING:
            return
        match decode(envelope):
            case UserMessageReceived(text=text, name=name):
                batch.entries += _entries(envelope, "message", name or "user", _pieces(text), name)
            case MessageSent(text=text):
                batch.entries += _entries(envelope, "message", "assistant", _pieces(text))
            case ArchivalMemoryInserted(text=text, ends=ends):
                batch.entries += _entries(envelope, "passage", "memory", chunks(text, ends))
            case InputArchived(input=seq, ends=ends):
                source = here.get((envelope.agent, seq)) or self._read(envelope.agent, seq - 1, seq)[0]
                batch.entries += _entries(envelope, "passage", "memory", chunks(input_text(decode(source)), ends))
            case PassagesLoaded() as loaded:
                batch.entries += _document_entries(envelope, loaded)
            case DocumentRemoved(document=document):
                batch.burials.append(Burial(envelope.agent, document, envelope.seq))
            case SourceUnloaded():
                batch.burials.append(Burial(envelope.agent, "", envelope.seq))
            case notice:
                batch.entries += _entries(envelope, "notice", "system", _pieces(input_text(notice)))


def _entries(envelope: Envelope, kind: str, speaker: str, texts: Sequence[str], name: str = "") -> Iterator[Entry]:
    """The points of one event: a text each, under its chunk's number."""
    when = lexical.date_words(envelope.time)
    for chunk, text in enumerate(texts):
        words = f"{name} {lexical.ready(text)} {when}"
        yield Entry(Key(envelope.agent, envelope.seq, chunk), kind, speaker, envelope.time, text, words)


def _document_entries(envelope: Envelope, loaded: PassagesLoaded) -> Iterator[Entry]:
    """The points of a stretch of a document. Its headings are searched too; when it was loaded says nothing of it."""
    speaker = source_of(envelope.agent)
    for chunk, passage in enumerate(unpacked(envelope, loaded)):
        where = Place(
            document=loaded.document,
            path=loaded.path,
            page=passage.page,
            first_line=passage.first_line,
            last_line=passage.last_line,
            heading=passage.heading,
        )
        words = f"{lexical.ready(passage.heading)} {lexical.ready(passage.text)}"
        yield Entry(
            Key(envelope.agent, envelope.seq, chunk), "passage", speaker, envelope.time, passage.text, words, where
        )


def _hit(stored: Stored, score: float) -> Hit:
    key, place = stored.key, stored.place
    return Hit(
        key.seq,
        key.chunk,
        score,
        stored.time_ms,
        stored.speaker,
        stored.text,
        stream=key.stream,
        document=place.document,
        path=place.path,
        page=place.page,
        first_line=place.first_line,
        last_line=place.last_line,
        heading=place.heading,
    )


def _ranks(scope: Scope) -> dict[str, int]:
    """The views' order, by which equal scores are told apart before seqs, which count in one stream alone."""
    return {view.stream: number for number, view in enumerate(scope.views)}


def _pieces(text: str) -> list[str]:
    """A message as recall keeps it: whole, unless it is very long. Empty ones bear nothing."""
    if len(text) <= MESSAGE_CHARS:
        return [text] if text else []
    return chunks(text, split(text, len, MESSAGE_CHARS))


def _engine(folder: IndexFolder, dimension: int, stamp: str) -> EdgeEngine:
    """The shard that is there, or a new one in place of one that is of no use."""
    if folder.shard.exists():
        try:
            engine = EdgeEngine.load(folder.shard)
            if engine.mark().stamp == stamp:
                return engine
            why = f"it is of another make ({engine.mark().stamp}, wanted {stamp})"
            engine.close()
        except StorageDamaged as error:
            why = str(error)
        aside = folder.set_aside()
        log = structlog.get_logger("storage")
        log.warning("index is built again from the log", path=str(folder.path), why=why, set_aside=str(aside))
    return EdgeEngine.create(folder.shard, dimension, stamp)
