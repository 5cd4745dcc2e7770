"""All parts but storage in one process, without Ray: the real log actor on SQLite, memory manager, LLM processor,
timers and client, with a model from a script and a clock that stands still until it is moved.

A call of a part goes through the same bytes as with Ray; only the process boundary is missing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from palimpsest.actors.client import Client, Reply, Ticket
from palimpsest.actors.links.local import LocalPart
from palimpsest.actors.links.log_client import LogClient
from palimpsest.actors.links.protocol import LogPart, parts_of
from palimpsest.actors.llm import Processor
from palimpsest.actors.log import LogActor
from palimpsest.actors.memory import Memory
from palimpsest.actors.models.protocol import USUAL, Answer, Model, OnPiece, Terms
from palimpsest.actors.parts.watch import AgentPiece
from palimpsest.actors.timer import Timers
from palimpsest.events.codec import decode
from palimpsest.events.envelope import Envelope
from palimpsest.events.formats import NEWBORN, Format
from palimpsest.events.position import FIRST_PARTITION, Partition, Position
from palimpsest.events.prompts import newborn
from palimpsest.events.types import INPUTS, Settings, ToolCall
from palimpsest.store.logs.opening import FileLog
from tests.worlds.simulated import count
from tests.worlds.story import START_MS

T = TypeVar("T")

LIMIT_S = 30.0
MINUTE_MS = 60_000


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; what hangs fails."""

    async def bounded() -> T:
        async with asyncio.timeout(LIMIT_S):
            return await work

    return asyncio.run(bounded())


class Counted:
    """A link that counts the calls of each method of a part."""

    def __init__(self, part: object, calls: Counter[str]) -> None:
        self._part = part
        self._calls = calls

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        self._calls[name] += 1
        method: Callable[..., Awaitable[Any]] = getattr(self._part, name)
        return method


class Scripted:
    """A model that answers by what the newest message holds: the first entry of the script that occurs in it.
    While `may_answer` is cleared it answers nothing."""

    def __init__(self, script: Mapping[str, tuple[ToolCall, ...]]) -> None:
        self.script = script
        self.requests: list[bytes] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def complete(
        self,
        request: bytes,
        *,
        base_url: str = "",  # noqa: ARG002
        on_piece: OnPiece | None = None,  # noqa: ARG002
        terms: Terms = USUAL,  # noqa: ARG002
    ) -> Answer:
        self.requests.append(request)
        await self.may_answer.wait()
        newest = msgspec.json.decode(request)["messages"][-2]["content"]  # the last is the memory_status
        calls = next((calls for part, calls in self.script.items() if part in newest), ())
        return Answer(calls=calls, content="" if calls else "I am here.", finish="tool_calls" if calls else "stop")

    async def aclose(self) -> None:
        """There is nothing to close."""


class Parts:
    """The parts at work; `now_ms` is the timers' clock, and the time of what `says` sends."""

    def __init__(
        self,
        folder: Path,
        model: Scripted,
        limits: dict[str, int] | None,
        memory: dict[str, int],
        hosted: Model | None = None,
        *,
        partition: Partition = FIRST_PARTITION,
    ) -> None:
        self.model = model
        self.now_ms = START_MS
        place = FileLog(folder / "log.sqlite", partition)
        self.log_link = LocalPart(partial(LogActor, place, place.begin(), limits))
        self.log_calls: Counter[str] = Counter()
        self.log = LogClient(cast("LogPart", Counted(self.log_link, self.log_calls)))
        self.memory = Memory(self.log, count, **memory)
        self.processor = Processor(self.log, model, hosted or model)
        self.timers = Timers(self.log, lambda: self.now_ms)
        links = {"memory": _Memory(self.memory), "llm": _Llm(self.processor), "storage": _NoStorage(), "timer": None}
        self.parts = parts_of({"log": Counted(self.log_link, self.log_calls), **links})
        self.client = Client(self.parts)

    @property
    def log_actor(self) -> LogActor:
        found = self.log_link.part
        assert isinstance(found, LogActor)
        return found

    async def born(self, *agents: str, settings: Settings | None = None, parts: Format = NEWBORN) -> None:
        for agent in agents:
            born = newborn(settings or Settings())
            await self.client.create(agent, msgspec.structs.replace(born, parts=parts))

    async def says(self, agent: str, text: str) -> Reply:
        """A user's message now; the timers work on until its turn has ended."""
        return await self.ended(await self.client.send(agent, text, at_ms=self.now_ms))

    async def ended(self, ticket: Ticket) -> Reply:
        waiting = asyncio.create_task(self.client.wait(ticket))
        while not waiting.done():
            step = asyncio.create_task(self.timers.step(LIMIT_S))
            await asyncio.wait([waiting, step], return_when=asyncio.FIRST_COMPLETED)
            if not step.done():
                step.cancel()
        return await waiting

    async def passes(self, minutes: int) -> None:
        """So much time passes, and the timers look at what is due."""
        await self.timers.step(0.0)  # what was set by now
        self.now_ms += minutes * MINUTE_MS
        await self.timers.step(0.0)

    async def last_input(self, agent: str) -> Ticket:
        inputs = tuple(kind.__name__ for kind in INPUTS)
        newest = [envelope for envelope in await self.log.read(agent) if envelope.kind in inputs][-1]
        return Ticket(agent, newest.seq, newest.key)

    async def position(self) -> Position:
        return await self.log.position()

    async def kinds(self, agent: str, after: int = 0) -> list[str]:
        return [envelope.kind for envelope in await self.log.read(agent, after=after)]

    async def events(self, agent: str, kind: str) -> list[Any]:
        return [decode(envelope) for envelope in await self.envelopes(agent, kind)]

    async def envelopes(self, agent: str, kind: str) -> list[Envelope]:
        return [envelope for envelope in await self.log.read(agent) if envelope.kind == kind]


class _Memory:
    """What a client asks of the memory manager's actor."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def aside(self, known: int, wait_s: float) -> dict[str, str]:
        return await self._memory.streams.asides(known, wait_s)


class _NoStorage:
    """What a load asks of storage, where there is none: it waits for nobody."""

    async def indexed(self, position: Position, wait_s: float) -> Position:  # noqa: ARG002
        return position


class _Llm:
    """What a client asks of the LLM processor's actor."""

    def __init__(self, processor: Processor) -> None:
        self._watches = processor.watches

    async def watch(self, watcher: str, agents: list[str]) -> None:
        self._watches.watch(watcher, agents)

    async def pieces(self, watcher: str, wait_s: float, left: list[str]) -> list[AgentPiece] | None:
        self._watches.leave(watcher, left)
        return await self._watches.pieces(watcher, wait_s)


@asynccontextmanager
async def parts(
    folder: Path,
    script: Mapping[str, tuple[ToolCall, ...]] | None = None,
    limits: dict[str, int] | None = None,
    hosted: Model | None = None,
    partition: Partition = FIRST_PARTITION,
    **memory: int,
) -> AsyncIterator[Parts]:
    """The parts, started, and ended in order. `hosted`: a model behind a server, for agents that have one."""
    started = Parts(folder, Scripted(script or {}), limits, memory, hosted, partition=partition)
    await started.timers.recover()
    loops = [asyncio.create_task(part.run()) for part in (started.memory, started.processor)]
    try:
        yield started
    finally:
        await started.client.close()
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await started.log.close()
