"""Where a log is kept, and how it is opened there: the one place that knows the backends. A partition's log is
an SQLite file, or lies in a PostgreSQL database (`store.logs.postgres_url` has what may stand in its URL)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import msgspec

from palimpsest.events.errors import BadInput
from palimpsest.events.position import FIRST_PARTITION, Partition
from palimpsest.store.logs import sqlite_file
from palimpsest.store.logs.contract import LogReader, LogStore
from palimpsest.store.logs.sqlite_log import SqliteLog
from palimpsest.store.logs.sqlite_reader import SqliteReader


class FileLog(msgspec.Struct, frozen=True):
    """A partition's log in an SQLite file."""

    path: Path
    partition: Partition = FIRST_PARTITION

    def __str__(self) -> str:
        return str(self.path)

    def is_there(self) -> bool:
        return self.path.is_file()

    def came_ms(self) -> int:
        """When the log came here, or was last written (0: there is none)."""
        return self.path.stat().st_ctime_ns // 1_000_000 if self.is_there() else 0

    def check(self) -> None:
        """Look whether a log that is there may be opened by this code, before anything is started for it. Raises
        NewerFormat, LogUnreadable."""
        sqlite_file.check(self.path)

    def log_id(self) -> str:
        """Which log is there ("": none, or one that no writer has opened since logs have ids). Raises NewerFormat,
        LogUnreadable, LogUnavailable."""
        return sqlite_file.log_id(self.path)

    def begin(self) -> str:
        """The id of the log that is there, which is made where there is none."""
        return sqlite_file.begin(self.path)

    def reader(self) -> LogReader:
        """The log for reading, its writer alive or not. Raises NoLog where there is none, NewerFormat,
        LogUnreadable."""
        return SqliteReader.open_readonly(self.path, self.partition)

    def store(self, *, log_id: str = "", max_pages: int | None = None) -> LogStore:
        """The log for writing, which is made where there is none; with an id only that one is opened, and nothing is
        made. `max_pages`: it may grow to so many pages of 4 KiB (None: as the disk allows). Raises as `reader`, and
        LogUnavailable."""
        return SqliteLog(self.path, self.partition, log_id=log_id, max_pages=max_pages)


class DatabaseLog(msgspec.Struct, frozen=True):
    """A partition's log in a PostgreSQL database. The URL may hold a password: `str()` leaves it out."""

    url: str
    partition: Partition = FIRST_PARTITION

    def __repr__(self) -> str:
        return f"DatabaseLog({self})"

    def __str__(self) -> str:
        _need_psycopg()
        from palimpsest.store.logs.postgres_url import database

        return database(self.url).name

    def is_there(self) -> bool:
        return bool(self.log_id())

    def check(self) -> None:
        """As of a file's; raises LogUnavailable too."""
        _need_psycopg()
        from palimpsest.store.logs import postgres

        postgres.check(self.url)

    def log_id(self) -> str:
        """Which log is there ("": none). Raises as `check`."""
        _need_psycopg()
        from palimpsest.store.logs import postgres

        return postgres.log_id(self.url)

    def begin(self) -> str:
        """The id of the log that is there, which is made where there is none."""
        _need_psycopg()
        from palimpsest.store.logs import postgres

        return postgres.begin(self.url)

    def reader(self) -> LogReader:
        """As of a file's; on a standby too. Raises LogUnavailable too."""
        _need_psycopg()
        from palimpsest.store.logs import postgres

        return postgres.reader(self.url, self.partition)

    def store(self, *, log_id: str = "", max_pages: int | None = None) -> LogStore:
        """As of a file's; but no database is held to pages: BadInput."""
        _need_psycopg()
        from palimpsest.store.logs import postgres

        return postgres.store(self.url, self.partition, log_id=log_id, max_pages=max_pages)


def _need_psycopg() -> None:
    """It is loaded where there is a database, and only there; the package has it as an extra."""
    if find_spec("psycopg") is None:
        raise BadInput(
            "A log in PostgreSQL needs psycopg, which is not installed here: install palimpsest with its extra "
            "'postgres'."
        )


LogPlace = FileLog
"""Where a log may be kept."""
