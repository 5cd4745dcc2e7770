"""A system in this process, without Ray: the same parts, each an object, on the caller's loop."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from functools import partial
from typing import cast

import structlog

from palimpsest.actors.links.local import LocalPart
from palimpsest.actors.links.protocol import PARTS, LogPart, parts_of
from palimpsest.actors.options import LOG, Options
from palimpsest.actors.parts.process import set_up_logging
from palimpsest.events.errors import PalimpsestError
from palimpsest.events.position import FIRST_PARTITION
from palimpsest.store.folder import DataFolder
from palimpsest.store.keys.files import Handed


class LocalRuntime:
    """The parts in this process. Whoever has it has the folder's lock."""

    notes: tuple[str, ...] = ()

    def __init__(self, folder: DataFolder, options: Options) -> None:
        """On a running loop, which is to be kept free: it serves the parts. Raises what the log's file says is
        wrong."""
        from palimpsest.actors.llm import LLMActor
        from palimpsest.actors.log import LogActor
        from palimpsest.actors.memory import MemoryActor
        from palimpsest.actors.storage import StorageActor
        from palimpsest.actors.timer import TimerActor

        partition = FIRST_PARTITION
        place, limits = folder.log(partition), dict(options.limits)
        log_id = place.begin()
        if not structlog.is_configured():
            set_up_logging((folder.path / LOG).open("a"))
        opened = partial(LogActor, place, log_id, limits, options.max_pages)
        links = {"log": LocalPart(opened)}
        log = cast("LogPart", links["log"])
        sizes = {"capacity": options.capacity, "snapshot_every": options.snapshot_every}
        keys = options.keys or Handed()
        made: dict[str, Callable[[], object]] = {
            "memory": partial(MemoryActor, log, **sizes),
            "llm": lambda: LLMActor(log, dict(options.model), options.capacity, keys),
            "storage": partial(StorageActor, log, folder.index_path(partition), partition, options.index),
            "timer": partial(TimerActor, log),
        }
        links |= {name: LocalPart(make) for name, make in made.items()}
        self.links = links
        self.parts = parts_of(links)

    async def pids(self) -> dict[str, int]:
        return dict.fromkeys(PARTS, os.getpid())

    async def give_up(self) -> None:
        await self.stop()

    async def stop(self) -> None:
        for name in ("memory", "llm", "timer"):
            await self.links[name].end()
        for name in ("storage", "log"):
            with contextlib.suppress(PalimpsestError):
                await self.links[name].flush_and_close()
            await self.links[name].end()
