"""Seeded runs of the whole, with accidents; the promises are checked after every step."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from palimpsest.events.types import AGENT_EVENTS
from tests.worlds.simulated import ACCIDENTS, World

SEEDS = range(200)

WELL_ENDED = {"yielded", "stopped", "inference_failed", "failure_limit", "repeating"}
"""How a turn may end in these worlds: their windows are large enough, and their models do not go on for ever."""

_ran: set[int] = set()
_accidents: Counter[str] = Counter()
_kinds: Counter[str] = Counter()
"""Of all the seeds."""


@pytest.mark.parametrize("seed", SEEDS)
def test_the_promises_hold_whatever_happens(seed: int) -> None:
    world = World(seed)
    world.run()
    _ran.add(seed)
    _accidents.update(world.accidents)
    _kinds.update(envelope.kind for envelope in world.memory.events)
    for stream in world.watch.streams.values():
        assert set(stream.ended.values()) <= WELL_ENDED, f"promise 5: {stream.agent}"
    for agent, key in world.acknowledged:
        envelope = world.log.find(agent, key)
        assert envelope is not None, "promise 1: what was acknowledged is there"
        stream = world.watch.streams[agent]
        assert envelope.seq in stream.ended or envelope.seq in stream.skipped, f"promise 3: {agent}/{key} got no turn"


def test_every_accident_and_every_event_came_about() -> None:
    """Guards the test above: a world in which nothing happens keeps every promise."""
    if len(_ran) < len(SEEDS):
        pytest.skip("not all seeds were run")
    rare = {name: _accidents[name] for name in ACCIDENTS if _accidents[name] < 10}
    assert not rare, f"hardly ever happened in {len(SEEDS)} seeds: {rare}"
    assert set(_accidents) == set(ACCIDENTS)
    kinds = {event.__name__ for event in AGENT_EVENTS} - {"AgentForked", "InputAdopted"}  # of forks: test_forks
    assert kinds - set(_kinds) == set(), "these kinds of events were never simulated"


@pytest.mark.parametrize("seed", range(10))
def test_a_seed_run_twice_gives_the_same_bytes(seed: int) -> None:
    first, second = World(seed), World(seed)
    first.run()
    second.run()
    assert first.memory.events == second.memory.events


def test_another_process_gives_the_same_bytes() -> None:
    """Promise 2: nothing hangs on what differs from process to process, as the order of a set does."""
    assert _digest(hash_seed="1") == _digest(hash_seed="2") != ""


def _digest(hash_seed: str) -> str:
    program = (
        "import hashlib; from tests.worlds.simulated import World; world = World(3); world.run(); "
        "print(hashlib.sha256(b''.join(e.hash for e in world.memory.events)).hexdigest())"
    )
    environ = {**os.environ, "PYTHONHASHSEED": hash_seed}
    root = Path(__file__).parents[2]
    ran = subprocess.run([sys.executable, "-c", program], cwd=root, env=environ, capture_output=True, check=True)
    return ran.stdout.decode().strip()


@pytest.mark.parametrize("seed", range(40))
def test_crashes_leave_no_trace_in_the_contexts(seed: int) -> None:
    """Promise 8: with clients that wait for their answers, every context is that of a run without accidents."""
    calm, wild = World(seed, calm=True), World(seed)
    for world in (calm, wild):
        world.sequential = True
        world.stops = False
        world.run()
    for agent in calm.names:
        assert wild.watch.streams[agent].contexts == calm.watch.streams[agent].contexts, f"promise 8: {agent}"
