"""Every engine in turn, for the tests that ask for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import SERVER_URL
from tests.store.engines import KINDS, Homes


@pytest.fixture(params=KINDS)
def homes(request: pytest.FixtureRequest) -> Iterator[Homes]:
    homes = Homes(request.param, request.config.stash[SERVER_URL])
    yield homes
    homes.sweep()
