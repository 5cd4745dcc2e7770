"""The embedded engine: one shard of Qdrant's own engine in this process.

Rules. (1) Everything is filtered by shelves (`store.index.layout`). (2) A batch's points and the mark of how far it
brings the shard are one operation: both are there after a crash, or neither. Burials go before it; done again they do
nothing. (3) Search is exact: no graph is built (agents are small, and exact search inside one is faster too).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast
from uuid import UUID

import numpy as np
import qdrant_edge as qdrant
from numpy.typing import NDArray
from qdrant_edge import Expression, FieldCondition, MatchValue, UpdateOperation

from palimpsest.events.errors import StorageDamaged, StorageUnavailable
from palimpsest.store.index import layout
from palimpsest.store.index.embeddings import Vectors
from palimpsest.store.index.folder import IndexFolder
from palimpsest.store.index.points import Burial, IndexEntry, Key, Listed, Mark, Match, Query, ScopePart, Stored
from palimpsest.store.index.settings import PointKind
from palimpsest.store.words.terms import Sparse

_DAMAGED: Final = "damaged"
_SCROLL: Final = 2000


class EdgeHome:
    """The folder of an embedded index, held by this process."""

    engine: Final = "qdrant-edge"

    def __init__(self, path: Path) -> None:
        """Raises StorageUnavailable if another process has it."""
        self._folder = IndexFolder(path)
        self.name = f"The index in {path}"

    def load(self) -> EdgeEngine | None:
        return EdgeEngine.load(self._folder.shard) if self._folder.shard.exists() else None

    def create(self, dimension: int, stamp: str) -> EdgeEngine:
        return EdgeEngine.create(self._folder.shard, dimension, stamp)

    def clear(self) -> str:
        return f"moved to {self._folder.set_aside()}" if self._folder.shard.exists() else ""

    def release(self) -> None:
        self._folder.release()


class EdgeEngine:
    """One shard folder, which one process at a time can have open. Not thread-safe: one actor owns it."""

    def __init__(self, shard: qdrant.EdgeShard, path: Path) -> None:
        self._shard = shard
        self._path = path
        self._closed = False

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
            found = self._shard.retrieve([layout.MARK_ID], with_payload=True, with_vector=False)
        if not found:
            raise StorageDamaged(f"The index in {self._path} lacks the mark of how far it is.")
        return layout.mark_of(found[0].payload)

    def put(self, entries: Sequence[IndexEntry], vectors: Vectors, mark: Mark, burials: Sequence[Burial] = ()) -> None:
        payloads = layout.payloads_of(entries, burials)
        points = [_point(*each) for each in zip(entries, vectors, payloads, strict=True)]
        points.append(qdrant.Point(layout.MARK_ID, {}, layout.mark_payload(mark)))
        with _writing(self._path):
            for burial in burials:
                self._shard.update(
                    UpdateOperation.set_payload_by_filter(_where(layout.taken_by(burial)), {"died": burial.died})
                )
            self._shard.update(UpdateOperation.upsert_points(points))

    def search(self, ask: Query) -> tuple[list[Match], list[Key]]:
        seen, names = _filter(ask.parts), layout.names_of({part.stream for part in ask.parts})
        requests = [_fused(ask, seen)]
        if ask.vector and ask.dense_limit:
            requests.append(_nearest(ask, seen))
        with self._reading():
            best, *near = self._shard.query_batch(qdrant.QueryBatchRequest(requests))
        matches = [Match(_key(point, names), round(point.score, layout.SCORE_DIGITS)) for point in best]
        return matches, [_key(point, names) for found in near for point in found]

    def listing(self, parts: Sequence[ScopePart], limit: int, *, latest: bool) -> list[Match]:
        by_time = qdrant.OrderBy("time_ms", qdrant.Direction.Desc if latest else qdrant.Direction.Asc)
        names = layout.names_of({part.stream for part in parts})
        request = qdrant.QueryRequest(limit=limit, query=by_time, filter=_filter(parts))
        with self._reading():
            found = self._shard.query(request)
        return [Match(_key(point, names), float(point.order_value or 0)) for point in found]

    def listed(self, stream: str, kind: PointKind) -> Iterator[Listed]:
        names, offset = layout.names_of({stream}), None
        wanted = _where(layout.on_roll(stream, kind))
        while True:
            request = qdrant.ScrollRequest(
                offset=offset,
                limit=_SCROLL,
                filter=wanted,
                with_payload=list(layout.LISTED_FIELDS),
                with_vector=False,
            )
            with self._reading():
                records, offset = self._shard.scroll(request)
            for record in records:
                yield layout.listed_of(_key(record, names), record.payload or {})
            if offset is None:
                return

    def read(self, keys: Sequence[Key]) -> list[Stored]:
        ids: list[int | UUID | str] = [layout.id_of(key) for key in keys]
        with self._reading():
            found = self._shard.retrieve(ids, with_payload=True, with_vector=False)
        records = {record.id: record.payload or {} for record in found}
        return [layout.stored_of(key, records[id_]) for key, id_ in zip(keys, ids, strict=True) if id_ in records]

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
        vectors={layout.DENSE: qdrant.EdgeVectorParams(dimension, qdrant.Distance.Cosine)},
        sparse_vectors={layout.WORDS: qdrant.EdgeSparseVectorParams()},
        hnsw_config=qdrant.HnswIndexConfig(m=0, ef_construct=16, full_scan_threshold=10, payload_m=0),
        max_search_threads=1,
    )


def _indexes() -> dict[str, Any]:
    whole = qdrant.IntegerIndexParams(lookup=False, range=True)
    return {
        layout.TENANT: qdrant.KeywordIndexParams(is_tenant=True),
        **{name: qdrant.KeywordIndexParams() for name in layout.KEYWORDS},
        **dict.fromkeys(layout.WHOLE_NUMBERS, whole),
    }


def _point(entry: IndexEntry, row: NDArray[np.float32], payload: dict[str, Any]) -> qdrant.Point:
    """The vector as an array of the standard library: it is read faster than a list of numbers made from it."""
    vectors: dict[str, Any] = {layout.DENSE: array("f", row.tobytes()), layout.WORDS: _sparse(entry.words)}
    return qdrant.Point(layout.id_of(entry.key), vectors, payload)


def _sparse(sparse: Sparse) -> qdrant.SparseVector:
    return qdrant.SparseVector(sparse.terms, sparse.weights)


def _key(point: qdrant.ScoredPoint | qdrant.Record, names: dict[int, str]) -> Key:
    return layout.key_of(cast(UUID, point.id), names)


def _filter(parts: Sequence[ScopePart]) -> qdrant.Filter:
    """All that some parts hold. One is filtered flat, which the engine plans better than a choice of one."""
    seen = [layout.in_part(part) for part in parts]
    if len(seen) == 1:
        return _where(seen[0])
    return qdrant.Filter(min_should=qdrant.MinShould([_where(each) for each in seen], 1))


def _where(where: layout.Where) -> qdrant.Filter:
    return qdrant.Filter(must=_conditions(where.must), must_not=_conditions(where.must_not))


def _conditions(conditions: Sequence[layout.Condition]) -> list[Any]:
    return [_condition(condition) for condition in conditions]


def _condition(condition: layout.Condition) -> Any:
    if condition.missing:
        return qdrant.IsEmptyCondition(condition.field)
    if condition.equals is not None:
        return FieldCondition(condition.field, match=MatchValue(condition.equals))
    if condition.any_of:
        return FieldCondition(condition.field, match=qdrant.MatchAny(list(condition.any_of)))
    if condition.one_of:
        return FieldCondition(condition.field, match=qdrant.MatchAny(list(condition.one_of)))
    return FieldCondition(condition.field, range=qdrant.RangeFloat(gte=condition.at_least, lte=condition.at_most))


def _lexical(ask: Query, seen: qdrant.Filter) -> list[qdrant.Prefetch]:
    """The lexical arm; none where the query has no words that are known."""
    if not ask.words.terms:
        return []
    query = qdrant.Query.Nearest(_sparse(ask.words), using=layout.WORDS)
    return [qdrant.Prefetch(limit=ask.lexical_limit, query=query, filter=seen)]


def _dense(ask: Query, seen: qdrant.Filter, lexical: Sequence[qdrant.Prefetch]) -> qdrant.Prefetch:
    """The nearest over the floor, and the cosine of all that the lexical arm found, however small."""
    exact = qdrant.SearchParams(exact=True)
    query = qdrant.Query.Nearest(ask.vector, using=layout.DENSE)
    nearest = qdrant.Prefetch(
        limit=ask.dense_limit, query=query, filter=seen, params=exact, score_threshold=ask.blend.floor
    )
    if not lexical:
        return nearest
    among = [*lexical, nearest] if ask.dense_limit else list(lexical)
    return qdrant.Prefetch(limit=ask.lexical_limit + ask.dense_limit, query=query, params=exact, prefetches=among)


def _nearest(ask: Query, seen: qdrant.Filter) -> qdrant.QueryRequest:
    return qdrant.QueryRequest(
        limit=ask.dense_limit,
        query=qdrant.Query.Nearest(ask.vector, using=layout.DENSE),
        filter=seen,
        params=qdrant.SearchParams(exact=True),
        score_threshold=ask.blend.floor,
    )


def _fused(ask: Query, seen: qdrant.Filter) -> qdrant.QueryRequest:
    """All arms and their blend in one request."""
    arms = _lexical(ask, seen)
    terms: list[Expression] = []
    if arms:
        x = Expression.Variable("$score[0]")
        terms.append(Expression.Div(x, _sum([x, Expression.Constant(ask.blend.half)]), 0.0))
    if ask.vector:
        arms = [*arms, _dense(ask, seen, arms)]
        terms.append(_times(ask.blend.dense, Expression.Variable(f"$score[{len(arms) - 1}]")))
    formula = qdrant.Formula(_sum([*terms, *_priors(ask)]), defaults={f"$score[{n}]": 0.0 for n in range(len(arms))})
    return qdrant.QueryRequest(limit=ask.limit, prefetches=arms, query=formula)


def _priors(ask: Query) -> list[Expression]:
    found, blend = [], ask.blend
    if blend.speaker and ask.speaker:
        named = FieldCondition("speaker", match=MatchValue(ask.speaker))
        found.append(_times(blend.speaker, Expression.Condition(named)))
    for form, weight in blend.by_form:
        found.append(_times(-weight, Expression.Condition(FieldCondition("form", match=MatchValue(form)))))
    return found


def _times(weight: float, of: Expression) -> Expression:
    return Expression.Mult([Expression.Constant(weight), of])


def _sum(of: list[Expression]) -> Expression:
    return Expression.Sum(of)


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
