"""How a log is opened: the one place that knows which backend keeps it. A path is an SQLite file's, a URL a PostgreSQL
database's (`store.logs.postgres_url` has what may stand in it)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from palimpsest.events.errors import BadInput
from palimpsest.store.logs import sqlite_file
from palimpsest.store.logs.contract import LogReader, LogStore
from palimpsest.store.logs.sqlite_log import SqliteLog
from palimpsest.store.logs.sqlite_reader import SqliteReader


def reader(log: Path | str) -> LogReader:
    """A log for reading, its writer alive or not. Raises NoLog where there is none, NewerFormat, LogUnreadable; of a
    database also LogUnavailable."""
    if isinstance(log, Path):
        return SqliteReader.open_readonly(log)
    _need_psycopg()
    from palimpsest.store.logs import postgres

    return postgres.reader(log)


def store(log: Path | str, *, log_id: str = "", max_pages: int | None = None) -> LogStore:
    """A log for writing, which is made where there is none; with an id only that one is opened, and nothing is made.
    `max_pages`: it may grow to so many pages of 4 KiB (None: as the disk allows), to which only a file can be held.
    Raises as `reader`, and LogUnavailable."""
    if isinstance(log, Path):
        return SqliteLog(log, log_id=log_id, max_pages=max_pages)
    _need_psycopg()
    from palimpsest.store.logs import postgres

    return postgres.store(log, log_id=log_id, max_pages=max_pages)


def check(log: Path | str) -> None:
    """Look whether a log that is there may be opened by this code, before anything is started for it. Raises
    NewerFormat, LogUnreadable; of a database also LogUnavailable."""
    if isinstance(log, Path):
        return sqlite_file.check(log)
    _need_psycopg()
    from palimpsest.store.logs import postgres

    return postgres.check(log)


def log_id(log: Path | str) -> str:
    """Which log lies there ("": none, or one that no writer has opened since logs have ids). Raises NewerFormat,
    LogUnreadable, LogUnavailable."""
    if isinstance(log, Path):
        return sqlite_file.log_id(log)
    _need_psycopg()
    from palimpsest.store.logs import postgres

    return postgres.log_id(log)


def begin(log: Path | str) -> str:
    """The id of the log that lies there, which is made where there is none."""
    if isinstance(log, Path):
        return sqlite_file.begin(log)
    _need_psycopg()
    from palimpsest.store.logs import postgres

    return postgres.begin(log)


def _need_psycopg() -> None:
    """It is loaded where there is a database, and only there; the package has it as an extra."""
    if find_spec("psycopg") is None:
        raise BadInput(
            "A log in PostgreSQL needs psycopg, which is not installed here: install palimpsest with its extra "
            "'postgres'."
        )
