"""A counterfactual: which part of an agent's recording can be run again, as which fork, and how the two runs compare.

Rule: the log is only read; `actors.reruns` carries a plan out.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Final

import msgspec

from palimpsest.actors.requests.checks import check_name
from palimpsest.events.codec import decode
from palimpsest.events.debug.compare import Comparison, Prices, compare, turns
from palimpsest.events.errors import AgentExists, ForkedOtherwise, NothingToRerun
from palimpsest.events.forks import KEPT, MOVED, TAKEN_UP
from palimpsest.events.functions.timers import MAX_TIMERS
from palimpsest.events.kinds import kind_of
from palimpsest.events.state import State
from palimpsest.events.types import AgentForked, Event, Parent, TimerSet
from palimpsest.questions.streams import agent_head, check_event, stretches
from palimpsest.store.logs.contract import LogReader
from palimpsest.store.logs.states import load

if TYPE_CHECKING:
    from palimpsest.actors.reruns.counterfactual import Outcome
    from palimpsest.actors.reruns.rerun import RerunPlan


class RecordedPart(msgspec.Struct, frozen=True):
    """What is run again: an agent's events after `first` up to `last`; `before` is its state at `first`."""

    agent: str
    first: int
    last: int
    before: State


_SET: Final = kind_of(TimerSet)


def part_of(log: LogReader, agent: str, first: int | None = None, last: int | None = None) -> RecordedPart:
    """The part of an agent's recording after event `first` (None: from where it can be run again) up to `last` (None:
    all). Raises UnknownAgent, NoSuchEvent, NothingToRerun, ForkedOtherwise."""
    head = agent_head(log, agent)
    last = last or head.seq
    first = first or _beginning(log, agent, last)
    check_event(head, first, "from")
    check_event(head, last, "to")
    if last <= first:
        raise NothingToRerun(first, last)
    if (joint := _beginning(log, agent, last)) > first:
        raise ForkedOtherwise(agent, joint)
    before = load(log, agent, first)
    assert before is not None, "a stream with a head has events"
    return RecordedPart(agent, first, last, before)


def name_for(log: LogReader, agent: str, wanted: str | None = None) -> str:
    """The name of the fork that is to run (None: the agent's, with a number). Raises BadInput, AgentExists."""
    name = _free_name(log, agent) if wanted is None else wanted
    check_name(name)
    if log.head(name) is not None:
        raise AgentExists(name)
    return name


def _beginning(log: LogReader, agent: str, to: int) -> int:
    """From which event on an agent can be run again: 1, or, of a fork, where it became what no input made it."""
    for parent in log.lineage(agent):
        event = decode(log.read(agent, parent.seq, parent.seq + 1)[0])
        if parent.seq + 1 < to and isinstance(event, AgentForked) and _is_otherwise(log, parent, event):
            return min(to, parent.seq + 1 + _moved_here(log, agent, parent.seq + 1, event))
    return 1


def _moved_here(log: LogReader, agent: str, seq: int, event: AgentForked) -> int:
    """How many timers moved to a fork at its beginning, its event `seq`."""
    behind = log.read(agent, seq, limit=MAX_TIMERS) if event.timers == MOVED else []
    return sum(1 for _ in takewhile(lambda each: each.kind == _SET and each.cause == TAKEN_UP, behind))


def _is_otherwise(log: LogReader, parent: Parent, event: AgentForked) -> bool:
    if event.system is not None or event.blocks is not None:
        return True
    before = load(log, parent.agent, parent.seq) if event.timers != KEPT else None
    return bool(before and before.alarms)


def _free_name(log: LogReader, agent: str) -> str:
    number = 1
    while log.head(f"{agent}.rerun-{number}") is not None:
        number += 1
    return f"{agent}.rerun-{number}"


def compared(
    log: LogReader, plan: RerunPlan, before: State, outcome: Outcome, prices: tuple[Prices | None, Prices | None]
) -> Comparison:
    """The recorded run and the one that a plan led to, turn by turn; `prices` are those of the one and the other."""
    seqs = [pending.seq for pending in before.pending] + ([before.turn.input] if before.turn else [])
    inputs: dict[int, Event] = {seq: decode(log.read(plan.agent, seq - 1, seq)[0]) for seq in seqs}
    head = log.head(outcome.fork)
    ran = turns(stretches(log, outcome.fork, plan.first + 1, head.seq), inputs) if head else {}
    recorded = turns(stretches(log, plan.agent, plan.first + 1, plan.to), inputs)
    paired = dict(zip(seqs, seqs, strict=True)) | dict(outcome.inputs)  # what was open at the fork is the same input
    return compare(recorded, ran, paired, first_prices=prices[0], second_prices=prices[1])
