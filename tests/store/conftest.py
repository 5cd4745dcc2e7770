"""Every engine in turn, for the tests that ask for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import SERVER_URL
from tests.store.engines import KINDS, Homes, Memory
from tests.store.rest import serving


@pytest.fixture(params=KINDS)
def homes(request: pytest.FixtureRequest) -> Iterator[Homes]:
    if request.param == "http":
        with serving(Memory()) as url:
            yield Homes("http", url)
        return
    homes = Homes(request.param, request.config.stash[SERVER_URL])
    yield homes
    homes.sweep()
