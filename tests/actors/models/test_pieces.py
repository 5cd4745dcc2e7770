"""actors/models/hosted/pieces.py: cut anywhere, the pieces join to the same whole."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.actors.models.hosted.pieces import EventLines, Halves, ObjectEnd, StreamedArgument


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
        payloads = lines.feed(STREAM[:at]) + lines.feed(STREAM[at:]) + lines.end()
        assert [payload for payload in payloads if payload] == expected
    single = EventLines()
    payloads = [payload for n in range(len(STREAM)) for payload in single.feed(STREAM[n : n + 1])] + single.end()
    assert [payload for payload in payloads if payload] == expected


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_events_with_any_end_of_line_cut_at_every_byte(end: bytes) -> None:
    lines = (b": c", b"id: 7", b"data: {", b"data:1}", b"", b"retry: 3", b"data:[DONE]", b"", b"")
    stream = end.join(lines)
    for at in range(len(stream) + 1):
        reader = EventLines()
        payloads = reader.feed(stream[:at]) + reader.feed(stream[at:]) + reader.end()
        assert payloads == [b"{", b"1}", b"", b"[DONE]", b""], at


def test_an_event_of_the_kind_error_is_the_servers_error() -> None:
    lines = EventLines()
    assert lines.feed(b"event: error\ndata: upstream\ndata: died\n\ndata: 1\n\n") == [b"1", b""]
    assert lines.error == b"upstream\ndied"


OBJECTS = {
    '{"a": "}"}': True,
    '{"a": "\\"}': False,
    '{"a": "\\\\"}': True,
    '{"a": [1, {"b": 2}]} ': True,
    '{"a": [1, {"b": 2}]': False,
    "": False,
    '"{}"': False,
}


@pytest.mark.parametrize("text", OBJECTS)
def test_an_object_is_closed_however_it_is_cut(text: str) -> None:
    for at in range(len(text) + 1):
        end = ObjectEnd()
        end.feed(text[:at])
        end.feed(text[at:])
        assert end.closed is OBJECTS[text]


@pytest.mark.parametrize("text", ["a😀b", "é", "漢字", "\U0010ffff"])
def test_halves_of_characters_are_joined(text: str) -> None:
    units = text.encode("utf-16-be")
    as_pairs = [units[at : at + 2].decode("utf-16-be", "surrogatepass") for at in range(0, len(units), 2)]
    as_bytes = [bytes([byte]).decode("utf-8", "surrogateescape") for byte in text.encode()]
    for parts in (as_pairs, as_bytes):
        halves = Halves()
        assert "".join(map(halves.feed, parts)) + halves.end() == text
        assert not halves.lost


@pytest.mark.parametrize("parts", [["a\ud83d", "b"], ["a", "\ude00b"], ["a\udcffb"], ["a\udce6\udcbc", "b"]])
def test_a_half_that_stays_alone_is_replaced(parts: list[str]) -> None:
    halves = Halves()
    text = "".join(map(halves.feed, parts)) + halves.end()
    assert (text[0], text[-1], set(text[1:-1]), halves.lost) == ("a", "b", {"\ufffd"}, True)
