"""Which day it was for an agent when something was said: by the clocks of the zone that it had then.

Rules. (1) A day is a function of the stream's log up to the event and of the pinned zone data. (2) An agent without a
zone, or whose format tells no times in it, goes by UTC. (3) What is held is a cache; what is not held is read.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from palimpsest.events.codec import decode
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import LogDamaged, NewerFormat
from palimpsest.events.formats import ZONED
from palimpsest.events.kinds import Kind, kinds_of
from palimpsest.events.types import AgentCreated, FormatChanged, TimeZoneSet
from palimpsest.store.times import zones
from palimpsest.store.words import lexical

ZONING: Final = kinds_of(AgentCreated, TimeZoneSet, FormatChanged)
"""The kinds of events that say by which clocks an agent goes."""
STREAMS: Final = 4096
"""How many streams' zones are held."""
_END: Final = 2**63 - 1


class Read(Protocol):
    """(stream, after, to) -> its events with after < seq <= to, of these kinds, in order, from the log
    (`LogReader.read`)."""

    def __call__(
        self, stream: str, after: int, to: int, /, *, kinds: frozenset[Kind] | None = None
    ) -> Sequence[Envelope]: ...


class _Clock(msgspec.Struct, frozen=True):
    """From a seq on."""

    seq: int
    zone: str = ""
    zoned: bool = False


class Clocks:
    """The zones of streams."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._held: OrderedDict[str, list[_Clock]] = OrderedDict()

    def note(self, envelope: Envelope) -> None:
        """An event of a kind in ZONING, in the order of the log."""
        if envelope.seq == 1 and envelope.stream not in self._held:
            self._hold(envelope.stream, [])
        held = self._held.get(envelope.stream)
        if held is not None and (not held or held[-1].seq < envelope.seq):
            _follow(held, envelope)

    def day(self, envelope: Envelope) -> str:
        """The day of an event as words: 22 November 2026 Sunday."""
        clock = next((each for each in reversed(self._of(envelope.stream)) if each.seq <= envelope.seq), None)
        ahead_s = zones.offset_s(clock.zone, envelope.time) if clock and clock.zoned else None
        return lexical.date_words(min(envelope.time + (ahead_s or 0) * 1000, zones.LAST_MS))

    def forget(self) -> None:
        """What was held may be ahead of what was applied: read it again."""
        self._held.clear()

    def _of(self, stream: str) -> list[_Clock]:
        held = self._held.get(stream)
        if held is not None:
            self._held.move_to_end(stream)
            return held
        held = []
        for envelope in self._read(stream, 0, _END, kinds=ZONING):
            _follow(held, envelope)
        self._hold(stream, held)
        return held

    def _hold(self, stream: str, held: list[_Clock]) -> None:
        self._held[stream] = held
        if len(self._held) > STREAMS:
            self._held.popitem(last=False)


def _follow(held: list[_Clock], envelope: Envelope) -> None:
    last = held[-1] if held else _Clock(0)
    try:
        event = decode(envelope)
    except (LogDamaged, NewerFormat):  # passed over by the index too
        return
    match event:
        case AgentCreated(zone=zone, parts=parts):
            held.append(_Clock(envelope.seq, zone, ZONED in parts))
        case TimeZoneSet(zone=zone):
            held.append(_Clock(envelope.seq, zone, last.zoned))
        case FormatChanged(parts=parts):
            held.append(_Clock(envelope.seq, last.zone, ZONED in parts))
