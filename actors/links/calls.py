"""What is called of a log, and what is said where it has no such agent.

Rule: whatever works over a `StreamLog` works over the log actor's client, and over a log in this process
(`actors.links.direct`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import UnknownAgent
from palimpsest.events.kinds import Kind
from palimpsest.events.sources import PAST_SOURCES
from palimpsest.events.state import State
from palimpsest.store.logs.contract import Append, Appended, StreamHead, agents_of, unknown_agent

KNOWN: Final = 12
"""So many names are read of the streams that there are, where one is not."""


class StreamLog(Protocol):
    """The part of `LogClient` that forks and sources need."""

    async def append(self, append: Append) -> list[Appended]: ...

    async def read(
        self,
        agent: str,
        after: int = 0,
        to: int | None = None,
        limit: int | None = None,
        kinds: frozenset[Kind] | None = None,
    ) -> list[Envelope]: ...

    async def heads(self, after: str = "", limit: int | None = None) -> list[StreamHead]: ...

    async def states(self, wanted: Mapping[str, int | None]) -> dict[str, State]: ...


async def unknown(log: StreamLog, agent: str) -> UnknownAgent:
    """The error for an agent that is not there, with some that are. Streams come by name: sources amid the agents,
    however many, are stepped over."""
    heads = await log.heads(limit=KNOWN)
    missing = len(heads) - len(agents_of(heads))
    if missing:
        heads += await log.heads(max(heads[-1].stream, PAST_SOURCES), missing)
    return unknown_agent(agent, heads)
