"""For all tests: what the environment says of indexes is not theirs, but for the tests that ask for a server."""

from __future__ import annotations

import os

import pytest

SERVER_URL = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """`QDRANT_URL=… pytest` runs the engine's tests on that server too, and no other test."""
    config.stash[SERVER_URL] = os.environ.pop("QDRANT_URL", "")
    for name in ("PALIMPSEST_EMBEDDER", "QDRANT_COLLECTION"):
        os.environ.pop(name, None)
