"""Which index a log has: its embedder, and where it lies. The one place that opens and drops one, for the storage actor
and for the commands that need no Ray.

Rule: no key is a setting. QDRANT_API_KEY, which goes to the Qdrant server that this user named, and what
`store.keys.keys` has for the embeddings' server are read in the process that opens the index, there and then.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import structlog

from palimpsest.events.position import Partition, Position
from palimpsest.store.index.settings import DEFAULT, OPENAI, IndexSettings
from palimpsest.store.keys.files import LiveKeys, handed

if TYPE_CHECKING:
    from palimpsest.store.index.clocks import Read
    from palimpsest.store.index.embeddings import Embedder
    from palimpsest.store.index.points import Home
    from palimpsest.store.index.projection import MemoryIndex


def check_settings(settings: IndexSettings) -> None:
    """Raises BadInput where these settings can never work; asks no server."""
    if settings.embedder != DEFAULT:
        from palimpsest.store.index.embeddings import check_embedder

        check_embedder(settings.embedder)
    if settings.qdrant_url:
        from palimpsest.store.index.engine_server import connected

        connected(settings.qdrant_url, os.environ.get("QDRANT_API_KEY", "")).close()


class IndexedLog(Protocol):
    """The part of a log's reader that an index needs."""

    @property
    def read(self) -> Read: ...

    def position(self, partition: Partition) -> Position: ...


def open_index(path: Path, partition: Partition, settings: IndexSettings, log: IndexedLog) -> MemoryIndex:
    """The index of a log's partition, as far as it is, and built again where it is ahead of it; `path` is its folder.
    Raises EmbedderChanged, StorageUnavailable, BadInput."""
    from palimpsest.store.index.projection import MemoryIndex

    embedder = _embedder(settings.embedder, settings.embedder_url)
    index = MemoryIndex.at(_home(path, settings), embedder, log.read, partition)
    if index.position <= log.position(partition):
        return index
    structlog.get_logger("storage").warning("index is ahead of the log: built again", position=index.position.number)
    index.close()
    drop_index(path, settings)
    return MemoryIndex.at(_home(path, settings), embedder, log.read, partition)


def drop_index(path: Path, settings: IndexSettings) -> None:
    """Drop the index, so that the next opening builds it anew. Raises StorageUnavailable if a process has it open."""
    from palimpsest.store.index.projection import reindex

    reindex(_home(path, settings))


@lru_cache(maxsize=1)
def _embedder(setting: str, url: str) -> Embedder:
    """Loaded once a process: an index that went out of reach is opened again and again."""
    if setting.startswith(OPENAI):
        from palimpsest.actors.models.hosted.embeddings import OpenAIEmbedder

        keys = LiveKeys(handed({**os.environ, "OPENAI_BASE_URL": url} if url else os.environ))
        return OpenAIEmbedder(setting, keys=keys, base_url=url)
    from palimpsest.store.index.embeddings import embedder_named

    return embedder_named(setting)


def _home(path: Path, settings: IndexSettings) -> Home:
    if settings.qdrant_url:
        from palimpsest.store.index.engine_server import ServerHome, connected

        client = connected(settings.qdrant_url, os.environ.get("QDRANT_API_KEY", ""))
        return ServerHome(path, client, settings.qdrant_url)
    from palimpsest.store.index.engine_edge import EdgeHome

    return EdgeHome(path)
