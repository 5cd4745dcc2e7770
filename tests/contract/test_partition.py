"""A log's partition, which here is not the first: what it has says so, and what is asked of another is a mistake."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from palimpsest.events.position import FIRST_PARTITION, OtherPartition, Partition, Position, beginning
from palimpsest.store.logs.contract import LogStore, open_everywhere, partition_of
from tests.contract.backends import PARTITION
from tests.contract.conftest import Open
from tests.contract.words import add, event, events, keys

OTHERS = [FIRST_PARTITION, Partition(PARTITION + 1)]


def test_whatever_has_a_position_says_the_partition(log: LogStore, open_store: Open) -> None:
    answers = add(log, event("1", opens="turn"), event("2", "bob"), cursor=("memory", Position(PARTITION, 1)))
    assert [answer.position for answer in answers] == [Position(PARTITION, 1), Position(PARTITION, 2)]
    again = open_store()
    assert (again.partition, list(again.partitions)) == (PARTITION, [PARTITION])
    head = again.head("bob")
    assert head is not None
    assert head.partition == partition_of(again, "bob") == PARTITION
    assert {head.partition for head in again.heads()} == {PARTITION}
    found = again.find("ada", "1")
    assert found is not None
    placed = [
        found,
        *again.read("bob"),
        *again.tail(beginning(PARTITION), 9)[0],
        *again.open_requests("turn", PARTITION),
    ]
    assert {each.position.partition for each in placed} == {PARTITION}
    ends = again.position(PARTITION), again.cursor("memory", PARTITION), again.cursor("nobody", PARTITION)
    assert ends == (Position(PARTITION, 2), Position(PARTITION, 1), beginning(PARTITION))


def test_what_is_open_is_found_everywhere_and_of_one_stream(log: LogStore) -> None:
    add(log, event("1", opens="turn"), event("2", "bob", opens="turn"), event("3", opens="timer"))
    assert keys(open_everywhere(log, "turn")) == ["1", "2"]
    assert keys(log.open_requests_of("bob", "turn")) == ["2"]
    assert log.open_requests_of("nobody", "turn") == []


Ask = Callable[[LogStore, Partition], object]


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize(
    "ask",
    [
        lambda log, other: log.tail(Position(other, 1), 9),
        lambda log, other: log.seq_at("ada", Position(other, 1)),
        lambda log, other: log.position(other),
        lambda log, other: log.cursor("memory", other),
        lambda log, other: log.open_requests("turn", other),
    ],
)
def test_what_is_asked_of_another_partition_is_a_mistake(log: LogStore, ask: Ask, other: Partition) -> None:
    add(log, *events(3))
    with pytest.raises(OtherPartition, match=f"Partition {other} is asked for in partition {PARTITION}"):
        ask(log, other)


@pytest.mark.parametrize("other", OTHERS)
def test_a_cursor_of_another_partition_is_not_kept_nor_what_comes_with_it(log: LogStore, other: Partition) -> None:
    with pytest.raises(OtherPartition):
        add(log, event("1"), cursor=("memory", Position(other, 1)))
    assert (log.position(PARTITION), log.heads()) == (beginning(PARTITION), [])
    add(log, event("1"))
