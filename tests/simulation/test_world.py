"""Seeded runs of the whole, with accidents; the promises are checked after every step."""

from __future__ import annotations

import pytest

from events.codec import decode
from events.types import TurnEnded
from tests.simulation.promises import check_contexts, contexts
from tests.simulation.world import World

SEEDS = range(200)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_promises_hold_whatever_happens(seed: int) -> None:
    world = World(seed)
    world.run(check_every=7)
    for agent in world.names:
        stream = world.log.read(agent)
        check_contexts(agent, stream)
        ended = {event.input for event in map(decode, stream) if isinstance(event, TurnEnded)}
        for name, key in world.acknowledged:
            envelope = world.log.find(name, key)
            assert envelope is not None, "promise 1: what was acknowledged is there"
            if name == agent:
                assert envelope.seq in ended, f"promise 3: {agent}/{key} got no turn"


@pytest.mark.parametrize("seed", range(20))
def test_a_seed_run_twice_gives_the_same_bytes(seed: int) -> None:
    first, second = World(seed), World(seed)
    first.run(check_every=1000)
    second.run(check_every=1000)
    assert first.memory.events == second.memory.events


@pytest.mark.parametrize("seed", range(40))
def test_crashes_leave_no_trace_in_the_contexts(seed: int) -> None:
    """Promise 8: with clients that wait for their answers, every context is that of a run without accidents."""
    calm, wild = World(seed, calm=True), World(seed)
    for world in (calm, wild):
        world.sequential = True
        world.stops = False
        world.run(check_every=1000)
    for agent in calm.names:
        assert contexts(wild.log.read(agent)) == contexts(calm.log.read(agent)), f"promise 8: {agent}"
