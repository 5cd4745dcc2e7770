"""Retired agents among the parts at work: what the log's door refuses, what goes on, and what rings no more."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from palimpsest.actors.requests.births import Birth
from palimpsest.events.errors import AgentExists, AgentIsRetired, BadInput, UnknownAgent, UnknownSource
from palimpsest.events.prompts import newborn
from palimpsest.events.types import Settings, Timer
from palimpsest.store.bundles.exporting import export
from palimpsest.store.bundles.importing import import_bundle
from palimpsest.store.logs.in_memory import InMemoryLog
from palimpsest.store.logs.sqlite_reader import SqliteReader
from tests.worlds.one_process import MINUTE_MS, Parts, parts, run
from tests.worlds.story import call, say

SCRIPT = {
    "every hour": (call("set_timer", "c1", note="tea", every_minutes=60), say("I will.")),
    '"timer"': (say("Time!"),),
    "": (say("Here."),),
}

FAR_MS = 4_102_473_600_000


async def set_to_ring(here: Parts, agent: str = "ada") -> None:
    assert (await here.says(agent, "Remind me every hour.")).reason == "yielded"


async def rung(here: Parts) -> int:
    return len(await here.envelopes("ada", "TimerFired"))


def test_a_retired_agent_refuses_every_input_and_is_taken_back(tmp_path: Path) -> None:
    async def work() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            await here.born("ada", "bob")
            first = await here.client.send("ada", "Hello.", message_id="1")
            await here.ended(first)
            (done,) = await here.client.retire(["ada"], reason="moved on")
            assert (done.agent, done.again) == ("ada", False)
            for sending in (
                here.client.send("ada", "Hi."),
                here.client.login("ada"),
                here.client.alert("ada", "Fire!"),
            ):
                with pytest.raises(AgentIsRetired, match="Take it back, or fork it"):
                    await sending
            assert (await here.client.send("ada", "Hello.", message_id="1")).seq == first.seq, "it was acknowledged"
            assert (await here.says("bob", "Hello.")).text == "Here."
            assert (await here.client.retire(["ada"]))[0].again
            await here.client.reinstate(["ada"])
            assert (await here.says("ada", "Back?")).text == "Here."
            assert (await here.client.reinstate(["ada"]))[0].again

    run(work())


def test_a_restart_of_the_log_knows_who_is_retired(tmp_path: Path) -> None:
    async def retired() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            await here.born("ada")
            await here.client.retire(["ada"])

    async def work() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            with pytest.raises(AgentIsRetired):
                await here.client.send("ada", "Hi.")
            assert await here.kinds("ada") == ["AgentCreated", "AgentRetired"], "nothing of it was taken"

    run(retired())
    run(work())


def test_a_turn_under_way_ends_in_order_and_so_does_what_waits(tmp_path: Path) -> None:
    async def work() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            await here.born("ada")
            here.model.may_answer.clear()
            tickets = [await here.client.send("ada", text) for text in ("One.", "Two.")]
            while not here.model.requests:
                await here.timers.step(0.01)
            (done,) = await here.client.retire(["ada"])
            assert done.owed == 2
            here.model.may_answer.set()
            assert [(await here.ended(ticket)).text for ticket in tickets] == ["Here.", "Here."]

    run(work())


def test_its_timers_ring_no_more_and_again_when_it_is_taken_back(tmp_path: Path) -> None:
    async def work() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            await here.born("ada")
            await set_to_ring(here)
            (done,) = await here.client.retire(["ada"])
            assert [timer.note for timer in done.timers] == ["tea"]
            await here.passes(180)
            assert await rung(here) == 0
            (back,) = await here.client.reinstate(["ada"])
            assert [timer.note for timer in back.timers] == ["tea"]
            (timer,) = await here.client.timers("ada")
            assert timer.due_ms > here.now_ms - 180 * MINUTE_MS
            here.now_ms = max(here.now_ms, timer.due_ms)
            await here.passes(1)
            assert await rung(here) == 1

    run(work())


def test_a_timer_that_was_to_ring_once_and_is_past_is_named(tmp_path: Path) -> None:
    async def work() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            await here.born("ada")
            here.now_ms = 0  # the timers' clock; what is due in the year 1970 does not ring before it is retired
            await here.client.set_timer("ada", Timer(id="tea", due_ms=1000))
            await here.client.retire(["ada"])
            (back,) = await here.client.reinstate(["ada"])
            assert ([timer.id for timer in back.passed], back.timers) == (["tea"], ())
            assert await here.client.timers("ada") == []

    run(work())


def test_what_rang_at_nine_rings_at_nine_where_the_agent_was_moved_to_meanwhile(tmp_path: Path) -> None:
    async def work() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            await here.born("ada")
            await here.client.change_zone("ada", "Europe/Berlin")
            nine = Timer(id="tea", due_ms=FAR_MS, every_s=86_400, zone="Europe/Berlin")
            await here.client.set_timer("ada", nine)
            await here.client.retire(["ada"])
            await here.client.change_zone("ada", "America/New_York")
            (back,) = await here.client.reinstate(["ada"])
            (timer,) = back.timers
            assert timer.zone == "America/New_York"
            shown = [
                datetime.fromtimestamp(each.due_ms / 1000, ZoneInfo(each.zone)).strftime("%H:%M")
                for each in (nine, timer)
            ]
            assert shown[0] == shown[1]

    run(work())


def test_no_timer_is_set_for_a_retired_agent(tmp_path: Path) -> None:
    async def work() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            await here.born("ada")
            await here.client.retire(["ada"])
            with pytest.raises(AgentIsRetired):
                await here.client.set_timer("ada", Timer(id="tea", due_ms=2_000_000_000_000))
            assert await here.kinds("ada") == ["AgentCreated", "AgentRetired"]

    run(work())


def test_of_several_none_is_retired_where_one_is_not_there(tmp_path: Path) -> None:
    async def work() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            await here.born("ada")
            with pytest.raises(UnknownAgent):
                await here.client.retire(["ada", "nobody"])
            assert (await here.client.state("ada")).retired is None

    run(work())


def test_a_fork_of_a_retired_agent_talks_and_a_retired_fork_does_not_resume(tmp_path: Path) -> None:
    async def work() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            await here.born("ada")
            await here.client.retire(["ada"])
            await here.client.fork("ada", "fay")
            assert (await here.says("fay", "Hello.")).text == "Here."
            await here.client.retire(["fay"])
            with pytest.raises(AgentIsRetired):
                await here.client.resume("fay")

    run(work())


def test_a_load_tells_no_retired_agent_and_waits_for_none(tmp_path: Path) -> None:
    async def work() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            await here.born("ada", "bob")
            (tmp_path / "pump.txt").write_text("The red valve opens to the left.", encoding="utf-8")
            await here.client.retire(["ada"])
            report = await here.client.load_source("manuals", [tmp_path / "pump.txt"], agents=["ada", "bob"])
            assert report.told == ("bob",)
            assert await here.kinds("ada") == ["AgentCreated", "AgentRetired", "SourceAttached"]

    run(work())


def test_who_is_retired_is_listed_on_demand_alone(tmp_path: Path) -> None:
    async def work() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            await here.born("ada")
            await here.born("ben")
            await here.client.retire(["ada"])
            assert [head.stream for head in await here.client.agents()] == ["ben"]
            assert [head.stream for head in await here.client.agents(retired=True)] == ["ada", "ben"]
            await here.client.reinstate(["ada"])
            assert len(await here.client.agents()) == 2

    run(work())


def test_an_import_says_that_its_agent_is_retired(tmp_path: Path) -> None:
    async def work() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            await here.born("ada")
            await here.client.retire(["ada"])
            with SqliteReader.open_readonly(tmp_path / "log.sqlite") as log:
                export(log, "ada", 2, tmp_path / "bundle")

    run(work())
    there = InMemoryLog()
    there.open_epoch()
    assert import_bundle(there, tmp_path / "bundle").retired


# --- titles and births


def test_a_title_is_given_and_taken(tmp_path: Path) -> None:
    async def work() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            await here.born("ada")
            assert await here.client.rename("ada", " Front desk ") == ""
            assert await here.client.rename("ada", "Front desk") == "Front desk"
            assert await here.client.rename("ada", "") == "Front desk"
            assert await here.kinds("ada") == ["AgentCreated", "TitleChanged", "TitleChanged"]
            with pytest.raises(BadInput, match="title"):
                await here.client.rename("ada", "two\nlines")

    run(work())


def test_many_are_made_together_or_not_at_all(tmp_path: Path) -> None:
    async def work() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            born = newborn(Settings())
            await here.client.create_many([Birth(agent=f"a{n}", born=born, title=f"No. {n}") for n in range(450)])
            assert len(await here.client.agents()) == 450
            assert (await here.client.state("a449")).title == "No. 449"
            for wrong, error in ((Birth(agent="a7", born=born), AgentExists),
                                 (Birth(agent="c", born=born, sources=("none",)), UnknownSource)):  # fmt: skip
                with pytest.raises(error):
                    await here.client.create_many([Birth(agent="b", born=born), wrong])
            assert len(await here.client.agents()) == 450

    run(work())
