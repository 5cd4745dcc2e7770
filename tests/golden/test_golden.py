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
LATER = {
    "format-1": {"SourceAttached", "SourceDetached", "FormatChanged", "ServerSwitched"},
    "format-2": {"FormatChanged", "ServerSwitched"},
    "part-empty_content": {"ServerSwitched"},
}
"""The kinds of an agent's events that came after a file was written."""

EVENTS = {"event-ServerSwitched"}
"""Files that are there for the sake of an event."""

STATES = {
    ("event-ServerSwitched", "2"): "f12d709eae18275036745c985e668c92b3f9ac5a421f5cd46e5375d182c48cbb",
    ("format-1", "2"): "1fd7250be5065820b698358968a0201669423730d6f1633dc6a83ee0baf7efcf",
    ("format-2", "2"): "4fd0c07334ff2fea6bec087371a90965e7810e1bdf53c287d8d580820006b402",
    ("part-brief", "2"): "f9bcfc631596a8f76c9695c1832a77621fb049faf2706e291e71999d10548add",
    ("part-empty_content", "2"): "c21ecb5c427f81c2dbdd452a6ee20054e5c409953cc48b2568c837042adec3c5",
}
"""The digest of the state that each file folds to, by the version of the fold. If it changes, raise `state.FOLD`: else
the snapshots of the fold before would be taken for those of this one."""


@pytest.fixture(params=FORMATS, ids=lambda path: path.stem)
def golden(request: pytest.FixtureRequest) -> tuple[str, list[Envelope]]:
    return request.param.stem, read(request.param)


def test_there_is_a_file_of_each_format() -> None:
    parts = {f"part-{part.name}" for part in PARTS if part.name != TIMED_HEARTBEATS}
    assert {path.stem for path in FORMATS} == {f"format-{number}" for number in NUMBERED} | parts | EVENTS


def test_a_file_is_of_the_format_that_it_is_named_after(golden: tuple[str, list[Envelope]]) -> None:
    name, stream = golden
    born, changes = decode(stream[0]), [event for event in map(decode, stream) if isinstance(event, FormatChanged)]
    assert isinstance(born, AgentCreated)
    assert name in {f"format-{born.format}"} | EVENTS | {f"part-{part}" for event in changes for part in event.parts}


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


def test_every_kind_of_event_is_in_it(golden: tuple[str, list[Envelope]]) -> None:
    name, stream = golden
    assert {envelope.kind for envelope in stream} == AGENTS - LATER.get(name, set())
    authors = Counter(event.author for event in map(decode, stream) if isinstance(event, SummaryWritten))
    assert set(authors) == {"model", "extractive"}


def test_the_script_still_tells_such_a_session() -> None:
    """Its bytes may differ from the files', as decisions change; what happens in it must not shrink."""
    assert {envelope.kind for envelope in session().log.read("ada")} == AGENTS
