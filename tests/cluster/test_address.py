"""A Ray cluster of its own, which asks for a token: drivers come and go, the system and its lock stay."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import psutil
import pytest

from palimpsest.store.folder import DataFolder
from tests.worlds.crowd import HOME, PYTHONPATH

LAUNCH = (sys.executable, str(HOME / "launch.py"))


class Cluster(msgspec.Struct, frozen=True):
    address: str
    environment: Mapping[str, str]

    def say(self, folder: Path, lines: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Pipe lines into a chat on a data folder."""
        return self.run("chat", folder, *options, lines=lines)

    def run(self, name: str, folder: Path, *options: str, lines: str = "") -> subprocess.CompletedProcess[str]:
        """A command on a data folder."""
        command = [*LAUNCH, name, "--data", str(folder), *options]
        return subprocess.run(
            command, input=lines, env=self.environment, capture_output=True, text=True, timeout=90, check=False
        )


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    home = Path(tempfile.mkdtemp(prefix="ray-"))  # short: Ray's sockets lie in it
    (home / "token").write_text(secrets.token_hex(16))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "RAY_AUTH_TOKEN_PATH": str(home / "token"), "PYTHONPATH": PYTHONPATH}
    environment.pop("RAY_AUTH_MODE", None)
    ray = str(Path(sys.executable).with_name("ray"))
    command = [ray, "start", "--head", "--block", "--include-dashboard=false", "--num-cpus=4"]
    command += [f"--port={port}", f"--temp-dir={home}"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as head:
        assert head.stdout is not None, "it was piped"
        for line in head.stdout:
            if "Ray runtime started" in line:
                break
        try:
            yield Cluster(f"127.0.0.1:{port}", environment)
        finally:
            for process in psutil.Process(head.pid).children(recursive=True):
                process.kill()
            head.kill()
    shutil.rmtree(home, ignore_errors=True)


def test_drivers_share_a_system_that_outlives_them(cluster: Cluster, tmp_path: Path) -> None:
    first = cluster.say(tmp_path / "one", "My name is Sam.\n", "--address", cluster.address)
    assert "your name is Sam" in first.stdout, first.stderr
    again = cluster.say(tmp_path / "one", "What is my name?\n", "--address", cluster.address)
    assert "Sam" in again.stdout, again.stderr

    # The cluster has the folder's lock, though no driver is there: and it says where to join.
    found = cluster.say(tmp_path / "one", "What is my name?\n")
    assert (found.returncode, "Sam" in found.stdout) == (0, True), found.stderr
    up = cluster.run("up", tmp_path / "one")
    assert (up.returncode, "runs on a Ray cluster" in up.stdout) == (0, True), up.stderr


def test_a_cluster_finds_the_folder_in_use_and_leaves_nothing_behind(cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "held"
    with subprocess.Popen(
        [*LAUNCH, "chat", "--data", str(folder)],
        env=cluster.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdin is not None, "it was piped"
        assert holder.stdout is not None, "it was piped"
        holder.stdin.write("My name is Ada.\n")
        holder.stdin.flush()
        while "your name is Ada" not in holder.stdout.readline():
            assert holder.poll() is None, "the chat ended early"
        refused = cluster.say(folder, "Hello?\n", "--address", cluster.address)
        assert refused.returncode != 0
        host = DataFolder(folder).holder()
        assert host is not None and f"pid {host.pid}" in refused.stderr
        holder.stdin.close()
        assert holder.wait(60) == 0
    taken = cluster.say(folder, "What is my name?\n", "--address", cluster.address)
    assert "Ada" in taken.stdout, taken.stderr  # and not Sam: another folder on one cluster is another system
