"""actors/models/hosted/slots.py: whose request a server gets next. The lines are pure; the slots on them run on a
loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from palimpsest.actors.models.hosted.slots import IN_FLIGHT, Slots, WaitingLine, server_of


def served(line: WaitingLine[str]) -> list[str]:
    """All who may go now."""
    return list(iter(line.next, None))


def order(line: WaitingLine[str]) -> list[str]:
    """The order in which all who wait are served, one after the other."""
    found = []
    while (ticket := line.next()) is not None:
        found.append(ticket)
        line.done()
    return found


def test_no_more_are_served_at_once_than_the_bound() -> None:
    line = WaitingLine[str](2)
    for ticket in ("a1", "a2", "a3"):
        line.join("a", ticket)
    assert served(line) == ["a1", "a2"]
    assert (line.running, line.waiting) == (2, 1)
    line.done()
    assert served(line) == ["a3"]


def test_agents_take_turns_and_each_is_served_in_order() -> None:
    line = WaitingLine[str](1)
    for agent, count in (("a", 4), ("b", 2), ("c", 1)):
        for number in range(1, count + 1):
            line.join(agent, f"{agent}{number}")
    assert order(line) == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]


def test_an_agent_that_comes_late_waits_for_one_round_at_most() -> None:
    """80 requests of one agent do not stand before the first of another."""
    line = WaitingLine[str](1)
    for number in range(80):
        line.join("busy", f"busy{number}")
    assert line.next() == "busy0"
    line.join("late", "late0")
    line.done()
    assert order(line)[:3] == ["busy1", "late0", "busy2"]


def test_the_least_bound_that_an_agent_asks_for_is_the_servers() -> None:
    line = WaitingLine[str](8)
    line.join("a", "a1", 3)
    line.join("b", "b1")
    line.join("c", "c1", 2)
    assert line.bound == 2
    assert served(line) == ["a1", "b1"]
    line.join("c", "c2", 4)
    assert line.bound == 3, "the agent's newest word counts"
    line.join("c", "c3")
    line.join("a", "a2")
    assert line.bound == 8
    line.join("a", "a3", 500)
    assert line.bound == 500, "a user may allow more than is usual"


def test_nobody_asks_a_server_that_is_busy_and_then_one_goes_first() -> None:
    line = WaitingLine[str](8)
    for number in range(4):
        line.join("a", f"a{number}")
    assert line.next() == "a0"
    line.rest(0)
    line.rest(0)  # a second caller was told the same
    line.done()
    assert served(line) == []
    line.rested()
    assert served(line) == [], "the second waits still"
    line.rested()
    assert served(line) == ["a1"], "one alone tries it"
    line.took()
    assert served(line) == ["a2", "a3"]


def test_a_server_that_stays_busy_is_so_for_all_who_wait() -> None:
    line = WaitingLine[str](8)
    for _ in range(3):
        asked = line.refusals
        line.rest(asked)
        line.rest(asked)  # another answer to what was asked before
        line.rested()
        line.rested()
    assert line.refused_since(0) == 3
    assert line.refused_since(2) == 1, "whoever came later has seen less of it"
    line.took()
    assert line.refused_since(0) == 0
    line.rest(line.refusals)
    assert line.refused_since(0) == 1


def test_who_gives_up_is_not_called() -> None:
    line = WaitingLine[str](1)
    line.join("a", "a1")
    line.join("b", "b1")
    line.give_up("a", "a1")
    line.give_up("a", "a1")
    assert order(line) == ["b1"]
    assert line.is_idle


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://localhost:8080/v1", "HTTP://LOCALHOST:8080/v1/"),
        ("https://api.example.com/v1", "https://api.example.com:443/v1"),
        ("http://user:secret@h/v1", "http://h:80/v1?key=secret"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1/"),
    ],
)
def test_a_server_is_one_however_its_address_is_written(one: str, other: str) -> None:
    assert server_of(one) == server_of(other)
    assert "secret" not in server_of(other)


@pytest.mark.parametrize("other", ["http://h:81/v1", "https://h/v1", "http://h/other/v1", "http://g/v1", "http://h:x"])
def test_other_servers_are_others(other: str) -> None:
    assert server_of("http://h/v1") != server_of(other)


# --- on a loop ----------------------------------------------------------------------------------------------------


def run(work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await work

    asyncio.run(bounded())


async def turns() -> None:
    """Let every task go on as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_who_waits_is_let_in_when_a_slot_is_free_and_who_was_called_off_is_not() -> None:
    async def use() -> None:
        slots = Slots(1)
        line = slots.line("http://h/v1")
        await slots.enter(line, "a")
        waiting = [asyncio.create_task(slots.enter(line, agent)) for agent in "bcd"]
        await turns()
        waiting[0].cancel()
        slots.leave(line)
        await turns()
        assert [task.done() for task in waiting] == [True, True, False]
        waiting[2].cancel()
        await asyncio.wait(waiting)
        slots.leave(line)
        assert line.is_idle

    run(use())


def test_a_slot_that_comes_with_the_calling_off_is_not_lost() -> None:
    async def use() -> None:
        slots = Slots(1)
        line = slots.line("http://h/v1")
        await slots.enter(line, "a")
        second = asyncio.create_task(slots.enter(line, "b"))
        await turns()
        slots.leave(line)  # b is called up
        second.cancel()  # and called off before it could look
        await asyncio.wait([second])
        assert line.is_idle
        await slots.enter(line, "c")

    run(use())


def test_lines_that_hold_nothing_are_forgotten() -> None:
    async def use() -> None:
        slots = Slots()
        for number in range(50):
            line = slots.line(f"http://h{number}/v1")
            await slots.enter(line, "a")
            slots.leave(line)
        assert len(slots.figures()) == 1
        assert slots.line("http://h49/v1").bound == IN_FLIGHT

    run(use())
