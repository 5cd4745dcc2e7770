"""A Ray of our own starts whatever stands in the environment or lies on the machine, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from actors import own_ray
from actors.own_ray import last_words
from events.errors import BadInput
from tests.cluster.world import HOME


def test_it_starts_beside_whatever_is_there_and_leaves_nothing(tmp_path: Path) -> None:
    """RAY_ADDRESS of a job or a pod, the address of a Ray that was killed, a temporary folder that is too deep for
    sockets, and an interpreter with a blank in its path."""
    (tmp_path / "an environment").symlink_to(Path(sys.executable).parent.parent)
    python = tmp_path / "an environment" / "bin" / Path(sys.executable).name
    deep = tmp_path / ("deep" * 20)
    (deep / "ray").mkdir(parents=True)
    (deep / "ray" / "ray_current_cluster").write_text("127.0.0.1:9")
    before = folders()
    environment = {**os.environ, "RAY_ADDRESS": "127.0.0.1:9", "TMPDIR": str(deep), "PYTHONPATH": str(HOME)}
    done = subprocess.run(
        [python, HOME / "launch.py", "--data", tmp_path / "data", "chat"],
        input="Hello!\n", env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "RAY_ADDRESS names 127.0.0.1:9, which was not joined" in done.stderr
    assert "Traceback" not in done.stderr
    assert not [left for left in folders() - before if not psutil.pid_exists(int(left.name.split("-")[1]))]


def test_what_a_killed_process_left_is_cleared_by_the_next_and_what_another_has_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.own_ray.tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(own_ray, "LONGEST", len(str(tmp_path)) + 20)
    monkeypatch.setattr(own_ray, "_held", [])
    left, theirs = tmp_path / f"pal-{os.getpid()}-abcd", tmp_path / "pal-1-abcd"
    held = "import os, sys, fcntl; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX); print(1); input()"
    for folder in (left, theirs):
        folder.mkdir()
    holders = [
        subprocess.Popen([sys.executable, "-c", held, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for folder in (left, theirs)
    ]
    for holder in holders:
        assert holder.stdout is not None and holder.stdout.readline()
    holders[0].kill()
    holders[0].wait()
    made = own_ray._own_folder()
    assert (left.exists(), theirs.exists(), made.parent) == (False, True, tmp_path)
    assert last_words() == ""
    holders[1].kill()
    holders[1].wait()
    os.close(own_ray._held[0][1])


def test_a_place_for_its_folder_is_looked_for_and_said_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.own_ray.tempfile.gettempdir", lambda: str(tmp_path / ("deep" * 20)))
    monkeypatch.setattr(own_ray, "_PLACES", ("/nowhere",))
    with pytest.raises(BadInput, match=r"too long for a socket\), /nowhere \(No such file or directory\). Set TMPDIR"):
        own_ray._own_folder()


def test_rays_last_words_are_those_that_say_what_is_wrong(tmp_path: Path) -> None:
    logs = tmp_path / "session_1" / "logs"
    logs.mkdir(parents=True)
    (logs / "raylet.out").write_text("[2026-11-27 I 1 1] all is well\n[x E 1 1] worker.cc: no such file\n\n")
    assert last_words(tmp_path) == "[x E 1 1] worker.cc: no such file"
    (logs / "worker-1.err").write_text("bash: /a: Permission denied\n")
    assert last_words(tmp_path) == "bash: /a: Permission denied"
    assert last_words(tmp_path / "none") == ""


def folders() -> set[Path]:
    return {found for place in own_ray._PLACES for found in Path(place).glob("pal-*")}
