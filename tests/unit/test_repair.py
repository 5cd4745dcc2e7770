"""actors/models/repair.py: what can be mended is, the model's text is kept, and nothing is made up."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.models.repair import repair
from events.types import ToolCall


def call(arguments: str) -> ToolCall:
    return ToolCall(id="1", name="send_message", arguments=arguments)


@pytest.mark.parametrize(
    ("broken", "meant"),
    [
        ('```json\n{"message": "hi"}\n```', {"message": "hi"}),
        ("{'message': 'hi'}", {"message": "hi"}),
        ("{'message': \"it's\", 'request_heartbeat': True}", {"message": "it's", "request_heartbeat": True}),
        ('{"message": "hi", "again": True, "page": None}', {"message": "hi", "again": True, "page": None}),
        ('{"message": "hi",}', {"message": "hi"}),
        ('{"message": "one\ntwo\tthree"}', {"message": "one\ntwo\tthree"}),
        ('{message: "hi"}', {"message": "hi"}),
        (json.dumps('{"message": "hi"}'), {"message": "hi"}),
        (json.dumps("{'message': 'hi'}"), {"message": "hi"}),
        ('{"message": "hi"', {"message": "hi"}),
        ('{"message": "hi"}}', {"message": "hi"}),
        ('Sure! {"message": "hi"}', {"message": "hi"}),
    ],
)  # fmt: skip
def test_mends(broken: str, meant: dict[str, object]) -> None:
    mended = repair(call(broken), "tool_calls")
    assert json.loads(mended.arguments) == meant
    assert mended.raw == broken
    assert (mended.id, mended.name) == ("1", "send_message")


@pytest.mark.parametrize("fine", ['{"message":"hi"}', "{}", ' {"a": {"b": [1, 2.5, null]}} ', '{"message":"true"}'])
def test_leaves_what_is_an_object(fine: str) -> None:
    assert repair(call(fine), "tool_calls") is not None
    assert repair(call(fine), "tool_calls") == call(fine)


@pytest.mark.parametrize("cut", ['{"message": "so it', "{'message': 'so it", '{"message"'])
def test_leaves_what_was_cut_off(cut: str) -> None:
    assert repair(call(cut), "length") == call(cut)


@pytest.mark.parametrize(
    "garbage", ["hello", "{", "}", "[]", "[1, 2]", "42", "null", '"text"', "```", "{{{", "\x00", "{,}"]
)
def test_garbage_stays_garbage(garbage: str) -> None:
    assert repair(call(garbage), "tool_calls") == call(garbage)


@pytest.mark.parametrize("nothing", ["", "  \n"])
def test_no_arguments_are_an_empty_object(nothing: str) -> None:
    assert repair(call(nothing), "tool_calls").arguments == "{}"


def test_hostile_depth_is_left_alone() -> None:
    deep = "{'a':" * 10_000
    assert repair(call(deep), "tool_calls").arguments != "{}"


@given(st.text(max_size=60))
def test_the_result_is_the_call_itself_or_an_object_that_is_not_empty(text: str) -> None:
    mended = repair(call(text), "stop")
    if mended != call(text):
        assert isinstance(json.loads(mended.arguments), dict)
        assert mended.raw == (text if text.strip() else "")
        assert mended.arguments != "{}" or not text.strip()


@given(
    st.dictionaries(st.text(max_size=8), st.none() | st.booleans() | st.integers() | st.text(max_size=20), min_size=1)
)
def test_a_printed_python_dict_means_the_same(value: dict[str, object]) -> None:
    assert json.loads(repair(call(repr(value)), "tool_calls").arguments) == value
