"""Who wrote a sentence: in core memory, in the summary, and in archival passages.

Rules. (1) `Sentences` takes an agent's events in order (only those of `KINDS` matter) and holds what stands now, and
what once stood of the text that is looked for. (2) A sentence says which events wrote it; `events.debug.writers`
explains those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from palimpsest.events.debug.phrases import Phrase, Span, Terms, plain, sentences
from palimpsest.events.debug.provenance import KINDS as CORE_KINDS
from palimpsest.events.debug.provenance import Provenance, Written, WrittenRun, cut, writers_of
from palimpsest.events.debug.summaries import KINDS as SUMMARY_KINDS
from palimpsest.events.debug.summaries import Chain, Generation, Range, Saying
from palimpsest.events.debug.writers import Hint, Writer
from palimpsest.events.envelope import Envelope
from palimpsest.events.kinds import kinds_of
from palimpsest.events.passages import chunks
from palimpsest.events.types import ArchivalMemoryInserted, Event, InputArchived, SummaryWritten

ARCHIVAL_KINDS: Final = kinds_of(ArchivalMemoryInserted, InputArchived)
KINDS: Final = CORE_KINDS | SUMMARY_KINDS | ARCHIVAL_KINDS


StandsIn: TypeAlias = Literal["core memory", "summary", "archival"]


class Sentence(msgspec.Struct, frozen=True, kw_only=True):
    """A sentence where it stands: "core memory" (its block is `label`), "archival" (`seq` and `chunk` of the passage).

    `pieces` are its text, each with the event that wrote it. `until` 0: it stands there now; else the event that took
    it away.
    """

    place: StandsIn
    text: str
    pieces: tuple[WrittenRun, ...]
    label: str = ""
    seq: int = 0
    chunk: int = 0
    since: int = 0
    until: int = 0

    @property
    def writers(self) -> tuple[int, ...]:
        return writers_of(self.pieces)


class Blamed(msgspec.Struct, frozen=True, kw_only=True):
    """A sentence, and where its writers may have it from."""

    sentence: Sentence
    hints: tuple[Hint, ...] = ()


class BlamedSaying(msgspec.Struct, frozen=True, kw_only=True):
    """A sentence of the summary, and what its first form may have been made of."""

    saying: Saying
    hints: tuple[Hint, ...] = ()


class BlamedSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The summary's sentences, its generations, and the exact messages that it covers through all of them: each by its
    seq, and in stretches between which a message stands that it does not cover."""

    sayings: tuple[BlamedSaying, ...]
    generations: tuple[Generation, ...]
    covers: tuple[int, ...]
    stretches: tuple[Range, ...]


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """All that was asked for: what stands at event `at`, what has `gone`, and every event that wrote some of it.
    `matched` says how a text was looked for."""

    agent: str
    at: int
    matched: str
    standing: tuple[Blamed, ...]
    gone: tuple[Blamed, ...]
    summary: BlamedSummary | None
    writers: tuple[Writer, ...]
    more: int = 0
    """So many passages, and places where it once stood, have the text besides, and are older."""


class Sentences:
    """Folds a stream to the sentences of core memory and of the summary, and to those that once had a text."""

    def __init__(self, terms: Terms, wanted: Phrase | None = None) -> None:
        self.provenance = Provenance()
        self.chain = Chain(terms)
        self.archival: list[tuple[int, int]] = []
        """(seq, chunk) of the passages that have what is looked for."""
        self.gone: list[Sentence] = []
        """What had it, and has gone."""
        self._wanted = wanted
        self._standing: dict[str, list[Sentence]] = {}

    def take(self, envelope: Envelope, event: Event) -> None:
        """The next event. An InputArchived is looked into by `look_into`, with its input."""
        if envelope.kind in CORE_KINDS:
            self.provenance.take(envelope, event)
            if self._wanted:
                self._watch_core(envelope.seq, self._wanted)
        elif envelope.kind in SUMMARY_KINDS:
            self.chain.take(envelope, event)
            if self._wanted and isinstance(event, SummaryWritten):
                lines = _found(self._wanted, Written(event.text, envelope.seq), "summary", envelope.seq)
                self._watch("summary", lines, envelope.seq)
        elif isinstance(event, ArchivalMemoryInserted):
            self.look_into(envelope.seq, event.text, event.ends)

    def look_into(self, seq: int, text: str, ends: Sequence[int]) -> None:
        """Passages that the event at `seq` put into archival storage."""
        if self._wanted:
            self.archival += [(seq, n) for n, piece in enumerate(chunks(text, ends)) if self._wanted.holds(piece)]

    def _watch_core(self, seq: int, wanted: Phrase) -> None:
        labels = {place.removeprefix(_CORE) for place in self._standing if place.startswith(_CORE)}
        for label in sorted(labels | self.provenance.blocks.keys()):
            written = self.provenance.blocks.get(label) or Written()
            self._watch(_CORE + label, _found(wanted, written, "core memory", seq, label), seq)

    def _watch(self, key: str, now: list[Sentence], seq: int) -> None:
        """What stood there and does so no more has gone by this event. A summary takes sentences over: whoever wrote
        them first wrote them."""
        before = {plain(sentence.text): sentence for sentence in self._standing.get(key, [])}
        texts = {plain(sentence.text) for sentence in now}
        self.gone += [msgspec.structs.replace(old, until=seq) for text, old in before.items() if text not in texts]
        self._standing[key] = standing = []
        for sentence in now:
            old = before.get(plain(sentence.text))
            taken_over = old is not None and sentence.place == "summary"
            since = old.since if old else seq
            standing.append(old if old and taken_over else msgspec.structs.replace(sentence, since=since))

    def core(self, label: str = "") -> list[Sentence]:
        """The sentences of core memory (of one block, where it is named): those that have what is looked for."""
        found = []
        for name, written in self.provenance.blocks.items():
            if label in ("", name):
                if self._wanted:
                    found += self._standing.get(_CORE + name, [])
                else:
                    found += [_sentence(written, span, "core memory", name) for span in sentences(written.value)]
        return found

    def summary(self) -> list[Saying]:
        """The sentences of the summary: those that have what is looked for."""
        standing = self._standing.get("summary", [])
        return [s for s in self.chain.sayings if not self._wanted or any(s.text in each.text for each in standing)]


_CORE: Final = "core memory, "


def _found(wanted: Phrase, written: Written, place: StandsIn, seq: int, label: str = "") -> list[Sentence]:
    return [_sentence(written, span, place, label, seq) for span in wanted.where(written.value)]


def _sentence(written: Written, span: Span, place: StandsIn, label: str = "", since: int = 0) -> Sentence:
    start, end = span
    pieces = tuple(cut(written.runs, span))
    return Sentence(place=place, text=written.value[start:end], pieces=pieces, label=label, since=since)


def passage(at: Envelope, event: Event, chunk: int, text: str, wanted: Phrase) -> list[Sentence]:
    """The sentences with what is looked for of a passage of archival storage, of which `text` is the whole; an input
    that was archived was written by the input's event."""
    ends = event.ends if isinstance(event, (ArchivalMemoryInserted, InputArchived)) else ()
    author = event.input if isinstance(event, InputArchived) else at.seq
    written = Written(chunks(text, ends)[chunk], author)
    found = _found(wanted, written, "archival", at.seq)
    return [msgspec.structs.replace(sentence, seq=at.seq, chunk=chunk) for sentence in found]
