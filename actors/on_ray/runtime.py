"""The five parts on Ray: started on one of our own, or made (or found) on a cluster.

Without an address the parts belong to this process, under names of their own, on the Ray that it has, or that is
started for it. With one, they belong to that cluster, under names made from the data folder's: the first driver makes
them, every other finds them, and they stay when it leaves.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
import uuid
from collections.abc import Mapping
from typing import Any, Final

import ray
from ray.experimental import internal_kv
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from palimpsest.actors.links.protocol import parts_of
from palimpsest.actors.on_ray import own_ray, whereabouts
from palimpsest.actors.on_ray.actors import LLM, Log, Memory, RayPart, Storage, Timers, remote, run_in, unwrapped
from palimpsest.actors.on_ray.whereabouts import Node
from palimpsest.actors.options import Options, keyed
from palimpsest.events.errors import ActorLost, BadInput
from palimpsest.events.position import FIRST_PARTITION
from palimpsest.store.folder import DataFolder
from palimpsest.store.keys.files import Handed

_SPACE: Final = b"palimpsest"
STOP_S: Final = 20.0
BOOT_S: Final = 60.0
_NO_START: Final = (
    "Parts of the system have no process after {seconds:.0f} s ({names}): Ray could start none, or the machine is too "
    "busy. See that the disk, /tmp and /dev/shm have room, and try again.{words}"
)


class RayRuntime:
    """The parts as Ray actors. `owned`: they end with `stop`, and so does Ray if it was started for them; `made`: by
    this process just now, and not found."""

    def __init__(
        self, handles: Mapping[str, Any], *, owned: bool, made: bool, owns_ray: bool, notes: tuple[str, ...]
    ) -> None:
        self.links = {name: RayPart(handle) for name, handle in handles.items()}
        self.parts = parts_of(self.links)
        self.notes = notes
        self._owned = owned
        self._made = made
        self._owns_ray = owns_ray

    async def pids(self) -> dict[str, int]:
        found = await asyncio.gather(*(run_in(link, _pid) for link in self.links.values()))
        return dict(zip(self.links, found, strict=True))

    async def give_up(self) -> None:
        """End what was made just now, and cannot serve: a log actor that is left would take the folder later."""
        made = self.links if self._made else {}
        _end({name: link.handle for name, link in made.items()}, owns_ray=self._owns_ray)

    async def stop(self) -> None:
        own = {name: link.handle for name, link in self.links.items()} if self._owned else {}
        try:
            await _flush(own)
        finally:
            _end(own, owns_ray=self._owns_ray)


async def begun(folder: DataFolder, options: Options) -> RayRuntime:
    """The parts of a data folder, ready to serve. Raises BadInput, and what the log or the index says is wrong."""
    owns_ray = not ray.is_initialized()
    said = own_ray.start(options.address) if owns_ray else ()
    parts: dict[str, Any] = {}
    own, joined = _names(folder, options), False
    try:
        log_id, node, new = _log(folder, own, options)
        options, of_keys = keyed(folder, options)
        joined = bool(options.address) and _there("log" + own)
        parts = _made(folder, options, own, log_id, node)
        if joined:
            await unwrapped(parts["llm"].take_keys.remote(options.keys))
        await _started(parts)
    except BaseException:
        _end({} if joined else parts, owns_ray=owns_ray)
        raise
    return RayRuntime(
        parts, owned=not options.address, made=not joined, owns_ray=owns_ray, notes=(*of_keys, *said, *new)
    )


def _pid(_actor: Any) -> int:
    return os.getpid()


def _log(folder: DataFolder, own: str, options: Options) -> tuple[str, str, tuple[str, ...]]:
    """The log's id, made now where there is none; the node that the parts belong on ("": any); what the user should
    know of it."""
    if options.address:
        return whereabouts.settle(RayCluster(), folder, own, rehome=options.rehome)
    return folder.log().begin(), "", ()


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
    for name in ("memory", "llm", "timer"):
        if name in parts:
            ray.kill(parts[name])
    for name in ("storage", "log"):
        if name in parts:
            with contextlib.suppress(ActorLost, TimeoutError):
                await asyncio.wait_for(unwrapped(parts[name].flush_and_close.remote()), STOP_S)


def _end(parts: Mapping[str, Any], *, owns_ray: bool) -> None:
    """End these parts for good, and Ray with them if it was started for them."""
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
    try:
        ray.get_actor(name)
    except ValueError:
        return False
    return True


def _made(folder: DataFolder, options: Options, own: str, log_id: str, node: str) -> dict[str, Any]:
    """The five actors; each restarts by itself, for ever, and reads what it owes from the log. Those of a cluster stay
    on the node that has the folder."""
    shared: dict[str, Any] = {"max_concurrency": 1000}
    if options.address:
        shared |= {"lifetime": "detached", "get_if_exists": True}
        shared["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=False)

    def made(name: str, actor: type, *arguments: object, **options: object) -> Any:
        return remote(actor, name=name + own, **shared).remote(*arguments, **options)

    log, partition = f"log{own}", FIRST_PARTITION
    path, index_path = str(folder.path), str(folder.index_path(partition))
    limits, keys = dict(options.limits), options.keys or Handed()
    return {
        "log": made("log", Log, path, partition, log_id, limits, options.max_pages, address=options.address),
        "memory": made("memory", Memory, log, options.capacity, options.snapshot_every),
        "llm": made("llm", LLM, log, dict(options.model), options.capacity, keys),
        "storage": made("storage", Storage, log, index_path, partition, options.index),
        "timer": made("timer", Timers, log),
    }


class RayCluster:
    """The cluster that this process has joined (`whereabouts.Cluster`)."""

    def here(self) -> Node:
        own = ray.get_runtime_context().get_node_id()
        address = next((node["NodeManagerAddress"] for node in self._nodes() if node["NodeID"] == own), "")
        return Node(own, socket.gethostname(), address)

    def alive(self) -> set[str]:
        return {node["NodeID"] for node in self._nodes() if node["Alive"]}

    def _nodes(self) -> list[dict[str, Any]]:
        nodes: Any = ray.nodes  # it has no types
        return list(nodes())

    def kept(self, name: str) -> bytes | None:
        kept: bytes | None = internal_kv._internal_kv_get(f"folder{name}".encode(), namespace=_SPACE)
        return kept

    def keep(self, name: str, value: bytes, *, overwrite: bool) -> None:
        internal_kv._internal_kv_put(f"folder{name}".encode(), value, overwrite, namespace=_SPACE)

    def end(self, name: str) -> None:
        for found in ray.util.list_named_actors():
            if found.endswith(name):
                ray.kill(ray.get_actor(found))
