"""The pure core on the other Pythons that are installed here: old logs fold to the same bytes, and prove the same.

What a Python of the machine lacks (it is not installed, its packages cannot be had) is a skip that says so. The whole
package on them was tried by hand: see docs/platforms.md.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
ITSELF: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHONS: Final = ("3.11", "3.12", "3.13")
PACKAGES: Final = ("msgspec", "tzdata", "cronsim", "hypothesis", "pytest")
"""All that these tests and what they import import."""
SMOKE: Final = (
    "tests/golden/test_golden.py",
    *(f"tests/{name}.py" for name in ("events/test_codec", "events/test_replay", "bench/test_chains")),
)


def installed(version: str) -> Path | None:
    """An interpreter of this version that starts (pyenv leaves ones on the path that do not)."""
    asked = "import sys; print('{}.{}'.format(*sys.version_info))"
    for candidate in _candidates(version):
        done = subprocess.run((candidate, "-c", asked), capture_output=True, text=True, timeout=60, check=False)
        if done.stdout.strip() == version:
            return candidate
    return None


def _candidates(version: str) -> Iterator[Path]:
    found = shutil.which(f"python{version}")
    if found is not None:
        yield Path(found)
    for place in (Path.home() / ".pyenv/versions", Path.home() / ".local/share/uv/python"):
        yield from sorted(place.glob(f"*{version}*/bin/python{version}"))


def environment(python: Path, place: Path) -> Path:
    """An environment of that Python, with the versions that the tests pin. Skips where they cannot be had."""
    subprocess.run((python, "-m", "venv", "--without-pip", place), check=True, timeout=120)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(place / "bin/python"), "install")
    pinned = ("--quiet", "--no-compile", "--only-binary", ":all:", "-c", str(ROOT / "constraints.txt"), *PACKAGES)
    done = subprocess.run((*pip, *pinned), capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed"]
        pytest.skip(f"{', '.join(PACKAGES)} cannot be had for this Python here: {said[-1]}")
    return place / "bin/python"


def test_the_package_and_its_page_say_which_pythons() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    of_python = "Programming Language :: Python :: "
    named = [each.removeprefix(of_python) for each in project["classifiers"] if each.startswith(of_python)]
    assert named == list(PYTHONS)
    assert project["requires-python"] == f">={PYTHONS[0]}"
    platforms = (ROOT / "docs/platforms.md").read_text()
    assert all(version in platforms for version in PYTHONS)


@pytest.mark.parametrize("version", [each for each in PYTHONS if each != ITSELF])
def test_the_pure_core_does_the_same(version: str, tmp_path: Path) -> None:
    python = installed(version)
    if python is None:
        pytest.skip(f"Python {version} is not installed here")
    tests = ("-B", "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", *SMOKE)
    run = (str(environment(python, tmp_path / "env")), *tests)
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout
    assert int(passed[1]) > 50
