"""A log in this process with the calls of a `LogClient`: for what needs no actors, as attaching a source, and tests.

Rule: whoever uses it holds the data folder's lock, and is the log's one writer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from palimpsest.actors.links import wire
from palimpsest.events.envelope import Envelope
from palimpsest.events.kinds import Kind
from palimpsest.events.state import State
from palimpsest.events.vocabulary import Topic
from palimpsest.store.logs.contract import Append, Appended, LogStore, StreamHead
from palimpsest.store.logs.states import load


class DirectLog:
    """Calls a `LogStore` in a thread."""

    def __init__(self, store: LogStore) -> None:
        self._store = store

    async def append(self, append: Append) -> list[Appended]:
        return (await asyncio.to_thread(self._store.append, [append]))[0]

    async def read(
        self,
        agent: str,
        after: int = 0,
        to: int | None = None,
        limit: int | None = None,
        kinds: frozenset[Kind] | None = None,
    ) -> list[Envelope]:
        return await asyncio.to_thread(self._store.read, agent, after, to, limit, kinds)

    async def open_requests(self, topic: Topic, agent: str | None = None) -> wire.Opened:
        partition = self._store.partition
        if agent is None:
            found = await asyncio.to_thread(self._store.open_requests, topic, partition)
        else:
            found = await asyncio.to_thread(self._store.open_requests_of, agent, topic)
        return wire.Opened(found, await asyncio.to_thread(self._store.position, partition))

    async def states(self, wanted: Mapping[str, int | None]) -> dict[str, State]:
        """As `LogClient.states`."""
        found = {agent: await asyncio.to_thread(load, self._store, agent, to) for agent, to in wanted.items()}
        return {agent: state for agent, state in found.items() if state is not None}

    async def heads(self, after: str = "", limit: int | None = None) -> list[StreamHead]:
        return await asyncio.to_thread(self._store.heads, after, limit)
