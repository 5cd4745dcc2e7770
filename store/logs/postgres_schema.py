"""The tables of a log in PostgreSQL: their format, how they are made, and who may do what with them.

Rules: (1) a schema of a newer format, one of something else, and a database of something else that no schema was named
for are refused and left as they are; (2) what is made or migrated is made in one transaction, by one session at a time;
(3) a writer may not change events: `palimpsest_writer` has no UPDATE and no DELETE on them.

Tables are written `palimpsest.NAME` here; `in_schema` puts the log's own schema there. Keys are bytes: they may hold
NUL, which `text` may not. Names are sorted as Python sorts them (COLLATE "C").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from psycopg import errors

from palimpsest.events.errors import BadInput, LogUnavailable, LogUnreadable, NewerFormat, NoLog
from palimpsest.store.logs.postgres_errors import FENCED, MOVED, reported
from palimpsest.store.logs.postgres_session import Connection, WriterSession, reading
from palimpsest.store.logs.postgres_url import Database, in_schema

FORMAT: Final = 1
"""`system.format` of the tables that this code writes."""

STREAMS_A_PARTITION: Final = 2**40
"""A stream's id is its partition times this, and its number there."""

Migration = Callable[[Connection], None]

MIGRATIONS: Final[Mapping[int, Migration]] = {}
"""Format -> what lifts tables of it to the next format. All steps of one opening are one transaction."""

KEYED: Final = "(int8send(stream) || key)"
"""A stream and a key of it in one value. As two columns of an index the planner takes the first alone, while it knows
too little of a table that grows, and reads a stream whole for each key."""

_OFTEN_CHANGED: Final = "autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500"

# A partition's row says who writes it. `writer` is that writer's own number, drawn when it was made, and `backend` with
# its start is the server process that it last wrote by: numbers of processes are used again.
SCHEMA: Final = (
    """CREATE TABLE palimpsest.system (
        one boolean PRIMARY KEY DEFAULT true CHECK (one), id uuid NOT NULL DEFAULT gen_random_uuid(),
        format integer NOT NULL, partitions integer NOT NULL, created timestamptz NOT NULL DEFAULT now())""",
    """CREATE TABLE palimpsest.partitions (
        id integer PRIMARY KEY, epoch bigint NOT NULL DEFAULT 0, position bigint NOT NULL DEFAULT 0,
        streams bigint NOT NULL DEFAULT 0, writer uuid, owner text NOT NULL DEFAULT '', backend integer,
        backend_start timestamptz, seen timestamptz) WITH (fillfactor = 10)""",
    f"""CREATE TABLE palimpsest.streams (
        id bigint PRIMARY KEY, partition integer NOT NULL, agent text COLLATE "C" NOT NULL UNIQUE, seq bigint NOT NULL,
        hash bytea NOT NULL, position bigint NOT NULL, created_ms bigint NOT NULL, updated_ms bigint NOT NULL,
        parent bigint, parent_seq bigint) WITH (fillfactor = 70, {_OFTEN_CHANGED})""",
    """CREATE TABLE palimpsest.events (
        partition integer NOT NULL, stream bigint NOT NULL, seq bigint NOT NULL, position bigint NOT NULL,
        time bigint NOT NULL, kind text COLLATE "C" NOT NULL, version integer NOT NULL, key bytea NOT NULL,
        body bytea NOT NULL, turn bigint NOT NULL, cause bytea NOT NULL, opens text COLLATE "C" NOT NULL,
        closes bytea NOT NULL, hash bytea NOT NULL, salt bytea,
        PRIMARY KEY (partition, position), CONSTRAINT events_by_seq UNIQUE (stream, seq))""",
    f"CREATE UNIQUE INDEX events_by_key ON palimpsest.events ({KEYED})",
    f"""CREATE TABLE palimpsest.requests (
        partition integer NOT NULL, topic text COLLATE "C" NOT NULL, stream bigint NOT NULL, key bytea NOT NULL,
        position bigint NOT NULL, PRIMARY KEY (partition, topic, position)) WITH ({_OFTEN_CHANGED})""",
    f"CREATE UNIQUE INDEX requests_by_key ON palimpsest.requests ({KEYED})",
    """CREATE TABLE palimpsest.cursors (
        partition integer NOT NULL, consumer text COLLATE "C" NOT NULL, position bigint NOT NULL,
        PRIMARY KEY (partition, consumer)) WITH (fillfactor = 50)""",
    """CREATE TABLE palimpsest.snapshots (
        stream bigint NOT NULL, seq bigint NOT NULL, chain bytea NOT NULL, fold text NOT NULL, state bytea NOT NULL,
        digest bytea NOT NULL, PRIMARY KEY (stream, seq))""",
    "CREATE TABLE palimpsest.redactions (stream bigint PRIMARY KEY, record bytea NOT NULL)",
    f"""CREATE FUNCTION palimpsest.advance(
        of integer, by_epoch bigint, from_position bigint, to_position bigint, to_streams bigint) RETURNS void
        LANGUAGE plpgsql AS $$
        DECLARE there record;
        BEGIN
            UPDATE palimpsest.partitions p SET position = to_position, streams = to_streams, seen = now()
                WHERE p.id = of AND p.epoch = by_epoch AND p.position = from_position;
            IF NOT FOUND THEN
                SELECT p.epoch, p.position INTO STRICT there FROM palimpsest.partitions p WHERE p.id = of;
                IF there.epoch <> by_epoch THEN
                    RAISE EXCEPTION 'another writer has the partition'
                        USING ERRCODE = '{FENCED}', DETAIL = there.epoch::text;
                END IF;
                RAISE EXCEPTION 'the partition is not where this writer left it'
                    USING ERRCODE = '{MOVED}', DETAIL = there.position::text;
            END IF;
        END $$""",
    "REVOKE ALL ON FUNCTION palimpsest.advance(integer, bigint, bigint, bigint, bigint) FROM PUBLIC",
    "INSERT INTO palimpsest.partitions (id) VALUES (0)",
    f"INSERT INTO palimpsest.system (format, partitions) VALUES ({FORMAT}, 1)",
)

READER: Final = "palimpsest_reader"
WRITER: Final = "palimpsest_writer"

_MAKE_ROLES: Final = f"""DO $$
    DECLARE wanted text;
    BEGIN
        FOREACH wanted IN ARRAY ARRAY['{READER}', '{WRITER}'] LOOP
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            END IF;
        END LOOP;
    EXCEPTION WHEN insufficient_privilege OR duplicate_object OR unique_violation THEN
        NULL;
    END $$"""
"""The group roles, where this user may make them: they are the server's, and another log may have made them."""

_RIGHTS: Final[Mapping[str, tuple[str, ...]]] = {
    READER: ("USAGE ON SCHEMA palimpsest", "SELECT ON ALL TABLES IN SCHEMA palimpsest"),
    WRITER: (
        "USAGE ON SCHEMA palimpsest",
        "SELECT ON ALL TABLES IN SCHEMA palimpsest",
        "UPDATE ON palimpsest.partitions",
        "INSERT ON palimpsest.events",
        "INSERT, UPDATE ON palimpsest.streams, palimpsest.cursors, palimpsest.redactions",
        "INSERT, DELETE ON palimpsest.requests",
        "INSERT, UPDATE, DELETE ON palimpsest.snapshots",
        "EXECUTE ON FUNCTION palimpsest.advance(integer, bigint, bigint, bigint, bigint)",
    ),
}

_TABLES: Final = """SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"""
_OTHERS: Final = """SELECT n.nspname || '.' || c.relname
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (
        SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY 1 LIMIT 3"""
_MAY_MAKE: Final = """SELECT has_database_privilege(current_database(), 'CREATE'),
    EXISTS (SELECT FROM pg_namespace WHERE nspname = %s AND pg_has_role(nspowner, 'USAGE'))"""
_MAY_WRITE: Final = """SELECT has_table_privilege('palimpsest.events', 'INSERT')
    AND has_table_privilege('palimpsest.partitions', 'UPDATE')"""
_OURS: Final = frozenset({"system", "partitions", "streams", "events"})

_NO_RIGHT: Final = (
    "The user of {name} may not {what}. Nothing was changed: have its owner grant it {role}, or name another user."
)


def check_format(connection: Connection, database: Database) -> int:
    """The format of the tables (0: there are none). Raises NewerFormat, LogUnreadable where the schema is no log's,
    LogUnavailable where this user may not look."""
    tables = {name for (name,) in connection.execute(_TABLES, (database.schema,))}
    if not tables:
        return 0
    if not tables >= _OURS:
        raise LogUnreadable(database.name, f"the schema {database.schema} holds tables of something else")
    try:
        row = connection.execute(in_schema("SELECT format FROM palimpsest.system", database.schema)).fetchone()
    except errors.UndefinedColumn:
        row = None
    except errors.InsufficientPrivilege:
        what = "read the log's tables"
        raise LogUnavailable(_NO_RIGHT.format(name=database.name, what=what, role=READER)) from None
    if row is None:
        raise LogUnreadable(database.name, f"the schema {database.schema} holds tables of something else")
    if row[0] > FORMAT:
        raise NewerFormat(
            f"The log in {database.name} has format {row[0]}, and this Palimpsest knows {FORMAT}. "
            "Nothing was changed: upgrade this installation to open it."
        )
    return int(row[0])


def check_partition(connection: Connection, database: Database, partition: int) -> None:
    """Refuse what this code does not do yet: a log of several partitions, and a partition that is not there."""
    query = "SELECT partitions, EXISTS (SELECT FROM palimpsest.partitions WHERE id = %s) FROM palimpsest.system"
    ((count, there),) = connection.execute(in_schema(query, database.schema), (partition,)).fetchall()
    if count > 1:
        raise BadInput(f"The log in {database.name} has {count} partitions, and this Palimpsest knows logs with one.")
    if not there:
        raise BadInput(f"The log in {database.name} has no partition {partition}: it has {count}, numbered from 0.")


def opened(session: WriterSession, database: Database, partition: int, log_id: str = "") -> None:
    """See to it that a log is there that this code may write; with an id only that one is taken, and nothing made."""
    connection = session.connection
    with reported(database):
        known = check_format(connection, database)
        if log_id:
            _check_id(connection, database, log_id, known)
        if known == 0:
            _check_place(connection, database)
        if known < FORMAT:
            lift(connection, database, MIGRATIONS, FORMAT)
        check_partition(connection, database, partition)
        ((may,),) = connection.execute(in_schema(_MAY_WRITE, database.schema)).fetchall()
    if not may:
        raise LogUnavailable(_NO_RIGHT.format(name=database.name, what="write the log's tables", role=WRITER))


def lift(connection: Connection, database: Database, migrations: Mapping[int, Migration], to: int) -> None:
    """Make the tables, or lift them to format `to`, in one transaction; who comes second finds it done."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"palimpsest {database.schema}",))
        known = check_format(connection, database)
        if known == 0:
            _create(connection, database)
            known = FORMAT
        for step in range(known, to):
            migrations[step](connection)
        query = in_schema("UPDATE palimpsest.system SET format = %s WHERE format < %s", database.schema)
        connection.execute(query, (to, to))


def _create(connection: Connection, database: Database) -> None:
    if not connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", (database.schema,)).fetchall():
        connection.execute(in_schema("CREATE SCHEMA palimpsest", database.schema))
    for statement in SCHEMA:
        connection.execute(in_schema(statement, database.schema))
    connection.execute(_MAKE_ROLES.encode())
    for role, rights in _RIGHTS.items():
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
            for right in rights:
                connection.execute(in_schema(f"GRANT {right} TO {role}", database.schema))


def _check_place(connection: Connection, database: Database) -> None:
    """Whether a log may be made here."""
    others = [name for (name,) in connection.execute(_OTHERS)]
    if others and not database.schema_named:
        raise LogUnreadable(
            database.name,
            f"the database holds tables of something else ({', '.join(others)}): name an empty one, or a schema for "
            f"the log beside them (?schema={database.schema})",
        )
    ((may_create, owns),) = connection.execute(_MAY_MAKE, (database.schema,)).fetchall()
    if not (may_create or owns):
        what = "make a log there"
        raise LogUnavailable(_NO_RIGHT.format(name=database.name, what=what, role="CREATE on the database"))


def _check_id(connection: Connection, database: Database, wanted: str, known: int) -> None:
    found = _id(connection, database) if known else ""
    if found != wanted:
        there = f"the log {found}" if found else "nothing"
        raise LogUnavailable(
            f"The log {wanted} is not in {database.name}: {there} is there. Nothing was made or changed: put the "
            "database back, and what was acknowledged is there again."
        )


def _id(connection: Connection, database: Database) -> str:
    query = in_schema("SELECT id FROM palimpsest.system", database.schema)
    ((found,),) = connection.execute(query).fetchall()
    return str(found.hex)


def check_readable(connection: Connection, database: Database, partition: int) -> None:
    """Raises NoLog where there is none, and as `check_format`."""
    with reported(database):
        known = check_format(connection, database)
        if known == 0:
            raise NoLog(database.name)
        if known < FORMAT:
            why = f"it has the old format {known}; start its system once, which brings it up"
            raise LogUnreadable(database.name, why)
        check_partition(connection, database, partition)


def check(database: Database) -> None:
    """Look whether a log that is there may be opened by this code. Raises as `check_format`."""
    with reading(database) as connection, reported(database):
        check_format(connection, database)


def log_id(database: Database) -> str:
    """Which log is there ("": none)."""
    with reading(database) as connection, reported(database):
        return _id(connection, database) if check_format(connection, database) else ""


def begin(database: Database) -> str:
    """The id of the log that is there, which is made where there is none."""
    found = log_id(database)
    if not found:
        session = WriterSession(database)
        try:
            opened(session, database, 0)
            found = _id(session.connection, database)
        finally:
            session.close()
    return found
