"""docs/debugging.md is true: each of its commands prints what stands below it, in the order of the page."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.worlds.command_line import Launch

HOME = Path(__file__).resolve().parents[2]
PAGE = (HOME / "docs/debugging.md").read_text()
SKIPPED = "…"


def steps() -> list[tuple[str, list[str]]]:
    """The commands of the page, each with the lines that stand below it."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ palimpsest "), []))
            else:
                found[-1][1].append(line)
    return found


def test_every_step_prints_what_the_page_says(call: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PALIMPSEST_HOME", str(tmp_path / "data"))
    for name in ("docs", "tests"):
        (tmp_path / name).symlink_to(HOME / name)
    assert len(steps()) >= 10
    for command, expected in steps():
        printed = call(*shlex.split(command))
        assert printed.code == 0, (command, printed.err)
        assert holds(printed.lines, expected), f"{command} printed:\n{printed.text}"


def holds(lines: list[str], expected: list[str]) -> bool:
    """Whether the expected lines come one after the other, others between them only where the page skips some."""
    at, skipping = 0, False
    for wanted in expected:
        if wanted == SKIPPED:
            skipping = True
            continue
        found = next((n for n in range(at, len(lines)) if lines[n].rstrip() == wanted.rstrip()), None)
        if found is None or (found != at and not skipping):
            return False
        at, skipping = found + 1, False
    return True


def test_the_check_can_fail() -> None:
    assert holds(["a", "b", "c"], ["a", SKIPPED, "c"])
    assert holds(["a", "b", "c"], ["a", "b"])
    assert not holds(["a", "b", "c"], ["a", "c"])
    assert not holds(["a", "b", "c"], [SKIPPED, "d"])


def test_the_example_in_python_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(HOME)
    example = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None, "the page has an example"
    exec(compile(example.group(1), "docs/debugging.md", "exec"), {})
    cause, left, sentence = capsys.readouterr().out.splitlines()
    assert cause == "said, but evicted, and not searched for"
    assert left == "26 messages left; 1 is in the queue"
    assert "My sister lives in Lisbon." in sentence
