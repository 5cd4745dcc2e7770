"""`search` and `reindex`: what an agent finds, now or as of any event, and the index built anew. Nothing starts Ray.

Rule: a search takes the index if nobody has it, and brings it up to the log; where a running system has it, an index of
just what the agent sees is built from the log in a temporary folder. Both find the same.
"""

from __future__ import annotations

import contextlib
import heapq
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from palimpsest.actors.parts.index import open_index
from palimpsest.console.options import (
    index_settings,
)
from palimpsest.console.progress import bar
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import BadInput
from palimpsest.events.passages import Page as Found
from palimpsest.events.sources import stream_of
from palimpsest.questions.streams import agent_head, check_event
from palimpsest.store.index.bearing import BEARING
from palimpsest.store.index.points import View
from palimpsest.store.index.projection import MemoryIndex
from palimpsest.store.library.functions import Sight, bounds_of, sight_of
from palimpsest.store.logs.contract import LogReader
from palimpsest.store.logs.states import load

BATCH: Final = 1000
PART_BYTES: Final = 200_000
PAGE_SIZE: Final = 5


def catch_up(index: MemoryIndex, log: LogReader) -> None:
    """Apply to the index what the log has gained, with a bar where that takes a while."""
    end = log.position()
    with bar("Indexing", end - index.position) as step:
        while index.position < end:
            envelopes, position = log.tail(index.position, BATCH, BEARING)
            for part in _parts(envelopes):
                before = index.position
                index.apply(part, part[-1].position)
                step(index.position - before)
            before = index.position
            index.apply([], position)
            step(index.position - before)
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


def _recalled(index: MemoryIndex, sight: Sight, query: str, page: int, only: tuple[str, str, str]) -> Found:
    """What was said, by whom and from which day to which. Raises BadInput where these are none."""
    who, first, last = only
    try:
        start_ms, end_ms = bounds_of(first, last)
        return index.search(
            sight.own, kind="message", query=query, page=page, size=PAGE_SIZE, own=len(sight.own),
            who=who, start_ms=start_ms, end_ms=end_ms,
        )  # fmt: skip
    except ValueError as error:
        raise BadInput(str(error)) from error


def sight_after(log: LogReader, agent: str, at: int | None) -> Sight:
    """What an agent sees after its event `at` (None: now). Raises UnknownAgent; BadInput if it has no such event."""
    head = agent_head(log, agent)
    check_event(head, at, "--at")
    state = load(log, agent, to=at)
    assert state is not None, "a stream with a head has events"
    position = log.position() if at is None else log.read(agent, at - 1, at)[0].position
    sources = {source: log.seq_at(stream_of(source), position) for source in state.sources}
    return sight_of(agent, state.seq, log.lineage(agent), sources)


@contextlib.contextmanager
def private_index(log: LogReader, views: tuple[View, ...]) -> Iterator[MemoryIndex]:
    """An index of just these views, in a temporary folder."""
    embedded = replace(index_settings(), qdrant_url="")
    with (
        tempfile.TemporaryDirectory(prefix="palimpsest-") as folder,
        contextlib.closing(open_index(Path(folder) / "index", embedded, log)) as private,
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
