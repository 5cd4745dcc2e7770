"""Where a log is kept, and how it is opened there: the one place that knows the backends. A partition's log is a file
of SQLite, or lies in a PostgreSQL database (`store.logs.postgres_url` has what may stand in its URL)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import msgspec

from palimpsest.events.errors import BadInput
from palimpsest.events.position import FIRST_PARTITION, Partition
from palimpsest.store.logs import sqlite_file
from palimpsest.store.logs.contract import LogReader, LogStore
from palimpsest.store.logs.sqlite_log import SqliteLog
from palimpsest.store.logs.sqlite_reader import SqliteReader


class LogPlace(Protocol):
    """Where a partition's log is kept; as a string, what people call it. What looks there raises NewerFormat,
    LogUnreadable, and of a database also LogUnavailable, where it does not answer."""

    @property
    def partition(self) -> Partition: ...

    def is_there(self) -> bool: ...

    def came_ms(self) -> int:
        """When the log came here, or was last written (0: there is none, or nobody can know)."""
        ...

    def check(self) -> None:
        """Look whether a log that is there may be opened by this code, before anything is started for it."""
        ...

    def log_id(self) -> str:
        """Which log is there ("": none, or one that no writer has opened since logs have ids)."""
        ...

    def begin(self) -> str:
        """The id of the log that is there, which is made where there is none."""
        ...

    def reader(self) -> LogReader:
        """The log for reading, its writer alive or not. Raises NoLog too, where there is none."""
        ...

    def store(self, *, log_id: str = "", max_pages: int | None = None) -> LogStore:
        """The log for writing, which is made where there is none; with an id only that one is opened, and nothing is
        made. `max_pages`: it may grow to so many pages of 4 KiB (None: as the disk allows), to which only a file can be
        held. Raises LogUnavailable too."""
        ...


class FileLog(msgspec.Struct, frozen=True):
    """A log in an SQLite file."""

    path: Path
    partition: Partition = FIRST_PARTITION

    def __str__(self) -> str:
        return str(self.path)

    def is_there(self) -> bool:
        return self.path.is_file()

    def came_ms(self) -> int:
        return self.path.stat().st_ctime_ns // 1_000_000 if self.is_there() else 0

    def check(self) -> None:
        sqlite_file.check(self.path)

    def log_id(self) -> str:
        return sqlite_file.log_id(self.path)

    def begin(self) -> str:
        return sqlite_file.begin(self.path)

    def reader(self) -> LogReader:
        return SqliteReader.open_readonly(self.path, self.partition)

    def store(self, *, log_id: str = "", max_pages: int | None = None) -> LogStore:
        return SqliteLog(self.path, self.partition, log_id=log_id, max_pages=max_pages)


def database_log(url: str, partition: Partition = FIRST_PARTITION) -> LogPlace:
    """A log in a database. Its library is loaded here and nowhere else: the package has it as an extra. Raises BadInput
    where that is not there."""
    if find_spec("psycopg") is None:
        raise BadInput(
            "A log in PostgreSQL needs psycopg, which is not installed here: install palimpsest with its extra "
            "'postgres'."
        )
    from palimpsest.store.logs.postgres import DatabaseLog

    return DatabaseLog(url, partition)
