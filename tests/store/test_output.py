"""store/output.py: a file is there whole or not at all, and over no other one unless that is meant."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from palimpsest.events.errors import BadInput
from palimpsest.store.output import check_place, whole


def test_a_file_gets_its_name_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    with whole(path, force=False) as file:
        file.write(b"all of it")
        assert not path.exists()
    assert path.read_bytes() == b"all of it"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("force", [False, True])
def test_what_fails_leaves_nothing_and_what_was_there(tmp_path: Path, force: bool) -> None:
    path = tmp_path / "page.html"
    if force:
        path.write_bytes(b"before")
    with pytest.raises(RuntimeError, match="no more"), whole(path, force=force) as file:
        file.write(b"a part")
        raise RuntimeError("no more")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("page.html", b"before")] * force


def test_another_file_that_came_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    with pytest.raises(BadInput, match="already"), whole(path, force=False) as file:
        file.write(b"mine")
        path.write_bytes(b"another's")
    assert path.read_bytes() == b"another's"
    assert list(tmp_path.iterdir()) == [path]


def test_with_force_it_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(b"before")
    with whole(path, force=True) as file:
        file.write(b"after")
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"


def test_a_place_where_no_file_can_be_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "there").touch()
    for path, force, says in (
        (tmp_path, True, "is a folder: name a file in it"),
        (tmp_path / "pipe", True, "is no plain file"),
        (tmp_path / "there", False, "There is a file .*there already"),
        (tmp_path / "none" / "page.html", True, "There is no folder .*none to write page.html into"),
    ):
        with pytest.raises(BadInput, match=says):
            check_place(path, force=force)
    check_place(tmp_path / "there", force=True)
    check_place(tmp_path / "new", force=False)
