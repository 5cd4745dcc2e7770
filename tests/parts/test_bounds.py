"""Promise 13 at the client: what is too much is refused with an error that says when to come back, or what to do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from palimpsest.actors.client import Ticket
from palimpsest.actors.parts.door import LATER_AN_AGENT_MS, NEVER
from palimpsest.events.codec import draft
from palimpsest.events.envelope import Draft
from palimpsest.events.errors import BadInput, Overloaded
from palimpsest.events.functions.timers import MAX_TIMERS
from palimpsest.events.types import AlertRaised, Timer, TimerSet
from tests.worlds.one_process import parts, run
from tests.worlds.story import START_MS


def test_an_agents_waiting_inputs_are_bounded_in_bytes(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path, limits={"max_open_bytes_an_agent": 5000}) as here:
            await here.born("ada")
            sends = (here.client.send("ada", "x" * 2000) for _ in range(5))
            outcomes = await asyncio.gather(*sends, return_exceptions=True)
            sent = [outcome for outcome in outcomes if isinstance(outcome, Ticket)]
            refused = [outcome for outcome in outcomes if isinstance(outcome, Overloaded)]
            assert (len(sent), len(refused)) == (2, 3)
            assert "or too large ones. Nothing was taken. Send it again in 5 s." in str(refused[0])
            assert refused[0].retry_after_s == 5
            for ticket in sent:
                await here.ended(ticket)
            assert (await here.says("ada", "x" * 4000)).reason == "yielded"

    run(live())


def test_a_refusal_says_when_to_come_again_and_has_no_place(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path, limits={"max_open_an_agent": 1}) as here:
            await here.born("ada", "gone")
            await here.client.retire(["gone"])
            here.model.may_answer.clear()
            inputs = [
                [draft(agent, START_MS, AlertRaised(text="Hi."), key=f"in:{n}", opens="turn")]
                for n, agent in enumerate(("ada", "ada", "gone"))
            ]
            answers = [(await here.log.append_drafts(each))[0] for each in inputs]
            assert [(each.outcome, each.again_ms) for each in answers] == [
                ("appended", 0), ("refused", LATER_AN_AGENT_MS), ("refused", NEVER),
            ]  # fmt: skip
            assert [each.position is None for each in answers] == [False, True, True]
            here.model.may_answer.set()

    run(live())


def test_a_burst_and_what_is_sent_again_at_the_door(tmp_path: Path) -> None:
    limits = {"max_open_an_agent": 3, "max_open": 5}

    async def live() -> None:
        async with parts(tmp_path, limits=limits) as here:
            await here.born("busy", "busier")
            here.model.may_answer.clear()
            tries = (here.client.send("busy", f"Message {n}", message_id=f"{n}") for n in range(20))
            results = await asyncio.gather(*tries, return_exceptions=True)
            taken = [each for each in results if isinstance(each, Ticket)]
            refused = [each for each in results if isinstance(each, Overloaded)]
            assert (len(taken), len(refused)) == (3, 17), "promise 13: a burst does not slip through"
            assert refused[0].retry_after_s > 0
            more = (here.client.send("busier", "Me too") for _ in range(9))
            later = await asyncio.gather(*more, return_exceptions=True)
            assert [isinstance(each, Ticket) for each in later].count(True) == 2, "promise 13: nor past the total"
            again = await here.client.send("busy", "Message", message_id=taken[0].message_id)
            assert again.seq == taken[0].seq, "what was acknowledged is not refused when it is sent again"
            assert len(await here.events("busy", "UserMessageReceived")) == 3
            here.model.may_answer.set()
            for ticket in taken:
                await here.ended(ticket)
            assert (await here.says("busy", "Now?")).reason == "yielded", "there is room again"

    run(live())


def a_set_timer(number: int) -> Draft:
    timer = Timer(id=f"t{number}", due_ms=START_MS + 10**9)
    return draft("ada", START_MS, TimerSet(timer=timer), key=f"alarm:{number}", opens="alarm")


def test_an_agents_timers_are_bounded_for_clients_too(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path) as here:
            await here.born("ada")
            await here.log.append_drafts([a_set_timer(number) for number in range(MAX_TIMERS)])
            with pytest.raises(BadInput, match=f"{MAX_TIMERS} timers are set .* Cancel one first"):
                await here.client.set_timer("ada", Timer(id="one more", due_ms=START_MS + 10**9))
            later = Timer(id="t7", due_ms=START_MS + 2 * 10**9)
            assert await here.client.set_timer("ada", later) == later
            assert len(await here.client.timers("ada")) == MAX_TIMERS

    run(live())


def test_all_timers_of_an_id_are_cancelled(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path) as here:
            await here.born("ada")
            twins = [draft("ada", START_MS, TimerSet(timer=Timer(id="t", due_ms=START_MS + 10**9 + n)), key=f"k{n}",
                           opens="alarm") for n in range(2)]  # fmt: skip
            await here.log.append_drafts([*twins, a_set_timer(9)])
            assert await here.client.cancel_timer("ada", "t")
            assert [timer.id for timer in await here.client.timers("ada")] == ["t9"]
            assert not await here.client.cancel_timer("ada", "t")

    run(live())
