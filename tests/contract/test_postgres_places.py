"""Where a log may be in PostgreSQL, and who may do what there: each refusal in words, and nothing changed by it."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from msgspec.structs import replace

from palimpsest.events.envelope import Draft
from palimpsest.events.errors import (
    BadInput,
    LogReadOnly,
    LogUnavailable,
    LogUnreadable,
    NewerFormat,
    NoLog,
    PalimpsestError,
)
from palimpsest.events.position import FIRST_PARTITION
from palimpsest.store.logs.contract import Append
from palimpsest.store.logs.opening import FileLog
from palimpsest.store.logs.postgres import DatabaseLog
from palimpsest.store.logs.postgres_log import PostgresLog
from palimpsest.store.logs.postgres_reader import PostgresReader
from palimpsest.store.logs.postgres_schema import FORMAT, READER, WRITER, lift
from palimpsest.store.logs.postgres_session import Connection, WriterSession
from palimpsest.store.logs.postgres_url import Database, database
from tests.contract.servers import Place, at, end, own, place, until
from tests.contract.words import add, assert_sound, event, events, keys, outcomes
from tests.worlds.cut_line import CutLine
from tests.worlds.postgres_server import PostgresServer, execute

__all__ = ["own", "place"]

SECRET = "s3cr3t-hunter"
Opened = Callable[[str], object]
BOTH = pytest.mark.parametrize("opened", [PostgresLog, PostgresReader.open_readonly])


def written(url: str, count: int = 3) -> None:
    with PostgresLog(url) as log:
        log.open_epoch()
        add(log, *events(count))


class Users:
    """Logins of a test's own, with their passwords in no URL but where it is asked for."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.made: list[str] = []

    def add(self, *of: str) -> str:
        """A user in these groups."""
        name = f"u{secrets.token_hex(6)}"
        group = f"IN ROLE {', '.join(of)}" if of else ""
        self._place.ask(f"CREATE ROLE {name} LOGIN PASSWORD '{SECRET}' {group}")
        self.made.append(name)
        return name

    def url(self, name: str, password: str = SECRET) -> str:
        return f"{self._place.server.url(user=name, password=password)}?schema={self._place.schema}"


@pytest.fixture
def users(place: Place) -> Iterator[Users]:
    made = Users(place)
    yield made
    for name in made.made:
        place.ask(f"DROP OWNED BY {name} CASCADE")
        place.ask(f"DROP ROLE {name}")


@pytest.fixture
def other_database(own: PostgresServer) -> Iterator[str]:
    """The URL of a database of its own."""
    name = f"d{secrets.token_hex(6)}"
    own.execute(f"CREATE DATABASE {name}")
    yield own.url(name)
    own.execute(f"DROP DATABASE {name} WITH (FORCE)")


def said(error: BaseException) -> str:
    """All that an error and those behind it say, as a traceback would."""
    found, each = [], [error]
    while each:
        one = each.pop()
        found += [str(one), repr(one)]
        each += [behind for behind in (one.__cause__, one.__context__) if behind is not None]
    return "\n".join(found)


# --- URLs


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (f"postgresql://ada:{SECRET}@host/db", "postgresql://ada@host/db"),
        (f"postgres://ada:{SECRET}@host:5433/db?sslmode=verify-full", "postgresql://ada@host:5433/db"),
        (f"postgresql://ada:{SECRET}@a:1,b:2/db?schema=other", "postgresql://ada@a:1,b:2/db?schema=other"),
        (f"postgresql://host/db?user=ada&password={SECRET}", "postgresql://ada@host/db"),
        (f"postgresql:///db?password_file=/run/{SECRET}", "postgresql://localhost/db"),
    ],
)
def test_a_databases_name_has_its_place_and_not_its_password(url: str, name: str) -> None:
    found = database(url)
    assert found.name == name
    assert SECRET not in f"{found!r}{found}"
    assert found.connection_parameters()["sslmode"] == "verify-full" if "sslmode" in url else True


@pytest.mark.parametrize(
    "url",
    [
        "mysql://ada:s3cr3t-hunter@host/db",
        "postgresql://ada:s3cr3t@-hunter@host/db",
        "postgresql://ada:s3cr3t/-hunter@host/db",
        "postgresql://ada:12/s3cr3t-hunter@host/db",
        "postgresql://ada:s3cr3t?-hunter@host/db",
        "postgresql://ada:s3cr3t%zz-hunter@host/db",
        "postgresql://ada:s3cr3t-hunter@host:port/db",
        "postgresql://ada@host/db?nonsense=s3cr3t-hunter",
        "postgresql://ada:s3cr3t-hunter@[host/db",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(BadInput, match="URL cannot be read") as refusal:
        PostgresLog(url)
    assert "s3cr3t" not in said(refusal.value)
    assert "hunter" not in said(refusal.value)


@pytest.mark.parametrize("schema", ["Log", "1st", "pg_log", "a-b", "x" * 64, 'x"; DROP TABLE y'])
def test_a_schema_has_a_plain_name(schema: str) -> None:
    with pytest.raises(BadInput, match="no name for a log's schema"):
        database("postgresql://host/db", schema)


def test_a_path_is_a_file_and_a_url_a_database(place: Place, tmp_path: Path) -> None:
    there = DatabaseLog(place.url)
    assert not there.is_there()
    made = there.begin()
    there.check()
    assert there.begin() == there.log_id() == made
    assert there.is_there()
    for where in (there, FileLog(tmp_path / "log.sqlite")):
        with where.store() as log, where.reader() as reader:
            log.open_epoch()
            add(log, *events(2))
            assert keys(reader.read("ada")) == ["e1", "e2"]
    with pytest.raises(BadInput, match="cannot hold its log to 100 pages"):
        DatabaseLog(place.url).store(max_pages=100)


# --- who is let in


def test_a_wrong_password_is_told_without_it(users: Users) -> None:
    url = users.url(users.add(), password=SECRET + "-wrong")
    for opened in (PostgresLog, PostgresReader.open_readonly):
        with pytest.raises(LogUnavailable, match="refuses this user's password") as refusal:
            opened(url)
        assert SECRET not in said(refusal.value)
        assert refusal.value.__context__ is None, "libpq's error has the connection's parameters"


def test_no_password_is_told(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    with pytest.raises(LogUnavailable, match="wants a password"):
        PostgresLog(users.url(users.add(), password=""))


def test_a_password_comes_from_the_environment_or_a_file_of_libpqs(
    place: Place, users: Users, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(place.url)
    name = users.add(READER)
    url = users.url(name, password="")
    monkeypatch.setenv("PGPASSWORD", SECRET)
    with PostgresReader.open_readonly(url) as reader:
        assert end(reader) == 3
    monkeypatch.delenv("PGPASSWORD")
    file = tmp_path / "pass"
    file.write_text(f"127.0.0.1:*:*:{name}:{SECRET}\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    with PostgresReader.open_readonly(url) as reader:
        assert end(reader) == 3


def test_a_password_in_a_file_may_be_changed_without_a_stop(place: Place, users: Users, tmp_path: Path) -> None:
    written(place.url)
    name, file = users.add(WRITER), tmp_path / "password"
    file.write_text(f"{SECRET}\n")
    with PostgresLog(f"{users.url(name, '')}&password_file={file}") as log:
        log.open_epoch()
        assert end(log) == 3
        place.ask(f"ALTER ROLE {name} PASSWORD '{SECRET}-2'")
        place.ask(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{name}'")
        with pytest.raises(LogUnavailable, match="refuses this user's password") as refusal:
            add(log, event("new"))
        assert SECRET not in said(refusal.value)
        file.write_text(f"{SECRET}-2\n")
        assert outcomes(add(log, event("new"), expected={"ada": 3})) == ["appended"]
        assert end(log) == 4
        file.unlink()
        place.ask(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{name}'")
        with pytest.raises(LogUnavailable, match=r"password .* cannot be read from .*: No such file"):
            add(log, event("newer"))


@BOTH
def test_what_is_not_there_is_named(own: PostgresServer, opened: Opened) -> None:
    with pytest.raises(LogUnavailable, match=r"no such database: postgresql://postgres@127.0.0.1:[0-9]+/nowhere "):
        opened(own.url("nowhere"))
    with pytest.raises(LogUnavailable, match=r"cannot be reached \(.*refused.*\)"):
        opened(own.url(port=1))
    with pytest.raises(LogUnavailable, match="cannot be reached"):
        opened("postgresql://host.invalid/db")


def test_a_reader_makes_no_log(place: Place) -> None:
    with pytest.raises(NoLog, match=f"schema={place.schema}"):
        PostgresReader.open_readonly(place.url)
    assert place.ask(f"SELECT 1 FROM pg_namespace WHERE nspname = '{place.schema}'") == []


def test_too_many_connections_are_told(place: Place, users: Users) -> None:
    written(place.url)
    name = users.add(WRITER)
    place.ask(f"ALTER ROLE {name} CONNECTION LIMIT 1")
    with PostgresLog(users.url(name)) as log:
        log.open_epoch()
        assert outcomes(add(log, event("new"))) == ["appended"]
        with pytest.raises(LogUnavailable, match="takes no more connections"):
            log.read("ada")


# --- what is there


def test_a_database_of_something_else_is_left_as_it_is(other_database: str) -> None:
    execute(other_database, "CREATE TABLE public.aunts (name text)")
    with pytest.raises(LogUnreadable, match=r"holds tables of something else \(public.aunts\)"):
        PostgresLog(other_database)
    with pytest.raises(NoLog):
        PostgresReader.open_readonly(other_database)
    assert execute(other_database, "SELECT 1 FROM pg_namespace WHERE nspname = 'palimpsest'") == []
    written(f"{other_database}?schema=palimpsest")
    written(other_database)
    with PostgresReader.open_readonly(other_database) as reader:
        assert end(reader) == 3
    execute(other_database, "DROP SCHEMA palimpsest CASCADE")


@BOTH
@pytest.mark.parametrize("table", ["aunts (name text)", "system (name text)"])
def test_a_schema_of_something_else_is_left_as_it_is(place: Place, opened: Opened, table: str) -> None:
    place.ask(f"CREATE SCHEMA {place.schema}")
    for each in (table, "partitions ()", "streams ()", "events ()") if table.startswith("system") else (table,):
        place.ask(f"CREATE TABLE log.{each}")
    before = place.ask(f"SELECT tablename FROM pg_tables WHERE schemaname = '{place.schema}' ORDER BY 1")
    with pytest.raises(LogUnreadable, match="holds tables of something else"):
        opened(place.url)
    assert place.ask(f"SELECT tablename FROM pg_tables WHERE schemaname = '{place.schema}' ORDER BY 1") == before


@BOTH
def test_a_newer_format_is_refused_and_left_as_it_is(place: Place, opened: Opened) -> None:
    written(place.url)
    place.ask(f"UPDATE log.system SET format = {FORMAT + 1}")
    with pytest.raises(NewerFormat, match=f"has format {FORMAT + 1}.* upgrade"):
        opened(place.url)
    with pytest.raises(NewerFormat):
        DatabaseLog(place.url).check()
    assert place.ask("SELECT format FROM log.system") == [(FORMAT + 1,)]


@BOTH
def test_several_partitions_are_not_done_yet(place: Place, opened: Callable[..., object]) -> None:
    written(place.url)
    for partition in (1, -1):
        with pytest.raises(BadInput, match=f"has no partition {partition}: it has 1, numbered from 0"):
            opened(place.url, partition=partition)
    place.ask("UPDATE log.system SET partitions = 4")
    with pytest.raises(BadInput, match="has 4 partitions"):
        opened(place.url)


def test_a_log_that_is_not_the_one_is_not_opened_and_nothing_is_made(place: Place) -> None:
    wanted = "0" * 32
    with pytest.raises(LogUnavailable, match=f"The log {wanted} is not in .*: nothing is there"):
        PostgresLog(place.url, log_id=wanted)
    assert place.ask(f"SELECT 1 FROM pg_namespace WHERE nspname = '{place.schema}'") == []
    there = DatabaseLog(place.url).begin()
    with pytest.raises(LogUnavailable, match=f"the log {there} is there"):
        PostgresLog(place.url, log_id=wanted)
    PostgresLog(place.url, log_id=there).close()


def test_of_many_who_make_a_log_at_once_one_does(place: Place) -> None:
    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(DatabaseLog.begin, [DatabaseLog(place.url)] * 6))) == 1


def test_migrations_run_in_order_and_all_or_none(place: Place) -> None:
    written(place.url)
    there, done = database(place.url), list[int]()

    def second(connection: Connection) -> None:
        connection.execute(f"CREATE TABLE {there.schema}.half (way text)".encode())
        connection.execute(b"SELECT 1 / 0")

    session = WriterSession(there)
    with pytest.raises(psycopg.errors.DivisionByZero):
        lift(session.connection, there, {1: lambda _: done.append(1), 2: second}, 3)
    assert place.ask("SELECT format FROM log.system") == [(1,)]
    assert place.ask(f"SELECT 1 FROM pg_tables WHERE schemaname = '{there.schema}' AND tablename = 'half'") == []
    lift(session.connection, there, {1: lambda _: done.append(1), 2: lambda _: done.append(2)}, 3)
    assert place.ask("SELECT format FROM log.system") == [(3,)]
    assert done == [1, 1, 2]
    session.close()


@pytest.mark.parametrize(
    "odd",
    [
        event("a", "a\x00b"),
        event("k" * 90_000, body=b""),
        replace(event("a"), time=2**63),
        replace(event("a"), version=2**40),
    ],
)
def test_what_no_database_holds_is_refused_and_the_rest_goes_on(place: Place, odd: Draft) -> None:
    odd = replace(odd, key=secrets.token_hex(len(odd.key)) if len(odd.key) > 1 else odd.key)
    with PostgresLog(place.url) as log:
        log.open_epoch()
        add(log, event("first"))
        with pytest.raises((ValueError, ArithmeticError)):
            log.append([Append((event("beside"),)), Append((odd,))])
        assert keys(log.read("ada")) == ["first"]
        assert outcomes(add(log, event("beside"), expected={"ada": 1})) == ["appended"]
        assert_sound(log)


# --- who may do what


def test_who_may_not_look_is_told_so(place: Place, users: Users) -> None:
    written(place.url)
    url = users.url(users.add())
    for opened in (PostgresLog, PostgresReader.open_readonly):
        with pytest.raises(LogUnavailable, match=f"may not read the log's tables.* grant it {READER}"):
            opened(url)


def test_who_may_make_nothing_is_told_so(place: Place, users: Users) -> None:
    place.ask("REVOKE CREATE ON DATABASE postgres FROM PUBLIC")
    with pytest.raises(LogUnavailable, match="may not make a log there"):
        PostgresLog(users.url(users.add()))


def test_who_may_make_a_schema_makes_a_log(place: Place, users: Users) -> None:
    name = users.add()
    place.ask(f"GRANT CREATE ON DATABASE postgres TO {name}")
    place.ask(f"ALTER ROLE {name} SET default_transaction_isolation = 'serializable'")
    url = users.url(name)
    written(url)
    with PostgresLog(url) as log:
        log.open_epoch()
        assert end(log) == 3
    assert place.ask(f"SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = '{place.schema}'") == [(name,)]


def test_a_reader_reads_and_does_not_write(place: Place, users: Users) -> None:
    written(place.url)
    url = users.url(users.add(READER))
    with PostgresReader.open_readonly(url) as reader:
        assert keys(reader.read("ada")) == ["e1", "e2", "e3"]
        assert reader.tail(at(0), 9)[1].number == end(reader) == 3
    with pytest.raises(LogUnavailable, match=f"may not write the log's tables.* grant it {WRITER}"):
        PostgresLog(url)


def test_a_session_that_reads_cannot_write_whoever_it_is(place: Place) -> None:
    written(place.url)
    with PostgresReader.open_readonly(place.url) as reader, reader._borrowed() as connection:
        for statement in (f"DELETE FROM {place.schema}.events", f"CREATE TABLE {place.schema}.mine ()"):
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                connection.execute(statement.encode())
    with pytest.raises(LogReadOnly, match="open_epoch"), PostgresLog(place.url) as log:
        add(log, event("new"))


def test_a_writer_appends_and_changes_no_event(place: Place, users: Users) -> None:
    written(place.url)
    url = users.url(users.add(WRITER))
    with PostgresLog(url) as log, PostgresLog(url) as newer:
        log.open_epoch()
        assert outcomes(add(log, event("ask", opens="turn"), event("answer", closes="ask"))) == ["appended"] * 2
        newer.open_epoch()
        assert outcomes(add(newer, event("more"), cursor=("memory", at(2)))) == ["appended"]
    plain = url.partition("?")[0]
    for change in ("UPDATE log.events SET body = ''", "DELETE FROM log.events", "UPDATE log.system SET format = 1"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            execute(plain, change.replace("log.", f"{place.schema}."))
    assert len(place.keys()) == 6


def test_a_right_that_was_taken_away_is_told_and_nothing_written(place: Place, users: Users) -> None:
    written(place.url)
    with PostgresLog(users.url(users.add(WRITER))) as log:
        log.open_epoch()
        place.ask(f"REVOKE INSERT ON log.events FROM {WRITER}")
        with pytest.raises(LogUnavailable, match=r"may not do this .* grant"):
            add(log, event("new"), cursor=("memory", at(1)))
        assert (end(log), log.cursor("memory", FIRST_PARTITION).number) == (3, 0)
        place.ask(f"GRANT INSERT ON log.events TO {WRITER}")
        assert outcomes(add(log, event("new"), expected={"ada": 3})) == ["appended"]


# --- servers


def test_a_writer_does_not_go_through_a_pooler(place: Place) -> None:
    pooler = CutLine(place.server.port, pooled=True)
    with pytest.raises(BadInput, match="is a pooler"):
        PostgresLog(f"{place.server.url(port=pooler.port)}?schema={place.schema}")
    assert place.ask(f"SELECT 1 FROM pg_namespace WHERE nspname = '{place.schema}'") == []
    pooler.close()


def test_a_database_has_to_hold_all_of_unicode(own: PostgresServer) -> None:
    name = f"d{secrets.token_hex(6)}"
    own.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0")
    with pytest.raises(BadInput, match=r"LATIN1.* needs one with UTF8"):
        PostgresLog(own.url(name))
    own.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_writer_waits_for_the_disk_also_where_the_server_would_not(place: Place) -> None:
    place.server.set(synchronous_commit="off")
    session = WriterSession(database(place.url))
    assert session.connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
    session.close()
    place.server.set(synchronous_commit="remote_apply")
    until(lambda: place.ask("SHOW synchronous_commit") == [("remote_apply",)])
    session = WriterSession(database(place.url))
    assert session.connection.execute("SHOW synchronous_commit").fetchone() == ("remote_apply",)
    session.close()
    place.server.set(synchronous_commit="")


def test_what_is_not_safe_is_said(place: Place) -> None:
    written(place.url)
    place.server.set(full_page_writes="off")
    until(lambda: place.ask("SHOW full_page_writes") == [("off",)])
    with PostgresReader.open_readonly(place.url) as reader:
        found = reader.durability()
        assert (found.synchronous_commit, found.synchronous_standby_names, found.standby) == ("on", "", False)
        said_of_it = " ".join(found.flaws)
        assert "full_page_writes is off" in said_of_it
        assert "No standby is waited for" in said_of_it
        assert ("fsync is off" in said_of_it) == (place.ask("SHOW fsync") == [("off",)])
    place.server.set(full_page_writes="")


def test_a_standby_is_read_from_and_not_written(place: Place) -> None:
    written(place.url)
    standby = PostgresServer(place.server.binaries, standby_of=place.server)
    try:
        standby.start()
        url = f"{standby.url()}?schema={place.schema}"
        with PostgresReader.open_readonly(url) as reader, PostgresLog(place.url) as log:
            assert keys(reader.read("ada")) == ["e1", "e2", "e3"]
            log.open_epoch()
            add(log, event("later", opens="turn"))
            until(lambda: end(reader) == 4)
            assert keys(reader.open_requests("turn", FIRST_PARTITION)) == ["later"]
            assert reader.durability().standby
        with pytest.raises(LogUnavailable, match="is read-only"):
            PostgresLog(url)
        both = f"postgresql://postgres@127.0.0.1:{standby.port},127.0.0.1:{place.server.port}/postgres"
        with PostgresLog(f"{both}?schema={place.schema}") as log:
            log.open_epoch()
            assert outcomes(add(log, event("last"))) == ["appended"]
    finally:
        standby.remove()


def test_the_servers_certificate_is_verified(place: Place) -> None:
    if not certified(place.server, "localhost"):
        pytest.skip("this build of the server has no TLS")
    written(place.url)
    trusted = f"sslmode=verify-full&sslrootcert={place.server.data}/server.crt&schema={place.schema}"
    with PostgresReader.open_readonly(f"postgresql://postgres@localhost:{place.server.port}/postgres?{trusted}") as log:
        assert end(log) == 3
        with log._borrowed() as connection:
            assert connection.pgconn.ssl_in_use
    with pytest.raises(LogUnavailable, match="cannot be trusted"):
        PostgresReader.open_readonly(f"postgresql://postgres@127.0.0.1:{place.server.port}/postgres?{trusted}")
    place.server.set(ssl="")
    until(lambda: place.ask("SHOW ssl") == [("off",)])


def certified(server: PostgresServer, name: str) -> bool:
    """Have the server show a certificate for this name; False where it cannot."""
    key, certificate = server.data / "server.key", server.data / "server.crt"
    if not certificate.exists():
        request = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}")
        subprocess.run((*request, "-keyout", key, "-out", certificate), check=True, capture_output=True)
        key.chmod(0o600)
        server.own(key)
        server.own(certificate)
    try:
        server.set(ssl="on")
    except psycopg.errors.InvalidParameterValue:
        return False
    until(lambda: server.execute("SHOW ssl") == [("on",)])
    return True


def test_every_error_is_one_of_ours(place: Place) -> None:
    assert all(issubclass(each, PalimpsestError) for each in (BadInput, LogUnavailable, LogUnreadable, NewerFormat))
    written(place.url)
    with PostgresLog(place.url) as log:
        log.open_epoch()
        place.ask("DROP TABLE log.cursors")
        with pytest.raises(LogUnavailable, match=r"not there any more .*nothing of this was written"):
            add(log, event("new"), cursor=("memory", at(1)))
        assert end(log) == 3
    assert isinstance(database(place.url), Database)
