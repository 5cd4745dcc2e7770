"""The package as users install it: built from the sdist, in an environment of its own, called from another folder.

The dependencies are those that the tests run with: the environment sees them, and nothing of the checkout.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

import pytest

import palimpsest

ROOT: Final = Path(__file__).parents[2]
ROOMS: Final = ("actors", "console", "events", "questions", "store")
OF_THE_PACKAGE: Final = (*ROOMS, "src", "pyproject.toml", "README.md", "LICENSE")
PROJECT: Final = """\
from pathlib import Path

from palimpsest import Client, DataFolder, Settings, boot, newborn


async def talk(where: Path) -> str:
    system = await boot(DataFolder(where), "a small project")
    client: Client = system.client()
    await client.create("sam", newborn(Settings(window_tokens=8192)))
    reply = await client.ask("sam", "Hello!")
    return reply.text


async def wrong() -> None:
    await boot("a folder", "what the type checker is to find")
"""


def run(*command: str | Path, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **environ}
    for name in ("PYTHONPATH", "RAY_ADDRESS"):
        environment.pop(name, None)
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel alone."""
    place = tmp_path_factory.mktemp("package")
    source, built = place / "source", place / "built"
    source.mkdir()
    for name in OF_THE_PACKAGE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, symlinks=True)
        else:
            shutil.copy2(ROOT / name, source / name)
    sdist = f"import setuptools.build_meta as build; build.build_sdist({str(built)!r})"
    assert run(sys.executable, "-c", sdist, cwd=source).returncode == 0
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    wheel = run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", built, *built.glob("*.tar.gz"), cwd=place)
    assert wheel.returncode == 0, wheel.stderr
    run(sys.executable, "-m", "venv", "--without-pip", place / "env", cwd=place)
    found = place / "env" / "bin" / "python"
    into = run(*pip, "--python", found, "install", "--no-deps", "--no-index", *built.glob("*.whl"), cwd=place)
    assert into.returncode == 0, into.stderr
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(place / "env")}))
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return found


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """An application's folder, with modules that have the names of our rooms."""
    for name in ROOMS:
        (tmp_path / f"{name}.py").write_text("MINE = True\n")
    return tmp_path


def test_the_wheel_is_whole(python: Path, elsewhere: Path) -> None:
    said = run(python, "-c", "import palimpsest; print(palimpsest.__file__, palimpsest.__version__)", cwd=elsewhere)
    where, version = said.stdout.split()
    assert Path(where).is_relative_to(python.parents[1])
    assert version == palimpsest.__version__
    packed = {path.relative_to(Path(where).parent) for path in Path(where).parent.rglob("*.py")}
    ours = Path(palimpsest.__path__[0])
    assert packed == {path.relative_to(ours) for room in (ours, *ours.iterdir()) for path in room.glob("**/*.py")}
    assert run(python.with_name("palimpsest"), "--version", cwd=elsewhere).stdout == f"palimpsest {version}\n"
    check = run(sys.executable, "-m", "pip", "--python", python, "check", cwd=elsewhere)
    assert check.returncode == 0, check.stdout


def test_the_demo_runs_and_names_commands_as_they_can_be_typed(python: Path, elsewhere: Path) -> None:
    command = python.with_name("palimpsest")
    done = run(command, "demo", cwd=elsewhere, PALIMPSEST_HOME=str(elsewhere / "data"))
    assert done.returncode == 0, done.stdout + done.stderr
    typed = re.search(r"^ *(\S*palimpsest) --data (\S+) (replay --all --verify)$", done.stdout, re.MULTILINE)
    assert typed, done.stdout
    assert run(typed[1], "--data", typed[2], *typed[3].split(), cwd=elsewhere).returncode == 0


def test_the_readmes_example_runs_twice_in_an_application_with_modules_of_such_names(
    python: Path, elsewhere: Path
) -> None:
    example = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert example
    (elsewhere / "app.py").write_text(f"import events, store\n\nassert events.MINE and store.MINE\n{example[1]}")
    for _ in range(2):
        done = run(python, "app.py", cwd=elsewhere)
        assert done.returncode == 0, done.stderr
        assert "your name is Sam" in done.stdout
        assert done.stderr == ""


@pytest.mark.parametrize("installed", ["wheel", "editable"])
def test_a_type_checker_sees_the_types(
    installed: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    if installed == "editable" and not _is_editable():
        pytest.skip("this checkout is not installed: `make venv` does it")
    interpreter = request.getfixturevalue("python") if installed == "wheel" else Path(sys.executable)
    (tmp_path / "main.py").write_text(PROJECT)
    checker = (sys.executable, "-m", "mypy", "--strict", "--python-executable", interpreter)
    done = run(*checker, "--cache-dir", tmp_path_factory.getbasetemp() / "types", "main.py", cwd=tmp_path)
    assert done.stdout.splitlines() == [
        'main.py:15: error: Argument 1 to "boot" has incompatible type "str"; expected "DataFolder"  [arg-type]',
        "Found 1 error in 1 file (checked 1 source file)",
    ], done.stdout


def _is_editable() -> bool:
    """Whether the environment of the tests has this checkout, by a plain path."""
    paths = Path(sysconfig.get_path("purelib")).glob("__editable__.palimpsest*.pth")
    return any(path.read_text().strip() == str(ROOT / "src") for path in paths)
