"""Importing: a bundle's streams into a log, byte for byte.

Rules. (1) The whole bundle is proved before anything is written: the file's seal, every chain, every context. (2) It
stays at rest: what its events opened is not owed here, and nothing of it runs. (3) What is there already is not written
again, so an import that was interrupted goes on when it is given again; a stream with another history is never touched.
(4) The proof's states are saved as snapshots, so that any event of a long stream is near one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from palimpsest.events.addresses import addresses_in
from palimpsest.events.envelope import GENESIS, Draft, Envelope, chain, draft_of
from palimpsest.events.errors import BundleNotProved, LogDamaged, NameInBundle, NameTaken
from palimpsest.events.replay import Replayer
from palimpsest.events.sources import is_source
from palimpsest.events.state import State
from palimpsest.events.types import Parent, Settings
from palimpsest.events.vocabulary import TOPICS
from palimpsest.store.bundles.file import BundleReader, Progress, no_progress
from palimpsest.store.bundles.manifest import BundledStream, Manifest, Redacted
from palimpsest.store.logs.contract import DECIDER, SNAPSHOT_EVENTS, Append, LogStore, Snapshot
from palimpsest.store.logs.states import snapshot_of

BATCH_BYTES: Final = 32_000_000
"""So much is appended in one transaction: all of most bundles."""


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A stream as it is now: `written` of its `events` were new here, and `bundled` is its name in the bundle."""

    name: str
    bundled: str
    events: int
    written: int
    hash: bytes


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did. `resting` says that the agent was in the middle of a turn, and `alarms` how many timers were
    set: neither goes on here. `retired`: it takes no inputs."""

    agent: str
    at: int
    streams: tuple[Taken, ...]
    contexts: int
    redacted: int
    resting: bool
    alarms: int
    retired: bool = False
    addresses: tuple[str, ...] = ()
    """The model servers that the agent, or a fork of it, would call."""

    @property
    def written(self) -> int:
        return sum(stream.written for stream in self.streams)


def import_bundle(
    log: LogStore,
    path: Path,
    *,
    name: str = "",
    distrust: Callable[[tuple[str, ...]], None] = lambda _addresses: None,
    progress: Progress = no_progress,
) -> Imported:
    """Take a bundle in; `name`: what the agent is to be called here, if otherwise. The log's one writer calls it.
    `distrust` is given the servers that the bundle would call, before anything is written.

    Raises BundleUnreadable, NewerFormat, LogDamaged where a proof fails, and NameTaken, with nothing written; and
    LogUnavailable, after which the same call goes on where the disk was full."""
    proof = _prove(log, path, name, progress)
    streams = tuple(_taken(log, each, proof) for each in proof.manifest.streams)
    written = {each.bundled: each.events - each.written for each in streams if each.written}
    if written:
        distrust(tuple(proof.addresses))
        _write(log, path, proof, written)
        for each in streams:
            if log.hash_at(each.name, proof.manifest.stream(each.bundled).last) != each.hash:
                raise LogDamaged(each.name, 1, f"{path} changed while it was read; import it again")
    state = proof.state
    return Imported(
        agent=proof.name_of(proof.manifest.agent),
        at=proof.manifest.at,
        streams=streams,
        contexts=proof.contexts,
        redacted=proof.redacted,
        resting=bool(state.turn or state.pending),
        alarms=len(state.alarms),
        retired=state.retired is not None,
        addresses=tuple(proof.addresses),
    )


# --- the proof ----------------------------------------------------------------------------------------------------


def _prove(log: LogStore, path: Path, name: str, progress: Progress) -> _BundleProof:
    with BundleReader(path) as reader:
        proof = _BundleProof(reader.manifest, name, path)
        for stream in reader.manifest.streams:
            head = log.head(proof.name_of(stream.name))
            proof.watch(stream, head.seq if head else 0)
        for each in reader.envelopes():
            proof.take(each)
            progress(1)
    return proof


class _BundleProof:
    """A bundle's events, proved as they come by; and what its streams' hashes will be here."""

    def __init__(self, manifest: Manifest, name: str, path: Path) -> None:
        self.manifest = manifest
        self.redacted = 0
        self.hashes: dict[tuple[str, int], bytes] = {}
        """By the bundle's name for a stream, and by seq: what the log here is to have there."""
        self._names = {manifest.agent: name or manifest.agent}
        if any(stream.name == name for stream in manifest.streams if stream.name != manifest.agent):
            raise NameInBundle(name, str(path))
        self._path = path
        self._excused = {(each.stream, seq) for each in manifest.redactions for seq in each.unprovable}
        self._line = Replayer(manifest.agent)
        self._sources = {each.name: Replayer(each.name) for each in manifest.streams if is_source(each.name)}
        self.snapshots: dict[tuple[str, int], Snapshot] = {}
        """By the bundle's name and seq; as they are to be here."""
        self.addresses: dict[str, None] = {}
        self._settings: Settings | None = None
        self._ends: dict[str, bytes] = {}
        self._wanted: set[tuple[str, int]] = set()

    def name_of(self, stream: str) -> str:
        """What a stream is called here."""
        return self._names.get(stream, stream)

    def redactions(self) -> dict[str, Redacted]:
        """What was masked, by the streams' names here."""
        named = ((self.name_of(each.stream), each) for each in self.manifest.redactions)
        return {name: msgspec.structs.replace(each, stream=name) for name, each in named}

    def watch(self, stream: BundledStream, seq: int) -> None:
        """Keep the hash at a seq, and at the stream's end."""
        self._wanted |= {(stream.name, seq), (stream.name, stream.last)}

    def take(self, at: Envelope) -> None:
        """The next event. Raises BundleNotProved where it is not."""
        difference = self._sources.get(at.stream, self._line).feed(at)
        if difference and difference.context and (at.stream, at.seq) in self._excused:
            self.redacted += 1
        elif difference:
            raise BundleNotProved(at.stream, at.seq, difference.what, str(self._path))
        if at.stream not in self._sources and self.state.settings is not self._settings:
            self._settings = self.state.settings
            self.addresses |= dict.fromkeys(addresses_in(self._settings))
        self._ends[at.stream] = self._hash(at)
        if (at.stream, at.seq) in self._wanted:
            self.hashes[at.stream, at.seq] = self._ends[at.stream]
        if at.seq % SNAPSHOT_EVENTS == 0 and at.stream not in self._sources:
            state = msgspec.structs.replace(self.state, agent=self.name_of(at.stream))
            self.snapshots[at.stream, at.seq] = snapshot_of(state, self._ends[at.stream])

    def _hash(self, at: Envelope) -> bytes:
        name = self.name_of(at.stream)
        if name == at.stream:
            return at.hash
        parent = self.manifest.stream(at.stream).parent
        before = self._ends.get(at.stream) or (self._ends[parent.agent] if parent else GENESIS)
        return chain(before, at.seq, msgspec.structs.replace(at, stream=name))

    @property
    def contexts(self) -> int:
        return self._line.contexts

    @property
    def state(self) -> State:
        assert self._line.state is not None, "a bundle has its agent's events"
        return self._line.state


# --- writing ------------------------------------------------------------------------------------------------------


def _taken(log: LogStore, stream: BundledStream, proof: _BundleProof) -> Taken:
    """What is to be written of a stream. Raises NameTaken where its name stands for another history, or for one that
    is at work here."""
    name, wanted = proof.name_of(stream.name), proof.hashes[stream.name, stream.last]
    head = log.head(name)
    if head is None:
        written = stream.events
    elif head.seq >= stream.last and log.hash_at(name, stream.last) == wanted:
        written = 0
    elif proof.hashes.get((stream.name, head.seq)) == head.hash and not _at_work(log, name):
        written = stream.last - head.seq
    else:
        raise NameTaken(name, renamed=stream.name == proof.manifest.agent)
    return Taken(name=name, bundled=stream.name, events=stream.events, written=written, hash=wanted)


def _at_work(log: LogStore, name: str) -> bool:
    return any(log.open_requests_of(name, topic) for topic in TOPICS)


def _write(log: LogStore, path: Path, proof: _BundleProof, there: Mapping[str, int]) -> None:
    """Append what is not there yet; `there` counts each stream's own events that are."""
    batch = _Intake(log, proof.redactions())
    with BundleReader(path) as reader:
        streams = {each.name: each for each in reader.manifest.streams if each.name in there}
        for at in reader.envelopes():
            stream = streams.get(at.stream)
            if stream is None or at.seq < stream.first + there[at.stream]:
                continue
            parent = stream.parent if at.seq == stream.first else None
            batch.add(draft_of(at, proof.name_of(at.stream)), at.seq, parent, proof.snapshots.get((at.stream, at.seq)))
    batch.append()


class _Intake:
    """Drafts on their way in. The memory manager's cursor goes past them: it has nothing to decide."""

    def __init__(self, log: LogStore, redactions: Mapping[str, Redacted]) -> None:
        self._log = log
        self._redactions = redactions
        self._appends: list[Append] = []
        self._position = log.position(log.partition)
        self._begin()

    def _begin(self) -> None:
        self._drafts: list[Draft] = []
        self._expected: dict[str, int] = {}
        self._forks: dict[str, Parent] = {}
        self._snapshots: list[Snapshot] = []
        self._size = 0

    def add(self, draft: Draft, seq: int, parent: Parent | None, snapshot: Snapshot | None) -> None:
        """The next draft; a fork's first one in an append of its own, which sees its parent in those before."""
        if parent:
            self._end()
            self._forks[draft.stream] = parent
        self._expected.setdefault(draft.stream, 0 if parent else seq - 1)
        self._drafts.append(draft)
        if snapshot is not None:
            self._snapshots.append(snapshot)
        self._size += len(draft.body)
        if self._size >= BATCH_BYTES:
            self.append()

    def _end(self) -> None:
        self._position = self._position.moved(len(self._drafts))
        self._appends.append(
            Append(
                tuple(self._drafts),
                self._expected,
                (DECIDER, self._position),
                tuple(self._snapshots),
                self._forks,
                at_rest=True,
                redactions=tuple(self._redactions[name] for name in self._expected if name in self._redactions),
            )
        )
        self._begin()

    def append(self) -> None:
        """All that was added, in one transaction."""
        self._end()
        answers = self._log.append(self._appends)
        assert all(one.outcome == "appended" for each in answers for one in each), "the streams are as they were found"
        self._appends = []
