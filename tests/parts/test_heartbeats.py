"""Timed heartbeats from end to end: set by the model, fired by the timers, silenced by `pause_heartbeats`."""

from __future__ import annotations

from pathlib import Path

from tests.worlds.one_process import Parts, parts, run
from tests.worlds.story import call, say

SCRIPT = {
    "Look around": (call("set_timer", "c1", note="look", every_minutes=30, heartbeat=True), say("I will.")),
    "Hush": (call("pause_heartbeats", "c1", minutes=60), say("I am quiet.")),
    '"heartbeat"': (say("I looked."),),
}


def test_a_repeating_heartbeat_opens_turns_is_silent_while_paused_and_comes_again(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            await here.born("ada")
            assert (await here.says("ada", "Look around now and then.")).text == "I will."
            assert await _after_half_an_hour(here) == ("yielded", "I looked.")
            assert (await here.says("ada", "Hush for an hour.")).text == "I am quiet."
            asked = len(here.model.requests)
            assert await _after_half_an_hour(here) == ("skipped", "")
            assert len(here.model.requests) == asked, "a heartbeat that is skipped asks no model"
            assert [e.reason for e in await here.events("ada", "InputSkipped")] == ["timed heartbeats are paused"]
            assert await _after_half_an_hour(here) == ("yielded", "I looked.")
            assert len(await here.client.timers("ada")) == 1

    run(live())


async def _after_half_an_hour(here: Parts) -> tuple[str, str]:
    fired = len(await here.envelopes("ada", "TimerFired"))
    await here.passes(30)
    assert len(await here.envelopes("ada", "TimerFired")) == fired + 1
    reply = await here.ended(await here.last_input("ada"))
    return reply.reason, reply.text
