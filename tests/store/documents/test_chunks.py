"""What holds for the passages of any text: nothing lost, nothing blank, nothing too large, lines that are true."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palimpsest.events.documents import Passage
from palimpsest.store.documents.chunks import CHARS_PER_TOKEN, chunk
from palimpsest.store.documents.parts import PART_CHARS, TextPart
from palimpsest.store.tokens import counting as tokens

count = functools.partial(tokens.count, tokens.DEFAULT_ENCODING)

words = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=12)
pieces = st.one_of(
    words,
    st.sampled_from([" ", "\n", "\n\n", ". ", "! ", "The end. ", "e.g. this", "- item\n", "    code()\n", "=" * 300]),
    st.sampled_from(
        [
            "\u4f60\u597d\u3002",
            "\U0001f468\u200d\U0001f469\u200d\U0001f467",
            "\u0e01\u0e33",
            "x" * 500,
            "9" * 200,
            " " * 900,
        ]
    ),
)
texts = st.lists(pieces, max_size=80).map("".join)
sizes = st.integers(16, 60).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size // 2)))


def cut(text: str, size: int, overlap: int, piece_chars: int = PART_CHARS) -> list[Passage]:
    starts = range(0, len(text), piece_chars)
    parts = [TextPart(text[at : at + piece_chars], first_line=1, joins=at > 0) for at in starts]
    return list(chunk(parts, count, size, overlap, piece_chars))


def place(text: str, passage: Passage, covered: int) -> int:
    """Where a passage begins: as far on as its line allows and leaves no gap after what is covered. Else -1."""
    latest = covered + len(text[covered:]) - len(text[covered:].lstrip())
    begin = text.rfind(passage.text, 0, latest + len(passage.text))
    while begin >= 0 and text.count("\n", 0, begin) + 1 != passage.first_line:
        begin = text.rfind(passage.text, 0, begin + len(passage.text) - 1)
    return begin


def hold(text: str, passages: list[Passage], size: int) -> None:
    covered = 0
    for passage in passages:
        assert passage.text
        assert passage.text == passage.text.strip()
        assert count(passage.text) <= size
        assert len(passage.text) <= size * CHARS_PER_TOKEN
        assert passage.last_line == passage.first_line + passage.text.count("\n")
        begin = place(text, passage, covered)
        assert begin >= 0, "it is not in the text, not on its line, or something before it is in no passage"
        covered = max(covered, begin + len(passage.text))
    assert not text[covered:].strip(), "the end is in no passage"


@settings(max_examples=300, deadline=None)
@given(texts, sizes)
def test_any_text(text: str, size: tuple[int, int]) -> None:
    passages = cut(text, *size)
    hold(text, passages, size[0])
    assert cut(text, *size) == passages


@settings(max_examples=60, deadline=None)
@given(st.lists(texts, min_size=10, max_size=40).map("".join), sizes, st.integers(1, 3000))
def test_any_text_in_any_pieces(text: str, size: tuple[int, int], piece_chars: int) -> None:
    hold(text, cut(text, *size, piece_chars), size[0])


@pytest.mark.parametrize(
    "text",
    [
        "x" * 400_000, "word " * 60_000, "\u6f22" * 150_000, "\n" * 200_000 + "end", " " * 300_000 + "end",
        "-" * 300_000, "a.b" * 90_000,
    ],
    ids=["one word", "one line", "chinese", "blank lines", "blanks", "dashes", "dots"],
)  # fmt: skip
def test_long_text_without_breaks(text: str) -> None:
    passages = cut(text, 200, 20)
    assert all(count(each.text) <= 200 and len(each.text) <= 1600 for each in passages)
    assert sum(len(each.text) for each in passages) >= len("".join(text.split()))
    assert passages[-1].last_line == text.count("\n") + 1


def test_passages_end_with_sentences_and_begin_with_the_last_one_before() -> None:
    text = " ".join(f"This is sentence {number} of the long story." for number in range(200))
    first, second, *_ = cut(text, 100, 20)
    assert first.text.endswith(".")
    assert second.text.startswith("This is sentence")
    assert second.text[: second.text.index(".") + 1] in first.text


def test_without_overlap_nothing_is_there_twice() -> None:
    text = " ".join(f"This is sentence {number} of the long story." for number in range(200))
    assert " ".join(each.text for each in cut(text, 100, 0)) == text


def test_a_passage_ends_with_its_paragraph_if_it_can() -> None:
    paragraph = "Some words that make a line. Some more words to fill it up. " * 4
    passages = cut("\n\n".join([paragraph.strip()] * 9), 100, 0)
    assert {each.text for each in passages} == {paragraph.strip()}


def test_places_are_not_mixed() -> None:
    parts = [
        TextPart("One.", page=1),
        TextPart("Two.", page=2, heading="A"),
        TextPart("Three.", first_line=7, last_line=9),
        TextPart("x\ny", first_line=3),
    ]
    assert list(chunk(parts, count, 200, 20)) == [
        Passage(text="One.", page=1),
        Passage(text="Two.", page=2, heading="A"),
        Passage(text="Three.", first_line=7, last_line=9),
        Passage(text="x\ny", first_line=3, last_line=4),
    ]
