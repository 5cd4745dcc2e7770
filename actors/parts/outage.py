"""Why there is no index, since when, and how long to wait before it is tried again.

Pauses grow up to a limit; a search waits for `PATIENCE_S`, and not at all where only another setting can mend it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from palimpsest.events.errors import BadInput, EmbedderChanged, PalimpsestError

PATIENCE_S: Final = 15.0
"""So long a search waits for an index that cannot be had, before it fails."""
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0


class Outage:
    """`now_s` and `sleep` are its clock."""

    def __init__(
        self,
        patience_s: float = PATIENCE_S,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._patience_s = patience_s
        self._now_s = now_s
        self._sleep = sleep
        self._since_s = 0.0
        self._pause_s = FIRST_PAUSE_S
        self.why: PalimpsestError | None = None

    def note(self, why: PalimpsestError) -> None:
        if self.why is None:
            self._since_s = self._now_s()
        self.why = why

    def end(self) -> None:
        self.why = None
        self._pause_s = FIRST_PAUSE_S

    @property
    def hopeless(self) -> bool:
        """Only another setting can mend it."""
        return isinstance(self.why, (BadInput, EmbedderChanged))

    @property
    def long(self) -> bool:
        """Searches are not to wait any longer."""
        return self.why is not None and (self.hopeless or self._now_s() - self._since_s >= self._patience_s)

    async def pause(self) -> None:
        await self._sleep(self._pause_s)
        self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
