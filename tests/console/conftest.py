"""A data folder with two agents who have talked, and the command line as a function."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from palimpsest.console.main import main
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
    def lines(self) -> list[str]:
        return self.text.splitlines()


Launch = Callable[..., Printed]


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    kernel = Kernel(tmp_path / "data")
    kernel.create("ada")
    kernel.create("ben o'neil")
    kernel.talk("ada", [f"Message {number}: " + "the weather is fine, " * 8 for number in range(25)])
    kernel.talk("ben o'neil", ["Hello!", "My name\nis \x1b[31mBen\x1b[0m."])
    yield kernel
    kernel.close()


@pytest.fixture
def call(capsysbinary: pytest.CaptureFixture[bytes]) -> Launch:
    def run(*arguments: str) -> Printed:
        capsysbinary.readouterr()
        code = main(arguments)
        captured = capsysbinary.readouterr()
        return Printed(code, captured.out, captured.err.decode())

    return run


@pytest.fixture
def launched(kernel: Kernel, call: Launch) -> Launch:
    """The command line on the kernel's folder."""
    return lambda *arguments: call("--data", str(kernel.folder), *arguments)


@contextlib.contextmanager
def file_of(kernel: Kernel) -> Iterator[sqlite3.Connection]:
    """The log's file, to be tampered with."""
    connection = sqlite3.connect(DataFolder(kernel.folder).log_path())
    try:
        yield connection
        connection.commit()
    finally:
        connection.close()
