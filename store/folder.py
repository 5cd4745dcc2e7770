"""The data folder: where a machine's logs and indexes lie, and who may work on them.

Rule: whoever writes holds the folder's lock. The kernel lets it go when its holder dies, however it dies, so that a
lock is never stale; readers need none.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Self

import msgspec

from palimpsest.events.errors import BadInput, DataFolderBusy, DataFolderUnusable, LogUnavailable


class Holder(msgspec.Struct, frozen=True):
    """Who holds the lock; written into its file for whoever finds it taken."""

    pid: int
    purpose: str
    since: str

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.purpose}, since {self.since})"


class FolderLock:
    """The lock, held until `release` or the end of the process. Programs that the process starts do not hold it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Let go. The file stays: to delete it would let two processes lock two files of one name."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)  # also for a copy that a fork may have made
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class DataFolder:
    """Names the files of one data folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def log_path(self, partition: int = 0) -> Path:
        """A partition's event log, an SQLite file."""
        return self.path / f"log-{partition}.sqlite"

    def index_path(self, partition: int = 0) -> Path:
        """A partition's index of recall and archival memory, a folder. It can be deleted: it is built from the log."""
        return self.path / f"index-{partition}"

    def servers_path(self) -> Path:
        """The addresses of model servers that imports brought here."""
        return self.path / "imported-servers.json"

    def create(self) -> Self:
        """Make the folder, for this user alone, where there is none. Raises BadInput where that cannot be."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                self.path.mkdir(mode=0o700)
                _sync_folder(self.path.parent)
        except OSError as error:
            raise DataFolderUnusable(str(self.path), "unmade", f"{error.strerror} ({error.filename})") from error
        if not self.path.is_dir():
            raise DataFolderUnusable(str(self.path), "file")
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise DataFolderUnusable(str(self.path), "closed")
        return self

    def lock(self, purpose: str, *, make: bool = True) -> FolderLock:
        """Take the folder for this process; with `make` it is made where there is none. Raises DataFolderBusy, naming
        the holder, where another has it; BadInput where what is there is no lock; LogUnavailable where it is not there
        and was not to be made."""
        if make:
            self.create()
        try:
            descriptor = os.open(self.path / "lock", os.O_RDWR | (os.O_CREAT if make else 0), 0o600)  # closed on exec
        except FileNotFoundError:
            raise LogUnavailable(
                f"The data folder {self.path} is not there any more. Nothing was made: put it back, and what was "
                "acknowledged is there again."
            ) from None
        except OSError as error:
            raise BadInput(
                f"The data folder's lock {self.path / 'lock'} cannot be opened: {error.strerror}. "
                "It is to be a file that this user can write: remove what is there, or mend its rights."
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            since = f"{datetime.now().astimezone():%Y-%m-%d %H:%M}"
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, msgspec.json.encode(Holder(os.getpid(), purpose, since)), 0)
        except BlockingIOError:
            holder = _holder(os.pread(descriptor, 4096, 0))
            os.close(descriptor)
            raise DataFolderBusy(str(self.path), holder) from None
        except BaseException:
            os.close(descriptor)
            raise
        return FolderLock(descriptor)


def default_data_folder(environ: Mapping[str, str]) -> Path:
    """$PALIMPSEST_HOME, else ~/.palimpsest. Raises BadInput where there is neither."""
    if not environ.get("PALIMPSEST_HOME") and os.path.expanduser("~") == "~":  # noqa: PTH111 (never raises)
        raise DataFolderUnusable("", "homeless")
    return expanded(Path(environ.get("PALIMPSEST_HOME") or "~/.palimpsest"))


def expanded(path: Path) -> Path:
    """A path that a user typed, without its `~`. Raises BadInput where nobody's home is known by it."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise BadInput(f"The path {path} begins at a home folder that is not known: give it in full.") from None


def _holder(written: bytes) -> str:
    """The holder, if it has got to writing its name yet."""
    try:
        return str(msgspec.json.decode(written, type=Holder))
    except msgspec.MsgspecError:
        return "another process"


def _sync_folder(path: Path) -> None:
    """Make a new entry of this folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
