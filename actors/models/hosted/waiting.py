"""What a user sees of a model that is silent: a line from time to time that says what is waited for.

Rule: it costs one timer a request, and nothing where nobody watches.
"""

from __future__ import annotations

import asyncio
from typing import Final

from palimpsest.actors.models.protocol import OnPiece, Piece

FIRST_S: Final = 10.0
LONGER: Final = 2.0
"""Each pause between two lines is so many times the one before."""
IN_LINE: Final = "waiting in line for the model's server"
AT_SERVER: Final = "waiting for the model's server"
TO_ASK: Final = "waiting to ask the model's server again"


class Waiting:
    """Says it on `on_piece` (None: to nobody) as long as nothing `came`. `doing` is what it says then."""

    def __init__(self, on_piece: OnPiece | None, first_s: float = FIRST_S) -> None:
        self.doing = IN_LINE
        self._on_piece = on_piece
        self._loop = asyncio.get_running_loop()
        self._first_s = self._pause_s = first_s
        self._since_s = self._loop.time()
        self._timer = self._loop.call_later(first_s, self._look) if on_piece else None

    def came(self) -> None:
        self._since_s = self._loop.time()
        self._pause_s = self._first_s

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        assert self._on_piece is not None, "else there is no timer"
        silent_s = self._loop.time() - self._since_s
        if silent_s >= self._pause_s:
            self._on_piece(Piece("waiting", f"{self.doing}, {silent_s:.0f} s"))
            self._pause_s *= LONGER
        self._timer = self._loop.call_later(max(0.01, self._pause_s - silent_s), self._look)
