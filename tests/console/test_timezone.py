"""`timezone`, `chat --timezone` and `/timezone`: an agent's zone shown, given and changed, without Ray."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec
import pytest

from palimpsest.actors.requests.zones import ZoneChange
from palimpsest.console.chat import settle
from palimpsest.console.main import main
from palimpsest.console.settings import Flags
from palimpsest.console.zones import change_said
from palimpsest.events.errors import BadInput
from palimpsest.events.types import Timer
from tests.console.test_repl import END, ENTER, typed
from tests.worlds.kernel import Kernel
from tests.worlds.scripted_client import FakeClient
from tests.worlds.story import START_MS

Captured = pytest.CaptureFixture[str]
DAY_MS = 86_400_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    kernel = Kernel(tmp_path / "data")
    kernel.create("ada")
    kernel.talk("ada", ["Hello."])
    kernel.sets("ada", Timer(id="wake", due_ms=START_MS + DAY_MS, note="wake", cron="0 9 * * *"))
    kernel.sets("ada", Timer(id="once", due_ms=START_MS + DAY_MS, note="once"))
    kernel.close()
    return tmp_path / "data"


def run(folder: Path, *words: str) -> int:
    return main(["--data", str(folder), *words])


def test_an_agent_is_moved_and_its_timers_with_it(folder: Path, capsys: Captured) -> None:
    assert run(folder, "timezone", "ada") == 0
    assert capsys.readouterr().out == "Agent 'ada' goes by UTC.\n"
    assert run(folder, "timezone", "ada", "america/new york") == 0
    said = capsys.readouterr().out
    assert (
        "Agent 'ada' goes by America/New_York from its next turn on, and no longer by UTC; 1 timer went along" in said
    )
    assert "wake" in said and "09:00:00 -0" in said
    assert run(folder, "timezone", "ada", "--json") == 0
    assert msgspec.json.decode(capsys.readouterr().out) == {"agent": "ada", "zone": "America/New_York"}
    assert run(folder, "events", "ada", "--kind", "TimeZoneSet") == 0
    assert "America/New_York (-0" in capsys.readouterr().out
    assert run(folder, "timezone", "ada", "America/New_York", "--json") == 0
    assert msgspec.json.decode(capsys.readouterr().out)["timers"] == [], "there it is already"


def test_what_it_then_says_is_on_that_clock_and_the_replay_stays_proved(folder: Path, capsys: Captured) -> None:
    assert run(folder, "timezone", "ada", "Asia/Kolkata") == 0
    kernel = Kernel(folder)
    kernel.talk("ada", ["What time is it?"])
    kernel.close()
    capsys.readouterr()
    assert run(folder, "context", "ada") == 0
    seen = capsys.readouterr().out
    assert " +05:30" in seen and "Asia/Kolkata" in seen
    assert run(folder, "state", "ada") == 0
    assert "Asia/Kolkata" in capsys.readouterr().out
    assert run(folder, "replay", "ada", "--verify") == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("ada", "Berlin"), "There is no time zone 'Berlin'. Did you mean Europe/Berlin?"),
        (("ada", "+02:00"), "An offset does not know when clocks are changed"),
        (("bob", "Europe/Berlin"), "There is no agent 'bob'"),
        (("bob",), "There is no agent 'bob'"),
        (("source:x", "Europe/Berlin"), "is a source"),
    ],
)
def test_what_cannot_be_is_said(folder: Path, capsys: Captured, words: tuple[str, ...], says: str) -> None:
    assert run(folder, "timezone", *words) == 2
    assert says in capsys.readouterr().err


def test_a_new_agent_has_the_zone_that_is_given_or_else_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "TZ", "Asia/Tokyo")
    client = FakeClient()
    (said, *_) = asyncio.run(settle(client, "ada", Flags(timezone="europe/oslo")))
    assert client.born["ada"].zone == "Europe/Oslo"
    assert "time zone Europe/Oslo" in said
    asyncio.run(settle(client, "bob", Flags()))
    assert client.born["bob"].zone == "Asia/Tokyo"
    asyncio.run(settle(client, "cleo", Flags(timezone="UTC")))
    assert client.born["cleo"].zone == "UTC"


def test_a_zone_without_a_name_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "TZ", "CET-1CEST")
    client = FakeClient()
    notes = asyncio.run(settle(client, "ada", Flags()))
    assert client.born["ada"].zone == ""
    assert any("TZ is 'CET-1CEST', which is the name of no time zone: UTC is taken." in note for note in notes)


def test_an_agent_that_there_is_is_moved_by_the_flag() -> None:
    client = FakeClient()
    asyncio.run(settle(client, "ada", Flags()))
    notes = asyncio.run(settle(client, "ada", Flags(timezone="Europe/Oslo")))
    assert client.zones == ["Europe/Oslo"]
    assert any("goes by Europe/Oslo from its next turn on" in note for note in notes)


def test_set_says_which_flag_it_is() -> None:
    with pytest.raises(BadInput, match="Give --timezone"):
        asyncio.run(settle(FakeClient(), "ada", Flags(pairs=("time_zone=Europe/Oslo",))))


def test_a_chat_shows_and_changes_it(tmp_path: Path, capsys: Captured) -> None:
    client = FakeClient()
    lines = ("/timezone", "/timezone Europe/Oslo", "/timezone Oslo")
    typed(client, tmp_path, "".join(f"{line}{ENTER}" for line in lines) + END)
    out = capsys.readouterr().out
    assert "Agent 'ada' goes by UTC." in out
    assert "Agent 'ada' goes by Europe/Oslo from its next turn on" in out
    assert "Did you mean Europe/Oslo?" in out
    assert client.zones == ["Europe/Oslo"]


def test_a_change_is_told_with_the_timers_that_went_along() -> None:
    timer = Timer(
        id="t", due_ms=1_795_442_400_000, note="up", cron="0 9 * * *", zone="America/New_York", offset_s=-18_000
    )
    assert change_said("ada", ZoneChange("UTC", "America/New_York", (timer,))) == [
        "Agent 'ada' goes by America/New_York from its next turn on, and no longer by UTC; 1 timer went along:",
        '  t "up", due 2026-11-23 09:00:00 -05:00, cron 0 9 * * *',
    ]
