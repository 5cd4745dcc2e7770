"""The vector engine: points and searches, on Qdrant's embedded engine. The one module that imports Qdrant.

Rules. (1) Everything is filtered by streams, seqs and kind (`Scope`), and word statistics are those of the scope alone:
no agent's results depend on another's, nor on what came later. (2) A batch's points and the mark of how far it brings
the shard are one operation: both are there after a crash, or neither. Burials go before it; done again they do nothing.
(3) Search is exact: no graph is built (agents are small, and exact search inside one is faster too).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
import numpy as np
import qdrant_edge as qdrant
from qdrant_edge import Expression, FieldCondition, MatchValue, UpdateOperation

from events.errors import StorageDamaged, StorageUnavailable
from store.embeddings import Vectors
from store.lexical import STOP_WORDS, unspaced
from store.points import Burial, Entry, Found, Key, Mark, Match, Place, Scope, Stored, View, death

ENGINE: Final = "qdrant-edge"

_SEQ_BITS, _CHUNK_BITS = 40, 24
_MARK_ID: Final = UUID(int=0)
_DAMAGED: Final = "damaged"
_SCORE_DIGITS: Final = 6


class Weights(msgspec.Struct, frozen=True):
    """How a kind is scored: BM25's `k1`, `b` and `words` (mean length without stop words), then
    lexical / (lexical + half) + dense * cosine. A cosine under `floor` is no match and counts nothing: with WordLlama,
    98 of 100 pairs of unrelated texts are under 0.3."""

    k1: float
    b: float
    words: float
    half: float
    dense: float
    floor: float


_TURNS: Final = Weights(k1=0.9, b=0.0, words=12, half=10.0, dense=0.15, floor=0.3)
_PASSAGES: Final = Weights(k1=1.2, b=0.75, words=100, half=10.0, dense=0.5, floor=0.3)
WEIGHTS: Final = {"message": _TURNS, "notice": _TURNS, "passage": _PASSAGES}


class EdgeEngine:
    """One shard folder, which one process at a time can have open. Not thread-safe: one actor owns it."""

    def __init__(self, shard: qdrant.EdgeShard, path: Path) -> None:
        self._shard = shard
        self._path = path
        self._closed = False
        self._bm25 = {kind: (_bm25(w), _bm25(w, unspaced_scripts=True)) for kind, w in WEIGHTS.items()}

    @classmethod
    def create(cls, path: Path, dimension: int, stamp: str) -> EdgeEngine:
        """A new shard at position 0."""
        path.mkdir(parents=True, exist_ok=True)
        with _writing(path):
            shard = qdrant.EdgeShard.create(str(path), _config(dimension))
            for field, schema in _indexes().items():
                shard.update(UpdateOperation.create_field_index(field, schema))
        engine = cls(shard, path)
        engine.put((), _no_vectors(dimension), Mark(position=0, points=0, stamp=stamp))
        engine.flush()
        return engine

    @classmethod
    def load(cls, path: Path) -> EdgeEngine:
        """The shard that is there. Raises StorageDamaged if it cannot be read, or has fewer or more points than its
        mark says. The caller holds the folder's lock (`IndexFolder`)."""
        if (path / _DAMAGED).exists():
            raise StorageDamaged(f"The index in {path} gave read errors when it was last in use.")
        with _loading(path):
            shard = qdrant.EdgeShard.load(str(path))
        engine = cls(shard, path)
        try:
            mark, points = engine.mark(), engine._points()
            if mark.points != points:
                raise StorageDamaged(f"The index in {path} holds {points} points, and {mark.points} were put into it.")
        except StorageDamaged:
            shard.close()
            raise
        return engine

    def mark(self) -> Mark:
        with self._reading():
            found = self._shard.retrieve([_MARK_ID], with_payload=True, with_vector=False)
        if not found:
            raise StorageDamaged(f"The index in {self._path} lacks the mark of how far it is.")
        return msgspec.convert((found[0].payload or {}).get("mark"), Mark)

    def put(self, entries: Sequence[Entry], vectors: Vectors, mark: Mark, burials: Sequence[Burial] = ()) -> None:
        rows = vectors.tolist()
        points = [self._point(entry, row, death(entry, burials)) for entry, row in zip(entries, rows, strict=True)]
        points.append(qdrant.Point(_MARK_ID, {}, {"mark": msgspec.to_builtins(mark)}))
        with _writing(self._path):
            for burial in burials:
                self._shard.update(UpdateOperation.set_payload_by_filter(_alive(burial), {"died": burial.died}))
            self._shard.update(UpdateOperation.upsert_points(points))

    def search(self, scope: Scope, words: str, vector: Sequence[float], take: int) -> Found:
        weights, seen = WEIGHTS[scope.kind], _filter(scope)
        sparse = self._bm25[scope.kind][unspaced(words)].embed_query(words)
        if not sparse.indices and not any(vector):
            return Found([], 0)
        return self._ask(scope, seen, take, lambda limit: _fused(sparse, vector, weights, seen, limit), _score)

    def listing(
        self, scope: Scope, take: int, *, start_ms: int | None = None, end_ms: int | None = None, latest: bool = False
    ) -> Found:
        seen = _filter(scope, start_ms, end_ms)
        by_time = qdrant.OrderBy("time_ms", qdrant.Direction.Desc if latest else qdrant.Direction.Asc)
        return self._ask(
            scope, seen, take, lambda limit: qdrant.QueryRequest(limit=limit, query=by_time, filter=seen), _order
        )

    def _ask(
        self,
        scope: Scope,
        seen: qdrant.Filter,
        take: int,
        request: Callable[[int], qdrant.QueryRequest],
        value: Callable[[qdrant.ScoredPoint], float],
    ) -> Found:
        """All that a request finds in a scope is counted; only the first are made into Python's objects, which would
        cost more than the search."""
        with self._reading():
            size = self._shard.count(qdrant.CountRequest(exact=True, filter=seen))
            points = self._shard.query(request(size)) if size else []
        end = max(0, min(take, len(points)))
        while 0 < end < len(points) and value(points[end]) == value(points[end - 1]):
            end += 1
        names = {_stream_bits(view.stream): view.stream for view in scope.views}
        return Found([Match(_key(point.id, names), value(point)) for point in points[:end]], len(points))

    def read(self, keys: Sequence[Key]) -> list[Stored]:
        ids: list[int | UUID | str] = [_id(key) for key in keys]
        with self._reading():
            found = self._shard.retrieve(ids, with_payload=True, with_vector=False)
        records = {record.id: record.payload or {} for record in found}
        return [_stored(key, records[id_]) for key, id_ in zip(keys, ids, strict=True) if id_ in records]

    def flush(self) -> None:
        with _writing(self._path):
            self._shard.flush()

    def close(self) -> None:
        """Flush and close; once closed, again does nothing."""
        if not self._closed:
            self._closed = True
            self.flush()
            self._shard.close()

    def _points(self) -> int:
        with self._reading():
            return self._shard.count(qdrant.CountRequest(exact=True)) - 1

    def _point(self, entry: Entry, row: list[float], died: int) -> qdrant.Point:
        sparse = self._bm25[entry.kind][unspaced(entry.words)].embed_document(entry.words)
        return qdrant.Point(_id(entry.key), {"dense": row, "words": sparse}, _payload(entry, died))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """A read that fails says that the files are damaged; the next `load` is told, so that the index is rebuilt."""
        try:
            yield
        except BaseException as error:
            if not _from_engine(error):
                raise
            (self._path / _DAMAGED).touch()
            raise StorageDamaged(
                f"The index in {self._path} cannot be read ({_first_line(error)}). "
                "Nothing is lost: it is built again from the log when storage starts again."
            ) from error


# --- the engine's own terms ---------------------------------------------------------------------------------------


def _config(dimension: int) -> qdrant.EdgeConfig:
    """No graph (m=0), and one search thread: a search beside a busy turn is not to take both cores."""
    return qdrant.EdgeConfig(
        vectors={"dense": qdrant.EdgeVectorParams(dimension, qdrant.Distance.Cosine)},
        sparse_vectors={"words": qdrant.EdgeSparseVectorParams(modifier=qdrant.Modifier.Idf)},
        hnsw_config=qdrant.HnswIndexConfig(m=0, ef_construct=16, full_scan_threshold=10, payload_m=0),
        max_search_threads=1,
    )


def _indexes() -> dict[str, Any]:
    whole = qdrant.IntegerIndexParams(lookup=False, range=True)
    return {
        "stream": qdrant.KeywordIndexParams(is_tenant=True),
        "kind": qdrant.KeywordIndexParams(),
        "document": qdrant.KeywordIndexParams(),
        "seq": whole,
        "died": whole,
        "time_ms": whole,
    }


def _bm25(weights: Weights, *, unspaced_scripts: bool = False) -> qdrant.Bm25:
    tokenizer = qdrant.TokenizerType.Multilingual if unspaced_scripts else qdrant.TokenizerType.Word
    config = qdrant.Bm25Config(
        k=weights.k1,
        b=weights.b,
        avg_len=weights.words,
        tokenizer=tokenizer,
        language="english",
        ascii_folding=True,
        stopwords=qdrant.StopwordsSet(custom=set(STOP_WORDS)),
        stemmer=qdrant.SnowballParams(qdrant.SnowballLanguage.English),
    )
    return qdrant.Bm25(config)


def _filter(scope: Scope, start_ms: int | None = None, end_ms: int | None = None) -> qdrant.Filter:
    """All that a scope sees. One view is filtered flat, which the engine plans better than a choice of one."""
    must: list[Any] = [FieldCondition("kind", match=MatchValue(scope.kind))]
    if start_ms is not None or end_ms is not None:
        must.append(FieldCondition("time_ms", range=qdrant.RangeFloat(gte=start_ms, lte=end_ms)))
    seen = [_view(view, scope.hidden if number == 0 else frozenset()) for number, view in enumerate(scope.views)]
    if len(seen) == 1:
        return qdrant.Filter(must=[*(seen[0].must or ()), *must], must_not=seen[0].must_not)
    return qdrant.Filter(must=must, min_should=qdrant.MinShould(list(seen), 1))


def _view(view: View, hidden: frozenset[int]) -> qdrant.Filter:
    must: list[Any] = [
        FieldCondition("stream", match=MatchValue(view.stream)),
        FieldCondition("seq", range=qdrant.RangeFloat(lte=view.as_of)),
    ]
    must_not: list[Any] = [FieldCondition("died", range=qdrant.RangeFloat(lte=view.as_of))]
    if hidden:
        must_not.append(FieldCondition("seq", match=qdrant.MatchAny(sorted(hidden))))
    return qdrant.Filter(must=must, must_not=must_not)


def _alive(burial: Burial) -> qdrant.Filter:
    """What a burial takes: born before it, and not dead yet."""
    must: list[Any] = [
        FieldCondition("stream", match=MatchValue(burial.stream)),
        FieldCondition("seq", range=qdrant.RangeFloat(lt=burial.died)),
        qdrant.IsEmptyCondition("died"),
    ]
    if burial.document:
        must.append(FieldCondition("document", match=MatchValue(burial.document)))
    return qdrant.Filter(must=must)


def _fused(
    sparse: qdrant.SparseVector, vector: Sequence[float], weights: Weights, seen: qdrant.Filter, limit: int
) -> qdrant.QueryRequest:
    """Both arms and their fusion in one request; `limit` is the scope's size, so that nothing that matches is cut."""
    lexical = qdrant.Prefetch(
        limit=limit,
        query=qdrant.Query.Nearest(sparse, using="words"),
        filter=seen,
        params=qdrant.SearchParams(exact=True, idf=qdrant.IdfParams(corpus=seen)),
    )
    dense = qdrant.Prefetch(
        limit=limit,
        query=qdrant.Query.Nearest(list(vector), using="dense"),
        filter=seen,
        params=qdrant.SearchParams(exact=True),
        score_threshold=weights.floor,
    )
    arms, scores = [], []
    if sparse.indices:
        x = Expression.Variable("$score[0]")
        scores.append(Expression.Div(x, Expression.Sum([x, Expression.Constant(weights.half)]), 0.0))
        arms.append(lexical)
    if any(vector):
        similarity = Expression.Variable(f"$score[{len(arms)}]")
        scores.append(Expression.Mult([Expression.Constant(weights.dense), similarity]))
        arms.append(dense)
    return qdrant.QueryRequest(
        limit=limit,
        prefetches=arms,
        query=qdrant.Formula(Expression.Sum(scores), defaults={f"$score[{i}]": 0.0 for i in range(len(arms))}),
    )


def _score(point: qdrant.ScoredPoint) -> float:
    return round(point.score, _SCORE_DIGITS)


def _order(point: qdrant.ScoredPoint) -> float:
    return float(point.order_value or 0)


def _payload(entry: Entry, died: int) -> dict[str, Any]:
    payload = {
        "stream": entry.key.stream,
        "kind": entry.kind,
        "seq": entry.key.seq,
        "time_ms": entry.time_ms,
        "speaker": entry.speaker,
        "text": entry.text,
        **msgspec.to_builtins(entry.place),
    }
    return {**payload, "died": died} if died else payload


def _stored(key: Key, payload: dict[str, Any]) -> Stored:
    return Stored(key, payload["speaker"], payload["time_ms"], payload["text"], msgspec.convert(payload, Place))


@lru_cache(maxsize=4096)
def _stream_bits(stream: str) -> int:
    return int.from_bytes(blake2b(stream.encode(), digest_size=8).digest())


def _id(key: Key) -> UUID:
    """A point's id: a hash of the stream's name, and the rest of the key, which is read from it again."""
    return UUID(int=_stream_bits(key.stream) << 64 | key.seq << _CHUNK_BITS | key.chunk)


def _key(point_id: Any, names: Mapping[int, str]) -> Key:
    """The key in an id, which the engine gives back as a UUID; `names` are the streams that it can be of."""
    bits: int = point_id.int
    return Key(names[bits >> 64], bits >> _CHUNK_BITS & (1 << _SEQ_BITS) - 1, bits & (1 << _CHUNK_BITS) - 1)


def _no_vectors(dimension: int) -> Vectors:
    return np.zeros((0, dimension), np.float32)


# --- the engine's errors: plain Exceptions with a text, and Rust panics, which are BaseExceptions -----------------


def _from_engine(error: BaseException) -> bool:
    return type(error) is Exception or type(error).__name__ == "PanicException"


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200]


@contextmanager
def _loading(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        if not _from_engine(error):
            raise
        raise StorageDamaged(f"The index in {path} cannot be read ({_first_line(error)}).") from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        if not _from_engine(error):
            raise
        raise StorageUnavailable(
            f"The index in {path} could not be written ({_first_line(error)}). Nothing is lost: it is a copy of what "
            "the log holds. Look whether the disk is full or the folder was changed, then start storage again."
        ) from error
