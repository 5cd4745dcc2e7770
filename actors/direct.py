"""A log in this process with the calls of a `LogClient`: for what needs no actors, as attaching a source, and tests.

Rule: whoever uses it holds the data folder's lock, and is the log's one writer.
"""

from __future__ import annotations

import asyncio

from events.envelope import Envelope
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

    async def heads(self, after: str = "", limit: int | None = None) -> list[StreamHead]:
        return await asyncio.to_thread(self._store.heads, after, limit)
