"""A partition's SQLite file: its format, how it is opened, and what its errors mean.

Rules: (1) a file of a newer format, or one that is not a log, is refused and left as it is; (2) opening for reading
makes no log and changes none, and misses no committed event; (3) whoever writes, writes with `synchronous=FULL`.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from palimpsest.events.errors import LogUnavailable, LogUnreadable, NewerFormat, NoLog

FORMAT: Final = 1
"""`PRAGMA user_version` of the files that this code writes."""

APPLICATION_ID: Final = 0x50616C69  # "Pali": so that `file` and we tell a log from another SQLite file

UNLIMITED_PAGES: Final = 1_073_741_823
BUSY_TIMEOUT_S: Final = 5.0

Migration = Callable[[sqlite3.Connection], None]

MIGRATIONS: Final[Mapping[int, Migration]] = {}
"""Format -> what lifts a file of it to the next format. All steps of one opening are one transaction."""

FORKS: Final = """CREATE TABLE IF NOT EXISTS forks (
    stream INTEGER PRIMARY KEY, parent INTEGER NOT NULL, seq INTEGER NOT NULL)"""
"""What streams go on from others, and where."""
REDACTIONS: Final = "CREATE TABLE IF NOT EXISTS redactions (stream INTEGER PRIMARY KEY, record BLOB NOT NULL)"
"""What was masked in streams before they were imported: a `Redacted` as MessagePack."""
IDENTITY: Final = "CREATE TABLE IF NOT EXISTS identity (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL)"
"""Which log this is, wherever its file lies: a copy has it too."""
LATER_TABLES: Final = FORKS, REDACTIONS, IDENTITY
"""A file from before there were these gets them with its next writer; a reader may meet one without."""

# `events` has the fields of an Envelope in their order, with the stream's id for its agent. An open request is known by
# the position of the event that opened it.
SCHEMA: Final = (
    "CREATE TABLE writer (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL)",
    "INSERT INTO writer VALUES (1, 0)",
    """CREATE TABLE streams (
        id INTEGER PRIMARY KEY, agent TEXT NOT NULL UNIQUE, seq INTEGER NOT NULL, hash BLOB NOT NULL,
        position INTEGER NOT NULL, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL)""",
    """CREATE TABLE events (
        stream INTEGER NOT NULL, seq INTEGER NOT NULL, position INTEGER PRIMARY KEY, time INTEGER NOT NULL,
        kind TEXT NOT NULL, version INTEGER NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL, turn INTEGER NOT NULL,
        cause TEXT NOT NULL, opens TEXT NOT NULL, closes TEXT NOT NULL, hash BLOB NOT NULL)""",
    "CREATE UNIQUE INDEX events_by_seq ON events (stream, seq)",
    "CREATE UNIQUE INDEX events_by_key ON events (stream, key)",
    """CREATE TABLE requests (
        topic TEXT NOT NULL, stream INTEGER NOT NULL, position INTEGER NOT NULL,
        PRIMARY KEY (topic, stream, position)) WITHOUT ROWID""",
    "CREATE TABLE cursors (consumer TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE snapshots (
        stream INTEGER NOT NULL, seq INTEGER NOT NULL, chain BLOB NOT NULL, fold TEXT NOT NULL, state BLOB NOT NULL,
        digest BLOB NOT NULL)""",
    "CREATE UNIQUE INDEX snapshots_by_seq ON snapshots (stream, seq)",
    *LATER_TABLES,
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {FORMAT}",
)

_WRITER_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA fullfsync = ON",  # where fsync alone leaves bytes in the drive's cache (macOS)
    "PRAGMA checkpoint_fullfsync = ON",
    "PRAGMA wal_autocheckpoint = 4000",  # pages; a page that changes often is then written back once
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA cache_size = -4000",
    "PRAGMA temp_store = MEMORY",
)


_LOCKED: Final = (
    f"The log {{path}} was locked by another process for {BUSY_TIMEOUT_S:g} s: nothing of this was written. "
    "End that process, or send it again."
)
_NO_RIGHTS: Final = (
    "The log {path} cannot be opened or written ({error}): nothing was written. "
    "Check that {folder} is a folder that this user may write to."
)
_UNAVAILABLE: Final[Mapping[str, str]] = {
    "SQLITE_FULL": "The disk is full (or the log's page limit is reached): nothing of this was written to {path}. "
    "Free space in {folder} and send it again; what was acknowledged is safe.",
    "SQLITE_IOERR": "The disk failed ({error}): nothing of this was acknowledged by {path}. "
    "Check the disk that holds {folder}, then send it again.",
    "SQLITE_BUSY": _LOCKED,
    "SQLITE_LOCKED": _LOCKED,
    "SQLITE_PROTOCOL": _LOCKED,
    "SQLITE_CANTOPEN": _NO_RIGHTS,
    "SQLITE_READONLY": _NO_RIGHTS,
    "SQLITE_PERM": _NO_RIGHTS,
}
"""SQLite's primary result -> what it means here, and what to do."""

_DAMAGED: Final = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB"})


def open_writer(path: Path, max_pages: int | None, log_id: str = "") -> sqlite3.Connection:
    """Open the file for reading and writing; make it where there is none. With an id that log is opened, or none: where
    it is not there LogUnavailable is raised, and nothing is made."""
    with reported(path):
        if log_id:
            _check_id(path, log_id)
        connection = _connect(f"{path.absolute().as_uri()}?mode={'rw' if log_id else 'rwc'}")
        try:
            known = check_format(connection, path)  # before anything that could write
            for pragma in _WRITER_PRAGMAS:
                connection.execute(pragma)
            limit_pages(connection, max_pages)
            if known == 0:
                _create(connection)
            elif known < FORMAT:
                migrate(connection, MIGRATIONS, FORMAT)
            for table in LATER_TABLES:
                connection.execute(table)
            if not connection.execute("SELECT 1 FROM identity").fetchone():
                connection.execute("INSERT OR IGNORE INTO identity VALUES (1, ?)", (uuid.uuid4().hex,))
        except BaseException:
            connection.close()
            raise
    return connection


def open_reader(path: Path) -> tuple[sqlite3.Connection, Callable[[], None]]:
    """Open the file for reading, while a writer is at work or not; and what to call after the connection is closed.

    In a folder that cannot be written to, SQLite has no place for its shared memory. Then, with no write-ahead log
    beside it, the file is complete and immutable; with one (a copy of a live log), a temporary copy is read.
    """
    with reported(path):
        if not path.is_file() or path.stat().st_size == 0:
            raise _no_log(path)
        try:
            return _checked(f"{path.absolute().as_uri()}?mode=ro", path), _nothing
        except sqlite3.OperationalError as error:
            if _primary_name(error) not in ("SQLITE_CANTOPEN", "SQLITE_READONLY"):
                raise
        wal = path.with_name(path.name + "-wal")
        if not wal.exists() or wal.stat().st_size == 0:
            return _checked(f"{path.absolute().as_uri()}?mode=ro&immutable=1", path), _nothing
        return _open_copy(path, wal)


def check(path: Path) -> None:
    """Look whether a log that is there may be opened by this code, before anything is started for it. Raises
    NewerFormat, LogUnreadable."""
    if not path.is_file():
        return
    with reported(path), contextlib.closing(_connect(f"{path.absolute().as_uri()}?mode=ro")) as connection:
        check_format(connection, path)


def log_id(path: Path) -> str:
    """Which log lies there ("": none, or one that no writer has opened since logs have ids). Raises NewerFormat,
    LogUnreadable, LogUnavailable."""
    if not path.is_file():
        return ""
    with reported(path), contextlib.closing(_connect(f"{path.absolute().as_uri()}?mode=ro")) as connection:
        if not check_format(connection, path) or not connection.execute(_HAS_IDENTITY).fetchone():
            return ""
        row = connection.execute("SELECT id FROM identity").fetchone()
        return str(row[0]) if row else ""


def begin(path: Path) -> str:
    """The id of the log that lies there, which is made where there is none."""
    found = log_id(path)
    if not found:
        open_writer(path, None).close()
        found = log_id(path)
    return found


def _check_id(path: Path, wanted: str) -> None:
    found = log_id(path)
    if found != wanted:
        there = f"the log {found}" if found else "another file" if path.is_file() else "nothing"
        raise LogUnavailable(_NOT_THERE.format(wanted=wanted, path=path, there=there))


_HAS_IDENTITY: Final = "SELECT 1 FROM sqlite_master WHERE name = 'identity'"
_NOT_THERE: Final = (
    "The log {wanted} is not at {path}: {there} is there. Nothing was made or changed: put the data folder back, and "
    "what was acknowledged is there again."
)


def _open_copy(path: Path, wal: Path) -> tuple[sqlite3.Connection, Callable[[], None]]:
    folder = tempfile.TemporaryDirectory(prefix="palimpsest-")
    try:
        copied = Path(folder.name) / path.name
        shutil.copyfile(path, copied)
        shutil.copyfile(wal, copied.with_name(wal.name))
        return _checked(f"{copied.as_uri()}?mode=ro", path), folder.cleanup
    except BaseException:
        folder.cleanup()
        raise


def check_format(connection: sqlite3.Connection, path: Path) -> int:
    """The file's format (0: a blank file). Raises NewerFormat, and LogUnreadable where it is no log."""
    (known,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if known == application == tables == 0:
        return 0
    if application != APPLICATION_ID:
        raise LogUnreadable(str(path), "it is an SQLite file of something else")
    if known > FORMAT:
        raise NewerFormat(
            f"The log {path} has format {known}, and this Palimpsest knows {FORMAT}. "
            "Nothing was changed: upgrade this installation to open it."
        )
    return int(known)


def migrate(connection: sqlite3.Connection, migrations: Mapping[int, Migration], to: int) -> None:
    """Lift the file to format `to`, step by step, in one transaction: it is never left half way."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        (known,) = connection.execute("PRAGMA user_version").fetchone()
        for step in range(known, to):
            migrations[step](connection)
        connection.execute(f"PRAGMA user_version = {to}")
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise


def limit_pages(connection: sqlite3.Connection, max_pages: int | None) -> None:
    connection.execute(f"PRAGMA max_page_count = {max_pages or UNLIMITED_PAGES}")


def roll_back(connection: sqlite3.Connection) -> None:
    """Undo the transaction, where SQLite has not done so itself (it does on some errors)."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


@contextlib.contextmanager
def reported(path: Path) -> Iterator[None]:
    """Raise SQLite's own errors as ours, with what to do. Other errors are bugs, and pass."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        name = _primary_name(error)
        if name in _DAMAGED:
            raise LogUnreadable(str(path), str(error)) from error
        if name in _UNAVAILABLE:
            message = _UNAVAILABLE[name].format(path=path, folder=path.parent, error=error)
            raise LogUnavailable(message) from error
        raise
    except OSError as error:
        raise LogUnavailable(
            f"The log {path} cannot be opened: {error.strerror}. Check its folder's rights."
        ) from error


def _primary_name(error: sqlite3.DatabaseError) -> str:
    """SQLITE_IOERR_FSYNC is an SQLITE_IOERR. Errors of the module itself have no code."""
    return "_".join(getattr(error, "sqlite_errorname", "").split("_")[:2])


def _checked(uri: str, path: Path) -> sqlite3.Connection:
    connection = _connect(uri)
    try:
        known = check_format(connection, path)
        if known == 0:
            raise _no_log(path)
        if known < FORMAT:
            raise LogUnreadable(str(path), f"it has the old format {known}; start its system once, which brings it up")
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(uri: str) -> sqlite3.Connection:
    # Threads take turns by the caller's lock, so the module's own check is off; transactions are ours (autocommit).
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S)


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        (made_meanwhile,) = connection.execute("PRAGMA user_version").fetchone()
        if not made_meanwhile:
            for statement in SCHEMA:
                connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise


def _no_log(path: Path) -> NoLog:
    return NoLog(str(path))


def _nothing() -> None:
    """Nothing is left to clean up."""
