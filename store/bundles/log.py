"""A bundle as a log to read: every read command works on one as on a data folder.

It is read whole into memory, and checked on the way. Rules. (1) Positions are numbered anew, in the old order: what was
as of an event still is. (2) What the agent waits for is open, as it was; what its ancestors were cut off from is not.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import BundleTooLarge
from palimpsest.events.kinds import Kind
from palimpsest.events.position import Position
from palimpsest.store.bundles.exporting import manifest_of, merged
from palimpsest.store.bundles.file import BundleReader, Progress, no_progress
from palimpsest.store.bundles.manifest import Manifest
from palimpsest.store.logs.admission import OpenRequest
from palimpsest.store.logs.contract import LogReader
from palimpsest.store.logs.in_memory import InMemoryLog, Volume

MOST_BYTES: Final = 2 * 1024**3
"""As much is held in memory; a larger bundle is imported first."""


class BundleLog(InMemoryLog):
    """What a bundle has, for reading only."""

    def __init__(self, manifest: Manifest, volume: Volume) -> None:
        super().__init__(volume)
        self.manifest = manifest
        self._wholes: dict[str, list[Envelope]] = {}

    # What does not change may be found at once, also in the midst of a long stream: event n is number n - 1.

    def read(
        self,
        agent: str,
        after: int = 0,
        to: int | None = None,
        limit: int | None = None,
        kinds: frozenset[Kind] | None = None,
    ) -> list[Envelope]:
        wanted = (e for e in islice(self._whole(agent), after, to) if kinds is None or e.kind in kinds)
        return list(islice(wanted, limit))

    def hash_at(self, agent: str, seq: int) -> bytes | None:
        whole = self._whole(agent)
        return whole[seq - 1].hash if 1 <= seq <= len(whole) else None

    def seq_at(self, agent: str, position: Position) -> int:
        return bisect_right(self._whole(agent), position.number_in(self.partition), key=_number)

    def _whole(self, agent: str) -> list[Envelope]:
        if agent not in self._wholes:
            self._wholes[agent] = self._volume.whole(agent)
        return self._wholes[agent]


_number: Final[Callable[[Envelope], int]] = attrgetter("position.number")


def read_bundle(path: Path, progress: Progress = no_progress) -> BundleLog:
    """The log that a bundle holds. Raises BundleUnreadable, NewerFormat; BadInput where there is no such file, or it
    is too large to be held in memory."""
    with BundleReader(path) as reader:
        volume = Volume()
        _know(volume, reader.manifest)
        for each in reader.envelopes():
            _put(volume, each, reader.manifest.agent)
            if reader.unpacked > MOST_BYTES:
                raise BundleTooLarge(str(path))
            if each.position.number % 1000 == 0:
                progress(1000)
        return BundleLog(reader.manifest, volume)


def held(log: LogReader, agent: str, at: int) -> InMemoryLog:
    """An agent of a log as its bundle would hold it up to an event: a copy in memory that may be written to."""
    manifest, volume = manifest_of(log, agent, at), Volume()
    _know(volume, manifest)
    for each in merged(log, manifest):
        _put(volume, replace(each, position=volume.end_position.moved(1)), agent)
    return InMemoryLog(volume)


def _know(volume: Volume, manifest: Manifest) -> None:
    """What a manifest says of streams: what they go on from, and what was masked."""
    volume.forks = {each.name: each.parent for each in manifest.streams if each.parent}
    volume.redactions = {each.stream: each for each in manifest.redactions}


def _put(volume: Volume, each: Envelope, agent: str) -> None:
    volume.events.append(each)
    volume.streams.setdefault(each.stream, []).append(each)
    volume.keys[each.stream, each.key] = each
    if each.stream == agent and each.closes:
        volume.requests.pop((agent, each.closes), None)
    if each.stream == agent and each.opens:
        volume.requests[agent, each.key] = OpenRequest(agent, each.key, each.opens, each.position)
