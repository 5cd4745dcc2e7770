"""What a client has to append: sends that come together are appended together, in one call.

Rule: each append has an outcome of its own; what is wrong with one of them is told to its caller alone.
"""

from __future__ import annotations

import asyncio

import msgspec

from palimpsest.actors.links import wire
from palimpsest.actors.links.log_client import LogClient
from palimpsest.events.errors import ActorLost, PalimpsestError
from palimpsest.store.logs.contract import Append, Appended

AT_ONCE = 500
AT_ONCE_BYTES = 64_000
"""A call of 100 KB and more goes through Ray's object store, which costs several times as much."""

Answer = asyncio.Future[list[Appended]]


class Outbox:
    """Gathers appends while one call is under way, and sends them with the next."""

    def __init__(self, log: LogClient) -> None:
        self._log = log
        self._items: list[tuple[msgspec.Raw, Answer]] = []
        self._flusher: asyncio.Task[None] | None = None

    async def append(self, append: Append) -> list[Appended]:
        """What became of the append's drafts, when they are durable. Raises what the log does."""
        item = wire.packed(append)
        future: Answer = asyncio.get_running_loop().create_future()
        self._items.append((item, future))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        return await future

    async def _flush(self) -> None:
        while self._items:
            count = self._fitting()
            items, self._items = self._items[:count], self._items[count:]
            try:
                outcomes = await self._log.append_packed([item for item, _ in items])
            except asyncio.CancelledError:
                self._fail([*items, *self._items], ActorLost("The client was closed; this may have been written."))
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told to those whom it concerns
                self._fail(items, error)
                continue
            for (_, future), outcome in zip(items, outcomes, strict=True):
                if future.done():
                    continue
                if isinstance(outcome, PalimpsestError):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)

    def _fitting(self) -> int:
        """How many of those that wait go into one call: at least one."""
        size = 0
        for count, (item, _) in enumerate(self._items[:AT_ONCE]):
            size += memoryview(item).nbytes
            if size > AT_ONCE_BYTES and count:
                return count
        return min(len(self._items), AT_ONCE)

    @staticmethod
    def _fail(items: list[tuple[msgspec.Raw, Answer]], error: Exception) -> None:
        for _, future in items:
            if not future.done():
                future.set_exception(error)

    def close(self) -> None:
        if self._flusher is not None:
            self._flusher.cancel()
