"""Promise 11: old logs fold for ever. The files were written once (`make.py`), and are read by every later code."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from palimpsest.events.codec import decode
from palimpsest.events.envelope import Envelope
from palimpsest.events.formats import NUMBERED, PARTS, TIMED_HEARTBEATS
from palimpsest.events.replay import replay
from palimpsest.events.state import FOLD, to_bytes
from palimpsest.events.types import AGENT_EVENTS, AgentCreated, FormatChanged, SummaryWritten
from tests.golden.make import read, session

FOLDER = Path(__file__).parent
FORMATS = sorted(FOLDER.glob("*.msgpack"))

AGENTS = {event.__name__ for event in AGENT_EVENTS} - {"AgentForked", "InputAdopted"}
"""The kinds in a stream that is no fork's; `tests/simulation/test_forks.py` has those that are."""
STATES = {
    ("event-AgentRetired", "2"): "ae2c1a660b6bc3e10d6d8ab26ed53a5ca58dd8e00126619df0f5a87ff643be4c",
    ("event-MarginLearned", "2"): "7e601c7d59be931afb8b9cd7da3cc53d56a81148e7d71dd358c6399362be42b8",
    ("event-RepetitionNoted", "2"): "f8a0130db16f6828cc8b9f590c14d949c0be12426e4b392ea85a1dcc9852b94b",
    ("event-ServerSwitched", "2"): "f0057e893834e8e4a41a452569b10c8cab4c44596f16244621bf044f98faac03",
    ("format-1", "2"): "ac1f91d3cea0ead93e4139f5bf66ce64b08c08163109c1fc6933af2fca3b341a",
    ("format-2", "2"): "4ed596ce6ee41a58e372447e135a40e505ceaedbea5f9b2db97d036261650729",
    ("part-alternating", "2"): "e2e2e0936a8759b8dcb7a6954728749616c670173271732c06ae843d86f4a038",
    ("part-bare_calls", "2"): "286f43c416cbd053081ba4010264672229bbfb0f02d3694bef48ae3a8f1f793a",
    ("part-blank_reasoning", "2"): "e37a00c629a74b251dafcb9530ce695f1d58bbec20d15557522fd32542572cf9",
    ("part-brief", "2"): "136293bf7da0d1b2a54de080e25739bf8cbcd6f47c761934c8e82d150fcc08d6",
    ("part-described_blocks", "2"): "12518c031bbd48f1b713a22810dfe7ea6a887153a78bcee3fac1ddfd7561d6c5",
    ("part-dummy_signatures", "2"): "41833e3b835de96386bc3433341b0875ba340f7aa414ab858c350c4d3e4f2eda",
    ("part-empty_content", "2"): "f2a659e6f36259ffdef6988e0b0830ac80ebad5fffdf4763d902bd273d37270f",
    ("part-no_content", "2"): "93a9d053e1452ed0ff0114511147f8214c1f75a2564924506e472a3348e6d857",
    ("part-no_system", "2"): "ba738874d3f5b8a35c1faf65162e56fc1ed529ed394c5132f762c4a28c4f7cbe",
    ("part-own_fields", "2"): "d94effde2786eb79b7f404938c0eef081b0a296ec87caccd120c6591390bddcb",
    ("part-own_reasoning", "2"): "55da9c351bb0c8dbf86f5e669fa0ddb48ab21009c9a5dde4686bca709dc73e97",
    ("part-search_filters", "2"): "8c5575881a266609a5c7f324bc2f0c417803d6c560091ed5fbc8019cf67cde5e",
    ("part-short_ids", "2"): "d3471d891408bf3b54d8c67eb285ba5ac37621f34f3ffdde6380810b5fb8c814",
    ("part-text_calls", "2"): "6363a59d77c58fa2d4b8e5d2bd5a38abf7fedb41b5ba5fc0c07b557a446d94bd",
    ("part-zoned", "2"): "15f0a62df4cdaa396e4731802eb17744098a4eaba7218a351ca91a19ea69975d",
}
"""The digest of the state that each file folds to, by the version of the fold. If it changes, raise `state.FOLD`: else
the snapshots of the fold before would be taken for those of this one."""


@pytest.fixture(params=FORMATS, ids=lambda path: path.stem)
def golden(request: pytest.FixtureRequest) -> tuple[str, list[Envelope]]:
    return request.param.stem, read(request.param)


def test_there_is_a_file_of_each_format() -> None:
    parts = {f"part-{part.name}" for part in PARTS if part.name != TIMED_HEARTBEATS}
    files = {path.stem for path in FORMATS if not path.stem.startswith("event-")}
    assert files == {f"format-{number}" for number in NUMBERED} | parts


def test_a_file_is_of_the_format_that_it_is_named_after(golden: tuple[str, list[Envelope]]) -> None:
    name, stream = golden
    born, changes = decode(stream[0]), [event for event in map(decode, stream) if isinstance(event, FormatChanged)]
    assert isinstance(born, AgentCreated)
    events = {f"event-{envelope.kind}" for envelope in stream}
    assert name in {f"format-{born.format}"} | events | {f"part-{part}" for event in changes for part in event.parts}


def test_a_golden_log_is_proved_whole(golden: tuple[str, list[Envelope]]) -> None:
    name, stream = golden
    proof = replay(stream[0].stream, stream)
    assert proof.difference is None, f"{name}: {proof.difference}"
    assert proof.events == len(stream)
    assert proof.contexts == sum(envelope.kind in {"InferenceCompleted", "InferenceFailed"} for envelope in stream)


def test_it_folds_to_the_state_that_it_always_folded_to(golden: tuple[str, list[Envelope]]) -> None:
    name, stream = golden
    state = replay(stream[0].stream, stream).state
    assert state is not None
    assert hashlib.sha256(to_bytes(state)).hexdigest() == STATES[name, FOLD]


def test_every_kind_of_event_is_in_one_of_them() -> None:
    assert {envelope.kind for path in FORMATS for envelope in read(path)} == AGENTS


def test_each_has_the_summaries_of_a_model_and_those_without(golden: tuple[str, list[Envelope]]) -> None:
    _, stream = golden
    authors = Counter(event.author for event in map(decode, stream) if isinstance(event, SummaryWritten))
    assert set(authors) == {"model", "extractive"}


def test_the_script_still_tells_such_a_session() -> None:
    """Its bytes may differ from the files', as decisions change; what happens in it must not shrink."""
    assert {envelope.kind for envelope in session().log.read("ada")} == AGENTS
