"""The one composition root: boots the parts on Ray, and hands out clients.

Without an address Ray is started here, for this process and its data folder alone; with one, the parts join that
cluster, detached, under fixed names, so that every driver finds the same ones.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from actors.client import Client
from actors.log_client import LogClient, unwrapped
from events.errors import BadInput
from store.folder import DataFolder, FolderLock

NAMESPACE: Final = "palimpsest"
PARTS: Final = ("log", "memory", "llm", "storage", "timer")
RESTARTS: Final[Mapping[str, Any]] = {"max_restarts": -1, "max_task_retries": -1, "num_cpus": 0}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a system is booted with. `model` are the hosted model's options (base_url, timeout_s, max_in_flight …)."""

    address: str = ""
    model: Mapping[str, Any] = {}
    limits: Mapping[str, int] = {}
    capacity: int = 4096
    snapshot_every: int = 500


class System:
    """The parts of a running system, by name, each a Ray actor."""

    def __init__(self, parts: Mapping[str, Any], lock: FolderLock | None) -> None:
        self.parts = parts
        self._lock = lock
        self._clients: list[Client] = []

    def client(self) -> Client:
        client = Client(LogClient(self.parts["log"]), self.parts["llm"])
        self._clients.append(client)
        return client

    async def pids(self) -> dict[str, int]:
        """The process of each part."""
        found = await asyncio.gather(*(part.__ray_call__.remote(_pid) for part in self.parts.values()))
        return dict(zip(self.parts, found, strict=True))

    async def status(self) -> dict[str, dict[str, Any]]:
        """Each part's figures."""
        found = await asyncio.gather(*(unwrapped(part.status.remote()) for part in self.parts.values()))
        return dict(zip(self.parts, found, strict=True))

    async def stop(self) -> None:
        """An orderly end: storage and log are flushed and closed. What is owed is taken up at the next start."""
        import ray

        for client in self._clients:
            await client.close()
        for name in ("memory", "llm", "timer"):
            ray.kill(self.parts[name])
        await unwrapped(self.parts["storage"].flush_and_close.remote())
        await LogClient(self.parts["log"]).close()
        ray.shutdown()
        if self._lock is not None:
            self._lock.release()


def _pid(_actor: Any) -> int:
    return os.getpid()


async def boot(folder: DataFolder, purpose: str, options: Options | None = None) -> System:
    """Start (or with an address, join) a system on a data folder, ready to serve.

    Raises DataFolderBusy if another process has the folder; BadInput if it cannot be made, or the cluster not reached.
    """
    options = options or Options()
    folder.create()
    if options.address:
        return await _boot(folder, None, options)
    lock = folder.lock(purpose)
    try:
        return await _boot(folder, lock, options)
    except BaseException:
        lock.release()
        raise


async def _boot(folder: DataFolder, lock: FolderLock | None, options: Options) -> System:
    start_ray(options.address)
    parts = _parts(folder, options)
    await asyncio.gather(*(unwrapped(part.status.remote()) for part in parts.values()))
    return System(parts, lock)


def start_ray(address: str) -> None:
    """Connect to a cluster, or start Ray here, quietly and with no dashboard."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    import ray

    quiet: dict[str, Any] = {"namespace": NAMESPACE, "log_to_driver": False, "logging_level": logging.ERROR}
    # Workers import this checkout's rooms, wherever the driver was started.
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join([str(_home()), os.environ.get("PYTHONPATH", "")])}}
    if address:
        try:
            ray.init(address=address, runtime_env=environment, **quiet)
        except ConnectionError as error:
            raise BadInput(
                f"No Ray cluster answers at {address}: {error}. Start one with `ray start --head`."
            ) from None
        return
    ray.init(
        num_cpus=max(4, os.cpu_count() or 1),
        include_dashboard=False,
        object_store_memory=100 * 1024 * 1024,
        runtime_env=environment,
        **quiet,
    )


def _home() -> Path:
    return Path(__file__).resolve().parent.parent


def _parts(folder: DataFolder, options: Options) -> dict[str, Any]:
    """The five actors; each restarts by itself, for ever, and reads what it owes from the log."""
    from actors import llm, log, memory, storage, timer

    def options_of(name: str) -> dict[str, Any]:
        shared = {"lifetime": "detached", "get_if_exists": True} if options.address else {}
        return {**RESTARTS, **shared, "name": name, "namespace": NAMESPACE, "max_concurrency": 1000}

    log_actor = log.remote(**options_of("log-0")).remote(str(folder.log_path()), dict(options.limits))
    memory_options = {"capacity": options.capacity, "snapshot_every": options.snapshot_every}
    return {
        "log": log_actor,
        "memory": memory.remote(**options_of("memory-0")).remote(log_actor, memory_options),
        "llm": llm.remote(**options_of("llm-0")).remote(log_actor, dict(options.model), options.capacity),
        "storage": storage.remote(**options_of("storage-0")).remote(log_actor, str(folder.index_path())),
        "timer": timer.remote(**options_of("timer-0")).remote(log_actor),
    }
