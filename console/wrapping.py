"""Words into lines of a terminal, also while they come: a word goes to the next line whole where this one is full.

Rules. (1) A word is held until its end is known: what is fed whole and letter by letter gives the same lines.
(2) Widths are the terminal's: wide letters take two cells, combining ones none. (3) Chinese and Japanese may part
between any two letters, but not before a mark that closes; a word wider than a line parts where the line ends.
"""

from __future__ import annotations

from typing import Final
from unicodedata import category

from rich.cells import cell_len

LEAST_WIDTH: Final = 8
_OPENING: Final = frozenset({"Ps", "Pi"})
_CLOSING: Final = frozenset({"Pe", "Pf", "Po", "Lm"})
"""Categories of marks: brackets and quotes that open; those that close, with stops, commas and signs of length."""
_SMALL_KANA: Final = frozenset("ぁぃぅぇぉっゃゅょァィゥェォッャュョ")
_JOINER: Final = "\u200d"
_MODIFIERS: Final = range(0x1F3FB, 0x1F400)
"""Tones of skin, which belong to the picture before them."""
_HANGUL: Final = range(0xAC00, 0xD7A4)
"""Korean, which is written with spaces between words."""


class Wrapper:
    """Puts words into lines, from a column on."""

    def __init__(self, column: int = 0) -> None:
        self._column = column
        self._space = ""
        self._word = ""

    def feed(self, text: str, width: int) -> str:
        """What is to be printed now that this came. `width`: of the terminal as it is now."""
        width = max(width, LEAST_WIDTH)
        out: list[str] = []
        for char in text:
            if char in "\n ":
                out.append(self._place(width))
                self._space = "" if char == "\n" else self._space + char
                if char == "\n":
                    out.append(char)
                    self._column = 0
            elif (self._word and _may_part(self._word[-1], char)) or cell_len(self._word + char) > width:
                out.append(self._place(width))
                self._word = char
            else:
                self._word += char
        return "".join(out)

    def end(self, width: int) -> str:
        """The word that was held; whoever prints next begins a line of its own."""
        last = self._place(max(width, LEAST_WIDTH))
        self.begin()
        return last

    def begin(self) -> None:
        """The line was begun anew by somebody else."""
        self._column, self._space = 0, ""

    def _place(self, width: int) -> str:
        word, space, self._word = self._word, self._space, ""
        if not word:
            return ""
        self._space = ""
        cells = cell_len(word)
        if self._column and self._column + len(space) + cells > width:
            self._column = cells
            return "\n" + word
        self._column += len(space) + cells
        return space + word


def _may_part(before: str, after: str) -> bool:
    """Whether a line may end between two letters that no space parts."""
    if before == _JOINER or not cell_len(after) or ord(after) in _MODIFIERS:
        return False
    if category(before) in _OPENING or category(after) in _CLOSING or after in _SMALL_KANA:
        return False
    return _is_wide(before) or _is_wide(after)


def _is_wide(char: str) -> bool:
    return cell_len(char) > 1 and ord(char) not in _HANGUL


def wrapped(text: str, width: int, column: int = 0) -> str:
    """A whole text in lines; the first begins at this column."""
    wrapper = Wrapper(column)
    return wrapper.feed(text, width) + wrapper.end(width)
