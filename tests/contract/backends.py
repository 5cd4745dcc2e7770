"""The backends that the contract runs on. See conftest for how another one joins."""

from __future__ import annotations

import contextlib
import sqlite3
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

import psycopg

from palimpsest.events.position import Partition
from palimpsest.store.logs.contract import LogStore
from palimpsest.store.logs.in_memory import InMemoryLog, Volume
from palimpsest.store.logs.postgres import DatabaseLog
from palimpsest.store.logs.postgres_log import PostgresLog
from palimpsest.store.logs.sqlite_log import SqliteLog
from tests.worlds.postgres_server import contracts_server, contracts_url, execute, named_elsewhere

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

    def room(self) -> int:
        """The bytes that it takes; 0 where none are counted. No store is open."""
        ...

    def remove(self) -> None:
        """Nothing of it is wanted any more."""
        ...


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

    def room(self) -> int:
        return 0

    def remove(self) -> None:
        """It goes with its last user."""


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

    def room(self) -> int:
        return self.path.stat().st_size

    def remove(self) -> None:
        """It goes with the test's folder."""


_OF_SCHEMA = "relnamespace = '{}'::regnamespace"


class InPostgres:
    """A schema of its own in the server of the tests, named by the folder."""

    name: ClassVar[str] = "postgres"
    shared: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        self.schema = f"t{sha256(str(folder).encode()).hexdigest()[:16]}"
        self.url = f"{contracts_url()}?schema={self.schema}"
        self._is_on_small = False

    def open(self) -> LogStore:
        DatabaseLog(self.url).begin()
        self._execute(f"INSERT INTO {self.schema}.partitions (id) VALUES ({PARTITION}) ON CONFLICT DO NOTHING")
        return PostgresLog(self.url, PARTITION)

    def stored(self) -> list[Stored]:
        rows = self._execute(
            f"""SELECT s.agent, e.seq, e.position, e.key, e.body FROM {self.schema}.events e
            JOIN {self.schema}.streams s ON s.id = e.stream ORDER BY e.position"""
        )
        return [(agent, seq, position, key.decode(), body) for agent, seq, position, key, body in rows]

    def fill_up(self, log: LogStore) -> bool:
        """Move the tables to a tablespace on a small disk, and fill that."""
        del log
        if named_elsewhere() or not contracts_server().mount_small():
            return False
        self._is_on_small = True
        tables = self._execute(f"SELECT tablename FROM pg_tables WHERE schemaname = '{self.schema}'")
        self._execute(*(f"ALTER TABLE {self.schema}.{table} SET TABLESPACE small" for (table,) in tables))
        self._execute(
            f"ALTER TABLE {self.schema}.events ALTER body SET STORAGE EXTERNAL",  # not compressed
            f"CREATE TABLE {self.schema}.ballast (page text) TABLESPACE small",
            f"ALTER TABLE {self.schema}.ballast ALTER page SET STORAGE PLAIN",
        )
        page = f"INSERT INTO {self.schema}.ballast VALUES (repeat('x', 8000))"
        with contextlib.suppress(psycopg.errors.DiskFull):
            self._execute(*[page] * 1000)
        return True

    def make_room(self, log: LogStore) -> None:
        del log
        self._execute(f"DROP TABLE {self.schema}.ballast", "CHECKPOINT")

    def room(self) -> int:
        query = f"SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class WHERE relkind = 'r' AND {_OF_SCHEMA}"
        ((taken,),) = self._execute(query.format(self.schema))
        return int(taken)

    def remove(self) -> None:
        self._execute(f"DROP SCHEMA IF EXISTS {self.schema} CASCADE")
        if self._is_on_small:
            contracts_server().unmount_small()

    def _execute(self, *statements: str) -> list[Any]:
        return execute(contracts_url(), *statements)


BACKENDS: dict[str, type[Backend]] = {backend.name: backend for backend in (InMemory, InPostgres, InSqlite)}
