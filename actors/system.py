"""The one composition root: boots the parts on Ray, and hands out clients.

Without an address the parts belong to this process, under names of their own, on the Ray that it has, or that is
started for it. With one, they belong to that cluster, under names made from the data folder's: the first driver makes
them, every other finds them, and they stay when it leaves. Whoever the parts belong to has the folder's lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import uuid
import weakref
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from palimpsest.actors.client import Client
from palimpsest.actors.links.log_client import LogClient, unwrapped
from palimpsest.actors.on_ray import own_ray, whereabouts
from palimpsest.actors.parts.index import IndexSettings
from palimpsest.actors.parts.process import now_ms
from palimpsest.events.errors import ActorLost, BadInput
from palimpsest.store.folder import DataFolder, FolderLock
from palimpsest.store.keys.files import Handed
from palimpsest.store.keys.imported import keys_for
from palimpsest.store.logs.sqlite_file import begin, check

PARTS: Final = ("log", "memory", "llm", "storage", "timer")
STOP_S: Final = 20.0
BOOT_S: Final = 60.0
_NO_START: Final = (
    "Parts of the system have no process after {seconds:.0f} s ({names}): Ray could start none, or the machine is too "
    "busy. See that the disk, /tmp and /dev/shm have room, and try again.{words}"
)
RESTARTS: Final[Mapping[str, Any]] = {"max_restarts": -1, "max_task_retries": -1, "num_cpus": 0}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a system is booted with. `model` are the hosted model's options (base_url, timeout_s, max_in_flight …)."""

    address: str = ""
    rehome: bool = False
    """With an address: what the cluster kept of where the folder is does not hold any more (see `whereabouts`)."""
    model: Mapping[str, Any] = {}
    limits: Mapping[str, int] = {}
    """Of the log's door: max_open, max_open_an_agent, max_waiting, and the same in bytes (see `actors.parts.door`)."""
    max_pages: int | None = None
    """The log's file may grow to so many pages of 4 KiB (None: as the disk allows)."""
    capacity: int = 4096
    snapshot_every: int = 500
    index: IndexSettings = IndexSettings()
    keys: Handed | None = None
    """What model servers are given (None: what this user has, by the files and the environment)."""
    typed: tuple[str, ...] = ()
    """The addresses of model servers that the user named just now."""


class System:
    """The parts of a running system, by name, each a Ray actor."""

    def __init__(
        self, parts: Mapping[str, Any], lock: FolderLock | None, *, owns_ray: bool, notes: tuple[str, ...] = ()
    ) -> None:
        self.parts = parts
        self.notes = notes
        """What its user should know from the start: what does not work for now."""
        self._lock = lock
        self._owns_ray = owns_ray
        self._clients: weakref.WeakSet[Client] = weakref.WeakSet()
        """Those to be closed at the end: one that was closed before, or has nothing to close, is not held here."""

    def client(self) -> Client:
        """A client of the caller's own, which may close it when done; it is closed with the system at the latest."""
        parts = self.parts
        client = Client(LogClient(parts["log"]), parts["memory"], parts["llm"], parts["storage"])
        self._clients.add(client)
        return client

    async def take_keys(self, keys: Handed) -> None:
        """Give model servers these keys too."""
        await unwrapped(self.parts["llm"].take_keys.remote(keys))

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
            for client in list(self._clients):
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

    Raises DataFolderBusy if another process has the folder; BadInput if it cannot be made, the cluster not reached, or
    if the cluster has the folder on another node or with another log; NewerFormat or LogUnreadable where its log is not
    for this code; EmbedderChanged where its index is of another embedder.
    """
    options = options or Options()
    check(folder.log_path())
    if options.address:  # whether there is to be a folder, the cluster knows
        return await _boot(folder, None, options)
    options, notes = _with_keys(folder.create(), options)
    lock = folder.lock(purpose)
    try:
        system = await _boot(folder, lock, options)
    except BaseException:
        lock.release()
        raise
    system.notes = (*notes, *system.notes)
    return system


def _with_keys(folder: DataFolder, options: Options) -> tuple[Options, tuple[str, ...]]:
    """The options with what model servers are given, and what the user should know of it."""
    if options.keys is not None:
        return options, ()
    keys, notes = keys_for(folder, os.environ, now_ms(), options.typed)
    return msgspec.structs.replace(options, keys=keys), notes


async def _boot(folder: DataFolder, lock: FolderLock | None, options: Options) -> System:
    import ray

    owns_ray = not ray.is_initialized()
    said = own_ray.start(options.address) if owns_ray else ()
    parts: dict[str, Any] = {}
    own, joined = _names(folder, options), False
    try:
        log_id, node, begun = _log(folder, own, options)
        options, of_keys = _with_keys(folder, options)
        joined = bool(options.address) and _there("log" + own)
        parts = _parts(folder, options, own, log_id, node)
        if joined:
            await unwrapped(parts["llm"].take_keys.remote(options.keys))
        await _started(parts)
        await unwrapped(parts["log"].status.remote())  # if anything is wrong with the log, it knows best what
        status = await asyncio.gather(*(unwrapped(part.status.remote()) for part in parts.values()))
    except BaseException:
        _end({} if joined else parts, owns_ray=owns_ray)
        raise
    trouble = (f"Storage cannot be searched now. {each['trouble']}" for each in status if each.get("trouble"))
    return System(parts, lock, owns_ray=owns_ray, notes=(*of_keys, *said, *begun, *trouble))


def _log(folder: DataFolder, own: str, options: Options) -> tuple[str, str, tuple[str, ...]]:
    """The log's id, made now where there is none; the node that the parts belong on ("": any); what the user should
    know of it."""
    if options.address:
        return whereabouts.settle(folder, own, rehome=options.rehome)
    return begin(folder.log_path()), "", ()


async def _started(parts: Mapping[str, Any]) -> None:
    """Wait until each part has its process; what it has to do before it serves has no limit. Raises BadInput."""
    pings = {name: asyncio.ensure_future(unwrapped(part.__ray_call__.remote(_pid))) for name, part in parts.items()}
    _, late = await asyncio.wait(pings.values(), timeout=BOOT_S)
    for ping in late:
        ping.cancel()
    if late:
        names = ", ".join(name for name, ping in pings.items() if ping in late)
        words = own_ray.last_words()
        said = f" Ray's last words: {words}" * bool(words)
        raise BadInput(_NO_START.format(names=names, seconds=BOOT_S, words=said))
    for ping in pings.values():
        ping.result()


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
        own_ray.stop()


def _names(folder: DataFolder, options: Options) -> str:
    """What the parts' names end with: of a cluster's, the same for every driver that names this folder."""
    if not options.address:
        return f"-0-{uuid.uuid4().hex[:8]}"
    return f"-0-{hashlib.sha256(str(folder.path.resolve()).encode()).hexdigest()[:8]}"


def _there(name: str) -> bool:
    """Whether the cluster has this actor."""
    import ray

    try:
        ray.get_actor(name)
    except ValueError:
        return False
    return True


def _parts(folder: DataFolder, options: Options, own: str, log_id: str, node: str) -> dict[str, Any]:
    """The five actors; each restarts by itself, for ever, and reads what it owes from the log. Those of a cluster stay
    on the node that has the folder.

    They find the log by its name: a handle among their arguments would have to be kept for every restart.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from palimpsest.actors import llm, log, memory, storage, timer

    def options_of(name: str) -> dict[str, Any]:
        shared: dict[str, Any] = {}
        if options.address:
            shared = {"lifetime": "detached", "get_if_exists": True}
            shared["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=False)
        return {**RESTARTS, **shared, "name": name, "max_concurrency": 1000}

    log_name = f"log{own}"
    holder = f"the cluster at {options.address}" if options.address else ""
    log_actor = log.remote(**options_of(log_name)).remote(
        str(folder.log_path()), log_id, dict(options.limits), options.max_pages, holder
    )
    memory_options = {"capacity": options.capacity, "snapshot_every": options.snapshot_every}
    return {
        "log": log_actor,
        "memory": memory.remote(**options_of(f"memory{own}")).remote(log_name, memory_options),
        "llm": llm.remote(**options_of(f"llm{own}")).remote(
            log_name, dict(options.model), options.capacity, options.keys or Handed()
        ),
        "storage": storage.remote(**options_of(f"storage{own}")).remote(
            log_name, str(folder.index_path()), options.index
        ),
        "timer": timer.remote(**options_of(f"timer{own}")).remote(log_name),
    }
