"""Reading a partition's SQLite file: any number of readers, in this process or others, while a writer is at work.

A reader has a connection of its own, so it sees what is committed and nothing else. Its threads take turns. The file
has an event's number, and whoever opens it says which partition it is.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from itertools import starmap
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from palimpsest.events.envelope import Envelope
from palimpsest.events.kinds import Kind
from palimpsest.events.position import FIRST_PARTITION, Partition, Position, check_same
from palimpsest.events.types import Parent
from palimpsest.events.vocabulary import Topic
from palimpsest.store.bundles.manifest import Redacted
from palimpsest.store.logs.contract import Resting, Snapshot, StreamHead, StreamPart, parts
from palimpsest.store.logs.sqlite_file import open_reader, reported

_ALL: Final = -1  # as a LIMIT

# The columns stand in the order of Envelope's fields, and of StreamHead's and Snapshot's.
_REST = "e.seq, e.position, e.time, e.kind, e.version, e.key, e.body, e.turn, e.cause, e.opens, e.closes, e.hash"
_PARENT = """SELECT p.agent, f.seq FROM streams s LEFT JOIN forks f ON f.stream = s.id
    LEFT JOIN streams p ON p.id = f.parent WHERE s.agent = ?"""
_HAS_TABLE = "SELECT 1 FROM sqlite_master WHERE name = ?"
_LINEAGES_KEPT: Final = 20_000

_OF_STREAM = "stream = (SELECT id FROM streams WHERE agent = ?)"
_READ = f"SELECT ?, {_REST} FROM events e WHERE {_OF_STREAM} AND seq > ? AND seq <= ? {{wanted}} ORDER BY seq LIMIT ?"
_SEQ_AT = f"SELECT seq FROM events WHERE {_OF_STREAM} AND seq <= ? AND position <= ? ORDER BY seq DESC LIMIT 1"
_TAIL = f"""SELECT s.agent, {_REST} FROM events e CROSS JOIN streams s ON s.id = e.stream
    WHERE e.position > ? AND e.position <= ? {{wanted}} ORDER BY e.position LIMIT ?"""
_HEAD = "SELECT agent, seq, hash, position, created_ms, updated_ms FROM streams"
_OPEN = f"""SELECT s.agent, {_REST} FROM requests r CROSS JOIN events e ON e.position = r.position
    CROSS JOIN streams s ON s.id = e.stream WHERE r.topic = ? {{one}} ORDER BY r.position"""
_REDACTION = f"SELECT record FROM redactions WHERE {_OF_STREAM}"
_SNAPSHOTS = f"""SELECT ?, seq, chain, fold, state, digest FROM snapshots
    WHERE {_OF_STREAM} AND seq > ? AND seq <= ? ORDER BY seq DESC LIMIT ?"""


class SqliteReader:
    """A `LogReader` over one file."""

    def __init__(
        self, path: Path, partition: Partition, connection: sqlite3.Connection, clean_up: Callable[[], None]
    ) -> None:
        self.path = path
        self.partition = partition
        self._reading = connection
        self._clean_up = clean_up
        self._reading_turn = threading.Lock()
        self._tables: set[str] = set()
        """Of those that a file may lack, the ones that are there."""
        self._parts: dict[str, list[StreamPart]] = {}
        """Of streams that are there: what they are read from never changes."""

    @classmethod
    def open_readonly(cls, path: Path, partition: Partition = FIRST_PARTITION) -> SqliteReader:
        """Open a log for reading, its writer alive or not, its folder writable or not. Raises BadInput where there is
        none, NewerFormat, LogUnreadable."""
        return SqliteReader(path, partition, *open_reader(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with self._reading_turn:
            self._reading.close()
            self._clean_up()

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
        query = _READ.format(wanted=_wanted(kinds))
        found: list[Envelope] = []
        for part in self._parts_of(agent):
            most = _ALL if limit is None else limit - len(found)
            first, last = max(after, part.after), part.to if to is None else min(to, part.to)
            if first < last and most:
                values = (part.stream, part.stream, first, last, *sorted(kinds or ()), most)
                found += self._envelopes(query, values)
        return found

    def tail(
        self, after: Position, limit: int, kinds: frozenset[Kind] | None = None
    ) -> tuple[list[Envelope], Position]:
        # The end is read first: what is committed between the two queries is left to the next call, not skipped.
        end = max(after, self.position(after.partition))
        between = (after.number, end.number)
        found = self._envelopes(_TAIL.format(wanted=_wanted(kinds)), (*between, *sorted(kinds or ()), limit))
        if len(found) < limit:
            return found, end
        return found, found[-1].position if found else after

    def head(self, agent: str) -> StreamHead | None:
        row = self._row(f"{_HEAD} WHERE agent = ?", (agent,))
        return self._stream_head(row) if row else None

    def heads(self, after: str = "", limit: int | None = None) -> list[StreamHead]:
        most = _ALL if limit is None else limit
        rows = self._rows(f"{_HEAD} WHERE agent > ? ORDER BY agent LIMIT ?", (after, most))
        return [self._stream_head(row) for row in rows]

    def _stream_head(self, row: tuple[Any, ...]) -> StreamHead:
        agent, seq, hash, number, *times = row
        return StreamHead(agent, seq, hash, Position(self.partition, number), *times)

    def position(self, partition: Partition) -> Position:
        check_same(partition, self.partition)
        row = self._row("SELECT max(position) FROM events", ())
        return Position(partition, (row[0] if row else None) or 0)

    def open_requests(self, topic: Topic | Resting, partition: Partition) -> list[Envelope]:
        check_same(partition, self.partition)
        return self._envelopes(_OPEN.format(one=""), (topic,))

    def open_requests_of(self, agent: str, topic: Topic | Resting) -> list[Envelope]:
        return self._envelopes(_OPEN.format(one=f"AND r.{_OF_STREAM}"), (topic, agent))

    def cursor(self, consumer: str, partition: Partition) -> Position:
        check_same(partition, self.partition)
        row = self._row("SELECT position FROM cursors WHERE consumer = ?", (consumer,))
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
        row = self._row(_REDACTION, (agent,)) if self._has("redactions") else None
        return msgspec.msgpack.decode(row[0], type=Redacted) if row else None

    def hash_at(self, agent: str, seq: int) -> bytes | None:
        for part in self._parts_of(agent):
            if part.after < seq <= part.to:
                row = self._row(f"SELECT hash FROM events WHERE {_OF_STREAM} AND seq = ?", (part.stream, seq))
                return row[0] if row else None
        return None

    def seq_at(self, agent: str, position: Position) -> int:
        number = position.number_in(self.partition)
        for part in reversed(self._parts_of(agent)):
            row = self._row(_SEQ_AT, (part.stream, part.to, number))
            if row:
                return int(row[0])
        return 0

    def lineage(self, agent: str) -> list[Parent]:
        found = self._parts_of(agent)
        return [Parent(agent=part.stream, seq=part.to) for part in reversed(found[:-1])]

    def _parts_of(self, agent: str) -> list[StreamPart]:
        known = self._parts.get(agent)
        if known is not None:
            return known
        lineage: list[Parent] = []
        there, parent = self._parent(agent)
        while parent is not None:
            lineage.append(parent)
            _, parent = self._parent(parent.agent)
        found = parts(agent, lineage)
        if there:
            if len(self._parts) >= _LINEAGES_KEPT:
                self._parts = {}
            self._parts[agent] = found
        return found

    def _parent(self, agent: str) -> tuple[bool, Parent | None]:
        """Whether the stream is there, and what it goes on from."""
        if not self._has("forks"):
            return False, None
        row = self._row(_PARENT, (agent,))
        return row is not None, Parent(agent=row[0], seq=row[1]) if row and row[0] is not None else None

    def _has(self, table: str) -> bool:
        if table not in self._tables and self._row(_HAS_TABLE, (table,)):
            self._tables.add(table)
        return table in self._tables

    def find(self, agent: str, key: str) -> Envelope | None:
        query = f"SELECT ?, {_REST} FROM events e WHERE {_OF_STREAM} AND key = ?"
        return next(iter(self._envelopes(query, (agent, agent, key))), None)

    def _envelopes(self, query: str, values: tuple[object, ...]) -> list[Envelope]:
        here = self.partition
        with self._reading_turn, reported(self.path):
            rows = self._reading.execute(query, values)
            return [
                Envelope(
                    agent, seq, Position(here, number), time, kind, version, key, body, turn, cause, opens, closes, hash
                )
                for agent, seq, number, time, kind, version, key, body, turn, cause, opens, closes, hash in rows
            ]

    def _rows(self, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        with self._reading_turn, reported(self.path):
            return self._reading.execute(query, values).fetchall()

    def _row(self, query: str, values: tuple[object, ...]) -> tuple[Any, ...] | None:
        rows = self._rows(query, values)
        return rows[0] if rows else None


def _wanted(kinds: frozenset[Kind] | None) -> str:
    """The condition that an event is of one of so many kinds (none: "IN ()", which nothing fulfils)."""
    return "" if kinds is None else f"AND e.kind IN ({', '.join('?' * len(kinds))})"
