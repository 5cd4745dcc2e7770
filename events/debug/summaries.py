"""The recursive summary through its generations: what it covers, and where each of its sentences came from.

Rules. (1) What a summary covers is what its events name (`covers`, and all that the one before it covered): nothing is
inferred. (2) A sentence that a generation took over word for word keeps its origin; one that it says in other words has
the nearest sentence of the generation before for its ancestor, where they share half their words; any other is new.
(3) One generation is held at a time; of the stream there stays a number for each message that was evicted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from palimpsest.events.debug.phrases import Terms, plain, sentences
from palimpsest.events.envelope import Envelope
from palimpsest.events.kinds import kinds_of
from palimpsest.events.types import Event, MessagesEvicted, SummaryWritten
from palimpsest.events.vocabulary import Author

KINDS: Final = kinds_of(MessagesEvicted, SummaryWritten)
LIKENESS: Final = 0.5
"""The share of two sentences' words that they must have in common, for one to be the other's ancestor."""

Range = tuple[int, int]
"""First and last seq."""


class Covered(msgspec.Struct, frozen=True, kw_only=True):
    """A summary by `author` (model, extractive or bare), and the messages that it newly stood for when it was
    written."""

    seq: int
    author: Author
    covers: tuple[int, ...]


class Generation(Covered, frozen=True, kw_only=True):
    """The same as the `number`th of those that a summary went through."""

    number: int
    time_ms: int
    note: str = ""


class Saying(msgspec.Struct, frozen=True, kw_only=True):
    """A sentence of a summary. It stands so since `since`; `origin` is the generation in which it, or its nearest form
    `first_text`, appeared first."""

    text: str
    since: Generation
    origin: Generation
    first_text: str


class _KnownSaying(msgspec.Struct, frozen=True):
    saying: Saying
    words: frozenset[int]


class Chain:
    """The summary of an agent, folded beside its state."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._known: list[_KnownSaying] = []
        self.generations: list[Generation] = []
        """Those that the summary went through, the latest last."""
        self.text = ""
        self.evicted: list[int] = []
        """Every seq that ever left the queue."""

    @property
    def covered(self) -> list[int]:
        """Every seq that the summary covers, through all its generations, in the order of their leaving."""
        return [seq for generation in self.generations for seq in generation.covers]

    @property
    def sayings(self) -> list[Saying]:
        return [known.saying for known in self._known]

    def take(self, envelope: Envelope, event: Event) -> None:
        match event:
            case MessagesEvicted(seqs=seqs):
                self.evicted += seqs
            case SummaryWritten():
                self._write(envelope, event)

    def _write(self, at: Envelope, event: SummaryWritten) -> None:
        if self.generations and event.previous != self.generations[-1].seq:
            self.generations, self._known = [], []
        now = Generation(
            number=len(self.generations) + 1,
            seq=at.seq,
            time_ms=at.time,
            author=event.author,
            covers=event.covers,
            note=event.note,
        )
        self.generations.append(now)
        self.text = event.text
        texts = (event.text[start:end] for start, end in sentences(event.text))
        before = self._known
        self._known = [self._place(text, now, before) for text in texts]

    def _place(self, text: str, now: Generation, before: list[_KnownSaying]) -> _KnownSaying:
        words = frozenset(self._terms(text))
        same = next((known for known in before if plain(known.saying.text) == plain(text)), None)
        if same:
            return same
        nearest = max(before, key=lambda known: _likeness(words, known.words), default=None)
        if nearest and _likeness(words, nearest.words) >= LIKENESS:
            old = nearest.saying
            return _KnownSaying(Saying(text=text, since=now, origin=old.origin, first_text=old.first_text), words)
        return _KnownSaying(Saying(text=text, since=now, origin=now, first_text=text), words)


def _likeness(a: frozenset[int], b: frozenset[int]) -> float:
    return len(a & b) / len(a | b) if a and b else 0.0


def stretches(seqs: Iterable[int], others: Iterable[int] = ()) -> tuple[Range, ...]:
    """The seqs as stretches, first and last, with none of the `others` in between: what stands between two messages of
    a stretch is no message."""
    marks = sorted([*((seq, False) for seq in seqs), *((seq, True) for seq in others)])
    found: list[Range] = []
    open_ = False
    for seq, other in marks:
        if other:
            open_ = False
        elif open_:
            found[-1] = (found[-1][0], seq)
        else:
            found.append((seq, seq))
            open_ = True
    return tuple(found)
