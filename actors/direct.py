"""A log in this process with the calls of a `LogClient`: for what needs no actors, as attaching a source, and tests.

Rule: whoever uses it holds the data folder's lock, and is the log's one writer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from events.envelope import Envelope
from events.state import State
from store import states
from store.log import Append, Appended, LogStore, StreamHead


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
        kinds: frozenset[str] | None = None,
    ) -> list[Envelope]:
        return await asyncio.to_thread(self._store.read, agent, after, to, limit, kinds)

    async def states(self, wanted: Mapping[str, int | None]) -> dict[str, State]:
        """The states of these agents at these seqs (None: now); agents that do not exist are left out."""

        def load() -> dict[str, State]:
            loaded = {agent: states.load(self._store, agent, to) for agent, to in wanted.items()}
            return {agent: state for agent, state in loaded.items() if state is not None}

        return await asyncio.to_thread(load)

    async def heads(self, after: str = "", limit: int | None = None) -> list[StreamHead]:
        return await asyncio.to_thread(self._store.heads, after, limit)
