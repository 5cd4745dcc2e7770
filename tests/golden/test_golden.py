"""Promise 11: old logs fold for ever. The files were written once (`make.py`), and are read by every later code."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from events.codec import decode
from events.envelope import Envelope
from events.formats import NUMBERED, PARTS, TIMED_HEARTBEATS
from events.replay import replay
from events.state import FOLD, to_bytes
from events.types import AGENT_EVENTS, AgentCreated, FormatChanged, SummaryWritten
from tests.golden.make import read, session

FOLDER = Path(__file__).parent
FORMATS = sorted(FOLDER.glob("*.msgpack"))

AGENTS = {event.__name__ for event in AGENT_EVENTS} - {"AgentForked", "InputAdopted"}
"""The kinds in a stream that is no fork's; `tests/simulation/test_forks.py` has those that are."""
STATES = {
    ("event-RepetitionNoted", "2"): "0fafb571b108a1037e4fd054115892ba37ea7e4a16eaa95753d14a8a3d529332",
    ("event-ServerSwitched", "2"): "1a32880f28590cb8274994957ba8dbf7400159a7663f7910d6a336f03dcd1df0",
    ("format-1", "2"): "ee877a3a567ffa92c3b7851319ab411415cbd8c73b124024ac463c05b2a9d135",
    ("format-2", "2"): "c9e5b0aa4c9c3d6a0e0d915edc6104b901be5d3c460fce4e24507624f8417c91",
    ("part-alternating", "2"): "fa208bf87265a2641094375328f76cb051d4cdc75a798d5a3f5b964dda5e6129",
    ("part-bare_calls", "2"): "887f1f3f5797ebf71bc3ff44a6a36478899ed8b17ec4edab9edf41bad38a4585",
    ("part-blank_reasoning", "2"): "78394cfa8b9e68eb808d33acbf34bddf4ff9bf5699d16ea29a1424caa6d0fc3e",
    ("part-brief", "2"): "2df8dfc1f8737a0401bd1373c1ef07419677f651099c6e6fb879e9026ea78bb1",
    ("part-described_blocks", "2"): "27dcc18c20ae2f1761aa4bc338e6ed1bbc01d2ccad1d3b4a103aa737675e9de6",
    ("part-dummy_signatures", "2"): "7689742b36408bc621a91d234ea74c96693774974e77d730642e207730e544da",
    ("part-empty_content", "2"): "474a404addf55392aab6cf7cfb871b3c3fc11e55f6fe380536a560db89862ddb",
    ("part-no_content", "2"): "457bbd6278fc85132842b25310b7695ab974a15bef1f7373b2296a0b7dcb996e",
    ("part-no_system", "2"): "b445e280c831bd886272dd4d774137af79b3a906f72c63d9803d0d2c7b779025",
    ("part-own_fields", "2"): "8f6ecebee5da84298a1ec1ee9446ace180ebd87d68509459a9dd069a6bbe7bc0",
    ("part-own_reasoning", "2"): "6162b5fe78d21a47a33f77d2a631af875a9a13b12421d7b83b152d3e9b022894",
    ("part-short_ids", "2"): "973b525687faccf428dea60b4d7ee62d4de2d819b44c705d7e9f5a067026890d",
    ("part-text_calls", "2"): "19a34de3196d7a4ab02eb4da8eae2a0e0b119c842f8111ea67898a364e4889bb",
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
    proof = replay(stream[0].agent, stream)
    assert proof.difference is None, f"{name}: {proof.difference}"
    assert proof.events == len(stream)
    assert proof.contexts == sum(envelope.kind in {"InferenceCompleted", "InferenceFailed"} for envelope in stream)


def test_it_folds_to_the_state_that_it_always_folded_to(golden: tuple[str, list[Envelope]]) -> None:
    name, stream = golden
    state = replay(stream[0].agent, stream).state
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
