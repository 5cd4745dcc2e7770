"""Forks among the parts at work: made, at rest, resumed, and talked with; the parent goes its own way."""

from __future__ import annotations

from pathlib import Path

import pytest

from palimpsest.actors.requests.forks import Overrides
from palimpsest.events.errors import AgentExists, BadInput, UnknownAgent
from palimpsest.events.evolve import fold
from palimpsest.events.replay import replay
from palimpsest.events.types import Block, Parent, Timer, TurnEnded
from tests.worlds.one_process import MINUTE_MS, Parts, parts, run
from tests.worlds.story import call, say

SCRIPT = {"look": (call("set_timer", note="Up.", in_minutes=5, request_heartbeat=True),), "Up.": (say("Time!"),)}


async def sound(system: Parts, agent: str) -> None:
    """The stream is proved whole, and nothing is owed."""
    stream = await system.log.read(agent)
    assert replay(agent, stream).difference is None
    assert not (await system.log.open_requests("turn", agent)).envelopes
    assert not (await system.log.open_requests("inference", agent)).envelopes


def test_a_fork_at_rest_is_talked_with_like_any_agent(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with parts(tmp_path, {"Hello": (say("Hi."),)}) as system:
            await system.born("ada")
            await system.says("ada", "Hello")
            where = await system.client.fork("ada", "fay")
            assert (where.state.agent, where.state.seq) == ("ada", (await system.log.read("ada"))[-1].seq)
            assert (await system.says("fay", "Hello again")).text == "Hi."
            assert (await system.says("ada", "Hello there")).text == "Hi."
            assert (await system.client.state("fay")).parent == Parent(agent="ada", seq=where.state.seq)
            for agent in ("ada", "fay"):
                await sound(system, agent)

    run(scenario())


def test_a_fork_in_the_middle_of_a_turn_goes_on_when_it_is_resumed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with parts(tmp_path, SCRIPT) as system:
            await system.born("ada")
            whole = await system.says("ada", "look")
            stream = await system.log.read("ada")
            before = [envelope.hash for envelope in stream]
            in_turn = [envelope.seq for envelope in stream if envelope.turn or envelope.opens == "turn"][:-1]
            for seq in in_turn:
                name = f"fay-{seq}"
                await system.client.fork("ada", name, at=seq)
                assert [e.stream for e in await system.log.read(name, after=seq)] == [name]
                (ticket,) = await system.client.resume(name)
                reply = await system.ended(ticket)
                assert (reply.agent, reply.reason, reply.steps) == (name, whole.reason, whole.steps), seq
                assert await system.client.resume(name) == []
                await sound(system, name)
            assert [envelope.hash for envelope in await system.log.read("ada")] == before

    run(scenario())


def test_a_turn_that_an_input_wakes_comes_first(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with parts(tmp_path, {"Hello": (say("Hi."),), "And": (say("Well."),)}) as system:
            await system.born("ada")
            await system.says("ada", "Hello")
            (asked,) = (e.seq for e in await system.log.read("ada") if e.kind == "InferenceRequested")
            await system.client.fork("ada", "fay", at=asked)
            assert (await system.says("fay", "And now?")).text == "Well."
            ended = [event.input for event in await system.events("fay", TurnEnded.__name__)]
            assert len(ended) == 2, "the turn that was open at the fork, then its own"
            assert ended[0] < asked < ended[1]

    run(scenario())


def test_kept_timers_fire_once_at_each(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with parts(tmp_path, {"tea": (say("Tea!"),)}) as system:
            await system.born("ada")
            await system.client.set_timer("ada", Timer(id="t", due_ms=system.now_ms + MINUTE_MS, note="tea"))
            await system.client.fork("ada", "fay", overrides=Overrides(keep_timers=True))
            await system.client.fork("ada", "gus")
            assert await system.client.resume("fay") == []
            await system.passes(2)
            for agent, fired in (("ada", 1), ("fay", 1), ("gus", 0)):
                assert len(await system.events(agent, "TimerFired")) == fired, agent

    run(scenario())


def test_what_is_otherwise_in_a_fork_is_so_from_its_first_event(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with parts(tmp_path, {}) as system:
            await system.born("ada")
            blocks = (Block(label="human", value="Eve."),)
            await system.client.fork("ada", "fay", overrides=Overrides(blocks=blocks, system="Be brief."))
            state = await system.client.state("fay")
            assert (state.blocks, state.system) == (blocks, "Be brief.")
            assert fold(await system.log.read("fay")) == state

    run(scenario())


@pytest.mark.parametrize(
    ("agent", "name", "at", "error", "says"),
    [
        ("bob", "fay", None, UnknownAgent, "There is no agent 'bob'"),
        ("ada", "fay", 2, BadInput, "has events 1 to 1: there is none at 2"),
        ("ada", "fay", 0, BadInput, "there is none at 0"),
        ("ada", "ada", None, AgentExists, "There is an agent 'ada' already"),
        ("ada", "-x", None, BadInput, "cannot be an agent's name"),
        ("source:x", "fay", None, BadInput, "is a source"),
    ],
)
def test_what_cannot_be_forked_is_refused(
    tmp_path: Path, *, agent: str, name: str, at: int | None, error: type[Exception], says: str
) -> None:
    async def scenario() -> None:
        async with parts(tmp_path, {}) as system:
            await system.born("ada")
            with pytest.raises(error, match=says):
                await system.client.fork(agent, name, at=at)
            assert [head.stream for head in await system.client.agents()] == ["ada"]

    run(scenario())
