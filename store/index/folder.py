"""An index's folder on disk: who has it, and where the engine's files lie in it.

Rule: the lock is taken before the engine so much as looks at its files. The engine has a lock of its own, but it opens
(and shortens) files before it tries that, which breaks the index of whoever holds it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

from palimpsest.events.errors import StorageUnavailable


class IndexFolder:
    """The folder, held by this process until `release` or its end, however it ends."""

    def __init__(self, path: Path) -> None:
        """Make it where there is none, in the data folder that is there, and take it. Raises StorageUnavailable if
        another has it, or there is no such data folder."""
        self.path = path
        try:
            path.mkdir(exist_ok=True)
            self._descriptor: int | None = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            raise StorageUnavailable(
                f"The data folder {path.parent} is not there. Nothing was made: put it back, or give another one."
            ) from None
        except IsADirectoryError:
            raise StorageUnavailable(
                f"{path / 'lock'} is a folder, where the index's lock is to be a file. Remove it, or remove {path} "
                "whole: the index is built again from the log."
            ) from None
        except OSError as error:
            raise StorageUnavailable(
                f"The index folder {path} cannot be used: {error.strerror} ({error.filename}). "
                f"{_mend(error)}, or give another data folder."
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise StorageUnavailable(
                f"The index in {path} is in use by another process. Stop that one, or give another data folder."
            ) from None

    @property
    def shard(self) -> Path:
        """The engine's own folder."""
        return self.path / "shard"

    def set_aside(self) -> Path:
        """Move a shard that is of no use out of the way (over the one moved before), and say where it is."""
        aside = self.path / "shard.bad"
        if aside.is_dir() and not aside.is_symlink():
            shutil.rmtree(aside)
        else:
            aside.unlink(missing_ok=True)
        self.shard.rename(aside)
        return aside

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _mend(error: OSError) -> str:
    in_the_way = isinstance(error, FileExistsError | NotADirectoryError)
    return "Move the file away that stands where a folder is to be" if in_the_way else "Change its rights"
