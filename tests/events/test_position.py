"""Positions: an order within a partition, none between two, and what crosses the wire."""

from __future__ import annotations

import operator
import pickle
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.events.envelope import GENESIS, Draft, Envelope, place
from palimpsest.events.position import FIRST_PARTITION, UNPLACED, OtherPartition, Partition, Position, beginning
from tests.worlds.positions import nth

ORDERS = (operator.lt, operator.le, operator.gt, operator.ge)
OTHER = Partition(3)
DRAFT = Draft("ada", 1, "MessageSent", 1, "k", b"\x80")


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 40))
def test_positions_of_a_partition_are_in_the_order_of_their_numbers(one: int, other: int) -> None:
    for order in ORDERS:
        assert order(Position(OTHER, one), Position(OTHER, other)) == order(one, other)
    assert Position(OTHER, one).since(Position(OTHER, other)) == one - other
    assert Position(OTHER, other).moved(one - other) == Position(OTHER, one)
    assert max(nth(one), nth(other)) == nth(max(one, other))


@pytest.mark.parametrize("ask", [*ORDERS, Position.since, max])
def test_between_two_partitions_there_is_no_order(ask: Callable[[Position, Position], object]) -> None:
    with pytest.raises(OtherPartition, match=r"Partition \d is asked for in partition \d: .* no order"):
        ask(Position(OTHER, 5), nth(4))
    with pytest.raises(OtherPartition, match="no order"):
        ask(UNPLACED, nth(4))


def test_of_two_partitions_no_positions_are_equal_and_asking_so_is_no_mistake() -> None:
    assert Position(OTHER, 5) != nth(5)
    assert len({Position(OTHER, 5), nth(5), nth(5)}) == 2
    assert beginning(OTHER).number == beginning(FIRST_PARTITION).number == 0


def test_a_position_says_its_partition_and_its_number() -> None:
    assert str(Position(OTHER, 17)) == "3:17"
    assert Position(OTHER, 17).number_in(OTHER) == 17
    with pytest.raises(OtherPartition):
        Position(OTHER, 17).number_in(FIRST_PARTITION)


def test_a_position_crosses_as_two_numbers() -> None:
    there = Position(OTHER, 17)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(there)) == [3, 17]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(there), type=Position) == there
    assert msgspec.convert(msgspec.to_builtins(there), Position) == there
    assert pickle.loads(pickle.dumps(there)) == there
    envelope = place(DRAFT, 1, there, GENESIS)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(envelope), type=Envelope) == envelope


def test_a_stream_keeps_its_hashes_wherever_it_stands() -> None:
    assert place(DRAFT, 1, Position(OTHER, 17), GENESIS).hash == place(DRAFT, 1, nth(1), GENESIS).hash
