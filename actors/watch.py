"""Who watches an agent speak: pieces of answers, beside the log, for as long as somebody asks for them.

Rules. (1) Pieces are a preview: they may be lost, and the log has the message whole. (2) Any number may watch one
agent, each with a cursor of its own; a piece names its turn. (3) A cursor that is older than what is held (its process
was started anew, or it fell far behind) gets a piece of kind "again": what was shown of the turn so far is void.
"""

from __future__ import annotations

import asyncio
import time

from actors.models.protocol import OnPiece, Piece

FORGOTTEN_AFTER_S = 60.0
MAX_PIECES = 20_000

TurnPiece = tuple[int, str, str]
"""The turn (the seq of its input), the kind, and the text."""
AGAIN: TurnPiece = (0, "again", "")


class Watch:
    """The pieces of one agent. Cursors begin at the clock, so that those of a later process are always greater."""

    def __init__(self) -> None:
        self._start = time.time_ns()
        self._pieces: list[TurnPiece] = []
        self._came = asyncio.Event()
        self.asked_at = time.monotonic()

    @property
    def end(self) -> int:
        return self._start + len(self._pieces)

    def push(self, piece: TurnPiece) -> None:
        self._pieces.append(piece)
        if len(self._pieces) > MAX_PIECES:
            half = MAX_PIECES // 2
            self._pieces, self._start = self._pieces[half:], self._start + half
        came, self._came = self._came, asyncio.Event()
        came.set()

    async def after(self, cursor: int, wait_s: float) -> tuple[list[TurnPiece], int]:
        self.asked_at = time.monotonic()
        if cursor < self._start:
            return [AGAIN, *self._pieces], self.end
        if cursor >= self.end:
            try:
                await asyncio.wait_for(self._came.wait(), wait_s)
            except TimeoutError:
                return [], cursor
        return self._pieces[max(0, cursor - self._start) :], self.end


class Watches:
    """The watches that are open, by agent."""

    def __init__(self) -> None:
        self._by_agent: dict[str, Watch] = {}
        self._looked_at = time.monotonic()

    def open(self, agent: str) -> int:
        """Begin to watch an agent, if nobody does yet; the cursor of what comes next."""
        return self._of(agent).end

    def listener(self, agent: str, turn: int) -> OnPiece | None:
        """What takes the pieces of a turn's answer; None if nobody watches (any more)."""
        self._forget()
        watch = self._by_agent.get(agent)
        if watch is None:
            return None

        def on_piece(piece: Piece) -> None:
            watch.push((turn, piece.kind, piece.text))

        return on_piece

    async def pieces(self, agent: str, cursor: int, wait_s: float) -> tuple[list[TurnPiece], int]:
        return await self._of(agent).after(cursor, wait_s)

    def _of(self, agent: str) -> Watch:
        watch = self._by_agent.setdefault(agent, Watch())
        watch.asked_at = time.monotonic()
        return watch

    def _forget(self) -> None:
        """Drop the watches that nobody asks any more: looked at with the answers, and not with each of them."""
        now = time.monotonic()
        if now - self._looked_at <= FORGOTTEN_AFTER_S:
            return
        self._looked_at = now
        gone = [agent for agent, watch in self._by_agent.items() if now - watch.asked_at > FORGOTTEN_AFTER_S]
        for agent in gone:
            del self._by_agent[agent]
