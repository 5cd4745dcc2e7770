"""The event log in plain dicts: the same contract as on disk, for tests, simulations and trying things out.

It is written to be obviously right, not to be fast. `Volume` stands for the disk, an `InMemoryLog` for one process that
has it open: several over one `Volume` fence each other off as several processes would.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Self

from palimpsest.events.envelope import GENESIS, Envelope
from palimpsest.events.errors import Fenced, LogReadOnly
from palimpsest.events.kinds import Kind
from palimpsest.events.position import FIRST_PARTITION, Partition, Position, check_same
from palimpsest.events.types import Parent
from palimpsest.events.vocabulary import Topic
from palimpsest.store.bundles.manifest import Redacted
from palimpsest.store.logs.admission import Admission, OpenRequest
from palimpsest.store.logs.contract import Append, Appended, Committed, Resting, Snapshot, StreamHead, parts, superseded


class Volume:
    """What a partition holds; it answers what an admission asks."""

    def __init__(self, partition: Partition = FIRST_PARTITION) -> None:
        self.partition = partition
        self.lock = threading.RLock()
        self.epoch = 0
        self.events: list[Envelope] = []
        """By position: event number n is events[n - 1]."""
        self.streams: dict[str, list[Envelope]] = {}
        """By agent: its own events, in order."""
        self.keys: dict[tuple[str, str], Envelope] = {}
        self.requests: dict[tuple[str, str], OpenRequest] = {}
        self.cursors: dict[str, int] = {}
        self.snapshots: dict[str, dict[int, Snapshot]] = {}
        self.forks: dict[str, Parent] = {}
        self.redactions: dict[str, Redacted] = {}

    def end(self, agent: str) -> tuple[int, bytes]:
        stream = self.streams.get(agent)
        return (stream[-1].seq, stream[-1].hash) if stream else (0, GENESIS)

    def root(self, parent: Parent) -> tuple[Parent, bytes] | None:
        for envelope in self.whole(parent.agent):
            if envelope.seq == parent.seq:
                return Parent(agent=envelope.stream, seq=envelope.seq), envelope.hash
        return None

    def lineage(self, agent: str) -> list[Parent]:
        found = []
        while agent in self.forks:
            found.append(self.forks[agent])
            agent = found[-1].agent
        return found

    def whole(self, agent: str) -> list[Envelope]:
        """A stream's events, a fork's with those that it inherited."""
        return [
            envelope
            for part in parts(agent, self.lineage(agent))
            for envelope in self.streams.get(part.stream, [])
            if part.after < envelope.seq <= part.to
        ]

    def placed(self, agent: str, key: str) -> tuple[int, Position] | None:
        envelope = self.keys.get((agent, key))
        return (envelope.seq, envelope.position) if envelope else None

    def request(self, agent: str, key: str) -> OpenRequest | None:
        return self.requests.get((agent, key))

    @property
    def end_position(self) -> Position:
        return Position(self.partition, len(self.events))

    def write(self, batch: Admission) -> None:
        for envelope in batch.envelopes:
            self.events.append(envelope)
            self.streams.setdefault(envelope.stream, []).append(envelope)
            self.keys[envelope.stream, envelope.key] = envelope
        self.requests.update(batch.opened)
        for request in batch.closed:
            del self.requests[request.stream, request.key]
        self.cursors.update(batch.cursors)
        self.forks.update(batch.forks)
        self.redactions.update((each.stream, each) for each in batch.redactions)
        for snapshot in batch.snapshots:
            self.snapshots.setdefault(snapshot.stream, {})[snapshot.seq] = snapshot
        for agent in {snapshot.stream for snapshot in batch.snapshots}:
            for seq in superseded(self.snapshots[agent]):
                del self.snapshots[agent][seq]


class InMemoryLog:
    """A `LogStore` over a `Volume`; without one, over its own. Safe to use from several threads."""

    def __init__(self, volume: Volume | None = None) -> None:
        self._volume = volume or Volume()
        self._epoch = 0

    @property
    def partition(self) -> Partition:
        return self._volume.partition

    @property
    def partitions(self) -> tuple[Partition, ...]:
        return (self.partition,)

    # --- writing

    def open_epoch(self) -> int:
        with self._volume.lock:
            self._volume.epoch += 1
            self._epoch = self._volume.epoch
            return self._epoch

    def append(self, appends: Sequence[Append]) -> list[list[Appended]]:
        return self.commit(appends).answers

    def commit(self, appends: Sequence[Append]) -> Committed:
        with self._volume.lock:
            self._check_epoch()
            batch = Admission(self._volume, self._volume.end_position)
            answers = [batch.admit(append) for append in appends]
            self._volume.write(batch)
            return Committed(answers, batch.envelopes)

    def limit_pages(self, max_pages: int | None) -> None:
        """Memory has no pages."""

    def _check_epoch(self) -> None:
        if self._epoch == 0:
            raise LogReadOnly("the log in memory")
        if self._epoch != self._volume.epoch:
            raise Fenced(self._epoch, self._volume.epoch)

    # --- reading

    def read(
        self,
        agent: str,
        after: int = 0,
        to: int | None = None,
        limit: int | None = None,
        kinds: frozenset[Kind] | None = None,
    ) -> list[Envelope]:
        with self._volume.lock:
            stretch = [e for e in self._volume.whole(agent) if after < e.seq and (to is None or e.seq <= to)]
        return [envelope for envelope in stretch if kinds is None or envelope.kind in kinds][:limit]

    def tail(
        self, after: Position, limit: int, kinds: frozenset[Kind] | None = None
    ) -> tuple[list[Envelope], Position]:
        found: list[Envelope] = []
        with self._volume.lock:
            scanned_to = after
            for envelope in self._volume.events[after.number_in(self.partition) :]:
                if len(found) == limit:
                    break
                scanned_to = envelope.position
                if kinds is None or envelope.kind in kinds:
                    found.append(envelope)
        return found, scanned_to

    def head(self, agent: str) -> StreamHead | None:
        with self._volume.lock:
            stream = self._volume.streams.get(agent)
            return _head(stream) if stream else None

    def heads(self, after: str = "", limit: int | None = None) -> list[StreamHead]:
        with self._volume.lock:
            agents = sorted(agent for agent in self._volume.streams if agent > after)
            return [_head(self._volume.streams[agent]) for agent in agents[:limit]]

    def lineage(self, agent: str) -> list[Parent]:
        with self._volume.lock:
            return self._volume.lineage(agent)

    def position(self, partition: Partition) -> Position:
        check_same(partition, self.partition)
        with self._volume.lock:
            return self._volume.end_position

    def open_requests(self, topic: Topic | Resting, partition: Partition) -> list[Envelope]:
        check_same(partition, self.partition)
        return self._opened(topic, None)

    def open_requests_of(self, agent: str, topic: Topic | Resting) -> list[Envelope]:
        return self._opened(topic, agent)

    def _opened(self, topic: Topic | Resting, agent: str | None) -> list[Envelope]:
        with self._volume.lock:
            requests = self._volume.requests.values()
            positions = sorted(r.position for r in requests if r.topic == topic and agent in (None, r.stream))
            return [self._volume.events[position.number - 1] for position in positions]

    def cursor(self, consumer: str, partition: Partition) -> Position:
        check_same(partition, self.partition)
        with self._volume.lock:
            return Position(partition, self._volume.cursors.get(consumer, 0))

    def snapshots(self, agent: str, to: int | None = None, limit: int | None = None) -> list[Snapshot]:
        with self._volume.lock:
            found = {
                seq: snapshot
                for part in parts(agent, self._volume.lineage(agent))
                for seq, snapshot in self._volume.snapshots.get(part.stream, {}).items()
                if part.after < seq <= part.to
            }
            return [found[seq] for seq in sorted(found, reverse=True) if to is None or seq <= to][:limit]

    def redaction(self, agent: str) -> Redacted | None:
        with self._volume.lock:
            return self._volume.redactions.get(agent)

    def hash_at(self, agent: str, seq: int) -> bytes | None:
        with self._volume.lock:
            return next((envelope.hash for envelope in self._volume.whole(agent) if envelope.seq == seq), None)

    def seq_at(self, agent: str, position: Position) -> int:
        check_same(position.partition, self.partition)
        with self._volume.lock:
            return max((e.seq for e in self._volume.whole(agent) if e.position <= position), default=0)

    def find(self, agent: str, key: str) -> Envelope | None:
        with self._volume.lock:
            return self._volume.keys.get((agent, key))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing to let go: the bytes are `Volume`'s."""


def _head(stream: list[Envelope]) -> StreamHead:
    first, last = stream[0], stream[-1]
    return StreamHead(last.stream, last.seq, last.hash, last.position, first.time, last.time)
