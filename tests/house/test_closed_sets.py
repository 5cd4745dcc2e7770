"""Closed sets of words (`events.vocabulary`, `events.kinds`): the names are those of the classes, a later word decodes,
and no membership is asked of a set that the type checker cannot hold to its words."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast, get_args

import msgspec
import pytest

from palimpsest.events import types
from palimpsest.events.codec import KINDS, decode
from palimpsest.events.envelope import Draft
from palimpsest.events.kinds import Kind, kind_of, kinds_of
from palimpsest.events.replay import freeze, thaw
from palimpsest.events.state import FOLD
from palimpsest.events.types import (
    ALL_EVENTS,
    AgentForked,
    Event,
    EvictionStarted,
    HeartbeatRaised,
    InferenceCompleted,
    InferenceFailed,
    InferenceRequested,
    MessageSent,
    SummaryWritten,
    TurnEnded,
    UserMessageReceived,
)
from palimpsest.events.vocabulary import NoAnswer
from tests.worlds.story import Story, say

ROOT: Final = Path(__file__).parents[2]
ROOMS: Final = ("events", "store", "actors", "questions", "console", "service")
FIELDS: Final = frozenset(
    {"phase", "rewound", "purpose", "outcome", "finish", "reason", "error", "kind", "opens", "author", "status", "cut"}
)
LATER: Final[tuple[tuple[type[Event], dict[str, object]], ...]] = (
    (AgentForked, {"parent": {"agent": "ada", "seq": 1}, "hash": b"", "timers": "doubled"}),
    (EvictionStarted, {"seqs": [2], "reason": "whim", "tokens": 1, "target_tokens": 1}),
    (HeartbeatRaised, {"reason": "curious"}),
    (InferenceCompleted, {"finish": "bored"}),
    (InferenceFailed, {"error": "on_strike", "detail": "It is on strike."}),
    (InferenceRequested, {"purpose": "dream", "fingerprint": b"", "tokens": 1}),
    (MessageSent, {"text": "Hi.", "cut": "censor"}),
    (SummaryWritten, {"text": "", "covers": [], "previous": 0, "author": "ghost", "tokens": 1}),
    (TurnEnded, {"input": 1, "reason": "bored"}),
)
"""Events of a later Palimpsest, each with a word that this one does not know."""


def test_the_kinds_are_the_names_of_the_events() -> None:
    assert get_args(Kind) == tuple(event.__name__ for event in ALL_EVENTS), "add the event's name to `Kind`"
    assert tuple(KINDS) == get_args(Kind)
    assert kind_of(UserMessageReceived) == kind_of(UserMessageReceived(text="Hi.")) == "UserMessageReceived"
    assert kinds_of(TurnEnded, MessageSent) == {"TurnEnded", "MessageSent"}


@pytest.mark.parametrize(("event", "fields"), LATER, ids=lambda value: getattr(value, "__name__", ""))
def test_a_word_that_is_not_known_here_decodes_as_it_stands(event: type[Event], fields: dict[str, object]) -> None:
    body = msgspec.msgpack.encode(fields)
    read = decode(Draft("ada", 0, kind_of(event), 1, "k", body))
    assert all(getattr(read, name) == word for name, word in fields.items() if isinstance(word, str))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(read)) == fields


def test_every_word_of_a_set_that_a_log_holds_is_read_leniently() -> None:
    """A field that is held to a set, and not `Logged`, would make a stream of a later Palimpsest unreadable."""
    strict = [
        f"{event.__name__}.{field.name}"
        for event in (*ALL_EVENTS, *(each for each in vars(types).values() if _is_value(each)))
        for field in msgspec.structs.fields(event)
        if "Literal" in str(field.type)
    ]
    assert strict == []
    assert len(LATER) == sum("Logged[" in line for line in (ROOT / "events" / "types.py").read_text().splitlines())


def _is_value(each: object) -> bool:
    return isinstance(each, type) and issubclass(each, types.Value)


def test_a_turn_that_failed_as_nobody_here_knows_ends_and_says_so() -> None:
    story = Story().says("Hello?")
    story.fails(cast(NoAnswer, "on_strike"))
    assert story.the(TurnEnded).detail == "on_strike: No answer came."
    assert story.says("Again?").answers(say()).the(TurnEnded).reason == "yielded"


def test_a_snapshot_with_a_phase_that_is_not_known_here_is_no_good() -> None:
    state = Story().says("Hello?").state
    assert state.turn
    data, digest = freeze(state)
    assert thaw(data, digest, FOLD, state.agent, state.seq) == state
    later = msgspec.structs.replace(state, turn=msgspec.structs.replace(state.turn, phase="dreaming"))
    data, digest = freeze(later)
    assert thaw(data, digest, FOLD, state.agent, state.seq) is None, "it is folded from the log again"


@pytest.mark.slow
def test_membership_is_asked_of_sets_that_have_a_type() -> None:
    found = [f"{path}:{line}" for path in _modules() for line in untyped(path.read_text())]
    assert found == [], "name the set, with its type: Final[frozenset[Phase]]"


@pytest.mark.parametrize(
    "line",
    [
        "turn.phase in {'ready', 'faild'}",
        "x.kind not in ('TurnEnded',)",
        "(a.kind, a.key) == ('TurnEnde', key)",
        "msgspec.structs.replace(turn, phase='faild')",
    ],
)
def test_such_a_line_is_found(line: str) -> None:
    assert list(untyped(line)) == [1]


def _modules() -> list[Path]:
    """All but the built-in model's, whose words are the language's."""
    found = (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))
    return [path for path in found if path.parent.name != "offline"]


def untyped(source: str) -> Iterator[int]:
    """The lines that compare a field of a closed set with words in a set or tuple, or give it one by `replace`: the
    type checker lets those pass."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and isinstance(node.comparators[0], (ast.Set, ast.Tuple, ast.List)):
            compared = node.left.elts if isinstance(node.left, ast.Tuple) else [node.left]
            fields = {each.attr for each in compared if isinstance(each, ast.Attribute)}
            words = [each for each in node.comparators[0].elts if isinstance(each, ast.Constant)]
            if fields & FIELDS and any(isinstance(word.value, str) for word in words):
                yield node.lineno
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "replace":
            given = {each.arg for each in node.keywords if isinstance(each.value, ast.Constant) and each.value.value}
            if given & (FIELDS - {"kind"}):
                yield node.lineno
