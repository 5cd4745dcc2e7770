"""The backends that the contract runs on. See conftest for how another one joins."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import ClassVar, Final, Protocol

from palimpsest.events.position import Partition
from palimpsest.store.logs.contract import LogStore
from palimpsest.store.logs.in_memory import InMemoryLog, Volume
from palimpsest.store.logs.sqlite_log import SqliteLog

PARTITION: Final = Partition(3)
"""The one that they keep here: nothing in the contract is so of a data folder's first alone."""

Stored = tuple[str, int, int, str, bytes]
"""Agent, seq, number in the partition, key, body."""


class Backend(Protocol):
    name: ClassVar[str]
    shared: ClassVar[bool]
    """Whether other processes can open the same bytes."""

    def __init__(self, folder: Path) -> None:
        """Nothing is there yet; `folder` is the test's own, and names the same bytes in every process."""
        ...

    def open(self) -> LogStore:
        """A store over the backend's bytes, of PARTITION, that is not the writer yet. Several may be open."""
        ...

    def stored(self) -> list[Stored]:
        """What rests there, by position, seen by other means than the store's own reading."""
        ...

    def fill_up(self, log: LogStore) -> bool:
        """Leave the store no room to grow. False where the backend has no way to."""
        ...

    def make_room(self, log: LogStore) -> None: ...


class InMemory:
    name: ClassVar[str] = "memory"
    shared: ClassVar[bool] = False

    def __init__(self, folder: Path) -> None:
        del folder
        self.memory = Volume(PARTITION)

    def open(self) -> LogStore:
        return InMemoryLog(self.memory)

    def stored(self) -> list[Stored]:
        return [(e.stream, e.seq, e.position.number, e.key, e.body) for e in self.memory.events]

    def fill_up(self, log: LogStore) -> bool:
        del log
        return False

    def make_room(self, log: LogStore) -> None:
        """It is never full."""


class InSqlite:
    name: ClassVar[str] = "sqlite"
    shared: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        self.path = folder / "log.sqlite"

    def open(self) -> LogStore:
        return SqliteLog(self.path, PARTITION)

    def stored(self) -> list[Stored]:
        query = """SELECT agent, events.seq, events.position, key, body FROM events
            JOIN streams ON streams.id = events.stream ORDER BY events.position"""
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            return connection.execute(query).fetchall()

    def fill_up(self, log: LogStore) -> bool:
        assert isinstance(log, SqliteLog)
        log.limit_pages(1)  # SQLite takes the pages that there are as the least
        return True

    def make_room(self, log: LogStore) -> None:
        assert isinstance(log, SqliteLog)
        log.limit_pages(None)


BACKENDS: dict[str, type[Backend]] = {backend.name: backend for backend in (InMemory, InSqlite)}
