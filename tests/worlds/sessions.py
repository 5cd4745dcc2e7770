"""Random sessions out of the simulation, for the debugger's properties: accidents included, each made once."""

from __future__ import annotations

from functools import cache

from palimpsest.store.logs.contract import LogReader
from tests.worlds.simulated import World

SEEDS = range(40)


@cache
def session(seed: int) -> tuple[LogReader, str]:
    """A log, and an agent who lived through accidents in it."""
    world = World(seed, agents=1)
    world.run()
    return world.log, world.names[0]
