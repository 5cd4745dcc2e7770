"""The README's first screen is true: its commands, typed one after the other, print what stands below them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.console.test_debugging_page import holds

HOME = Path(__file__).resolve().parents[2]
DAY = re.compile(r"\d{4}-\d\d-\d\d")


def steps() -> list[tuple[str, list[str]]]:
    """The commands of the README's first block, each with the lines that stand below it."""
    block = re.search(r"```console\n(.*?)```", (HOME / "README.md").read_text(), re.DOTALL)
    assert block is not None, "the README begins with a console"
    found: list[tuple[str, list[str]]] = []
    for line in block.group(1).splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        else:
            found[-1][1].append(DAY.sub("DAY", line))
    return found


def test_the_first_screen_prints_what_it_says(tmp_path: Path) -> None:
    (command, _), *rest = steps()
    assert command == "pip install .", "tests/package does that"
    assert 5 <= len(rest) <= 8
    programs = Path(sys.executable).parent
    environment = {**os.environ, "PALIMPSEST_HOME": str(tmp_path / "data")}
    environment["PATH"] = os.pathsep.join([str(programs), environment["PATH"]])
    for command, expected in rest:
        done = subprocess.run(
            command, shell=True, cwd=HOME, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, (command, done.stderr)
        lines = DAY.sub("DAY", done.stdout).splitlines()
        assert holds(lines, expected), f"{command} printed:\n{done.stdout}"
