"""actors/parts/streams.py: agents whose streams cannot be read are set aside, and hold up no other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog
from structlog.testing import capture_logs

from palimpsest.actors.links.log_client import LogClient, Unreadable
from palimpsest.actors.parts.streams import AT_ONCE, Streams
from palimpsest.events.errors import LogDamaged
from palimpsest.events.state import State
from tests.worlds.story import Story

BROKEN = "bad"
CUT = LogDamaged(BROKEN, 3, "it is cut")


class Reading(LogClient):
    """Has any agent that is asked for, but for those whose names begin so that they cannot be read."""

    def __init__(self) -> None:
        self.state = Story().state
        self.asked: list[list[str]] = []

    async def load(self, wanted: Mapping[str, int | None]) -> tuple[dict[str, State], dict[str, Unreadable]]:
        self.asked.append(list(wanted))
        broken: dict[str, Unreadable] = {name: LogDamaged(name, 3, "it is cut") for name in wanted if BROKEN in name}
        return {name: self.state for name in wanted if BROKEN not in name}, broken


def streams() -> tuple[Streams, Reading]:
    reading = Reading()
    return Streams(reading, structlog.get_logger()), reading


def test_who_cannot_be_read_is_set_aside_once_and_not_asked_for_again() -> None:
    async def live() -> None:
        held, reading = streams()
        with capture_logs() as lines:
            assert len(await held.states({"ada": None, "bad": None, "ben": 3})) == 2
            assert len(await held.states({"bad": None, "ben": None})) == 1
        assert held.aside == {"bad": str(CUT)}
        assert [line["agent"] for line in lines] == ["bad"]
        assert reading.asked == [["ada", "bad", "ben"], ["ben"]]

    asyncio.run(live())


def test_many_are_asked_for_in_parts() -> None:
    async def live() -> None:
        held, reading = streams()
        assert len(await held.states({f"agent-{number}": None for number in range(AT_ONCE + 1)})) == AT_ONCE + 1
        assert [len(asked) for asked in reading.asked] == [AT_ONCE, 1]

    asyncio.run(live())


def test_who_waits_is_told_as_soon_as_one_is_set_aside() -> None:
    async def live() -> None:
        held, _ = streams()
        assert await held.asides(0, 0.0) == {}
        waiting = asyncio.create_task(held.asides(0, 60.0))
        await asyncio.sleep(0)
        held.set_aside({"bad": CUT})
        assert await asyncio.wait_for(waiting, 10) == {"bad": str(CUT)}
        assert await held.asides(0, 60.0) == {"bad": str(CUT)}, "there is one already that is not known"

    asyncio.run(live())


def test_events_of_those_set_aside_are_left_out() -> None:
    held, reading = streams()
    assert reading.state is not None
    envelopes = Story().log.read("ada")
    assert held.sound(envelopes) == envelopes
    held.set_aside({"ada": CUT})
    assert held.sound(envelopes) == []
