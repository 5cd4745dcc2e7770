"""What every part does alike: its log lines, its loop, and dying rightly.

A part's loop runs as a task from its start. If it fails, the part dies at once and is started anew (with Ray its
process): it then reads what it owes from the log, which is all the recovery there is. Only where another writer has
taken the log over, or the log has ended for good, is there nothing to come back to: then the part ends for good too.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any, Protocol, TextIO, TypeVar

import structlog

from palimpsest.events.errors import ActorLost, BadInput, Fenced, PalimpsestError

T = TypeVar("T")

ROUNDS = 4
"""Of the loop: from a future's result to whoever waits for it through `wait_for`."""


def now_ms() -> int:
    """The shell's clock: milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def set_up_logging(file: TextIO | None = None) -> None:
    """Structlog to a file (standard error), one JSON line an event. Called once, when a process starts."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(file or sys.stderr),
    )


class Fate(Protocol):
    """What becomes of a part whose loop is over."""

    async def died(self) -> None:
        """It is to be started anew."""

    async def ended(self) -> None:
        """It is not to be started again. Its long polls have their last answers."""


FATE: ContextVar[Fate] = ContextVar("FATE")
"""Set by whoever makes a part, before it is made."""


class Life:
    """A part's loop, from the part's making on, and the long polls that end with it."""

    def __init__(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._run = run
        self._fate = FATE.get()
        self._polls: set[asyncio.Task[Any]] = set()
        self._is_ending = False
        self.task = asyncio.get_running_loop().create_task(self._lived(), name=name)

    async def _lived(self) -> None:
        try:
            await self._run()
        except asyncio.CancelledError:
            raise
        except (Fenced, ActorLost) as error:
            structlog.get_logger(self._name).warning("ended for good", detail=str(error))
            self._is_ending = True
            for poll in list(self._polls):
                poll.cancel()
            await self._fate.ended()
        except BaseException:  # noqa: BLE001 - whatever it was: log it, and let the part be started anew
            structlog.get_logger(self._name).exception("died")
            await self._fate.died()

    async def until_ending(self, poll: Coroutine[Any, Any, T]) -> T:
        """What a long poll brings. Raises ActorLost where this part is to end for good."""
        task = asyncio.ensure_future(poll)
        self._polls.add(task)
        try:
            if self._is_ending:
                task.cancel()
            return await task
        except asyncio.CancelledError:
            if self._is_ending:
                raise ended() from None
            raise
        finally:
            self._polls.discard(task)
            task.cancel()


def ended() -> ActorLost:
    return ActorLost("A part of the system has ended (another took its place). Start the system again.")


async def others_first() -> None:
    """Let all that is ready run, and what that makes ready: before a call of Ray, which takes half a millisecond."""
    for _ in range(ROUNDS):
        await asyncio.sleep(0)


async def until_taken(attempt: Callable[[], Awaitable[T]], logger: Any, what: str) -> T:
    """Try until the log takes it: while a disk is full, what is owed waits and nothing is lost.

    Raises Fenced, ActorLost where the log has ended for good, and BadInput: what cannot be taken now never will be.
    """
    delay_s = 0.1
    while True:
        try:
            return await attempt()
        except PalimpsestError as error:
            if isinstance(error, (Fenced, BadInput)) or (isinstance(error, ActorLost) and error.for_good):
                raise
            logger.error("waiting for the log", what=what, detail=str(error), retry_s=delay_s)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, 5.0)
