"""The stub server as what says of itself what each test wants it to say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.worlds.stub_server import Server, running


@pytest.fixture(scope="module")
def one_server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture
def server(one_server: Server) -> Server:
    """A server that was asked nothing yet, and says nothing of itself."""
    one_server.stub.requests.clear()
    one_server.stub.about = {}
    return one_server
