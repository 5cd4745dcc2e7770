"""Reading: streams, the partition's tail, heads, snapshots, single events."""

from __future__ import annotations

import pytest

from palimpsest.store.logs.contract import LogStore
from tests.contract.backends import PARTITION
from tests.contract.words import add, assert_sound, event, events, keys, kinds, nth, snapshot

# --- read


@pytest.mark.parametrize(
    ("after", "to", "limit", "seqs"),
    [
        (0, None, None, [1, 2, 3, 4, 5]),
        (2, None, None, [3, 4, 5]),
        (0, 3, None, [1, 2, 3]),
        (1, 4, 2, [2, 3]),
        (0, None, 0, []),
        (0, 0, None, []),
        (5, None, None, []),
        (4, 2, None, []),
        (0, 99, 99, [1, 2, 3, 4, 5]),
    ],
)
def test_a_range_of_a_stream(log: LogStore, after: int, to: int | None, limit: int | None, seqs: list[int]) -> None:
    for mine, others in zip(events(5), events(5, "bob"), strict=True):
        add(log, mine, others)
    assert [e.seq for e in log.read("ada", after, to, limit)] == seqs


def test_an_unknown_stream_has_nothing(log: LogStore) -> None:
    add(log, event("1"))
    assert log.read("nobody") == []
    assert log.head("nobody") is None
    assert log.hash_at("nobody", 1) is None
    assert log.find("nobody", "1") is None
    assert log.snapshots("nobody") == []


def test_an_empty_log(log: LogStore) -> None:
    assert (log.position(PARTITION), log.heads(), log.tail(nth(0), 10)) == (nth(0), [], ([], nth(0)))
    assert log.open_requests("turn", PARTITION) == []


def test_one_event_by_key_and_one_hash_by_seq(log: LogStore) -> None:
    add(log, *events(3))
    stream = log.read("ada")
    assert log.find("ada", "e2") == stream[1]
    assert log.find("ada", "e4") is None
    assert [log.hash_at("ada", seq) for seq in range(5)] == [None, *(e.hash for e in stream), None]


# --- heads


def test_heads_stand_by_name_and_can_be_paged(log: LogStore) -> None:
    agents = ["b", "a", "Z", "é", "a/1", "\U0001f600", "\uffee"]
    add(log, *(event("1", agent) for agent in agents))
    assert [head.stream for head in log.heads()] == sorted(agents)
    assert [head.stream for head in log.heads(after="a", limit=2)] == ["a/1", "b"]
    assert log.heads(limit=0) == []
    assert_sound(log)


def test_a_head_follows_its_stream(log: LogStore) -> None:
    add(log, event("1"))
    add(log, event("x", "bob"), event("long-key"))
    head = log.head("ada")
    assert head is not None
    assert (head.seq, head.position, head.created_ms, head.updated_ms) == (2, nth(3), 1001, 1008)
    assert head.hash == log.hash_at("ada", 2)


# --- tail


def test_a_tail_walks_the_partition_in_batches(log: LogStore) -> None:
    add(log, *events(3), *events(2, "bob"))
    first, cursor = log.tail(nth(0), 2)
    assert (keys(first), cursor) == (["e1", "e2"], nth(2))
    second, cursor = log.tail(cursor, 3)
    assert ([(e.stream, e.key) for e in second], cursor) == ([("ada", "e3"), ("bob", "e1"), ("bob", "e2")], nth(5))
    assert log.tail(cursor, 2) == ([], nth(5))
    assert log.tail(nth(1), 0) == ([], nth(1))


def test_a_tail_of_kinds_says_how_far_it_looked(log: LogStore) -> None:
    add(log, *(event(f"{n}", kind=kind) for n, kind in enumerate("abacaab")))
    wanted = kinds("bc")
    assert [e.position for e in log.tail(nth(0), 9, wanted)[0]] == [nth(2), nth(4), nth(7)]
    assert log.tail(nth(0), 9, wanted)[1] == nth(7)
    found, cursor = log.tail(nth(0), 2, wanted)
    assert ([e.position for e in found], cursor) == ([nth(2), nth(4)], nth(4))
    assert log.tail(nth(0), 9, kinds("x")) == ([], nth(7))
    assert log.tail(nth(3), 9, frozenset()) == ([], nth(7))
    assert log.tail(nth(4), 1, kinds("c")) == ([], nth(7))


def test_a_cursor_beyond_the_end_stays(log: LogStore) -> None:
    add(log, event("1"))
    assert log.tail(nth(9), 5) == ([], nth(9))


# --- a stream's events of some kinds, and where it stood at a position


def test_a_read_of_kinds_passes_the_others_over(log: LogStore) -> None:
    add(log, *(event(f"{n}", kind=kind) for n, kind in enumerate("abacaab")))
    add(log, event("x", "bob", kind="b"))
    wanted = kinds("bc")
    assert [e.seq for e in log.read("ada", kinds=wanted)] == [2, 4, 7]
    assert [e.seq for e in log.read("ada", after=2, to=6, kinds=wanted)] == [4]
    assert [e.seq for e in log.read("ada", limit=2, kinds=wanted)] == [2, 4]
    assert log.read("ada", kinds=frozenset()) == []


def test_seq_at_says_where_a_stream_stood_at_a_position(log: LogStore) -> None:
    for n in range(3):
        add(log, event(f"a{n}"), event(f"b{n}", "bob"), event(f"c{n}", "bob"))
    streams = {agent: [e.position for e in log.read(agent)] for agent in ("ada", "bob", "nobody")}
    for position in map(nth, range(11)):
        for agent, positions in streams.items():
            assert log.seq_at(agent, position) == sum(p <= position for p in positions), (agent, position)


# --- snapshots


def test_snapshots_stand_newest_first_and_one_at_a_seq(log: LogStore) -> None:
    for n in range(1, 4):
        add(log, event(f"{n}"), event(f"{n}", "bob"), snapshots=[snapshot(n), snapshot(n, "bob")])
    assert log.snapshots("ada") == [snapshot(3), snapshot(2), snapshot(1)]
    assert log.snapshots("ada", to=2) == [snapshot(2), snapshot(1)]
    assert log.snapshots("ada", to=0) == []
    assert log.snapshots("ada", limit=1) == [snapshot(3)]
    add(log, event("4"), snapshots=[snapshot(3, state=b"newer")])
    assert log.snapshots("ada", to=3)[0].state == b"newer"


def test_old_snapshots_are_thinned(log: LogStore) -> None:
    for n in range(1, 61):
        add(log, event(f"{n}"), event(f"{n}", "bob"), snapshots=[snapshot(n * 500)])
    newest = [n * 500 for n in range(60, 52, -1)]
    assert [kept.seq for kept in log.snapshots("ada")] == [*newest, 25_000, 20_000, 15_000, 10_000, 5_000, 500]
    add(log, event("late", "bob"), snapshots=[snapshot(1, "bob")])
    assert [kept.seq for kept in log.snapshots("bob")] == [1]
