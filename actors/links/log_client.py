"""How everyone else speaks to a log part: typed calls in place of bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from palimpsest.actors.links import wire
from palimpsest.actors.links.protocol import LogPart
from palimpsest.events.envelope import Draft, Envelope
from palimpsest.events.errors import LogDamaged, NewerFormat, PalimpsestError
from palimpsest.events.kinds import Kind
from palimpsest.events.position import Position
from palimpsest.events.state import State
from palimpsest.events.vocabulary import Topic
from palimpsest.store.logs.contract import Append, Appended, StreamHead
from palimpsest.store.logs.states import rebuild

Unreadable = LogDamaged | NewerFormat
"""Why a stream cannot be read."""


class LogClient:
    """A handle on the log part of one partition."""

    def __init__(self, part: LogPart) -> None:
        self._part = part

    async def append_packed(self, appends: Sequence[msgspec.Raw]) -> list[list[Appended] | PalimpsestError]:
        """What became of each append (see `wire.packed`), when all are settled: its answers, or its error."""
        return wire.unpack_answered(await self._part.append(wire.pack(appends)))

    async def append(self, append: Append) -> list[Appended]:
        """The append's answers, when they are durable. Raises what the log does; nothing of it was taken then."""
        (outcome,) = await self.append_packed([wire.packed(append)])
        if isinstance(outcome, PalimpsestError):
            raise outcome
        return outcome

    async def append_drafts(self, drafts: Iterable[Draft]) -> list[Appended]:
        return await self.append(Append(tuple(drafts)))

    async def tail(
        self,
        after: Position,
        limit: int,
        wait_s: float,
        *,
        kinds: frozenset[Kind] = frozenset(),
        wake: frozenset[Kind] = frozenset(),
        linger_s: float = 0.0,
    ) -> wire.Batch:
        """As `LogActor.tail`."""
        wanted = wire.TailRequest(after, limit, wait_s, kinds, wake, linger_s)
        return wire.unpack_batch(await self._part.tail(wire.pack(wanted)))

    async def exchange(
        self,
        append: Append,
        after: Position,
        limit: int,
        wait_s: float,
        *,
        kinds: frozenset[Kind] = frozenset(),
        wake: frozenset[Kind] = frozenset(),
    ) -> tuple[list[Appended], wire.Batch | None]:
        """As `LogActor.exchange`. Raises what the log does; nothing of the append was taken then."""
        asked = wire.Exchange(append, wire.TailRequest(after, limit, wait_s, kinds, wake))
        answer = await self._part.exchange(bytes(wire.packed(asked)))
        outcome, batch = wire.unpack_exchanged(answer)
        if isinstance(outcome, PalimpsestError):
            raise outcome
        return outcome, batch

    async def open_requests(self, topic: Topic, agent: str | None = None) -> wire.Opened:
        return wire.unpack_opened(await self._part.open_requests(topic, agent))

    async def position(self) -> Position:
        """Of the partition's last event. Raises what keeps the log from being opened."""
        return await self._part.position()

    async def cursor(self, consumer: str) -> Position:
        return await self._part.cursor(consumer)

    async def states(self, wanted: Mapping[str, int | None]) -> dict[str, State]:
        """The states of these agents at these seqs (None: now); agents that do not exist are left out.

        Raises LogDamaged or NewerFormat where a stream cannot be read.
        """
        states, unreadable = await self.load(wanted)
        for error in unreadable.values():
            raise error
        return states

    async def load(self, wanted: Mapping[str, int | None]) -> tuple[dict[str, State], dict[str, Unreadable]]:
        """As `states`; and those agents whose streams cannot be read, each with the reason."""
        states: dict[str, State] = {}
        unreadable: dict[str, Unreadable] = {}
        data = await self._part.stretches(list(wanted.items()))
        for agent, part in zip(wanted, wire.unpack_stretches(data), strict=True):
            try:
                state = rebuild(part)
            except (LogDamaged, NewerFormat) as error:
                unreadable[agent] = error
                continue
            if state is not None:
                states[agent] = state
        return states, unreadable

    async def read(
        self,
        agent: str,
        after: int = 0,
        to: int | None = None,
        limit: int | None = None,
        kinds: frozenset[Kind] | None = None,
    ) -> list[Envelope]:
        return wire.unpack_envelopes(await self._part.read(agent, after, to, limit, kinds))

    async def find(self, agent: str, key: str) -> Envelope | None:
        found = wire.unpack_envelopes(await self._part.find(agent, key))
        return found[0] if found else None

    async def heads(self, after: str = "", limit: int | None = None) -> list[StreamHead]:
        return wire.unpack_heads(await self._part.heads(after, limit))

    async def status(self) -> dict[str, Any]:
        return dict(await self._part.status())

    async def close(self) -> None:
        await self._part.flush_and_close()
