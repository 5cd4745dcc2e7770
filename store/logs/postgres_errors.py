"""What PostgreSQL's errors mean here, in one line each, and what to do.

Rules: (1) LogUnavailable means that nothing was written: whoever raises it for a transaction knows that it was not
committed. (2) Where a connection was lost nothing is known yet: `is_lost` says so, and the writer finds out. (3) Words
of libpq's own are passed on only where no password is in them.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Final

import psycopg

from palimpsest.events.errors import LogUnavailable, LogUnreadable, PalimpsestError
from palimpsest.store.logs.postgres_url import Database

FENCED: Final = "ZP001"
"""Raised by the fence: another writer's epoch is there; the detail is that epoch."""
MOVED: Final = "ZP002"
"""Raised by the fence: the epoch is this writer's, and the partition is not at the position where it left it."""

LOCK_TIMEOUT_S: Final = 15

_NOT_WRITTEN: Final = "nothing of this was written"
_GRANT: Final = (
    "The user of {name} may not do this ({error}): {nothing}. Have its owner grant the role palimpsest_writer to a "
    "user that writes, palimpsest_reader to one that only reads; a new log is made by whoever may create a schema."
)
_GONE: Final = "The log's tables in {name} are not there any more ({error}): {nothing}. Put the database back."
_AGAIN: Final = "{name} gave this up for another session's sake ({error}): {nothing}. Send it again."
_NO_ROOM: Final = "{name} is out of {what} ({error}): {nothing}. Send it again, and look at the server's settings."

_MEANS: Final[Mapping[str, str]] = {
    "53100": "The disk of {name} is full ({error}): {nothing}. Free space in its volume and send it again; what was "
    "acknowledged is safe.",
    "53200": _NO_ROOM.replace("{what}", "memory"),
    "53300": _NO_ROOM.replace("{what}", "connections"),
    "25006": "{name} is read-only ({error}): {nothing}. A writer needs the primary: name that server, or all of them "
    "(HOST1,HOST2) and libpq finds it; if it is the primary, it was set read-only.",
    "42501": _GRANT,
    "42P01": _GONE,
    "3F000": _GONE,
    "42883": _GONE,
    "55P03": f"A partition's row in {{name}} was locked by another session for {LOCK_TIMEOUT_S} s: {{nothing}}. End "
    "that session (pg_stat_activity names it), and send it again.",
    "57014": _AGAIN,
    "40001": _AGAIN,
    "40P01": _AGAIN,
    "58030": "The disk of {name} failed ({error}): {nothing}. Check it, then send it again.",
}
"""SQLSTATE -> what it means here, and what to do."""

_TOO_LONG: Final = "54000"
"""A key that an index does not hold."""
_DAMAGED: Final = frozenset({"XX001", "XX002"})

_REFUSED: Final[Mapping[str, str]] = {
    "password authentication failed": "{name} refuses this user's password. Set the right one: in a file "
    "(?password_file=FILE), PGPASSWORD or PGPASSFILE.",
    "no password supplied": "{name} wants a password. Give it in a file (?password_file=FILE), PGPASSWORD or "
    "PGPASSFILE.",
    "no pg_hba.conf entry": "{name} lets nobody in from here as this user ({error}). Have its pg_hba.conf changed, or "
    "name another user.",
    r'role ".*" does not exist': "{name} has no such user ({error}). Name another one, or have it made.",
    r'database ".*" does not exist': "There is no such database: {name} ({error}). Name another one, or have it made.",
    "too many c|remaining connection slots": "{name} takes no more connections ({error}). Close some, or raise its "
    "max_connections.",
    "unsupported startup parameter": "{name} is a pooler ({error}). Name the server itself.",
    "certificate": "{name} cannot be trusted ({error}). Check sslmode, sslrootcert and the host's name.",
    "read-only": "{name} is read-only ({error}). A writer needs the primary: name that server, or all of them "
    "(HOST1,HOST2).",
    "the database system is": "{name} is not ready ({error}). It is tried again; or wait until it is up.",
}
"""A pattern in libpq's words -> why a connection was refused, and what to do. It gives no SQLSTATE."""

_NO_ANSWER: Final = "{name} cannot be reached ({error}). Nothing was written. Start it, or check its host and port."


def is_lost(error: psycopg.Error) -> bool:
    """Whether the connection has ended, so that it is not known what became of what was sent: the server said that it
    ends the session, or said nothing."""
    said_nothing = error.sqlstate is None and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return said_nothing or error.diag.severity_nonlocalized in ("FATAL", "PANIC")


def meaning(
    error: psycopg.Error, database: Database, nothing: str = _NOT_WRITTEN
) -> PalimpsestError | ValueError | None:
    """The error as one of ours, or a ValueError for what no database holds; None where it is a bug of this code."""
    state = error.sqlstate or ""
    said = database.masked(error.diag.message_primary or str(error))
    if state in _DAMAGED:
        return LogUnreadable(database.name, said)
    if isinstance(error, psycopg.DataError) or state == _TOO_LONG:
        return ValueError(f"This cannot be kept in {database.name}: {said}. {nothing.capitalize()}.")
    words = _MEANS.get(state)
    if words is None and (
        state[:2] in ("53", "57", "58", "08") or (not state and isinstance(error, psycopg.OperationalError))
    ):
        words = f"{{name}} does not answer ({{error}}): {nothing}. It is tried again with the next call."
    return LogUnavailable(words.format(name=database.name, error=said, nothing=nothing)) if words else None


def refusal(error: psycopg.Error, database: Database) -> LogUnavailable:
    """Why no connection could be had."""
    said = database.masked(str(error))
    short = said.rpartition("failed: ")[2].removeprefix("FATAL:").strip().rstrip(".")
    words = next((words for sign, words in _REFUSED.items() if re.search(sign, short)), _NO_ANSWER)
    return LogUnavailable(words.format(name=database.name, error=short))


@contextlib.contextmanager
def reported(database: Database, nothing: str = _NOT_WRITTEN) -> Iterator[None]:
    """Raise the server's errors as ours. Others are bugs, and pass."""
    try:
        yield
    except psycopg.Error as error:
        found = meaning(error, database, nothing)
        if found is None:
            raise
        raise found from error
