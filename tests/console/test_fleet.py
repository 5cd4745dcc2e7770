"""A fleet from a file: made at once, applied again without harm, and refused as a whole where an entry is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from palimpsest.console.fleet import wishes
from palimpsest.events.codec import draft
from palimpsest.events.errors import BadInput
from palimpsest.events.position import FIRST_PARTITION
from palimpsest.events.sources import stream_of
from palimpsest.events.types import SourceCreated
from palimpsest.store.logs.contract import Append
from tests.worlds.command_line import Launch
from tests.worlds.kernel import Kernel

FLEET = """
[defaults]
human = "@who.txt"
attach = ["manuals"]
set = { temperature = 0.5 }

[agents.eve]
persona = "I am Eve."
title = "Eve"

[agents."desk-{08..12}"]
title = "Desk {n}"
blocks = { rules = "Be brief.", notes = { text = "x", limit = 50 } }
set = { seed = 7, parallel_tool_calls = false, response_format = { type = "json_object" } }
"""


@pytest.fixture
def fleet(tmp_path: Path, kernel: Kernel) -> Path:
    (tmp_path / "who.txt").write_text("Someone.", encoding="utf-8")
    (tmp_path / "fleet.toml").write_text(FLEET, encoding="utf-8")
    made = SourceCreated(passage_tokens=200, overlap_tokens=20)
    kernel.log.append([Append((draft(stream_of("manuals"), 1, made, key="create"),))])
    return tmp_path / "fleet.toml"


def applied(launched: Launch, file: Path, *more: str) -> dict[str, dict[str, Any]]:
    printed = launched("create", "--file", str(file), "--json", *more)
    assert printed.code == 0, printed.err
    return {row["agent"]: row for row in json.loads(printed.text)["agents"]}


def shown(launched: Launch, agent: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(launched("show", agent, "--json").text)
    return found


def test_a_fleet_is_made_as_it_is_written(launched: Launch, fleet: Path) -> None:
    done = applied(launched, fleet)
    desks = [f"desk-{number}" for number in ("08", "09", "10", "11", "12")]
    assert list(done) == ["eve", *desks]
    assert {row["did"] for row in done.values()} == {"made"}
    eve, desk = shown(launched, "eve"), shown(launched, "desk-09")
    assert {block["label"]: block["value"] for block in eve["blocks"]} == {"persona": "I am Eve.", "human": "Someone."}
    assert (desk["row"]["title"], desk["row"]["sources"]) == ("Desk 09", ["manuals"])
    assert [(block["label"], block["limit"]) for block in desk["blocks"]][2:] == [("rules", 2000), ("notes", 50)]
    settings = desk["settings"]
    assert (settings["temperature"], settings["seed"], settings["parallel_tool_calls"]) == (0.5, 7, False)
    assert settings["response_format"] == '{"type":"json_object"}'


def test_applied_again_it_changes_nothing(launched: Launch, kernel: Kernel, fleet: Path) -> None:
    applied(launched, fleet)
    before = kernel.log.position(FIRST_PARTITION)
    assert {row["did"] for row in applied(launched, fleet).values()} == {"unchanged"}
    assert kernel.log.position(FIRST_PARTITION) == before


def test_what_differs_is_changed_and_what_agents_write_is_left(launched: Launch, kernel: Kernel, fleet: Path) -> None:
    applied(launched, fleet)
    text = FLEET.replace("seed = 7", "seed = 8").replace('"Eve"', '"Eve, the first"').replace("I am Eve.", "I am E.")
    fleet.write_text(text.replace('attach = ["manuals"]', 'attach = ["manuals", "more"]'), encoding="utf-8")
    kernel.log.open_epoch()
    more = SourceCreated(passage_tokens=200, overlap_tokens=20)
    kernel.log.append([Append((draft(stream_of("more"), 1, more, key="create"),))])
    dry = applied(launched, fleet, "--dry-run")
    assert shown(launched, "desk-08")["settings"]["seed"] == 7
    done = applied(launched, fleet)
    assert done == dry
    assert done["eve"]["said"] == ["title “Eve, the first”", "sources: more"]
    assert done["eve"]["left"] == ["its section 'persona' is otherwise by now: `blame eve` shows who wrote it"]
    assert done["desk-08"]["said"][0] == "seed 7 -> 8"
    assert shown(launched, "eve")["row"]["sources"] == ["manuals", "more"]
    assert {row["did"] for row in applied(launched, fleet).values()} == {"unchanged"}
    kinds = [envelope.kind for envelope in kernel.log.read("desk-08")]
    assert kinds.count("SettingsChanged") == 1


def test_agents_that_are_there_already_are_taken_for_what_they_are(launched: Launch, tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_text('[agents.ada]\ntitle = "Ada"\n[agents.new]\n', encoding="utf-8")
    launched("retire", "ada")
    done = applied(launched, tmp_path / "fleet.toml")
    assert (done["ada"]["did"], done["new"]["did"]) == ("changed", "made")
    assert done["ada"]["left"] == ["it is retired: `retire --undo ada` takes it back"]


def test_a_dry_run_makes_no_folder(call: Launch, tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_text("[agents.ada]\n", encoding="utf-8")
    printed = call("create", "--file", str(tmp_path / "fleet.toml"), "--dry-run", "--data", str(tmp_path / "new"))
    assert (printed.code, printed.text) == (0, "1 agent: 1 would be made, 0 would be changed, 0 unchanged.\n")
    assert not (tmp_path / "new").exists()


def test_a_refused_fleet_leaves_no_log(call: Launch, tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text("agents: {ada: {set: {temperature: .nan}}}", encoding="utf-8")
    printed = call("create", "--file", str(tmp_path / "fleet.yaml"), "--data", str(tmp_path / "new"))
    assert printed.code == 2
    assert "temperature is nan: give a number" in printed.err
    assert not (tmp_path / "new").exists()


def test_every_wrong_entry_is_told_and_nothing_is_made(launched: Launch, kernel: Kernel, tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(
        "agents:\n"
        "  good: {title: Good}\n"
        "  a1: {persona: '@none.txt'}\n"
        "  a2: {window: 100}\n"
        "  a3: {set: {sed: 3}}\n"
        "  a4: {attach: [nothing]}\n"
        "  a5: {blocks: {x: {txt: 3}}}\n"
        "  a6: {titel: x}\n"
        "  a7: {window: true}\n"
        "  a8: 3\n"
        "  'b-{3..1}': {}\n"
        "  'c-{1..200000}': {}\n"
        f"  'd-{{1..{'9' * 30}}}': {{}}\n"
        "  'source:x': {}\n",
        encoding="utf-8",
    )
    before = kernel.log.position(FIRST_PARTITION)
    printed = launched("create", "--file", str(file))
    assert (printed.code, kernel.log.position(FIRST_PARTITION)) == (2, before)
    *wrong, last = printed.err.splitlines()
    assert len(wrong) == 12
    assert "12 entries are wrong: nothing was made or changed" in last
    for said in ("did you mean 'title'", "did you mean 'text'", "Did you mean seed", "There is no source 'nothing'",
                 "window is a whole number", "is the smaller one", "is too large", "at most 9 digits", "it is no table",
                 "none.txt': No such file"):  # fmt: skip
        assert sum(said in line for line in wrong) == 1, said


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", "agents = [", "is no TOML"),
        ("a.yaml", "a: [", "is no YAML"),
        ("a.yaml", "agents: !!python/object/apply:os.system ['true']", "is no YAML"),
        ("a.yaml", "- 1", "holds no table"),
        ("a.yaml", "agents: {a: {model: x}, a: {}}", "has 'a' twice in one table"),
        ("a.yaml", "agents: {a: {set: {seed: 1, seed: 2}}}", "has 'seed' twice"),
        ("a.toml", "agent = {}", "did you mean 'agents'"),
        ("a.toml", "[defaults]\nmodel = 'offline'\n", "names no agent"),
    ],
)
def test_a_file_that_is_no_fleet_says_what_it_lacks(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=said):
        wishes(tmp_path / name)


def test_an_agent_that_two_entries_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[agents.a-2]\n[agents."a-{1..3}"]\n', encoding="utf-8")
    assert "is there twice" in next(iter(wishes(tmp_path / "a.toml").wrong.values()))


def test_wrong_defaults_are_told_once(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[defaults]\nmodle = 'x'\n[agents.a]\n[agents.b]\n", encoding="utf-8")
    assert list(wishes(tmp_path / "a.toml").wrong) == ["[defaults]"]
