"""One contract, every backend: each test here runs once for each of `backends.BACKENDS`.

Another backend joins in `backends.py`, with a class of a few short members and its name in `BACKENDS`. PostgreSQL's
runs on a real server, which the tests start themselves (`tests/worlds/postgres_server.py`).

No test knows which backend it has. A capability that a backend lacks is a skip with its reason, and nothing else is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from palimpsest.store.logs.contract import LogStore
from tests.contract.backends import BACKENDS, Backend

Open = Callable[[], LogStore]


@pytest.fixture(params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    made = BACKENDS[request.param](tmp_path)
    yield made
    made.remove()


@pytest.fixture
def open_store(backend: Backend) -> Iterator[Open]:
    """Opens another store over the same bytes; it is not the writer until it opens an epoch."""
    opened: list[LogStore] = []

    def open_one() -> LogStore:
        opened.append(backend.open())
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def log(open_store: Open) -> LogStore:
    """An empty log, and its writer."""
    store = open_store()
    store.open_epoch()
    return store
