"""Where streams stand, for searches, which would ask the log for it each time: kept of what the log once said, and of
what it brought since.

Rule. Of a source that is kept, the seq is that of its last event *among those that were shown here*. Shown is all that
bears points or burials: what else a source's stream has changes nothing that a search finds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from operator import itemgetter
from typing import Final, Protocol

from palimpsest.events.envelope import Envelope
from palimpsest.events.position import Position
from palimpsest.events.types import Parent

STREAMS_KEPT: Final = 20_000
EVENTS_KEPT: Final = 32
"""Of a source, the latest: who asks for an earlier position has the log asked."""


class Heads(Protocol):
    """Where streams stand, as a log says it."""

    def seq_at(self, agent: str, position: Position) -> int: ...

    def lineage(self, agent: str) -> list[Parent]: ...


class KeptHeads:
    """The heads of a log that brings events up to `position` and on. One thread shows them and asks."""

    def __init__(self, log: Heads, position: Position) -> None:
        self._log = log
        self._position = position
        self._sources: dict[str, deque[tuple[int, int]]] = {}
        """Numbers of the partition, each with the seq that the stream had there."""
        self._lineages: dict[str, list[Parent]] = {}

    def show(self, envelopes: Iterable[Envelope], position: Position) -> None:
        """What bears, in the log's order, up to a position."""
        for envelope in envelopes:
            if (kept := self._sources.get(envelope.stream)) is not None:
                kept.append((envelope.position.number, envelope.seq))
        self._position = position

    def seq_at(self, agent: str, position: Position) -> int:
        """The seq that a source's stream had at a position up to which it was shown."""
        kept = self._sources.get(agent)
        if kept is None:
            if len(self._sources) >= STREAMS_KEPT:
                self._sources = {}
            now = self._position.number, self._log.seq_at(agent, self._position)
            kept = self._sources[agent] = deque([now], EVENTS_KEPT)
        later = bisect_right(kept, position.number_in(self._position.partition), key=itemgetter(0))
        return kept[later - 1][1] if later else self._log.seq_at(agent, position)

    def lineage(self, agent: str) -> list[Parent]:
        """It never changes."""
        known = self._lineages.get(agent)
        if known is None:
            if len(self._lineages) >= STREAMS_KEPT:
                self._lineages = {}
            known = self._lineages[agent] = self._log.lineage(agent)
        return known
