"""Who watches an agent speak: pieces of answers, beside the log, for as long as somebody asks for them."""

from __future__ import annotations

import asyncio
import time

from actors.models.protocol import Piece

FORGOTTEN_AFTER_S = 60.0
MAX_PIECES = 20_000


class Watch:
    """The pieces of one agent, numbered from the watch's opening."""

    def __init__(self) -> None:
        self.pieces: list[tuple[str, str]] = []
        self.asked_at = time.monotonic()
        self._came = asyncio.Event()

    def push(self, piece: Piece) -> None:
        if len(self.pieces) < MAX_PIECES:
            self.pieces.append((piece.kind, piece.text))
            self._came.set()

    async def after(self, cursor: int, wait_s: float) -> tuple[list[tuple[str, str]], int]:
        self.asked_at = time.monotonic()
        if cursor >= len(self.pieces):
            self._came.clear()
            try:
                await asyncio.wait_for(self._came.wait(), wait_s)
            except TimeoutError:
                return [], cursor
        return self.pieces[cursor:], len(self.pieces)


class Watches:
    """The watches that are open, by agent."""

    def __init__(self) -> None:
        self._by_agent: dict[str, Watch] = {}

    def open(self, agent: str) -> None:
        self._forget()
        self._by_agent[agent] = Watch()

    def of(self, agent: str) -> Watch | None:
        return self._by_agent.get(agent)

    async def pieces(self, agent: str, cursor: int, wait_s: float) -> tuple[list[tuple[str, str]], int]:
        watch = self._by_agent.get(agent)
        if watch is None:
            self.open(agent)
            watch = self._by_agent[agent]
            cursor = 0
        return await watch.after(cursor, wait_s)

    def _forget(self) -> None:
        now = time.monotonic()
        gone = [agent for agent, watch in self._by_agent.items() if now - watch.asked_at > FORGOTTEN_AFTER_S]
        for agent in gone:
            del self._by_agent[agent]
