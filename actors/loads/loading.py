"""What a load tells: how far it is, what it did, and the word that agents get of it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

import msgspec

from palimpsest.events.errors import PassagesFixed, PassagesUnusable
from palimpsest.events.position import Position
from palimpsest.events.sources import Source
from palimpsest.events.texts import clip
from palimpsest.store.documents import OVERLAP_TOKENS, PASSAGE_TOKENS, Refused
from palimpsest.store.documents.document import LEAST_TOKENS

MOST_TOKENS: Final = 2000
SHOWN_PATHS: Final = 5


class Loaded(msgspec.Struct, frozen=True):
    """A document that this load brought in. `notes` say what was mended on the way.

    `replaced`: it took the place of another at its path; `instead_of`: where that one lay, if in another folder.
    """

    path: str
    passages: int
    notes: tuple[str, ...] = ()
    replaced: bool = False
    instead_of: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a load did. `position`: of its last event in the log (None: it has none). `told`: agents that got an upload
    event.

    `same`: the paths of what was loaded though its bytes are there already, each with the path where they are.
    """

    source: str
    loaded: tuple[Loaded, ...]
    skipped: tuple[str, ...]
    refused: tuple[Refused, ...]
    attached: tuple[str, ...]
    told: tuple[str, ...]
    passages: int
    seconds: float
    position: Position | None
    same: tuple[tuple[str, str], ...] = ()


class Progress(msgspec.Struct, frozen=True):
    """How far a load is. The bytes of what was skipped or refused count as done."""

    path: str
    done_bytes: int
    total_bytes: int
    documents: int
    passages: int


OnProgress = Callable[[Progress], None]


def sizes_of_new(passage_tokens: int, overlap_tokens: int) -> tuple[int, int]:
    """The sizes of a new source's passages and of their overlap (0 and -1: the usual). Raises BadInput where passages
    cannot be cut so."""
    tokens = passage_tokens or PASSAGE_TOKENS
    overlap = min(OVERLAP_TOKENS, tokens // 2) if overlap_tokens == -1 else overlap_tokens
    if not LEAST_TOKENS <= tokens <= MOST_TOKENS or not 0 <= overlap <= tokens // 2:
        raise PassagesUnusable(tokens, overlap, LEAST_TOKENS, MOST_TOKENS, PASSAGE_TOKENS)
    return tokens, overlap


def check_sizes(source: Source, passage_tokens: int, overlap_tokens: int) -> None:
    """Raises BadInput where other sizes are asked for than those that a source has."""
    had = source.passage_tokens, source.overlap_tokens
    if (passage_tokens or had[0], had[1] if overlap_tokens == -1 else overlap_tokens) != had:
        raise PassagesFixed(source.name, *had)


def same_bytes(source: Source, paths: Collection[str]) -> tuple[tuple[str, str], ...]:
    """The documents at these paths that have the bytes of another, with the path of that one: what was there before
    counts as the first."""
    first: dict[str, str] = {}
    for document in sorted(source.loaded, key=lambda document: (document.path in paths, document.opened)):
        first.setdefault(document.sha256, document.path)
    pairs = ((document.path, first[document.sha256]) for document in source.loaded if document.path in paths)
    return tuple((path, other) for path, other in pairs if path != other)


def told_of(source: Source) -> str:
    """What an agent that has the source is told of it."""
    paths = [document.path for document in source.loaded]
    more = f" and {len(paths) - SHOWN_PATHS} more" if len(paths) > SHOWN_PATHS else ""
    shown = ", ".join(clip(path, 60) for path in paths[:SHOWN_PATHS])
    return (
        f"{len(paths)} document{'s' * (len(paths) != 1)}, {source.passages} passages: {shown}{more}. "
        "Search them with archival_memory_search; list_documents, open_document and grep_documents read them."
    )
