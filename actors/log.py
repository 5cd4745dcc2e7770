"""The log actor: the one writer of a partition.

Appends that come while a commit is under way are committed together by the next (group commit), in a thread, so that
the loop goes on taking calls. A tail is a long poll. Inputs are refused at the door when too much is owed already.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import structlog

from palimpsest.actors.links import wire
from palimpsest.actors.parts.door import Backlog
from palimpsest.actors.parts.process import Life, ended, until_taken
from palimpsest.actors.parts.recent import Recent, bounded
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import BadInput, Fenced, LogUnavailable, PalimpsestError
from palimpsest.events.kinds import Kind
from palimpsest.events.position import Position
from palimpsest.events.vocabulary import Topic
from palimpsest.store.folder import FolderLock
from palimpsest.store.logs.contract import Append, Appended, Committed, LogReader, LogStore
from palimpsest.store.logs.copying import check_whole
from palimpsest.store.logs.opening import LogPlace
from palimpsest.store.logs.states import stretch

T = TypeVar("T")
Waiting = tuple[Append, asyncio.Future[list[Appended]]]

MAX_DRAFTS_A_COMMIT = 4000
MAX_BYTES_A_COMMIT = 32_000_000


class LogActor:
    """Serves one partition. All its arguments and results are bytes of `actors.links.wire`."""

    def __init__(
        self,
        place: LogPlace,
        log_id: str,
        limits: dict[str, int] | None = None,
        max_pages: int | None = None,
        *,
        lock: Callable[[], FolderLock] | None = None,
    ) -> None:
        """Opens the partition's log with this id, which its driver made, or none: no folder and no file is made here.
        With `lock` its folder is locked so by this process; without, whoever made it has the lock."""
        self._logger = structlog.get_logger("log")
        self._place = place
        self._partition = place.partition
        self._log_id = log_id
        self._limits = limits or {}
        self._max_pages = max_pages
        self._take_lock = lock
        self._lock: FolderLock | None = None
        self._store: LogStore
        self._reader: LogReader
        self._door: Backlog
        self._recent: Recent
        self._position: Position
        self._epoch = self._commits = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._queue: list[Waiting] = []
        self._wanted = asyncio.Event()
        self._waking: set[asyncio.Future[None]] = set()
        self._packed: dict[tuple[Position, int, frozenset[str]], bytes] = {}
        self._opened = asyncio.Event()
        self._tried = asyncio.Event()
        self._trouble: PalimpsestError | None = None
        self._closing = self._fenced = False
        self._life = Life("log", self._run)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # --- opening: a process that is started anew on a full disk waits here, and everybody waits with it

    async def _open(self) -> None:
        try:
            self._store, self._reader, self._epoch = await self._in_thread(self._open_files)
        except PalimpsestError as error:
            self._trouble = error
            raise
        finally:
            self._tried.set()
        self._trouble = None
        self._door = Backlog(self._is_known, **self._limits)
        for envelope in self._reader.open_requests("turn", self._partition):
            self._door.opened(envelope.stream, envelope.key, len(envelope.body))
        for envelope in self._reader.open_requests("retirement", self._partition):
            self._door.retired(envelope.stream)
        self._position = self._reader.position(self._partition)
        self._recent = Recent(self._position)
        self._opened.set()
        self._logger.info("started", epoch=self._epoch, position=self._position.number)

    def _open_files(self) -> tuple[LogStore, LogReader, int]:
        if self._take_lock and self._lock is None:
            self._lock = self._take_lock()
        store = self._place.store(log_id=self._log_id, max_pages=self._max_pages)
        try:
            check_whole(store, str(self._place))
            epoch = store.open_epoch()
            return store, self._place.reader(), epoch
        except BaseException:
            store.close()
            raise

    def _is_known(self, agent: str, key: str) -> bool:
        return self._reader.find(agent, key) is not None

    # --- writing

    async def append(self, data: bytes) -> bytes:
        """Append (a list of `Append`); for each an `Answered`, true for that one alone, when all are settled.

        They may be committed by several transactions: so some may be durable, and others refused.
        """
        await self._opened.wait()
        settling = (self._append(append) for append in wire.unpack_appends(data))
        outcomes = await asyncio.gather(*settling, return_exceptions=True)
        return wire.pack([wire.answered(outcome) for outcome in outcomes])

    async def exchange(self, data: bytes) -> bytes:
        """An append and, once it is taken, a tail, in one call: an `Exchange` for an `Exchanged`. For one who does
        nothing between the two; where not all was taken the append's answers come at once, and alone."""
        await self._opened.wait()
        asked = wire.unpack_exchange(data)
        (outcome,) = await asyncio.gather(self._append(asked.append), return_exceptions=True)
        batch = None
        if isinstance(outcome, list) and all(each.outcome == "appended" for each in outcome):
            with contextlib.suppress(LogUnavailable):  # the end of it all; what was appended is told
                batch = await self._tail(asked.wanted)
        return wire.exchanged(wire.answered(outcome), batch)

    async def _append(self, asked: Append) -> list[Appended]:
        if self._fenced:
            raise ended()
        if self._closing:
            raise LogUnavailable("The system is stopping: nothing of this was written. Send it after the next start.")
        append, refused = self._door.admit(asked)
        done: asyncio.Future[list[Appended]] = asyncio.get_running_loop().create_future()
        self._queue.append((append, done))
        self._door.queued(append.drafts)
        self._wanted.set()
        answers = await done
        if not refused:
            return answers
        rest = iter(answers)
        return [
            Appended("refused", 0, again_ms=refused[draft.stream]) if draft.stream in refused else next(rest)
            for draft in asked.drafts
        ]

    async def _run(self) -> None:
        await until_taken(self._open, self._logger, "open")
        while self._queue or not self._closing:
            await self._wanted.wait()
            await self._commit(self._next_group())

    def _next_group(self) -> list[Waiting]:
        drafts = size = count = 0
        while count < len(self._queue) and drafts < MAX_DRAFTS_A_COMMIT and size < MAX_BYTES_A_COMMIT:
            append = self._queue[count][0]
            drafts += len(append.drafts)
            size += sum(len(draft.body) for draft in append.drafts)
            self._door.begun(append.drafts)
            count += 1
        group, self._queue = self._queue[:count], self._queue[count:]
        if not self._queue:
            self._wanted.clear()
        return group

    async def _commit(self, group: list[Waiting]) -> None:
        """Commit a group, and answer those who wait for it."""
        try:
            committed = await self._in_thread(lambda: self._store.commit([append for append, _ in group]))
        except Fenced as error:
            self._refuse([*group, *self._queue], error)
            self._fenced = True
            self._wake()
            raise
        except PalimpsestError as error:
            self._logger.error("append failed", detail=str(error), appends=len(group))
            self._refuse(group, error)
        except (ValueError, TypeError, ArithmeticError) as error:
            # A value that no backend can hold (a time of 2**63, say): whoever sent it is told, and the others go on.
            if len(group) > 1:
                for item in group:
                    await self._commit([item])
                return
            self._logger.error("append refused", detail=repr(error))
            self._refuse(group, BadInput(f"The log cannot hold this event ({error}): nothing of it was written."))
        else:
            self._answer(group, committed)

    def _answer(self, group: list[Waiting], committed: Committed) -> None:
        """Who waits for what was written goes before whoever wrote it."""
        self._commits += 1
        self._announce(committed.envelopes)
        for (append, done), answer in zip(group, committed.answers, strict=True):
            self._door.note(append.drafts, answer)
            if not done.done():
                done.set_result(answer)

    def _refuse(self, group: list[Waiting], error: PalimpsestError) -> None:
        for append, done in group:
            self._door.failed(append.drafts)
            if not done.done():
                done.set_exception(error)

    def _announce(self, envelopes: list[Envelope]) -> None:
        """Wake the tails."""
        if not envelopes:
            return
        self._position = envelopes[-1].position
        self._recent.add(envelopes)
        self._packed.clear()
        self._wake()

    def _wake(self) -> None:
        for waiting in self._waking:
            _settle(waiting)

    async def _woken(self, deadline: float) -> None:
        """Wait until the log has grown, or closes, or that time of the loop's clock has come."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[None] = loop.create_future()
        timer = loop.call_at(deadline, _settle, waiting)
        self._waking.add(waiting)
        try:
            await waiting
        finally:
            self._waking.discard(waiting)
            timer.cancel()

    # --- reading

    async def tail(self, data: bytes) -> bytes:
        """A `Batch` of the events after a position, of the kinds that are wanted (`TailRequest`; none named: all).

        Waits up to `wait_s` seconds until there is one of the kinds in `wake` (none named: of those in `kinds`), or
        `limit` events of any kind: so that nobody is woken for what does not concern him. With `linger_s`, once there
        is anything of the kinds in `kinds`, it waits so long at most: so that small change comes in larger batches.
        Raises LogUnavailable where there is nothing, and the log is being closed.
        """
        await self._opened.wait()
        return await self._tail(wire.unpack_wanted(data))

    async def _tail(self, wanted: wire.TailRequest) -> bytes:
        after, linger_s, waking = wanted.after, wanted.linger_s, wanted.wake or wanted.kinds
        clock = asyncio.get_running_loop().time
        deadline, seen = clock() + wanted.wait_s, after
        while not (self._position.since(after) >= wanted.limit or self._recent.has(seen, waking)):
            if linger_s and self._recent.has(seen, wanted.kinds):
                deadline, linger_s = min(deadline, clock() + linger_s), 0.0
            seen = self._position
            if self._fenced:
                raise ended()
            if self._closing:
                raise LogUnavailable("The system is stopping: nothing more comes. Ask again after the next start.")
            if deadline <= clock():
                break
            await self._woken(deadline)
        return self._pack(after, wanted.limit, wanted.kinds)

    def _pack(self, after: Position, limit: int, wanted: frozenset[Kind]) -> bytes:
        packed = self._packed.get((after, limit, wanted))
        if packed is None:
            found = self._recent.tail(after, limit, wanted) or self._reader.tail(after, limit, wanted or None)
            packed = wire.pack(wire.Batch(*bounded(*found)))
            self._packed[after, limit, wanted] = packed
        return packed

    async def open_requests(self, topic: Topic, agent: str | None = None) -> bytes:
        """What is open (an `Opened`)."""
        await self._opened.wait()
        # The position is read first: what a commit opens between the two is then told twice, and never not at all.
        position = self._reader.position(self._partition)
        if agent is None:
            found = self._reader.open_requests(topic, self._partition)
        else:
            found = self._reader.open_requests_of(agent, topic)
        return wire.pack(wire.Opened(found, position))

    async def position(self) -> Position:
        """Of the last event. Raises what keeps the log from being opened."""
        await self._served()
        return self._position

    async def cursor(self, consumer: str) -> Position:
        await self._opened.wait()
        return self._reader.cursor(consumer, self._partition)

    async def stretches(self, wanted: list[tuple[str, int | None]]) -> bytes:
        """What it takes to have the states of these agents at these seqs (a list of `StateBasis`)."""
        await self._opened.wait()
        return wire.pack([stretch(self._reader, agent, to) for agent, to in wanted])

    async def read(
        self,
        agent: str,
        after: int = 0,
        to: int | None = None,
        limit: int | None = None,
        kinds: frozenset[Kind] | None = None,
    ) -> bytes:
        await self._opened.wait()
        return wire.pack(self._reader.read(agent, after, to, limit, kinds))

    async def seq_at(self, agent: str, position: Position) -> int:
        await self._opened.wait()
        return self._reader.seq_at(agent, position)

    async def lineage(self, agent: str) -> bytes:
        """What a fork goes on from (a list of `Parent`)."""
        await self._opened.wait()
        return wire.pack(self._reader.lineage(agent))

    async def find(self, agent: str, key: str) -> bytes:
        """The event of a stream with this key (a list of none or one)."""
        await self._opened.wait()
        found = self._reader.find(agent, key)
        return wire.pack([found] if found else [])

    async def heads(self, after: str = "", limit: int | None = None) -> bytes:
        await self._opened.wait()
        return wire.pack(self._reader.heads(after, limit))

    async def status(self) -> dict[str, Any]:
        """Figures to watch. Raises what keeps the log from being opened."""
        await self._served()
        return {
            "position": self._position.number,
            "epoch": self._epoch,
            "commits": self._commits,
            "waiting": self._door.waiting,
            "waiting_bytes": self._door.waiting_bytes,
        }

    async def _served(self) -> None:
        """Wait until the log is open. Raises what keeps it from that."""
        await self._tried.wait()
        if self._trouble is not None:
            raise self._trouble
        await self._opened.wait()

    async def limit_pages(self, max_pages: int | None) -> None:
        """Let the file grow to so many pages of 4 KiB (None: as the disk allows), from now on."""
        await self._opened.wait()
        self._max_pages = max_pages
        await self._in_thread(lambda: self._store.limit_pages(max_pages))

    async def flush_and_close(self) -> None:
        """Let the last commit end, tell those who wait for more that there is none, and close the file: for an orderly
        stop. (Ray tells the user of each call that it finds open when it ends a process.) A log that could not be
        opened has nothing to end."""
        await self._tried.wait()
        if self._trouble is None:
            await self._opened.wait()
            self._closing = True
            self._wake()
            self._wanted.set()
            await asyncio.wait([self._life.task])
            self._thread.shutdown(wait=True)
            self._reader.close()
            self._store.close()
        if self._lock is not None:
            self._lock.release()


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
