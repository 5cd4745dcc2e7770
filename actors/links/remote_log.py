"""The log part as a reader for threads: calls that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from palimpsest.actors.links import wire
from palimpsest.actors.links.protocol import LogPart
from palimpsest.events.envelope import Envelope
from palimpsest.events.kinds import Kind
from palimpsest.events.position import Partition, Position, check_same
from palimpsest.events.types import Parent

T = TypeVar("T")


class RemoteLog:
    """What `store.library.functions.SourceLog` asks for, of a log part that is called on this loop. For other threads
    than the loop's own."""

    def __init__(self, log: LogPart, loop: asyncio.AbstractEventLoop) -> None:
        self._log = log
        self._loop = loop

    def _waited(self, call: Coroutine[Any, Any, T]) -> T:
        try:
            called = asyncio.run_coroutine_threadsafe(call, self._loop)
        except RuntimeError:  # the loop is closed: it was not begun
            call.close()
            raise
        return called.result()

    def read(
        self,
        agent: str,
        after: int = 0,
        to: int | None = None,
        limit: int | None = None,
        kinds: frozenset[Kind] | None = None,
    ) -> list[Envelope]:
        return wire.unpack_envelopes(self._waited(self._log.read(agent, after, to, limit, kinds)))

    def lineage(self, agent: str) -> list[Parent]:
        return wire.unpack_lineage(self._waited(self._log.lineage(agent)))

    def seq_at(self, agent: str, position: Position) -> int:
        return self._waited(self._log.seq_at(agent, position))

    def position(self, partition: Partition) -> Position:
        """Raises OtherPartition where the part writes another partition."""
        found = self._waited(self._log.position())
        check_same(partition, found.partition)
        return found
