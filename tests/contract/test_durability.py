"""What lasts: reopening, `kill -9`, a full disk; who may write: fencing; and many threads at once."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from palimpsest.events.errors import Fenced, LogReadOnly, LogUnavailable
from palimpsest.store.logs.contract import Append, LogStore
from tests.contract import writer
from tests.contract.backends import PARTITION, Backend
from tests.contract.conftest import Open
from tests.contract.words import add, assert_sound, event, events, keys, nth, outcomes, snapshot

ROOT = Path(__file__).parents[2]

# --- durability


def test_everything_is_there_after_reopening(log: LogStore, open_store: Open) -> None:
    add(log, *events(3), event("ask", opens="turn"), cursor=("memory", nth(2)), snapshots=[snapshot(4)])
    before = log.tail(nth(0), 99)
    log.close()
    again = open_store()
    assert again.tail(nth(0), 99) == before
    assert (again.cursor("memory", PARTITION), again.snapshots("ada")) == (nth(2), [snapshot(4)])
    assert keys(again.open_requests("turn", PARTITION)) == ["ask"]
    again.open_epoch()
    assert outcomes(add(again, event("e3"), event("answer", closes="ask"), expected={"ada": 4})) == [
        "duplicate",
        "appended",
    ]
    assert_sound(again)


def test_what_was_acknowledged_survives_kill_9(backend: Backend, open_store: Open, tmp_path: Path) -> None:
    if not backend.shared:
        pytest.skip("other processes cannot open this backend")
    acknowledged: set[str] = set()
    for round_, lines in enumerate((1, 30, 150)):
        command = [sys.executable, "-m", "tests.contract.writer", backend.name, str(tmp_path), str(round_)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            acknowledged |= {process.stdout.readline().strip() for _ in range(lines)}
            process.kill()
            acknowledged |= {line.strip() for line in process.stdout if line.endswith("\n")}
    assert "" not in acknowledged
    log = open_store()
    assert_sound(log)
    stored = {key for agent, _, _, key, _ in backend.stored() if agent == "bob"}
    assert acknowledged <= stored
    assert len(stored) - len(acknowledged) <= 2 * 3  # of each round, the transaction in flight at most
    for agent in writer.AGENTS:  # a transaction is there whole or not at all
        assert {e.key for e in log.read(agent) if not e.opens} == stored
    assert {f"{key}-ask" for key in stored} == set(keys(log.open_requests("inference", PARTITION)))


# --- fault


def test_a_full_disk_refuses_with_nothing_written_and_room_mends_it(log: LogStore, backend: Backend) -> None:
    add(log, *events(3), cursor=("memory", nth(1)))
    if not backend.fill_up(log):
        pytest.skip("this backend has no way to fill its disk")
    large = [event(f"large{n}", "bob" if n % 2 else "ada", body=b"x" * 50_000) for n in range(4)]
    for _ in range(2):
        with pytest.raises(LogUnavailable, match="Free space in"):
            log.append([Append((event("small", "carol"),)), Append(tuple(large), cursor=("memory", nth(9)))])
    assert (log.position(PARTITION), log.cursor("memory", PARTITION), log.head("carol")) == (nth(3), nth(1), None)
    assert_sound(log)
    backend.make_room(log)
    assert outcomes(add(log, *large, expected={"ada": 3, "bob": 0})) == ["appended"] * 4
    assert_sound(log)
    assert len(backend.stored()) == 7


# --- fencing


def test_whoever_opened_no_epoch_only_reads(log: LogStore, open_store: Open) -> None:
    add(log, event("1"), snapshots=[snapshot(1)])
    reader = open_store()
    with pytest.raises(LogReadOnly, match="open_epoch"):
        add(reader, event("2"))
    with pytest.raises(LogReadOnly):
        add(reader, cursor=("memory", nth(1)))
    assert reader.snapshots("ada") == [snapshot(1)]
    assert outcomes(add(log, event("2"))) == ["appended"]
    assert keys(reader.read("ada")) == ["1", "2"]


def test_a_replaced_writer_can_no_longer_write(log: LogStore, open_store: Open) -> None:
    add(log, event("1"))
    newer = open_store()
    assert newer.open_epoch() == 2
    with pytest.raises(Fenced) as refusal:
        add(log, event("2"), cursor=("memory", nth(1)))
    assert (refusal.value.epoch, refusal.value.current) == (1, 2)
    with pytest.raises(Fenced):
        add(log, cursor=("memory", nth(1)))
    assert (log.position(PARTITION), log.cursor("memory", PARTITION)) == (nth(1), nth(0))
    assert outcomes(add(newer, event("2"), expected={"ada": 1})) == ["appended"]


def test_a_writer_that_comes_back_sees_what_was_written_meanwhile(log: LogStore, open_store: Open) -> None:
    add(log, event("1"), event("ask", opens="turn"))
    other = open_store()
    other.open_epoch()
    add(other, event("2"), event("3", "new"), event("answer", closes="ask"))
    assert log.open_epoch() == 3
    answers = add(log, event("2"), event("4"), event("5", "new"), event("6", "newer"), expected={"ada": 4, "new": 1})
    assert outcomes(answers) == ["duplicate", "appended", "appended", "appended"]
    assert outcomes(add(log, event("late", closes="ask"))) == ["closed"]
    assert_sound(log)


# --- concurrency


def test_threads_that_append_through_one_store(log: LogStore) -> None:
    def work(thread: int) -> list[str]:
        agent = f"agent-{thread % 3}"
        return [outcomes(add(log, event(f"{thread}.{n}", agent), event(f"{n}", "shared")))[1] for n in range(20)]

    with ThreadPoolExecutor(6) as pool:
        shared = [outcome for thread in pool.map(work, range(6)) for outcome in thread]
    assert sorted(set(shared)) == ["appended", "duplicate"]
    assert shared.count("appended") == 20
    assert log.position(PARTITION) == nth(6 * 20 + 20)
    assert_sound(log)


def test_of_threads_that_expect_the_same_seq_one_wins(log: LogStore) -> None:
    def work(thread: int) -> list[str]:
        return [outcomes(add(log, event(f"{thread}.{n}"), expected={"ada": n}))[0] for n in range(30)]

    with ThreadPoolExecutor(4) as pool:
        won = [outcome for thread in pool.map(work, range(4)) for outcome in thread]
    assert set(won) <= {"appended", "conflict"}
    assert won.count("appended") == log.position(PARTITION).number
    assert_sound(log)


def test_threads_read_while_others_append_and_see_no_half_of_an_append(log: LogStore) -> None:
    def write() -> None:
        for n in range(100):
            add(log, event(f"{n}"), event(f"{n}", "bob"))

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        cursor = nth(0)
        while cursor < nth(200):
            found, cursor = log.tail(cursor, 1000)
            assert [e.stream for e in found] == ["ada", "bob"] * (len(found) // 2)
        writing.result()
    assert_sound(log)


def test_writers_that_replace_one_another_lose_nothing_that_was_acknowledged(open_store: Open) -> None:
    def work(store: LogStore, thread: int) -> set[str]:
        acknowledged = set()
        store.open_epoch()
        for n in range(15):
            while True:
                try:
                    add(store, event(f"{thread}.{n}"), event(f"{thread}.{n}", "bob"))
                    break
                except Fenced:
                    store.open_epoch()
            acknowledged.add(f"{thread}.{n}")
        return acknowledged

    stores = [open_store() for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        acknowledged = set().union(*pool.map(work, stores, range(3)))
    assert len(acknowledged) == 45
    for store in stores:
        assert set(keys(store.read("ada"))) == set(keys(store.read("bob"))) == acknowledged
        assert_sound(store)
