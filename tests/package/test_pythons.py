"""The pure core on the other Pythons that are installed here: old logs fold to the same bytes, and prove the same.

What a Python of the machine lacks (it is not installed, its packages cannot be had) is a skip that says so. The whole
package on them was tried by hand: see docs/platforms.md.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
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
    *(f"tests/unit/test_{name}.py" for name in ("codec", "replay", "schedule")),
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
    subprocess.run((python, "-m", "venv", place), check=True, timeout=120)
    quietly = ("--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "-c", ROOT / "constraints.txt")
    pip = (place / "bin/python", "-m", "pip", "install", *quietly, *PACKAGES)
    done = subprocess.run(pip, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed"]
        pytest.skip(f"{', '.join(PACKAGES)} cannot be had for this Python here: {said[-1]}")
    return place / "bin/python"


@pytest.mark.parametrize("version", [each for each in PYTHONS if each != ITSELF])
def test_the_pure_core_does_the_same(version: str, tmp_path: Path) -> None:
    python = installed(version)
    if python is None:
        pytest.skip(f"Python {version} is not installed here")
    run = (
        environment(python, tmp_path / "env"),
        "-B",
        "-m",
        "pytest",
        "-o",
        "addopts=",
        "-p",
        "no:cacheprovider",
        *SMOKE,
    )
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout
    assert int(passed[1]) > 50
