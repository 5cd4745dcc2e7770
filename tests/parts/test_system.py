"""What a system keeps of the clients that it handed out."""

from __future__ import annotations

import asyncio
import gc
import weakref
from pathlib import Path

import pytest

from palimpsest.actors.client import Client
from palimpsest.actors.joining.joined import Connection, Joined, connected
from palimpsest.actors.links.protocol import Parts
from palimpsest.actors.system import System, find
from palimpsest.events.errors import ActorLost, BadInput
from palimpsest.events.prompts import newborn
from palimpsest.events.types import Settings
from palimpsest.store.folder import DataFolder
from tests.worlds.one_process import parts, run


class Standing:
    """Parts that go on when the system is stopped."""

    notes: tuple[str, ...] = ()

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    async def pids(self) -> dict[str, int]:
        return {}

    async def stop(self) -> None:
        """There is nothing to stop."""


def test_a_client_is_forgotten_once_it_is_closed_and_closed_with_the_system_at_the_latest(tmp_path: Path) -> None:
    async def followed(client: Client, agent: str) -> weakref.ref[Client]:
        await client.create(agent, newborn(Settings()))
        await client.ask(agent, "Hello.")
        return weakref.ref(client)

    async def live() -> None:
        async with parts(tmp_path) as here:
            system = System(Standing(here.parts))
            left = await followed(system.client(), "ada")
            gc.collect()
            assert left() is not None, "it follows the log, until somebody closes it"
            closed = system.client()
            gone = await followed(closed, "bob")
            await closed.close()
            del closed
            gc.collect()
            assert gone() is None
            await system.stop()
            client = left()
            assert client is not None
            with pytest.raises(ActorLost, match="no longer follows the log"):
                await client.ask("ada", "Are you there?")

    run(live())


async def guest_of(folder: DataFolder) -> Joined:
    holder = folder.holder()
    assert holder is not None
    line = await connected(Path(holder.door), "a guest")
    assert line is not None

    async def nowhere() -> Connection:
        raise BadInput("There is no other.")

    return Joined(line, nowhere)


def test_a_system_that_does_not_stay_ends_with_the_last_who_leaves_and_not_while_one_is_in(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path) as here:
            folder = DataFolder(tmp_path / "data")
            system = System(Standing(here.parts), folder.lock("a test", how="starting"), purpose="a test")
            ended = asyncio.Event()
            loop = asyncio.get_running_loop()

            def end() -> None:
                loop.call_soon_threadsafe(ended.set)

            system.hosted(stays=False, on_end=end)
            system.open_door()
            guest = await guest_of(folder)
            passer = await find(folder, "status")
            assert passer is not None
            await passer.stop()
            system.look()
            await asyncio.sleep(0)
            assert not ended.is_set(), "somebody is in"
            leaving = asyncio.create_task(guest.stop())
            await ended.wait()
            await system.stop()
            await leaving
            folder.lock("the next one").release()

    run(live())


def test_who_finds_a_system_that_ends_waits_for_it(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path) as here:
            folder = DataFolder(tmp_path / "data")
            told: list[str] = []

            class Ending(Standing):
                async def stop(self) -> None:
                    holder = folder.holder()
                    assert holder is not None
                    told.append(holder.how)

            system = System(Ending(here.parts), folder.lock("a test", how="starting"), purpose="a test")
            system.open_door()
            await system.stop()
            holder = folder.holder()
            assert (told, holder and holder.how) == (["brief"], "free")

    run(live())


def test_a_system_that_stays_is_not_ended_by_who_leaves(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path) as here:
            folder = DataFolder(tmp_path / "data")
            system = System(Standing(here.parts), folder.lock("a test", how="starting"), purpose="a test")
            ends: list[str] = []
            system.hosted(stays=False, on_end=lambda: ends.append("ended"))
            system.open_door()
            guest = await guest_of(folder)
            assert await guest.stay()
            await guest.stop()
            system.look()
            assert not ends
            await system.stop()

    run(live())
