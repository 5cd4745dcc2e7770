"""Reruns of random sessions: from any event on, with the recorded answers or a model that answers alike, nothing is
otherwise; and what is otherwise is found at the first event that shows it."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.counterfactual import Outcome
from actors.rerun import Plan, rerun
from events.codec import decode
from events.envelope import Envelope
from events.inference import Job
from events.types import Event, FunctionCalled, InferenceCompleted, InferenceFailed, InferenceRequested
from store.memory_log import MemoryLog
from store.states import load
from tests.simulation.world import World, count, searched, sound_model

SEEDS = st.integers(0, 10_000)


async def sound(job: Job) -> InferenceCompleted | InferenceFailed:
    return sound_model(job)


async def nobody(_job: Job) -> InferenceCompleted | InferenceFailed:
    raise AssertionError("with recorded answers no model is asked before the runs part")


class Stored:
    """The simulation's storage."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def carry_out(self, asked: Envelope, call: FunctionCalled) -> Event:
        return searched(self._log, asked, call)


class Nothing:
    def carry_out(self, _asked: Envelope, _call: FunctionCalled) -> Event:
        raise AssertionError("with recorded answers no function is carried out before the runs part")


def session(seed: int, inputs: int = 5, *, stops: bool = True) -> tuple[MemoryLog, str, int]:
    world = World(seed, agents=1, inputs=inputs)
    world.stops = stops
    world.run()
    (agent,) = world.names
    head = world.log.head(agent)
    assert head is not None
    return world.log, agent, head.seq


def contexts(log: MemoryLog, agent: str, after: int) -> list[bytes]:
    events = [decode(envelope) for envelope in log.read(agent, after=after)]
    return [event.fingerprint for event in events if isinstance(event, InferenceRequested)]


def run(log: MemoryLog, plan: Plan) -> Outcome:
    model, functions = (nobody, Nothing()) if plan.recorded_answers else (sound, Stored(log))
    return asyncio.run(rerun(log, plan, infer=model, functions=functions, count=count))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=SEEDS, share=st.floats(0, 1, exclude_max=True))
def test_with_the_recorded_answers_a_rerun_is_the_recording(seed: int, share: float) -> None:
    log, agent, end = session(seed)
    first = 1 + int(share * end)
    outcome = run(log, Plan(agent=agent, fork="again", first=first, to=end, recorded_answers=True))
    assert outcome.divergence is None, outcome
    asked = contexts(log, agent, first)
    assert contexts(log, "again", first)[-len(asked) :] == asked or not asked
    mine, theirs = load(log, "again"), load(log, agent)
    assert mine is not None and theirs is not None
    assert [entry.wire for entry in mine.queue] == [entry.wire for entry in theirs.queue]
    assert mine.blocks == theirs.blocks
