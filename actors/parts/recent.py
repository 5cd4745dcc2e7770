"""A partition's last events, in memory: what tails read, but for those that are far behind.

Rules. (1) Both what is kept and what is handed out at once are bounded in bytes, not only in number. (2) All positions
here are of that one partition.
"""

from __future__ import annotations

from palimpsest.events.envelope import Envelope
from palimpsest.events.kinds import Kind
from palimpsest.events.position import Position

MAX_RECENT = 8_000
MAX_RECENT_BYTES = 4_000_000
MAX_BATCH_BYTES = 4_000_000


class Recent:
    """The partition's last events, in memory: what tails read, but for those that are far behind."""

    def __init__(self, position: Position) -> None:
        self._start = position.number
        self._envelopes: list[Envelope] = []
        self._bytes = 0

    def add(self, envelopes: list[Envelope]) -> None:
        """Take what was committed, in order; positions have no gaps, so that they are places in the list."""
        first = envelopes[0].position.number
        if first != self._start + len(self._envelopes) + 1:
            self._start, self._envelopes, self._bytes = first - 1, [], 0
        self._envelopes += envelopes
        self._bytes += sum(len(envelope.body) for envelope in envelopes)
        while len(self._envelopes) > MAX_RECENT or self._bytes > MAX_RECENT_BYTES:
            # An eighth at a time: seldom, and so that the memory that this takes hardly moves once it is full.
            part = max(1, len(self._envelopes) // 8)
            gone, self._envelopes = self._envelopes[:part], self._envelopes[part:]
            self._start = gone[-1].position.number
            self._bytes -= sum(len(envelope.body) for envelope in gone)

    def has(self, after: Position, kinds: frozenset[Kind]) -> bool:
        """Whether there is an event after this position, of these kinds (none: of any). Yes, if it is too far back."""
        if after.number < self._start:
            return True
        later = self._envelopes[after.number - self._start :]
        return bool(later) and (not kinds or any(envelope.kind in kinds for envelope in later))

    def tail(self, after: Position, limit: int, kinds: frozenset[Kind]) -> tuple[list[Envelope], Position] | None:
        """As `LogReader.tail`; None if it is too far back."""
        if after.number < self._start:
            return None
        later = self._envelopes[after.number - self._start :]
        found = [envelope for envelope in later if envelope.kind in kinds] if kinds else later
        if len(found) > limit:
            return found[:limit], found[limit - 1].position
        return found, (later[-1].position if later else after)


def bounded(envelopes: list[Envelope], position: Position) -> tuple[list[Envelope], Position]:
    """A batch cut where its bodies grow too large to be carried at once; the rest comes with the next one."""
    size = 0
    for index, envelope in enumerate(envelopes):
        size += len(envelope.body)
        if size > MAX_BATCH_BYTES and index:
            return envelopes[:index], envelopes[index - 1].position
    return envelopes, position
