"""Time zones among the parts at work: what an agent is shown, when its timers ring, and that nothing hangs on the data
of zones once it is in the log."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from palimpsest.actors.requests.forks import Overrides
from palimpsest.actors.requests.zones import ZoneChange
from palimpsest.events.errors import BadInput, UnknownAgent
from palimpsest.events.formats import NEWBORN, ZONED
from palimpsest.events.prompts import newborn
from palimpsest.events.replay import replay
from palimpsest.events.types import AgentCreated, Settings, Timer, TimeZoneSet, TurnStarted
from palimpsest.store.times import zones
from tests.worlds.one_process import MINUTE_MS, Parts, parts, run
from tests.worlds.story import call, say

NEW_YORK: Final = "America/New_York"
SCRIPT: Final = {
    "nine every day": (call("set_timer", "c1", note="wake", cron="0 9 * * *"), say("I will.")),
    "half past five": (call("set_timer", "c1", note="tea", at="2026-03-07 17:30"), say("Fine.")),
    "Every two days": (call("set_timer", "c1", note="water", every_minutes=2880), say("Yes.")),
    '"timer"': (say("Time!"),),
    "two now": (call("list_timers", request_heartbeat=True),),
}


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


async def at(here: Parts, text: str) -> None:
    """The clock goes on to this time, and the timers look at what is due."""
    await here.timers.step(0.0)
    here.now_ms = utc(text)
    await here.timers.step(0.0)


async def rung(here: Parts, agent: str = "ada") -> list[str]:
    return [event.timer.note for event in await here.events(agent, "TimerFired")]


def shown(here: Parts, number: int = -1) -> list[dict[str, Any]]:
    """What the model was told in a request: its packages, the last of them the status."""
    messages = msgspec.json.decode(here.model.requests[number])["messages"]
    contents = [message["content"] for message in messages if message["role"] == "user"]
    return [msgspec.json.decode(content) for content in contents]


async def is_proved(here: Parts, agent: str = "ada") -> bool:
    return replay(agent, await here.log.read(agent)).difference is None


async def made(here: Parts, zone: str | None, agent: str = "ada") -> None:
    await here.client.create(agent, newborn(Settings()), zone=zone)


def test_half_past_five_is_half_past_five_there(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            here.now_ms = utc("2026-03-07 15:00")
            await made(here, NEW_YORK)
            await here.says("ada", "Remind me of tea at half past five.")
            (message, status) = shown(here)[-2:]
            assert message["time"] == "2026-03-07 10:00:00 -05:00"
            assert (status["time"], status["time_zone"]) == ("2026-03-07 10:00:00 -05:00", NEW_YORK)
            await at(here, "2026-03-07 22:29")
            assert await rung(here) == []
            await at(here, "2026-03-07 22:30")
            assert await rung(here) == ["tea"]
            await here.ended(await here.last_input("ada"))
            fired = shown(here)[-2]
            assert (fired["type"], fired["due"], fired["time"][-6:]) == (
                "timer",
                "2026-03-07 17:30:00 -05:00",
                "-05:00",
            )
            assert await is_proved(here)

    run(live())


def test_a_daily_timer_keeps_its_hour_when_the_clocks_are_changed(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            here.now_ms = utc("2026-03-06 15:00")
            await made(here, NEW_YORK)
            await here.says("ada", "Wake me at nine every day.")
            dues = []
            for due in ("2026-03-07 14:00", "2026-03-08 13:00", "2026-03-09 13:00"):
                (timer,) = await here.client.timers("ada")
                dues.append((timer.due_ms, timer.offset_s))
                assert timer.due_ms == utc(due)
                await at(here, due)
                await here.ended(await here.last_input("ada"))
            assert await rung(here) == ["wake"] * 3
            assert [offset_s for _, offset_s in dues] == [-18_000, -14_400, -14_400]
            set_ = [event.timer for event in await here.events("ada", "TimerSet")]
            assert [(each.due_ms, each.offset_s) for each in set_[:3]] == dues, "each next time is written down"
            assert await is_proved(here)

    run(live())


def test_an_agent_of_old_stays_at_utc_until_it_is_moved(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            here.now_ms = utc("2026-03-07 15:00")
            await here.born("ada", parts=tuple(part for part in NEWBORN if part != ZONED))
            await here.says("ada", "Wake me at nine every day.")
            assert shown(here)[-1]["time"] == "2026-03-07 15:00:00 UTC"
            assert "time_zone" not in shown(here)[-1]
            tools = msgspec.json.decode(here.model.requests[-1])["tools"]
            assert any(tool["function"]["description"].endswith("Times are UTC.") for tool in tools)
            (timer,) = await here.client.timers("ada")
            assert timer == Timer(id=timer.id, due_ms=utc("2026-03-08 09:00"), note="wake", cron="0 9 * * *")
            change = await here.client.change_zone("ada", "europe/berlin")
            assert (change.before, change.after, len(change.timers)) == ("UTC", "Europe/Berlin", 1)
            assert ZONED in (await here.client.state("ada")).format
            await here.says("ada", "Hello.")
            assert shown(here)[-1]["time"] == "2026-03-07 16:00:00 +01:00"
            tools = msgspec.json.decode(here.model.requests[-1])["tools"]
            assert not any("UTC" in tool["function"]["description"] for tool in tools)
            assert await is_proved(here)

    run(live())


def test_timers_that_go_by_clocks_move_with_their_agent_and_others_ring_when_they_would(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            here.now_ms = utc("2026-11-27 15:00")
            await made(here, NEW_YORK)
            await here.says("ada", "Wake me at nine every day.")
            await here.says("ada", "Every two days water the plants.")
            once = Timer(id="once", due_ms=utc("2099-01-01 00:00"), note="once")
            assert (await here.client.set_timer("ada", once)).due_ms == once.due_ms
            change = await here.client.change_zone("ada", "Asia/Tokyo")
            assert {timer.note for timer in change.timers} == {"wake", "water"}
            timers = {timer.note: timer for timer in await here.client.timers("ada")}
            assert {note: timer.zone for note, timer in timers.items()} == {
                "wake": "Asia/Tokyo", "water": "Asia/Tokyo", "once": NEW_YORK,
            }  # fmt: skip
            tokyo = zones.zone("Asia/Tokyo")
            assert tokyo is not None
            assert zones.wall(tokyo, timers["wake"].due_ms).hour == 9
            assert zones.wall(tokyo, timers["water"].due_ms).hour == 10, "its hour was ten in New York"
            assert timers["once"].due_ms == once.due_ms
            again = await here.client.change_zone("ada", "Asia/Tokyo")
            assert again == ZoneChange("Asia/Tokyo", "Asia/Tokyo")
            assert len(await here.envelopes("ada", "TimeZoneSet")) == 1, "there was nothing to change"
            assert await is_proved(here)

    run(live())


def test_no_context_hangs_on_the_data_of_zones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def live() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            here.now_ms = utc("2026-03-07 15:00")
            await made(here, NEW_YORK)
            await here.says("ada", "Wake me at nine every day.")
            await here.client.change_zone("ada", "Australia/Lord_Howe")
            await here.says("ada", "There are two now.")
            stream = await here.log.read("ada")

            def nobody_knows(*_: object) -> int:
                raise AssertionError("a replay asks for no zone data")

            for name in ("zone", "offset_s", "names", "wall"):
                monkeypatch.setattr(zones, name, nobody_knows)
            proof = replay("ada", stream)
            assert proof.difference is None
            assert proof.contexts >= 3
            offsets = [event.offset_s for event in await here.events("ada", "TurnStarted")]
            assert offsets == [-18_000, 39_600]

    run(live())


def test_a_turn_goes_on_by_the_clock_that_it_began_with(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            here.now_ms = utc("2026-11-27 15:00")
            await made(here, NEW_YORK)
            here.model.may_answer.clear()
            ticket = await here.client.send("ada", "There are two now.", at_ms=here.now_ms)
            while not here.model.requests:
                await here.timers.step(0.01)
            await here.client.change_zone("ada", "Asia/Tokyo")
            here.model.may_answer.set()
            await here.ended(ticket)
            status = shown(here)[-1]
            assert (status["time"], status["time_zone"]) == ("2026-11-27 10:00:00 -05:00", NEW_YORK)
            await here.says("ada", "Hello.")
            assert shown(here)[-1]["time"] == "2026-11-28 00:00:00 +09:00"
            assert await is_proved(here)

    run(live())


def test_a_fork_has_its_parents_zone(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            here.now_ms = utc("2026-11-27 15:00")
            await made(here, NEW_YORK)
            await here.says("ada", "Hello.")
            await here.client.fork("ada", "fay", overrides=Overrides(settings=Settings(window_tokens=9000)))
            await here.says("fay", "Hello.")
            assert shown(here)[-1]["time_zone"] == NEW_YORK
            await here.client.change_zone("fay", "UTC")
            await here.says("fay", "Hello.")
            assert shown(here)[-1]["time"].endswith(" UTC")
            await here.says("ada", "Hello.")
            assert shown(here)[-1]["time_zone"] == NEW_YORK
            assert await is_proved(here)

    run(live())


BORN: Final = (
    ((None, "", "Asia/Tokyo"), "Asia/Tokyo"),  # the driver's own
    ((None, "", ""), ""),
    ((None, "Europe/Oslo", "Asia/Tokyo"), "Europe/Oslo"),
    (("europe/paris", "Europe/Oslo", "Asia/Tokyo"), "Europe/Paris"),
    (("UTC", "", "Asia/Tokyo"), "UTC"),
    ((None, "UTC", "Asia/Tokyo"), "UTC"),
    ((None, "", "CET-1CEST"), ""),
)


@pytest.mark.parametrize(("said", "zone"), BORN)
def test_an_agent_is_born_with_a_zone(
    said: tuple[str | None, str, str], zone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said by the call, by the event, and by the environment."""
    asked, event, tz = said

    async def live() -> None:
        async with parts(tmp_path) as here:
            monkeypatch.setitem(os.environ, "TZ", tz)
            await here.client.create("ada", msgspec.structs.replace(newborn(Settings()), zone=event), zone=asked)
            (born,) = await here.events("ada", "AgentCreated")
            assert isinstance(born, AgentCreated)
            assert born.zone == zone
            assert (born.offset_s is None) == (zone in ("", "UTC"))

    run(live())


def test_what_cannot_be_changes_nothing(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path) as here:
            with pytest.raises(BadInput, match=r"no time zone 'Berlin'. Did you mean Europe/Berlin\?"):
                await made(here, "Berlin")
            with pytest.raises(UnknownAgent):
                await here.client.change_zone("ada", NEW_YORK)
            with pytest.raises(BadInput, match="no part 'zoned'"):
                await here.client.create("ada", msgspec.structs.replace(newborn(Settings()), parts=()), zone=NEW_YORK)
            await made(here, NEW_YORK)
            with pytest.raises(BadInput, match="no time zone"):
                await here.client.change_zone("ada", "Mars/Olympus")
            with pytest.raises(BadInput, match="no time zone"):
                await here.client.set_timer("ada", Timer(id="t", due_ms=here.now_ms + MINUTE_MS, zone="Mars/Olympus"))
            assert await here.kinds("ada") == ["AgentCreated"]

    run(live())


def test_a_zone_that_this_machine_does_not_know_means_utc_and_holds_nobody_up(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            here.now_ms = utc("2026-11-27 15:00")
            await made(here, NEW_YORK)
            await here.client._put("ada", TimeZoneSet(zone="Mars/Olympus", offset_s=60), "zone:mars")
            await here.says("ada", "Wake me at nine every day.")
            assert shown(here)[-1]["time"] == "2026-11-27 15:00:00 UTC"
            (timer,) = await here.client.timers("ada")
            assert timer.due_ms == utc("2026-11-28 09:00")
            started = (await here.events("ada", "TurnStarted"))[-1]
            assert started == TurnStarted(input=started.input)

    run(live())
