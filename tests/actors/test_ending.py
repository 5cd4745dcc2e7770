"""Long polls of a part that ends for good: those who wait are told, and nothing else is cancelled by it."""

from __future__ import annotations

import asyncio

import pytest

from palimpsest.actors.parts.process import FATE, Life
from palimpsest.events.errors import ActorLost


class Noted:
    """A fate that is noted."""

    def __init__(self) -> None:
        self.came: list[str] = []

    async def died(self) -> None:
        self.came.append("died")

    async def ended(self) -> None:
        self.came.append("ended")


async def never() -> None:
    await asyncio.Event().wait()


async def soon() -> str:
    await asyncio.sleep(0)
    return "came"


def test_a_poll_brings_what_comes_and_is_told_of_the_end() -> None:
    async def live() -> None:
        fate, over = Noted(), asyncio.Event()
        FATE.set(fate)

        async def loop() -> None:
            await over.wait()
            raise ActorLost("the log has ended")

        life = Life("a part", loop)
        assert await life.until_ending(soon()) == "came"
        waiting = asyncio.create_task(life.until_ending(never()))
        await asyncio.sleep(0)
        over.set()
        with pytest.raises(ActorLost, match="has ended") as lost:
            await waiting
        assert lost.value.for_good
        with pytest.raises(ActorLost):
            await life.until_ending(never())
        await life.task
        assert fate.came == ["ended"]

    asyncio.run(live())


def test_a_loop_that_fails_dies() -> None:
    async def live() -> None:
        fate = Noted()
        FATE.set(fate)

        async def loop() -> None:
            raise ZeroDivisionError

        await Life("a part", loop).task
        assert fate.came == ["died"]

    asyncio.run(live())


def test_a_caller_that_goes_away_takes_its_poll_along() -> None:
    async def live() -> None:
        FATE.set(Noted())
        life = Life("a part", never)
        polls: list[asyncio.Task[None]] = []

        async def poll() -> None:
            task = asyncio.current_task()
            assert task is not None
            polls.append(task)
            await never()

        waiting = asyncio.create_task(life.until_ending(poll()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.wait(polls)
        assert polls[0].cancelled()
        life.task.cancel()

    asyncio.run(live())
