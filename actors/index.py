"""Which index a log has: its embedder, and where it lies. The one place that opens and drops one, for the storage actor
and for the commands that need no Ray.

Rule: no key is a setting. OPENAI_API_KEY is read from the environment of the process that opens the index.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from store.embeddings import DEFAULT, OPENAI, Embedder, check_embedder, embedder_named

if TYPE_CHECKING:
    from store.projection import MemoryIndex
    from store.surroundings import Read


class IndexSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an index is opened with."""

    embedder: str = DEFAULT


def check_settings(settings: IndexSettings) -> None:
    """Raises BadInput where these settings can never work; asks no server."""
    check_embedder(settings.embedder)
    if settings.embedder.startswith(OPENAI):
        embedder_named(settings.embedder)


def open_index(path: Path, settings: IndexSettings, read: Read) -> MemoryIndex:
    """The index of the log that `read` reads, as far as it is. Raises EmbedderChanged, StorageUnavailable, BadInput."""
    from store.projection import MemoryIndex

    return MemoryIndex.open(path, made_embedder(settings), read)


def drop_index(path: Path) -> None:
    """Drop the index, so that the next opening builds it anew."""
    from store.projection import reindex

    reindex(path)


def made_embedder(settings: IndexSettings) -> Embedder:
    return embedder_named(settings.embedder)
