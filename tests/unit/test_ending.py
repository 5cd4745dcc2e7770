"""Long polls of a process that ends for good: those who wait are told, and nothing else is cancelled by it."""

from __future__ import annotations

import asyncio

import pytest

from palimpsest.actors.parts import process
from palimpsest.actors.parts.process import until_ending
from palimpsest.events.errors import ActorLost


async def never() -> None:
    await asyncio.Event().wait()


async def soon() -> str:
    await asyncio.sleep(0)
    return "came"


def test_a_poll_brings_what_comes_and_is_told_of_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def live() -> None:
        assert await until_ending(soon()) == "came"
        waiting = asyncio.create_task(until_ending(never()))
        await asyncio.sleep(0)
        monkeypatch.setattr(process, "_is_ending", True)
        process.end_polls()
        with pytest.raises(ActorLost, match="has ended") as lost:
            await waiting
        assert lost.value.for_good
        with pytest.raises(ActorLost):
            await until_ending(never())
        assert not process._polls

    asyncio.run(live())


def test_a_caller_that_goes_away_takes_its_poll_along() -> None:
    async def live() -> None:
        waiting = asyncio.create_task(until_ending(never()))
        await asyncio.sleep(0)
        (poll,) = process._polls
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.wait([poll])
        assert poll.cancelled() and not process._polls

    asyncio.run(live())
