"""Which files there are under what was named, and their digests.

Rules. (1) The order is the same every time: paths as given, within a folder by name. (2) Nothing stops the rest: what
cannot be taken is a Refused that says what to do. (3) A path within a source is relative to the folder that was given,
with "/" between its parts, and names one file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

_READ_BYTES: Final = 1 << 20


class FoundFile(msgspec.Struct, frozen=True):
    """A file to load: where it is, its path within the source, and its size when it was found."""

    real: Path
    path: str
    size_bytes: int


class Refused(msgspec.Struct, frozen=True):
    """A path that was named, or met on the way, and is not loaded."""

    path: str
    reason: str


def find(paths: Sequence[Path]) -> Iterator[FoundFile | Refused]:
    """The files at and under these paths. What begins with a dot is loaded only if it is named itself."""
    walk = _Walk()
    for path in paths:
        yield from walk.named(Path(path))


def origin_of(path: Path) -> str:
    """Where a file is by its whole name, links followed."""
    return _printable(str(path.resolve()))


def digest(path: Path) -> tuple[str, int]:
    """The file's SHA-256 in hex, and its bytes. Raises OSError."""
    seen, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while data := stream.read(_READ_BYTES):
            seen.update(data)
            size += len(data)
    return seen.hexdigest(), size


class _Walk:
    """One walk over all that was named. Remembers what it has met, so that nothing is found twice and loops end."""

    def __init__(self) -> None:
        self._folders: dict[tuple[int, int], str] = {}
        self._files: dict[str, Path] = {}

    def named(self, path: Path) -> Iterator[FoundFile | Refused]:
        """What the user named: a folder's files, or the one file."""
        stack = [(path, "")]  # not calls in calls: folders nest deeper than those may
        while stack:
            real, within = stack.pop()
            shown = within or str(path)
            try:
                status = real.stat()
                if stat.S_ISDIR(status.st_mode):
                    inside = self._folder(real, within, status)
                    yield from (each for each in inside if isinstance(each, Refused))
                    stack += [each for each in reversed(inside) if not isinstance(each, Refused)]
                elif not stat.S_ISREG(status.st_mode):
                    yield Refused(_printable(shown), "It is a socket, a pipe or a device, not a file. Leave it out.")
                elif found := self._file(real, within or real.name, status.st_size):
                    yield found
            except (OSError, ValueError) as error:
                yield Refused(_printable(shown), reason_of(error, real))

    def _folder(self, folder: Path, within: str, status: os.stat_result) -> list[tuple[Path, str] | Refused]:
        """What is in a folder, by name: paths to look at, and what is refused unseen. Raises OSError."""
        shown = within or str(folder)
        known = self._folders.setdefault((status.st_dev, status.st_ino), shown)
        if known is not shown:
            reason = (
                f"It is the same folder as '{known}', by a link or named twice, and is taken there. Nothing is missing."
            )
            return [Refused(_printable(shown), _printable(reason))]
        inside: list[tuple[Path, str] | Refused] = []
        for name in sorted(os.listdir(folder)):  # noqa: PTH208 (names are wanted, which sort faster than paths)
            path = f"{within}/{name}" if within else name
            if name.startswith("."):
                reason = "It is hidden (its name begins with a dot). To load it, name it in the command."
                inside.append(Refused(_printable(path), reason))
            else:
                inside.append((folder / name, path))
        return inside

    def _file(self, real: Path, path: str, size: int) -> FoundFile | Refused | None:
        if path != _printable(path):
            return Refused(_printable(path), "Its name is not valid UTF-8. Rename it and load again.")
        if path not in self._files:
            self._files[path] = real
            return FoundFile(real, path, size)
        before = self._files[path]
        if before.samefile(real):
            return None
        reason = (
            f"In the source it would have the same path, '{path}', as {before}. Name the folder above both instead."
        )
        return Refused(_printable(str(real)), _printable(reason))


_REASONS: Final = {
    errno.ENOENT: "There is no such file or folder. Check the path.",
    errno.EACCES: "Access is denied. Give this user the right to read it (chmod), or leave it out.",
    errno.EPERM: "Access is denied. Give this user the right to read it (chmod), or leave it out.",
    errno.ELOOP: "It is a link that leads in a loop. Remove it, or name the file that it should lead to.",
}


def reason_of(error: OSError | ValueError, path: Path) -> str:
    """Why a path cannot be read, and what to do."""
    if isinstance(error, OSError) and error.errno == errno.ENOENT and path.is_symlink():
        return f"It is a link to {_printable(str(path.readlink()))}, which is not there. Mend or remove the link."
    if isinstance(error, OSError) and error.errno in _REASONS:
        return _REASONS[error.errno]
    why = (isinstance(error, OSError) and error.strerror) or str(error)
    return f"The system cannot read it: {why}. Mend that, or leave it out."


def _printable(path: str) -> str:
    """A name as text that can be logged: bytes that are not UTF-8 as "?"."""
    return path.encode("utf-8", "replace").decode()
