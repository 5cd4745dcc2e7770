"""What an agent finds in its memory, now or as of any event, on an index that was brought up to the log.

Rules. (1) An index of just what an agent sees, built from the log in a temporary folder, finds the same as the log's
own. (2) The engine and what it needs are imported when something is searched.
"""

from __future__ import annotations

import contextlib
import heapq
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
from msgspec.structs import replace

from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import BadInput
from palimpsest.events.passages import HitPage
from palimpsest.events.sources import stream_of
from palimpsest.questions.streams import agent_head, check_event
from palimpsest.store.bundles.file import Progress, no_progress
from palimpsest.store.index.bearing import BEARING
from palimpsest.store.index.settings import PointKind
from palimpsest.store.logs.contract import LogReader, partition_of
from palimpsest.store.logs.states import load

if TYPE_CHECKING:
    from palimpsest.store.index.points import View
    from palimpsest.store.index.projection import MemoryIndex
    from palimpsest.store.index.settings import IndexSettings
    from palimpsest.store.library.functions import Sight

BATCH: Final = 1000
PART_BYTES: Final = 200_000
STORES: Final = ("recall", "archival")
PAGE_SIZE: Final = 5


def catch_up(index: MemoryIndex, log: LogReader, progress: Progress = no_progress) -> None:
    """Apply to the index what the log has gained; `progress` is called with the number of events that are done."""
    end = log.position(index.partition)
    while index.position < end:
        envelopes, position = log.tail(index.position, BATCH, BEARING)
        for part in _parts(envelopes):
            before = index.position
            index.apply(part, part[-1].position)
            progress(index.position.since(before))
        before = index.position
        index.apply([], position)
        progress(index.position.since(before))
    index.flush()


def _parts(envelopes: Sequence[Envelope]) -> Iterator[list[Envelope]]:
    """Some seconds' work at most in each: one stretch of a document holds as much as hundreds of messages."""
    part: list[Envelope] = []
    size = 0
    for envelope in envelopes:
        part.append(envelope)
        size += len(envelope.body)
        if size >= PART_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


class Sayings(msgspec.Struct, frozen=True):
    """Which messages are searched: whose ("user", "assistant", or a name), from which day to which (YYYY-MM-DD)."""

    who: str = ""
    first: str = ""
    last: str = ""


ALL_SAYINGS: Final = Sayings()


class Searched(Protocol):
    """An index that can be searched: in this process, or a running system's."""

    def search(
        self,
        views: Sequence[View],
        *,
        kind: PointKind,
        query: str,
        page: int,
        size: int,
        own: int = 1,
        who: str = "",
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> HitPage: ...


def found_in(
    index: Searched, sight: Sight, query: str, *, stores: Sequence[str] = STORES, page: int = 0,
    said: Sayings = ALL_SAYINGS,
) -> dict[str, HitPage]:  # fmt: skip
    """A page of what each store has; of archival storage only where all sayings are meant. Raises BadInput where a day
    is none."""
    found: dict[str, HitPage] = {}
    if "recall" in stores:
        found["recall"] = _recalled(index, sight, query, page, said)
    if "archival" in stores and said == ALL_SAYINGS:
        own = len(sight.own)
        found["archival"] = index.search(sight.all, kind="passage", query=query, page=page, size=PAGE_SIZE, own=own)
    return found


def _recalled(index: Searched, sight: Sight, query: str, page: int, said: Sayings) -> HitPage:
    from palimpsest.store.library.functions import bounds_of

    try:
        start_ms, end_ms = bounds_of(said.first, said.last)
        return index.search(
            sight.own, kind="message", query=query, page=page, size=PAGE_SIZE, own=len(sight.own),
            who=said.who, start_ms=start_ms, end_ms=end_ms,
        )  # fmt: skip
    except ValueError as error:
        raise BadInput(str(error)) from error


def sight_after(log: LogReader, agent: str, at: int | None) -> Sight:
    """What an agent sees after its event `at` (None: now). Raises UnknownAgent; BadInput if it has no such event."""
    from palimpsest.store.library.functions import sight_of

    head = agent_head(log, agent)
    check_event(head, at, "at")
    state = load(log, agent, to=at)
    assert state is not None, "a stream with a head has events"
    position = log.position(head.partition) if at is None else log.read(agent, at - 1, at)[0].position
    sources = {source: log.seq_at(stream_of(source), position) for source in state.sources}
    return sight_of(agent, state.seq, log.lineage(agent), sources)


@contextlib.contextmanager
def private_index(log: LogReader, views: tuple[View, ...], settings: IndexSettings) -> Iterator[MemoryIndex]:
    """An index of just these views, in a temporary folder."""
    from palimpsest.actors.parts.index import open_index

    embedded, partition = replace(settings, qdrant_url=""), partition_of(log, views[0].stream)
    with (
        tempfile.TemporaryDirectory(prefix="palimpsest-") as folder,
        contextlib.closing(open_index(Path(folder) / "index", partition, embedded, log)) as private,
    ):
        _fill(private, log, views)
        yield private


def _fill(index: MemoryIndex, log: LogReader, views: tuple[View, ...]) -> None:
    """Apply the events of the streams in view, in the log's order."""
    merged = heapq.merge(*(_events(log, view) for view in views), key=lambda envelope: envelope.position)
    batch: list[Envelope] = []
    for envelope in merged:
        batch.append(envelope)
        if len(batch) >= BATCH:
            index.apply(batch, batch[-1].position)
            batch = []
    if batch:
        index.apply(batch, batch[-1].position)


def _events(log: LogReader, view: View) -> Iterator[Envelope]:
    """The stream's own: what a fork goes on from is another view's."""
    after = next((parent.seq for parent in log.lineage(view.stream)), 0)
    while chunk := log.read(view.stream, after, view.as_of, 50, BEARING):
        yield from chunk
        after = chunk[-1].seq
