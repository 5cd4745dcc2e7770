"""Reading a log in PostgreSQL: any number of readers, on the primary or a standby, while a writer is at work.

Rules: (1) its sessions only read, whatever their user may do; (2) threads read side by side, each on a connection that
is its own for the time of a query; (3) a connection that was lost (a server that was restarted) is made anew, and what
was asked is asked once more.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from itertools import starmap
from typing import Final, Self

import msgspec
import psycopg

from palimpsest.events.envelope import Envelope
from palimpsest.events.kinds import Kind
from palimpsest.events.position import FIRST_PARTITION, Partition, Position, check_same
from palimpsest.events.types import Parent
from palimpsest.events.vocabulary import Topic
from palimpsest.store.bundles.manifest import Redacted
from palimpsest.store.logs.contract import LAST_SEQ, Resting, Snapshot, StreamHead, StreamPart, parts
from palimpsest.store.logs.postgres_durability import Durability, durability
from palimpsest.store.logs.postgres_errors import is_lost, reported
from palimpsest.store.logs.postgres_rows import EVENT_COLUMNS, Row, envelope
from palimpsest.store.logs.postgres_schema import check_readable
from palimpsest.store.logs.postgres_session import Connection, reading
from palimpsest.store.logs.postgres_url import Database, database, in_schema

CONNECTIONS: Final = 4
"""So many threads read side by side; more wait for one another."""

_LINEAGES_KEPT: Final = 20_000
_ALL: Final = LAST_SEQ  # as a LIMIT

# Each looks its rows up in the order in which it is written, whatever the planner knows of the tables: a stream's id in
# a query of its own, the event of a request and the stream of an event behind OFFSET 0.
_ID: Final = "(SELECT id FROM palimpsest.streams WHERE agent = %b)"
_NAMED: Final = "LATERAL (SELECT agent FROM palimpsest.streams s WHERE s.id = e.stream OFFSET 0) s"
_AT: Final = """LATERAL (SELECT * FROM palimpsest.events e
    WHERE e.partition = r.partition AND e.position = r.position OFFSET 0) e"""
_READ: Final = f"""SELECT %b::text, {EVENT_COLUMNS} FROM palimpsest.events e
    WHERE e.stream = {_ID} AND e.seq > %b AND e.seq <= %b {{wanted}} ORDER BY e.seq LIMIT %b"""
_FIND: Final = f"""SELECT %b::text, {EVENT_COLUMNS} FROM palimpsest.events e
    WHERE int8send(e.stream) || e.key = int8send({_ID}) || %b"""
_HASH_AT: Final = f"SELECT e.hash FROM palimpsest.events e WHERE e.stream = {_ID} AND e.seq = %b"
_SEQ_AT: Final = f"""SELECT e.seq FROM palimpsest.events e WHERE e.stream = {_ID} AND e.seq <= %b
    AND e.partition + 0 = %b AND e.position + 0 <= %b ORDER BY e.seq DESC LIMIT 1"""
_TAIL: Final = f"""SELECT s.agent, {EVENT_COLUMNS} FROM palimpsest.events e, {_NAMED}
    WHERE e.partition = %b AND e.position > %b AND e.position <= %b {{wanted}} ORDER BY e.position LIMIT %b"""
_OPEN: Final = f"""SELECT s.agent, {EVENT_COLUMNS} FROM palimpsest.requests r, {_AT}, {_NAMED}
    WHERE r.partition = %b AND r.topic = %b ORDER BY r.position"""
_OPEN_OF_ONE: Final = f"""SELECT %b::text, {EVENT_COLUMNS} FROM palimpsest.requests r, {_AT}
    WHERE int8send(r.stream) || r.key >= int8send({_ID}) AND int8send(r.stream) || r.key < int8send({_ID} + 1)
    AND r.partition + 0 = %b AND r.topic || '' = %b ORDER BY r.position"""
_HEAD: Final = "SELECT agent, seq, hash, partition, position, created_ms, updated_ms FROM palimpsest.streams"
_POSITION: Final = "SELECT position FROM palimpsest.partitions WHERE id = %b"
_CURSOR: Final = "SELECT position FROM palimpsest.cursors WHERE partition = %b AND consumer = %b"
_SNAPSHOTS: Final = f"""SELECT %b::text, seq, chain, fold, state, digest FROM palimpsest.snapshots
    WHERE stream = {_ID} AND seq > %b AND seq <= %b ORDER BY seq DESC LIMIT %b"""
_REDACTION: Final = f"SELECT record FROM palimpsest.redactions WHERE stream = {_ID}"
_LINEAGE: Final = """WITH RECURSIVE line AS (
        SELECT 0 AS n, s.agent, s.parent, s.parent_seq FROM palimpsest.streams s WHERE s.agent = %b
    UNION ALL
        SELECT l.n + 1, p.agent, p.parent, p.parent_seq FROM line l,
        LATERAL (SELECT * FROM palimpsest.streams p WHERE p.id = l.parent OFFSET 0) p)
    SELECT agent, parent_seq FROM line ORDER BY n"""

_NOTHING: Final = "nothing was read"
_AGAIN: Final = frozenset({"40001", "40P01"})
"""A standby that gave a query up for what it had to take in meanwhile."""


class PostgresReader:
    """A `LogReader` over one partition of a log in a database."""

    def __init__(self, database: Database, partition: Partition = FIRST_PARTITION) -> None:
        self.database = database
        self.partition = partition
        self._idle: list[Connection] = []
        self._seats = threading.BoundedSemaphore(CONNECTIONS)
        self._lending = threading.Lock()
        self._closed = False
        self._read_from = "any"
        self._parts: dict[str, list[StreamPart]] = {}
        """Of streams that are there: what they are read from never changes."""

    @classmethod
    def open_readonly(cls, url: str, partition: Partition = FIRST_PARTITION, *, schema: str = "") -> PostgresReader:
        """Open a log for reading, its writer alive or not, on a standby too. Raises NoLog where there is none,
        BadInput, NewerFormat, LogUnreadable, LogUnavailable."""
        reader = PostgresReader(database(url, schema), partition)
        try:
            with reader._borrowed() as connection:
                check_readable(connection, reader.database, partition)
        except BaseException:
            reader.close()
            raise
        return reader

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._closed = True
        self._let_go()

    @property
    def partitions(self) -> tuple[Partition, ...]:
        return (self.partition,)

    def read(
        self,
        agent: str,
        after: int = 0,
        to: int | None = None,
        limit: int | None = None,
        kinds: frozenset[Kind] | None = None,
    ) -> list[Envelope]:
        wanted, names = _wanted(kinds)
        found: list[Envelope] = []
        for part in self._parts_of(agent):
            most = _ALL if limit is None else limit - len(found)
            first, last = max(after, part.after), part.to if to is None else min(to, part.to)
            if first < last and most:
                query = _READ.format(wanted=wanted)
                found += map(envelope, self._rows(query, (part.stream, part.stream, first, last, *names, most)))
        return found

    def tail(
        self, after: Position, limit: int, kinds: frozenset[Kind] | None = None
    ) -> tuple[list[Envelope], Position]:
        # The end is read first: what is committed between the two queries is left to the next call, not skipped.
        end = max(after, self.position(after.partition))
        wanted, names = _wanted(kinds)
        found: list[Envelope] = []
        if after < end and limit:
            rows = self._rows(_TAIL.format(wanted=wanted), (self.partition, after.number, end.number, *names, limit))
            found = list(map(envelope, rows))
        if len(found) < limit:
            return found, end
        return found, found[-1].position if found else after

    def head(self, agent: str) -> StreamHead | None:
        row = self._row(f"{_HEAD} WHERE agent = %b", (agent,))
        return _stream_head(row) if row else None

    def heads(self, after: str = "", limit: int | None = None) -> list[StreamHead]:
        most = _ALL if limit is None else limit
        rows = self._rows(f"{_HEAD} WHERE agent > %b ORDER BY agent LIMIT %b", (after, most))
        return list(map(_stream_head, rows))

    def position(self, partition: Partition) -> Position:
        check_same(partition, self.partition)
        row = self._row(_POSITION, (self.partition,))
        return Position(partition, row[0] if row else 0)

    def open_requests(self, topic: Topic | Resting, partition: Partition) -> list[Envelope]:
        check_same(partition, self.partition)
        return list(map(envelope, self._rows(_OPEN, (partition, topic))))

    def open_requests_of(self, agent: str, topic: Topic | Resting) -> list[Envelope]:
        return list(map(envelope, self._rows(_OPEN_OF_ONE, (agent, agent, agent, self.partition, topic))))

    def cursor(self, consumer: str, partition: Partition) -> Position:
        check_same(partition, self.partition)
        row = self._row(_CURSOR, (partition, consumer))
        return Position(partition, row[0] if row else 0)

    def snapshots(self, agent: str, to: int | None = None, limit: int | None = None) -> list[Snapshot]:
        found: list[Snapshot] = []
        for part in reversed(self._parts_of(agent)):
            most = _ALL if limit is None else limit - len(found)
            last = part.to if to is None else min(to, part.to)
            if part.after < last and most:
                found += starmap(Snapshot, self._rows(_SNAPSHOTS, (part.stream, part.stream, part.after, last, most)))
        return found

    def redaction(self, agent: str) -> Redacted | None:
        row = self._row(_REDACTION, (agent,))
        return msgspec.msgpack.decode(row[0], type=Redacted) if row else None

    def hash_at(self, agent: str, seq: int) -> bytes | None:
        for part in self._parts_of(agent):
            if part.after < seq <= part.to:
                row = self._row(_HASH_AT, (part.stream, seq))
                return row[0] if row else None
        return None

    def seq_at(self, agent: str, position: Position) -> int:
        number = position.number_in(self.partition)
        for part in reversed(self._parts_of(agent)):
            row = self._row(_SEQ_AT, (part.stream, part.to, self.partition, number))
            if row:
                return int(row[0])
        return 0

    def find(self, agent: str, key: str) -> Envelope | None:
        row = self._row(_FIND, (agent, agent, key.encode()))
        return envelope(row) if row else None

    def lineage(self, agent: str) -> list[Parent]:
        found = self._parts_of(agent)
        return [Parent(agent=part.stream, seq=part.to) for part in reversed(found[:-1])]

    def durability(self) -> Durability:
        """What the server does for what it acknowledges."""
        with self._borrowed() as connection, reported(self.database, _NOTHING):
            return durability(connection)

    def _parts_of(self, agent: str) -> list[StreamPart]:
        known = self._parts.get(agent)
        if known is not None:
            return known
        line = self._rows(_LINEAGE, (agent,))
        above = zip(line[1:], line, strict=False)
        found = parts(agent, [Parent(agent=name, seq=seq) for (name, _), (_, seq) in above])
        if line:
            if len(self._parts) >= _LINEAGES_KEPT:
                self._parts = {}
            self._parts[agent] = found
        return found

    # --- connections

    def _row(self, query: str, values: tuple[object, ...]) -> Row | None:
        rows = self._rows(query, values)
        return rows[0] if rows else None

    def _rows(self, query: str, values: tuple[object, ...]) -> list[Row]:
        """The rows of a query; it is asked once more where the connection was lost since it was last used."""
        statement = in_schema(query, self.database.schema)
        with reported(self.database, _NOTHING):
            try:
                return self._asked(statement, values)
            except psycopg.OperationalError as error:
                if not (error.sqlstate in _AGAIN or is_lost(error)):
                    raise
                self._let_go()
            return self._asked(statement, values)

    def _asked(self, statement: bytes, values: tuple[object, ...]) -> list[Row]:
        with self._borrowed() as connection:
            return connection.cursor(binary=True).execute(statement, values).fetchall()

    def _let_go(self) -> None:
        """Connections are lost together: those that idle are made anew too."""
        with self._lending:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[Connection]:
        """A connection for one thread, for a while."""
        with self._seats:
            with self._lending:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                connection = reading(self.database, self._read_from)
            try:
                yield connection
            finally:
                with self._lending:
                    kept = not (self._closed or connection.closed or connection.broken)
                    if kept:
                        self._idle.append(connection)
                if not kept:
                    connection.close()


def _stream_head(row: Row) -> StreamHead:
    stream, seq, value, partition, number, *times = row
    return StreamHead(stream, seq, value, Position(partition, number), *times)


def _wanted(kinds: frozenset[Kind] | None) -> tuple[str, tuple[object, ...]]:
    """The condition that an event is of one of these kinds, and its values."""
    return ("", ()) if kinds is None else ("AND e.kind = ANY (%b::text[])", (sorted(kinds),))
