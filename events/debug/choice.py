"""Which parts of a timeline are wanted: by kind, turn, text and time."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from palimpsest.events.debug.moments import Item, Moment, texts_in
from palimpsest.events.kinds import Kind


class EventChoice(msgspec.Struct, frozen=True, kw_only=True):
    """A choice of parts, or of single events: all that is given must hold. Kinds are events' names, `text` is looked
    for in what was said, whatever its case; times are milliseconds, both inclusive; `turn` is the seq of its input."""

    kinds: frozenset[Kind] = frozenset()
    text: str = ""
    turn: int = 0
    since_ms: int | None = None
    until_ms: int | None = None

    def takes(self, part: Item) -> bool:
        """Whether a part is wanted: one of its events must be."""
        if self.turn and part.turn != self.turn:
            return False
        if not any(self._fits(each) for each in part.events or (None,)):
            return False
        return not self.text or _says(part.texts(), self.text)

    def takes_event(self, at: Moment) -> bool:
        if self.turn and self.turn not in (at.turn, at.seq):
            return False
        return self._fits(at) and (not self.text or _says(texts_in(at.event) if at.event else (at.problem,), self.text))

    def _fits(self, at: Moment | None) -> bool:
        if at is None:
            return not self.kinds and self.since_ms is None and self.until_ms is None
        if self.kinds and at.kind not in self.kinds:
            return False
        return (self.since_ms is None or at.time_ms >= self.since_ms) and (
            self.until_ms is None or at.time_ms <= self.until_ms
        )


def _says(texts: Iterable[str], wanted: str) -> bool:
    folded = wanted.casefold()
    return any(folded in text.casefold() for text in texts)
