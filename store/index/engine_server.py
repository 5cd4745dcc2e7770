"""The engine of a cluster: one collection of a Qdrant server, through qdrant-client.

Rules. (1) It is asked what the embedded engine is asked (`store.index.layout` says which points, and how they lie), and
answers the same. (2) The mark is the last operation of a batch: what a crash leaves undone before it is done again, to
the same ids. (3) What goes wrong is StorageAway where waiting may help, and no message holds the key.
"""

from __future__ import annotations

import os
import secrets
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from palimpsest.events.errors import BadInput, StorageAway, StorageDamaged, StorageUnavailable
from palimpsest.store.index import layout
from palimpsest.store.index.embeddings import Vectors
from palimpsest.store.index.folder import IndexFolder
from palimpsest.store.index.points import Burial, IndexEntry, Key, Listed, Mark, Match, Query, ScopePart, Stored
from palimpsest.store.index.settings import PointKind
from palimpsest.store.words.terms import Sparse

PREFIX: Final = "palimpsest-"
TIMEOUT_S: Final = 30
FLOATS_A_REQUEST: Final = 300_000
"""So many numbers of dense vectors go into one request: some 6 MB, of the 32 that a server takes."""

_SCROLL: Final = 2000
_QUOTE_CHARS: Final = 200


def connected(url: str, api_key: str = "", timeout_s: int = TIMEOUT_S) -> QdrantClient:
    """A client; asks nothing of the server yet. Raises BadInput for what can be no server's address or key."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise BadInput(
            "The Qdrant server's URL must be as http://localhost:6333, without a name, a key or a question mark in it: "
            "the key is read from $QDRANT_API_KEY."
        )
    key = api_key.strip()
    if key and not (key.isascii() and key.isprintable()):
        raise BadInput("QDRANT_API_KEY holds characters that HTTP cannot carry: set it anew.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a key over http: it may be this very machine
        return QdrantClient(url=url, api_key=key or None, timeout=timeout_s, check_compatibility=False)


class ServerHome:
    """A collection that belongs to a data folder, whose lock is held: one process writes it, as with an index in it."""

    engine: Final = "qdrant-server"

    def __init__(self, path: Path, client: QdrantClient, url: str) -> None:
        """`path`: the data folder's index folder. Raises StorageUnavailable if another process has it."""
        self._client = client
        try:
            self._folder = IndexFolder(path)
        except BaseException:
            client.close()
            raise
        self._collection = _collection_of(path)
        self._url = url
        self.name = f"The index {self._collection} on the Qdrant server {url}"

    def load(self) -> ServerEngine | None:
        with _asking(self._url):
            if not self._client.collection_exists(self._collection):
                return None
        engine = ServerEngine(self._client, self._collection, self._url)
        mark, points = engine.mark(), engine.points()
        if points < mark.points:  # more is a batch that a crash cut off: it comes again
            raise StorageDamaged(f"{self.name} holds {points} points, and {mark.points} were put into it.")
        return engine

    def create(self, dimension: int, stamp: str) -> ServerEngine:
        with _asking(self._url, changing=True):
            self._client.create_collection(
                self._collection,
                vectors_config={layout.DENSE: models.VectorParams(size=dimension, distance=models.Distance.COSINE)},
                sparse_vectors_config={layout.WORDS: models.SparseVectorParams()},
                hnsw_config=models.HnswConfigDiff(m=0, payload_m=0),  # no graph: search is exact
                shard_number=1,
            )
            for field, schema in _indexes().items():
                self._client.create_payload_index(self._collection, field, field_schema=schema, wait=True)
        engine = ServerEngine(self._client, self._collection, self._url)
        engine.mark_as(Mark(position=0, points=0, stamp=stamp))
        return engine

    def clear(self) -> str:
        with _asking(self._url, changing=True):
            there = self._client.collection_exists(self._collection)
            if there:
                self._client.delete_collection(self._collection)
        return "dropped" if there else ""

    def release(self) -> None:
        self._client.close()
        self._folder.release()


def _collection_of(path: Path) -> str:
    """The collection of an index folder: named by a number drawn for it, and by its path, so that neither another
    machine's folder nor a copy of this one has the same. A folder that was moved gets a new one."""
    file = path / "collection"
    if not file.exists():
        fresh = file.with_suffix(".new")
        fresh.write_text(secrets.token_hex(8))
        fresh.replace(file)
    identity = f"{file.read_text().strip()} {path.resolve()}"
    return PREFIX + blake2b(identity.encode(), digest_size=8).hexdigest()


class ServerEngine:
    """One collection. Not thread-safe: one actor owns it."""

    def __init__(self, client: QdrantClient, collection: str, url: str) -> None:
        self._client = client
        self._collection = collection
        self._url = url

    def mark(self) -> Mark:
        with _asking(self._url):
            found = self._client.retrieve(self._collection, [str(layout.MARK_ID)], with_payload=True)
        if not found:
            raise StorageDamaged(f"The index {self._collection} lacks the mark of how far it is.")
        return layout.mark_of(found[0].payload)

    def mark_as(self, mark: Mark) -> None:
        self._update([_upsert([_mark(mark)])])

    def put(self, entries: Sequence[IndexEntry], vectors: Vectors, mark: Mark, burials: Sequence[Burial] = ()) -> None:
        rows = vectors.tolist()
        payloads = layout.payloads_of(entries, burials)
        points = [_point(*each) for each in zip(entries, rows, payloads, strict=True)]
        buried: list[models.UpdateOperation] = [_buried(burial) for burial in burials]
        at_once = max(1, FLOATS_A_REQUEST // max(1, vectors.shape[1]))
        last = max(0, (len(points) - 1) // at_once * at_once)
        for first in range(0, last, at_once):
            self._update([_upsert(points[first : first + at_once])])
        ends = [_upsert(points[last:])] if points else []
        self._update([*buried, *ends, _upsert([_mark(mark)])])

    def search(self, ask: Query) -> tuple[list[Match], list[Key]]:
        seen, names = _filter(ask.parts), layout.names_of({part.stream for part in ask.parts})
        requests = [_fused(ask, seen)]
        if ask.vector and ask.dense_limit:
            requests.append(_nearest(ask, seen))
        with _asking(self._url):
            best, *near = self._client.query_batch_points(self._collection, requests)
        matches = [Match(_key(point, names), round(point.score, layout.SCORE_DIGITS)) for point in best.points]
        return matches, [_key(point, names) for found in near for point in found.points]

    def listing(self, parts: Sequence[ScopePart], limit: int, *, latest: bool) -> list[Match]:
        direction = models.Direction.DESC if latest else models.Direction.ASC
        names = layout.names_of({part.stream for part in parts})
        with _asking(self._url):
            found, _ = self._client.scroll(
                self._collection,
                scroll_filter=_filter(parts),
                limit=limit,
                order_by=models.OrderBy(key="time_ms", direction=direction),
                with_payload=False,
            )
        return [Match(_key(point, names), float(point.order_value or 0)) for point in found]

    def listed(self, stream: str, kind: PointKind) -> Iterator[Listed]:
        names, offset = layout.names_of({stream}), None
        while True:
            with _asking(self._url):
                records, offset = self._client.scroll(
                    self._collection,
                    scroll_filter=_where(layout.on_roll(stream, kind)),
                    limit=_SCROLL,
                    offset=offset,
                    with_payload=list(layout.LISTED_FIELDS),
                )
            for record in records:
                yield layout.listed_of(_key(record, names), record.payload or {})
            if offset is None:
                return

    def read(self, keys: Sequence[Key]) -> list[Stored]:
        ids = [str(layout.id_of(key)) for key in keys]
        with _asking(self._url):
            found = self._client.retrieve(self._collection, ids, with_payload=True)
        records = {str(record.id): record.payload or {} for record in found}
        return [layout.stored_of(key, records[id_]) for key, id_ in zip(keys, ids, strict=True) if id_ in records]

    def points(self) -> int:
        with _asking(self._url):
            return self._client.count(self._collection, exact=True).count - 1

    def flush(self) -> None:
        """Nothing is held back here: the server has each batch in its own log when it answers."""

    def close(self) -> None:
        """The connection is the home's."""

    def _update(self, operations: Sequence[models.UpdateOperation]) -> None:
        """Carried out one after the other, and in place when this returns."""
        with _asking(self._url, changing=True):
            self._client.batch_update_points(
                self._collection, operations, wait=True, ordering=models.WriteOrdering.STRONG
            )


# --- the server's own terms ---------------------------------------------------------------------------------------


def _indexes() -> dict[str, Any]:
    whole = models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, lookup=False, range=True)
    keyword = models.KeywordIndexType.KEYWORD
    return {
        layout.TENANT: models.KeywordIndexParams(type=keyword, is_tenant=True),
        **{name: models.KeywordIndexParams(type=keyword) for name in layout.KEYWORDS},
        **dict.fromkeys(layout.WHOLE_NUMBERS, whole),
        "seq": models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, lookup=True, range=True),
    }


def _point(entry: IndexEntry, row: list[float], payload: dict[str, Any]) -> models.PointStruct:
    """What is empty is left out: a vector of zeros, and one without words."""
    vectors: dict[str, Any] = {layout.DENSE: row} if any(row) else {}
    if entry.words.terms:
        vectors[layout.WORDS] = _sparse(entry.words)
    return models.PointStruct(id=str(layout.id_of(entry.key)), vector=vectors, payload=payload)


def _mark(mark: Mark) -> models.PointStruct:
    return models.PointStruct(id=str(layout.MARK_ID), vector={}, payload=layout.mark_payload(mark))


def _upsert(points: list[models.PointStruct]) -> models.UpsertOperation:
    return models.UpsertOperation(upsert=models.PointsList(points=points))


def _buried(burial: Burial) -> models.SetPayloadOperation:
    taken = _where(layout.taken_by(burial))
    return models.SetPayloadOperation(set_payload=models.SetPayload(payload={"died": burial.died}, filter=taken))


def _sparse(sparse: Sparse) -> models.SparseVector:
    return models.SparseVector(indices=sparse.terms, values=sparse.weights)


def _key(point: models.ScoredPoint | models.Record, names: dict[int, str]) -> Key:
    return layout.key_of(UUID(str(point.id)), names)


def _filter(parts: Sequence[ScopePart]) -> models.Filter:
    """All that some parts hold. One is filtered flat, which the server plans better than a choice of one."""
    seen = [layout.in_part(part) for part in parts]
    if len(seen) == 1:
        return _where(seen[0])
    either: list[Any] = [_where(each) for each in seen]
    return models.Filter(min_should=models.MinShould(conditions=either, min_count=1))


def _where(where: layout.Where) -> models.Filter:
    return models.Filter(must=_conditions(where.must), must_not=_conditions(where.must_not))


def _conditions(conditions: Sequence[layout.Condition]) -> list[Any]:
    return [_condition(condition) for condition in conditions]


def _condition(condition: layout.Condition) -> models.Condition:
    field = condition.field
    if condition.missing:
        return models.IsEmptyCondition(is_empty=models.PayloadField(key=field))
    if condition.equals is not None:
        return _is(field, condition.equals)
    if condition.any_of:
        return models.FieldCondition(key=field, match=models.MatchAny(any=list(condition.any_of)))
    if condition.one_of:
        return models.FieldCondition(key=field, match=models.MatchAny(any=list(condition.one_of)))
    return models.FieldCondition(key=field, range=models.Range(gte=condition.at_least, lte=condition.at_most))


def _is(field: str, value: str) -> models.FieldCondition:
    return models.FieldCondition(key=field, match=models.MatchValue(value=value))


def _lexical(ask: Query, seen: models.Filter) -> list[models.Prefetch]:
    """The lexical arm; none where the query has no words that are known."""
    if not ask.words.terms:
        return []
    return [models.Prefetch(query=_sparse(ask.words), using=layout.WORDS, filter=seen, limit=ask.lexical_limit)]


def _dense(ask: Query, seen: models.Filter, lexical: list[models.Prefetch]) -> models.Prefetch:
    """The nearest over the floor, and the cosine of all that the lexical arm found, however small."""
    cosine = models.Prefetch(query=ask.vector, using=layout.DENSE, params=models.SearchParams(exact=True))
    over = {"filter": seen, "limit": ask.dense_limit, "score_threshold": ask.blend.floor}
    nearest = cosine.model_copy(update=over)
    if not lexical:
        return nearest
    among = [*lexical, nearest] if ask.dense_limit else lexical
    return cosine.model_copy(update={"prefetch": among, "limit": ask.lexical_limit + ask.dense_limit})


def _nearest(ask: Query, seen: models.Filter) -> models.QueryRequest:
    return models.QueryRequest(
        query=ask.vector,
        using=layout.DENSE,
        filter=seen,
        params=models.SearchParams(exact=True),
        score_threshold=ask.blend.floor,
        limit=ask.dense_limit,
    )


def _fused(ask: Query, seen: models.Filter) -> models.QueryRequest:
    """All arms and their blend in one request."""
    arms = _lexical(ask, seen)
    terms: list[models.Expression] = []
    if arms:
        x = "$score[0]"
        of = models.DivParams(left=x, right=models.SumExpression(sum=[x, ask.blend.half]), by_zero_default=0.0)
        terms.append(models.DivExpression(div=of))
    if ask.vector:
        arms = [*arms, _dense(ask, seen, arms)]
        terms.append(_times(ask.blend.dense, f"$score[{len(arms) - 1}]"))
    formula = models.SumExpression(sum=[*terms, *_priors(ask)])
    missing = {f"$score[{n}]": 0.0 for n in range(len(arms))}
    query = models.FormulaQuery(formula=formula, defaults=missing)
    return models.QueryRequest(prefetch=arms, query=query, limit=ask.limit)


def _priors(ask: Query) -> list[models.Expression]:
    found: list[models.Expression] = []
    if ask.blend.speaker and ask.speaker:
        found.append(_times(ask.blend.speaker, _is("speaker", ask.speaker)))
    found += [_times(-weight, _is("form", form)) for form, weight in ask.blend.by_form]
    return found


def _times(weight: float, of: models.Expression) -> models.MultExpression:
    return models.MultExpression(mult=[weight, of])


# --- the server's errors ------------------------------------------------------------------------------------------


@contextmanager
def _asking(url: str, *, changing: bool = False) -> Iterator[None]:
    """Errors as Palimpsest's own. A question that the server finds wrong is not asked again; a change always is."""
    server = f"The Qdrant server {url}"
    try:
        yield
    except ResponseHandlingException as error:
        why = type(error.source).__name__
        raise StorageAway(
            f"{server} does not answer ({why}). Nothing is lost: the log has all that it holds. Start it, or check "
            "--qdrant-url; a system that runs tries again by itself."
        ) from None
    except ResourceExhaustedResponse:
        raise StorageAway(
            f"{server} has too much to do (status 429). A system that runs tries again by itself."
        ) from None
    except UnexpectedResponse as error:
        status = error.status_code or 0
        if status in (401, 403):
            raise StorageAway(
                f"{server} refuses the key (status {status}). Set QDRANT_API_KEY to one that may read and write its "
                "collections, where the storage actor runs, and start again."
            ) from None
        wrong = not changing and status in (400, 413, 422)
        kind = StorageUnavailable if wrong else StorageAway
        raise kind(f"{server} answered with status {status}: {_said(error.content)}. Look into its log.") from None


def _said(content: bytes) -> str:
    """The server's own words; a server never gets the key but in a header, and has no reason to say it back."""
    key = os.environ.get("QDRANT_API_KEY", "").strip()
    try:
        answer = msgspec.json.decode(content)
        said = str(answer["status"]["error"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        said = content.decode("utf-8", "replace")
    return " ".join((said.replace(key, "…") if key else said).split())[:_QUOTE_CHARS]
