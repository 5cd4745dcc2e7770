"""A bundle as a log to read: every read command works on one as on a data folder.

It is read whole into memory, and checked on the way. Rules. (1) Positions are numbered anew, in the old order: what was
as of an event still is. (2) What the agent waits for is open, as it was; what its ancestors were cut off from is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from events.envelope import Envelope
from events.errors import BadInput
from store.admission import Request
from store.bundle import BundleReader, Progress, no_progress
from store.manifest import Manifest
from store.memory_log import Memory, MemoryLog

MOST_BYTES: Final = 2 * 1024**3
"""As much is held in memory; a larger bundle is imported first."""


class BundleLog(MemoryLog):
    """What a bundle has, for reading only."""

    def __init__(self, manifest: Manifest, memory: Memory) -> None:
        super().__init__(memory)
        self.manifest = manifest

    def unprovable(self, agent: str) -> frozenset[int]:
        """The seqs of an agent's requests whose contexts hold masked text, its ancestors' included."""
        by_name = {each.stream: each.unprovable for each in self.manifest.redactions}
        lines = lineage(self.manifest, agent)
        return frozenset(seq for name in lines for seq in by_name.get(name, ()))


def lineage(manifest: Manifest, agent: str) -> Iterator[str]:
    """The streams that an agent's history goes through, its own first."""
    parents = {stream.name: stream.parent for stream in manifest.streams}
    name: str | None = agent
    while name in parents:
        yield name
        parent = parents.pop(name)
        name = parent.agent if parent else None


def read_bundle(path: Path, progress: Progress = no_progress) -> BundleLog:
    """The log that a bundle holds. Raises BundleUnreadable, NewerFormat; BadInput where there is no such file, or it
    is too large to be held in memory."""
    with BundleReader(path) as reader:
        memory = Memory()
        for each in reader.envelopes():
            _put(memory, each, reader.manifest.agent)
            if reader.unpacked > MOST_BYTES:
                raise BadInput(f"The bundle {path} is too large to be read in place: `import {path}` takes it in.")
            if each.position % 1000 == 0:
                progress(1000)
        return BundleLog(reader.manifest, memory)


def _put(memory: Memory, each: Envelope, agent: str) -> None:
    memory.events.append(each)
    memory.streams.setdefault(each.agent, []).append(each)
    memory.keys[each.agent, each.key] = each
    if each.agent == agent and each.closes:
        memory.requests.pop((agent, each.closes), None)
    if each.agent == agent and each.opens:
        memory.requests[agent, each.key] = Request(agent, each.key, each.opens, each.position)
