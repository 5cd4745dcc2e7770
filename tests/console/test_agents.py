"""Agents as resources: made, listed, shown, set, renamed and retired on the command line, without Ray."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from palimpsest.console.chat import settle
from palimpsest.console.fields import FIELDS
from palimpsest.console.meanings import MEANINGS, told
from palimpsest.console.set_agent import flags_of
from palimpsest.console.settings import Flags, settings_changed
from palimpsest.console.texts import text_of
from palimpsest.events.codec import decode, draft
from palimpsest.events.errors import AgentIsRetired, BadInput, rebuilt
from palimpsest.events.position import FIRST_PARTITION
from palimpsest.events.sources import stream_of
from palimpsest.events.state import State
from palimpsest.events.types import Settings, SettingsChanged, SourceCreated, Timer, UserMessageReceived
from palimpsest.questions.roster import Roster, RosterQuery
from palimpsest.store.logs.contract import Append, LogReader
from palimpsest.store.logs.states import load
from tests.worlds.command_line import Launch, file_of
from tests.worlds.kernel import START_MS, Kernel
from tests.worlds.scripted_client import FakeClient

FAR_MS = 4_000_000_000_000


def rows(launched: Launch, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in launched("agents", *arguments, "--json").lines]


def names(launched: Launch, *arguments: str) -> list[str]:
    return [row["agent"] for row in rows(launched, *arguments)]


# --- create


def test_an_agent_is_made_where_there_is_no_folder_yet(call: Launch, tmp_path: Path) -> None:
    human, folder = tmp_path / "eve.txt", str(tmp_path / "new")
    human.write_text("Name: Ève.", encoding="utf-8")
    texts = ("--persona", "I am Sam.", "--human", f"@{human}", "--block", "rules=Be brief.", "--title", " Front desk ")
    made = call("create", "sam", *texts, "--set", "seed=7", "--timezone", "Europe/Berlin", "--data", folder)
    assert (made.code, made.lines[0]) == (
        0, "Made agent 'sam': model offline, window 8,192 tokens, time zone Europe/Berlin."
    )  # fmt: skip
    shown = json.loads(call("show", "sam", "--json", "--data", folder).text)
    assert {block["label"]: block["value"] for block in shown["blocks"]} == {
        "persona": "I am Sam.", "human": "Name: Ève.", "rules": "Be brief.",
    }  # fmt: skip
    assert (shown["row"]["title"], shown["settings"]["seed"], shown["time_zone"]) == ("Front desk", 7, "Europe/Berlin")


def test_a_name_that_there_is_says_what_to_do(launched: Launch, kernel: Kernel) -> None:
    printed = launched("create", "ada")
    assert (printed.code, kernel.log.read("ada", limit=2)[1].kind) == (2, "UserMessageReceived")
    assert "palimpsest show ada" in printed.said
    assert "palimpsest set ada" in printed.said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--window", "1000"), "A window of 1,000 tokens is too small"),
        (("--block", "rules=" + "a" * 2001), "The section 'rules' holds 2,000 characters"),
        (("--persona", "@nothing.txt"), "persona cannot be read from 'nothing.txt': No such file"),
        (("--block", "rules"), "give LABEL=TEXT"),
        (("--block", "a=1", "--block", "a=2"), "given twice"),
        (("--set", "sed=7"), "Did you mean seed"),
        (("--set", "evict=0.2"), "These settings cannot be"),
        (("--base-url", "http://localhost:1/v1"), "add --model NAME"),
        (("--attach", "nothing"), "There is no source 'nothing'"),
        (("--timezone", "Mars"), "Mars"),
        (("--title", "two\nlines"), "cannot be a title"),
        (("--file", "fleet.toml"), "one of the two"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_made(
    launched: Launch, kernel: Kernel, arguments: tuple[str, ...], said: str
) -> None:
    printed = launched("create", "sam", *arguments)
    assert (printed.code, printed.err.count("\n")) == (2, 1)
    assert said in printed.err
    assert kernel.log.head("sam") is None


def test_a_text_is_a_file_s_or_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\n")
    (tmp_path / "b.txt").write_bytes(b"Gr\xfc\xdfe")
    assert text_of("@a.txt", "persona", tmp_path) == "one\n"
    assert (text_of("@@home", "persona"), text_of("plain", "persona")) == ("@home", "plain")
    with pytest.raises(BadInput, match=r"persona .* not UTF-8 text \(byte 3 is 0xfc\)"):
        text_of(f"@{tmp_path}/b.txt", "persona")


# --- agents


def test_the_list_tells_what_each_does_and_said_last(launched: Launch, kernel: Kernel) -> None:
    kernel.create("fay")
    kernel.ask("ada", "Are you there?")
    kernel.sets("fay", Timer(id="tea", due_ms=FAR_MS))
    ada, ben, fay = rows(launched)
    assert (ada["state"], ada["waiting"]) == ("in a turn", 1)
    assert ada["words"]["text"] == "Are you there?"
    assert (ben["state"], ben["words"]["who"], ben["words"]["text"]) == ("idle", "agent", "Heard you.")
    assert 0 < ben["filled_tokens"] < ben["window_tokens"] == 4096
    assert (fay["timers"], fay["filled_tokens"], "words" in fay) == (1, 0, False)


def test_the_list_can_be_narrowed_sorted_and_paged(launched: Launch, kernel: Kernel) -> None:
    for number in range(5):
        kernel.create(f"support-{number}")
    kernel.ask("support-3", "Hello?")
    launched("rename", "support-2", "The night shift")
    assert names(launched, "--grep", "SUPPORT-*", "--page", "2", "--limit", "2") == ["support-2", "support-3"]
    assert names(launched, "--grep", "port-4") == ["support-4"]
    assert names(launched, "--title", "night") == ["support-2"]
    assert names(launched, "--state", "in-a-turn") == ["support-3"]
    assert names(launched, "--sort", "events", "--limit", "1") == ["ada"]
    assert names(launched, "--sort", "name", "--reverse")[0] == "support-4"
    assert names(launched, "--model", "gpt") == []
    printed = launched("agents", "--limit", "3")
    assert (len(printed.lines), printed.err) == (3, "There are more: --page 2 (of 7 agents in all).\n")
    assert "--page 1 shows the first" in launched("agents", "--page", "9").err


def test_those_that_have_a_source_are_found(launched: Launch, kernel: Kernel) -> None:
    made = SourceCreated(passage_tokens=200, overlap_tokens=20)
    kernel.log.append([Append((draft(stream_of("manuals"), 1, made, key="create"),))])
    assert launched("create", "sam", "--attach", "manuals").code == 0
    assert names(launched, "--source", "manuals") == ["sam"]
    assert json.loads(launched("sources", "manuals", "--json").text)["agents"] == ["sam"]


def test_one_that_cannot_be_read_is_listed_as_set_aside(launched: Launch, kernel: Kernel) -> None:
    with file_of(kernel) as file:
        file.execute("UPDATE events SET body = x'c1' WHERE seq = 1 AND stream = (SELECT min(id) FROM streams)")
    assert {row["agent"]: row["state"] for row in rows(launched)} == {"ada": "set aside", "ben o'neil": "idle"}
    assert names(launched, "--state", "set-aside") == ["ada"]
    assert "damaged" in launched("show", "ada").text


def test_a_page_folds_its_own_agents_alone(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        kernel.create(f"a{number:02}")
    folded: list[str] = []

    def noted(log: LogReader, agent: str) -> State | None:
        folded.append(agent)
        return load(log, agent)

    monkeypatch.setattr("palimpsest.questions.roster.load", noted)
    found = Roster(kernel.log).rows(RosterQuery())
    assert [next(found).agent for _ in range(3)] == ["a00", "a01", "a02"]
    assert folded == ["a00", "a01", "a02"]


# --- set


def test_every_setting_has_its_meaning() -> None:
    assert set(MEANINGS) == {"model", "base-url", "window", "fallback", "summarizer", "in-flight", *FIELDS}


def test_what_is_told_can_be_typed_again(kernel: Kernel) -> None:
    state = load(kernel.log, "ada")
    assert state is not None
    typed = [f"{each.key}={each.value.replace(',', '')}" for each in told(state)]
    assert settings_changed(state.settings, flags_of(typed)) is None


def test_settings_are_changed_and_said(launched: Launch, kernel: Kernel) -> None:
    printed = launched("set", "ada", "temperature=0.2", "seed=7", "window=6000")
    assert (printed.code, printed.text) == (
        0, "Agent 'ada' is changed: window 4,096 -> 6,000 tokens, temperature none -> 0.2, seed none -> 7.\n"
    )  # fmt: skip
    event = decode(kernel.log.read("ada", kinds=frozenset({"SettingsChanged"}))[0])
    assert isinstance(event, SettingsChanged)
    assert (event.settings.temperature, event.settings.seed, event.settings.window_tokens) == (0.2, 7, 6000)
    assert launched("set", "ada", "seed=7").text == "'ada' has that already.\n"
    assert len(kernel.log.read("ada", kinds=frozenset({"SettingsChanged"}))) == 1


def test_the_settings_are_listed_with_what_they_mean(launched: Launch) -> None:
    lines = {line.split()[0]: line for line in launched("set", "ada").lines}
    assert "4,096 *" in lines["window"]
    assert "tokens of the window that are kept for an answer" in lines["reserve"]
    assert json.loads(launched("set", "ada", "--json").text)["settings"]["window_tokens"] == 4096


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("temprature=1", "Did you mean temperature"),
        ("window=500", "A window of 500 tokens is too small"),
        ("persona=I am Eve.", "fork AGENT --as NAME --set persona=TEXT"),
        ("title=Eve", "rename AGENT TITLE"),
        ("seed=x", "seed is a whole number"),
        ("model=", "names no model"),
        ("timezone=Mars", "Mars"),
    ],
)
def test_what_cannot_be_set_is_refused(launched: Launch, kernel: Kernel, pair: str, said: str) -> None:
    before = kernel.log.head("ada")
    printed = launched("set", "ada", pair)
    assert (printed.code, kernel.log.head("ada")) == (2, before)
    assert said in printed.err


def test_a_zone_is_a_setting_too(launched: Launch) -> None:
    assert "goes by Asia/Tokyo" in launched("set", "ada", "timezone=Asia/Tokyo").text
    assert "Asia/Tokyo" in launched("timezone", "ada").text


# --- rename, retire


def test_a_title_is_shown_and_the_name_stays(launched: Launch, kernel: Kernel) -> None:
    assert launched("rename", "ada", "Front desk").text == "ada is “Front desk”.\n"
    assert launched("agents").lines[0].startswith("ada “Front desk”  idle")
    assert "title       Front desk" in launched("show", "ada").text
    assert launched("rename", "ada", "").text == "ada has no title (before: “Front desk”).\n"
    assert kernel.log.head("ada") is not None


def test_a_retired_agent_is_not_listed_and_comes_back_with_its_timers(launched: Launch, kernel: Kernel) -> None:
    kernel.sets("ada", Timer(id="tea", due_ms=FAR_MS, note="the tea"))
    kernel.sets("ada", Timer(id="milk", due_ms=START_MS))
    printed = launched("retire", "ada", "--reason", "moved on")
    assert "ada is retired; timers off: milk" in printed.text
    assert not kernel.log.open_requests("alarm", FIRST_PARTITION)
    assert names(launched) == ["ben o'neil"]
    assert names(launched, "--retired") == ["ada"]
    assert names(launched, "--all") == ["ada", "ben o'neil"]
    assert launched("agents", "--retired", "--state", "idle").code == 2
    assert (
        "retired since" in launched("show", "ada").text and "(moved on); 2 timers off" in launched("show", "ada").text
    )
    assert launched("retire", "ada").text == "ada is retired already.\n"
    for look in (("events", "ada"), ("state", "ada"), ("context", "ada"), ("replay", "ada", "--verify")):
        assert launched(*look).code == 0
    back = launched("retire", "--undo", "ada").text
    assert "timers set again: tea" in back and "not set again: milk" in back
    assert [envelope.kind for envelope in kernel.log.open_requests("alarm", FIRST_PARTITION)] == ["TimerSet"]
    assert launched("retire", "--undo", "ada").text == "ada is not retired.\n"


def test_a_chat_with_a_retired_agent_says_what_to_do_before_ray_starts(launched: Launch) -> None:
    launched("retire", "ada")
    printed = launched("chat", "ada")
    assert printed.code == 2
    assert "`palimpsest retire --undo ada`" in printed.said


def test_a_retired_fork_is_not_resumed(launched: Launch, kernel: Kernel) -> None:
    kernel.ask("ada", "Are you there?")
    launched("fork", "ada", "--as", "fay")
    launched("retire", "fay")
    printed = launched("resume", "fay")
    assert printed.code == 2
    assert "retire --undo fay" in printed.err


def test_a_chat_that_joins_a_running_system_is_refused_too() -> None:
    client = FakeClient()
    asyncio.run(settle(client, "ada", Flags()))
    client.retired.add("ada")
    with pytest.raises(AgentIsRetired):
        asyncio.run(settle(client, "ada", Flags(window=9000)))
    assert client.changed == []


def test_of_several_none_is_retired_where_one_is_not_there(launched: Launch) -> None:
    assert launched("retire", "ada", "nobody").code == 2
    assert names(launched) == ["ada", "ben o'neil"]


def test_what_a_bundle_says_of_a_retirement_holds_where_it_is_imported(
    launched: Launch, call: Launch, tmp_path: Path, kernel: Kernel
) -> None:
    kernel.sets("ada", Timer(id="tea", due_ms=FAR_MS))
    launched("retire", "ada")
    bundle, there = str(tmp_path / "ada.palimpsest"), str(tmp_path / "there")
    assert launched("export", "ada", bundle).code == 0
    assert call("import", bundle, "--data", there).code == 0
    assert call("agents", "--data", there).text == ""
    assert call("retire", "--undo", "ada", "--data", there).text.startswith("ada is back; timers set again: tea")
    assert call("replay", "--all", "--verify", "--data", there).code == 0
    assert call("agents", "--data", there).lines[0].startswith("ada  idle")


def test_a_fork_of_a_retired_agent_is_listed(launched: Launch) -> None:
    launched("retire", "ada")
    assert launched("fork", "ada", "--as", "fay").code == 0
    assert names(launched) == ["ben o'neil", "fay"]


def test_a_rerun_of_a_retired_agent_is_not_retired(launched: Launch, kernel: Kernel) -> None:
    launched("retire", "ada")
    kernel.log.open_epoch()
    event = UserMessageReceived(text="Too late.")
    kernel.log.append([Append((draft("ada", START_MS, event, key="in:late", opens="turn"),))])
    kernel._turn("ada")
    printed = launched("rerun", "ada", "--from", "1", "--as", "again", "--json")
    assert printed.code in (0, 1), printed.err
    assert "again" in names(launched)
    skipped = kernel.log.read("again", kinds=frozenset({"InputSkipped"}))
    assert len(skipped) == 1, "what was skipped there is skipped here"


def test_the_error_goes_from_one_process_to_another() -> None:
    error = AgentIsRetired("ada")
    again = rebuilt("AgentIsRetired", str(error), error.__dict__)
    assert (str(again), type(again)) == (str(error), AgentIsRetired)


def test_new_settings_have_their_usual_values() -> None:
    assert settings_changed(Settings(), flags_of(["window=8,192".replace(",", "")])) is None


# --- servers


def test_an_address_that_is_typed_is_remembered_and_one_in_a_file_is_not(
    call: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PALIMPSEST_KEYS", str(tmp_path / "config" / "keys.json"))
    (tmp_path / "fleet.toml").write_text(
        '[agents.a]\nmodel = "m"\nbase-url = "http://127.0.0.1:9/v1"\n', encoding="utf-8"
    )
    data = ("--data", str(tmp_path / "new"))
    assert call("create", "--file", str(tmp_path / "fleet.toml"), *data).code == 0
    assert call("create", "b", "--unchecked", "--model", "m", "--base-url", "http://127.0.0.1:10/v1", *data).code == 0
    assert call("set", "b", "--unchecked", "model=n", "base-url=http://127.0.0.1:11/v1", *data).code == 0
    remembered = "".join(path.read_text() for path in (tmp_path / "config").rglob("servers.json"))
    assert [port for port in (9, 10, 11) if f":{port}/v1" in remembered] == [10, 11]
