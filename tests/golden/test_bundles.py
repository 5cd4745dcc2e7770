"""The gate: stored sessions render as they were recorded, and where one does not, it is found and named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from palimpsest.console.main import main
from palimpsest.events.codec import decode, encode
from palimpsest.events.debug.gate import changes
from palimpsest.events.envelope import GENESIS, Envelope, chain
from palimpsest.events.types import (
    AgentForked,
    InferenceCompleted,
    InferenceRequested,
    PassagesLoaded,
    SummaryWritten,
    TimerFired,
)
from palimpsest.questions.gate import bundles_in, judged
from palimpsest.store.bundles.file import SUFFIX, write_bundle
from palimpsest.store.bundles.log import BundleLog, read_bundle
from tests.golden.bundles import SESSIONS

FOLDER = Path(__file__).parent / "bundles"
BUNDLES = sorted(FOLDER.glob(f"*{SUFFIX}"))

Gate = Callable[..., tuple[int, str, str]]


@pytest.fixture
def gate(capsys: pytest.CaptureFixture[str]) -> Gate:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(("replay", "--all", "--verify", "--against", *arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_there_is_a_bundle_of_every_session() -> None:
    assert {path.stem for path in BUNDLES} == set(SESSIONS)
    assert max(path.stat().st_size for path in BUNDLES) < 20_000


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.stem)
def test_a_stored_session_renders_as_it_was_recorded(path: Path) -> None:
    verdict = judged(path)
    assert verdict.sound, verdict
    assert verdict.histories[0].same == verdict.histories[0].contexts > 3


def test_what_the_sessions_are_there_for_is_in_them() -> None:
    events = [decode(each) for path in BUNDLES for each in read_bundle(path)._volume.events]
    assert {TimerFired, PassagesLoaded, AgentForked} <= {type(event) for event in events}
    assert {event.author for event in events if isinstance(event, SummaryWritten)} == {"model", "extractive"}


@pytest.mark.parametrize("name", SESSIONS)
def test_the_script_still_makes_such_sessions(name: str) -> None:
    session, agent = SESSIONS[name]
    log = session().log
    made = changes(agent, log.read(agent))
    assert made.sound
    assert made.contexts > 3


def test_the_gate_lets_pass_what_did_not_change(gate: Gate) -> None:
    code, out, _ = gate(str(FOLDER))
    assert code == 0
    assert f"{len(BUNDLES)} bundles, " in out
    assert "all rendered as they were recorded, byte for byte." in out


# --- what does not pass


def rechained(log: BundleLog, path: Path, change: Callable[[Envelope], bytes]) -> list[int]:
    """Write a bundle with other bodies, whose chain is sound; the seqs of the events that changed."""
    hash, made, seqs = GENESIS, [], []
    for each in log.read(log.manifest.agent):
        body = change(each)
        if body != each.body:
            seqs.append(each.seq)
        bare = replace(each, body=body)
        hash = chain(hash, each.seq, bare)
        made.append(replace(bare, hash=hash))
    (stream,) = log.manifest.streams
    versions = replace(log.manifest.versions, palimpsest="0.0.1")
    write_bundle(path, replace(log.manifest, streams=(replace(stream, hash=hash),), versions=versions), made)
    return seqs


def other_fingerprint(at: int) -> Callable[[Envelope], bytes]:
    """As if the inference asked for at this seq had been rendered otherwise."""

    def change(each: Envelope) -> bytes:
        event = decode(each)
        if each.seq == at and isinstance(event, InferenceRequested):
            return encode(replace(event, fingerprint=b"\1" * 32))
        if each.closes == f"m{at}" and isinstance(event, InferenceCompleted):
            return encode(replace(event, sent=b"\1" * 32))
        return each.body

    return change


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """The golden bundles, one of which has a context that this code does not render as recorded."""
    shutil.copytree(FOLDER, tmp_path / "corpus")
    log = read_bundle(FOLDER / f"timers{SUFFIX}")
    asked = [each.seq for each in log.read("ada") if each.kind == "InferenceRequested"][2]
    assert len(rechained(log, tmp_path / "corpus" / f"altered{SUFFIX}", other_fingerprint(asked))) == 2
    return tmp_path / "corpus"


def test_a_context_that_changed_is_found_and_named(gate: Gate, corpus: Path) -> None:
    path = corpus / f"altered{SUFFIX}"
    (found,) = judged(path).histories
    (at,) = found.changed
    assert found.difference is None, "the fold goes on"
    assert found.same == found.contexts - 1
    code, out, _ = gate(str(corpus))
    assert code == 1
    assert f"CHANGED: 1 context, first at event {at} (a reply): {at}" in out
    assert f"context ada --at {at} --bundle {path}" in out
    assert "Other versions than it was made with: palimpsest 0.0.1 -> " in out
    assert "1 bundle not as recorded." in out


def test_json_names_it_too(gate: Gate, corpus: Path) -> None:
    code, out, _ = gate(str(corpus), "--json")
    found = msgspec.json.decode(out)
    assert (code, found["ok"]) == (1, False)
    altered = next(each for each in found["bundles"] if each["bundle"].endswith(f"altered{SUFFIX}"))
    assert len(altered["histories"][0]["changed"]) == 1
    assert altered["versions"]["palimpsest"][0] == "0.0.1"


def test_a_rendering_that_changes_is_found_wherever_it_shows(
    gate: Gate, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a release would do it: other words in a text of ours."""
    monkeypatch.setattr("palimpsest.events.context.PRESSURE_WARNING", "The window is nearly full.")
    (corpus / f"altered{SUFFIX}").unlink()
    code, out, _ = gate(str(corpus))
    assert code == 1
    lines = out.splitlines()
    changed = [line for line in lines if "CHANGED" in line]
    assert len(changed) == 1, "of these sessions one came under pressure"
    assert lines[lines.index(changed[0]) - 1].partition(SUFFIX)[0].endswith("evictions")


def test_a_bundle_that_cannot_be_read_does_not_pass(gate: Gate, tmp_path: Path) -> None:
    data = BUNDLES[0].read_bytes()
    (tmp_path / f"cut{SUFFIX}").write_bytes(data[:-10])
    (tmp_path / f"sound{SUFFIX}").write_bytes(data)
    code, out, err = gate(str(tmp_path))
    assert code == 2
    assert "NOT READ" in out
    assert "it is cut off" in err
    assert "1 bundle not as recorded" in out


def test_a_gate_with_nothing_to_look_at_does_not_pass(gate: Gate, tmp_path: Path) -> None:
    for place, why in ((tmp_path, "has no bundle"), (tmp_path / "none", "There is no folder")):
        code, _, err = gate(str(place))
        assert code == 2
        assert why in err
    assert bundles_in(BUNDLES[0]) == [BUNDLES[0]], "one bundle may be named"


def test_it_is_for_bundles_alone(gate: Gate) -> None:
    for more in (["ada"], ["--bundle", str(BUNDLES[0])]):
        code, _, err = gate(str(FOLDER), *more)
        assert code == 2
        assert "leave AGENT and --bundle out" in err
