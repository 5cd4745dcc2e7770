"""A Ray of our own starts whatever stands in the environment or lies on the machine, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from palimpsest.actors.on_ray import own_ray
from palimpsest.actors.on_ray.own_ray import last_words
from palimpsest.events.errors import BadInput
from palimpsest.store import own_folder
from palimpsest.store.folder import DataFolder
from palimpsest.store.own_folder import OwnFolder
from tests.worlds.crowd import HOME, PYTHONPATH


def test_it_starts_beside_whatever_is_there_and_leaves_nothing(tmp_path: Path) -> None:
    """RAY_ADDRESS of a job or a pod, the address of a Ray that was killed, a temporary folder that is too deep for
    sockets, an interpreter with a blank in its path, and no home."""
    (tmp_path / "an environment").symlink_to(Path(sys.executable).parent.parent)
    python = tmp_path / "an environment" / "bin" / Path(sys.executable).name
    deep = tmp_path / ("deep" * 20)
    (deep / "ray").mkdir(parents=True)
    (deep / "ray" / "ray_current_cluster").write_text("127.0.0.1:9")
    (tmp_path / "file").touch()  # nothing can be made below it, not even by root
    before = folders()
    environment = {**os.environ, "RAY_ADDRESS": "127.0.0.1:9", "TMPDIR": str(deep), "PYTHONPATH": PYTHONPATH}
    environment["HOME"] = str(tmp_path / "file" / "home")
    for name in ("XDG_CONFIG_HOME", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        environment.pop(name, None)
    done = subprocess.run(
        [python, HOME / "launch.py", "--data", tmp_path / "data", "chat"],
        input="My name is Sam.\n", env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "your name is Sam" in done.stdout
    assert "RAY_ADDRESS names 127.0.0.1:9, which was not joined" in done.stderr
    assert "Traceback" not in done.stderr
    assert not [left for left in folders() - before if not psutil.pid_exists(int(left.name.split("-")[1]))]


PROGRAM = """
import asyncio, sys
from pathlib import Path
from palimpsest.actors.system import boot
from palimpsest.store.folder import DataFolder

async def main():
    system = await boot(DataFolder(Path(sys.argv[1])), "a test")
    try:
        print("up", flush=True)
        await asyncio.sleep(60)
    finally:
        await system.stop()
        print("stopped", flush=True)

asyncio.run(main())
"""


def test_a_program_ends_in_order_by_a_signal(tmp_path: Path) -> None:
    """Ray's own handler would print addresses of its code, and end it on the spot."""
    before, environment = folders(), {**os.environ, "PYTHONPATH": PYTHONPATH}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, tmp_path / "data"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as program:  # fmt: skip
        assert program.stdout is not None
        assert program.stdout.readline() == "up\n"
        started = [" ".join(each.cmdline()) for each in psutil.Process(program.pid).children(recursive=True)]
        assert len(started) == 9, "Ray's own four, and five parts"
        assert not [each for each in started if "monitor" in each or "dashboard.py" in each]
        program.send_signal(signal.SIGTERM)
        said, complaints = program.communicate(timeout=60)
    assert (program.returncode, said, complaints) == (128 + signal.SIGTERM, "stopped\n", "")
    assert not [left for left in folders() - before if left.name.startswith(f"pal-{program.pid}-")]


def test_the_import_path_is_the_programs_again(monkeypatch: pytest.MonkeyPatch) -> None:
    for before in ("/somewhere", None):
        if before is None:
            monkeypatch.delenv("PYTHONPATH")
        else:
            monkeypatch.setenv("PYTHONPATH", before)
        with own_ray._imports_inherited():
            assert os.environ["PYTHONPATH"].startswith(str(own_ray._home()))
        assert os.environ.get("PYTHONPATH") == before
    with own_ray._imports_inherited():
        os.environ["PYTHONPATH"] = "/of another thread"
    assert os.environ.pop("PYTHONPATH") == "/of another thread"


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """What a shell runs in the background does not, nor do its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_ends_rays_start_at_once(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, HOME / "launch.py", "--data", tmp_path / "data", "chat"],
        env={**os.environ, "PYTHONPATH": PYTHONPATH}, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as chat:  # fmt: skip
        assert chat.stderr is not None
        folder, host = DataFolder(tmp_path / "data"), 0
        while not (host and list(Path(tempfile.gettempdir()).glob(f"pal-{host}-*/session_*"))):
            assert chat.poll() is None, "it ended early"
            holder = folder.holder()
            host = holder.pid if holder else 0
        started = psutil.Process(host)
        chat.send_signal(signal.SIGINT)
        _, complaints = chat.communicate(timeout=60)
    assert (chat.returncode, complaints) == (130, "Starting Ray …\n")
    started.wait(60)
    assert not list(Path(tempfile.gettempdir()).glob(f"pal-{host}-*"))
    folder.lock("the next one").release()


def test_a_place_with_room_goes_before_one_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full, free = tmp_path / "full", tmp_path / "free"
    full.mkdir()
    free.mkdir()
    monkeypatch.setattr("palimpsest.store.own_folder.tempfile.gettempdir", lambda: str(full))
    monkeypatch.setattr(own_folder, "_PLACES", (str(free),))
    monkeypatch.setattr(own_folder, "is_full", lambda place, _room: place == full)
    monkeypatch.setattr(own_folder, "SOCKET_CHARS", len(str(free)) + 30)
    with closing(OwnFolder(below=10)) as made:
        assert made.path.parent == free


def test_what_a_killed_process_left_is_cleared_by_the_next_and_what_another_has_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("palimpsest.store.own_folder.tempfile.gettempdir", lambda: str(tmp_path))
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
    monkeypatch.setattr(own_folder, "SOCKET_CHARS", len(str(tmp_path)) + 30)
    with closing(OwnFolder(below=10)) as made:
        assert (left.exists(), theirs.exists(), made.path.parent) == (False, True, tmp_path)
    assert last_words() == ""
    holders[1].kill()
    holders[1].wait()


def test_a_place_for_its_folder_is_looked_for_and_said_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("palimpsest.store.own_folder.tempfile.gettempdir", lambda: str(tmp_path / ("deep" * 20)))
    monkeypatch.setattr(own_folder, "_PLACES", ("/nowhere",))
    with pytest.raises(BadInput, match=r"too long for a socket\), /nowhere \(No such file or directory\). Set TMPDIR"):
        OwnFolder(below=62)


def test_a_ray_that_comes_up_too_late_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(**_: object) -> None:
        raise Exception("The current node timed out during startup.")  # as Ray does

    monkeypatch.setattr("ray.init", late)
    monkeypatch.setattr("ray.shutdown", lambda: None)  # this process may have one
    monkeypatch.setattr(own_ray, "_held", [])
    with pytest.raises(BadInput, match=r"could not be started.*timed out during startup.*try again"):
        own_ray.start("")


def test_rays_last_words_are_those_that_say_what_is_wrong(tmp_path: Path) -> None:
    logs = tmp_path / "session_1" / "logs"
    logs.mkdir(parents=True)
    (logs / "raylet.out").write_text("[2026-11-27 I 1 1] all is well\n[x E 1 1] worker.cc: no such file\n\n")
    assert last_words(tmp_path) == "[x E 1 1] worker.cc: no such file"
    (logs / "worker-1.err").write_text("bash: /a: Permission denied\n")
    assert last_words(tmp_path) == "bash: /a: Permission denied"
    assert last_words(tmp_path / "none") == ""


def folders() -> set[Path]:
    return {found for place in own_folder._PLACES for found in Path(place).glob("pal-*")}
