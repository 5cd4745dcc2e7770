"""Forks in the debugger: their story tells each event once, and a comparison says where two of them parted."""

from __future__ import annotations

from itertools import pairwise

import pytest

from palimpsest.events.debug.diff import DiffSide, apply, diff
from palimpsest.events.debug.moments import Noted, Step, TurnBegan
from palimpsest.events.debug.timeline import story
from palimpsest.questions.differences import difference
from palimpsest.questions.overviews import overview_at
from palimpsest.store.logs.states import load
from tests.worlds.forking import Continuation, replayed
from tests.worlds.simulated import World


@pytest.mark.parametrize("seed", range(6))
def test_forks_are_told_and_compared(seed: int) -> None:
    world = World(seed, agents=1, inputs=5)
    world.stops = False
    world.run()
    log, (parent,) = world.log, world.names
    envelopes = log.read(parent)
    places = replayed(log, parent)
    forks = []
    for seq in range(2 + seed, len(envelopes), 7):
        fork = Continuation(log, parent, seq, f"fork-{seq}", places)
        if not fork.changed_since_asked():
            _look(fork)
            fork.run()
            forks.append(fork)
    assert forks
    for fork in forks:
        told = [each.seq for part in story(log.read(fork.name)) for each in part.events]
        assert sorted(told) == list(range(1, len(told) + 1)), "every event is told once"
        _compare(fork, DiffSide(agent=parent, seq=len(envelopes)), fork.seq)
    for one, other in pairwise(forks):
        _compare(other, DiffSide(agent=one.name, seq=one.state.seq), min(one.seq, other.seq))


def _look(fork: Continuation) -> None:
    """The fork when it was just made, at rest."""
    seen = overview_at(fork.log, fork.name, fork.seq + 1)
    assert seen.parent is not None
    assert (seen.parent.agent, seen.parent.seq) == (fork.parent, fork.seq)
    state = load(fork.log, fork.name)
    assert state is not None
    assert list(seen.not_taken_up) == ([state.turn.input] if state.turn else []) + [p.seq for p in state.pending]
    parts = list(story(fork.log.read(fork.name)))
    forked = next(part for part in parts if isinstance(part, Noted) and part.events[-1].kind == "AgentForked")
    assert not any(isinstance(part, Step) and part.outcome == "open" for part in parts), "what was open stays behind"
    assert all(part.seq < forked.seq or part is forked for part in parts if isinstance(part, (Step, TurnBegan, Noted)))


def _compare(fork: Continuation, other: DiffSide, parted: int) -> None:
    mine = DiffSide(agent=fork.name, seq=fork.state.seq)
    found = difference(fork.log, other, mine)
    assert found.parted == DiffSide(agent=fork.parent, seq=parted)
    a, b = load(fork.log, other.agent, other.seq), load(fork.log, fork.name)
    assert a is not None
    assert b is not None
    for each in (*found.left, *found.entered):
        assert each.entry.seq > parted or each.evicted or each.rejected or each.entry.seq in _waiting(fork, parted)
    back = difference(fork.log, mine, other)
    assert [each.entry for each in back.entered] == [each.entry for each in found.left]
    assert apply(a, diff(a, b)) == b


def _waiting(fork: Continuation, parted: int) -> set[int]:
    state = load(fork.log, fork.parent, parted)
    assert state is not None
    return {each.seq for each in state.pending}
