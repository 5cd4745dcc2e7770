"""The engines that the shared tests run on: the embedded one; a server's, through qdrant-client's own local mode, which
keeps all in memory; the same over real HTTP (`rest`); and a real server, where QDRANT_URL names one.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient

from palimpsest.store.index.engine_edge import EdgeHome
from palimpsest.store.index.engine_server import ServerHome, connected
from palimpsest.store.index.points import Home

KINDS = ("edge", "local", "http", "server")
NO_SERVER = "no Qdrant server: `QDRANT_URL=http://localhost:6333 make test` runs it on one"


class Memory(QdrantClient):
    """qdrant-client's local mode; it stays when a home lets it go, as a server does."""

    def __init__(self) -> None:
        super().__init__(":memory:")

    def close(self, **_options: Any) -> None:  # type: ignore[override]
        """There it stays."""

    def create_payload_index(self, *arguments: Any, **options: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # local mode has no indexes, and says so
            return super().create_payload_index(*arguments, **options)

    def query_batch_points(self, *arguments: Any, **options: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # local mode is always exact, and says so
            return super().query_batch_points(*arguments, **options)


class Homes:
    """Homes of one kind; what they leave on a server goes with `sweep`."""

    def __init__(self, kind: str, url: str) -> None:
        if kind == "server" and not url:
            pytest.skip(NO_SERVER)
        self.kind = kind
        self._url = url
        self._used: set[Path] = set()
        self.memory = Memory() if kind == "local" else None

    def home(self, path: Path) -> Home:
        if self.kind == "edge":
            return EdgeHome(path)
        self._used.add(path)
        return ServerHome(path, self.memory or self._client(), self._url or "http://local")

    def _client(self) -> QdrantClient:
        return connected(self._url, os.environ.get("QDRANT_API_KEY", ""))

    def sweep(self) -> None:
        for path in self._used if self.kind == "server" else ():
            home = self.home(path)
            home.clear()
            home.release()
