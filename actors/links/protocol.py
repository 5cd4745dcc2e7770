"""What may be called of each part, by whom ever: plain async methods, whatever stands between.

Rules. (1) A part is called by a link: to a Ray actor (`actors.on_ray.actors`), to an object in this process
(`actors.links.local`), or to another process that has the system (`actors.joining.joined`). (2) Every call may be made
again, and a link does so where the part was started anew; but for long polls (`waits_s`), which fail then with an
ActorLost that is not for good. (3) Palimpsest's own errors are raised as themselves; ActorLost for good where there is
nobody to call any more. (4) The annotations here say how arguments and results cross between processes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from palimpsest.actors.parts.watch import AgentPiece
from palimpsest.events.position import Position
from palimpsest.store.keys.files import Handed

PARTS: Final = ("log", "memory", "llm", "storage", "timer")
"""The parts of the operating system, in the order in which they are started."""


class LogPart(Protocol):
    """One partition's writer, and what reads it. Bytes are those of `actors.links.wire`; see `actors.log`."""

    async def append(self, data: bytes) -> bytes: ...

    async def exchange(self, data: bytes) -> bytes: ...

    async def tail(self, data: bytes) -> bytes: ...

    async def open_requests(self, topic: str, agent: str | None = None) -> bytes: ...

    async def position(self) -> Position: ...

    async def cursor(self, consumer: str) -> Position: ...

    async def stretches(self, wanted: list[tuple[str, int | None]]) -> bytes: ...

    async def read(
        self,
        agent: str,
        after: int = 0,
        to: int | None = None,
        limit: int | None = None,
        kinds: frozenset[str] | None = None,
    ) -> bytes: ...

    async def seq_at(self, agent: str, position: Position) -> int: ...

    async def lineage(self, agent: str) -> bytes: ...

    async def find(self, agent: str, key: str) -> bytes: ...

    async def heads(self, after: str = "", limit: int | None = None) -> bytes: ...

    async def status(self) -> dict[str, Any]: ...

    async def limit_pages(self, max_pages: int | None) -> None: ...

    async def flush_and_close(self) -> None: ...


class MemoryPart(Protocol):
    """The memory manager."""

    async def aside(self, known: int, wait_s: float) -> dict[str, str]: ...

    async def status(self) -> dict[str, Any]: ...


class LLMPart(Protocol):
    """The LLM processor."""

    async def watch(self, watcher: str, agents: list[str]) -> None: ...

    async def pieces(self, watcher: str, wait_s: float, left: list[str]) -> list[AgentPiece] | None: ...

    async def take_keys(self, keys: Handed) -> None: ...

    async def status(self) -> dict[str, Any]: ...


class StoragePart(Protocol):
    """Recall and archival storage."""

    async def indexed(self, position: Position, wait_s: float) -> Position: ...

    async def search(self, data: bytes) -> bytes: ...

    async def status(self) -> dict[str, Any]: ...

    async def flush_and_close(self) -> None: ...


class TimerPart(Protocol):
    """Timers and interrupts."""

    async def status(self) -> dict[str, Any]: ...


class Parts(msgspec.Struct, frozen=True):
    """The parts of a running system."""

    log: LogPart
    memory: MemoryPart
    llm: LLMPart
    storage: StoragePart
    timer: TimerPart


def parts_of(links: Mapping[str, Any]) -> Parts:
    """The links to the parts, by their names."""
    return Parts(**links)


_WAITS_AT: Final = {"aside": 1, "pieces": 1, "indexed": 1}
"""Which argument of a long poll says for how many seconds."""


def waits_s(method: str, arguments: Sequence[object]) -> float:
    """How long a call waits where there is nothing to tell yet; 0: not at all, and so it may be made again."""
    at = _WAITS_AT.get(method)
    seconds = arguments[at] if at is not None else 0.0
    return float(seconds) if isinstance(seconds, (int, float)) else 0.0
