"""For all tests: what the environment says of indexes is not theirs, but for the tests that ask for a server; nor are
this user's keys.

Temporary folders lie in memory where the machine has room for them: an index that is made and synced a hundred times
over waits for the disk, and no test pulls the plug of one (a killed process leaves what it wrote either way).
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
"""The same examples in every run, so that a change is judged by what it changes; HYPOTHESIS_PROFILE=explore seeks new
ones."""

SERVER_URL = pytest.StashKey[str]()
IN_MEMORY: Final = Path("/dev/shm")
ROOM_BYTES: Final = 2_000_000_000
"""Ray's own objects lie there too."""


def pytest_configure(config: pytest.Config) -> None:
    """`QDRANT_URL=… pytest` runs the engine's tests on that server too, and no other test."""
    passed_on = getattr(config, "workerinput", {})
    config.stash[SERVER_URL] = passed_on.get("server_url") or os.environ.pop("QDRANT_URL", "")
    for name in ("PALIMPSEST_EMBEDDER", "QDRANT_COLLECTION", "OPENAI_BASE_URL", "OPENAI_CUSTOM_HEADERS"):
        os.environ.pop(name, None)
    os.environ["TZ"] = "UTC"  # a new agent's zone is this process's: that of the tests is the same everywhere
    keys = tempfile.mkdtemp(prefix="palimpsest-keys-")
    os.environ["PALIMPSEST_KEYS"] = str(Path(keys) / "keys.json")
    os.environ["XDG_CONFIG_HOME"] = str(Path(keys) / "config")  # where this user's defaults are not
    config.add_cleanup(lambda: shutil.rmtree(keys, ignore_errors=True))
    config.add_cleanup(_end_servers)
    if os.access(IN_MEMORY, os.W_OK) and shutil.disk_usage(IN_MEMORY).free > ROOM_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(IN_MEMORY))


def _end_servers() -> None:
    """Of PostgreSQL, where this process started one."""
    if world := sys.modules.get("tests.worlds.postgres_server"):
        world.remove_all()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those of Rays of their own go first, that of two nodes before all: a process that has had the one Ray cannot have
    another, and is no place for tests of Ray's start."""
    first = {"test_two_nodes.py": 0, "test_own_ray.py": 1}
    items.sort(key=lambda item: first.get(item.path.name, 2))


OWN_RAY: Final = ("test_address.py", "test_joining.py", "test_kills.py", "test_own_ray.py", "test_two_nodes.py")
"""Their tests start other Rays than the one of the cluster tests, and may run beside them."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """`pytest -n 2` runs a file in one process, and all that share the one Ray in one."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFileAndRay(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            path = Path(nodeid.partition("::")[0])
            return "the one Ray" if path.parent.name == "cluster" and path.name not in OWN_RAY else str(path)

    return ByFileAndRay(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """A process that `pytest -n` starts is told what this one took out of the environment."""
    node.workerinput["server_url"] = node.config.stash[SERVER_URL]
