"""A load keeps near the index, and gives way to those who write beside it."""

from __future__ import annotations

import asyncio

import pytest

from palimpsest.actors.loads import pace
from palimpsest.actors.loads.pace import AHEAD, Pace
from palimpsest.events.errors import ActorLost
from palimpsest.events.position import Position
from tests.worlds.positions import nth


class World:
    """A log's position, and which positions were waited for."""

    def __init__(self) -> None:
        self.position = 0
        self.waited: list[int] = []
        self.lost = False

    async def ask(self) -> Position:
        if self.lost:
            raise ActorLost("log", for_good=False)
        return nth(self.position)

    async def indexed(self, position: Position, wait_s: float) -> Position:
        assert wait_s > 0
        self.waited.append(position.number)
        return position


def write(world: World, count: int, others: int) -> list[int]:
    async def stretches() -> list[int]:
        paced = Pace(world.ask, world.indexed)
        for _ in range(count):
            world.position += 1 + others
            await paced.wrote(nth(world.position))
        return world.waited

    return asyncio.run(stretches())


def test_alone_a_load_is_some_stretches_ahead_of_the_index_and_no_more() -> None:
    assert write(World(), AHEAD + 3, others=0) == [1, 2, 3]


def test_beside_others_a_load_waits_for_each_stretch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "LONGEST_REST_S", 0.0)
    assert write(World(), 4, others=500) == [501, 1002, 1503, 2004]


def test_a_log_that_is_away_stops_no_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "LONGEST_REST_S", 0.0)
    world = World()
    world.lost = True
    assert write(world, 3, others=0) == []
