"""The data folder: where a machine's logs and indexes lie, and who may work on them.

Rule: whoever writes holds the folder's lock. The kernel lets it go when its holder dies, however it dies, so that a
lock is never stale; readers need none.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self

import msgspec
from msgspec.structs import replace

from palimpsest.events.errors import BadInput, DataFolderBusy, DataFolderUnusable, LogUnavailable, OnlyLooked
from palimpsest.events.position import FIRST_PARTITION, Partition
from palimpsest.store.logs.urls import checked, is_url, public

if TYPE_CHECKING:
    from palimpsest.store.logs.opening import LogPlace

How = Literal["free", "brief", "starting", "door", "cluster", "alone"]
"""What whoever finds the folder taken can do: wait until it is let go, or until there is a system to join; join it at
its door, or through its cluster; or nothing, and `why`. "free": it was let go."""


HOLDER_BYTES: Final = 4096
"""Always as many, so that nobody reads half of one holder and half of another."""
PURPOSE_CHARS: Final = 200
FREE_S: Final = 60.0
"""So long a folder is waited for that somebody has only briefly, or is just starting a system on."""
LOOK_S: Final = 0.05
"""Between two looks whether it is free."""


PASSING: Final[tuple[How, ...]] = ("brief", "starting")
"""Of a holder that is waited for."""


class Holder(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who holds the lock; written into its file for whoever finds it taken."""

    pid: int
    purpose: str
    since: str
    how: How = "alone"
    door: str = ""
    """The socket at which its system is joined."""
    address: str = ""
    """Of the Ray cluster that has the system."""
    why: str = ""
    """Why nobody can join it."""

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.purpose}, since {self.since}{f'; {self.why}' if self.why else ''})"


class FolderLock:
    """The lock, held until `release` or the end of the process. Programs that the process starts do not hold it."""

    def __init__(self, descriptor: int, holder: Holder) -> None:
        self._descriptor: int | None = descriptor
        self.holder = holder
        self.tell(how=holder.how)

    def tell(self, *, how: How, door: str = "", why: str = "") -> None:
        """Say from now on what whoever finds the folder taken can do."""
        assert self._descriptor is not None, "it is held"
        self.holder = replace(self.holder, how=how, door=door, why=why)
        os.pwrite(self._descriptor, msgspec.json.encode(self.holder).ljust(HOLDER_BYTES), 0)  # in one piece

    def release(self) -> None:
        """Let go. The file stays: to delete it would let two processes lock two files of one name."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):  # a disk that is full keeps nobody's lock
                self.tell(how="free")
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)  # also for a copy that a fork may have made
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class DataFolder:
    """Names the files of one data folder. With a `database` (its URL) the log lies there, and not in a file; the folder
    is for what this machine keeps beside it."""

    def __init__(self, path: Path, *, database: str = "") -> None:
        self.path = path
        self.database = database

    def __str__(self) -> str:
        return str(self.log()) if self.database else str(self.path)

    def log_path(self, partition: Partition = FIRST_PARTITION) -> Path:
        """The SQLite file of a partition's event log."""
        return self.path / f"log-{partition}.sqlite"

    def log(self, partition: Partition = FIRST_PARTITION) -> LogPlace:
        """Where a partition's event log is kept."""
        from palimpsest.store.logs.opening import FileLog, database_log

        return database_log(self.database, partition) if self.database else FileLog(self.log_path(partition), partition)

    def index_path(self, partition: Partition = FIRST_PARTITION) -> Path:
        """A partition's index of recall and archival memory, a folder. It can be deleted: it is built from the log."""
        return self.path / f"index-{partition}"

    def servers_path(self) -> Path:
        """The addresses of model servers that imports brought here."""
        return self.path / "imported-servers.json"

    def create(self) -> Self:
        """Make the folder, for this user alone, where there is none. Raises BadInput where that cannot be; OnlyLooked
        where the log is in a database."""
        self.check_is_worked_on()
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

    def lock(self, purpose: str, *, make: bool = True, how: How = "brief", address: str = "") -> FolderLock:
        """Take the folder for this process; with `make` it is made where there is none. `how` tells others what they
        can do meanwhile. Raises DataFolderBusy, naming the holder, where another has it; BadInput where what is there
        is no lock; LogUnavailable where it is not there and was not to be made."""
        self.check_is_worked_on()
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
            _take(descriptor)
            since = f"{datetime.now().astimezone():%Y-%m-%d %H:%M}"
            return FolderLock(descriptor, Holder(os.getpid(), purpose[:PURPOSE_CHARS], since, how, "", address))
        except BlockingIOError:
            holder = _holder(os.pread(descriptor, HOLDER_BYTES, 0))
            os.close(descriptor)
            how = holder.how if holder else "starting"
            raise DataFolderBusy(str(self.path), str(holder or "another process"), how=how) from None
        except BaseException:
            os.close(descriptor)
            raise

    def check_is_worked_on(self) -> None:
        """Raises OnlyLooked where the log is in a database."""
        if self.database:
            raise OnlyLooked(str(self))

    def holder(self) -> Holder | None:
        """Who holds the lock, or held it last: it may be gone. None: nobody ever did, or has not said so yet. Raises
        BadInput where the lock is not this user's to read."""
        try:
            return _holder((self.path / "lock").read_bytes())
        except PermissionError as error:
            raise BadInput(
                f"{error.filename} cannot be read: another user works with this data folder. Work as that one, or give "
                "another folder with --data DIR."
            ) from None
        except OSError:
            return None

    def is_free(self) -> bool:
        """Whether nobody holds the lock now. (The kernel knows it: what the file says may be old.)"""
        try:
            descriptor = os.open(self.path / "lock", os.O_RDONLY)
        except OSError:
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True


def _take(descriptor: int) -> None:
    """Lock it. Who only looks whether it is free has it for a moment, which is waited for."""
    for _ in range(_LOOKS):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(_LOOK_S)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


_LOOKS: Final = 3
_LOOK_S: Final = 0.005


def data_at(given: str | Path) -> DataFolder:
    """The data folder that a user names: by its path, or by the URL of the database that has its log."""
    text = checked(str(given))
    if not is_url(text):
        return DataFolder(expanded(Path(text)))
    of_this = hashlib.sha256(public(text).encode()).hexdigest()[:16]
    return DataFolder(_own() / "databases" / of_this, database=text)


def default_data_folder(environ: Mapping[str, str]) -> DataFolder:
    """By $PALIMPSEST_HOME, else ~/.palimpsest. Raises BadInput where there is neither."""
    given = environ.get("PALIMPSEST_HOME")
    return data_at(given) if given else DataFolder(_own())


def _own() -> Path:
    """This user's own folder for data."""
    if os.path.expanduser("~") == "~":  # noqa: PTH111 (never raises)
        raise DataFolderUnusable("", "homeless")
    return expanded(Path("~/.palimpsest"))


def expanded(path: Path) -> Path:
    """A path that a user typed, without its `~`. Raises BadInput where nobody's home is known by it."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise BadInput(f"The path {path} begins at a home folder that is not known: give it in full.") from None


def _holder(written: bytes) -> Holder | None:
    """The holder, if it has got to writing its name yet."""
    try:
        return msgspec.json.decode(written, type=Holder)
    except msgspec.MsgspecError:
        return None


def _sync_folder(path: Path) -> None:
    """Make a new entry of this folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
