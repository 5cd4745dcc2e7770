"""How a client hears agents speak: one long poll on the LLM processor for all the agents that it listens to.

Rules. (1) Whoever listens hears all that is said from the moment that `hear` gave it a place, or a piece of kind
"again". (2) An agent stays watched for a while after nobody listens to it any more: in a conversation only the first
turn asks for it. (3) Where nothing is watched, nothing is asked.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from palimpsest.actors.links.protocol import LLMPart
from palimpsest.actors.models.protocol import PIECE_KINDS, Piece
from palimpsest.actors.parts.watch import AGAIN, AgentPiece
from palimpsest.events.errors import ActorLost, PalimpsestError

T = TypeVar("T")

WAIT_S = 5.0
RESTARTING_S = 0.5
KEPT_S = 30.0
"""So long an agent is watched that nobody listens to."""
SETTLED_S = 0.5
"""At a turn's end its last pieces are on their way: so long they are waited for."""

Heard = tuple[int, Piece] | PalimpsestError | None
"""A piece with its turn (0: all); None: the turn has ended."""


class Listener:
    """One who listens to one agent."""

    def __init__(self) -> None:
        self.disturbed = False
        """Whether pieces may have been lost."""
        self._heard: asyncio.Queue[Heard] = asyncio.Queue()
        self._ends = 0

    def put(self, heard: Heard) -> None:
        self._heard.put_nowait(heard)
        self.disturbed = self.disturbed or (isinstance(heard, tuple) and heard[1].kind == "again")

    async def of_turn(self, turn: int) -> AsyncIterator[Piece]:
        """This turn's pieces, until it is said that it ended: others of the agent may be running before it."""
        while (heard := await self._heard.get()) is not None:
            if isinstance(heard, PalimpsestError):
                raise heard
            if piece := self._piece(heard, turn):
                yield piece

    async def rest(self, turn: int, answers: int) -> AsyncIterator[Piece]:
        """What is still on its way of a turn that had so many answers."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLED_S):
                while self._ends < answers and not self.disturbed:
                    heard = await self._heard.get()
                    if isinstance(heard, tuple) and (piece := self._piece(heard, turn)):
                        yield piece

    def _piece(self, heard: tuple[int, Piece], turn: int) -> Piece | None:
        if heard[0] not in (turn, 0):
            return None
        self._ends += heard[1].kind == "end"
        return heard[1]


class Previews:
    """What one client hears. `llm` is the LLM processor."""

    def __init__(self, llm: LLMPart) -> None:
        self._llm = llm
        self._name = uuid.uuid4().hex
        self._places: dict[str, list[Listener]] = {}
        self._watched: dict[str, float] = {}
        """The agents that are watched, with when they were last listened to."""
        self._wanted: dict[str, asyncio.Future[None]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._polling: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def hear(self, agent: str) -> AsyncIterator[Listener]:
        """A place to listen to an agent from now on. Raises ActorLost."""
        place = Listener()
        self._places.setdefault(agent, []).append(place)
        try:
            await self._watch(agent)
            yield place
        finally:
            self._places[agent].remove(place)
            if not self._places[agent]:
                del self._places[agent]
            if agent in self._watched:
                self._watched[agent] = time.monotonic()

    async def _watch(self, agent: str) -> None:
        """See to it that the agent is watched; those who ask together are asked for together."""
        if agent not in self._watched:
            future = self._wanted.get(agent)
            if future is None:
                future = self._wanted[agent] = asyncio.get_running_loop().create_future()
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask())
            await future
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())

    async def _ask(self) -> None:
        while self._wanted:
            wanted, self._wanted = self._wanted, {}
            try:
                await self._llm.watch(self._name, list(wanted))
            except PalimpsestError as error:
                for future in wanted.values():
                    if not future.cancelled():
                        future.set_exception(error)
                continue
            now = time.monotonic()
            for agent, future in wanted.items():
                self._watched[agent] = now
                if not future.cancelled():
                    future.set_result(None)

    async def _poll(self) -> None:
        try:
            while self._watched:
                pieces = await self._surely(self._fetch)
                if pieces is None:
                    await self._surely(self._watch_again)
                    pieces = [AGAIN]
                for piece in pieces:
                    self._dispatch(piece)
        except PalimpsestError as error:
            self._watched.clear()
            for place in self._everywhere():
                place.put(error)

    async def _fetch(self) -> list[AgentPiece] | None:
        return await self._llm.pieces(self._name, WAIT_S, self._left())

    def _left(self) -> list[str]:
        """The agents that are watched no more from now on."""
        before = time.monotonic() - KEPT_S
        left = [agent for agent, at in self._watched.items() if at < before and agent not in self._places]
        for agent in left:
            del self._watched[agent]
        return left

    async def _watch_again(self) -> None:
        await self._llm.watch(self._name, list(self._watched))

    async def _surely(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """The call's result; None where the LLM processor was started anew meanwhile."""
        try:
            return await call()
        except ActorLost as error:
            if error.for_good:
                raise
            await asyncio.sleep(RESTARTING_S)
            return None

    def _dispatch(self, piece: AgentPiece) -> None:
        agent, turn, kind, text = piece
        if kind not in PIECE_KINDS:
            return  # of a later system: a preview may be lost
        for place in self._places.get(agent, ()) if agent else self._everywhere():
            place.put((turn, Piece(kind, text)))

    def _everywhere(self) -> list[Listener]:
        return [place for places in self._places.values() for place in places]

    async def close(self) -> None:
        running = [task for task in (self._asking, self._polling) if task is not None and not task.done()]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
