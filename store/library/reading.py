"""The documents of sources, read from the log: what there is, a document page by page, and every place of a text.

Rules. (1) An answer is a function of the sources as they were at the seqs that are given. (2) Memory is bounded
whatever a document's size: a stretch of passages at a time is unpacked. (3) A page of a document is cut by its
characters alone, so that pages read one after another give the whole text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from palimpsest.events.codec import decode
from palimpsest.events.documents import Passage, unpacked
from palimpsest.events.envelope import Envelope
from palimpsest.events.kinds import Kind, kinds_of
from palimpsest.events.passages import Hit, place_text
from palimpsest.events.sources import OUTLINE, Document, Source, fold_source, stream_of
from palimpsest.events.texts import clip
from palimpsest.events.types import PassagesLoaded
from palimpsest.store.library.grep import TEXT_CHARS, GrepMatch, SoughtText, in_order, sought
from palimpsest.store.library.naming import bare, unknown

EVENTS_AT_ONCE: Final = 2000
STRETCHES_AT_ONCE: Final = 50
OUTLINES_KEPT: Final = 64
SOURCES_KEPT: Final = 64
DOCUMENTS_KEPT: Final = 100_000
"""No more folded sources, nor documents in them, are held; but always the one read last."""
_STRETCHES: Final = kinds_of(PassagesLoaded)
_PLACE: Final = re.compile(r"\s*(lines?|pages?)\s*(\d{1,9})\b", re.I)
_NAMED: Final = 5


class Reads(Protocol):
    """The part of a log's reader that is needed here."""

    def read(
        self,
        agent: str,
        after: int = 0,
        to: int | None = None,
        limit: int | None = None,
        kinds: frozenset[Kind] | None = None,
    ) -> list[Envelope]: ...


def folded(log: Reads, name: str, to: int | None = None, source: Source | None = None) -> Source | None:
    """A source as of a seq of its own (None: now), folded on from what is given; None if there is none."""
    while chunk := log.read(stream_of(name), source.seq if source else 0, to, EVENTS_AT_ONCE, OUTLINE):
        source = fold_source(chunk, source)
    return source


class ShelvedDocument(NamedTuple):
    """A document, and the source that has it."""

    source: Source
    document: Document


class Stretch(msgspec.Struct, frozen=True):
    """Where a PassagesLoaded stands: its seq, the character of the document at which it begins, its page and line."""

    seq: int
    start: int
    page: int
    line: int


class DocumentPage(msgspec.Struct, frozen=True):
    """A page of a document: `page` of `pages` (from 0), its text, and the place at which it stands."""

    page: int
    pages: int
    text: str
    place: str


class Matches(msgspec.Struct, frozen=True):
    """A page of the places where a text stands, and how many there are in all."""

    hits: tuple[Hit, ...]
    total: int


class Library:
    """Reads the documents of sources. One owner, one thread."""

    def __init__(self, log: Reads) -> None:
        self._log = log
        self._sources: OrderedDict[str, Source] = OrderedDict()
        self._outlines: OrderedDict[tuple[str, str, int], list[Stretch]] = OrderedDict()

    def sources(self, seqs: Mapping[str, int]) -> list[Source]:
        """The sources of these names as of these seqs; those that do not exist then are left out."""
        found = (self._source(name, seq) for name, seq in seqs.items())
        return [source for source in found if source is not None]

    def _source(self, name: str, to: int) -> Source | None:
        """Folded on from what is held, or anew where that is past `to` already."""
        held = self._sources.pop(name, None)
        source = folded(self._log, name, to, held if held is not None and held.seq <= to else None)
        if source is not None:
            self._sources[name] = source
            self._let_go()
        return source

    def _let_go(self) -> None:
        """Drop the sources that were not read for longest, until the rest is few enough."""
        documents = sum(len(source.documents) for source in self._sources.values())
        while len(self._sources) > 1 and (len(self._sources) > SOURCES_KEPT or documents > DOCUMENTS_KEPT):
            _, dropped = self._sources.popitem(last=False)
            documents -= len(dropped.documents)

    def find(self, sources: Sequence[Source], wanted: str) -> ShelvedDocument:
        """The one document that is meant. Raises ValueError, for the model, where there is none, or more than one."""
        wanted = wanted.strip()
        found = [
            ShelvedDocument(source, document) for source in sources for document in source.named(bare(source, wanted))
        ]
        if len(found) == 1:
            return found[0]
        if found:
            each = "; ".join(f"{s.document.id} ({s.source.name}: {clip(s.document.path, 60)})" for s in found[:_NAMED])
            more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            raise ValueError(f"'{clip(wanted, 80)}' can be {len(found)} documents: {each}{more}. Give the id of one.")
        raise ValueError(unknown(sources, wanted))

    # --- reading

    def page(self, shelf: ShelvedDocument, page: int, chars: int) -> DocumentPage:
        """A page of so many characters. Raises ValueError, for the model, where there is no such page."""
        pages = max(1, -(-shelf.document.chars // chars))
        if not 0 <= page < pages:
            there = "only page 0" if pages == 1 else f"pages 0 to {pages - 1}"
            raise ValueError(f"There is no page {page}: {clip(shelf.document.path, 80)} has {there}.")
        start, end = page * chars, (page + 1) * chars
        pieces: list[str] = []
        first = last = Passage(text="")
        for at, passage in self._from(shelf, start):
            if at >= end:
                break
            fresh = passage.fresh
            if at + len(fresh) <= start:
                continue
            pieces.append(fresh[max(0, start - at) : end - at])
            first, last = first if first.text else passage, passage
        return DocumentPage(page, pages, "".join(pieces), _span(first, last))

    def page_at(self, shelf: ShelvedDocument, place: str, chars: int) -> int:
        """The page on which a place stands: "line 120", or "page 7" of a PDF. Raises ValueError, for the model."""
        given = _PLACE.match(place)
        if given is None:
            raise ValueError(f"'{clip(place, 40)}' is no place: give it as 'line 120', or in a PDF as 'page 7'.")
        number, by_line = int(given[2]), given[1].lower().startswith("line")
        known = False
        for at, passage in self._from(shelf, self._before(shelf, number, by_line=by_line)):
            known = known or bool(passage.first_line if by_line else passage.page)
            if by_line and passage.first_line and number <= max(passage.last_line, passage.first_line):
                return (at + _line_start(passage, number)) // chars
            if not by_line and passage.page >= number:
                return at // chars
        what = "lines" if by_line else "pages"
        if not known:
            other = "'page 7', or" if by_line and shelf.document.media_type == "application/pdf" else "only"
            raise ValueError(f"The {what} of {clip(shelf.document.path, 80)} are not known: give {other} a `page`.")
        raise ValueError(f"{clip(shelf.document.path, 80)} ends before {what[:-1]} {number}.")

    def _before(self, shelf: ShelvedDocument, number: int, *, by_line: bool) -> int:
        """The character at which the last stretch begins that certainly stands before a line, or a page."""
        start = 0
        for stretch in self._outline(shelf):
            here = stretch.line if by_line else stretch.page
            if here >= number:
                break
            if here:
                start = stretch.start
        return start

    def _from(self, shelf: ShelvedDocument, start: int) -> Iterator[tuple[int, Passage]]:
        """The passages of a document with the characters at which they begin, from the stretch on that has `start`."""
        outline = self._outline(shelf)
        number = max(0, bisect_right(outline, start, key=lambda stretch: stretch.start) - 1)
        for stretch in outline[number:]:
            (envelope,) = self._log.read(stream_of(shelf.source.name), stretch.seq - 1, stretch.seq)
            at = stretch.start
            for passage in unpacked(envelope, _loaded(envelope)):
                yield at, passage
                at += len(passage.fresh)

    def _outline(self, shelf: ShelvedDocument) -> list[Stretch]:
        """The document's stretches, in its order; kept for the documents read last."""
        document, stream = shelf.document, stream_of(shelf.source.name)
        name = stream, document.id, document.opened
        if name not in self._outlines:
            events = self._stretches(stream, document.opened, document.closed)
            mine = sorted((e.first, at.seq, e.chars, e.page, e.line) for at, e in events if e.document == document.id)
            start, outline = 0, []
            for _, seq, chars, page, line in mine:
                outline.append(Stretch(seq, start, page, line))
                start += chars
            self._outlines[name] = outline
            while len(self._outlines) > OUTLINES_KEPT:
                self._outlines.popitem(last=False)
        self._outlines.move_to_end(name)
        return self._outlines[name]

    def _stretches(self, stream: str, after: int, to: int) -> Iterator[tuple[Envelope, PassagesLoaded]]:
        while chunk := self._log.read(stream, after, to, STRETCHES_AT_ONCE, _STRETCHES):
            for envelope in chunk:
                yield envelope, _loaded(envelope)
            after = chunk[-1].seq

    # --- finding a text

    def grep(self, sources: Sequence[Source], text: str, only: ShelvedDocument | None, page: int, size: int) -> Matches:
        """Every place where a text stands, whatever its form (`store.library.grep`), source by source in the order of
        loading. Raises ValueError, for the model, where the text is none to look for."""
        hits: list[Hit] = []
        total = 0
        for text_sought in sought(text):
            for source in [only.source] if only else sources:
                for hit in self._matches(source, text_sought, only.document if only else None):
                    if page * size <= total < (page + 1) * size:
                        hits.append(hit())
                    total += 1
            if total:
                break
        return Matches(tuple(hits), total)

    def _matches(self, source: Source, wanted: SoughtText, only: Document | None) -> Iterator[GrepMatch]:
        loaded = {document.id: document for document in ([only] if only else source.loaded)}
        after, to = (only.opened, only.closed) if only else (0, source.seq)
        tails: dict[str, str] = {}
        for envelope, event in in_order(self._stretches(stream_of(source.name), after, to), loaded):
            tail = tails.pop(event.document, "")
            for chunk, passage in enumerate(unpacked(envelope, event)):
                whole = tail + passage.fresh
                for start, end in wanted.spans(whole):
                    if end > len(tail):
                        yield GrepMatch(source, envelope, event, chunk, passage, start - len(tail), whole, (start, end))
                tail = whole[-TEXT_CHARS:]
            if event.first + event.count < loaded[event.document].passages:
                tails[event.document] = tail


def _loaded(envelope: Envelope) -> PassagesLoaded:
    event = decode(envelope)
    assert isinstance(event, PassagesLoaded), "only these kinds are read"
    return event


def _line_start(passage: Passage, number: int) -> int:
    """Where in what a passage adds a line begins (0: at its start, or before)."""
    before = passage.first_line + passage.text[: passage.overlap].count("\n")
    start = 0
    for _ in range(number - before):
        start = passage.fresh.find("\n", start) + 1
        if not start:
            return 0
    return min(start, len(passage.fresh) - 1)


def _span(first: Passage, last: Passage) -> str:
    """The place from one passage to another."""
    if first.page:
        return f"pages {first.page}-{last.page}" if last.page > first.page else f"page {first.page}"
    return place_text(0, first.first_line, last.last_line)
