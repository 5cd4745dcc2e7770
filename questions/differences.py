"""What is different between two events of an agent, or between two agents (forks of each other, or not)."""

from __future__ import annotations

from palimpsest.events.debug.diff import KINDS, DiffSide, StateDiff, diff
from palimpsest.events.errors import BadInput
from palimpsest.events.state import State
from palimpsest.events.types import InferenceRequested
from palimpsest.questions.windows import open_inference, recorded, state_at
from palimpsest.store.logs.contract import LogReader
from palimpsest.store.logs.states import load


def difference(log: LogReader, a: DiffSide, b: DiffSide) -> StateDiff:
    """What makes the state at b of that at a, explained by the events between: those of one agent, or those of two
    since they parted. Raises UnknownAgent; BadInput where there is no such event, or both are the same."""
    if (a.agent, a.seq) == (b.agent, b.seq):
        raise BadInput(f"Both are event {a.seq} of agent '{a.agent}': name two different events.")
    old, new = state_at(log, a.agent, a.seq), state_at(log, b.agent, b.seq)
    parted = _parted(_line(log, a, old), _line(log, b, new))
    start = parted.seq if parted else 0
    return diff(
        recorded(log, old, a.agent),
        recorded(log, new, b.agent),
        log.read(b.agent, start, b.seq, kinds=KINDS) if parted else (),
        log.read(a.agent, start, a.seq, kinds=KINDS) if parted else (),
        parted=parted,
        asked=(_asked(log, old), _asked(log, new)),
    )


def _asked(log: LogReader, state: State) -> InferenceRequested | None:
    """The reply that the model is asked for at a state: its event has the exact count of the window."""
    found = open_inference(log, state)
    return found[1] if found and found[1].purpose == "reply" else None


def _line(log: LogReader, at: DiffSide, state: State) -> list[DiffSide]:
    """Where a state comes from: the agent itself, what it was forked from, and so on, each with its last seq."""
    found = [at] if state.agent == at.agent else [at, DiffSide(agent=state.agent, seq=at.seq)]
    parent = state.parent
    while parent:
        found.append(DiffSide(agent=parent.agent, seq=min(parent.seq, at.seq)))
        before = load(log, parent.agent, parent.seq)
        parent = before.parent if before else None
    return found


def _parted(first: list[DiffSide], second: list[DiffSide]) -> DiffSide | None:
    """Where two lines have been one for the last time."""
    for mine in first:
        for other in second:
            if mine.agent == other.agent:
                return DiffSide(agent=mine.agent, seq=min(mine.seq, other.seq))
    return None
