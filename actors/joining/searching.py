"""Searches on the index of a system that runs, for callers that do not run on a loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, TypeVar

from palimpsest.actors.joining.joined import Joined
from palimpsest.actors.links import wire
from palimpsest.actors.system import check_index, find
from palimpsest.events.errors import ActorLost
from palimpsest.events.passages import HitPage
from palimpsest.events.position import Position
from palimpsest.store.folder import DataFolder
from palimpsest.store.index.points import View
from palimpsest.store.index.settings import IndexSettings, PointKind

T = TypeVar("T")

INDEXED_S = 60.0
"""So long a search waits at most until the index has what the log has."""


class RunningIndex:
    """The index of a system that was joined: its searches, as `MemoryIndex` has them."""

    def __init__(self, joined: Joined, loop: asyncio.AbstractEventLoop) -> None:
        self._parts = joined.parts
        self._loop = loop

    def search(
        self,
        views: Sequence[View],
        *,
        kind: PointKind,
        query: str,
        page: int,
        size: int,
        own: int = 1,
        who: str = "",
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> HitPage:
        """Raises BadInput where nobody is called `who`; StorageUnavailable; ActorLost."""
        seen = tuple((view.stream, view.as_of) for view in views)
        sought = wire.MemorySearch(seen, kind, query, page, size, own, who, start_ms, end_ms)
        return wire.unpack_page(_on(self._loop, self._parts.storage.search(wire.pack(sought))))

    def caught_up(self, position: Position) -> bool:
        """Whether the index has all up to this position of the log; waits for it a while."""
        return _on(self._loop, self._parts.storage.indexed(position, INDEXED_S)) >= position


@contextlib.contextmanager
def running_index(folder: DataFolder, position: Position, asked: IndexSettings) -> Iterator[RunningIndex | None]:
    """The index of the folder's running system, with all up to this position; None where there is none to join, or it
    lags behind. Raises BadInput where it is another index than was asked for."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="search", daemon=True)
    thread.start()
    try:
        joined = _on(loop, find(folder, "search"))
        if joined is None:
            yield None
            return
        try:
            check_index(folder, joined.welcome, asked)
            index = RunningIndex(joined, loop)
            yield index if _is_caught_up(index, position) else None
        finally:
            _on(loop, joined.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _is_caught_up(index: RunningIndex, position: Position) -> bool:
    try:
        return index.caught_up(position)
    except ActorLost:
        return False


def _on(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run_coroutine_threadsafe(work, loop).result()
