"""Streams that go on from others: nothing is copied, and they are read as one."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from palimpsest.events.envelope import Draft, chain
from palimpsest.events.types import Parent
from palimpsest.store.logs.contract import Append, LogStore
from palimpsest.store.logs.sqlite_log import SqliteLog
from tests.contract.backends import PARTITION, Backend
from tests.contract.conftest import Open
from tests.contract.words import add, assert_sound, event, events, keys, kinds, nth, outcomes, snapshot


def fork(log: LogStore, name: str, agent: str, seq: int, *drafts: Draft) -> str:
    """Begin a fork; what became of its first draft."""
    made = drafts or (event(f"{name}-begins", name),)
    return add(log, *made, expected={name: 0}, forks={name: Parent(agent=agent, seq=seq)})[0].outcome


@pytest.fixture
def family(log: LogStore) -> LogStore:
    """ada has five events; fay forks her at 3, gus forks fay at 5 (her own second)."""
    add(log, *events(5))
    assert fork(log, "fay", "ada", 3, *events(3, "fay", "f")) == "appended"
    assert fork(log, "gus", "fay", 5, *events(2, "gus", "g")) == "appended"
    return log


def test_a_fork_goes_on_from_its_parents_seq_and_hash(log: LogStore) -> None:
    add(log, *events(5))
    (answer,) = add(log, event("begins", "fay"), expected={"fay": 0}, forks={"fay": Parent(agent="ada", seq=3)})
    assert (answer.outcome, answer.seq, answer.position) == ("appended", 4, nth(6))
    begins = log.read("fay")[-1]
    assert begins.hash == chain(log.read("ada")[2].hash, 4, begins)
    assert_sound(log)


def test_a_stream_and_what_it_goes_on_from_are_read_as_one(family: LogStore) -> None:
    assert keys(family.read("fay")) == ["e1", "e2", "e3", "f1", "f2", "f3"]
    assert keys(family.read("gus")) == ["e1", "e2", "e3", "f1", "f2", "g1", "g2"]
    assert [e.stream for e in family.read("gus")] == ["ada"] * 3 + ["fay"] * 2 + ["gus"] * 2
    assert keys(family.read("ada")) == ["e1", "e2", "e3", "e4", "e5"]
    assert_sound(family)


@pytest.mark.parametrize(
    ("after", "to", "limit", "found"),
    [
        (0, 3, None, ["e1", "e2", "e3"]),
        (2, 6, None, ["e3", "f1", "f2", "g1"]),
        (0, None, 4, ["e1", "e2", "e3", "f1"]),
        (3, 4, None, ["f1"]),
        (4, None, 1, ["f2"]),
        (6, None, None, ["g2"]),
        (7, None, None, []),
        (0, None, 0, []),
    ],
)
def test_a_range_goes_over_the_joints(
    family: LogStore, after: int, to: int | None, limit: int | None, found: list[str]
) -> None:
    assert keys(family.read("gus", after, to, limit)) == found


def test_kinds_are_picked_from_all_parts(log: LogStore) -> None:
    add(log, *(event(f"{n}", kind=kind) for n, kind in enumerate("abab")))
    fork(log, "fay", "ada", 3, *(event(f"{n}", "fay", kind=kind) for n, kind in enumerate("abab")))
    assert [e.seq for e in log.read("fay", kinds=kinds("a"), limit=3)] == [1, 3, 4]


def test_hashes_are_those_of_the_part(family: LogStore) -> None:
    assert [family.hash_at("gus", seq) for seq in range(1, 8)] == [e.hash for e in family.read("gus")]
    assert family.hash_at("gus", 8) is None
    assert family.hash_at("gus", 0) is None


def test_a_head_is_of_the_forks_own_events(family: LogStore) -> None:
    head = family.head("gus")
    assert head is not None
    last = family.read("gus")[-1]
    assert (head.seq, head.hash, head.position) == (7, last.hash, last.position)
    assert [(h.stream, h.seq) for h in family.heads()] == [("ada", 5), ("fay", 6), ("gus", 7)]


def test_the_lineage_has_the_nearest_first(family: LogStore) -> None:
    assert family.lineage("gus") == [Parent(agent="fay", seq=5), Parent(agent="ada", seq=3)]
    assert family.lineage("ada") == family.lineage("nobody") == []


@pytest.mark.parametrize("seq", [1, 3])
def test_a_fork_at_what_the_parent_inherited_is_the_grandparents(family: LogStore, seq: int) -> None:
    assert fork(family, "hal", "gus", seq) == "appended"
    assert family.lineage("hal") == [Parent(agent="ada", seq=seq)]
    assert [e.seq for e in family.read("hal")] == list(range(1, seq + 2))
    assert_sound(family)


def test_seq_at_says_where_a_fork_stood_at_a_position(family: LogStore) -> None:
    positions = [e.position for e in family.read("gus")]
    for position in map(nth, range(family.position(PARTITION).number + 1)):
        assert family.seq_at("gus", position) == sum(p <= position for p in positions), position


def test_keys_and_open_requests_are_a_streams_own(log: LogStore) -> None:
    add(log, event("asked", opens="turn"))
    assert fork(log, "fay", "ada", 1, event("begins", "fay")) == "appended"
    assert log.find("fay", "asked") is None
    assert log.open_requests_of("fay", "turn") == []
    assert outcomes(add(log, event("a:asked", "fay", closes="asked"))) == ["closed"]
    assert outcomes(add(log, event("asked", "fay", opens="turn"))) == ["appended"]
    assert outcomes(add(log, event("a:asked", "fay", closes="asked"))) == ["appended"]
    assert keys(log.open_requests("turn", PARTITION)) == ["asked"]
    assert log.open_requests("turn", PARTITION)[0].stream == "ada"


def test_a_parents_snapshots_serve_its_fork_up_to_where_it_begins(log: LogStore) -> None:
    add(log, *events(5), snapshots=[snapshot(2), snapshot(3), snapshot(4)])
    assert fork(log, "fay", "ada", 3) == "appended"
    add(log, event("on", "fay"), snapshots=[snapshot(5, "fay")])
    assert log.snapshots("fay") == [snapshot(5, "fay"), snapshot(3), snapshot(2)]
    assert log.snapshots("fay", to=4, limit=1) == [snapshot(3)]
    assert log.snapshots("fay", to=2) == [snapshot(2)]


@pytest.mark.parametrize(("agent", "seq"), [("ada", 6), ("ada", 0), ("ada", -1), ("nobody", 1), ("fay", 7)])
def test_a_parent_that_has_no_such_seq_has_no_fork(family: LogStore, agent: str, seq: int) -> None:
    before = family.position(PARTITION)
    assert fork(family, "hal", agent, seq) == "no parent"
    assert family.position(PARTITION) == before
    assert family.head("hal") is None
    assert family.lineage("hal") == []


def test_a_name_that_is_taken_is_a_conflict(family: LogStore) -> None:
    assert fork(family, "ada", "fay", 2) == "conflict"
    answers = add(family, event("new", "gus"), forks={"gus": Parent(agent="ada", seq=1)})
    assert outcomes(answers) == ["conflict"]


def test_a_fork_that_is_made_again_is_a_duplicate(log: LogStore) -> None:
    add(log, *events(3))
    for outcome in ("appended", "duplicate"):
        assert fork(log, "fay", "ada", 2) == outcome
    assert len(log.read("fay")) == 3


def test_parents_and_forks_may_come_in_one_transaction(log: LogStore) -> None:
    appends = [Append(tuple(events(3))), *(_begin(name, parent) for name, parent in (("fay", "ada"), ("gus", "fay")))]
    answers = log.append(appends)
    assert [[a.outcome for a in answer] for answer in answers] == [["appended"] * 3, ["appended"], ["appended"]]
    assert log.lineage("gus") == [Parent(agent="ada", seq=3)]
    assert_sound(log)


def _begin(name: str, parent: str) -> Append:
    return Append((event("begins", name),), {name: 0}, forks={name: Parent(agent=parent, seq=3)})


def test_another_store_sees_the_forks(family: LogStore, open_store: Open) -> None:
    other = open_store()
    assert other.read("gus") == family.read("gus")
    assert other.lineage("gus") == family.lineage("gus")
    other.open_epoch()
    assert fork(other, "hal", "gus", 7) == "appended"
    assert keys(other.read("hal"))[-2:] == ["g2", "hal-begins"]


def test_both_go_their_own_ways(family: LogStore) -> None:
    add(family, event("more"), event("own", "fay"))
    assert keys(family.read("ada"))[-1] == "more"
    assert keys(family.read("fay"))[-1] == "own"
    assert keys(family.read("gus"))[-1] == "g2"
    assert_sound(family)


def test_a_file_from_before_there_were_forks_opens_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    with SqliteLog(path, PARTITION) as log:
        log.open_epoch()
        add(log, *events(2))
        stored = log.read("ada")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TABLE forks")
    with SqliteLog.open_readonly(path, PARTITION) as early:
        assert (early.read("ada"), early.lineage("ada")) == (stored, [])
        with SqliteLog(path, PARTITION) as log:
            log.open_epoch()
            assert log.read("ada") == stored
            assert fork(log, "fay", "ada", 1) == "appended"
        assert keys(early.read("fay")) == ["e1", "fay-begins"]


def test_a_fork_takes_little_room(backend: Backend, open_store: Open) -> None:
    """Whatever its parent has; here of 2,000 events that take a megabyte."""
    if not backend.shared:
        pytest.skip("only bytes on a disk are counted")
    log = open_store()
    log.open_epoch()
    add(log, *(event(f"e{n}", body=b"x" * 500) for n in range(2000)))
    log.close()
    before = backend.room()
    log = open_store()
    log.open_epoch()
    log.append([_begin(f"fork-{n}", "ada") for n in range(500)])
    log.close()
    assert (backend.room() - before) / 500 < 1000
