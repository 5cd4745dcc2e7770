"""Exporting: which streams an agent's history hangs on, and their events in one order, into a bundle.

Rules. (1) A history is what the log gives as the agent's events: of a fork, its ancestors' come first, under their own
names. (2) A source comes along as far as the agent could see it. (3) Nothing is held but the events under way: a
redaction reads the log twice.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Final

import msgspec

from palimpsest.events.codec import decode
from palimpsest.events.debug.redact import Masks, Redactor
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import BadInput, EventMissing, LogDamaged
from palimpsest.events.kinds import kinds_of
from palimpsest.events.position import Position
from palimpsest.events.servers import all_of, summarizer
from palimpsest.events.sources import is_source, stream_of
from palimpsest.events.types import (
    AgentCreated,
    AgentForked,
    InferenceCompleted,
    Parent,
    ServerSwitched,
    Settings,
    SettingsChanged,
    SourceAttached,
)
from palimpsest.store.bundles.file import Progress, no_progress, write_bundle
from palimpsest.store.bundles.manifest import BundledStream, Manifest, Redacted
from palimpsest.store.bundles.versions import versions_now
from palimpsest.store.logs.contract import LogReader

CHUNK: Final = 2000
STRETCHES: Final = 20
"""So many events of a source at once: each may hold hundreds of passages."""

_BIRTHS: Final = kinds_of(AgentCreated, AgentForked)
_TELLING: Final = _BIRTHS | kinds_of(SettingsChanged, ServerSwitched, SourceAttached, InferenceCompleted)


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that was written."""

    path: str
    bytes: int
    manifest: Manifest


def export(
    log: LogReader,
    agent: str,
    at: int,
    path: Path,
    *,
    masks: Masks | None = None,
    force: bool = False,
    progress: Progress = no_progress,
) -> Exported:
    """Write the bundle of an agent as of its event `at`, which is there. Raises LogDamaged where the log lacks events,
    or where its chain is broken and something is to be masked; otherwise as `store.bundles.file.write_bundle`."""
    manifest = manifest_of(log, agent, at)
    if masks is None:
        size = write_bundle(path, manifest, merged(log, manifest), force=force, progress=progress)
        return Exported(path=str(path), bytes=size, manifest=manifest)
    manifest = _redacted(log, manifest, masks)
    redactor = Redactor(manifest.agent, masks)
    taken = map(redactor.take, merged(log, manifest))
    size = write_bundle(path, manifest, taken, force=force, progress=progress)
    return Exported(path=str(path), bytes=size, manifest=manifest)


def _redacted(log: LogReader, manifest: Manifest, masks: Masks) -> Manifest:
    """The manifest of what the redaction leaves: it is done once for this, and once more for the file."""
    redactor = Redactor(manifest.agent, masks)
    for each in merged(log, manifest):
        redactor.take(each)
    if not redactor.traces:
        raise BadInput("Nothing was masked: what is to be masked stands nowhere in these events. Nothing was written.")
    redactions = {each.stream: each for each in manifest.redactions}
    for name, trace in redactor.traces.items():
        made = Redacted(
            stream=name,
            masked=tuple(trace.masked),
            places=trace.places,
            unprovable=tuple(trace.unprovable),
            rechained=trace.rechained,
        )
        redactions[name] = _both(redactions[name], made) if name in redactions else made
    streams = tuple(
        msgspec.structs.replace(each, hash=redactor.hashes.get(each.name, each.hash)) for each in manifest.streams
    )
    return msgspec.structs.replace(manifest, streams=streams, redactions=tuple(redactions.values()))


def _carried(log: LogReader, streams: Sequence[BundledStream]) -> Iterator[Redacted]:
    """What was masked before these streams came here, as far as they go: else nobody could tell it from damage."""
    for stream in streams:
        each, end = log.redaction(stream.name), stream.last
        if each is not None and each.rechained <= end:
            masked = tuple(seq for seq in each.masked if seq <= end)
            unprovable = tuple(seq for seq in each.unprovable if seq <= end)
            places = each.places if masked == each.masked else len(masked)
            yield msgspec.structs.replace(each, masked=masked, unprovable=unprovable, places=places)


def _both(first: Redacted, second: Redacted) -> Redacted:
    return Redacted(
        stream=first.stream,
        masked=tuple(sorted({*first.masked, *second.masked})),
        places=first.places + second.places,
        unprovable=tuple(sorted({*first.unprovable, *second.unprovable})),
        rechained=min(filter(None, (first.rechained, second.rechained)), default=0),
    )


# --- which streams ------------------------------------------------------------------------------------------------


class _Survey:
    """What the telling events of a history say."""

    def __init__(self) -> None:
        self.born: list[tuple[str, int]] = []
        self.sources: dict[str, None] = {}
        self.models: dict[str, None] = {}
        self.encodings: dict[str, None] = {}

    def look(self, at: Envelope) -> None:
        if at.kind in _BIRTHS:
            self.born.append((at.stream, at.seq))
        event = decode(at)
        match event:
            case (
                AgentCreated(settings=settings) | SettingsChanged(settings=settings) | ServerSwitched(settings=settings)
            ):
                self._settings(settings)
            case AgentForked(settings=settings) if settings is not None:
                self._settings(settings)
            case SourceAttached(source=source):
                self.sources[source] = None
            case InferenceCompleted(model=model) if model:
                self.models[model] = None

    def _settings(self, settings: Settings) -> None:
        for asked in (*all_of(settings), summarizer(settings)):
            self.encodings[asked.encoding] = None
            self.models[asked.model] = None


def manifest_of(log: LogReader, agent: str, at: int) -> Manifest:
    """What the bundle of an agent as of its event `at` holds."""
    survey = _Survey()
    after = 0
    while chunk := log.read(agent, after, at, CHUNK, _TELLING):
        for each in chunk:
            survey.look(each)
        after = chunk[-1].seq
    last = log.read(agent, at - 1, at)
    if not last or not survey.born:
        raise EventMissing(agent, at, "the log lacks it, or the stream's first")
    streams = [*_line(log, agent, at, survey.born), *_sources(log, survey.sources, last[0].position)]
    versions = versions_now(models=tuple(survey.models), encodings=tuple(survey.encodings))
    redactions = tuple(_carried(log, streams))
    return Manifest(agent=agent, at=at, streams=tuple(streams), versions=versions, redactions=redactions)


def _line(log: LogReader, agent: str, at: int, born: list[tuple[str, int]]) -> Iterator[BundledStream]:
    """The streams of a history, the oldest ancestor's first, each up to where the next was forked off."""
    parent = None
    ends = [first - 1 for _, first in born[1:]] + [at]
    for (name, first), last in zip(born, ends, strict=True):
        yield BundledStream(name=name, first=first, last=last, hash=_hash_at(log, agent, last), parent=parent)
        parent = Parent(agent=name, seq=last)


def _sources(log: LogReader, names: dict[str, None], position: Position) -> Iterator[BundledStream]:
    for name in map(stream_of, names):
        seq = log.seq_at(name, position)
        if seq:
            yield BundledStream(name=name, first=1, last=seq, hash=_hash_at(log, name, seq))


def _hash_at(log: LogReader, agent: str, seq: int) -> bytes:
    found = log.hash_at(agent, seq)
    if found is None:
        raise LogDamaged(agent, seq, "the log lacks it")
    return found


# --- their events -------------------------------------------------------------------------------------------------


def merged(log: LogReader, manifest: Manifest) -> Iterator[Envelope]:
    """The events of a manifest's streams, by position. Raises LogDamaged where one is missing."""
    sources = [stream for stream in manifest.streams if is_source(stream.name)]
    runs = [_stretches(log, manifest.agent, manifest.at, CHUNK)]
    runs += [_stretches(log, source.name, source.last, STRETCHES) for source in sources]
    return heapq.merge(*runs, key=_position)


_position: Final[Callable[[Envelope], Position]] = attrgetter("position")


def _stretches(log: LogReader, agent: str, last: int, chunk: int) -> Iterator[Envelope]:
    after = 0
    while after < last:
        found = log.read(agent, after, last, chunk)
        for each in found:
            if each.seq != after + 1:
                break
            after = each.seq
            yield each
        if not found or found[-1].seq != after:
            raise EventMissing(agent, after + 1, "the log lacks it", whole=after)
