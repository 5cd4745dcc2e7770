"""The parts of a partition that is not the first: they take it from what they read, and nothing else changes."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from palimpsest.actors.storage import Storage
from palimpsest.events.position import Partition, Position
from palimpsest.events.types import FunctionReturned, Timer
from palimpsest.store.index.projection import MemoryIndex
from tests.worlds.journal import embedder
from tests.worlds.one_process import LIMIT_S, MINUTE_MS, parts, run
from tests.worlds.story import START_MS, call, say

THIRD = Partition(3)
SCRIPT = {
    "boats": (say("I like boats too."),),
    "Where": (call("conversation_search", query="boats", request_heartbeat=True),),
    "Function called": (say("You spoke of boats."),),
}


def test_agents_live_in_it_as_in_the_first(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path, SCRIPT, partition=THIRD) as here:
            read = here.log_actor._reader.read
            opened = partial(MemoryIndex.open, tmp_path / "index", embedder(), read, THIRD)
            storage = Storage(here.log, here.log_actor._reader, opened)
            serving = asyncio.create_task(storage.run())
            await here.born("ada")
            ticket = await here.client.send("ada", "I like boats.")
            assert ticket.position == Position(THIRD, 2)
            assert (await here.ended(ticket)).text == "I like boats too."
            assert (await here.says("ada", "Where did we speak of them?")).text == "You spoke of boats."
            (found,) = await here.events("ada", FunctionReturned.__name__)
            assert isinstance(found, FunctionReturned) and found.found, "storage searched its own partition's index"
            (head,) = await here.client.agents()
            assert (head.partition, head.position) == (THIRD, await here.log.position())
            assert await storage.indexed(head.position, LIMIT_S) >= head.position
            await here.client.set_timer("ada", Timer(id="tea", due_ms=START_MS + MINUTE_MS))
            here.now_ms += MINUTE_MS
            await here.timers.step(0.0)
            assert len(await here.envelopes("ada", "TimerFired")) == 1
            figures = [here.memory.figures(), here.processor.figures(), storage.figures(), await here.log.status()]
            assert all(isinstance(each["position"], int) for each in figures), "figures are numbers"
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            await storage.close()

    run(live())


def test_they_go_on_where_they_were(tmp_path: Path) -> None:
    async def live(text: str) -> None:
        async with parts(tmp_path, SCRIPT, partition=THIRD) as here:
            if not await here.client.agents():
                await here.born("ada")
            assert (await here.says("ada", text)).text == "I like boats too."

    run(live("I like boats."))
    run(live("I like boats still."))
