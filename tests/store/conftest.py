"""Every engine in turn, and an index over a journal, for the tests that ask for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from palimpsest.store.index.projection import MemoryIndex
from tests.conftest import SERVER_URL
from tests.worlds.engines import KINDS, Homes, Memory
from tests.worlds.journal import Journal, open_index
from tests.worlds.qdrant_rest import serving


@pytest.fixture(params=KINDS)
def homes(request: pytest.FixtureRequest) -> Iterator[Homes]:
    if request.param == "http":
        with serving(Memory()) as url:
            yield Homes("http", url)
        return
    homes = Homes(request.param, request.config.stash[SERVER_URL])
    yield homes
    homes.sweep()


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def index(tmp_path: Path, journal: Journal) -> Iterator[MemoryIndex]:
    index = open_index(tmp_path / "memory", journal)
    yield index
    index.close()
