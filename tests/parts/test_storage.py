"""The storage actor on an engine that breaks on one query: it is built again once, and then the query is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from actors.storage import Storage
from events.envelope import Envelope
from events.errors import StorageDamaged
from events.passages import Page
from tests.parts.world import parts, run
from tests.unit.story import call, say


class Brittle:
    """An index that takes everything, finds nothing, and breaks where it is asked for poison."""

    def __init__(self, position: int) -> None:
        self.position = position

    def apply(self, _envelopes: Sequence[Envelope], position: int) -> None:
        self.position = position

    def search(self, _agent: str, *, query: str, **_options: Any) -> Page:
        if query == "poison":
            raise StorageDamaged("The index cannot be read.")
        return Page((), 0)

    def close(self) -> None:
        """There is nothing to close."""


SCRIPT = {
    "Look for poison": (call("conversation_search", query="poison", request_heartbeat=True),),
    "Look for bread": (call("conversation_search", query="bread", request_heartbeat=True),),
    "Function call failed": (say("That cannot be searched for."),),
    "Function called using": (say("I found nothing."),),
}


def test_a_query_that_breaks_a_fresh_index_too_is_answered_as_failed(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            await here.born("ada")
            await here.says("ada", "Hello.")

            def storage(position: int) -> asyncio.Task[None]:
                opened = Storage(here.log, here.log_actor._reader, lambda: Brittle(position))  # type: ignore[arg-type, return-value]
                return asyncio.create_task(opened.run())

            first = storage(position=3)
            ticket = await here.client.send("ada", "Look for poison.")
            with pytest.raises(StorageDamaged):
                await first
            again = storage(position=0)  # what comes up next builds the index from nothing
            assert (await here.ended(ticket)).text == "That cannot be searched for."
            assert (await here.says("ada", "Look for bread.")).text == "I found nothing."
            later = await here.client.send("ada", "Look for poison.")
            with pytest.raises(StorageDamaged):
                await again
            last = storage(position=0)
            assert (await here.ended(later)).text == "That cannot be searched for."
            last.cancel()

    run(live())
