"""Parts into passages of a size in tokens, cut where a paragraph, a sentence, a line or a word ends.

Rules. (1) No passage has more than `size_tokens` tokens (as the given function counts them), nor more than eight
characters a token. (2) Every character that is not white space is in a passage; no passage is blank. (3) A passage
begins with the last words of the one before it, up to `overlap_tokens`, within one section, page or record.

Why not a library: `semantic-text-splitter` counts a text many times over (1.3 MB/s with exact counts), needs the
whole text in memory, and knows no lines. Here a passage's length is guessed from the one before, and counted once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from palimpsest.events.documents import Passage
from palimpsest.store.documents.parts import PART_CHARS, TextPart

CHARS_PER_TOKEN: Final = 8
"""Runs of blanks or dashes have over a hundred characters a token; a passage is to stay readable."""

_FILLED: Final = 0.95
"""What is guessed to fill a passage: guesses that turn out too long are counted again."""

_ENDS: Final = re.compile(
    "[\n.!?\u2026\u3002\uff01\uff1f]"  # one set in front lets the engine skip to it
    "(?:(?<=\n)\\s*"
    "|(?<=[.!?\u2026])[\"')\\]\u201d\u2019]*(?:\n\\s*|(?=[^\\S\n]+[^\\sa-z]))"
    "|(?<=[\u3002\uff01\uff1f])[\u300d\u300f\u201d\u2019)]*\\s*)"
)
"""Where a line or a sentence ends (the last case: Chinese and Japanese). "e.g. this" ends none."""

_LINE, _SENTENCE, _PARAGRAPH = range(3)

Count = Callable[[str], int]


class _Atom(NamedTuple):
    """A stretch of text that is not cut, from the end of the one before; and what ends it."""

    end: int
    rank: int


def chunk(
    parts: Iterable[TextPart], count: Count, size_tokens: int, overlap_tokens: int, held_chars: int = PART_CHARS
) -> Iterator[Passage]:
    """The passages of these parts, in order. `overlap_tokens` is at most half of `size_tokens`; of a section about
    `held_chars` are in memory."""
    cutter: _SectionCutter | None = None
    for part in parts:
        if cutter is None or not part.joins:
            if cutter is not None:
                yield from cutter.cut(final=True)
            cutter = _SectionCutter(part, count, size_tokens, overlap_tokens)
        if cutter.take(part.text) >= held_chars:
            yield from cutter.cut(final=False)
    if cutter is not None:
        yield from cutter.cut(final=True)


class _SectionCutter:
    """Cuts one section. `_held` is the text at hand; of it `_held[:_fresh]` is in a passage already."""

    def __init__(self, part: TextPart, count: Count, size: int, overlap: int) -> None:
        self._place = part
        self._count = count
        self._size = size
        self._overlap = overlap
        self._least = max(1, size // 3)
        self._window = (size - overlap) * CHARS_PER_TOKEN
        self._rate = 0.25
        """Tokens a character: the last passage's."""
        self._held = ""
        self._fresh = 0
        self._at = 0
        self._line = part.first_line
        """The line of the character at `_at`: both move on together."""

    def take(self, text: str) -> int:
        """Add text; how much is held now."""
        self._held += text
        return len(self._held)

    def cut(self, *, final: bool) -> Iterator[Passage]:
        """The passages that are sure by now: all if this is the section's end, else the last waits for more text."""
        atoms = list(self._atoms(final))
        start, fresh, first = 0, self._fresh, 0
        while first < len(atoms):
            start, last = self._fill(atoms, first, start, fresh)
            if last == len(atoms) - 1 and not final:
                break
            end = atoms[last].end
            if passage := self._passage(start, fresh, end):
                yield passage
            start, fresh, first = self._overlap_start(start, end), end, last + 1
        self._pass_lines(start)
        self._held = self._held[start:]
        self._fresh = fresh - start
        self._at = 0

    # --- where text may be cut ----------------------------------------------------------------------------------

    def _atoms(self, final: bool) -> Iterator[_Atom]:
        """What is not in a passage yet. The last stretch, which no break ends, only at the section's end or if long."""
        held, start, least = self._held, self._fresh, self._least
        for found in _ENDS.finditer(held, start):
            end, ending = found.end(), found.group()
            rank = _PARAGRAPH if ending.count("\n") > 1 else _LINE if ending[0] == "\n" else _SENTENCE
            if end - start >= least or (rank == _PARAGRAPH and end > start):
                yield from self._windows(start, end, rank)
                start = end
        if final and start < len(held):
            yield from self._windows(start, len(held), _PARAGRAPH)
        elif len(held) - start > self._window * 2:
            yield from self._windows(start, len(held) - self._window, _LINE)

    def _windows(self, start: int, end: int, rank: int) -> Iterator[_Atom]:
        """One atom, or several for a stretch of more characters than a passage may have."""
        while end - start > self._window:
            start = self._word_end(start, start + self._window)
            yield _Atom(start, _LINE)
        yield _Atom(end, rank)

    def _word_end(self, low: int, at: int) -> int:
        """The last word boundary in the second half of [low, at), else `at` itself."""
        for found in range(at, (low + at) // 2, -1):
            if self._held[found - 1].isspace():
                return found
        return at

    # --- what goes together -------------------------------------------------------------------------------------

    def _fill(self, atoms: list[_Atom], first: int, start: int, fresh: int) -> tuple[int, int]:
        """Where the passage with atom `first` begins, and its last atom: guessed by its length, and then counted."""
        rate = self._rate
        while True:
            last = self._last_that_fits(atoms, first, start, rate)
            text = self._held[start : atoms[last].end].strip()
            cost = self._cost(text)
            if cost <= self._size:
                self._rate = max(cost / max(1, len(text)), 1 / CHARS_PER_TOKEN)
                return start, last
            rate = max(cost / len(text), rate * 1.1)
            if last > first:
                continue
            if start < fresh:
                start = fresh
            elif (parts := self._halves(start, atoms[first])) is None:
                return start, last  # one character that alone costs more
            else:
                atoms[first : first + 1] = parts

    def _cost(self, text: str) -> int:
        return max(self._count(text), -(-len(text) // CHARS_PER_TOKEN))

    def _halves(self, start: int, atom: _Atom) -> list[_Atom] | None:
        if atom.end - start < 2:
            return None
        middle = self._word_end(start, start + (atom.end - start + 1) // 2)
        return [_Atom(middle, _LINE), atom]

    def _last_that_fits(self, atoms: list[_Atom], first: int, start: int, rate: float) -> int:
        """The last atom that should fit; if more follow, rather one that ends a paragraph or sentence, if half full."""
        room = int(self._size * _FILLED / rate)
        paragraph = sentence = -1
        at = first
        while at < len(atoms) and (at == first or atoms[at].end - start <= room):
            end, rank = atoms[at]
            if rank and (end - start) * 2 >= room:
                if rank == _PARAGRAPH:
                    paragraph = at
                else:
                    sentence = at
            at += 1
        if at == len(atoms):
            return at - 1
        return max(first, next((found for found in (paragraph, sentence) if found >= 0), at - 1))

    def _overlap_start(self, start: int, end: int) -> int:
        """Where the passage after text[start:end] begins: at the first sentence, line or word of its last tokens."""
        low = max(start + 1, end - int(self._overlap / self._rate))
        for found in _ENDS.finditer(self._held, low, end):
            if found.end() < end and not self._held[found.end() : end].isspace():
                return found.end()
        at = low
        while at < end and not self._held[at - 1].isspace():
            at += 1
        return at if at < end else low

    # --- making them --------------------------------------------------------------------------------------------

    def _passage(self, start: int, fresh: int, end: int) -> Passage | None:
        """The text without the white space around it; None if nothing in it is new."""
        new = self._held[fresh:end].strip()
        if not new:
            return None
        text = self._held[start:end]
        blank = len(text) - len(text.lstrip())
        text = text.strip()
        first, last = self._lines(start + blank, text)
        place, overlap = self._place, max(0, fresh - start - blank)
        return Passage(
            text=text, page=place.page, first_line=first, last_line=last, heading=place.heading, overlap=overlap
        )

    def _lines(self, begin: int, text: str) -> tuple[int, int]:
        if self._place.last_line or not self._line:
            return self._place.first_line, self._place.last_line
        self._pass_lines(begin)
        return self._line, self._line + text.count("\n")

    def _pass_lines(self, to: int) -> None:
        """Move the known line to another place. An overlap may lie a little before it."""
        if self._line:
            held, at = self._held, self._at
            self._line += held.count("\n", at, to) if to >= at else -held.count("\n", to, at)
            self._at = to
