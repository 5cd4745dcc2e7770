"""actors/models/pieces.py: cut anywhere, the pieces join to the same whole."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.models.pieces import EventLines, StreamedArgument


def read(*parts: str) -> str:
    argument = StreamedArgument("message")
    return "".join(argument.feed(part) for part in parts)


TEXTS = ["", "hi", 'a "quoted" \\ word', "tab\tline\nfeed\r\b\f/", "é中😀", "\ud83d", "\udc00x", "\ud83dx😀"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("before", [{}, {"other": {"message": ["no", '}{\\"']}}, {"n": -1.5e3, "t": True, "z": None}])
def test_reads_the_argument_cut_at_every_character(text: str, ascii_only: bool, before: dict[str, object]) -> None:
    document = json.dumps({**before, "message": text, "after": "x"}, ensure_ascii=ascii_only)
    expected = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if ascii_only else text
    assert read(document) == expected
    assert read(*document) == expected
    assert all(read(document[:at], document[at:]) == expected for at in range(len(document)))


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ('  {\n "message" \t:\n "hi" }', "hi"),
        ('{"mess\\u0061ge": "hi"}', "hi"),
        ('{"message": "line\none"}', "line\none"),
        ('{"message": "\\u12G4\\q\\/"}', "\ufffdq/"),
        ('{"message": "open', "open"),
        ('{"message": "one", "message": "two"}', "one"),
        ('{"message": 42}', ""),
        ('{"message": {"message": "inner"}}', ""),
        ("{'message': 'hi'}", ""),
        ('[{"message": "hi"}]', ""),
        ("plain", ""),
        ("", ""),
    ],
)
def test_odd_documents(document: str, expected: str) -> None:
    assert read(document) == expected
    assert read(*document) == expected


@given(
    st.dictionaries(st.text(max_size=4), st.text(max_size=6) | st.lists(st.integers(), max_size=2)),
    st.text(),
    st.data(),
)
def test_any_object_any_cuts(others: dict[str, object], text: str, data: st.DataObject) -> None:
    document = json.dumps({**others, "message": text}, ensure_ascii=data.draw(st.booleans()))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(document)), max_size=8)))
    bounds = [0, *cuts, len(document)]
    assert read(*(document[a:b] for a, b in itertools.pairwise(bounds))) == text


STREAM = b': comment\r\nevent: x\r\ndata: {"a":1}\r\n\r\ndata:{"b":2}\n\n{"error":3}\n\ndata: \n\ndata: [DONE]'


def test_events_cut_at_every_byte() -> None:
    expected = [b'{"a":1}', b'{"b":2}', b'{"error":3}', b"[DONE]"]
    for at in range(len(STREAM) + 1):
        lines = EventLines()
        assert lines.feed(STREAM[:at]) + lines.feed(STREAM[at:]) + lines.end() == expected
    single = EventLines()
    assert [
        payload for n in range(len(STREAM)) for payload in single.feed(STREAM[n : n + 1])
    ] + single.end() == expected
