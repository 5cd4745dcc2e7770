"""The one composition root: boots the parts on Ray, and hands out clients.

Without an address the parts belong to this process, under names of their own, on the Ray that it has, or that is
started for it; with one, they join that cluster, detached, under fixed names, so that every driver finds the same ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from actors.client import Client
from actors.log_client import LogClient, unwrapped
from events.errors import ActorLost, BadInput
from store.folder import DataFolder, FolderLock

NAMESPACE: Final = "palimpsest"
PARTS: Final = ("log", "memory", "llm", "storage", "timer")
STOP_S: Final = 20.0
RESTARTS: Final[Mapping[str, Any]] = {"max_restarts": -1, "max_task_retries": -1, "num_cpus": 0}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a system is booted with. `model` are the hosted model's options (base_url, timeout_s, max_in_flight …)."""

    address: str = ""
    model: Mapping[str, Any] = {}
    limits: Mapping[str, int] = {}
    """Of the log's door: max_open, max_open_an_agent, max_waiting, and the same in bytes (see `actors.door`)."""
    max_pages: int | None = None
    """The log's file may grow to so many pages of 4 KiB (None: as the disk allows)."""
    capacity: int = 4096
    snapshot_every: int = 500


class System:
    """The parts of a running system, by name, each a Ray actor."""

    def __init__(self, parts: Mapping[str, Any], lock: FolderLock | None, *, owns_ray: bool) -> None:
        self.parts = parts
        self._lock = lock
        self._owns_ray = owns_ray
        self._clients: list[Client] = []

    def client(self) -> Client:
        client = Client(LogClient(self.parts["log"]), self.parts["memory"], self.parts["llm"])
        self._clients.append(client)
        return client

    async def pids(self) -> dict[str, int]:
        """The process of each part."""
        found = await asyncio.gather(*(unwrapped(part.__ray_call__.remote(_pid)) for part in self.parts.values()))
        return dict(zip(self.parts, found, strict=True))

    async def status(self) -> dict[str, dict[str, Any]]:
        """Each part's figures."""
        found = await asyncio.gather(*(unwrapped(part.status.remote()) for part in self.parts.values()))
        return dict(zip(self.parts, found, strict=True))

    async def stop(self) -> None:
        """An orderly end: storage and log are flushed and closed. What is owed is taken up at the next start.

        A part that has ended has nothing to flush; one that hangs is killed, which loses nothing either. The parts of
        a cluster that was joined are everybody's, and stay.
        """
        own = {} if self._lock is None else self.parts
        try:
            for client in self._clients:
                await client.close()
            await _flush(own)
        finally:
            _end(own, owns_ray=self._owns_ray)
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
    import ray

    owns_ray = not ray.is_initialized()
    if owns_ray:
        start_ray(options.address)
    parts: dict[str, Any] = {}
    try:
        parts = _parts(folder, options)
        await unwrapped(parts["log"].status.remote())  # if anything is wrong with the log, it knows best what
        await asyncio.gather(*(unwrapped(part.status.remote()) for part in parts.values()))
    except BaseException:
        _end({} if options.address else parts, owns_ray=owns_ray)
        raise
    return System(parts, lock, owns_ray=owns_ray)


async def _flush(parts: Mapping[str, Any]) -> None:
    """Quiet the parts that write, then let the files be flushed and closed."""
    import ray

    for name in ("memory", "llm", "timer"):
        if name in parts:
            ray.kill(parts[name])
    for name in ("storage", "log"):
        if name in parts:
            with contextlib.suppress(ActorLost, TimeoutError):
                await asyncio.wait_for(unwrapped(parts[name].flush_and_close.remote()), STOP_S)


def _end(parts: Mapping[str, Any], *, owns_ray: bool) -> None:
    """End these parts for good, and Ray with them if it was started for them."""
    import ray

    for part in parts.values():
        ray.kill(part)
    if owns_ray:
        ray.shutdown()


def start_ray(address: str) -> None:
    """Connect to a cluster, or start Ray here, quietly and with no dashboard."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    quiet: dict[str, Any] = {"namespace": NAMESPACE, "log_to_driver": False, "logging_level": logging.ERROR}
    # Workers import this checkout's rooms, wherever the driver was started.
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join([str(_home()), os.environ.get("PYTHONPATH", "")])}}
    if address:
        try:
            ray.init(address=address, runtime_env=environment, **quiet)
        except ConnectionError as error:
            raise BadInput(
                f"No Ray cluster answers at {address}: {error}. Start one with `ray start --head`; if it is up, it "
                "asks for a token (Ray's default): set RAY_AUTH_MODE=token here."
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
    """The five actors; each restarts by itself, for ever, and reads what it owes from the log.

    They find the log by its name: a handle among their arguments would have to be kept for every restart.
    """
    from actors import llm, log, memory, storage, timer

    own = "" if options.address else f"-{uuid.uuid4().hex[:8]}"

    def options_of(name: str) -> dict[str, Any]:
        shared = {"lifetime": "detached", "get_if_exists": True} if options.address else {}
        return {**RESTARTS, **shared, "name": name, "max_concurrency": 1000}

    log_name = f"log-0{own}"
    log_actor = log.remote(**options_of(log_name)).remote(
        str(folder.log_path()), dict(options.limits), options.max_pages
    )
    memory_options = {"capacity": options.capacity, "snapshot_every": options.snapshot_every}
    return {
        "log": log_actor,
        "memory": memory.remote(**options_of(f"memory-0{own}")).remote(log_name, memory_options),
        "llm": llm.remote(**options_of(f"llm-0{own}")).remote(log_name, dict(options.model), options.capacity),
        "storage": storage.remote(**options_of(f"storage-0{own}")).remote(log_name, str(folder.index_path())),
        "timer": timer.remote(**options_of(f"timer-0{own}")).remote(log_name),
    }
