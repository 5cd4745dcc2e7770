"""What the README and the pages name is there: commands, options, files, measurements and the example's imports."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import click
import pytest

from palimpsest.console.main import COMMANDS, HELP
from palimpsest.console.options import LazyGroup

HOME = Path(__file__).resolve().parents[2]
README = (HOME / "README.md").read_text()
PERFORMANCE = (HOME / "docs/performance.md").read_text()
PAGES = ("README.md", "CHANGELOG.md", *(f"docs/{page.name}" for page in sorted((HOME / "docs").glob("*.md"))))
COMMAND_LINES = re.findall(r"(?<![\w-])palimpsest ([a-z]+)([^\n|`]*)", README + PERFORMANCE)
MEASUREMENTS = sorted(set(re.findall(r"`python -m (bench\.\w+)([^\n|`]*)", PERFORMANCE)))


def test_there_are_commands_to_check() -> None:
    assert len(COMMAND_LINES) >= 6


@pytest.mark.parametrize(("name", "rest"), COMMAND_LINES)
def test_every_command_and_its_options_are_there(name: str, rest: str) -> None:
    group = LazyGroup(sections=COMMANDS, help=HELP)
    command = group.get_command(click.Context(group), name)
    assert command is not None, f"there is no command {name}"
    known = {option for parameter in command.params for option in parameter.opts}
    assert set(re.findall(r"--[a-z-]+", rest.split("#", maxsplit=1)[0])) <= known


@pytest.mark.parametrize("target", re.findall(r"make ([a-z]+)", README))
def test_every_make_target_is_there(target: str) -> None:
    assert re.search(rf"^{target}:", (HOME / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_every_linked_file_is_there(page: str) -> None:
    text = (HOME / page).read_text()
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert ((HOME / page).parent / target).exists(), f"{page} links to {target}"
    for path in re.findall(r"`((?:events|store|actors|questions|console|tests|bench)/[\w/.]*)`", text):
        assert (HOME / path).exists(), f"{page} names {path}"


def test_the_examples_imports_are_there() -> None:
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert example is not None, "the README has an example"
    for node in ast.walk(ast.parse(example.group(1))):
        if isinstance(node, ast.ImportFrom) and node.module != "pathlib":
            module = __import__(str(node.module), fromlist=["_"])
            assert all(hasattr(module, alias.name) for alias in node.names), node.module


def test_there_are_measurements_to_check() -> None:
    assert len({module for module, _ in MEASUREMENTS}) >= 7


@cache
def help_of(module: str) -> str:
    asked = (sys.executable, "-m", module, "--help")
    done = subprocess.run(asked, cwd=HOME, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("module", "rest"), MEASUREMENTS)
def test_every_measurement_is_there_and_takes_what_it_is_given(module: str, rest: str) -> None:
    known = set(re.findall(r"--[a-z-]+", help_of(module)))
    assert "--help" in known
    assert set(re.findall(r"--[a-z-]+", rest)) <= known


def test_the_readmes_figures_are_those_of_the_page() -> None:
    section = README.partition("## What it costs")[2].partition("\n## ")[0]
    figures = re.findall(r"\d[\d,.]*\d(?= (?:s|ms|MB|KB|to|turns)\b)|\d[\d,.]*\d(?= of CPU)", section)
    assert len(figures) >= 8
    assert set(figures) <= set(re.findall(r"\d[\d,.]*\d", PERFORMANCE))
