"""The storage actor: recall and archival memory, a projection of the log, and the searches in it.

It applies what the log brings, then answers the searches that are open up to there: so a search at seq n finds all
that the agent had by n. Applying and searching run in one thread of their own; the loop stays free. While its index
cannot be had it goes on trying, and what is asked meanwhile waits as long as the `Outage` says, then fails with an
event.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog

from palimpsest.actors.links import wire
from palimpsest.actors.links.log_client import LogClient
from palimpsest.actors.links.protocol import LogPart
from palimpsest.actors.links.remote_log import RemoteLog
from palimpsest.actors.parts.index import open_index
from palimpsest.actors.parts.outage import Outage
from palimpsest.actors.parts.owed import append_owed
from palimpsest.actors.parts.process import Life, now_ms, until_taken
from palimpsest.events.codec import answer, decode
from palimpsest.events.envelope import Draft, Envelope
from palimpsest.events.errors import (
    BadInput,
    EmbedderChanged,
    LogDamaged,
    NewerFormat,
    PalimpsestError,
    StorageAway,
    StorageDamaged,
    StorageUnavailable,
)
from palimpsest.events.kinds import kinds_of
from palimpsest.events.passages import HitPage
from palimpsest.events.position import UNPLACED, Partition, Position, beginning
from palimpsest.events.types import (
    Event,
    FunctionCalled,
    FunctionFailed,
    FunctionReturned,
    PassagesLoaded,
    UploadFinished,
)
from palimpsest.store.index.bearing import BEARING
from palimpsest.store.index.heads import KeptHeads
from palimpsest.store.index.points import View
from palimpsest.store.index.projection import MemoryIndex
from palimpsest.store.index.settings import IndexSettings
from palimpsest.store.library.functions import (
    SourceLog,
    look_up,
    reads_documents,
    returned,
    search,
    sight_at,
    unavailable,
)
from palimpsest.store.library.reading import Library

T = TypeVar("T")

CarryOut = Callable[[Envelope, FunctionCalled], Event]
"""How a function is carried out. Raises ValueError with a text for the model."""

KINDS = BEARING | kinds_of(FunctionCalled)
WAKE = kinds_of(FunctionCalled, PassagesLoaded, UploadFinished)
"""Who searches waits for it, and so does a load: for its stretches, and for the word of it that ends it."""
BATCH = 2000
BITE_BYTES = 64_000
"""Of what a batch bears, as it lies in the log: a stretch of a load or so, or hundreds of messages."""
WAIT_S = 30.0
LINGER_S = 1.0
"""What nobody has searched for yet is indexed in batches, at the latest after so long; a search finds it all anyway."""


class Storage:
    """Keeps an index on a log, and answers its searches. `open_index` opens it (blocking)."""

    def __init__(
        self,
        log: LogClient,
        reader: SourceLog,
        open_index: Callable[[], MemoryIndex],
        *,
        outage: Outage | None = None,
    ) -> None:
        self._client = log
        self._reader = reader
        self._library = Library(reader)
        self._open_index = open_index
        self._outage = outage or Outage()
        self._tried = asyncio.Event()
        self._handed = 0
        """What asks for documents is with those who read them, up to this number."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="index")
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="documents")
        self._to_read: asyncio.Queue[Envelope] = asyncio.Queue()
        self._applied = asyncio.Condition()
        self._logger = structlog.get_logger("storage")
        self._index: MemoryIndex | None = None
        self._heads = KeptHeads(reader, UNPLACED)
        self._searches = 0
        self._built_for = 0
        """What was open up to this number has an index that was built for it from nothing."""

    async def run(self) -> None:
        """Serve for ever: searches in one thread, documents in another, so that no long reading holds up a search."""
        tasks = [asyncio.create_task(self._serve()), asyncio.create_task(self._read_documents())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result

    async def _read_documents(self) -> None:
        """Documents are read in the log alone: what is asked need not be indexed first."""
        loop = asyncio.get_running_loop()
        while True:
            asked = await self._to_read.get()
            drafts = await loop.run_in_executor(self._reading, self._answers, [asked], self._looked_up)
            await append_owed(self._client, [[draft] for draft in drafts], self._logger)

    async def _serve(self) -> None:
        """Keep an index; where what it needs went out of reach, close it, and open it again."""
        while True:
            index = self._index = await self._opened()
            try:
                await self._keep(index)
            except StorageAway as error:
                self._outage.note(error)
                self._logger.error("index out of reach", detail=str(error))
            self._index = None
            await self._in_thread(index.close)
            await self._outage.pause()

    async def _opened(self) -> MemoryIndex:
        """The index, once it can be opened. Where its settings must be changed first, that is never: `check` says so,
        and whoever boots the system ends it."""
        while True:
            if not self._outage.hopeless:
                try:
                    return await self._in_thread(self._open_index)
                except (StorageUnavailable, BadInput, EmbedderChanged) as error:
                    self._outage.note(error)
                    self._logger.error("no index", detail=str(error))
                finally:
                    self._tried.set()
            await self._do_without(refuse=self._outage.long)
            await self._outage.pause()

    async def _do_without(self, *, refuse: bool) -> None:
        """What can be done without an index: have documents read; and, if so, refuse the searches that are open."""
        opened = await until_taken(lambda: self._client.open_requests("storage"), self._logger, "open requests")
        searches = self._without_documents(opened.envelopes)
        if refuse:

            def refused(_asked: Envelope, call: FunctionCalled) -> Event:
                return unavailable(call, self._outage.why)

            await append_owed(self._client, [[draft] for draft in self._answers(searches, refused)], self._logger)

    async def _keep(self, index: MemoryIndex) -> None:
        """Catch up, answer what is open, then what is asked."""
        opened = await until_taken(lambda: self._client.open_requests("storage"), self._logger, "open requests")
        self._built_for = 0 if index.position.number else opened.position.number
        self._heads = KeptHeads(self._reader, index.position)
        self._logger.info("started", position=index.position.number, behind=opened.position.since(index.position))
        waiting = {envelope.position: envelope for envelope in self._without_documents(opened.envelopes)}
        while True:
            wait_s = 0.0 if waiting else WAIT_S  # what is waited for is in the log: nothing more need come first
            batch = await until_taken(partial(self._tail, index.position, wait_s), self._logger, "tail")
            # Of those that an index being built again passes by, what was not open at the start has its answer.
            asked = [e for e in batch.envelopes if e.opens == "storage" and e.position > opened.position]
            waiting |= {envelope.position: envelope for envelope in self._without_documents(asked)}
            for bearing, position in bites_of(batch):
                await self._in_thread(partial(self._apply, index, bearing, position))
                async with self._applied:
                    self._applied.notify_all()
                ready = [waiting.pop(position) for position in sorted(waiting) if position <= index.position]
                drafts = await self._in_thread(partial(self._answers, ready, self._searched)) if ready else []
                await append_owed(self._client, [[draft] for draft in drafts], self._logger)
            self._outage.end()

    async def _tail(self, after: Position, wait_s: float) -> wire.Batch:
        return await self._client.tail(after, BATCH, wait_s, kinds=KINDS, wake=WAKE, linger_s=LINGER_S)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _apply(self, index: MemoryIndex, envelopes: list[Envelope], position: Position) -> None:
        """Take what a batch bears. An event that cannot be read is passed over: it holds up no other."""
        self._heads.show(envelopes, position)
        try:
            index.apply(envelopes, position)
        except (LogDamaged, NewerFormat):
            for envelope in envelopes:
                try:
                    index.apply([envelope], envelope.position)
                except (LogDamaged, NewerFormat) as error:
                    self._logger.error("event passed over", agent=envelope.stream, seq=envelope.seq, detail=str(error))
            index.apply([], position)

    def _without_documents(self, asked: list[Envelope]) -> list[Envelope]:
        """The searches among these; what asks for documents goes to those who read them."""
        searches, handed = [], self._handed
        for envelope in asked:
            try:
                call = decode(envelope)
                on_documents = isinstance(call, FunctionCalled) and reads_documents(call)
            except (LogDamaged, NewerFormat):
                on_documents = False  # its agent is set aside; `_answers` says so
            if on_documents:
                if envelope.position.number > handed:
                    self._to_read.put_nowait(envelope)
                self._handed = max(self._handed, envelope.position.number)
            else:
                searches.append(envelope)
        return searches

    def _searched(self, asked: Envelope, call: FunctionCalled) -> FunctionReturned:
        assert self._index is not None, "searches are answered once it is open"
        page = search(self._index, call, sight_at(call, asked, self._heads))
        return returned(asked.stream, call, page)

    def _looked_up(self, asked: Envelope, call: FunctionCalled) -> FunctionReturned:
        return look_up(self._library, asked, call, self._reader)

    def _answers(self, ready: list[Envelope], carry_out: CarryOut) -> list[Draft]:
        drafts = []
        for asked in ready:
            try:
                call = decode(asked)
            except (LogDamaged, NewerFormat) as error:  # its agent is set aside by the memory manager
                self._logger.error("search passed over", agent=asked.stream, seq=asked.seq, detail=str(error))
                continue
            assert isinstance(call, FunctionCalled), "storage is asked by FunctionCalled"
            drafts.append(self._answer(asked, call, carry_out))
        return drafts

    def _answer(self, asked: Envelope, call: FunctionCalled, carry_out: CarryOut) -> Draft:
        self._searches += 1
        event: Event
        try:
            event = carry_out(asked, call)
        except ValueError as error:
            event = FunctionFailed(call=call.call, name=call.name, error=str(error))
        except PalimpsestError as error:
            if isinstance(error, StorageDamaged) and asked.position.number > self._built_for:
                raise  # this process ends, and the next one builds the index again; if that does not help, it says so
            if isinstance(error, StorageAway) and not self._outage.long:
                raise  # it is asked again once the index is back
            self._logger.error("search failed", agent=asked.stream, detail=str(error))
            event = unavailable(call, error)
        return answer(asked, event, now_ms())

    def timed(self, calls: list[tuple[Envelope, FunctionCalled]]) -> list[float]:
        """For a bench: the seconds that each of these searches takes, in the index's thread, as one that is asked."""

        def one(asked: Envelope, call: FunctionCalled) -> float:
            started = time.perf_counter()
            self._answer(asked, call, self._searched)
            return time.perf_counter() - started

        return self._thread.submit(lambda: [one(*each) for each in calls]).result()

    async def look(self, sought: wire.MemorySearch) -> HitPage:
        """As `MemoryIndex.search`, in its thread. Raises BadInput, StorageUnavailable."""
        index = self._index
        if index is None:
            raise StorageUnavailable(str(self._outage.why or "The index is being opened: try again."))
        try:
            return await self._in_thread(partial(_found, index, sought))
        except ValueError as error:
            raise BadInput(str(error)) from error

    async def close(self) -> None:
        if self._index is not None:
            await self._in_thread(self._index.close)

    async def indexed(self, position: Position, wait_s: float) -> Position:
        """The position up to which all is indexed; waits up to `wait_s` seconds until it is this one."""
        here = self._here(position)
        reached = await self._reached(here, position)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while reached < position:
                    async with self._applied:
                        await self._applied.wait_for(lambda: self._here(position) != here)  # noqa: B023
                    here = self._here(position)
                    reached = await self._reached(here, position)
        return reached

    async def _reached(self, here: Position, wanted: Position) -> Position:
        """The index's position `here`; further, if that is not yet the one `wanted` and nothing that comes after it is
        to be indexed: nobody is woken for that, so that the index passes by only later."""
        if here >= wanted:
            return here
        later = await until_taken(lambda: self._client.tail(here, 1, 0.0, kinds=KINDS), self._logger, "tail")
        return here if later.envelopes else max(here, later.position)

    def _here(self, wanted: Position) -> Position:
        """The index's position; the beginning of the partition that is asked for, where there is no index now."""
        return self._index.position if self._index else beginning(wanted.partition)

    async def check(self) -> None:
        """Wait until the index was opened, or could not be. Raises what only another setting can mend."""
        await self._tried.wait()
        if self._outage.why is not None and self._outage.hopeless:
            raise self._outage.why

    def figures(self) -> dict[str, Any]:
        why = self._outage.why
        number = self._index.position.number if self._index else 0
        return {"position": number, "searches": self._searches, "trouble": str(why) if why else ""}


def _found(index: MemoryIndex, sought: wire.MemorySearch) -> HitPage:
    return index.search(
        [View(*each) for each in sought.views],
        kind=sought.kind,
        query=sought.query,
        page=sought.page,
        size=sought.size,
        own=sought.own,
        who=sought.who,
        start_ms=sought.start_ms,
        end_ms=sought.end_ms,
    )


def bites_of(batch: wire.Batch) -> Iterator[tuple[list[Envelope], Position]]:
    """What a batch bears, a little at a time, each with the position that it brings the index to: whoever waits for
    the index, a load or a search, waits for no more than stands before it."""
    bite: list[Envelope] = []
    size = 0
    for envelope in batch.envelopes:
        if envelope.kind in BEARING:
            if bite and size + len(envelope.body) > BITE_BYTES:
                yield bite, bite[-1].position
                bite, size = [], 0
            bite.append(envelope)
            size += len(envelope.body)
    yield bite, batch.position


class StorageActor:
    """The part around it."""

    def __init__(self, log: LogPart, path: Path, partition: Partition, settings: IndexSettings) -> None:
        reader = RemoteLog(log, asyncio.get_running_loop())
        self._storage = Storage(LogClient(log), reader, lambda: open_index(path, partition, settings, reader))
        self._life = Life("storage", self._storage.run)

    async def status(self) -> dict[str, Any]:
        """The figures, once the index was opened or could not be. Raises what only another setting can mend."""
        await self._storage.check()
        return self._storage.figures()

    async def indexed(self, position: Position, wait_s: float) -> Position:
        """The position up to which all is indexed; waits up to `wait_s` until it is this one."""
        return await self._life.until_ending(self._storage.indexed(position, wait_s))

    async def search(self, data: bytes) -> bytes:
        """A `MemorySearch`, by somebody who looks into an agent's memory: a `HitPage` of what is indexed by now. Raises
        BadInput where nobody is called so; StorageUnavailable where there is no index now."""
        return wire.pack(await self._storage.look(wire.unpack_sought(data)))

    async def flush_and_close(self) -> None:
        """Write all that is in memory, and let the folder go: for an orderly stop."""
        self._life.task.cancel()
        await self._storage.close()

    async def abandon(self) -> None:
        """Let the folder go where this part died, and its process lives on."""
        await self._storage.close()
