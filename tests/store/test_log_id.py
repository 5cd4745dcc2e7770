"""A log has an id of its own, and is opened by it or not at all."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from palimpsest.events.errors import LogUnavailable
from palimpsest.store.folder import DataFolder
from palimpsest.store.logs.sqlite_file import begin, log_id
from palimpsest.store.logs.sqlite_log import SqliteLog


def test_each_log_has_an_id_of_its_own_which_stays(tmp_path: Path) -> None:
    first, second = begin(tmp_path / "a.sqlite"), begin(tmp_path / "b.sqlite")
    assert first != second
    SqliteLog(tmp_path / "a.sqlite").close()
    assert begin(tmp_path / "a.sqlite") == first
    shutil.copyfile(tmp_path / "a.sqlite", tmp_path / "copy.sqlite")
    assert log_id(tmp_path / "copy.sqlite") == first


def test_an_old_log_gets_one_with_its_next_writer_and_not_from_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    SqliteLog(path).close()
    with sqlite3.connect(path) as old:
        old.execute("DROP TABLE identity")
    old.close()
    assert log_id(path) == ""
    SqliteLog.open_readonly(path).close()
    assert log_id(path) == ""
    assert begin(path) == log_id(path) != ""


def test_a_log_that_is_not_the_one_is_not_opened_and_nothing_is_made(tmp_path: Path) -> None:
    wanted = begin(tmp_path / "a.sqlite")
    with pytest.raises(LogUnavailable, match=f"The log {wanted} is not at .*nothing is there"):
        SqliteLog(tmp_path / "away" / "log.sqlite", log_id=wanted)
    other = begin(tmp_path / "b.sqlite")
    before = (tmp_path / "b.sqlite").read_bytes()
    with pytest.raises(LogUnavailable, match=f"the log {other} is there"):
        SqliteLog(tmp_path / "b.sqlite", log_id=wanted)
    (tmp_path / "c.sqlite").touch()
    with pytest.raises(LogUnavailable, match="another file is there"):
        SqliteLog(tmp_path / "c.sqlite", log_id=wanted)
    assert not (tmp_path / "away").exists()
    assert (tmp_path / "c.sqlite").stat().st_size == 0
    assert (tmp_path / "b.sqlite").read_bytes() == before
    assert log_id(tmp_path / "none.sqlite") == log_id(tmp_path / "c.sqlite") == ""


def test_a_folder_that_is_gone_is_not_made_to_be_locked(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    with pytest.raises(LogUnavailable, match=r"is not there any more\. Nothing was made"):
        folder.lock("a test", make=False)
    assert not folder.path.exists()
    folder.lock("a test").release()
    folder.lock("a test", make=False).release()
