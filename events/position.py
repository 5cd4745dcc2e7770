"""Where an event stands in the log: its partition, and its number there.

Rules. (1) A partition numbers its events from 1, without a gap; 0 is before the first. (2) Positions of one partition
have an order. Between those of two there is none: to compare them is a mistake of ours, and raises OtherPartition.
(3) What stays within one partition by its nature (a batch, an index) compares numbers.
"""

from __future__ import annotations

from typing import Final, NewType

import msgspec

Partition = NewType("Partition", int)

FIRST_PARTITION: Final = Partition(0)
"""The only one of a data folder."""


class OtherPartition(AssertionError):
    """Something of one partition was asked of another: a mistake of ours, and nobody's input is to blame for it."""


class Position(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event's place in the log, or how far somebody has read a partition. Written `partition:number`."""

    partition: Partition
    number: int

    def number_in(self, partition: Partition) -> int:
        """The number, where the position is one of this partition. Raises OtherPartition where it is not."""
        if self.partition != partition:
            check_same(self.partition, partition)
        return self.number

    def moved(self, events: int) -> Position:
        """So many events further on (or back)."""
        return Position(self.partition, self.number + events)

    def since(self, earlier: Position) -> int:
        """How many events there are after `earlier`, up to this one."""
        return self.number - earlier.number_in(self.partition)

    def __lt__(self, other: Position) -> bool:
        return self.number < other.number_in(self.partition)

    def __le__(self, other: Position) -> bool:
        return self.number <= other.number_in(self.partition)

    def __gt__(self, other: Position) -> bool:
        return self.number > other.number_in(self.partition)

    def __ge__(self, other: Position) -> bool:
        return self.number >= other.number_in(self.partition)

    def __str__(self) -> str:
        return f"{self.partition}:{self.number}"


UNPLACED: Final = Position(Partition(-1), 0)
"""Of an event that is in no log (yet), and of whoever has not begun to read. It has an order with no other."""


def beginning(partition: Partition) -> Position:
    """Before a partition's first event."""
    return Position(partition, 0)


def check_same(asked: Partition, partition: Partition) -> None:
    """Raises OtherPartition where something of one partition is asked of another."""
    if asked != partition:
        raise OtherPartition(
            f"Partition {asked} is asked for in partition {partition}: between the two there is no order."
        )
