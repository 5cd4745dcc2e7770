"""actors/models/repair.py: what is sure is mended, the model's text is kept, and nothing is made up."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.actors.models.repair import repair
from palimpsest.events.formats import NEWBORN
from palimpsest.events.functions import BadCall, Call, all_functions, check
from palimpsest.events.types import ToolCall


def call(arguments: str, name: str = "send_message") -> ToolCall:
    return ToolCall(id="1", name=name, arguments=arguments)


@pytest.mark.parametrize(
    ("broken", "meant"),
    [
        ('```json\n{"message": "hi"}\n```', {"message": "hi"}),
        ("{'message': 'hi', 'request_heartbeat': True}", {"message": "hi", "request_heartbeat": True}),
        ('{"message": "hi",}', {"message": "hi"}),
        ('{"message": \\n"Your flight leaves at 7:15"\\n}', {"message": "Your flight leaves at 7:15"}),
    ],
)
def test_mends(broken: str, meant: dict[str, object]) -> None:
    mended = repair(call(broken))
    assert json.loads(mended.arguments) == meant
    assert mended.raw == broken
    assert (mended.id, mended.name) == ("1", "send_message")
    assert isinstance(check(mended, all_functions(), NEWBORN), Call)


@pytest.mark.parametrize("fine", ['{"message":"hi"}', "{}", ' {"a": {"b": [1, 2.5, null]}} ', '{"message":"true"}'])
def test_leaves_what_is_an_object(fine: str) -> None:
    assert repair(call(fine)) == call(fine)


@pytest.mark.parametrize(
    ("name", "broken", "told"),
    [
        ("core_memory_append", '{"name": "human", "content": "Her blood type is AB neg', "no closing quotation mark"),
        ("archival_memory_insert", '{"content": "a: "retries": 5, "timeout": 30"}', 'a quotation mark within a text'),
        ("archival_memory_insert", '{"content": "Alpha."}{"content": "Beta."}', "once for each object"),
        ("send_message", '{"message": "so it', "at character 13"),
        ("send_message", '{"message": "hi"', "cut off"),
        ("send_message", '{"message": "hi"}}', 'at character 18: "}"'),
        ("send_message", 'Sure! {"message": "hi"}', "do not begin with {"),
        ("send_message", "hello", 'at character 1: "hello"'),
        ("send_message", "[1, 2]", "a list"),
        ("send_message", '"text"', "written as a text"),
        ("send_message", '{"message": "a", "message": "b"}', "a key stands twice at character 18"),
        ("send_message", "{'message': 'a', 'to': 'b'}", "'to', which is none of its parameters"),
        ("send_message", "{'a':" * 10_000, "nested more than"),
    ],
)  # fmt: skip
def test_what_is_not_sure_is_told(name: str, broken: str, told: str) -> None:
    kept = repair(call(broken, name))
    assert kept == call(broken, name) or kept.raw == broken
    checked = check(kept, all_functions(), NEWBORN)
    assert isinstance(checked, BadCall)
    assert told in checked.error
    assert "Nothing was done." in checked.error


def test_what_was_cut_off_at_the_limit_is_told_so() -> None:
    checked = check(repair(call('{"message": "so it')), all_functions(), NEWBORN, finish="length")
    assert isinstance(checked, BadCall)
    assert "cut off at its length limit" in checked.error


@pytest.mark.parametrize("nothing", ["", "  \n"])
def test_no_arguments_are_an_empty_object(nothing: str) -> None:
    assert repair(call(nothing)).arguments == "{}"


@given(st.text(max_size=60))
def test_the_result_is_the_call_itself_or_an_object(text: str) -> None:
    mended = repair(call(text))
    if mended != call(text):
        assert isinstance(json.loads(mended.arguments), dict)
        assert mended.raw == (text if text.strip() else "")


def test_what_the_filter_cut_off_is_told_so() -> None:
    checked = check(call('{"message": "so it'), all_functions(), NEWBORN, finish="content_filter")
    assert isinstance(checked, BadCall)
    assert "the server's content filter ended the answer here" in checked.error
