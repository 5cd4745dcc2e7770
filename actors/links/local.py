"""The parts in this process, without Ray: each an object whose methods are called.

Rules. (1) A part whose loop died is made anew, and what was called of it is called again, as Ray does with a process.
(2) A part that has ended for good answers nobody any more.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from palimpsest.actors.links.protocol import waits_s
from palimpsest.actors.parts.process import FATE, Life, ended
from palimpsest.events.errors import ActorLost, PalimpsestError

PAUSE_S: Final = 0.5
"""Before a part is made anew: one that dies at once must not be made in a frenzy."""
MOST_PAUSE_S: Final = 5.0


class LocalPart:
    """A link to a part in this process. `make` makes it, on the loop that it is called on."""

    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make
        self._running: set[asyncio.Task[Any]] = set()
        self._is_over = False
        self._whole = asyncio.Event()
        self.part = self._made()

    def _made(self) -> object:
        before = FATE.set(self)
        try:
            made = self._make()
        finally:
            FATE.reset(before)
        self._whole.set()
        return made

    def __getattr__(self, method: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        async def call(*arguments: object) -> Any:
            while True:
                await self._whole.wait()
                if self._is_over:
                    raise ended()
                part = self.part
                task = asyncio.ensure_future(getattr(part, method)(*arguments))
                self._running.add(task)
                try:
                    return await task
                except asyncio.CancelledError:
                    current = asyncio.current_task()
                    if current is not None and current.cancelling():
                        raise
                    if self._is_over:
                        raise ended() from None
                    if part is self.part and self._whole.is_set():
                        raise
                    if waits_s(method, arguments):
                        raise ActorLost("A part of the system is being started anew.", for_good=False) from None
                finally:
                    self._running.discard(task)
                    task.cancel()

        self.__dict__[method] = call
        return call

    async def end(self) -> None:
        """End the part for good: its loop, and what is called of it."""
        self._is_over = True
        self._whole.set()
        life: Life | None = getattr(self.part, "_life", None)
        if life is not None:
            life.task.cancel()
            await asyncio.wait([life.task])
        self._leave()

    # --- the part's fate (`actors.parts.process.Fate`)

    async def died(self) -> None:
        self._whole.clear()
        self._leave()
        await self._abandon()
        pause_s = PAUSE_S
        while not self._is_over:
            await asyncio.sleep(pause_s)
            try:
                self.part = self._made()
            except (PalimpsestError, OSError) as error:
                structlog.get_logger("local").error("a part cannot be made anew", detail=str(error), retry_s=pause_s)
                pause_s = min(2 * pause_s or PAUSE_S, MOST_PAUSE_S)
            else:
                return

    async def ended(self) -> None:
        self._is_over = True
        self._whole.set()
        self._leave()

    def _leave(self) -> None:
        for task in self._running:
            task.cancel()

    async def _abandon(self) -> None:
        """Let go of what the part that died holds: files, and the index's folder."""
        abandon: Callable[[], Coroutine[Any, Any, None]] | None = getattr(self.part, "abandon", None)
        if abandon is not None:
            with contextlib.suppress(PalimpsestError, OSError):
                await abandon()
