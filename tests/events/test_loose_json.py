"""events/loose_json.py: what is meant is read, all of it; else the flaw is named, with its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from palimpsest.events.loose_json import MAX_DEPTH, Flaw, read_object


def reads(text: str) -> Any:
    read = read_object(text)
    return json.loads(read) if isinstance(read, str) else read


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('```json\n{"message": "hi"}\n```', {"message": "hi"}),
        ('```{"message": "a ``` b"}```', {"message": "a ``` b"}),
        ("{'message': 'hi'}", {"message": "hi"}),
        ("{'message': \"it's\", 'request_heartbeat': True}", {"message": "it's", "request_heartbeat": True}),
        ('{"message": "it\\\'s"}', {"message": "it's"}),
        ('{"message": "hi", "again": True, "page": None}', {"message": "hi", "again": True, "page": None}),
        ('{"message": "hi",}', {"message": "hi"}),
        ('{"a": [1, 2,],}', {"a": [1, 2]}),
        ('{"message": "one\ntwo\tthree\x00"}', {"message": "one\ntwo\tthree\x00"}),
        ('{message: "hi", request_heartbeat: false}', {"message": "hi", "request_heartbeat": False}),
        ("{\u201cmessage\u201d: \u201csay \"hi\"\u201d}", {"message": 'say "hi"'}),
        ('{"message"\uff1a\u201c你好\u201d\uff0c"page"\uff1a1}', {"message": "你好", "page": 1}),
        (json.dumps('{"message": "hi"}'), {"message": "hi"}),
        (json.dumps(json.dumps('{"message": "hi"}')), {"message": "hi"}),
        (json.dumps("{'message': 'hi'}"), {"message": "hi"}),
        ('{\\"message\\": \\"say \\\\\\"hi\\\\\\"\\"}', {"message": 'say "hi"'}),
        ('{"message": \\n"Your flight leaves at 7:15"\\n}', {"message": "Your flight leaves at 7:15"}),
        ('\ufeff{"message":\xa0"hi"}', {"message": "hi"}),
        ('{"message": "hi"}<|im_end|>', {"message": "hi"}),
        ('{"message": "hi"}\n</tool_call> <|eot_id|>\n', {"message": "hi"}),
        ("{'m': '\\x41\\u00e9\\U0001f600\\ud83d\\ude00'}", {"m": "Aé😀😀"}),
        ("{'a': +5, 'b': .5, 'c': 5., 'd': -1.5e3, 'e': 1.10}", {"a": 5, "b": 0.5, "c": 5.0, "d": -1500, "e": 1.1}),
        ("{}", {}),
    ],
)  # fmt: skip
def test_reads_what_is_meant(text: str, meant: object) -> None:
    assert reads(text) == meant


@pytest.mark.parametrize(
    ("text", "what", "at"),
    [
        ('{"name": "human", "content": "Her blood type is AB neg', "no closing quotation mark", 30),
        ('{"content": "Server config: "retries": 5, "timeout": 30"}', 'a quotation mark within a text is', 30),
        ('{"content": "Alpha is red."}{"content": "Beta is blue."}', "stands another", 29),
        ('{"message": "hi"', "cut off", 17),
        ('{"message":', "cut off: a value is missing", 12),
        ('{"message"', "cut off", 11),
        ('{"message": "hi",', "cut off", 18),
        ("{", "cut off", 2),
        ('{"message": "hi"}}', "stands more", 18),
        ('{"message": "hi"};', "stands more", 18),
        ('Sure! {"message": "hi"}', "do not begin with {", 1),
        ('{"message": "hi"} // said', "stands more", 19),
        ('{"message": "hi" /* said */}', "is missing", 18),
        ('{"message": hi}', "not in quotation marks", 13),
        ('{"message": "hi" "page": 1}', "is missing", 18),
        ('{"message" "hi"}', '":" after a key is missing', 12),
        ('{"page": 1, "page": 2}', "a key stands twice", 13),
        ('{"a": {"b": 1, \'b\': 1}}', "a key stands twice", 16),
        ('{"message": "C:\\dir"}', "an escape is none that JSON has", 16),
        ("{'message': 'it's fine'}", "is missing", 17),
        ("{'message': 'a' 'b'}", "is missing", 17),
        ("{'message': 'a' + 'b'}", "is missing", 17),
        ('{"message": """hi"""}', "is missing", 15),
        ('{"message": "\\ud83d"}', "half a character", 13),
        ('{"page": 007}', "a number begins with 0", 10),
        ('{"page": 1_000}', "not in quotation marks", 10),
        ('{"page": NaN}', "not in quotation marks", 10),
        ("{,}", "a key is missing", 2),
        ("{'message', 'hi'}", '":" after a key is missing', 11),
        ('[{"message": "hi"}]', "a list", 1),
        ('```json\n{"message": "hi"}', "do not begin with {", 1),
        ('"just a text"', "written as a text is none", 1),
        ('"{\\"message\\": \\"hi', "no closing quotation mark", 1),
        ('{\\"message\\": "hi"}', 'some are written \\"', 15),
        ("", "empty", 1),
        ("42", "do not begin with {", 1),
    ],
)  # fmt: skip
def test_says_what_is_wrong_and_where(text: str, what: str, at: int) -> None:
    flaw = read_object(text)
    assert isinstance(flaw, Flaw), flaw
    assert what in str(flaw)
    assert flaw.at + 1 == at
    assert f"at character {at}" in str(flaw)
    assert len(str(flaw)) < 300


def test_a_flaw_shows_what_stands_there() -> None:
    flaw = read_object('{"content": "Server config: "retries": 5, "timeout": 30"}')
    assert str(flaw).endswith('at character 30: "retries\\": 5, \\"timeout\\": "')


def test_depth_is_bounded() -> None:
    assert isinstance(read_object("{'a':" * MAX_DEPTH + "1" + "}" * MAX_DEPTH), str)
    for deep in ("{'a':" * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1), "{'a':" * 100_000, "{'a':" + "[" * 100_000):
        assert "nested more than" in str(read_object(deep))


def test_long_texts_take_linear_time() -> None:
    for text in (" " * 300_000, "```" + " " * 300_000, "{'a': '" + "\\'" * 200_000 + "'}", "{" + "\\n" * 200_000):
        read_object(text)


# --- any object, any allowed damage -----------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=12)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.text(max_size=8), VALUES, min_size=1, max_size=4)


def python(value: object) -> str:
    return repr(value)


def trailing_commas(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + "".join(f"{json.dumps(k)}: {trailing_commas(v)}, " for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + "".join(f"{trailing_commas(v)}," for v in value) + "]"
    return json.dumps(value)


def raw_characters(value: Any) -> str:
    """Only quotation marks and backslashes are escaped."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{raw_characters(k)}: {raw_characters(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(raw_characters, value)) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return json.dumps(value)


def fenced(value: object) -> str:
    return f"```json\n{json.dumps(value)}\n```"


def encoded_twice(value: object) -> str:
    return json.dumps(json.dumps(value))


def inside_of_a_string(value: object) -> str:
    return json.dumps(json.dumps(value))[1:-1]


def literal_breaks(value: Any) -> str:
    if isinstance(value, dict):
        return "{\\n" + ",\\n".join(f"{json.dumps(k)}: {literal_breaks(v)}" for k, v in value.items()) + "\\n}"
    return json.dumps(value)


DAMAGES = [python, trailing_commas, raw_characters, fenced, encoded_twice, inside_of_a_string, literal_breaks]


@pytest.mark.parametrize("damage", [json.dumps, *DAMAGES])
@given(value=OBJECTS)
def test_any_object_is_read_through_any_damage(damage: Callable[[object], str], value: dict[str, Any]) -> None:
    assert reads(damage(value)) == value


@pytest.mark.parametrize("damage", [json.dumps, *DAMAGES])
@given(value=OBJECTS, data=st.data())
def test_what_is_cut_off_is_never_read(
    damage: Callable[[object], str], value: dict[str, Any], data: st.DataObject
) -> None:
    text = damage(value)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    assert isinstance(read_object(cut), Flaw)


@given(st.text(st.sampled_from("{}[]\"':, \nabtu01.-TrueNo") | st.characters(), max_size=30))
def test_whatever_is_read_has_all_letters_of_the_text(text: str) -> None:
    accounted(text)


@given(OBJECTS, st.integers(0, 200), st.text(st.sampled_from("{}[]\"',:\nxa1 "), min_size=1, max_size=3), st.booleans())
def test_a_text_in_disorder_is_told_or_read_whole(value: dict[str, Any], at: int, junk: str, drop: bool) -> None:
    text = raw_characters(value)
    at %= len(text)
    accounted(text[:at] + junk + text[at + drop :])


def accounted(text: str) -> None:
    """All letters and digits of a text without escapes stand in what is read of it, in their order."""
    assume("\\" not in text)
    read = read_object(text)
    if isinstance(read, str):
        assert letters(leaves(json.loads(read))) == letters(text)


def leaves(value: object) -> str:
    if isinstance(value, dict):
        return "".join(key + leaves(each) for key, each in value.items())
    if isinstance(value, list):
        return "".join(map(leaves, value))
    return str(value)


def letters(text: str) -> str:
    """Without what a number may gain or lose (5. is 5.0)."""
    for python, plain in (("True", "true"), ("False", "false"), ("None", "null")):
        text = text.replace(python, plain)
    return "".join(char for char in text if char.isalnum() and char not in "0eE")
