"""Who watches agents speak: pieces of answers, beside the log, for as long as somebody asks for them.

Rules. (1) Pieces are a preview: they may be lost, and the log has the message whole. (2) A watcher has one queue for
all the agents that it watches, and one long poll that empties it; any number may watch one agent. (3) A watcher that
is not known (its process was started anew, or it was silent for long) is told so, and watches again; what was shown of
the turns so far is void, as it is where a piece of kind "again" says it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from palimpsest.actors.models.protocol import OnPiece, Piece, PieceKind

FORGOTTEN_AFTER_S = 60.0
MAX_PIECES = 20_000
PAUSE_S = 0.005
PAUSE_AN_AGENT_S = 0.0001
LONGEST_PAUSE_S = 0.025
"""Between two answers to a watcher: what comes meanwhile comes together, and the more are watched the more it is."""

AgentPiece = tuple[str, int, PieceKind, str]
"""The agent ("": all), its turn (the seq of the input; 0: all), the kind, and the text."""
AGAIN: AgentPiece = ("", 0, "again", "")
_JOINED: Final[frozenset[PieceKind]] = frozenset({"message", "thought"})


class Watcher:
    """One who watches, and what it has not fetched yet."""

    def __init__(self) -> None:
        self.agents: set[str] = set()
        self.asked_at = time.monotonic()
        self._pieces: list[AgentPiece] = []
        self._came = asyncio.Event()
        self._fetched_at = 0.0

    def push(self, agent: str, turn: int, piece: Piece) -> None:
        last = self._pieces[-1] if self._pieces else AGAIN
        if last[:3] == (agent, turn, piece.kind) and piece.kind in _JOINED:
            self._pieces[-1] = (agent, turn, piece.kind, last[3] + piece.text)
        else:
            self._pieces.append((agent, turn, piece.kind, piece.text))
        if len(self._pieces) > MAX_PIECES:
            self._pieces = [AGAIN, *self._pieces[-MAX_PIECES // 2 :]]
        self._came.set()

    async def fetch(self, wait_s: float) -> list[AgentPiece]:
        """What came, as soon as there is something; nothing after `wait_s` seconds."""
        self.asked_at = time.monotonic()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._came.wait(), wait_s)
        pause_s = min(PAUSE_S + PAUSE_AN_AGENT_S * len(self.agents), LONGEST_PAUSE_S)
        if self._pieces and (left_s := self._fetched_at + pause_s - time.monotonic()) > 0:
            await asyncio.sleep(left_s)
        pieces, self._pieces = self._pieces, []
        self._came.clear()
        self._fetched_at = self.asked_at = time.monotonic()
        return pieces


class Watches:
    """The watchers that there are, by name, and by the agents that they watch."""

    def __init__(self) -> None:
        self._watchers: dict[str, Watcher] = {}
        self._of_agent: dict[str, list[Watcher]] = {}
        self._looked_at = time.monotonic()

    def watch(self, name: str, agents: Iterable[str]) -> None:
        """Let a watcher see these agents too, from now on."""
        watcher = self._watchers.setdefault(name, Watcher())
        watcher.asked_at = time.monotonic()
        for agent in set(agents) - watcher.agents:
            watcher.agents.add(agent)
            self._of_agent.setdefault(agent, []).append(watcher)

    def leave(self, name: str, agents: Iterable[str]) -> None:
        """It sees these no more."""
        watcher = self._watchers.get(name)
        if watcher is None:
            return
        for agent in watcher.agents & set(agents):
            watcher.agents.discard(agent)
            self._of_agent[agent].remove(watcher)
            if not self._of_agent[agent]:
                del self._of_agent[agent]

    def listener(self, agent: str, turn: int) -> OnPiece | None:
        """What takes the pieces of a turn's answer; None if nobody watches (any more)."""
        self._forget()
        watchers = self._of_agent.get(agent)
        if not watchers:
            return None

        def on_piece(piece: Piece) -> None:
            for watcher in watchers:
                watcher.push(agent, turn, piece)

        return on_piece

    async def pieces(self, name: str, wait_s: float) -> list[AgentPiece] | None:
        """What came for a watcher since it last asked; waits up to `wait_s` seconds for the first. None: who is it?"""
        watcher = self._watchers.get(name)
        return None if watcher is None else await watcher.fetch(wait_s)

    def _forget(self) -> None:
        """Drop the watchers that ask no more: looked at with the answers, and not with each of them."""
        now = time.monotonic()
        if now - self._looked_at <= FORGOTTEN_AFTER_S:
            return
        self._looked_at = now
        gone = [name for name, watcher in self._watchers.items() if now - watcher.asked_at > FORGOTTEN_AFTER_S]
        for name in gone:
            self.leave(name, self._watchers[name].agents)
            del self._watchers[name]
