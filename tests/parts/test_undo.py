"""Undoing a turn among the parts at work: a fork before it goes on in the agent's place, and takes the timers along.

Each timer rings as often as it would have, and in one agent alone, whatever comes in between.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from palimpsest.actors.client import Ticket
from palimpsest.actors.links.log_client import LogClient
from palimpsest.actors.requests import forks
from palimpsest.actors.requests.forks import Overrides
from palimpsest.events.codec import decode, draft
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import ActorLost, BadInput
from palimpsest.events.replay import replay
from palimpsest.events.sources import stream_of
from palimpsest.events.types import InferenceRequested, Parent, SourceCreated, Timer, TimerCancelled, TimerFired
from palimpsest.store.logs.contract import Append, Appended
from tests.worlds.one_process import MINUTE_MS, Parts, parts, run
from tests.worlds.story import START_MS, call, say

SCRIPT = {
    "remind me": (call("set_timer", note="tea", in_minutes=5, request_heartbeat=False), say("I will.", "c2")),
    "forget it": (call("cancel_timer", timer="mine", request_heartbeat=False), say("Gone.", "c2")),
    "Hello": (say("Hi."),),
}


def mine(system: Parts, minutes: int = 5, every_s: int = 0) -> Timer:
    return Timer(id="mine", due_ms=system.now_ms + minutes * MINUTE_MS, note="tea", every_s=every_s)


async def fired(system: Parts) -> list[Envelope]:
    """What rang, each in the agent in whose own stream it did."""
    agents = [head.stream for head in await system.client.agents()]
    return [e for agent in agents for e in await system.envelopes(agent, "TimerFired") if e.stream == agent]


async def rung(system: Parts) -> dict[str, list[int]]:
    """When what rang was due, in minutes, by agent."""
    found: dict[str, list[int]] = {}
    for envelope in await fired(system):
        event = decode(envelope)
        assert isinstance(event, TimerFired)
        found.setdefault(envelope.stream, []).append((event.timer.due_ms - START_MS) // MINUTE_MS)
    return found


def test_the_fork_goes_on_from_before_the_last_message(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with parts(tmp_path, SCRIPT) as system:
            await system.born("ada")
            await system.says("ada", "Hello")
            before = await system.client.state("ada")
            await system.says("ada", "Hello again")
            undone = await system.client.undo("ada")
            assert (undone.agent, undone.text) == ("ada-2", "Hello again")
            state = await system.client.state("ada-2")
            assert state.parent == Parent(agent="ada", seq=before.seq)
            assert (state.queue, state.blocks) == (before.queue, before.blocks)
            assert (await system.says("ada-2", "Hello you")).text == "Hi."
            second = await system.client.undo("ada-2")
            assert (second.agent, second.text) == ("ada-3", "Hello you")
            third = await system.client.undo("ada-3")
            assert (third.agent, third.text) == ("ada-4", "Hello")
            with pytest.raises(BadInput, match="was not told anything yet"):
                await system.client.undo("ada-4")

    run(scenario())


def test_a_timer_goes_over_once_with_an_event_in_each(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with parts(tmp_path, SCRIPT) as system:
            await system.born("ada")
            timer = await system.client.set_timer("ada", mine(system))
            await system.says("ada", "Hello")
            undone = await system.client.undo("ada")
            assert (undone.moved, undone.dropped) == ((timer,), ())
            assert await system.events("ada", "TimerCancelled") == [TimerCancelled(timer_id="mine", moved_to="ada-2")]
            (taken,) = [e for e in await system.envelopes("ada-2", "TimerSet") if e.stream == "ada-2"]
            assert [e.stream for e in (await system.log.open_requests("alarm")).envelopes] == ["ada-2"]
            assert [t.timer for t in (await system.client.state("ada-2")).alarms] == [timer]
            await system.passes(6)
            assert [e.closes for e in await system.envelopes("ada-2", "TimerFired")] == [taken.key]
            assert await system.events("ada", "TimerFired") == []
            await system.ended(await system.last_input("ada-2"))
            for agent in ("ada", "ada-2"):
                assert replay(agent, await system.log.read(agent)).difference is None

    run(scenario())


def test_the_same_said_again_leads_to_the_same_contexts(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with parts(tmp_path, SCRIPT) as system:
            await system.born("ada")
            await system.client.set_timer("ada", mine(system))
            said: list[tuple[list[bytes], list[str]]] = []
            agent = "ada"
            for _ in range(2):
                await system.says(agent, "remind me")
                own = [decode(each) for each in await system.log.read(agent) if each.stream == agent]
                asked = [event.fingerprint for event in own if isinstance(event, InferenceRequested)]
                timers = [timer.id for timer in await system.client.timers(agent)]
                said.append((asked, timers))
                agent = (await system.client.undo(agent)).agent
            assert said[0] == said[1], "also where timers that moved stand in between"

    run(scenario())


def test_what_the_undone_turn_did_to_timers_is_undone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with parts(tmp_path, SCRIPT) as system:
            await system.born("ada", "ben")
            await system.says("ada", "remind me")
            undone = await system.client.undo("ada")
            assert (len(undone.moved), len(undone.dropped)) == (0, 1)
            await system.client.set_timer("ben", mine(system))
            await system.says("ben", "forget it")
            assert (await system.client.state("ben")).alarms == ()
            assert len((await system.client.undo("ben")).moved) == 1
            await system.passes(6)
            assert await rung(system) == {"ben-2": [5]}

    run(scenario())


def test_what_rang_meanwhile_does_not_ring_again_and_goes_over_for_the_next_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with parts(tmp_path, SCRIPT) as system:
            await system.born("ada")
            await system.client.set_timer("ada", mine(system, 10, every_s=600))
            await system.client.set_timer("ada", Timer(id="once", due_ms=system.now_ms + 9 * MINUTE_MS))
            await system.says("ada", "Hello")
            await system.passes(11)
            await system.ended(await system.last_input("ada"))
            undone = await system.client.undo("ada")
            assert [(each.id, (each.due_ms - START_MS) // MINUTE_MS) for each in undone.moved] == [("mine", 20)]
            assert await rung(system) == {"ada": [9, 10]}
            await system.says("ada-2", "Hello")
            again = await system.client.undo("ada-2")
            await system.passes(10)
            assert await rung(system) == {"ada": [9, 10], again.agent: [20]}

    run(scenario())


def test_a_fork_that_rests_gives_up_the_timers_that_it_was_to_take_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with parts(tmp_path, SCRIPT) as system:
            await system.born("ada")
            await system.client.set_timer("ada", mine(system))
            await system.says("ada", "Hello")
            await system.client.fork("ada", "fay", overrides=Overrides(keep_timers=True))
            undone = await system.client.undo("fay")
            assert undone.agent == "fay-2"
            await system.says("fay", "Hello")
            await system.passes(6)
            assert await rung(system) == {"ada": [5], "fay-2": [5]}, "kept in a fork is set in both, as was asked for"

    run(scenario())


def test_what_the_user_gave_it_since_stays(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with parts(tmp_path, SCRIPT) as system:
            await system.born("ada")
            for name in ("old", "new"):
                made = draft(
                    stream_of(name), START_MS, SourceCreated(passage_tokens=200, overlap_tokens=20), key="made"
                )
                await system.log.append(Append((made,)))
            await system.client.attach("old", ["ada"])
            await system.says("ada", "Hello")
            other = replace((await system.client.state("ada")).settings, seed=7)
            await system.client.change_settings("ada", other)
            await system.client.attach("new", ["ada"])
            await system.client.detach("old", ["ada"])
            undone = await system.client.undo("ada")
            state = await system.client.state(undone.agent)
            assert (state.settings, state.sources) == (other, ("new",))
            assert undone.agent in (await system.client.source("new")).agents
            assert (await system.says(undone.agent, "Hello")).text == "Hi."

    run(scenario())


def test_an_agent_at_work_is_not_undone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with parts(tmp_path, SCRIPT) as system:
            await system.born("ada")
            system.model.may_answer.clear()
            ticket = await system.client.send("ada", "Hello")
            with pytest.raises(BadInput, match="is at work: wait until its turn has ended, or stop it"):
                await system.client.undo("ada")
            system.model.may_answer.set()
            await system.ended(ticket)
            assert (await system.client.undo("ada")).text == "Hello"

    run(scenario())


# --- accidents


class Cut(LogClient):
    """The log, for an undo that is cut off once: before its append, or behind it; or that something comes before."""

    def __init__(self, system: Parts, where: str) -> None:
        super().__init__(system.parts.log)
        self._system, self._where = system, where

    async def append(self, append: Append) -> list[Appended]:
        where, self._where = self._where, ""
        if where == "before":
            raise ActorLost("killed")
        if where == "a timer rings":
            await self._system.passes(6)
            await self._system.ended(await self._system.last_input("ada"))
        answers = await super().append(append)
        if where == "behind":
            raise ActorLost("killed")
        return answers


@pytest.mark.parametrize(
    ("where", "rings"),
    [("before", {"ada-2": [5]}), ("behind", {"ada-2": [5]}), ("a timer rings", {"ada": [5]}), ("", {"ada-2": [5]})],
)
def test_an_undo_that_is_cut_off_leaves_each_timer_ringing_once(
    tmp_path: Path, where: str, rings: Mapping[str, list[int]]
) -> None:
    async def scenario() -> None:
        async with parts(tmp_path, SCRIPT) as system:
            await system.born("ada")
            await system.client.set_timer("ada", mine(system))
            await system.says("ada", "Hello")
            log = Cut(system, where)
            try:
                await forks.undo(log, "ada")
            except ActorLost:
                await forks.undo(log, "ada")
            await system.passes(6)
            assert await rung(system) == rings
            assert (await system.log.open_requests("alarm")).envelopes == []

    run(scenario())


@pytest.mark.parametrize("seed", range(12))
def test_over_random_histories_no_timer_rings_in_two_agents(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)

    async def scenario() -> None:
        async with parts(tmp_path, SCRIPT) as system:
            agent = "ada"
            await system.born(agent)
            for number in range(14):
                match chance.choice(("set", "remind me", "forget it", "passes", "undo", "Hello")):
                    case "set":
                        timer = mine(system, chance.randint(2, 20), chance.choice((0, 300)))
                        await system.client.set_timer(agent, timer)
                    case "passes":
                        await system.passes(chance.randint(1, 12))
                        for ticket in await _open(system, agent):
                            await system.ended(ticket)
                    case "undo" if number and (await system.client.state(agent)).turns:
                        try:
                            agent = (await system.client.undo(agent)).agent
                        except BadInput as error:
                            assert "not told anything" in str(error)
                    case text if text != "undo":
                        await system.says(agent, text)
                alarms = (await system.log.open_requests("alarm")).envelopes
                assert {each.stream for each in alarms} <= {agent}, f"seed {seed}: who was left rings no more"
            closed = [each.closes for each in await fired(system)]
            assert len(closed) == len(set(closed)), f"seed {seed}: each rang once"

    async def _open(system: Parts, agent: str) -> list[Ticket]:
        opened = (await system.log.open_requests("turn", agent)).envelopes
        return [Ticket(agent, each.seq, each.key) for each in opened]

    run(scenario())
