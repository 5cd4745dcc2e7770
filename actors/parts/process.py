"""What every actor does alike: its log lines, its loop, and dying rightly.

An actor's loop runs as a task from its start. If it fails, the process ends at once and Ray starts it anew: it then
reads what it owes from the log, which is all the recovery there is. Only where another writer has taken the log over,
or the log has ended for good, is there nothing to come back to: then the actor ends for good too.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog

from palimpsest.events.errors import ActorLost, BadInput, Fenced, PalimpsestError

T = TypeVar("T")

COLLECT_AT = 20_000, 20, 20
"""Objects made between two looks for garbage that holds itself: Python's 700 cost a fifteenth of the LLM processor."""
ROUNDS = 4
"""Of the loop: from a future's result to whoever waits for it through `wait_for`."""


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
    gc.set_threshold(*COLLECT_AT)
    return asyncio.get_running_loop().create_task(_guarded(name, run), name=name)


async def _guarded(name: str, run: Callable[[], Awaitable[None]]) -> None:
    try:
        await run()
    except asyncio.CancelledError:
        raise
    except (Fenced, ActorLost) as error:
        structlog.get_logger(name).warning("ended for good", detail=str(error))
        await _end_for_good()
    except BaseException:  # noqa: BLE001 - whatever it was: log it, and let Ray start the actor anew
        structlog.get_logger(name).exception("died")
        sys.stderr.flush()
        await asyncio.sleep(0.5)  # a loop that dies at once must not make Ray start it in a frenzy
        os._exit(1)


async def _end_for_good() -> None:
    """End this process so that Ray does not start it again, once those who wait have their last answers.

    This process, and no other: an actor and its next start are one to Ray, so that `ray.kill` would end a successor on
    another node. (This is what `ray.actor.exit_actor` does, which only a call to the actor may make.) Calls under
    way hold it up: the long polls among them end first.
    """
    from ray._private.worker import global_worker

    global _is_ending  # noqa: PLW0603 - of the process
    _is_ending = True
    end_polls()
    await asyncio.sleep(0.5)
    worker: Any = global_worker
    worker.core_worker.drain_and_exit_worker("user", b"it has ended for good")


_is_ending = False
_polls: set[asyncio.Task[Any]] = set()


def end_polls() -> None:
    for poll in list(_polls):
        poll.cancel()


async def until_ending(poll: Coroutine[Any, Any, T]) -> T:
    """What a long poll brings. Raises ActorLost where this process is to end for good."""
    task = asyncio.ensure_future(poll)
    _polls.add(task)
    try:
        if _is_ending:
            task.cancel()
        return await task
    except asyncio.CancelledError:
        if _is_ending:
            raise ended() from None
        raise
    finally:
        _polls.discard(task)
        task.cancel()


def ended() -> ActorLost:
    return ActorLost("A part of the system has ended (another took its place). Start the system again.")


async def others_first() -> None:
    """Let all that is ready run, and what that makes ready: before a call of Ray, which takes half a millisecond."""
    for _ in range(ROUNDS):
        await asyncio.sleep(0)


async def until_taken(attempt: Callable[[], Awaitable[T]], log: Any, what: str) -> T:
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
            log.error("waiting for the log", what=what, detail=str(error), retry_s=delay_s)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, 5.0)
