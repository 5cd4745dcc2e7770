"""Reruns: what an agent was given, given again to a fork of it that is otherwise (`actors.reruns.counterfactual`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from palimpsest.actors.models.hosted.lazy import LazyHosted
from palimpsest.actors.models.offline.model import MODEL, OfflineModel
from palimpsest.actors.parts.inferring import infer
from palimpsest.actors.reruns.counterfactual import Counterfactual, Infer, Outcome
from palimpsest.actors.reruns.functions import Functions
from palimpsest.actors.reruns.ledger import Ledger
from palimpsest.events.codec import decode, draft
from palimpsest.events.context import Count
from palimpsest.events.debug.recording import Recorded, recorded
from palimpsest.events.decide import placed
from palimpsest.events.evolve import evolve
from palimpsest.events.forks import KEPT
from palimpsest.events.inference import Job
from palimpsest.events.lifecycle import retiring_again
from palimpsest.events.phases import WAITING
from palimpsest.events.servers import chosen
from palimpsest.events.state import State
from palimpsest.events.types import (
    AgentForked,
    Block,
    InferenceCancelled,
    InferenceCompleted,
    InferenceFailed,
    Parent,
    Settings,
)
from palimpsest.store.keys.files import Handed
from palimpsest.store.logs.contract import Append, LogStore
from palimpsest.store.logs.states import load


class RerunPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be otherwise: the recording of `agent` after seq `first`, up to `to`, given to `fork`. None: as it
    was. With `recorded_answers` model and functions answer as recorded until the runs diverge."""

    agent: str
    fork: str
    first: int
    to: int
    settings: Settings | None = None
    system: str | None = None
    blocks: tuple[Block, ...] | None = None
    recorded_answers: bool = False
    said: tuple[str, ...] = ()
    """What is otherwise, in words."""


async def rerun(
    log: LogStore,
    plan: RerunPlan,
    *,
    infer: Infer,
    functions: Functions,
    count: Count,
    on_progress: Callable[[int], None] = lambda _done: None,
) -> Outcome:
    """Carry out a plan on a log that is open for writing. Raises ModelUnavailable with nothing written."""
    before = load(log, plan.agent, plan.first)
    hash = log.hash_at(plan.agent, plan.first)
    assert before is not None and hash is not None, "the agent has this event"
    parent = Parent(agent=before.agent, seq=before.seq)
    event = AgentForked(
        parent=parent, hash=hash, settings=plan.settings, system=plan.system, blocks=plan.blocks, timers=KEPT
    )
    made = draft(plan.fork, before.time_ms, event, key="fork")
    state = evolve(before, placed(made, before.seq + 1), event)
    again = retiring_again(before, plan.fork, before.time_ms)
    for each in again:
        state = evolve(state, placed(each, state.seq + 1), decode(each))
    begin = Append((made, *again), {plan.fork: 0}, forks={plan.fork: parent}, at_rest=True)
    recording = _recording(log, plan, before)
    run = Counterfactual(
        Ledger(log, state, begin),
        recording,
        infer=infer,
        functions=functions,
        count=count,
        changes=_changes(chosen(before), plan.settings),
        recorded_answers=plan.recorded_answers,
        on_progress=on_progress,
    )
    return await run.run()


def _recording(log: LogStore, plan: RerunPlan, before: State) -> list[Recorded]:
    """What is given again, and done again. What was open where the fork begins is asked again; but not where its turn
    was to be stopped: there is nothing to be cancelled then, either."""
    rest, retired = log.read(plan.agent, plan.first, plan.to), before.retired is not None
    turn = before.turn
    if turn is None or turn.phase not in WAITING:
        return recorded(rest, retired=retired)
    if turn.stop is not None:
        return [each for each in recorded(rest, retired=retired) if not isinstance(each.event, InferenceCancelled)
                or each.envelope.closes != turn.request_key]  # fmt: skip
    asked = log.find(before.agent, turn.request_key)
    assert asked is not None, "what a turn waits for was asked for"
    return recorded([asked, *rest], retired=retired)


def _changes(before: Settings, after: Settings | None) -> dict[str, Any]:
    names = Settings.__struct_fields__ if after else ()
    return {name: getattr(after, name) for name in names if getattr(after, name) != getattr(before, name)}


class Models:
    """The models that an agent may have: the offline one, and hosted ones with these keys."""

    def __init__(self, keys: Handed) -> None:
        self._offline = OfflineModel()
        self._hosted = LazyHosted({}, keys)

    async def infer(self, job: Job) -> InferenceCompleted | InferenceFailed:
        model = self._offline if job.model == MODEL else self._hosted
        return await infer(job, model, _SILENT, tokenizer=self._hosted)

    async def aclose(self) -> None:
        await self._hosted.aclose()


class _Silent:
    """Whoever runs something again by hand has it told by the comparison, not by log lines."""

    def warning(self, *_: object, **__: object) -> None: ...

    error = warning


_SILENT: Final = _Silent()
