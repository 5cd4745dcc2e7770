"""Connections to PostgreSQL: how they are set up, for reading and for writing.

Rules: (1) a session that reads cannot write, whatever its user may do; so it does on a standby too. (2) A session that
writes is a server process of its own and no pooler's: it is ended by its number. (3) It waits for the disk, also where
the server's setting is not to (`synchronous_commit = off`).
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Any, Final

import psycopg
from psycopg import errors
from psycopg.conninfo import make_conninfo
from psycopg.types.numeric import Int8BinaryDumper

from palimpsest.events.errors import BadInput, LogUnavailable
from palimpsest.store.logs.postgres_errors import LOCK_TIMEOUT_S, refusal, reported
from palimpsest.store.logs.postgres_url import Database, in_schema

Connection = psycopg.Connection[tuple[Any, ...]]
Cursor = psycopg.Cursor[tuple[Any, ...]]

_PLANS: Final = (
    "-c jit=off -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c enable_material=off "
    "-c enable_memoize=off -c enable_bitmapscan=off -c statement_timeout=0 -c client_encoding=UTF8"
)
"""Each of our statements looks its rows up by an index, one by one. Of tables that have just grown the planner knows
nothing yet, and would read them whole."""
_READING: Final = f"{_PLANS} -c default_transaction_read_only=on"
_WRITING: Final = (
    f"{_PLANS} -c lock_timeout={LOCK_TIMEOUT_S}s -c idle_in_transaction_session_timeout=30s "
    "-c idle_session_timeout=0 -c client_min_messages=warning "
    r"-c default_transaction_isolation=read\ committed"
)
_BEGIN: Final = """SELECT pg_backend_pid(), CASE current_setting('synchronous_commit')
    WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END"""

_WAIT: Final = "SyncRep"
"""How the server's functions begin that wait for a standby."""

OLDEST: Final = 15_00_00

_POOLED: Final = (
    "{name} is a pooler: what a connection is set to, and which session it has, is not what it asks for. Nothing was "
    "changed. Name the server itself."
)


class WriterSession:
    """The one connection of a writer. `warned`: since this was last set to False the server has said that it did not
    wait for the standby, so that what it committed may not be there."""

    def __init__(self, database: Database) -> None:
        self.connection = _connected(database, _WRITING, {"target_session_attrs": "read-write"})
        self.warned = False
        self._schema = database.schema
        self.connection.add_notice_handler(self._note)
        try:
            with reported(database):
                _begin(self.connection, database)
        except BaseException:
            self.connection.close()
            raise

    def _note(self, notice: errors.Diagnostic) -> None:
        """Only the wait for a standby warns of what matters here; its words are in the server's language."""
        by = notice.source_function or _WAIT
        self.warned = self.warned or (notice.severity_nonlocalized == "WARNING" and by.startswith(_WAIT))

    def execute(self, query: str, values: tuple[object, ...]) -> Cursor:
        """Run a statement, with the log's schema put in; in a pipeline its rows come when that is through."""
        return self.connection.cursor(binary=True).execute(in_schema(query, self._schema), values)

    def rows(self, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        return self.execute(query, values).fetchall()

    def hang_up(self) -> None:
        """End the connection from another thread than the one that waits for it, which then learns that it is lost."""
        with (
            contextlib.suppress(psycopg.Error, OSError),  # it has ended meanwhile
            socket.socket(fileno=os.dup(self.connection.fileno())) as line,
        ):
            line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.connection.close()


def reading(database: Database, of: str = "any") -> Connection:
    """A connection that only reads, `of` any server or the "primary" one. Raises LogUnavailable where none can be had,
    BadInput where it may write."""
    connection = _connected(database, _READING, {} if of == "any" else {"target_session_attrs": of})
    if connection.info.parameter_status("default_transaction_read_only") != "on":
        connection.close()
        raise BadInput(_POOLED.format(name=database.name))
    return connection


def _connected(database: Database, options: str, more: dict[str, str]) -> Connection:
    parameters = database.connection_parameters() | more
    parameters["options"] = f"{parameters.get('options', '')} {options}".strip()
    refused: LogUnavailable
    try:
        connection = psycopg.connect(make_conninfo(**parameters), autocommit=True)
    except psycopg.Error as error:
        refused = refusal(error, database)
    else:
        if connection.info.server_version < OLDEST:
            connection.close()
            raise BadInput(f"{database.name} is of a PostgreSQL older than 15. Nothing was changed: name a newer one.")
        connection.adapters.register_dumper(int, Int8BinaryDumper)
        return connection
    raise refused  # with no context: an error of libpq's has the connection's parameters


def _begin(connection: Connection, database: Database) -> None:
    """See that the session is the connection's own, and that it waits for the disk."""
    ((backend, _),) = connection.execute(_BEGIN).fetchall()
    if backend != connection.info.backend_pid:  # a pooler tells numbers of its own
        raise BadInput(_POOLED.format(name=database.name))
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise BadInput(
            f"{database.name} has the encoding {encoding}, and a log needs one with UTF8. Make a database with that."
        )
