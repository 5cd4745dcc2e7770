"""A data folder with two agents who have talked, and the command line as a function."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from palimpsest.console.main import main
from tests.worlds.command_line import Launch, Printed
from tests.worlds.kernel import Kernel


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
