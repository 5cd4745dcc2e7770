"""The pace of a load: as fast as the index takes it in while nothing else goes on, and giving way to agents' turns.

Rules. (1) A load is at most some stretches ahead of the index, so that a search which comes in the middle of it waits
for those alone. (2) The more others write into the log meanwhile, the longer a load rests after each stretch: what it
takes of the machine is theirs. (3) It never stops a load: who cannot say how things stand is not waited for long.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from palimpsest.events.errors import ActorLost, LogUnavailable
from palimpsest.events.position import Position

AHEAD: Final = 4
"""Stretches that may be in the log and not yet in the index."""
INDEX_S: Final = 2.0
"""So long a stretch waits for the index at most: one that is being built again must not hold up a load."""
BUSY_EVENTS_PER_S: Final = 200.0
"""Others' events a second at which a load rests in full: some forty turns."""
REST: Final = 6.0
"""A full rest, in times of what the stretch took."""
LONGEST_REST_S: Final = 2.0

End = Callable[[], Awaitable[Position]]
Indexed = Callable[[Position, float], Awaitable[Position]]


class Pace:
    """Of one load. `end` asks for the log's last position, `indexed` waits (so many seconds) until one is indexed."""

    def __init__(self, end: End, indexed: Indexed) -> None:
        self._ask, self._indexed = end, indexed
        self._ahead: deque[Position] = deque()
        self._since = self._asked = time.monotonic()
        self._last: Position | None = None
        self._own = 0

    async def wrote(self, position: Position) -> None:
        """A stretch is in the log at this position: wait as long as becomes whoever is not alone."""
        self._ahead.append(position)
        self._own += 1
        try:
            busy = await self._busy()
            while len(self._ahead) > (0 if busy else AHEAD):
                await self._indexed(self._ahead.popleft(), INDEX_S)
        except (ActorLost, LogUnavailable):
            busy = 1.0  # it is being started anew: all the more reason to rest
        took_s = time.monotonic() - self._since
        if busy:
            await asyncio.sleep(min(LONGEST_REST_S, REST * busy * took_s))
        self._since = time.monotonic()

    async def _busy(self) -> float:
        """How busy others are, from 0 (as good as not) to 1, by what they wrote since this was last asked."""
        now, position = time.monotonic(), await self._ask()
        others = position.since(self._last) - self._own if self._last else 0
        asked_s = now - self._asked
        self._asked, self._last, self._own = now, position, 0
        share = min(1.0, others / max(asked_s, 1e-3) / BUSY_EVENTS_PER_S)
        return share if share > 0.05 else 0.0
