"""`rerun` on the worked case of docs/debugging.md: an agent that forgot where a sister lives, and under which settings
it would not have."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from palimpsest.actors.links.direct import DirectLog
from palimpsest.actors.requests.forks import undo
from palimpsest.events.codec import decode
from palimpsest.events.position import FIRST_PARTITION
from palimpsest.events.types import InferenceRequested, Timer
from palimpsest.store.folder import DataFolder
from palimpsest.store.logs.sqlite_log import SqliteLog
from tests.worlds.command_line import Launch, Printed
from tests.worlds.kernel import START_MS, Kernel

CASE = Path(__file__).resolve().parents[2] / "docs/cases/sister.palimpsest"


class Home:
    """A data folder with the case in it."""

    def __init__(self, path: Path, call: Launch) -> None:
        self.folder = DataFolder(path)
        self._call = call
        assert self.run("import", str(CASE)).code == 0

    def run(self, *arguments: str) -> Printed:
        return self._call("--data", str(self.folder), *arguments)

    def rerun(self, *arguments: str, agent: str = "ines") -> dict[str, Any]:
        printed = self.run("rerun", agent, "--json", *arguments)
        assert printed.code == 0, printed.err
        row: dict[str, Any] = msgspec.json.decode(printed.out)
        return row

    def contexts(self, agent: str) -> list[bytes]:
        with SqliteLog.open_readonly(self.folder.log_path()) as log:
            events = [decode(envelope) for envelope in log.read(agent)]
        return [event.fingerprint for event in events if isinstance(event, InferenceRequested)]

    def streams(self) -> dict[str, bytes]:
        with SqliteLog.open_readonly(self.folder.log_path()) as log:
            return {head.stream: head.hash for head in log.heads()}


@pytest.fixture
def home(tmp_path: Path, call: Launch) -> Home:
    return Home(tmp_path / "data", call)


def test_a_larger_window_would_have_answered_right(home: Home) -> None:
    before = home.streams()
    row = home.rerun("--window", "16000", "--as", "wide")
    other = row["comparison"]["pairs"][-1]
    assert "Lisbon" in other["first"]["said"][0]
    assert "Porto" in other["second"]["said"][0]
    assert (row["comparison"]["first"]["evictions"], row["comparison"]["second"]["evictions"]) == (1, 0)
    assert row["kept"]
    assert home.streams()["ines"] == before["ines"], "the original is not touched"
    assert home.run("replay", "wide", "--verify").code == 0


@pytest.mark.parametrize("recorded", [(), ("--recorded",)])
@pytest.mark.parametrize("first", ["1", "21", "52", "54"])
def test_nothing_is_otherwise_where_nothing_is_set(home: Home, recorded: tuple[str, ...], first: str) -> None:
    """Of a session with this code's model: the case is from before its rules were made anew."""
    home.rerun("--as", "base")
    row = home.rerun("--from", first, *recorded, "--as", "again", agent="base")
    assert row["outcome"]["divergence"] is None
    assert all(pair["first"]["said"] == pair["second"]["said"] for pair in row["comparison"]["pairs"])
    assert home.contexts("again")[-2:] == home.contexts("base")[-2:]
    assert bool(row["outcome"]["recorded_answers"]) == bool(recorded)
    assert bool(row["outcome"]["model_answers"]) != bool(recorded)


def test_recorded_answers_serve_until_the_runs_part(home: Home) -> None:
    row = home.rerun("--recorded", "--set", "evict=0.95", "--set", "warn=0.9", "--as", "late")
    assert row["outcome"]["recorded_answers"] >= 6
    assert row["outcome"]["model_answers"] >= 1
    assert row["outcome"]["divergence"]["recorded_seq"] == 41


def test_another_prompt_and_another_memory(home: Home, tmp_path: Path) -> None:
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("You are brief.")
    row = home.rerun("--prompt", str(prompt), "--set", "human=Name: Ines. Her sister lives in Porto.", "--as", "told")
    assert row["outcome"]["divergence"]["recorded_seq"] == 4, "the first context is another"
    assert "You are brief." in home.run("context", "told").text


def test_a_bundle_is_run_again_in_memory_and_kept_as_a_bundle(home: Home, tmp_path: Path) -> None:
    kept = tmp_path / "wide.palimpsest"
    before = home.streams()
    row = home.rerun("--bundle", str(CASE), "--window", "16000", "--keep", str(kept))
    assert not row["kept"]
    assert home.streams() == before
    assert "Porto" in home.run("events", "ines.rerun-1", "--last", "1", "--bundle", str(kept)).text
    assert home.run("replay", "--all", "--verify", "--bundle", str(kept)).code == 0


def test_a_folder_that_is_in_use_is_left_alone(home: Home) -> None:
    before = home.streams()
    with home.folder.lock("chat", how="alone"):
        printed = home.run("rerun", "ines", "--window", "16000")
    assert printed.code == 0
    assert "works on a copy" in printed.err
    assert "Porto" in printed.text
    assert home.streams() == before


def test_forks_get_names_of_their_own_and_rest(home: Home) -> None:
    for number in (1, 2):
        assert home.rerun("--window", "16000")["outcome"]["fork"] == f"ines.rerun-{number}"
    with SqliteLog.open_readonly(home.folder.log_path()) as log:
        assert not any(
            log.open_requests(topic, FIRST_PARTITION) for topic in ("turn", "inference", "storage", "timer", "alarm")
        )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--from", "96"), "has events 1 to 95"),
        (("--to", "500"), "there is no event 500"),
        (("--from", "20", "--to", "20"), "nothing to run again"),
        (("--as", "ines"), "ines"),
        (("--as", "-x"), "begins with a dash"),
        (("--set", "wndow=3"), "Did you mean"),
        (("--set", "evict=2"), "fraction"),
        (("--window", "10"), "too small"),
        (("--price", "much"), "two numbers"),
        (("--price", "nan/1"), "two numbers"),
        (("--price", "-1/1"), "two numbers"),
        (("--as", ""), "cannot be an agent's name"),
        (("--window", "9" * 20), "at most"),
        (("--prompt", "nowhere.txt"), "cannot be read"),
        (("--keep", "/nowhere/at/all.palimpsest"), "nowhere"),
    ],
)
def test_what_cannot_be_run_is_refused_and_nothing_is_changed(
    home: Home, arguments: tuple[str, ...], says: str
) -> None:
    before = home.streams()
    printed = home.run("rerun", "ines", *arguments)
    assert printed.code == 2
    assert says in printed.err
    assert home.streams() == before


def test_a_model_that_cannot_be_had_changes_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    before = home.streams()
    printed = home.run("rerun", "ines", "--model", "gpt-4o-mini", "--window", "8192")
    assert printed.code == 2
    assert "OPENAI_API_KEY" in printed.err
    assert "nothing was written" in printed.err
    assert home.streams() == before


def test_a_fork_with_another_core_memory_is_run_again_from_its_own_beginning(home: Home) -> None:
    home.rerun("--set", "human=Ines has a sister in Porto.", "--as", "told")
    made = home.run("rerun", "told", "--recorded", "--json", "--as", "again")
    assert msgspec.json.decode(made.out)["outcome"]["divergence"] is None
    refused = home.run("rerun", "told", "--from", "1")
    assert refused.code == 2
    assert "--from 2 or more" in refused.err


def test_an_agent_that_an_undo_left_its_timers_to_is_run_again_with_them(kernel: Kernel, launched: Launch) -> None:
    kernel.sets("ada", Timer(id="tea", due_ms=START_MS + 10_000_000, note="Tea."))
    kernel.talk("ada", ["Hello"])
    undone = asyncio.run(undo(DirectLog(kernel.log), "ada"))
    assert (undone.agent, [timer.id for timer in undone.moved]) == ("ada-2", ["tea"])
    kernel.talk("ada-2", ["Hello there"])
    kernel.rings("ada-2")
    printed = launched("rerun", "ada-2", "--recorded", "--json")
    assert printed.code == 0, printed.err
    row = msgspec.json.decode(printed.out)
    assert row["outcome"]["divergence"] is None
    assert len(row["comparison"]["pairs"]) == 2, "the message, and the timer"
