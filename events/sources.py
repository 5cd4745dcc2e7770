"""A source, a named set of documents, as the fold of its stream: which documents it has, and which agents have it.

Rules. (1) Pure, and total over a source's kinds. (2) The bodies of passages are not looked at: whoever folds a source
may leave PassagesLoaded out, and then knows no more of a document under way than that it was begun. (3) A document's
id names its path and its bytes, so that whatever is loaded twice has the same keys, and is there once. (4) A document
goes from loading to loaded to removed, and never back: who loads it again after that gives it another id, so that what
an earlier load still writes is none of it. (Old logs open a removed one again.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from palimpsest.events.codec import decode
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import LogDamaged, NewerFormat
from palimpsest.events.kinds import kinds_of
from palimpsest.events.types import (
    SOURCE_EVENTS,
    AgentAttached,
    AgentDetached,
    DocumentLoaded,
    DocumentOpened,
    DocumentRefused,
    DocumentRemoved,
    Event,
    PassagesLoaded,
    SourceCreated,
    SourceUnloaded,
)

PREFIX: Final = "source:"
PAST_SOURCES: Final = PREFIX + "\U0010ffff"
"""The streams of sources come before this, in the order of names; those of the agents whose names come later, after."""
FORMAT: Final = 1
KINDS: Final = kinds_of(*SOURCE_EVENTS)
OUTLINE: Final = KINDS - kinds_of(PassagesLoaded)
"""The kinds that a source's fold needs; they are few, and small."""


def stream_of(source: str) -> str:
    """The name of a source's stream."""
    return PREFIX + source


def is_source(stream: str) -> bool:
    return stream.startswith(PREFIX)


def source_of(stream: str) -> str:
    """The name of the source whose stream this is."""
    return stream.removeprefix(PREFIX)


def document_id(path: str, sha256: str, load: int = 0) -> str:
    """The id of these bytes at this path within a source; `load`: how often they were removed before."""
    named = f"{path}\0{sha256}\0{load}" if load else f"{path}\0{sha256}"
    return hashlib.sha256(named.encode("utf-8", "surrogateescape")).hexdigest()[:16]


DocumentStatus: TypeAlias = Literal["loading", "loaded", "refused", "removed"]
"""What has become of a document."""

_THERE: Final[frozenset[DocumentStatus]] = frozenset({"loading", "loaded"})


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A document as its events have it. `opened` and `closed` are the seqs between which its passages stand (`closed`
    0: it is still being loaded). `removals` counts how often it was removed: each has a key of its own. `cut_off`: it
    was removed while it was loaded, and whoever loaded it may have written more of it since."""

    id: str
    path: str
    status: DocumentStatus
    media_type: str = ""
    size_bytes: int = 0
    sha256: str = ""
    passages: int = 0
    chars: int = 0
    opened: int = 0
    closed: int = 0
    removals: int = 0
    cut_off: bool = False
    origin: str = ""
    reason: str = ""
    notes: tuple[str, ...] = ()

    def become(self, status: DocumentStatus, **changes: Any) -> Document:
        """The document with another status, and further changes. (`replace` takes any word for a status.)"""
        return replace(self, status=status, **changes)


class Source:
    """A source at its event `seq`. It changes as it takes events: it belongs to whoever folds it."""

    def __init__(self, name: str, created: SourceCreated, at: Envelope) -> None:
        self.name = name
        self.passage_tokens = created.passage_tokens
        self.overlap_tokens = created.overlap_tokens
        self.created_ms = at.time
        self.updated_ms = at.time
        self.seq = at.seq
        self.changed = 0
        """The seq of the event that last changed which documents are there whole."""
        self.documents: dict[str, Document] = {}
        """By id, removed ones too."""
        self.refused: dict[str, Document] = {}
        """By path; a path that was loaded afterwards is not among them."""
        self.agents: dict[str, None] = {}
        self.gone = False
        """It was unloaded as a whole, and nothing was loaded into it since."""

    @property
    def loaded(self) -> list[Document]:
        """The documents that are there whole, by path."""
        return sorted((d for d in self.documents.values() if d.status == "loaded"), key=lambda d: d.path)

    @property
    def loading(self) -> list[Document]:
        return [document for document in self.documents.values() if document.status == "loading"]

    @property
    def cut_off(self) -> list[Document]:
        return [document for document in self.documents.values() if document.cut_off]

    @property
    def passages(self) -> int:
        return sum(document.passages for document in self.loaded)

    @property
    def chars(self) -> int:
        return sum(document.chars for document in self.loaded)

    def at_path(self, path: str) -> list[Document]:
        """What is there, or begun, at a path: where a file was changed and not all was cleared up, more than one."""
        return [d for d in self.documents.values() if d.path == path and d.status in _THERE]

    def named(self, wanted: str) -> list[Document]:
        """The loaded documents that a path, its end, or an id can mean."""
        loaded = self.loaded
        exact = [d for d in loaded if wanted in (d.path, d.id)]
        return exact or [d for d in loaded if d.path.lower().endswith(f"/{wanted.lower()}")]

    def free_id(self, path: str, sha256: str) -> str:
        """The id of these bytes at this path: that of the document that is there or begun, or of the next one."""
        load = 0
        while (before := self.documents.get(id := document_id(path, sha256, load))) and before.status == "removed":
            load += 1
        return id

    def take(self, envelope: Envelope) -> None:
        """Fold the next event. Raises LogDamaged where it makes no sense here."""
        if envelope.seq <= self.seq:
            raise LogDamaged(envelope.stream, envelope.seq, f"it follows event {self.seq}")
        self._fold(envelope, decode(envelope))
        self.seq = envelope.seq
        self.updated_ms = envelope.time

    def _fold(self, at: Envelope, event: Event) -> None:
        match event:
            case DocumentOpened():
                self._open(at, event)
            case PassagesLoaded():
                document = self._of(at, event.document)
                if document.status == "loading":
                    self._put(replace(document, passages=max(document.passages, event.first + event.count)))
            case DocumentLoaded():
                self._close(at, event)
            case DocumentRefused(path=path, reason=reason, sha256=sha256):
                self.gone = False
                refused = Document(id="", path=path, status="refused", reason=reason, sha256=sha256, opened=at.seq)
                self.refused[path] = refused
            case DocumentRemoved(document=id, reason=reason, last=last):
                self._remove(at, self._of(at, id), reason, last=last)
            case SourceUnloaded():
                for document in [*self.loaded, *self.loading]:
                    self._remove(at, document, "unloaded")
                self.refused.clear()
                self.gone = True
            case AgentAttached(agent=agent):
                self.gone = False
                self.agents[agent] = None
            case AgentDetached(agent=agent):
                self.agents.pop(agent, None)
            case _:
                raise LogDamaged(at.stream, at.seq, f"{at.kind} has no place in the middle of a source's stream")

    def _open(self, at: Envelope, event: DocumentOpened) -> None:
        before = self.documents.get(event.document)
        document = Document(
            id=event.document,
            path=event.path,
            status="loading",
            media_type=event.media_type,
            size_bytes=event.size_bytes,
            sha256=event.sha256,
            opened=at.seq,
            removals=before.removals if before else 0,
            origin=event.origin,
        )
        self._put(document)
        self.gone = False

    def _close(self, at: Envelope, event: DocumentLoaded) -> None:
        """A document is whole, unless it was removed while it was loaded: then it stays removed."""
        document = self._of(at, event.document)
        if document.status != "loading":
            return
        whole = document.become("loaded", passages=event.passages, chars=event.chars, notes=event.notes)
        self._put(replace(whole, closed=at.seq))
        self.refused.pop(whole.path, None)
        self.changed = at.seq

    def _remove(self, at: Envelope, document: Document, reason: str, *, last: bool = False) -> None:
        there = document.status != "removed"
        gone = document.become("removed", removals=document.removals + 1, closed=at.seq)
        cut_off = not last and (document.cut_off or document.status == "loading")
        self._put(replace(gone, reason=reason if there else document.reason, cut_off=cut_off))
        if document.status == "loaded":
            self.changed = at.seq

    def _of(self, at: Envelope, id: str) -> Document:
        document = self.documents.get(id)
        if document is None:
            raise LogDamaged(at.stream, at.seq, f"it speaks of document {id[:40]}, which was never opened")
        return document

    def _put(self, document: Document) -> None:
        self.documents[document.id] = document


def begun(envelope: Envelope) -> Source:
    """The source at its first event. Raises LogDamaged where that is none, NewerFormat where it is a later code's."""
    event = decode(envelope)
    if not isinstance(event, SourceCreated) or envelope.seq != 1:
        raise LogDamaged(envelope.stream, envelope.seq, "a source's stream begins with SourceCreated at seq 1")
    if event.format > FORMAT:
        raise NewerFormat(
            f"Source '{source_of(envelope.stream)}' has format {event.format}; this Palimpsest knows {FORMAT}: "
            "upgrade it."
        )
    return Source(source_of(envelope.stream), event, envelope)


def fold_source(envelopes: Iterable[Envelope], source: Source | None = None) -> Source | None:
    """The source after these events (None: there is none)."""
    for envelope in envelopes:
        if source is None:
            source = begun(envelope)
        else:
            source.take(envelope)
    return source


# --- keys -----------------------------------------------------------------------------------------------------------
# A load that was killed makes the same drafts again, under the same keys: what is there stays, and the rest is added.


def _load_of(document: str, removals: int) -> str:
    return f"{document}.{removals}" if removals else document


def opened_key(document: str, removals: int) -> str:
    return f"open:{_load_of(document, removals)}"


def passages_key(document: str, removals: int, first: int) -> str:
    return f"passages:{_load_of(document, removals)}:{first}"


def loaded_key(document: str, removals: int) -> str:
    return f"loaded:{_load_of(document, removals)}"


def removed_key(document: str, removals: int) -> str:
    return f"removed:{_load_of(document, removals)}"
