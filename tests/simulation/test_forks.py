"""Forks over random sessions: whatever was going on, one goes on as its parent did, and leaves its parent alone."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from palimpsest.store.logs.states import load
from tests.worlds.forking import Continuation, replayed
from tests.worlds.simulated import World

SEEDS = st.integers(0, 10_000)


def session(seed: int, inputs: int) -> World:
    world = World(seed, agents=1, inputs=inputs)
    world.stops = False
    world.run()
    return world


def fork_everywhere(seed: int) -> set[str]:
    """Fork a session at each of its events, and hold each fork against its parent; the kinds of these events."""
    world = session(seed, 4)
    (parent,) = world.names
    before = world.log.read(parent)
    places = replayed(world.log, parent)
    kinds: set[str] = set()
    for envelope in before:
        fork = Continuation(world.log, parent, envelope.seq, f"fork-{envelope.seq}", places)
        if fork.changed_since_asked():
            continue
        fork.run()
        assert fork.contexts == fork.expected(), f"forked at {envelope.seq}, {envelope.kind}"
        kinds.add(envelope.kind)
    assert world.log.read(parent) == before
    return kinds


@settings(max_examples=8, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_a_fork_at_any_event_goes_on_as_its_parent_did(seed: int) -> None:
    fork_everywhere(seed)


def test_forks_are_begun_in_the_middle_of_everything() -> None:
    kinds: set[str] = set()
    for seed in (2, 6):  # these sessions have them all
        kinds |= fork_everywhere(seed)
    assert kinds >= {
        "InputArchived", "TurnStarted", "EvictionStarted", "MessagesEvicted", "InferenceRequested", "InferenceFailed",
        "InferenceCompleted", "FunctionCalled", "FunctionReturned", "TimerSet", "TimerFired", "AnswerRejected",
        "TimeZoneSet",
    }  # fmt: skip


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=SEEDS, where=st.lists(st.floats(0, 1, exclude_max=True), min_size=2, max_size=4))
def test_a_fork_of_a_fork_goes_on_as_its_parent_did(seed: int, where: list[float]) -> None:
    world = session(seed, 5)
    (parent,) = world.names
    for number, share in enumerate(where):
        places = replayed(world.log, parent)
        own = [envelope.seq for envelope in world.log.read(parent) if envelope.stream == parent]
        seq = own[int(share * len(own))]
        fork = Continuation(world.log, parent, seq, f"{parent}+{number}", places)
        if fork.changed_since_asked():
            continue
        fork.run()
        assert fork.contexts == fork.expected(), f"{parent} forked at {seq}"
        assert load(world.log, fork.name) == fork.state, "by snapshots and by events"
        parent = fork.name
    world.watch.look(world.log)
