"""What a system keeps of the clients that it handed out."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest

from palimpsest.actors.client import Client
from palimpsest.actors.links.protocol import Parts
from palimpsest.actors.system import System
from palimpsest.events.errors import ActorLost
from palimpsest.events.prompts import newborn
from palimpsest.events.types import Settings
from tests.parts.world import parts, run


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
