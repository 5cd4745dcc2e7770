"""A file at a path that the user named: written whole or not at all, and over no other one unless that is meant."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from palimpsest.events.errors import BadInput, FileExists


def check_place(path: Path, *, force: bool) -> None:
    """Raises BadInput where no file can be written to this path."""
    if path.is_dir():
        raise BadInput(f"{path} is a folder: name a file in it.")
    if path.exists() and not path.is_file():
        raise BadInput(f"{path} is no plain file, and nothing is written over it: name another one.")
    if path.exists() and not force:
        raise FileExists(str(path))
    if not path.parent.is_dir():
        raise BadInput(f"There is no folder {path.parent} to write {path.name} into: make it, or name another one.")


@contextlib.contextmanager
def whole(path: Path, *, force: bool) -> Iterator[IO[bytes]]:
    """A new file for this user alone, which gets its name once it is there whole and durable; else it goes away. Raises
    BadInput where the path is taken (and not `force`) or is no place for a file, OSError where the disk refuses."""
    check_place(path, force=force)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name[:80]}.", delete=False) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            _put(Path(file.name), path, force=force)
        finally:
            Path(file.name).unlink(missing_ok=True)


def _put(made: Path, path: Path, *, force: bool) -> None:
    """Give the file its name, at once; without `force` never over another file that came meanwhile."""
    if force:
        made.replace(path)
    else:
        try:
            path.hardlink_to(made)
        except FileExistsError:
            raise FileExists(str(path)) from None
        except OSError:  # a file system without links
            made.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
