"""Words into lines: what is fed whole and letter by letter gives the same, within the width, and no word is broken."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from palimpsest.console.wrapping import LEAST_WIDTH, Wrapper, wrapped

WORDS = st.text(alphabet="abcdefgh é,.", max_size=120)
ANY = st.text(alphabet="ab \n日本語、。「」が한국어é\u0301👩\u200d👧👍🏽,.()", max_size=80)
WIDTHS = st.integers(LEAST_WIDTH, 40)


@given(ANY, WIDTHS, st.integers(0, 6))
def test_however_it_comes_the_lines_are_the_same_and_fit(text: str, width: int, column: int) -> None:
    whole = wrapped(text, width, column)
    bit_by_bit = Wrapper(column)
    assert "".join(bit_by_bit.feed(char, width) for char in text) + bit_by_bit.end(width) == whole
    first, *others = whole.split("\n")
    assert all(cell_len(line.strip(" ")) <= width for line in (first, *others))
    assert "".join(whole.split()) == "".join(text.split()), "no letter is lost"


@given(WORDS, WIDTHS)
def test_no_word_is_broken_that_fits_a_line(text: str, width: int) -> None:
    short = [word for word in text.split() if len(word) <= width]
    lines = wrapped(" ".join(short), width).split("\n")
    assert [word for line in lines for word in line.split()] == short
    for line, after in pairwise(lines):
        assert len(line) + 1 + len(after.split()[0]) > width, "a line is filled before the next one begins"


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one two three", 8, ["one two", "three"]),
        ("  indented line", 10, ["  indented", "line"]),
        ("a\n\nb", 10, ["a", "", "b"]),
        ("abcdefghijkl m", 8, ["abcdefgh", "ijkl m"]),
        ("日本語のテキスト、です", 8, ["日本語の", "テキス", "ト、です"]),
        ("한국어는 단어", 9, ["한국어는", "단어"]),
        ("see 「日本」", 9, ["see 「日", "本」"]),
    ],
)
def test_where_lines_part(text: str, width: int, lines: list[str]) -> None:
    assert wrapped(text, width).split("\n") == lines


def test_a_narrower_terminal_counts_from_the_next_word_on() -> None:
    lines = Wrapper()
    said = lines.feed("aaaa bbbb cccc ", 20) + lines.feed("dddd eeee ", 9) + lines.end(9)
    assert said == "aaaa bbbb cccc\ndddd eeee"
