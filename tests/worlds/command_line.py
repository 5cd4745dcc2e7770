"""What a command printed, and the file of a log, to be tampered with."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Callable, Iterator

import msgspec

from palimpsest.store.folder import DataFolder
from tests.worlds.kernel import Kernel


class Printed(msgspec.Struct, frozen=True):
    """What a command left: its exit code, and its output and errors."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def said(self) -> str:
        """Its errors; of the commands that they name, what they do."""
        return re.sub(r" --data [^ `\n]+", "", self.err)

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


Launch = Callable[..., Printed]


@contextlib.contextmanager
def file_of(kernel: Kernel) -> Iterator[sqlite3.Connection]:
    """The log's file, to be tampered with."""
    connection = sqlite3.connect(DataFolder(kernel.folder).log_path())
    try:
        yield connection
        connection.commit()
    finally:
        connection.close()
