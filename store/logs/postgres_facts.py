"""What an admission asks of a log in PostgreSQL, looked up for a whole batch in one round trip.

It is looked up outside of the transaction that will write. That is sound because nobody else can have written since
without raising the epoch, which the fence sees; the row of the partition is read last, for batches that write nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from palimpsest.events.envelope import GENESIS
from palimpsest.events.position import Partition, Position
from palimpsest.events.types import Parent
from palimpsest.store.logs.admission import OpenRequest
from palimpsest.store.logs.contract import Append
from palimpsest.store.logs.heads import Head, HeadCache
from palimpsest.store.logs.postgres_session import WriterSession

Root = tuple[Parent, bytes]
Key = tuple[str, str]
"""A stream and a key in it."""

_STREAM: Final = "LATERAL (SELECT * FROM palimpsest.streams s WHERE s.agent = q.agent OFFSET 0) s"
# OFFSET 0 holds the planner to this order: first what is asked, then its row by its index.
_HEADS: Final = f"SELECT s.agent, s.id, s.seq, s.hash FROM unnest(%b::text[]) q(agent), {_STREAM}"
_PLACES: Final = f"""SELECT q.n, e.seq, e.position
    FROM unnest(%b::text[], %b::bytea[]) WITH ORDINALITY q(agent, key, n), {_STREAM},
    LATERAL (SELECT * FROM palimpsest.events e
        WHERE int8send(e.stream) || e.key = int8send(s.id) || q.key OFFSET 0) e"""
_REQUESTS: Final = f"""SELECT q.n, r.topic, r.position
    FROM unnest(%b::text[], %b::bytea[]) WITH ORDINALITY q(agent, key, n), {_STREAM},
    LATERAL (SELECT * FROM palimpsest.requests r
        WHERE int8send(r.stream) || r.key = int8send(s.id) || q.key OFFSET 0) r"""
_ROOTS: Final = f"""WITH RECURSIVE line AS (
        SELECT q.n, q.seq AS asked, s.id, s.agent, s.parent, s.parent_seq
        FROM unnest(%b::text[], %b::bigint[]) WITH ORDINALITY q(agent, seq, n), {_STREAM}
    UNION ALL
        SELECT l.n, l.asked, p.id, p.agent, p.parent, p.parent_seq
        FROM line l, LATERAL (SELECT * FROM palimpsest.streams p WHERE p.id = l.parent OFFSET 0) p
        WHERE l.asked <= l.parent_seq)
    SELECT l.n, l.agent, l.id, e.hash FROM line l,
    LATERAL (SELECT * FROM palimpsest.events e WHERE e.stream = l.id AND e.seq = l.asked OFFSET 0) e"""
_SNAPSHOTS: Final = f"""SELECT s.agent, n.seq FROM unnest(%b::text[]) q(agent), {_STREAM},
    LATERAL (SELECT * FROM palimpsest.snapshots n WHERE n.stream = s.id OFFSET 0) n"""
_PARTITION: Final = "SELECT epoch, position FROM palimpsest.partitions WHERE id = %b"


class BatchFacts:
    """`admission.Facts` of a batch. `partition` is the partition's epoch and position after all else was read."""

    def __init__(self, session: WriterSession, known: HeadCache) -> None:
        self._session = session
        self._known = known
        self._heads: dict[str, Head | None] = {}
        self._places: dict[Key, tuple[int, Position]] = {}
        self._requests: dict[Key, OpenRequest] = {}
        self._roots: dict[tuple[str, int], Root | None] = {}
        self._ids: dict[str, int] = {}
        self.snapshot_seqs: dict[str, set[int]] = {}
        self.partition = 0, 0

    def look_up(self, appends: Sequence[Append], partition: Partition) -> None:
        drafts = [draft for append in appends for draft in append.drafts]
        agents = {draft.stream for draft in drafts}
        agents.update(snapshot.stream for append in appends for snapshot in append.snapshots)
        unknown = [agent for agent in agents if self._remember(agent) is None]
        keys = list({(draft.stream, draft.key) for draft in drafts})
        closes = list({(draft.stream, draft.closes) for draft in drafts if draft.closes})
        parents = list({(each.agent, each.seq) for append in appends for each in append.forks.values()})
        saved = list({snapshot.stream for append in appends for snapshot in append.snapshots})
        with self._session.connection.pipeline():
            heads = self._ask(_HEADS, (unknown,), unknown)
            places = self._ask(_PLACES, _columns(keys), keys)
            requests = self._ask(_REQUESTS, _columns(closes), closes)
            roots = self._ask(_ROOTS, ([agent for agent, _ in parents], [seq for _, seq in parents]), parents)
            snapshots = self._ask(_SNAPSHOTS, (saved,), saved)
            row = self._session.execute(_PARTITION, (partition,))
        self._heads |= dict.fromkeys(unknown) | {agent: Head(*rest) for agent, *rest in heads}
        self._places |= {keys[n - 1]: (seq, Position(partition, position)) for n, seq, position in places}
        for n, topic, position in requests:
            agent, key = closes[n - 1]
            self._requests[agent, key] = OpenRequest(agent, key, topic, Position(partition, position))
        self._roots |= dict.fromkeys(parents)
        for n, agent, stream, value in roots:
            self._root_is(parents[n - 1], agent, stream, value)
        for agent, seq in snapshots:
            self.snapshot_seqs.setdefault(agent, set()).add(seq)
        ((epoch, position),) = row.fetchall()
        self.partition = epoch, position

    def head(self, agent: str) -> Head | None:
        return self._heads.get(agent)

    def id(self, agent: str) -> int | None:
        """The id of a stream that is there."""
        head = self._heads.get(agent)
        return head.id if head else self._ids.get(agent)

    # --- what an admission asks

    def end(self, agent: str) -> tuple[int, bytes]:
        head = self._heads[agent]
        return (head.seq, head.hash) if head else (0, GENESIS)

    def placed(self, agent: str, key: str) -> tuple[int, Position] | None:
        return self._places.get((agent, key))

    def request(self, agent: str, key: str) -> OpenRequest | None:
        return self._requests.get((agent, key))

    def root(self, parent: Parent) -> Root | None:
        """Mostly known; a parent that is itself begun in this batch has another above it, which is asked for now."""
        asked = parent.agent, parent.seq
        if asked not in self._roots:
            self._roots[asked] = None
            for _, agent, stream, value in self._session.execute(_ROOTS, ([parent.agent], [parent.seq])).fetchall():
                self._root_is(asked, agent, stream, value)
        return self._roots[asked]

    def _root_is(self, asked: tuple[str, int], agent: str, stream: int, value: bytes) -> None:
        self._ids[agent] = stream
        self._roots[asked] = Parent(agent=agent, seq=asked[1]), value

    def _remember(self, agent: str) -> Head | None:
        head = self._heads[agent] = self._known.get(agent)
        return head

    def _ask(self, query: str, values: tuple[object, ...], about: Sequence[object]) -> Iterable[tuple[Any, ...]]:
        """The rows, which come when the pipeline is through; nothing is asked about nothing."""
        return self._session.execute(query, values) if about else ()


def _columns(keys: Sequence[Key]) -> tuple[list[str], list[bytes]]:
    return [agent for agent, _ in keys], [key.encode() for _, key in keys]
