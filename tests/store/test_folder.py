"""The data folder: made for one user, locked by one process, and clear about what stands in the way."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from palimpsest.events.errors import BadInput, DataFolderBusy, StorageUnavailable
from palimpsest.events.position import Partition
from palimpsest.store.folder import DataFolder, default_data_folder
from palimpsest.store.index.folder import IndexFolder

ROOT = Path(__file__).parents[2]


def test_it_names_its_files_by_partition(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    names = {folder.log_path(), folder.log_path(Partition(1)), folder.index_path(), folder.index_path(Partition(1))}
    assert len(names) == 4
    assert {name.parent for name in names} == {tmp_path}


def test_it_is_made_for_its_user_alone_and_made_once(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "a" / "b").create()
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    (folder.path / "kept").touch()
    assert (folder.create().path / "kept").exists()


def test_a_file_in_its_place_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="is a file"):
        DataFolder(tmp_path / "file").create()
    with pytest.raises(BadInput, match="cannot be made"):
        DataFolder(tmp_path / "file" / "below").create()


def test_a_folder_that_cannot_be_written_to_is_bad_input(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    child = os.fork()  # rights that are given up cannot be had back
    if child == 0:
        refused = 1
        try:
            tmp_path.chmod(0o555)
            if os.geteuid() == 0:
                os.setuid(65534)
            folder.create()
        except BadInput:
            refused = 0
        finally:
            os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    tmp_path.chmod(0o700)


def test_one_holds_the_lock_and_the_other_learns_who(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    with folder.lock("chat"):
        with pytest.raises(DataFolderBusy) as busy:
            DataFolder(tmp_path).lock("serve")
        assert re.fullmatch(rf"pid {os.getpid()} \(chat, since \d{{4}}-\d\d-\d\d \d\d:\d\d\)", busy.value.holder)
    again = folder.lock("serve")
    again.release()
    again.release()
    folder.lock("chat").release()


HOLD = """
import sys; from pathlib import Path; from palimpsest.store.folder import DataFolder
lock = DataFolder(Path(sys.argv[1])).lock("serve"); print("held", flush=True); sys.stdin.read()
"""


def test_a_killed_holder_lets_go(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(DataFolderBusy, match=rf"pid {holder.pid} \(serve"):
            DataFolder(tmp_path).lock("chat")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        DataFolder(tmp_path).lock("chat").release()


def test_programs_that_the_holder_starts_do_not_hold_it(tmp_path: Path) -> None:
    lock = DataFolder(tmp_path).lock("chat")
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False):
        os.close(lock._descriptor or -1)  # as the kernel does when the holder dies
        lock._descriptor = None
        DataFolder(tmp_path).lock("serve").release()


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"PALIMPSEST_HOME": "/data/agents"}, Path("/data/agents")),
        ({"PALIMPSEST_HOME": ""}, Path.home() / ".palimpsest"),
        ({}, Path.home() / ".palimpsest"),
    ],
)
def test_the_default_folder(environ: dict[str, str], path: Path) -> None:
    assert default_data_folder(environ).path == path


def test_a_folder_in_the_place_of_a_lock_is_said(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(BadInput, match=r"lock cannot be opened: Is a directory\. .*remove what is there"):
        DataFolder(tmp_path).lock("tests")
    with pytest.raises(StorageUnavailable, match=r"lock is a folder, where the index's lock is to be a file"):
        IndexFolder(tmp_path)


def test_a_user_without_a_home_is_told_to_name_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as where the user has no entry either
    with pytest.raises(BadInput, match="has no home folder: say where the data folder is to be"):
        default_data_folder({})
    assert default_data_folder({"PALIMPSEST_HOME": "/data"}).path == Path("/data")
    with pytest.raises(BadInput, match="begins at a home folder that is not known"):
        default_data_folder({"PALIMPSEST_HOME": "~nobody-of-this-name/data"})
