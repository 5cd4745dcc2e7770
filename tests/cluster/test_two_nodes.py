"""A cluster of two nodes: a folder's parts stay on its node, and no other node makes anything in its name."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
import ray
from ray._common.test_utils import wait_for_condition
from ray.cluster_utils import Cluster
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from palimpsest.actors.on_ray.actors import run_in
from palimpsest.actors.on_ray.own_ray import NAMESPACE
from palimpsest.actors.on_ray.runtime import RayCluster, RayRuntime
from palimpsest.actors.system import Options, boot
from palimpsest.events.errors import BadInput, DataFolderBusy, LogUnavailable
from palimpsest.events.prompts import newborn
from palimpsest.events.types import Settings
from palimpsest.store.folder import DataFolder
from palimpsest.store.logs.sqlite_file import begin, log_id
from tests.worlds.crowd import PYTHONPATH, run

SOON = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 4,
}


class Nodes:
    """The head, where this test's driver is, and another."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="ray-"))  # short: Ray's sockets lie in it
        head = {"num_cpus": 4, "include_dashboard": False, "temp_dir": str(self.home), "_system_config": SOON}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.other = self.cluster.add_node(num_cpus=4)
        environment = {"env_vars": {"PYTHONPATH": PYTHONPATH}}
        ray.init(address=self.cluster.address, namespace=NAMESPACE, runtime_env=environment, log_to_driver=False)

    def options(self, *, rehome: bool = False) -> Options:
        return Options(address=self.cluster.address, rehome=rehome)

    def say(self, folder: Path, *lines: str, rehome: bool = False) -> Said:
        """From the head."""
        return run(say(folder, self.options(rehome=rehome), *lines))

    def say_on_the_other(self, folder: Path, *lines: str) -> Said:
        """A driver that runs as a task there."""
        there = NodeAffinitySchedulingStrategy(self.other.node_id, soft=False)
        task = ray.remote(_say).options(scheduling_strategy=there, num_cpus=0)
        said: Said = ray.get(task.remote(folder, self.options(), *lines), timeout=60)
        return said

    def kill_the_other(self) -> None:
        self.cluster.remove_node(self.other, allow_graceful=False)
        wait_for_condition(lambda: RayCluster().alive() == {_node(None)})

    def add_another(self) -> None:
        self.other = self.cluster.add_node(num_cpus=4)

    def stop_the_other(self) -> list[psutil.Process]:
        """All its processes, stopped, once the cluster takes it for dead."""
        (raylet,) = self.other.all_processes["raylet"]
        raylet = psutil.Process(raylet.process.pid)
        stopped = [raylet, *raylet.children(recursive=True)]
        for process in stopped:
            process.suspend()
        wait_for_condition(lambda: RayCluster().alive() == {_node(None)}, timeout=60)
        return stopped

    def close(self) -> None:
        ray.shutdown()
        end: Any = self.cluster.shutdown  # it has no types
        end()
        shutil.rmtree(self.home, ignore_errors=True)


class Said(msgspec.Struct, frozen=True):
    """The agent's answers, what the system had to say, and the nodes that its parts are on."""

    answers: list[str]
    notes: tuple[str, ...]
    nodes: set[str]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    found = Nodes()
    yield found
    found.close()


async def say(folder: Path, options: Options, *lines: str) -> Said:
    """Say this to agent sam, who is made if there is none."""
    system = await boot(DataFolder(folder), "a test", options)
    client = system.client()
    if not await client.agents():
        await client.create("sam", newborn(Settings(model="offline")))
    answers = [(await client.ask("sam", line)).text for line in lines]
    assert isinstance(system.runtime, RayRuntime)
    found = await asyncio.gather(*(run_in(link, _node) for link in system.runtime.links.values()))
    await system.stop()
    return Said(answers, system.notes, set(found))


def _say(folder: Path, options: Options, *lines: str) -> Said:
    return asyncio.run(say(folder, options, *lines))


def _node(_actor: Any) -> str:
    node: str = ray.get_runtime_context().get_node_id()
    return node


def test_a_folder_whose_node_is_lost_is_not_begun_anew_elsewhere(nodes: Nodes, tmp_path: Path) -> None:
    folder, away = tmp_path / "data", tmp_path / "away"
    told = nodes.say_on_the_other(folder, "My name is Sam.")
    log = log_id(DataFolder(folder).log_path())
    assert told.nodes == {nodes.other.node_id}
    assert [note for note in told.notes if log in note and str(folder) in note and nodes.other.node_id[:8] in note]
    head = ray.get_runtime_context().get_node_id()

    # The node lives, and another's driver finds it in use there.
    with pytest.raises(BadInput, match=f"{log} on .*{nodes.other.node_id[:8]}.*{head[:8]}.*Run this on that machine"):
        nodes.say(folder, "What is my name?")
    # The node is lost, its disk with it.
    folder.rename(away)
    nodes.kill_the_other()
    with pytest.raises(BadInput, match=r"Nothing was made\. Put the folder back"):
        nodes.say(folder, "What is my name?")
    assert not folder.exists()
    # It is back.
    away.rename(folder)
    again = nodes.say(folder, "What is my name?")
    assert "Sam" in again.answers[0]
    assert (again.nodes, log_id(DataFolder(folder).log_path())) == ({head}, log)


def test_a_node_that_was_stopped_and_goes_on_leaves_its_folder_to_the_next(nodes: Nodes, tmp_path: Path) -> None:
    """While it is stopped its log actor has the folder, dead to the cluster or not; when it goes on, it ends itself."""
    folder = tmp_path / "data"
    nodes.add_another()
    nodes.say_on_the_other(folder, "My name is Liv.")
    stopped = nodes.stop_the_other()
    with pytest.raises(DataFolderBusy, match="the cluster at"):
        nodes.say(folder, "What is my name?")
    for process in stopped:
        process.resume()
    _, left = psutil.wait_procs(stopped, timeout=60)
    assert not left
    again = nodes.say(folder, "What is my name?")
    assert "Liv" in again.answers[0]
    assert again.nodes == {_node(None)}


def test_another_log_under_the_folders_name_is_refused_until_it_is_said_to_be_on_purpose(
    nodes: Nodes, tmp_path: Path
) -> None:
    folder, away = tmp_path / "data", tmp_path / "away"
    head = ray.get_runtime_context().get_node_id()
    told = nodes.say(folder, "My name is Ada.")
    assert told.nodes == {head}
    folder.rename(away)
    other = begin(DataFolder(folder).create().log_path())
    with pytest.raises(BadInput, match=f"{log_id(DataFolder(away).log_path())} on .*and now the log {other} lies"):
        nodes.say(folder, "What is my name?")
    again = nodes.say(folder, "What is my name?", rehome=True)
    assert "Ada" not in again.answers[0]
    assert log_id(DataFolder(folder).log_path()) == other


def test_a_log_actor_opens_the_log_that_it_was_made_for_or_none(nodes: Nodes, tmp_path: Path) -> None:
    """It is killed, and finds its folder gone: it makes none, and goes on when the folder is back."""
    folder, away = tmp_path / "data", tmp_path / "away"

    async def lose() -> list[str]:
        system = await boot(DataFolder(folder), "a test", nodes.options())
        client = system.client()
        await client.create("sam", newborn(Settings(model="offline")))
        first = await client.ask("sam", "My name is Eve.")
        folder.rename(away)
        for pid in (await system.pids()).values():
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(LogUnavailable, match=r"is not there any more\. Nothing was made"):
            await system.status()
        assert not folder.exists()
        away.rename(folder)
        again = await client.ask("sam", "What is my name?")
        await system.stop()
        return [first.text, again.text]

    assert "Eve" in run(lose())[1]
