"""Which files are found, in which order, and what is said of those that are not taken."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.small_files import written
from palimpsest.store.documents import FoundFile, Refused, digest, find


def found(*paths: Path) -> list[str]:
    return [each.path for each in find(paths) if isinstance(each, FoundFile)]


def refused(*paths: Path) -> dict[str, str]:
    return {each.path: each.reason for each in find(paths) if isinstance(each, Refused)}


def test_a_folder_gives_its_files_in_order_with_their_paths_within(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.txt", "a/b/c.md", "c/d.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        written(tmp_path / name, name)
    everything = list(find([tmp_path]))
    assert everything == [
        FoundFile(tmp_path / "a/b/c.md", "a/b/c.md", 8),
        FoundFile(tmp_path / "a/z.txt", "a/z.txt", 7),
        FoundFile(tmp_path / "b.txt", "b.txt", 5),
        FoundFile(tmp_path / "c/d.txt", "c/d.txt", 7),
    ]
    assert list(find([tmp_path])) == everything


def test_a_file_has_its_own_name(tmp_path: Path) -> None:
    assert list(find([written(tmp_path / "b.txt", "b")])) == [FoundFile(tmp_path / "b.txt", "b.txt", 1)]


def test_what_is_named_twice_is_found_once(tmp_path: Path) -> None:
    file = written(tmp_path / "b.txt", "b")
    assert found(file, tmp_path, file) == ["b.txt"]
    assert refused(tmp_path, tmp_path) == {
        str(tmp_path): f"It is the same folder as '{tmp_path}', by a link or named twice, and is taken there. "
        "Nothing is missing."
    }


def test_two_files_of_one_path_are_not_mixed(tmp_path: Path) -> None:
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        written(tmp_path / name / "a.txt", name)
    one, other = tmp_path / "x/a.txt", tmp_path / "y/a.txt"
    assert found(one, other) == ["a.txt"]
    assert refused(one, other)[str(other)].endswith(f"as {one}. Name the folder above both instead.")


def test_hidden_files_are_taken_only_if_named(tmp_path: Path) -> None:
    hidden = written(tmp_path / ".notes", "x")
    (tmp_path / ".git").mkdir()
    written(tmp_path / ".git/config", "x")
    said = "It is hidden (its name begins with a dot). To load it, name it in the command."
    assert found(tmp_path) == []
    assert refused(tmp_path) == {".git": said, ".notes": said}
    assert found(hidden, tmp_path / ".git") == [".notes", "config"]


def test_loops_of_links_end(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    written(tmp_path / "a/x.txt", "x")
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "broken").symlink_to("nowhere")
    assert found(tmp_path) == ["a/x.txt"]
    reasons = refused(tmp_path)
    assert reasons["a/up"].startswith(f"It is the same folder as '{tmp_path}', by a link")
    assert reasons["self"].startswith("It is a link that leads in a loop.")
    assert reasons["broken"] == "It is a link to nowhere, which is not there. Mend or remove the link."


def test_links_to_files_and_folders_are_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    written(tmp_path / "there/x.txt", "x")
    (tmp_path / "here").mkdir()
    (tmp_path / "here/folder").symlink_to(tmp_path / "there")
    (tmp_path / "here/file").symlink_to(tmp_path / "there/x.txt")
    assert found(tmp_path / "here") == ["file", "folder/x.txt"]


def test_sockets_pipes_and_devices_are_refused() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.socket(socket.AF_UNIX) as listener,
    ):  # a short path, for the socket
        listener.bind(f"{folder}/socket")
        os.mkfifo(f"{folder}/pipe")
        said = "It is a socket, a pipe or a device, not a file. Leave it out."
        assert refused(Path(folder), Path("/dev/null")) == {"pipe": said, "socket": said, "/dev/null": said}


def test_what_is_not_there_is_refused_and_the_rest_is_found(tmp_path: Path) -> None:
    file = written(tmp_path / "a.txt", "a")
    gone = tmp_path / "gone"
    assert found(gone, file, Path("nul\0")) == ["a.txt"]
    assert refused(gone) == {str(gone): "There is no such file or folder. Check the path."}
    assert "cannot read it: embedded null byte" in refused(Path("nul\0"))["nul\0"]


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt")).write_text("x")
    assert refused(tmp_path) == {"caf?.txt": "Its name is not valid UTF-8. Rename it and load again."}


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read anything: put its rights aside."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65_534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_an_unreadable_folder_is_refused_and_the_rest_is_found() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        written(folder / "b.txt", "b")
        (folder / "a").mkdir(mode=0o000)
        with as_nobody():
            everything = list(find([folder]))
        (folder / "a").chmod(0o755)
    assert everything == [
        Refused("a", "Access is denied. Give this user the right to read it (chmod), or leave it out."),
        FoundFile(folder / "b.txt", "b.txt", 1),
    ]


def test_the_digest_is_the_files(tmp_path: Path) -> None:
    content = os.urandom(3 << 20)
    assert digest(written(tmp_path / "a", content)) == (hashlib.sha256(content).hexdigest(), len(content))
