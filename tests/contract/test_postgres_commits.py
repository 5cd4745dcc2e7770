"""Commits whose answer is lost, takeovers, and servers that restart: exactly one outcome, and it is known."""

from __future__ import annotations

import contextlib
import random
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
import pytest

from palimpsest.events.errors import (
    AcknowledgedLost,
    CommitInDoubt,
    Fenced,
    LogUnavailable,
    LogUnreadable,
    PalimpsestError,
)
from palimpsest.events.position import FIRST_PARTITION
from palimpsest.store.logs import postgres_log, postgres_session
from palimpsest.store.logs.contract import Append, Appended
from palimpsest.store.logs.in_memory import InMemoryLog, Volume
from palimpsest.store.logs.postgres_errors import LOCK_TIMEOUT_S
from palimpsest.store.logs.postgres_log import TRIES, PostgresLog
from palimpsest.store.logs.postgres_reader import PostgresReader
from palimpsest.store.logs.postgres_rows import Writing
from tests.contract.servers import Place, at, own, place, until
from tests.contract.words import add, assert_sound, event, events, keys, outcomes, snapshot
from tests.worlds.cut_line import Where

__all__ = ["own", "place"]

WAITS_FOR_A_STANDBY = "wait_event = 'SyncRep'"
IN_A_TRANSACTION = "wait_event = 'ClientRead' AND backend_xid IS NOT NULL"
WAITS_FOR_A_LOCK = "wait_event_type = 'Lock'"


@contextlib.contextmanager
def writer(url: str) -> Iterator[PostgresLog]:
    with PostgresLog(url) as log:
        log.open_epoch()
        yield log


@contextlib.contextmanager
def aside(log: PostgresLog, *drafts_of: str) -> Iterator[Future[list[Appended]]]:
    """An append of these keys in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        try:
            yield pool.submit(add, log, *(event(key) for key in drafts_of))
        except BaseException:
            log.close()  # else a test that fails would wait for it
            raise


@contextlib.contextmanager
def locked(place: Place, table: str) -> Iterator[None]:
    """Nobody can write this table meanwhile."""
    with psycopg.connect(place.server.url()) as other:
        other.execute(f"LOCK TABLE {place.schema}.{table} IN EXCLUSIVE MODE".encode())
        yield
        other.rollback()


@contextlib.contextmanager
def no_standby(place: Place) -> Iterator[None]:
    """Commits wait for a standby that is not there. A probe commits until one of its own waits: it takes a moment."""
    over = threading.Event()

    def probe() -> None:
        while not over.is_set():
            place.ask("SELECT pg_logical_emit_message(true, 'probe', '')")

    with ThreadPoolExecutor(1) as pool:
        pool.submit(probe)
        place.server.set(synchronous_standby_names="nobody")
        try:
            until(lambda: place.ask(f"SELECT 1 FROM pg_stat_activity WHERE {WAITS_FOR_A_STANDBY}"))
            yield
        finally:
            over.set()
            place.server.set(synchronous_standby_names="")


def one_that(place: Place, condition: str) -> object:
    """The server process of which this holds, once it does."""
    until(lambda: place.backends(condition))
    (backend,) = place.backends(condition)
    return backend


# --- a commit whose answer is lost


@pytest.mark.parametrize("where", ["before", "sent", "answered"])
def test_a_commit_that_was_cut_off_is_answered_as_it_is(place: Place, where: Where) -> None:
    with writer(place.url_by_line) as log:
        add(log, event("first"))
        place.line.cut_at(where)
        assert add(log, event("a"), event("ask", opens="turn"), cursor=("memory", at(7)), snapshots=[snapshot(2)]) == [
            Appended("appended", 2, at(2)),
            Appended("appended", 3, at(3)),
        ]
        assert place.line.at_commit.is_set()
        assert place.keys() == ["first", "a", "ask"]
        assert outcomes(add(log, event("a"), event("b", closes="ask"))) == ["duplicate", "appended"]
        assert (log.cursor("memory", FIRST_PARTITION).number, log.snapshots("ada")) == (7, [snapshot(2)])
        assert_sound(log)


@pytest.mark.parametrize("where", ["before", "sent", "answered"])
def test_a_cursor_alone_is_set_also_where_the_line_is_cut(place: Place, where: Where) -> None:
    with writer(place.url_by_line) as log:
        place.line.cut_at(where)
        assert add(log, cursor=("memory", at(3))) == []
        assert log.cursor("memory", FIRST_PARTITION).number == 3


def test_a_new_stream_that_was_cut_off_has_its_number_once(place: Place) -> None:
    with writer(place.url_by_line) as log:
        cuts: tuple[Where, ...] = "before", "answered"
        for n, where in enumerate(cuts):
            place.line.cut_at(where)
            assert outcomes(add(log, event("x", f"s{n}"), event("x", f"r{n}"))) == ["appended"] * 2
        assert outcomes(add(log, event("x", "last"))) == ["appended"]
        assert place.ask("SELECT count(*), max(id), (SELECT streams FROM log.partitions) FROM log.streams") == [
            (5, 5, 5)
        ]
        assert_sound(log)


def test_what_is_cut_off_each_time_is_given_up_and_is_not_there(place: Place) -> None:
    with writer(place.url_by_line) as log:
        add(log, event("first"))
        place.line.cut_at(*(("before",) * TRIES))
        with pytest.raises(LogUnavailable, match=rf"lost {TRIES} times.* nothing of it was written"):
            add(log, event("a"))
        assert place.keys() == ["first"]
        assert outcomes(add(log, event("a"), expected={"ada": 1})) == ["appended"]
        assert_sound(log)


def test_a_line_that_is_cut_between_two_appends_is_not_noticed(place: Place) -> None:
    with writer(place.url_by_line) as log:
        for n in range(3):
            assert outcomes(add(log, event(f"{n}"), expected={"ada": n})) == ["appended"]
            assert len(log.read("ada")) == n + 1
            place.line.cut_now()
        assert_sound(log)


@pytest.mark.parametrize("end", ["pg_terminate_backend", "pg_cancel_backend"])
def test_a_commit_that_waits_for_a_standby_is_not_answered_before_the_standby_has_it(place: Place, end: str) -> None:
    """Ended or cancelled, it is committed on this server alone: what is answered then could be lost."""
    with writer(place.url) as log:
        add(log, event("first"))
        with no_standby(place), aside(log, "a") as answer:
            backend = one_that(place, WAITS_FOR_A_STANDBY)
            for _ in range(3):  # what then finds out is a commit as well
                place.ask(f"SELECT {end}({backend})")
                backend = one_that(place, f"{WAITS_FOR_A_STANDBY} AND pid <> {backend}")
            assert place.keys() == ["first", "a"], "it is there, and could be told"
            assert not answer.done()
            place.server.set(synchronous_standby_names="")
            assert answer.result() == [Appended("appended", 2, at(2))]
        assert place.keys() == ["first", "a"]
        assert_sound(log)


@pytest.mark.parametrize("seed", range(2))
def test_after_cuts_at_random_all_is_as_after_none(place: Place, seed: int) -> None:
    chance, calm = random.Random(seed), InMemoryLog(Volume(FIRST_PARTITION))
    calm.open_epoch()
    ways: tuple[Where, ...] = "before", "sent", "answered"
    with writer(place.url_by_line) as log:
        for n in range(25):
            place.line.cut_at(*chance.choices(ways, k=chance.choice((0, 0, 1, 2))))
            if chance.random() < 0.2:
                place.line.cut_now()
            keys = chance.sample(range(n, n + 5), 2)
            drafts = tuple(event(f"{key}", chance.choice(("ada", "bob")), opens="turn") for key in keys)
            batch = [Append(drafts, cursor=("memory", at(n))), Append((event(f"a{n}", closes=f"{n}"),))]
            assert log.append(batch) == calm.append(batch), f"append {n} of seed {seed}"
        place.line.cut_at()
        assert log.tail(at(0), 999) == calm.tail(at(0), 999)
        assert log.open_requests("turn", FIRST_PARTITION) == calm.open_requests("turn", FIRST_PARTITION)
        assert log.cursor("memory", FIRST_PARTITION).number == 24
        assert_sound(log)


def test_a_commit_that_waits_for_a_standby_and_is_cut_off_has_one_outcome(place: Place) -> None:
    with writer(place.url_by_line) as log:
        with no_standby(place), aside(log, "a") as answer:
            backend = one_that(place, WAITS_FOR_A_STANDBY)
            place.line.cut_now()
            one_that(place, f"{WAITS_FOR_A_STANDBY} AND pid <> {backend}")
            assert not answer.done()
            place.server.set(synchronous_standby_names="")
            assert answer.result() == [Appended("appended", 1, at(1))]
        assert place.keys() == ["a"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_server_that_restarts_in_the_middle_of_a_commit_is_asked_what_it_has(
    place: Place, how: signal.Signals
) -> None:
    with writer(place.url) as log:
        add(log, event("first"))
        with contextlib.suppress(psycopg.OperationalError), locked(place, "streams"), aside(log, "a") as answer:
            until(lambda: place.backends(WAITS_FOR_A_LOCK))
            place.server.stop(how)
            # The lock may have gone first, and the commit through, before its session was ended.
            until(lambda: answer.done() or "cannot be reached" in log.waits_for)
            place.server.start()
            assert outcomes(answer.result()) == ["appended"]
        assert place.keys() == ["first", "a"]
        assert log.waits_for == ""
        assert_sound(log)


def test_a_writer_that_is_closed_before_it_knows_says_so(place: Place) -> None:
    log = PostgresLog(place.url)
    log.open_epoch()
    with contextlib.suppress(psycopg.OperationalError), locked(place, "streams"), aside(log, "a") as answer:
        until(lambda: place.backends(WAITS_FOR_A_LOCK))
        place.server.stop(signal.SIGQUIT)
        until(lambda: log.waits_for)
        log.close()
        with pytest.raises(CommitInDoubt, match="Send it again with the same keys"):
            answer.result()
    place.server.start()


@pytest.mark.parametrize("sent", [False, True])
def test_a_writer_that_is_interrupted_in_a_commit_finds_out_with_the_next(
    place: Place, sent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writer(place.url) as log:
        add(log, event("first"))
        really = log._sent

        def interrupted(writing: Writing) -> bool:
            if sent:
                really(writing)
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(log, "_sent", interrupted)
            with pytest.raises(KeyboardInterrupt):
                add(log, event("a"), event("a", "bob"))
        answers = add(log, event("a"), event("a", "bob"), event("b", "bob"))
        assert outcomes(answers) == [*["duplicate" if sent else "appended"] * 2, "appended"]
        assert_sound(log)


def test_a_writer_that_is_closed_while_it_waits_for_a_standby_says_that_it_does_not_know(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_log, "CLOSING_S", 0.1)
    log = PostgresLog(place.url)
    log.open_epoch()
    with no_standby(place), aside(log, "a") as answer:
        one_that(place, WAITS_FOR_A_STANDBY)
        log.close()
        with pytest.raises(CommitInDoubt):
            answer.result()
    with writer(place.url) as again:
        assert outcomes(add(again, event("a"), event("b"))) == ["duplicate", "appended"]


# --- taking over


def test_a_takeover_ends_the_old_writers_session_in_the_middle_of_its_transaction(place: Place) -> None:
    """The old one has sent all but its COMMIT, and has the partition's row locked."""
    with writer(place.url_by_line) as old:
        add(old, event("first"))
        place.line.cut_at("held")
        with aside(old, "a") as answer:
            assert place.line.at_commit.wait(10)
            backend = one_that(place, IN_A_TRANSACTION)
            place.line.refuses = True  # else the old one might be back before its successor has the row
            with writer(place.url) as newer:
                assert backend not in place.backends()
                assert outcomes(add(newer, event("b"), expected={"ada": 1})) == ["appended"]
                place.line.refuses = False
                with pytest.raises(Fenced) as refusal:
                    answer.result()
                assert (refusal.value.epoch, refusal.value.current) == (1, 2)
                assert place.keys() == ["first", "b"]
                with pytest.raises(Fenced):
                    add(old, event("c"))
                assert_sound(newer)


def test_a_writer_that_was_replaced_leaves_its_successors_session_alone(place: Place) -> None:
    with writer(place.url_by_line) as old, writer(place.url) as newer:
        add(newer, event("a"))
        sessions = place.ask("SELECT backend, epoch FROM log.partitions")
        place.line.cut_now()
        with pytest.raises(Fenced):
            add(old, event("b"))
        assert place.ask("SELECT backend, epoch FROM log.partitions") == sessions
        assert sessions[0][0] in place.backends()
        assert outcomes(add(newer, event("b"))) == ["appended"]
        assert place.ask("SELECT backend, epoch FROM log.partitions") == sessions


def test_of_two_sessions_with_one_number_only_the_one_that_is_meant_is_ended(place: Place) -> None:
    """Numbers of processes are used again."""
    with writer(place.url) as log, psycopg.connect(place.server.url()) as stranger:
        add(log, event("a"))
        place.ask(f"UPDATE log.partitions SET backend = {stranger.info.backend_pid}")
        with writer(place.url) as newer:
            assert stranger.execute("SELECT 1").fetchone() == (1,)
            with pytest.raises(Fenced):
                add(log, event("b"))
            assert outcomes(add(newer, event("b"))) == ["appended"]


def test_a_writer_goes_on_with_an_epoch_above_its_last(place: Place) -> None:
    with writer(place.url_by_line) as log:
        place.line.cut_now()
        add(log, event("a"))
        ((epoch, position),) = place.ask("SELECT epoch, position FROM log.partitions")
        assert (epoch, position) == (2, 1)
        assert log.open_epoch() == 3


# --- a log that is not what it was


def test_a_log_that_lacks_what_was_acknowledged_ends_its_writer(place: Place) -> None:
    with writer(place.url_by_line) as log:
        add(log, *events(3))
        place.ask("DELETE FROM log.events WHERE position > 1")
        place.ask("UPDATE log.partitions SET position = 1")
        place.line.cut_now()
        with pytest.raises(AcknowledgedLost, match=r"Events 2 to 3 of .* were acknowledged and are not there") as lost:
            add(log, event("late"))
        assert (lost.value.acknowledged, lost.value.found) == (3, 1)
        for again in (lambda: add(log, event("late")), log.open_epoch):
            with pytest.raises(AcknowledgedLost):
                again()
        assert place.keys() == ["e1"]


CHANGES = pytest.mark.parametrize(
    ("change", "error"),
    [
        ("epoch = epoch + 1", Fenced),
        ("position = 1", AcknowledgedLost),
        ("position = 5", LogUnreadable),
        ("epoch = epoch - 1", AcknowledgedLost),
    ],
)


@CHANGES
def test_what_is_there_already_is_not_told_by_one_who_is_not_the_writer_any_more(
    place: Place, change: str, error: type[PalimpsestError]
) -> None:
    with writer(place.url) as log:
        add(log, *events(3))
        place.ask(f"UPDATE log.partitions SET {change}")
        with pytest.raises(error):
            add(log, event("e1"))


@CHANGES
def test_the_fence_sees_what_changed_after_the_batch_was_looked_up(
    place: Place, change: str, error: type[PalimpsestError]
) -> None:
    """The row is changed while the transaction waits for it, so that what was looked up before is old."""
    with writer(place.url) as log:
        add(log, *events(3))
        with psycopg.connect(place.server.url()) as other:
            other.execute(f"UPDATE {place.schema}.partitions SET {change}".encode())
            with aside(log, "late") as answer:
                until(lambda: place.backends(WAITS_FOR_A_LOCK))
                other.commit()
                with pytest.raises(error):
                    answer.result()
        assert place.keys() == ["e1", "e2", "e3"]
        assert place.ask("SELECT count(*) FROM log.requests") == [(0,)]
        with pytest.raises(error):
            add(log, event("later"))


# --- servers that restart


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_server_that_was_restarted_between_two_appends_is_not_noticed(place: Place, how: signal.Signals) -> None:
    with writer(place.url) as log, PostgresReader.open_readonly(place.url) as reader:
        add(log, *events(2))
        assert keys(reader.read("ada")) == ["e1", "e2"]
        place.server.restart(how)
        assert outcomes(add(log, event("e2"), event("e3"), expected={"ada": 2})) == ["duplicate", "appended"]
        assert keys(reader.read("ada")) == ["e1", "e2", "e3"]
        assert_sound(log)


def test_while_the_server_is_away_nothing_is_written_and_nothing_read(place: Place) -> None:
    with writer(place.url) as log, PostgresReader.open_readonly(place.url) as reader:
        add(log, *events(2))
        place.server.stop()
        with pytest.raises(LogUnavailable, match=r"cannot be reached.*Nothing was written"):
            add(log, event("e3"))
        with pytest.raises(LogUnavailable, match="cannot be reached"):
            reader.read("ada")
        place.server.start()
        assert outcomes(add(log, event("e3"), expected={"ada": 2})) == ["appended"]
        assert len(reader.read("ada")) == 3


def test_threads_read_side_by_side_over_a_restart(place: Place) -> None:
    with writer(place.url) as log:
        log.append([Append(tuple(events(50)))])
        with ThreadPoolExecutor(8) as pool:
            assert [len(found) for found in pool.map(log.read, ["ada"] * 40)] == [50] * 40
            place.server.restart()
            assert [len(found) for found in pool.map(log.read, ["ada"] * 40)] == [50] * 40


def test_a_session_that_could_not_take_the_partition_does_not_write_as_if_it_had(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's transaction holds the partition's row, while the writer comes back with a new session."""
    wait = f"lock_timeout={LOCK_TIMEOUT_S}s"
    assert wait in postgres_session._WRITING
    monkeypatch.setattr(postgres_session, "_WRITING", postgres_session._WRITING.replace(wait, "lock_timeout=200ms"))
    with writer(place.url) as log, psycopg.connect(place.server.url()) as other:
        add(log, event("a"))
        log._let_session_go()
        other.execute(f"SELECT 1 FROM {place.schema}.partitions FOR UPDATE".encode())
        with pytest.raises(LogUnavailable):
            add(log, event("b"))
        assert log._session is None, "the next commit takes the partition before it writes"
        other.rollback()
        assert outcomes(add(log, event("b"))) == ["appended"]
        assert_sound(log)


def test_a_writer_that_is_closed_writes_nothing_more(place: Place) -> None:
    log = PostgresLog(place.url)
    log.open_epoch()
    log.close()
    with pytest.raises(LogUnavailable, match="is closed"):
        add(log, event("late"))
    assert place.backends() == []
