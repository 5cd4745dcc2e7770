"""`rerun`: a counterfactual. What an agent was given is given again to a fork of it, under other settings and in
virtual time; then both runs are held against each other.

Rule: the original is only read. The fork is kept in the data folder where nothing else has it; where a running system
has it, or the agent is in a bundle, the rerun works on a copy in memory, and only what is asked for is kept of it.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from palimpsest.events.calls import MAX_TIMERS
from palimpsest.events.codec import decode
from palimpsest.events.debug.compare import Comparison, Prices, compare, turns
from palimpsest.events.forks import KEPT, MOVED, TAKEN_UP
from palimpsest.events.state import State
from palimpsest.events.types import AgentForked, Event, Parent
from palimpsest.questions.streams import stretches
from palimpsest.store.logs.contract import LogReader
from palimpsest.store.logs.states import load

if TYPE_CHECKING:
    from palimpsest.actors.reruns.counterfactual import Outcome
    from palimpsest.actors.reruns.rerun import Plan


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
    return sum(1 for _ in takewhile(lambda each: (each.kind, each.cause) == ("TimerSet", TAKEN_UP), behind))


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


def _compared(
    log: LogReader, plan: Plan, state: State, outcome: Outcome, prices: tuple[Prices | None, Prices | None]
) -> Comparison:
    seqs = [pending.seq for pending in state.pending] + ([state.turn.input] if state.turn else [])
    inputs: dict[int, Event] = {seq: decode(log.read(plan.agent, seq - 1, seq)[0]) for seq in seqs}
    head = log.head(outcome.fork)
    ran = turns(stretches(log, outcome.fork, plan.first + 1, head.seq), inputs) if head else {}
    recorded = turns(stretches(log, plan.agent, plan.first + 1, plan.to), inputs)
    paired = dict(zip(seqs, seqs, strict=True)) | dict(outcome.inputs)  # what was open at the fork is the same input
    return compare(recorded, ran, paired, first_prices=prices[0], second_prices=prices[1])
