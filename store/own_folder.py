"""A folder of this process's own, for sockets and what goes with the process: short of path, and held by a lock.

Rule: it goes when it is closed; one of a process that was killed goes when the next is made, since the kernel let its
lock go.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from palimpsest.events.errors import BadInput

SOCKET_CHARS: Final = 103 if sys.platform == "darwin" else 107
"""A socket's path has no more."""
_OWN_CHARS: Final = 20
"""Of the folder's own name."""
_PREFIX: Final = "pal-"
_PLACES: Final = ("/tmp", "/var/tmp", "/dev/shm")


class OwnFolder:
    """The folder `path`, until it is closed."""

    def __init__(self, *, below: int, room: int = 0) -> None:
        """Where sockets fit that lie `below` characters deeper, if possible with `room` bytes free. Raises BadInput."""
        refusals = []
        for place in sorted(dict.fromkeys((*_temporary(), *_PLACES)), key=lambda place: is_full(Path(place), room)):
            if len(place) > SOCKET_CHARS - below - _OWN_CHARS:
                refusals.append(f"{place} (its path is too long for a socket)")
                continue
            try:
                _clear(Path(place))
                self.path, self._lock = _made(place)
            except OSError as error:
                refusals.append(f"{place} ({error.strerror})")
            else:
                return
        raise BadInput(
            f"There is no folder for sockets: {', '.join(refusals)}. Set TMPDIR to a short one that is free."
        )

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _made(place: str) -> tuple[Path, int]:
    """A new folder, and its lock. Before it is locked another process may take it for one that was left, and clear it
    away: then it is made again."""
    while True:
        made = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=place))
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            lock = _locked(made)
            if made.exists() and os.fstat(lock).st_ino == made.stat().st_ino:
                return made, lock
            os.close(lock)


def is_full(place: Path, room: int) -> bool:
    """Whether fewer than `room` bytes are free there."""
    with contextlib.suppress(OSError):
        found = os.statvfs(place)
        return found.f_bavail * found.f_frsize < room
    return True


def _temporary() -> tuple[str, ...]:
    with contextlib.suppress(OSError):  # no folder of temporary files can be written to
        return (tempfile.gettempdir(),)
    return ()


def _clear(place: Path) -> None:
    """Remove the folders that processes left behind which were killed."""
    for found in place.glob(f"{_PREFIX}*-*"):
        with contextlib.suppress(OSError):
            if found.stat().st_uid == os.getuid():
                lock = _locked(found)
                shutil.rmtree(found, ignore_errors=True)
                os.close(lock)


def _locked(folder: Path) -> int:
    """The folder, held until the descriptor is closed. Raises BlockingIOError where somebody has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
