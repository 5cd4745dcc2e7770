"""Reading a partition's SQLite file: any number of readers, in this process or others, while a writer is at work.

A reader has a connection of its own, so it sees what is committed and nothing else. Its threads take turns.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from itertools import starmap
from pathlib import Path
from typing import Any, Final, Self

from events.envelope import Envelope
from store.log import Snapshot, StreamHead
from store.sqlite_file import open_reader, reported

_LAST: Final = 2**63 - 1
_ALL: Final = -1  # as a LIMIT

# The columns stand in the order of Envelope's fields, and of StreamHead's and Snapshot's.
_REST = "e.seq, e.position, e.time, e.kind, e.version, e.key, e.body, e.turn, e.cause, e.opens, e.closes, e.hash"
_OF_STREAM = "stream = (SELECT id FROM streams WHERE agent = ?)"
_READ = f"SELECT ?, {_REST} FROM events e WHERE {_OF_STREAM} AND seq > ? AND seq <= ? {{wanted}} ORDER BY seq LIMIT ?"
_SEQ_AT = f"SELECT seq FROM events WHERE {_OF_STREAM} AND position <= ? ORDER BY seq DESC LIMIT 1"
_TAIL = f"""SELECT s.agent, {_REST} FROM events e CROSS JOIN streams s ON s.id = e.stream
    WHERE e.position > ? AND e.position <= ? {{wanted}} ORDER BY e.position LIMIT ?"""
_HEAD = "SELECT agent, seq, hash, position, created_ms, updated_ms FROM streams"
_OPEN = f"""SELECT s.agent, {_REST} FROM requests r CROSS JOIN events e ON e.position = r.position
    CROSS JOIN streams s ON s.id = e.stream WHERE r.topic = ? {{one}} ORDER BY r.position"""
_SNAPSHOTS = f"""SELECT ?, seq, chain, fold, state, digest FROM snapshots
    WHERE {_OF_STREAM} AND seq <= ? ORDER BY seq DESC LIMIT ?"""


class SqliteReader:
    """A `LogReader` over one file."""

    def __init__(self, path: Path, connection: sqlite3.Connection, clean_up: Callable[[], None]) -> None:
        self.path = path
        self._reading = connection
        self._clean_up = clean_up
        self._reading_turn = threading.Lock()

    @classmethod
    def open_readonly(cls, path: Path) -> SqliteReader:
        """Open a log for reading, its writer alive or not, its folder writable or not. Raises BadInput where there is
        none, NewerFormat, LogUnreadable."""
        return SqliteReader(path, *open_reader(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with self._reading_turn:
            self._reading.close()
            self._clean_up()

    def read(
        self,
        agent: str,
        after: int = 0,
        to: int | None = None,
        limit: int | None = None,
        kinds: frozenset[str] | None = None,
    ) -> list[Envelope]:
        last, most = _LAST if to is None else to, _ALL if limit is None else limit
        query = _READ.format(wanted=_wanted(kinds))
        return self._envelopes(query, (agent, agent, after, last, *sorted(kinds or ()), most))

    def tail(self, after: int, limit: int, kinds: frozenset[str] | None = None) -> tuple[list[Envelope], int]:
        # The end is read first: what is committed between the two queries is left to the next call, not skipped.
        end = max(after, self.position())
        found = self._envelopes(_TAIL.format(wanted=_wanted(kinds)), (after, end, *sorted(kinds or ()), limit))
        if len(found) < limit:
            return found, end
        return found, found[-1].position if found else after

    def head(self, agent: str) -> StreamHead | None:
        row = self._row(f"{_HEAD} WHERE agent = ?", (agent,))
        return StreamHead(*row) if row else None

    def heads(self, after: str = "", limit: int | None = None) -> list[StreamHead]:
        most = _ALL if limit is None else limit
        rows = self._rows(f"{_HEAD} WHERE agent > ? ORDER BY agent LIMIT ?", (after, most))
        return list(starmap(StreamHead, rows))

    def position(self) -> int:
        row = self._row("SELECT max(position) FROM events", ())
        return (row[0] if row else None) or 0

    def open_requests(self, topic: str, agent: str | None = None) -> list[Envelope]:
        if agent is None:
            return self._envelopes(_OPEN.format(one=""), (topic,))
        return self._envelopes(_OPEN.format(one=f"AND r.{_OF_STREAM}"), (topic, agent))

    def cursor(self, consumer: str) -> int:
        row = self._row("SELECT position FROM cursors WHERE consumer = ?", (consumer,))
        return row[0] if row else 0

    def snapshots(self, agent: str, to: int | None = None, limit: int | None = None) -> list[Snapshot]:
        values = (agent, agent, _LAST if to is None else to, _ALL if limit is None else limit)
        return list(starmap(Snapshot, self._rows(_SNAPSHOTS, values)))

    def hash_at(self, agent: str, seq: int) -> bytes | None:
        row = self._row(f"SELECT hash FROM events WHERE {_OF_STREAM} AND seq = ?", (agent, seq))
        return row[0] if row else None

    def seq_at(self, agent: str, position: int) -> int:
        row = self._row(_SEQ_AT, (agent, position))
        return row[0] if row else 0

    def find(self, agent: str, key: str) -> Envelope | None:
        row = self._row(f"SELECT ?, {_REST} FROM events e WHERE {_OF_STREAM} AND key = ?", (agent, agent, key))
        return Envelope(*row) if row else None

    def _envelopes(self, query: str, values: tuple[object, ...]) -> list[Envelope]:
        with self._reading_turn, reported(self.path):
            return list(starmap(Envelope, self._reading.execute(query, values)))

    def _rows(self, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        with self._reading_turn, reported(self.path):
            return self._reading.execute(query, values).fetchall()

    def _row(self, query: str, values: tuple[object, ...]) -> tuple[Any, ...] | None:
        rows = self._rows(query, values)
        return rows[0] if rows else None


def _wanted(kinds: frozenset[str] | None) -> str:
    """The condition that an event is of one of so many kinds (none: "IN ()", which nothing fulfils)."""
    return "" if kinds is None else f"AND e.kind IN ({', '.join('?' * len(kinds))})"
