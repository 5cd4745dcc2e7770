"""What an event does to the index: the points that it bears, and whom it buries.

Rules. (1) It is a function of the event and of what its stream's log has before it. (2) Any change here changes what is
in an index: raise `projection.SCHEMA`. (3) An event of a source bears passages, each with its Place, or burials.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from palimpsest.events.codec import decode
from palimpsest.events.documents import unpacked
from palimpsest.events.envelope import Envelope
from palimpsest.events.kinds import kinds_of
from palimpsest.events.passages import chunks, input_text
from palimpsest.events.sources import is_source, source_of
from palimpsest.events.types import (
    INPUTS,
    ArchivalMemoryInserted,
    DocumentRemoved,
    InputArchived,
    MessageSent,
    PassagesLoaded,
    SourceUnloaded,
    UserLoggedIn,
    UserMessageReceived,
)
from palimpsest.store.index.clocks import ZONING, Clocks, Read
from palimpsest.store.index.forms import form_of
from palimpsest.store.index.points import NOWHERE, Burial, IndexEntry, Key, Place
from palimpsest.store.index.ranking import PASSAGE_B, PASSAGE_K1, PASSAGE_WORDS, SMOOTHING
from palimpsest.store.index.surroundings import Surroundings, WeighedMessage, around, pieces, weighed
from palimpsest.store.words import lexical
from palimpsest.store.words.terms import Sparse, TermTokenizer, saturated_rows, together

INPUT_KINDS: Final = kinds_of(*INPUTS)

BEARING: Final = (
    INPUT_KINDS
    | ZONING
    | kinds_of(MessageSent, ArchivalMemoryInserted, InputArchived, PassagesLoaded, DocumentRemoved, SourceUnloaded)
)
"""The kinds of events that bear points, or say of which day these are: all that an index needs to be shown
(`LogReader.tail(kinds=BEARING)`)."""


class IndexWrite:
    """What some events bear, gathered for one write; `before` are the texts that stand before each entry's."""

    def __init__(self) -> None:
        self.entries: list[IndexEntry] = []
        self.before: list[tuple[str, ...]] = []
        self.burials: list[Burial] = []

    def add(self, entry: IndexEntry, before: tuple[str, ...] = ()) -> None:
        self.entries.append(entry)
        self.before.append(before)


class Bearing:
    """Turns events into entries, in the order of the log."""

    def __init__(self, read: Read, words: TermTokenizer) -> None:
        self._read = read
        self._words = words
        self._clocks = Clocks(read)
        self._heard = Surroundings(read, self._clocks, words)

    def forget(self) -> None:
        """What was held may be ahead of what was applied: read it again."""
        self._clocks.forget()
        self._heard.forget()

    def bear(self, envelope: Envelope, here: dict[tuple[str, int], Envelope], batch: IndexWrite) -> None:
        """Raises LogDamaged, NewerFormat where it cannot be read."""
        if envelope.kind in ZONING:
            self._clocks.note(envelope)
        elif envelope.kind in BEARING:
            self._bear(envelope, here, batch)

    def _bear(self, envelope: Envelope, here: dict[tuple[str, int], Envelope], batch: IndexWrite) -> None:
        match decode(envelope):
            case UserMessageReceived(text=text, name=name):
                for chunk, (said, before) in enumerate(self._heard.hear(envelope, text, name)):
                    batch.add(_message(envelope, chunk, name or "user", said, before), _texts(before))
            case MessageSent(text=text):
                for chunk, (said, before) in enumerate(self._heard.hear(envelope, text)):
                    batch.add(_message(envelope, chunk, "assistant", said, before), _texts(before))
            case ArchivalMemoryInserted(text=text, ends=ends):
                self._passages(envelope, batch, ((piece, NOWHERE) for piece in chunks(text, ends)))
            case InputArchived(input=seq, ends=ends):
                source = here.get((envelope.stream, seq)) or self._read(envelope.stream, seq - 1, seq)[0]
                texts = chunks(input_text(decode(source)), ends)
                self._passages(envelope, batch, ((piece, NOWHERE) for piece in texts))
            case PassagesLoaded() as loaded:
                self._passages(envelope, batch, _placed(envelope, loaded))
            case DocumentRemoved(document=document):
                batch.burials.append(Burial(envelope.stream, document, envelope.seq))
            case SourceUnloaded():
                batch.burials.append(Burial(envelope.stream, "", envelope.seq))
            case notice:
                if isinstance(notice, UserLoggedIn):
                    self._heard.log_in(envelope)
                self._notice(envelope, batch, input_text(notice))

    def _passages(self, envelope: Envelope, batch: IndexWrite, passages: Iterable[tuple[str, Place]]) -> None:
        """Passages of archival storage or of a document. A heading and a file's name are words of it too, and so is
        the day that it was archived; when a document was loaded says nothing of it."""
        words, source = self._words, source_of(envelope.stream) if is_source(envelope.stream) else ""
        day = "" if source else self._clocks.day(envelope)
        speaker, several = source or "memory", list(passages)
        rows = words.rows([lexical.ready(text) for text, _ in several])
        about = [words.short_row(lexical.ready(f"{place.heading} {place.path} {day}")) for _, place in several]
        whole = [row + more for row, more in zip(rows, about, strict=True)]
        weighted = saturated_rows(whole, PASSAGE_K1, PASSAGE_B, PASSAGE_WORDS)
        for chunk, ((text, place), terms) in enumerate(zip(several, weighted, strict=True)):
            key = Key(envelope.stream, envelope.seq, chunk)
            batch.add(IndexEntry(key, "passage", speaker, envelope.time, text, terms, terms.terms, place=place))

    def _notice(self, envelope: Envelope, batch: IndexWrite, text: str) -> None:
        for chunk, piece in enumerate(pieces(text)):
            weighted = Sparse.of(weighed(self._words.counts(lexical.ready(piece))))
            key = Key(envelope.stream, envelope.seq, chunk)
            batch.add(IndexEntry(key, "notice", "system", envelope.time, piece, weighted, weighted.terms))


def _message(
    envelope: Envelope, chunk: int, speaker: str, said: WeighedMessage, before: Sequence[WeighedMessage]
) -> IndexEntry:
    return IndexEntry(
        Key(envelope.stream, envelope.seq, chunk),
        "message",
        speaker,
        envelope.time,
        said.text,
        Sparse.of(together((said.terms, around(said, before)))),
        own=list(said.terms),
        reach=len(before),
        form=form_of(said.text, by_agent=speaker == "assistant"),
    )


def _texts(before: Sequence[WeighedMessage]) -> tuple[str, ...]:
    return tuple(said.text for said in before[: len(SMOOTHING)])


def _placed(envelope: Envelope, loaded: PassagesLoaded) -> Iterator[tuple[str, Place]]:
    for passage in unpacked(envelope, loaded):
        place = Place(
            document=loaded.document,
            path=loaded.path,
            page=passage.page,
            first_line=passage.first_line,
            last_line=passage.last_line,
            heading=passage.heading,
        )
        yield passage.text, place
