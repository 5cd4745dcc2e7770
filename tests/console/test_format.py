"""`format`: the parts of an agent's contexts, shown and changed without Ray."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from palimpsest.console.main import main
from palimpsest.events.formats import BRIEF, NEWBORN, changed
from tests.worlds.kernel import Kernel


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    kernel = Kernel(tmp_path / "data")
    kernel.create("ada")
    kernel.talk("ada", ["Hello."])
    kernel.close()
    return tmp_path / "data"


def run(folder: Path, *words: str) -> int:
    return main(["--data", str(folder), "format", *words])


def test_it_shows_the_parts_that_there_are_and_those_that_the_agent_has(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "ada") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["empty_content", "yes"] in [line[:2] for line in lines]


def test_a_change_is_an_event_and_the_replay_stays_proved(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "ada", "--remove", "empty_content", "--json") == 0
    assert msgspec.json.decode(capsys.readouterr().out)["parts"] == list(
        changed(NEWBORN, add=(BRIEF,), remove=("empty_content",))
    )
    assert run(folder, "ada", "--remove", "empty_content", "--json") == 0, "again: nothing to change"
    assert main(["--data", str(folder), "events", "ada", "--kind", "FormatChanged", "--json"]) == 0
    assert capsys.readouterr().out.count('"FormatChanged"') == 1
    assert main(["--data", str(folder), "replay", "ada", "--verify"]) == 0


def test_what_cannot_be_is_said_and_changes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "ada", "--add", "nonsense") == 2
    assert "There is no part 'nonsense'" in capsys.readouterr().err
    assert run(folder, "bob", "--add", "empty_content") == 2
    assert "There is no agent 'bob'" in capsys.readouterr().err
    assert run(folder, "bob") == 2
