"""What an admission took, as the statements that write it; and events as rows. The one place that converts the two.

Each statement takes a batch's rows as arrays, one a column (`unnest`), in binary: so a batch costs few statements, and
the client little.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any, Final

import msgspec

from palimpsest.events.envelope import Envelope
from palimpsest.events.position import Partition, Position
from palimpsest.store.logs.admission import Admission
from palimpsest.store.logs.contract import superseded
from palimpsest.store.logs.heads import Head
from palimpsest.store.logs.postgres_facts import BatchFacts
from palimpsest.store.logs.postgres_schema import STREAMS_A_PARTITION

Statement = tuple[str, tuple[object, ...]]
Row = tuple[Any, ...]

EVENT_COLUMNS: Final = """e.seq, e.partition, e.position, e.time, e.kind, e.version, e.key, e.body, e.turn, e.cause,
    e.opens, e.closes, e.hash"""
"""After the stream's name, as `envelope` takes them."""

_INSERT_EVENTS: Final = """INSERT INTO palimpsest.events
    (partition, stream, seq, position, time, kind, version, key, body, turn, cause, opens, closes, hash)
    SELECT %b, * FROM unnest(%b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[], %b::text[], %b::bigint[],
        %b::bytea[], %b::bytea[], %b::bigint[], %b::bytea[], %b::text[], %b::bytea[], %b::bytea[])"""
_MOVE_STREAMS: Final = """INSERT INTO palimpsest.streams
    (partition, id, agent, seq, hash, position, created_ms, updated_ms, parent, parent_seq)
    SELECT %b, q.id, q.agent, q.seq, q.hash, q.position, q.created, q.updated, nullif(q.parent, 0), nullif(q.at, 0)
    FROM unnest(%b::bigint[], %b::text[], %b::bigint[], %b::bytea[], %b::bigint[], %b::bigint[], %b::bigint[],
        %b::bigint[], %b::bigint[]) q(id, agent, seq, hash, position, created, updated, parent, at)
    ON CONFLICT (id) DO UPDATE SET
    seq = excluded.seq, hash = excluded.hash, position = excluded.position, updated_ms = excluded.updated_ms"""
_OPEN: Final = """INSERT INTO palimpsest.requests (partition, topic, stream, key, position)
    SELECT %b, * FROM unnest(%b::text[], %b::bigint[], %b::bytea[], %b::bigint[])"""
_CLOSE: Final = "DELETE FROM palimpsest.requests WHERE int8send(stream) || key = ANY (%b::bytea[])"
_SET_CURSORS: Final = """INSERT INTO palimpsest.cursors (partition, consumer, position)
    SELECT %b, * FROM unnest(%b::text[], %b::bigint[])
    ON CONFLICT (partition, consumer) DO UPDATE SET position = excluded.position"""
_SAVE_SNAPSHOTS: Final = """INSERT INTO palimpsest.snapshots (stream, seq, chain, fold, state, digest)
    SELECT * FROM unnest(%b::bigint[], %b::bigint[], %b::bytea[], %b::text[], %b::bytea[], %b::bytea[])
    ON CONFLICT (stream, seq) DO UPDATE SET
    chain = excluded.chain, fold = excluded.fold, state = excluded.state, digest = excluded.digest"""
_DROP_SNAPSHOTS: Final = """DELETE FROM palimpsest.snapshots
    WHERE stream = ANY (%b::bigint[]) AND int8send(stream) || int8send(seq) = ANY (%b::bytea[])"""
_KEEP_REDACTIONS: Final = """INSERT INTO palimpsest.redactions (stream, record)
    SELECT * FROM unnest(%b::bigint[], %b::bytea[]) ON CONFLICT (stream) DO UPDATE SET record = excluded.record"""

_POSITION: Final = attrgetter("position")


def envelope(row: Row) -> Envelope:
    """An event, from its stream's name and `EVENT_COLUMNS`."""
    stream, seq, partition, number, time, kind, version, key, body, turn, cause, opens, closes, value = row
    position = Position(partition, number)
    return Envelope(
        stream,
        seq,
        position,
        time,
        kind,
        version,
        key.decode(),
        body,
        turn,
        cause.decode(),
        opens,
        closes.decode(),
        value,
    )


class Writing:
    """What a batch writes. `heads`: where the streams then stand; `last_stream`: the partition's last number of one."""

    def __init__(self, batch: Admission, facts: BatchFacts, partition: Partition, last_stream: int) -> None:
        self._batch = batch
        self._facts = facts
        self._partition = partition
        self.position = batch.position.number
        self.last_stream = last_stream
        self.heads: dict[str, Head] = {}
        self._place_streams()
        self.statements = list(self._statements())

    def __bool__(self) -> bool:
        return bool(self.statements)

    def _place_streams(self) -> None:
        """The streams' new heads; those that are new are numbered on."""
        for each in self._batch.envelopes:
            known = self.heads.get(each.stream) or self._facts.head(each.stream)
            if known is None:
                self.last_stream += 1
            stream = known.id if known else self._partition * STREAMS_A_PARTITION + self.last_stream
            self.heads[each.stream] = Head(stream, each.seq, each.hash)

    def _statements(self) -> Iterator[Statement]:
        batch, heads, partition = self._batch, self.heads, self._partition
        if batch.envelopes:
            yield _INSERT_EVENTS, (partition, *_columns(self._event_rows()))
            yield _MOVE_STREAMS, (partition, *_columns(self._stream_rows()))
        if batch.opened:
            opened = ((r.topic, heads[r.stream].id, r.key.encode(), r.position.number) for r in batch.opened.values())
            yield _OPEN, (partition, *_columns(opened))
        if batch.closed:
            yield _CLOSE, ([_number(heads[r.stream].id) + r.key.encode() for r in batch.closed],)
        if batch.cursors:
            yield _SET_CURSORS, (partition, *_columns(batch.cursors.items()))
        if batch.snapshots:
            yield from self._snapshots()
        if batch.redactions:
            kept = {each.stream: msgspec.msgpack.encode(each) for each in batch.redactions}
            yield _KEEP_REDACTIONS, _columns((heads[agent].id, record) for agent, record in kept.items())

    def _event_rows(self) -> Iterator[Row]:
        ids = {agent: head.id for agent, head in self.heads.items()}
        for e in self._batch.envelopes:
            yield (
                ids[e.stream], e.seq, e.position.number, e.time, e.kind, e.version, e.key.encode(), e.body, e.turn,
                e.cause.encode(), e.opens, e.closes.encode(), e.hash,
            )  # fmt: skip

    def _stream_rows(self) -> Iterator[Row]:
        last = {each.stream: each for each in self._batch.envelopes}
        first = {each.stream: each.time for each in reversed(self._batch.envelopes)}
        for agent, e in last.items():
            head, parent, at = self.heads[agent], 0, 0
            if agent in self._batch.forks:
                above = self._batch.forks[agent]
                parent, at = self._id(above.agent), above.seq
            yield head.id, agent, e.seq, e.hash, e.position.number, first[agent], e.time, parent, at

    def _id(self, agent: str) -> int:
        head = self.heads.get(agent)
        found = head.id if head else self._facts.id(agent)
        assert found is not None, "a fork was taken whose parent is not known"
        return found

    def _snapshots(self) -> Iterator[Statement]:
        saved = {(self.heads[s.stream].id, s.seq): s for s in self._batch.snapshots}
        rows = ((stream, seq, s.chain, s.fold, s.state, s.digest) for (stream, seq), s in saved.items())
        yield _SAVE_SNAPSHOTS, _columns(rows)
        kept: dict[str, set[int]] = {}
        for snapshot in self._batch.snapshots:
            known = self._facts.snapshot_seqs.get(snapshot.stream, ())
            kept.setdefault(snapshot.stream, set(known)).add(snapshot.seq)
        spent = [(self.heads[agent].id, seq) for agent, seqs in kept.items() for seq in superseded(seqs)]
        if spent:
            streams = sorted({stream for stream, _ in spent})
            yield _DROP_SNAPSHOTS, (streams, [_number(stream) + _number(seq) for stream, seq in spent])


def _number(value: int) -> bytes:
    """As `int8send` has it."""
    return value.to_bytes(8, "big", signed=True)


def _columns(rows: Iterable[Row]) -> tuple[list[Any], ...]:
    """Rows turned into columns. There is one at least."""
    return tuple(map(list, zip(*rows, strict=True)))
