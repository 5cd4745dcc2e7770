"""The log actor: the one writer of a partition.

Appends that come while a commit is under way are committed together by the next (group commit), in a thread, so that
the loop goes on taking calls. A tail is a long poll. Inputs are refused at the door when too much is owed already.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ray
import structlog

from actors import wire
from actors.process import set_up_logging, spawn
from events.envelope import Draft, Envelope, Topic
from events.errors import PalimpsestError
from store.log import Append, Appended
from store.sqlite_log import SqliteLog
from store.states import stretch

MAX_DRAFTS_A_COMMIT = 4000
MAX_RECENT = 10_000


class Door:
    """Counts the inputs that are owed a turn, and refuses more than the limits: before anything is acknowledged."""

    def __init__(self, max_open: int, max_open_an_agent: int, max_waiting: int) -> None:
        self.max_open = max_open
        self.max_open_an_agent = max_open_an_agent
        self.max_waiting = max_waiting
        self.waiting = 0
        self._open: Counter[str] = Counter()
        self._total = 0

    def admit(self, append: Append) -> tuple[Append, dict[str, int]]:
        """The append without the streams whose inputs must be refused, and these with their waits in milliseconds.

        What answers a request always passes: it makes less owed, not more.
        """
        refused: dict[str, int] = {}
        arriving = 0
        for draft in append.drafts:
            if draft.opens == Topic.TURN and not draft.closes:
                arriving += 1
                if self.waiting + arriving > self.max_waiting or self._total + arriving > self.max_open:
                    refused[draft.agent] = 1000
                elif self._open[draft.agent] >= self.max_open_an_agent:
                    refused[draft.agent] = 5000
        if not refused:
            return append, refused
        kept = tuple(draft for draft in append.drafts if draft.agent not in refused)
        return Append(kept, append.expected, append.cursor, append.snapshots), refused

    def opened(self, agent: str) -> None:
        self._open[agent] += 1
        self._total += 1

    def note(self, drafts: tuple[Draft, ...], answers: list[Appended]) -> None:
        """Learn from a commit which inputs were opened and which were closed."""
        for draft, answer in zip(drafts, answers, strict=True):
            if answer.outcome != "appended":
                continue
            if draft.opens == Topic.TURN:
                self.opened(draft.agent)
            if draft.kind in {"TurnEnded", "InputSkipped"}:
                self._total -= 1
                self._open[draft.agent] -= 1
                if not self._open[draft.agent]:
                    del self._open[draft.agent]


class Recent:
    """The partition's last events, in memory: what tails read, but for those that are far behind."""

    def __init__(self, position: int) -> None:
        self._start = position
        self._envelopes: list[Envelope] = []

    def add(self, envelopes: list[Envelope]) -> None:
        self._envelopes += envelopes
        if len(self._envelopes) > 2 * MAX_RECENT:
            self._start = self._envelopes[-MAX_RECENT - 1].position
            self._envelopes = self._envelopes[-MAX_RECENT:]

    def has(self, after: int, kinds: frozenset[str]) -> bool:
        """Whether there is an event after this position, of these kinds (none: of any). Yes, if it is too far back."""
        if after < self._start:
            return True
        later = self._envelopes[after - self._start :]
        return bool(later) and (not kinds or any(envelope.kind in kinds for envelope in later))

    def tail(self, after: int, limit: int, kinds: frozenset[str]) -> tuple[list[Envelope], int] | None:
        """As `LogReader.tail`; None if it is too far back."""
        if after < self._start:
            return None
        later = self._envelopes[after - self._start :]
        found = [envelope for envelope in later if envelope.kind in kinds] if kinds else later
        if len(found) > limit:
            return found[:limit], found[limit - 1].position
        return found, (later[-1].position if later else after)


class LogActor:
    """Serves one partition. All its arguments and results are bytes of `actors.wire`."""

    def __init__(self, path: str, limits: dict[str, int] | None = None, max_pages: int | None = None) -> None:
        set_up_logging()
        self._log = structlog.get_logger("log")
        self._store = SqliteLog(Path(path), max_pages=max_pages)
        self._epoch = self._store.open_epoch()
        self._reader = SqliteLog.open_readonly(Path(path))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._door = Door(**{"max_open": 20_000, "max_open_an_agent": 100, "max_waiting": 50_000, **(limits or {})})
        for envelope in self._reader.open_requests(Topic.TURN):
            self._door.opened(envelope.agent)
        self._queue: list[tuple[Append, asyncio.Future[list[Appended]]]] = []
        self._wanted = asyncio.Event()
        self._position = self._reader.position()
        self._moved: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._recent = Recent(self._position)
        self._packed: dict[tuple[int, int, frozenset[str]], bytes] = {}
        self._commits = 0
        self._task = spawn("log", self._run)
        self._log.info("started", epoch=self._epoch, position=self._position)

    # --- writing

    async def append(self, data: bytes) -> bytes:
        """Append (a list of `Append`); for each the list of `Appended`, when all are durable."""
        return wire.pack(await asyncio.gather(*(self._append(append) for append in wire.unpack_appends(data))))

    async def _append(self, asked: Append) -> list[Appended]:
        append, refused = self._door.admit(asked)
        done: asyncio.Future[list[Appended]] = asyncio.get_running_loop().create_future()
        self._queue.append((append, done))
        self._door.waiting += len(append.drafts)
        self._wanted.set()
        answers = await done
        if not refused:
            return answers
        rest = iter(answers)
        return [
            Appended("refused", 0, refused[draft.agent]) if draft.agent in refused else next(rest)
            for draft in asked.drafts
        ]

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            group = self._next_group()
            try:
                committed = await asyncio.get_running_loop().run_in_executor(
                    self._thread, self._store.commit, [append for append, _ in group]
                )
            except PalimpsestError as error:
                self._log.error("append failed", detail=str(error), appends=len(group))
                self._finish(group, error)
                continue
            self._commits += 1
            for (append, done), answer in zip(group, committed.answers, strict=True):
                self._door.note(append.drafts, answer)
                if not done.done():
                    done.set_result(answer)
            self._announce(committed.envelopes)

    def _next_group(self) -> list[tuple[Append, asyncio.Future[list[Appended]]]]:
        group: list[tuple[Append, asyncio.Future[list[Appended]]]] = []
        size = 0
        while self._queue and size < MAX_DRAFTS_A_COMMIT:
            item = self._queue.pop(0)
            group.append(item)
            size += len(item[0].drafts)
        self._door.waiting -= size
        if not self._queue:
            self._wanted.clear()
        return group

    def _finish(self, group: list[tuple[Append, asyncio.Future[list[Appended]]]], error: PalimpsestError) -> None:
        for _, done in group:
            if not done.done():
                done.set_exception(error)

    def _announce(self, envelopes: list[Envelope]) -> None:
        """Wake the tails."""
        if not envelopes:
            return
        self._position = envelopes[-1].position
        self._recent.add(envelopes)
        self._packed.clear()
        moved, self._moved = self._moved, asyncio.get_running_loop().create_future()
        moved.set_result(None)

    # --- reading

    async def tail(
        self,
        after: int,
        limit: int,
        wait_s: float,
        *,
        kinds: tuple[str, ...] = (),
        wake: tuple[str, ...] = (),
        linger_s: float = 0.0,
    ) -> bytes:
        """A `Batch` of the events after a position, of these kinds (none named: all).

        Waits up to `wait_s` seconds until there is one of the kinds in `wake` (none named: of those in `kinds`), or
        `limit` events of any kind: so that nobody is woken for what does not concern him. With `linger_s`, once there
        is anything of the kinds in `kinds`, it waits so long at most: so that small change comes in larger batches.
        """
        wanted = frozenset(kinds)
        waking = frozenset(wake) or wanted
        clock = asyncio.get_running_loop().time
        deadline, seen = clock() + wait_s, after
        while not (self._position - after >= limit or self._recent.has(seen, waking)):
            if linger_s and self._recent.has(seen, wanted):
                deadline, linger_s = min(deadline, clock() + linger_s), 0.0
            seen = self._position
            if deadline <= clock():
                break
            await asyncio.wait([self._moved], timeout=deadline - clock())
        return self._pack(after, limit, wanted)

    def _pack(self, after: int, limit: int, wanted: frozenset[str]) -> bytes:
        packed = self._packed.get((after, limit, wanted))
        if packed is None:
            found = self._recent.tail(after, limit, wanted) or self._reader.tail(after, limit, wanted or None)
            packed = wire.pack(wire.Batch(*found))
            self._packed[after, limit, wanted] = packed
        return packed

    async def open_requests(self, topic: str, agent: str | None = None) -> bytes:
        """What is open (an `Opened`)."""
        return wire.pack(wire.Opened(self._reader.open_requests(topic, agent), self._reader.position()))

    async def cursor(self, consumer: str) -> int:
        return self._reader.cursor(consumer)

    async def stretches(self, wanted: list[tuple[str, int | None]]) -> bytes:
        """What it takes to have the states of these agents at these seqs (a list of `Stretch`)."""
        return wire.pack([stretch(self._reader, agent, to) for agent, to in wanted])

    async def read(self, agent: str, after: int = 0, to: int | None = None) -> bytes:
        return wire.pack(self._reader.read(agent, after, to))

    async def find(self, agent: str, key: str) -> bytes:
        """The event of a stream with this key (a list of none or one)."""
        found = self._reader.find(agent, key)
        return wire.pack([found] if found else [])

    async def heads(self, after: str = "", limit: int | None = None) -> bytes:
        return wire.pack(self._reader.heads(after, limit))

    async def status(self) -> dict[str, Any]:
        """Figures to watch."""
        return {
            "position": self._position,
            "epoch": self._epoch,
            "commits": self._commits,
            "waiting": self._door.waiting,
        }

    async def flush_and_close(self) -> None:
        """Let the last commit end, and close the file: for an orderly stop."""
        if self._queue:
            await asyncio.wait([done for _, done in self._queue])
        self._task.cancel()
        self._thread.shutdown(wait=True)
        self._reader.close()
        self._store.close()


def remote(**options: Any) -> Any:
    """The Ray actor class."""
    return ray.remote(LogActor).options(**options)
