"""Recall and archival memory as a projection of the log: events in, points out, and searches over them.

Rules. (1) It holds nothing that the log does not: a folder that is missing, damaged or of another make is built again
from position 0. (2) What it has applied, and its position, are one write: whoever opens it goes on from `position`.
(3) A search is a function of the views that it sees (streams, each as of a seq), and of nothing else in the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import structlog
from msgspec.structs import replace

from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import EmbedderChanged, PalimpsestError, StorageDamaged
from palimpsest.events.passages import Hit, HitPage, ToldBeside
from palimpsest.events.position import FIRST_PARTITION, Partition, Position
from palimpsest.store.index.bearing import INPUT_KINDS, Bearing, IndexWrite
from palimpsest.store.index.clocks import Read
from palimpsest.store.index.embeddings import Embedder, Vectors, setting_of, unit_rows
from palimpsest.store.index.engine_edge import EdgeHome
from palimpsest.store.index.points import Engine, Home, Mark, Scope, Stored, Tip, View
from palimpsest.store.index.ranking import SMOOTHING
from palimpsest.store.index.search import RankedPage, Searches
from palimpsest.store.index.settings import PointKind
from palimpsest.store.times import zones
from palimpsest.store.words import lexical
from palimpsest.store.words.terms import TermTokenizer

SCHEMA: Final = 8
"""Which events bear points and what a point holds. Raise it with any change: indexes are then built again."""

BATCH_POINTS: Final = 1000
FLUSH_POINTS: Final = 10_000
"""Points between two flushes: what a start replays after a crash (some 0.5 s), or reads again after a power loss."""

_NONE: Final[frozenset[int]] = frozenset()


class MemoryIndex:
    """Drives an engine by a log. One owner, one thread."""

    def __init__(self, engine: Engine, home: Home, embedder: Embedder, read: Read, partition: Partition) -> None:
        self.partition = partition
        self._engine = engine
        self._home = home
        self._embedder = embedder
        words = TermTokenizer()
        self._bearing = Bearing(read, words)
        self._searches = Searches(engine, embedder, words)
        self._mark = engine.mark()
        self._tip: Envelope | None = None
        self._unflushed = 0

    @classmethod
    def open(cls, path: Path, embedder: Embedder, read: Read, partition: Partition = FIRST_PARTITION) -> MemoryIndex:
        """The embedded index in a folder. Raises as `at`, and StorageUnavailable if another process has it."""
        return cls.at(EdgeHome(path), embedder, read, partition)

    @classmethod
    def at(cls, home: Home, embedder: Embedder, read: Read, partition: Partition = FIRST_PARTITION) -> MemoryIndex:
        """The index that lies there, as far as it is; from position 0 if there is none that is whole, of this make, and
        of the log that `read` reads. The home is its own from now on. Raises EmbedderChanged, StorageUnavailable.
        """
        try:
            words = f"words {lexical.VERSION} tz {zones.DATA}"
            stamp = f"{home.engine}/schema {SCHEMA}/{words}/{embedder.name}/{embedder.dimension}/"
            return cls(_engine(home, embedder.dimension, stamp, read), home, embedder, read, partition)
        except BaseException:
            home.release()
            raise

    @property
    def position(self) -> Position:
        """Up to which all events of its partition are in."""
        return Position(self.partition, self._mark.position)

    @property
    def points(self) -> int:
        """How many messages and passages are in, dead ones too."""
        return self._mark.points

    def apply(self, envelopes: Sequence[Envelope], position: Position) -> None:
        """Take the events after the index's position, up to `position`; those it has already are passed over.

        Events must come in the log's order; of those before `position`, only the kinds in BEARING are needed.
        """
        here = {(e.stream, e.seq): e for e in envelopes if e.kind in INPUT_KINDS}
        try:
            self._apply(envelopes, position.number_in(self.partition), here)
        except PalimpsestError:
            self._bearing.forget()
            raise

    def _apply(self, envelopes: Sequence[Envelope], end: int, here: dict[tuple[str, int], Envelope]) -> None:
        batch, done = IndexWrite(), self._mark.position
        for envelope in envelopes:
            if envelope.position.number <= done:
                continue
            if len(batch.entries) >= BATCH_POINTS:
                self._put(batch, done)
                batch = IndexWrite()
            self._bearing.bear(envelope, here, batch)
            self._tip = envelope
            done = envelope.position.number
        if batch.entries or batch.burials or end > self._mark.position:
            self._put(batch, max(done, end))

    def search(
        self,
        views: Sequence[View],
        *,
        kind: PointKind,
        query: str,
        page: int,
        size: int,
        hidden: frozenset[int] = _NONE,
        own: int = 1,
        who: str = "",
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> HitPage:
        """What matches a query, best first, then newest first; without the seqs `hidden` of the first `own` views,
        which are the agent's. An empty query matches all.

        What matches shares a word with the query (stop words and endings apart), itself or in its context, or is
        similar enough in meaning. `who`: only what was said by the user, the assistant, or one of this name
        (ValueError, for the model: nobody has it); only what was said from start_ms to end_ms, both inclusive.
        """
        scope = Scope(tuple(views), kind, hidden, own, start_ms=start_ms, end_ms=end_ms)
        if who:
            scope = replace(scope, speakers=self._searches.called(who, scope))
        return self._page(self._searches.by_query(scope, query, page * size, size), scored=bool(query.strip()))

    def by_date(
        self,
        views: Sequence[View],
        *,
        start_ms: int,
        end_ms: int,
        page: int,
        size: int,
        hidden: frozenset[int] = _NONE,
        own: int = 1,
    ) -> HitPage:
        """What was said from start_ms to end_ms, both inclusive, in the order of time; `hidden` and `own` as for
        `search`."""
        scope = Scope(tuple(views), "message", hidden, own, start_ms=start_ms, end_ms=end_ms)
        found = self._searches.by_time(scope, page * size, size)
        return self._page(found, scored=False)

    def flush(self) -> None:
        self._engine.flush()
        self._unflushed = 0

    def close(self) -> None:
        """Flush, and let the folder go."""
        try:
            self._engine.close()
        finally:
            self._home.release()

    def _page(self, found: RankedPage, *, scored: bool) -> HitPage:
        stored = self._engine.read([match.key for match in found.matches])
        each = zip(found.matches, stored, found.beside, strict=True)
        hits = (_hit(s, match.score if scored else 0.0, beside) for match, s, beside in each)
        return HitPage(tuple(hits), found.total)

    def _put(self, batch: IndexWrite, number: int) -> None:
        tip = Tip(self._tip.stream, self._tip.seq, self._tip.hash.hex()) if self._tip else self._mark.tip
        mark = Mark(number, self._mark.points + len(batch.entries), self._mark.stamp, tip)
        self._engine.put(batch.entries, self._vectors(batch), mark, batch.burials)
        self._searches.census.put(batch.entries, batch.burials)
        self._mark = mark
        self._unflushed += len(batch.entries)
        if self._unflushed >= FLUSH_POINTS:
            self.flush()

    def _vectors(self, batch: IndexWrite) -> Vectors:
        """A row an entry: its text's, and a part of those before it."""
        number: dict[str, int] = {}
        for entry, before in zip(batch.entries, batch.before, strict=True):
            for text in (entry.text, *before):
                number.setdefault(text, len(number))
        units = unit_rows(self._embedder.embed(list(number)))
        rows = np.zeros((len(batch.entries), self._embedder.dimension), np.float32)
        for n, (entry, before) in enumerate(zip(batch.entries, batch.before, strict=True)):
            rows[n] = units[number[entry.text]]
            for weight, text in zip(SMOOTHING, before, strict=False):
                rows[n] += np.float32(weight) * units[number[text]]
        return rows


def _hit(stored: Stored, score: float, beside: tuple[ToldBeside, ...]) -> Hit:
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
        beside=beside,
    )


def reindex(home: Home) -> None:
    """Drop an index, so that the next opening builds it anew from the log, with whatever embedder is set then."""
    try:
        home.clear()
    finally:
        home.release()


def _embedder_in(stamp: str) -> str:
    """The embedder and its dimension that a stamp names ("": of a form that is not known). A model's name may hold
    slashes."""
    parts = stamp.split("/")
    return f"{setting_of('/'.join(parts[3:-2]))} ({parts[-2]} dimensions)" if len(parts) >= 6 else ""


def _is_of(mark: Mark, read: Read) -> bool:
    """Whether this is the log that was shown to the index."""
    if mark.tip is None:
        return True
    return any(e.hash.hex() == mark.tip.hash for e in read(mark.tip.stream, mark.tip.seq - 1, mark.tip.seq))


def _engine(home: Home, dimension: int, stamp: str, read: Read) -> Engine:
    """What is there, or a new one in place of one that is of no use."""
    why = ""
    try:
        engine = home.load()
        if engine is not None:
            mark = engine.mark()
            if mark.stamp == stamp and _is_of(mark, read):
                return engine
            why = f"it is of another make ({mark.stamp}, wanted {stamp})" if mark.stamp != stamp else "of another log"
            made, wanted = _embedder_in(mark.stamp), _embedder_in(stamp)
            engine.close()
            if made and made != wanted:
                raise EmbedderChanged(home.name, made, wanted)
    except StorageDamaged as error:
        why = str(error)
    if why:
        logger = structlog.get_logger("storage")
        logger.warning("index is built again from the log", index=home.name, why=why, before=home.clear())
    return home.create(dimension, stamp)
