"""How far a bench is, for who waits: on standard error, a line now and then (on a terminal, always the same one)."""

from __future__ import annotations

import sys
import time
from typing import Final

TERMINAL_S: Final = 0.2
PIPE_S: Final = 5.0
"""Between two lines."""


class Steps:
    """Counts what is done of a total; says so, and how long the rest will take if it goes on like that."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, total
        self._done = 0
        self._began = self._told = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def step(self) -> None:
        self._done += 1
        now = time.monotonic()
        if now - self._told >= (TERMINAL_S if self._terminal else PIPE_S):
            self._told = now
            left_s = (now - self._began) / self._done * (self._total - self._done)
            self._say(f"{self._what}: {self._done:,} of {self._total:,}, some {left_s:.0f} s left")

    def end(self) -> None:
        """Clear the line, where it is one."""
        if self._terminal:
            self._say("")

    def _say(self, line: str) -> None:
        print(f"\r\x1b[K{line}" if self._terminal else line, end="" if self._terminal else "\n", file=sys.stderr)
        sys.stderr.flush()
