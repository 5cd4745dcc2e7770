"""What an index puts into a vector engine and gets back, and the contract of an engine.

Rules. (1) Every point belongs to a *stream* (an agent's, or a source's) and is born at a seq of it. A search names the
streams that it sees, each as of a seq (`Scope`); its answer is a function of the points in it alone, word statistics
included. (2) Entries, deaths and mark are taken in one step: after a crash all are there, or the same batch makes them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from palimpsest.store.index.embeddings import Vectors
from palimpsest.store.index.forms import Form
from palimpsest.store.index.settings import PointKind
from palimpsest.store.words.terms import Sparse


class Key(msgspec.Struct, frozen=True, array_like=True, order=True):
    """Chunk `chunk` of the event at `seq` of a stream."""

    stream: str
    seq: int
    chunk: int = 0


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where in a document a passage stands; "" and 0: not known, or in no document. Lines count from 1."""

    document: str = ""
    path: str = ""
    page: int = 0
    first_line: int = 0
    last_line: int = 0
    heading: str = ""


NOWHERE = Place()


class IndexEntry(msgspec.Struct, frozen=True):
    """What is to be indexed. `text` is what a search shows; `words` are its terms with BM25's weights but for the
    IDF, those of what was said before it (`reach` points back) included; `own` are the terms of its own text.
    """

    key: Key
    kind: PointKind
    speaker: str
    time_ms: int
    text: str
    words: Sparse
    own: list[int]
    reach: int = 0
    form: Form = ""
    """What it does, if it is a message: a question seldom holds what is looked for."""
    place: Place = NOWHERE


class Listed(msgspec.Struct, frozen=True):
    """What a census counts of an event's points, which stand in a row: `key` is the first one's. Each has `sizes` of
    the `terms` (unsigned numbers of 32 bits), and points `reach` back."""

    key: Key
    time_ms: int
    speaker: str
    document: str
    died: int
    reach: list[int]
    sizes: list[int]
    terms: bytes


class Burial(msgspec.Struct, frozen=True):
    """A document of a stream was removed at seq `died`: what was born before is seen by no view of that seq or later.

    `document` "" means all that the stream has. What died before stays dead since then.
    """

    stream: str
    document: str
    died: int

    def takes(self, entry: IndexEntry) -> bool:
        return (
            entry.key.stream == self.stream
            and entry.key.seq < self.died
            and self.document in {"", entry.place.document}
        )


class Tip(msgspec.Struct, frozen=True):
    """An event by its place, and its hash as hexadecimal digits: no other log has it."""

    stream: str
    seq: int
    hash: str


class Mark(msgspec.Struct, frozen=True):
    """How far a shard is: the number in its partition up to which it holds all, how many points that makes, and what
    made it (`stamp`).

    `tip` is the last event that it was shown: what tells its log from another one.
    """

    position: int
    points: int
    stamp: str
    tip: Tip | None = None


class View(msgspec.Struct, frozen=True, array_like=True):
    """A stream as it was at its seq `as_of`: what was born by then, and had not died."""

    stream: str
    as_of: int


class Scope(msgspec.Struct, frozen=True):
    """What a search may see: the points of a kind in some views.

    The first `own` views are the asking agent's: its stream, and those that it goes on from as a fork, the nearest
    first. The others are the sources that it has.
    """

    views: tuple[View, ...]
    kind: PointKind
    hidden: frozenset[int] = frozenset()
    """Seqs of the agent's own that are left out, though they are born: the input that is being answered, and those
    that still wait."""
    own: int = 1
    speakers: frozenset[str] | None = None
    """Only what these said (None: whoever did)."""
    start_ms: int | None = None
    end_ms: int | None = None
    """Only what was said from then to then, both inclusive."""

    @property
    def whole(self) -> bool:
        """Whether all that an event bears is one result: a message in pieces is, passages are one each."""
        return self.kind == "message"


class ScopePart(msgspec.Struct, frozen=True, array_like=True):
    """A scope's view as an engine has to look for it. `as_of` None: all points of it are born by then."""

    stream: str
    kind: PointKind
    as_of: int | None = None
    mortal: bool = False
    """Some of its points have died."""
    hidden: tuple[int, ...] = ()
    speakers: tuple[str, ...] | None = None
    start_ms: int | None = None
    end_ms: int | None = None


class Blend(msgspec.Struct, frozen=True):
    """How scores become one: x / (x + half) of x = words, and dense * cosine, and `speaker` for what
    the named one said (`oneself`: the one who is named as I or you), less `asks` for what ends with a question, and
    `echoes` for what states nothing. What meaning alone
    finds has a cosine of `floor` or more; of what words find, every cosine counts."""

    half: float
    dense: float
    floor: float
    speaker: float = 0.0
    oneself: float = 0.0
    asks: float = 0.0
    echoes: float = 0.0

    @property
    def by_form(self) -> list[tuple[Form, float]]:
        """What messages of a form lose."""
        weights: list[tuple[Form, float]] = [
            ("asking", self.asks),
            ("question", self.echoes),
            ("nothing", self.echoes),
        ]
        return [(form, weight) for form, weight in weights if weight]


class Query(msgspec.Struct, frozen=True):
    """One search of an engine. `words` are the query's terms with their IDF; `vector` may be empty.

    At most `lexical_limit` points come from the lexical arm, and `dense_limit` from the dense one; the cosine is taken
    of all of them. `speaker` "": none is named.
    """

    parts: tuple[ScopePart, ...]
    words: Sparse
    vector: list[float]
    blend: Blend
    speaker: str
    lexical_limit: int
    dense_limit: int
    limit: int


class Match(msgspec.Struct, frozen=True, array_like=True):
    key: Key
    score: float


class Stored(msgspec.Struct, frozen=True):
    key: Key
    speaker: str
    time_ms: int
    text: str
    place: Place = NOWHERE
    form: Form = ""


class Engine(Protocol):
    """What an index needs of an engine. Raises StorageUnavailable, or StorageDamaged where its files are to blame."""

    def mark(self) -> Mark: ...

    def put(self, entries: Sequence[IndexEntry], vectors: Vectors, mark: Mark, burials: Sequence[Burial] = ()) -> None:
        """Take entries (a row of `vectors` each), burials and the mark, in one step. A burial counts for the entries of
        its own batch too. The same again changes nothing."""
        ...

    def search(self, ask: Query) -> tuple[list[Match], list[Key]]:
        """The best `ask.limit`, best first; and all that its dense arm found. Scores are rounded."""
        ...

    def listing(self, parts: Sequence[ScopePart], limit: int, *, latest: bool) -> list[Match]:
        """The first `limit` in the order of time (`latest`: the last); the time is the score."""
        ...

    def listed(self, stream: str, kind: PointKind) -> Iterator[Listed]:
        """All points of a kind that a stream ever had, in any order."""
        ...

    def read(self, keys: Sequence[Key]) -> list[Stored]:
        """In the order asked for; keys that name no point are left out."""
        ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


class Home(Protocol):
    """Where an index lies, held by this process until `release`."""

    @property
    def engine(self) -> str:
        """What keeps it there."""
        ...

    @property
    def name(self) -> str:
        """How a message's sentence begins that is about it."""
        ...

    def load(self) -> Engine | None:
        """What is there; None: nothing. Raises StorageDamaged where it is of no use, StorageUnavailable."""
        ...

    def create(self, dimension: int, stamp: str) -> Engine:
        """A new one, at position 0."""
        ...

    def clear(self) -> str:
        """Make room for a new one; what became of what was there ("": nothing was)."""
        ...

    def release(self) -> None: ...


def death(entry: IndexEntry, burials: Sequence[Burial]) -> int:
    """The seq at which an entry that comes in the same batch as these burials died (0: it lives)."""
    return next((burial.died for burial in burials if burial.takes(entry)), 0)


def listed(entries: Sequence[IndexEntry], burials: Sequence[Burial]) -> Iterator[tuple[int, Listed]]:
    """The entries of a batch as a census counts them, each event's together: by the number of its first one."""
    first = 0
    for end in range(1, len(entries) + 1):
        if end == len(entries) or not _same(entries[end - 1], entries[end]):
            yield first, _together(entries[first:end], death(entries[first], burials))
            first = end


def _same(one: IndexEntry, following: IndexEntry) -> bool:
    """Whether these are pieces of one event, in a row."""
    a, b = one.key, following.key
    return b.seq == a.seq and b.chunk == a.chunk + 1 and b.stream == a.stream and following.kind == one.kind


def _together(entries: Sequence[IndexEntry], died: int) -> Listed:
    one, terms = entries[0], array("I")
    for entry in entries:
        terms.extend(entry.own)
    return Listed(
        one.key,
        one.time_ms,
        one.speaker,
        one.place.document,
        died,
        [entry.reach for entry in entries],
        [len(entry.own) for entry in entries],
        terms.tobytes(),
    )
