"""The storage actor: recall and archival memory, a projection of the log, and the searches in it.

It applies what the log brings, then answers the searches that are open up to there: so a search at seq n finds all
that the agent had by n. Applying and searching run in one thread of their own; the loop stays free.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import ray
import structlog
from msgspec.structs import replace

from actors import wire
from actors.log_client import LogClient
from actors.owed import append_owed
from actors.process import now_ms, set_up_logging, spawn, until_taken
from events.codec import decode, draft
from events.context import clip
from events.envelope import Draft, Envelope, Topic, answer_key
from events.errors import LogDamaged, NewerFormat, PalimpsestError, StorageDamaged
from events.passages import Hit, Page, day_bounds, search_page
from events.types import Event, Found, FunctionCalled, FunctionFailed, FunctionReturned
from store.points import View
from store.projection import BEARING, MemoryIndex

T = TypeVar("T")

KINDS = (*sorted(BEARING), "FunctionCalled")
WAKE = ("FunctionCalled",)
BATCH = 2000
WAIT_S = 30.0
LINGER_S = 1.0
"""What nobody has searched for yet is indexed in batches, at the latest after so long; a search finds it all anyway."""


class Storage:
    """Keeps an index on a log, and answers its searches. `open_index` opens it (blocking)."""

    def __init__(self, log: LogClient, open_index: Callable[[], MemoryIndex]) -> None:
        self._client = log
        self._open_index = open_index
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="index")
        self._log = structlog.get_logger("storage")
        self._index: MemoryIndex | None = None
        self._searches = 0

    async def run(self) -> None:
        """Open the index, catch up, answer what is open, then serve for ever."""
        index = await until_taken(lambda: self._in_thread(self._open_index), self._log, "index")
        self._index = index
        opened = await until_taken(lambda: self._client.open_requests(Topic.STORAGE), self._log, "open requests")
        self._log.info("started", position=index.position, behind=opened.position - index.position)
        waiting = {envelope.position: envelope for envelope in opened.envelopes}
        while True:
            batch = await until_taken(lambda: self._tail(index.position), self._log, "tail")
            bearing = [envelope for envelope in batch.envelopes if envelope.kind in BEARING]
            await self._in_thread(lambda: self._apply(index, bearing, batch.position))  # noqa: B023
            # Of those that an index being built again passes by, what was not open at the start has its answer.
            asked = [e for e in batch.envelopes if e.opens == Topic.STORAGE and e.position > opened.position]
            waiting |= {envelope.position: envelope for envelope in asked}
            ready = [waiting.pop(position) for position in sorted(waiting) if position <= index.position]
            drafts = await self._in_thread(lambda: self._answers(index, ready))  # noqa: B023
            await append_owed(self._client, [[draft] for draft in drafts], self._log)

    async def _tail(self, after: int) -> wire.Batch:
        return await self._client.tail(after, BATCH, WAIT_S, kinds=KINDS, wake=WAKE, linger_s=LINGER_S)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _apply(self, index: MemoryIndex, envelopes: list[Envelope], position: int) -> None:
        """Take what a batch bears. An event that cannot be read is passed over: it holds up no other."""
        try:
            index.apply(envelopes, position)
        except (LogDamaged, NewerFormat):
            for envelope in envelopes:
                try:
                    index.apply([envelope], envelope.position)
                except (LogDamaged, NewerFormat) as error:
                    self._log.error("event passed over", agent=envelope.agent, seq=envelope.seq, detail=str(error))
            index.apply([], position)

    def _answers(self, index: MemoryIndex, ready: list[Envelope]) -> list[Draft]:
        drafts = []
        for asked in ready:
            try:
                call = decode(asked)
            except (LogDamaged, NewerFormat) as error:  # its agent is set aside by the memory manager
                self._log.error("search passed over", agent=asked.agent, seq=asked.seq, detail=str(error))
                continue
            assert isinstance(call, FunctionCalled), "storage is asked by FunctionCalled"
            drafts.append(self._answer(index, asked, call))
        return drafts

    def _answer(self, index: MemoryIndex, asked: Envelope, call: FunctionCalled) -> Draft:
        self._searches += 1
        event: Event
        try:
            event = _returned(asked.agent, call, search(index, asked, call))
        except ValueError as error:
            event = FunctionFailed(call=call.call, name=call.name, error=str(error))
        except StorageDamaged:
            raise  # this process ends; the next one builds the index again
        except PalimpsestError as error:
            self._log.error("search failed", agent=asked.agent, detail=str(error))
            event = FunctionFailed(call=call.call, name=call.name, error=f"Storage cannot answer now: {error}")
        key = answer_key(asked.key)
        return draft(asked.agent, now_ms(), event, key=key, turn=asked.turn, cause=asked.key, closes=asked.key)

    async def close(self) -> None:
        if self._index is not None:
            await self._in_thread(self._index.close)

    def figures(self) -> dict[str, Any]:
        position = self._index.position if self._index else 0
        return {"position": position, "searches": self._searches}


def search(index: MemoryIndex, asked: Envelope, call: FunctionCalled) -> Page:
    """The page that a storage function asks for, as of its own seq. Raises ValueError with a text for the model."""
    page = int(call.arguments.get("page", 0))
    if page < 0:
        raise ValueError("Pages are counted from 0.")
    views, hidden, size = (View(asked.agent, asked.seq),), frozenset(call.hidden), call.page_size
    if call.name == "conversation_search_date":
        start_ms, end_ms = day_bounds(str(call.arguments["start_date"]), str(call.arguments["end_date"]))
        return index.by_date(views, start_ms=start_ms, end_ms=end_ms, page=page, size=size, hidden=hidden)
    kind = "message" if call.name == "conversation_search" else "passage"
    query = str(call.arguments["query"])
    return index.search(views, kind=kind, query=query, page=page, size=size, hidden=hidden)


def _returned(agent: str, call: FunctionCalled, page: Page) -> FunctionReturned:
    """The page as the model reads it: each hit clipped, so that the whole stays under the call's cap."""
    room = max(40, (call.max_chars - 60) // max(1, len(page.hits)) - 50)
    hits = [replace(hit, text=clip(hit.text, room)) for hit in page.hits]
    return FunctionReturned(
        call=call.call,
        result=search_page(hits, page.total, int(call.arguments.get("page", 0)), call.page_size),
        found=tuple(_found(agent, hit) for hit in page.hits),
        total=page.total,
    )


def _found(agent: str, hit: Hit) -> Found:
    stream = "" if hit.stream == agent else hit.stream
    return Found(seq=hit.seq, chunk=hit.chunk, score=round(hit.score, 6), stream=stream)


class StorageActor:
    """The Ray actor around it."""

    def __init__(self, log: str, path: str) -> None:
        set_up_logging()
        actor: Any = ray.get_actor(log)

        def read(stream: str, after: int, to: int) -> list[Envelope]:
            return wire.unpack_envelopes(ray.get(actor.read.remote(stream, after, to)))

        def open_index() -> MemoryIndex:
            from store.embeddings import WordLlamaEmbedder

            index = MemoryIndex.open(Path(path), WordLlamaEmbedder(), read)
            if index.position <= int(ray.get(actor.status.remote())["position"]):
                return index
            structlog.get_logger("storage").warning("index is ahead of the log: built again", position=index.position)
            index.close()
            shutil.rmtree(path)
            return MemoryIndex.open(Path(path), WordLlamaEmbedder(), read)

        self._storage = Storage(LogClient(actor), open_index)
        self._task = spawn("storage", self._storage.run)

    async def status(self) -> dict[str, Any]:
        return self._storage.figures()

    async def flush_and_close(self) -> None:
        """Write all that is in memory, and let the folder go: for an orderly stop."""
        self._task.cancel()
        await self._storage.close()


def remote(**options: Any) -> Any:
    """The Ray actor class."""
    return ray.remote(StorageActor).options(**options)
