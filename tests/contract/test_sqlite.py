"""What only the SQLite backend has: a file with a format, readers from outside, and memory that follows the file."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from palimpsest.events.errors import BadInput, LogUnavailable, LogUnreadable, NewerFormat, PalimpsestError
from palimpsest.store.logs.contract import Append
from palimpsest.store.logs.heads import Head, HeadCache
from palimpsest.store.logs.sqlite_file import FORMAT, migrate
from palimpsest.store.logs.sqlite_log import SqliteLog
from palimpsest.store.logs.sqlite_reader import SqliteReader
from tests.contract.backends import PARTITION
from tests.contract.words import add, assert_sound, event, events, keys, nth, outcomes

ROOT = Path(__file__).parents[2]
NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "odd name?#%.sqlite"


def written(path: Path, count: int = 3) -> SqliteLog:
    log = SqliteLog(path, PARTITION)
    log.open_epoch()
    add(log, *events(count))
    return log


def execute(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


# --- the format


def test_the_file_is_durable_and_says_what_it_is(path: Path) -> None:
    written(path).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        pragmas = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "journal_mode")]
    assert pragmas == [FORMAT, "wal"]
    with contextlib.closing(SqliteLog(path, PARTITION)) as log:
        assert log._writing.execute("PRAGMA synchronous").fetchone() == (2,)


@pytest.mark.parametrize("opened", [SqliteLog, SqliteLog.open_readonly])
def test_a_newer_format_is_refused_and_left_as_it_is(path: Path, opened: Callable[[Path], object]) -> None:
    written(path).close()
    execute(path, f"PRAGMA user_version = {FORMAT + 1}")
    before = path.read_bytes()
    with pytest.raises(NewerFormat, match=f"has format {FORMAT + 1}.* upgrade"):
        opened(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("opened", [SqliteLog, SqliteLog.open_readonly])
def test_what_is_no_log_is_refused_and_left_as_it_is(path: Path, opened: Callable[[Path], object]) -> None:
    path.write_bytes(b"a letter to my aunt\n" * 100)
    with pytest.raises(LogUnreadable, match="not a database"):
        opened(path)
    assert contents(path.parent) == {path.name: b"a letter to my aunt\n" * 100}
    path.unlink()
    execute(path, "CREATE TABLE aunts (name)")
    before = contents(path.parent)
    with pytest.raises(LogUnreadable, match="something else"):
        opened(path)
    assert contents(path.parent) == before


def test_a_file_with_torn_pages_is_named(path: Path) -> None:
    written(path, 300).close()
    torn = bytearray(path.read_bytes())
    torn[4096:] = b"\xff" * (len(torn) - 4096)
    path.write_bytes(torn)
    with (
        contextlib.closing(SqliteLog.open_readonly(path, PARTITION)) as log,
        pytest.raises(LogUnreadable, match="malformed"),
    ):
        log.read("ada")


def test_migrations_run_in_order_and_all_or_none(path: Path) -> None:
    written(path).close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        done: list[int] = []

        def second(connection: sqlite3.Connection) -> None:
            connection.execute("CREATE TABLE half (way)")
            raise sqlite3.OperationalError("power cut")

        with pytest.raises(sqlite3.OperationalError, match="power cut"):
            migrate(connection, {1: lambda _: done.append(1), 2: second}, 3)
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)
        migrate(connection, {1: lambda _: done.append(1), 2: lambda _: done.append(2)}, 3)
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)
        assert done == [1, 1, 2]


# --- readers from outside


def test_there_is_nothing_to_read_where_there_is_no_log(path: Path) -> None:
    with pytest.raises(BadInput, match="There is no log"):
        SqliteLog.open_readonly(path, PARTITION)
    with pytest.raises(BadInput):
        SqliteLog.open_readonly(path.parent / "nowhere" / "log", PARTITION)
    assert contents(path.parent) == {}
    path.touch()
    with pytest.raises(BadInput):
        SqliteLog.open_readonly(path, PARTITION)
    assert contents(path.parent) == {path.name: b""}


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogUnavailable, match="nowhere"):
        SqliteLog(tmp_path / "nowhere" / "log")


def test_a_reader_follows_a_live_writer_and_stays_when_it_ends(path: Path) -> None:
    log = written(path)
    with SqliteLog.open_readonly(path, PARTITION) as reader:
        assert reader.position(PARTITION) == nth(3)
        add(log, event("later"))
        assert keys(reader.read("ada", after=3)) == ["later"]
        log.close()
        assert reader.position(PARTITION) == nth(4)
        with contextlib.closing(written(path)) as again:
            add(again, event("latest"))
            assert reader.position(PARTITION) == nth(5)


def test_a_reader_needs_no_writer_and_changes_no_log(path: Path) -> None:
    written(path).close()
    before = path.read_bytes()
    with SqliteLog.open_readonly(path, PARTITION) as reader:
        assert_sound(reader)
        assert reader.position(PARTITION) == nth(3)
    assert path.read_bytes() == before


def test_a_reader_of_a_writer_that_was_killed_misses_nothing(path: Path) -> None:
    program = "import os, sys; from pathlib import Path; from tests.contract.test_sqlite import written"
    kill = f"written(Path(sys.argv[1])); os.kill(os.getpid(), {int(signal.SIGKILL)})"
    killed = subprocess.run([sys.executable, "-c", f"{program}; {kill}", str(path)], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    with SqliteLog.open_readonly(path, PARTITION) as reader:
        assert reader.position(PARTITION) == nth(3)


@pytest.fixture
def sealed() -> Iterator[Path]:
    """A folder that others may read; the test seals it."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
        Path(folder).chmod(0o700)


@pytest.mark.parametrize("live", [False, True])
def test_a_read_only_copy_can_be_read_whole_and_stays_as_it_is(path: Path, sealed: Path, live: bool) -> None:
    """The copy of a live log has a write-ahead log beside it, which holds what was committed last."""
    log = written(path)
    if not live:
        log.close()
    for file in path.parent.glob(f"{path.name}*"):
        if not file.name.endswith("-shm"):
            shutil.copyfile(file, sealed / file.name)
            (sealed / file.name).chmod(0o444)
    log.close()
    assert (sealed / f"{path.name}-wal").exists() == live
    sealed.chmod(0o555)
    before = contents(sealed)
    assert as_nobody(lambda: SqliteLog.open_readonly(sealed / path.name, PARTITION)) == 3
    assert contents(sealed) == before


def as_nobody(opened: Callable[[], SqliteReader]) -> int:
    """How many events a process without rights reads. A child does it: rights cannot be had back."""
    child = os.fork()
    if child == 0:
        count = 255
        try:
            if os.geteuid() == 0:
                os.setuid(NOBODY)
            with opened() as log:
                count = len(log.read("ada"))
        finally:
            os._exit(count)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# --- memory follows the file


def test_a_failed_transaction_leaves_no_head_ahead_of_the_file(path: Path) -> None:
    log = written(path)
    execute(path, "CREATE TRIGGER refuse BEFORE INSERT ON cursors BEGIN SELECT raise(ABORT, 'refused'); END")
    with pytest.raises(sqlite3.IntegrityError, match="refused"):
        log.append([Append((event("lost"), event("lost", "bob"))), Append((), cursor=("memory", nth(1)))])
    execute(path, "DROP TRIGGER refuse")
    assert outcomes(add(log, event("kept"), event("1", "bob"), expected={"ada": 3, "bob": 0})) == ["appended"] * 2
    assert_sound(log)
    log.close()


def test_a_locked_file_is_reported_and_nothing_is_written(path: Path) -> None:
    log = written(path)
    log._writing.execute("PRAGMA busy_timeout = 10")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogUnavailable, match="locked by another process"):
            add(log, event("new"))
        other.execute("ROLLBACK")
    assert outcomes(add(log, event("new"), expected={"ada": 3})) == ["appended"]
    log.close()


def test_a_log_may_be_given_so_much_room(path: Path) -> None:
    log = SqliteLog(path, PARTITION, max_pages=40)
    log.open_epoch()
    with pytest.raises(LogUnavailable, match="disk is full"):
        for n in range(100):
            add(log, event(f"{n}", body=b"x" * 4000))
    taken = log.position(PARTITION).number
    assert 5 < taken < 40
    log.close()
    with contextlib.closing(SqliteLog(path, PARTITION)) as roomier:
        roomier.open_epoch()
        assert outcomes(add(roomier, *events(50), expected={"ada": taken})) == ["appended"] * 50
        assert_sound(roomier)


def test_heads_are_bounded_and_the_recently_used_stay() -> None:
    heads = HeadCache(100)
    for n in range(1000):
        heads.put(f"agent-{n}", Head(n, 1, b""))
        assert heads.get("agent-0") == Head(0, 1, b"")
        assert len(heads) <= 101
    assert heads.get("agent-999") and heads.get("agent-500") is None
    heads.clear()
    assert len(heads) == 0


def test_every_error_is_one_of_ours(path: Path) -> None:
    for error in (BadInput, LogUnavailable, LogUnreadable, NewerFormat):
        assert issubclass(error, PalimpsestError)
    path.mkdir()
    with pytest.raises(PalimpsestError, match="cannot be opened"):
        SqliteLog(path, PARTITION)
