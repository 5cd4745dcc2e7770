"""What every actor does alike: its log lines, its loop, and dying rightly.

An actor's loop runs as a task from its start. If it fails, the process ends at once and Ray starts it anew: it then
reads what it owes from the log, which is all the recovery there is.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog

from events.errors import Fenced, PalimpsestError

T = TypeVar("T")


def now_ms() -> int:
    """The shell's clock: milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def set_up_logging() -> None:
    """Structlog to standard error, one JSON line an event. Called once, when a process starts."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def spawn(name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
    """Run an actor's loop for as long as the actor lives."""
    return asyncio.get_running_loop().create_task(_guarded(name, run), name=name)


async def _guarded(name: str, run: Callable[[], Awaitable[None]]) -> None:
    try:
        await run()
    except asyncio.CancelledError:
        raise
    except Fenced as error:
        structlog.get_logger(name).warning("replaced", detail=str(error))
    except BaseException:  # noqa: BLE001 - whatever it was: log it, and let Ray start the actor anew
        structlog.get_logger(name).exception("died")
        sys.stderr.flush()
        await asyncio.sleep(0.5)  # a loop that dies at once must not make Ray start it in a frenzy
        os._exit(1)


async def until_taken(attempt: Callable[[], Awaitable[T]], log: Any, what: str) -> T:
    """Try until the log takes it: while a disk is full, what is owed waits and nothing is lost."""
    delay_s = 0.1
    while True:
        try:
            return await attempt()
        except Fenced:
            raise
        except PalimpsestError as error:
            log.error("waiting for the log", what=what, detail=str(error), retry_s=delay_s)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, 5.0)
