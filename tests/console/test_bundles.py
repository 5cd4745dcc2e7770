"""`export`, `import` and `--bundle`: an agent as one file, from one data folder to another."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from palimpsest.events.codec import draft
from palimpsest.events.position import FIRST_PARTITION
from palimpsest.events.types import Timer, TimerSet
from palimpsest.store.bundles.log import read_bundle
from palimpsest.store.folder import DataFolder
from palimpsest.store.logs.contract import Append
from tests.worlds.command_line import Launch, Printed
from tests.worlds.kernel import START_MS, Kernel


@pytest.fixture
def bundle(launched: Launch, tmp_path: Path) -> Path:
    path = tmp_path / "ada.palimpsest"
    assert launched("export", "ada", str(path)).code == 0
    return path


@pytest.fixture
def elsewhere(call: Launch, tmp_path: Path) -> Launch:
    """The command line on another data folder, where nothing is yet."""
    return lambda *arguments: call("--data", str(tmp_path / "elsewhere"), *arguments)


def found(printed: Printed) -> dict[str, object]:
    row: dict[str, object] = msgspec.json.decode(printed.out)
    return row


def test_an_export_says_what_it_wrote(launched: Launch, kernel: Kernel, tmp_path: Path) -> None:
    path = tmp_path / "a file"
    events = len(kernel.log.read("ada"))
    printed = launched("export", "ada", str(path))
    assert printed.code == 0
    assert printed.lines[0] == (f"ada as of event {events}: {events} events in {path} ({path.stat().st_size:,} bytes).")
    assert printed.lines[-1].endswith(f"replay --all --verify --bundle '{path}'")


def test_every_command_that_reads_takes_a_bundle(launched: Launch, elsewhere: Launch, bundle: Path) -> None:
    for command in (
        ["agents"], ["agents", "--json"], ["events", "ada"], ["context", "ada"], ["context", "ada", "--at", "20"],
        ["context", "ada", "--json"], ["events", "ada", "--kind", "TurnEnded", "--json"], ["sources", "--json"],
    ):  # fmt: skip
        there = elsewhere(*command, "--bundle", str(bundle))
        assert there.code == 0, there.err
        if command[0] == "context":
            assert there.out == launched(*command).out


def test_a_bundle_is_proved_with_no_data_folder_at_all(elsewhere: Launch, kernel: Kernel, bundle: Path) -> None:
    kernel.close()
    shutil.rmtree(kernel.folder)
    printed = elsewhere("replay", "--all", "--verify", "--bundle", str(bundle))
    assert printed.code == 0
    assert "ada: " in printed.lines[0]
    assert "Proved: " in printed.text
    assert elsewhere("replay", "ada", "--verify", "--bundle", str(bundle)).code == 0


def test_an_agent_is_imported_and_proved(elsewhere: Launch, bundle: Path) -> None:
    printed = elsewhere("import", str(bundle))
    assert printed.code == 0
    assert printed.lines[0].startswith("ada: ")
    assert "contexts proved." in printed.lines[0]
    assert elsewhere("replay", "--all", "--verify").code == 0
    again = elsewhere("import", str(bundle))
    assert (again.code, again.lines) == (0, [again.lines[0]])
    assert again.lines[0].endswith("nothing to do.")


def test_another_name_is_another_chain_and_is_said(launched: Launch, bundle: Path) -> None:
    printed = launched("import", str(bundle), "--as", "ada 2")
    assert printed.code == 0
    assert "which was proved as ada's and made anew for ada 2" in printed.text
    assert launched("replay", "ada 2", "--verify").code == 0
    assert launched("context", "ada 2", "--json").out == launched("context", "ada", "--json").out


def test_the_own_agent_is_there_already(launched: Launch, kernel: Kernel, bundle: Path) -> None:
    before = kernel.log.position(FIRST_PARTITION)
    assert "nothing to do" in launched("import", str(bundle)).text
    kernel.log.open_epoch()  # the import was the writer meanwhile
    kernel.talk("ada", ["Something else."])
    assert "nothing to do" in launched("import", str(bundle)).text, "it has the bundle's events, and more"
    assert kernel.log.position(FIRST_PARTITION) > before


def test_a_name_that_is_taken_by_another_history_is_refused(launched: Launch, bundle: Path, elsewhere: Launch) -> None:
    assert elsewhere("import", str(bundle), "--as", "ben o'neil").code == 0
    printed = launched("import", str(bundle), "--as", "ben o'neil")
    assert printed.code == 2
    assert "'ben o'neil' is here already, with another history" in printed.err
    assert "--as NAME" in printed.err


def test_a_folder_that_is_in_use_says_so(launched: Launch, kernel: Kernel, bundle: Path) -> None:
    with DataFolder(kernel.folder).lock("chat ada", how="alone"):
        printed = launched("import", str(bundle))
    assert printed.code == 2
    assert "is in use by pid" in printed.err


def test_what_rests_is_said(launched: Launch, elsewhere: Launch, kernel: Kernel, tmp_path: Path) -> None:
    timer = TimerSet(timer=Timer(id="tea", due_ms=START_MS))
    kernel.log.append([Append((draft("ada", START_MS, timer, key="alarm", opens="alarm"),))])
    kernel.ask("ada", "Are you there?")
    path = tmp_path / "bundle"
    launched("export", "ada", str(path))
    (row,) = [json.loads(line) for line in elsewhere("agents", "--bundle", str(path), "--json").lines]
    assert (row["state"], row["waiting"], row["timers"]) == ("in a turn", 1, 1)
    assert "a turn under way and 1 timer, at rest here" in elsewhere("import", str(path)).text
    (row,) = [json.loads(line) for line in elsewhere("agents", "--json").lines]
    assert (row["state"], row["waiting"], row["timers"]) == ("at rest", 0, 0)


@pytest.mark.parametrize("kind", ["InferenceRequested", "UserMessageReceived"])
def test_what_rests_is_not_waited_for(
    launched: Launch, elsewhere: Launch, kernel: Kernel, tmp_path: Path, kind: str
) -> None:
    """Nobody would ever answer: so `resume` says so, before it starts anything."""
    seq = next(each.seq for each in kernel.log.read("ada") if each.kind == kind)
    assert launched("export", "ada", str(tmp_path / "part"), "--at", str(seq)).code == 0
    assert elsewhere("import", str(tmp_path / "part")).code == 0
    commands = [("resume", "ada"), ("chat", "ada")] if kind == "InferenceRequested" else [("resume", "ada")]
    for command in commands:
        refused = elsewhere(*command)
        assert refused.code == 2
        assert "`palimpsest fork ada --as NAME`" in refused.said


def test_a_redaction_says_what_can_no_longer_be_proved(launched: Launch, elsewhere: Launch, tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    printed = launched("export", "ada", str(path), "--redact", "Message 20")
    assert printed.code == 0
    assert "masked in ada: " in printed.text
    assert "no longer that it is the original's" in printed.text
    assert "cannot be proved any more: events" in printed.text
    log = read_bundle(path)
    (redaction,) = log.manifest.redactions
    proved = elsewhere("replay", "--all", "--verify", "--bundle", str(path))
    assert proved.code == 0
    assert f", {len(redaction.unprovable)} contexts redacted, not provable" in proved.lines[0]
    assert "Message 20" not in elsewhere("events", "ada", "--bundle", str(path)).text
    imported = elsewhere("import", str(path))
    assert imported.code == 0
    assert "redacted, not provable" in imported.text
    proved = elsewhere("replay", "--all", "--verify")
    assert proved.code == 0, "the folder knows what was masked"
    assert f", {len(redaction.unprovable)} contexts redacted, not provable" in proved.lines[0]


def test_nothing_to_mask_writes_nothing(launched: Launch, tmp_path: Path) -> None:
    printed = launched("export", "ada", str(tmp_path / "bundle"), "--redact", "never said")
    assert printed.code == 2
    assert "Nothing was masked" in printed.err
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("export", "eve", "x"), "There is no agent 'eve'"),
        (("export", "ada", "x", "--at", "9999"), "there is no event 9999"),
        (("export", "ada", "."), "is a folder"),
        (("export", "ada", "x", "--redact-pattern", "("), "no regular expression"),
        (("import", "x"), "There is no file"),
        (("agents", "--bundle", "x"), "There is no file"),
        (("agents", "--bundle", "."), "is a folder"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(
    launched: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = launched(*arguments)
    assert printed.code == 2
    assert why in printed.err
    assert len(printed.err.splitlines()) == 1
    assert not (tmp_path / "x").exists()


def test_a_name_that_cannot_be_is_refused(elsewhere: Launch, bundle: Path) -> None:
    for name in ("-x", "source:x", " "):
        assert elsewhere("import", str(bundle), f"--as={name}").code == 2


def test_json_has_all_of_it(launched: Launch, elsewhere: Launch, tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    manifest = found(launched("export", "ada", str(path), "--at", "30", "--json"))["manifest"]
    assert isinstance(manifest, dict)
    assert (manifest["agent"], manifest["at"]) == ("ada", 30)
    done = found(elsewhere("import", str(path), "--json"))
    assert (done["agent"], done["at"]) == ("ada", 30)


def test_a_masked_bundle_that_is_exported_again_still_says_what_was_masked(
    launched: Launch, elsewhere: Launch, tmp_path: Path
) -> None:
    first, second, third = (str(tmp_path / name) for name in ("first", "second", "third"))
    assert launched("export", "ada", first, "--redact", "Message 20").code == 0
    assert elsewhere("export", "ada", second, "--bundle", first).code == 0
    assert elsewhere("export", "ada", third, "--bundle", second, "--redact", "Message 21").code == 0
    for bundle in (second, third):
        proved = elsewhere("replay", "--all", "--verify", "--bundle", bundle)
        assert proved.code == 0, proved.text
    masked = [set(read_bundle(Path(bundle)).manifest.redactions[0].masked) for bundle in (first, second, third)]
    assert masked[0] == masked[1] < masked[2]
