"""A function of the model is one entry: a new one is added by one, and no room names a function but by its entry."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from palimpsest.actors.models.offline.model import respond
from palimpsest.actors.models.offline.request import RequestView
from palimpsest.console.story import lines
from palimpsest.events.body import flaw
from palimpsest.events.context import head_tokens
from palimpsest.events.debug.compare import turns
from palimpsest.events.debug.moments import Called
from palimpsest.events.debug.timeline import story as told
from palimpsest.events.debug.turns import looks_in
from palimpsest.events.debug.windows import held
from palimpsest.events.formats import BRIEF, NEWBORN, SEARCH_FILTERS, changed
from palimpsest.events.functions import (
    Function,
    Invocation,
    Parameter,
    functions_of,
    named,
    parameter_types,
)
from palimpsest.events.functions.catalogue import FUNCTIONS
from palimpsest.events.markup import read
from palimpsest.events.replay import replay
from palimpsest.events.state import UNCOUNTED
from palimpsest.events.types import (
    Event,
    FormatChanged,
    FunctionCalled,
    FunctionFailed,
    FunctionReturned,
    HeartbeatRaised,
    Settings,
    TurnEnded,
)
from palimpsest.store.library.functions import READINGS, SEARCHES
from tests.worlds.story import AGENT, Story, call, octets, say

ROOT: Final = Path(__file__).resolve().parents[2]
CATALOGUE: Final = "palimpsest.events.functions.catalogue.FUNCTIONS"


def _count(asked: Invocation) -> Event:
    word = asked.text("word").lower()
    if not word:
        return asked.declined("word is empty. Name the word that is to be counted.")
    times = sum(block.value.lower().split().count(word) for block in asked.state.blocks)
    return FunctionReturned(call=asked.id, result=f"{word}: {times}"[: asked.max_chars])


COUNT_WORD: Final = Function(
    name="count_word",
    description="Counts a word in core memory.",
    brief="Count a word.",
    parameters=(Parameter("word", "string", "The word to count.", brief="One word."),),
    at_once=_count,
    label="counts",
    tells="word",
)
SEARCH_ATLAS: Final = Function(
    name="search_atlas",
    description="Searches an atlas.",
    brief="Search an atlas.",
    parameters=(Parameter("query", "string", "What to search for."),),
    part=SEARCH_FILTERS,
    carrier="storage",
    refusal=lambda state: "" if state.archival_passages else "The atlas is empty.",
    label="atlas",
    looks_in=frozenset({"archival"}),
    finds="hits",
)


@pytest.fixture
def count_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CATALOGUE, (*FUNCTIONS, COUNT_WORD))


@pytest.fixture
def search_atlas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CATALOGUE, (*FUNCTIONS, SEARCH_ATLAS))


def tools(story: Story) -> dict[str, Any]:
    listed = msgspec.json.decode(story.request)["tools"]
    return {each["function"]["name"]: each["function"] for each in listed}


def labels(story: Story) -> list[tuple[str, str]]:
    """The lines that tell the calls of a story's functions: label and text."""
    calls = (part for part in told(story.log.read(AGENT)) if isinstance(part, Called))
    return [(line.label, line.text) for part in calls for line in lines(part)]


# --- a function that the kernel carries out ------------------------------------------------------------------------


@pytest.mark.usefixtures("count_word")
def test_count_word_is_offered_called_carried_out_and_labelled_by_its_entry_alone() -> None:
    story = Story().says("How often do you say I?")
    offered = tools(story)
    assert list(offered)[-1] == "count_word"
    assert offered["count_word"]["parameters"] == {
        "type": "object",
        "properties": {
            "word": {"type": "string", "description": "The word to count."},
            "request_heartbeat": offered["core_memory_append"]["parameters"]["properties"]["request_heartbeat"],
        },
        "required": ["word", "request_heartbeat"],
    }
    story.answers(call("count_word", word="I", request_heartbeat=True))
    assert story.the(FunctionReturned).result == "i: 1"
    assert story.the(HeartbeatRaised).reason == "requested"
    assert story.results[-1]["message"] == "i: 1"
    assert story.answers(say("Never.")).the(TurnEnded).reason == "yielded"
    assert labels(story)[-2] == ("counts", 'count_word(word="I") -> i: 1')
    assert replay(AGENT, story.log.read(AGENT)).difference is None


@pytest.mark.usefixtures("count_word")
def test_count_word_declines_and_a_bad_call_of_it_is_taught() -> None:
    story = Story().says("Go.")
    story.answers(call("count_word", word="", request_heartbeat=False))
    assert story.the(FunctionFailed).error == "word is empty. Name the word that is to be counted."
    story.answers(call("count_word", request_heartbeat=False))
    taught = story.all(FunctionFailed)[1].error
    assert 'Call it as count_word({"word": string, "request_heartbeat": boolean}).' in taught


@pytest.mark.usefixtures("count_word")
def test_count_word_is_known_wherever_functions_are() -> None:
    story = Story().says("Go.").answers(call("count_word", word="tea", request_heartbeat=False), say())
    assert "the agent's count_word" in {each.what for each in held(story.state)}
    written = '<tool_call>{"name": "count_word", "arguments": {"word": "tea"}}</tool_call>'
    assert [each.name for each in read(written, parameter_types()).calls] == ["count_word"]
    assert flaw(Settings(tool_choice="count_word")) == ""
    story.says("On.")
    assert RequestView(story.request).tools == {each.name for each in functions_of(story.state)}
    assert respond(story.request).calls, "the built-in model goes on as it did"
    brief = Story(parts=changed(NEWBORN, add=(BRIEF,))).says("Go.")
    assert tools(brief)["count_word"]["description"] == "Count a word."


@pytest.mark.usefixtures("count_word")
def test_count_word_takes_its_tokens_of_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    state = msgspec.structs.replace(Story().state, head_tokens=UNCOUNTED)
    with_it = head_tokens(state, octets)
    monkeypatch.setattr(CATALOGUE, FUNCTIONS)
    assert with_it - head_tokens(state, octets) > len(COUNT_WORD.description)


# --- one of another part, which a part of the format gives ---------------------------------------------------------


@pytest.mark.usefixtures("search_atlas")
def test_search_atlas_is_asked_of_its_part_and_told_by_its_entry() -> None:
    story = Story().says("Where is Oslo?").answers(call("search_atlas", query="Oslo", request_heartbeat=True))
    assert story.the(FunctionFailed).error == "The atlas is empty."
    story.answers(call("archival_memory_insert", content="Norway: page 7.", request_heartbeat=True))
    story.answers(call("search_atlas", query="Oslo", request_heartbeat=True))
    assert (story.the(FunctionCalled).name, story.owed) == ("search_atlas", "storage")
    story.returns("Norway, page 7").answers(say("In Norway."))
    assert labels(story)[-2] == ("atlas", 'search_atlas(query="Oslo") -> Norway, page 7')
    assert looks_in("search_atlas") == {"archival"}
    searched = [each for run in turns(story.log.read(AGENT)).values() for each in run.searches]
    assert searched == ["search_atlas(Oslo)"]


@pytest.mark.usefixtures("search_atlas")
def test_search_atlas_belongs_to_the_agents_whose_state_says_so() -> None:
    story = Story(parts=changed(NEWBORN, remove=(SEARCH_FILTERS,))).says("Go.")
    assert "search_atlas" not in tools(story)
    story.answers(call("search_atlas", query="Oslo"))
    assert story.the(FunctionFailed).error.startswith("There is no function 'search_atlas'. The functions are: send_")
    story.answers(say()).happens(FormatChanged(parts=NEWBORN)).says("Again.")
    assert "search_atlas" in tools(story)
    assert named(functions_of(story.state), "search_atlas") is SEARCH_ATLAS


# --- the entries that there are ------------------------------------------------------------------------------------


def test_every_function_has_the_code_that_carries_it_out() -> None:
    of = {carrier: {f.name for f in FUNCTIONS if f.carrier == carrier} for carrier in ("storage", "documents", "timer")}
    assert of == {"storage": set(SEARCHES), "documents": set(READINGS), "timer": {"set_timer"}}
    assert all((each.carrier == "kernel") == (each.at_once is not None) for each in FUNCTIONS)
    assert all(each.refusal is None for each in FUNCTIONS if each.at_once), "the kernel's code declines by itself"


def test_entries_agree_with_themselves() -> None:
    assert len({each.name for each in FUNCTIONS}) == len(FUNCTIONS)
    for each in FUNCTIONS:
        assert not each.tells or each.tells in {parameter.name for parameter in each.parameters}
        assert each.tells or not each.speaks
        assert each.looks_in or not each.finds


NAMES: Final = re.compile(rf"\b(?:{'|'.join(sorted((f.name for f in FUNCTIONS), key=len, reverse=True))})\b")
ROOMS: Final = ("events", "store", "actors", "questions", "console", "service")
ENTRIES: Final = "events/functions/"
TELL_OF_FUNCTIONS: Final = {
    "actors/loads/loading.py": "the alert that a source is loaded",
    "events/brief.py": "the short system text",
    "events/context.py": "the status line's sources",
    "events/decide.py": "answers that are rejected",
    "events/evolve.py": "the heartbeat where the user waits",
    "events/formats.py": "what a part of the format does",
    "events/inputs.py": "an input too large for the window",
    "events/prompts.py": "the system text",
    "events/text_calls.py": "how a call is written",
    "store/library/functions.py": "a page that was cut",
    "store/library/naming.py": "a document that is not there",
}
"""Modules with a text, for a model, that speaks of functions by their names."""


def literals(source: str) -> Iterator[ast.Constant]:
    """The texts of a module, without docstrings, comments below a constant, and the names that it gives away."""
    for statement in ast.walk(ast.parse(source)):
        if isinstance(statement, ast.stmt) and not _is_said(statement):
            for node in ast.iter_child_nodes(statement):
                yield from _texts(node)


def _is_said(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assign):
        return any(isinstance(target, ast.Name) and target.id == "__all__" for target in statement.targets)
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _texts(node: ast.AST) -> Iterator[ast.Constant]:
    """Of an expression; statements within come by themselves."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node
    for each in ast.iter_child_nodes(node):
        if not isinstance(node, ast.stmt):
            yield from _texts(each)


def test_no_room_names_a_function_but_by_its_entry() -> None:
    named, telling = [], set()
    for path in (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))):
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(ENTRIES):
            continue
        for node in literals(path.read_text(encoding="utf-8")):
            if NAMES.fullmatch(str(node.value)):
                named.append(f"{name}:{node.lineno}")
            elif NAMES.search(str(node.value)):
                telling.add(name)
    assert named == [], "take the name from the function's entry"
    assert telling == set(TELL_OF_FUNCTIONS), "a text that a model reads may name functions: list it, with what it is"


@pytest.mark.parametrize("line", ['call.name == "set_timer"', '{"set_timer": 1}', 'x = ("open_document",)'])
def test_such_a_literal_is_found(line: str) -> None:
    assert [node for node in literals(line) if NAMES.fullmatch(str(node.value))]
