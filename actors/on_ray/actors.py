"""The parts as Ray actors, and how anyone calls one.

A call waits while the part's process is started anew, and is made again then: every one of them may be. Only a long
poll is not, since one that is left behind must not outlive the system.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError

from palimpsest.actors.links.protocol import LogPart, waits_s
from palimpsest.actors.llm import LLMActor
from palimpsest.actors.log import LogActor
from palimpsest.actors.memory import MemoryActor
from palimpsest.actors.parts.process import FATE, set_up_logging
from palimpsest.actors.storage import StorageActor
from palimpsest.actors.timer import TimerActor
from palimpsest.events.errors import ActorLost, PalimpsestError
from palimpsest.events.position import Partition
from palimpsest.store.folder import DataFolder
from palimpsest.store.index.settings import IndexSettings
from palimpsest.store.keys.files import Handed

T = TypeVar("T")

RESTARTS: Final[Mapping[str, Any]] = {"max_restarts": -1, "max_task_retries": -1, "num_cpus": 0}
COLLECT_AT: Final = (20_000, 20, 20)
"""Objects made between two looks for garbage that holds itself: Python's 700 cost a fifteenth of the LLM processor."""


async def unwrapped(call: Awaitable[T]) -> T:
    """The call's result. Palimpsest's own errors are raised as themselves; ActorLost where there is nobody to call."""
    try:
        return await call
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, PalimpsestError):
            raise cause from None
        raise
    except ActorUnavailableError as error:
        raise ActorLost("A part of the system is being started anew. Try again.", for_good=False) from error
    except ActorDiedError as error:
        why = str(error).strip().splitlines()[-1].rstrip(".")  # the lines before say where
        raise ActorLost(f"A part of the system has ended ({why}). Start the system again.") from error


class RayPart:
    """A link to a part that is a Ray actor: its methods (see `actors.links.protocol`), awaited."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        remote = getattr(self.handle, method)

        async def call(*arguments: object) -> Any:
            if waits_s(method, arguments):
                return await unwrapped(remote.options(max_task_retries=0).remote(*arguments))
            return await unwrapped(remote.remote(*arguments))

        self.__dict__[method] = call
        return call


def named(name: str) -> Any:
    """A link to the actor of this name. Raises ValueError where there is none."""
    return RayPart(ray.get_actor(name))


def run_in(part: Any, work: Callable[..., T], *arguments: object) -> Awaitable[T]:
    """The result of a function that is called in the part's process, with the part as its first argument."""
    return unwrapped(part.handle.__ray_call__.remote(work, *arguments))


class _Process:
    """The fate of a part that has a process of its own (`actors.parts.process.Fate`)."""

    async def died(self) -> None:
        sys.stderr.flush()
        await asyncio.sleep(0.5)  # a loop that dies at once must not make Ray start it in a frenzy
        os._exit(1)

    async def ended(self) -> None:
        """End this process so that Ray does not start it again.

        This process, and no other: an actor and its next start are one to Ray, so that `ray.kill` would end a
        successor on another node. (This is what `ray.actor.exit_actor` does, which only a call to the actor may make.)
        Calls under way hold it up, so the long polls have ended before.
        """
        from ray._private.worker import global_worker

        await asyncio.sleep(0.5)
        worker: Any = global_worker
        worker.core_worker.drain_and_exit_worker("user", b"it has ended for good")


def _begin() -> None:
    set_up_logging()
    gc.set_threshold(*COLLECT_AT)
    FATE.set(_Process())


def _log(name: str) -> LogPart:
    part: LogPart = named(name)
    return part


class Log(LogActor):
    """The log as a Ray actor."""

    def __init__(
        self,
        folder: str,
        partition: Partition,
        log_id: str,
        limits: dict[str, int],
        max_pages: int | None = None,
        *,
        address: str = "",
    ) -> None:
        """With the `address` of the cluster that it is a part of it holds the folder's lock."""
        _begin()
        there = DataFolder(Path(folder))
        take = partial(there.lock, f"the cluster at {address}", make=False, how="cluster", address=address)
        super().__init__(there.log(partition), log_id, limits, max_pages, lock=take if address else None)


class Memory(MemoryActor):
    """The memory manager as a Ray actor. As the others it finds the log by its name: a handle among the arguments
    would have to be kept for every restart."""

    def __init__(self, log: str, capacity: int, snapshot_every: int) -> None:
        _begin()
        super().__init__(_log(log), capacity=capacity, snapshot_every=snapshot_every)


class LLM(LLMActor):
    """The LLM processor as a Ray actor."""

    def __init__(self, log: str, model: dict[str, Any], capacity: int, keys: Handed) -> None:
        _begin()
        super().__init__(_log(log), model, capacity, keys)


class Storage(StorageActor):
    """Storage as a Ray actor."""

    def __init__(self, log: str, path: str, partition: Partition, settings: IndexSettings) -> None:
        _begin()
        super().__init__(_log(log), Path(path), partition, settings)


class Timers(TimerActor):
    """The timers as a Ray actor."""

    def __init__(self, log: str) -> None:
        _begin()
        super().__init__(_log(log))


def remote(actor: type, **options: Any) -> Any:
    """The Ray actor class, with these options."""
    return ray.remote(actor).options(**{**RESTARTS, **options})
