"""Real Ray, started once for the whole folder; each test has agents of its own, and a data folder if it needs one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from palimpsest.actors.on_ray import own_ray
from palimpsest.actors.system import Options, System, boot
from palimpsest.events.types import FunctionReturned, SummaryWritten
from palimpsest.store.folder import DataFolder
from palimpsest.store.keys.files import key_files
from palimpsest.store.keys.keys import Credentials
from tests.conftest import OWN_RAY
from tests.worlds.crowd import HOME, KEY, OWN_KEY, SLOW, Crowd, all_contexts, check_promises, log_of, run, running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def one_ray() -> Iterator[None]:
    """Ray, with a key in the environment that must turn up nowhere, nor at the stub, which is no server of OpenAI's."""
    before = os.environ.get("OPENAI_API_KEY")
    os.environ["OPENAI_API_KEY"] = KEY
    own_ray.start("")
    yield
    own_ray.stop()
    if before is None:
        del os.environ["OPENAI_API_KEY"]
    else:
        os.environ["OPENAI_API_KEY"] = before


@pytest.fixture(autouse=True)
def on_ray(request: pytest.FixtureRequest) -> None:
    """The one Ray, for all but those that start their own."""
    if request.path.name not in OWN_RAY:
        request.getfixturevalue("one_ray")


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> DataFolder:
    return DataFolder(tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="session")
def shared(one_ray: None, shared_folder: DataFolder, stub_url: str) -> Iterator[System]:  # noqa: ARG001
    """A system for the tests that leave it as they found it; the stub has a key of its own in this user's file."""
    key_files(os.environ).keep(Credentials(url=stub_url, key=OWN_KEY))
    options = Options(model={"timeout_s": 2.0, "connect_timeout_s": 2.0, "max_retries": 1})
    system = run(boot(shared_folder, "tests", options))
    yield system
    run(system.stop())


@pytest.fixture(scope="session")
def stub_url() -> Iterator[str]:
    """A model server in a process of its own; the model's name says how it behaves."""
    command = [sys.executable, "-m", "bench.openai_stub", "--port", "0", "--delay-ms", "300"]
    with subprocess.Popen(command, cwd=HOME, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None, "it was piped"
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
        server.kill()


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """A data folder of the test's own, on the Ray that all share."""
    return DataFolder(tmp_path / "data")


@pytest.fixture(scope="session")
def calm(
    one_ray: None,  # noqa: ARG001
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Crowd, dict[str, list[str]]]:
    """A run without accidents: what was answered, and every context."""
    folder = DataFolder(tmp_path_factory.mktemp("calm"))

    async def live() -> Crowd:
        crowd = Crowd()
        async with running(folder, SLOW) as system:
            client = system.client()
            await crowd.create(client)
            await crowd.talk(client)
        return crowd

    crowd = run(live())
    check_promises(folder)
    with log_of(folder) as log:
        kinds = {envelope.kind for name in crowd.names for envelope in log.read(name)}
    assert {FunctionReturned.__name__, SummaryWritten.__name__} <= kinds, "the script makes agents search and evict"
    return crowd, all_contexts(folder, crowd.names)
