"""A text that is looked for, and what it means that a text has it.

Rules. (1) By words: all content words of what is looked for (endings, case and order apart) stand in the text, in one
sentence or in sentences next to each other of `REACH_CHARS` in all. (2) Exact: it stands there word for word, in upper
or lower case, whatever the white space. (3) What counts as a word is the caller's function (`Terms`), so that it is the
same as in the agents' own searches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Set
from itertools import pairwise
from typing import Final

import msgspec

from palimpsest.events.errors import BadInput
from palimpsest.events.passages import BREAK

Terms = Callable[[str], Set[int]]
"""A text's words as numbers: stop words out, endings cut."""

Span = tuple[int, int]

REACH_CHARS: Final = 400


def sentences(text: str) -> list[Span]:
    """Where the sentences and lines of a text stand, without the white space around them."""
    cuts = [0, *(found.end() for found in BREAK.finditer(text)), len(text)]
    spans = []
    for cut, end in pairwise(cuts):
        piece = text[cut:end].strip()
        if piece:
            start = text.index(piece, cut)
            spans.append((start, start + len(piece)))
    return spans


def plain(text: str) -> str:
    """A text for comparing: in lower case, its white space run together."""
    return " ".join(text.lower().split())


def without_questions(text: str) -> str:
    """What a text states: its sentences but for those that ask."""
    return " ".join(text[start:end] for start, end in sentences(text) if not text[start:end].endswith("?"))


_MARKED: Final = re.compile(r"[?\uff1f\u061f\u055e\u2047\u2048]\W*$")
_BEGUN: Final = re.compile(
    r"(?:(?:please|and|so|but|ok|okay|hey|now|then|well|hi|hello)[\s,]+)*(?:"
    r"who(?:se|m|'s)?\s|what's\s|tell\s+(?:me|us)\s"
    r"|(?:what|when|where|why|which|how)(?:'s|'re)?\b(?!\s+(?:i|you|he|she|it|we|they|my|the)\b)(?:\s+\w+){0,3}?\s+"
    r"(?:is|are|was|were|am|do|does|did|can|could|will|would|shall|should|has|have|had|may|might|must)\b"
    r"|(?:do|does|did|is|are|was|were|can|could|will|would|should|have|has)\s+"
    r"(?:i|you|he|she|it|we|they|my|our|your|his|her|their|the|there|this|that|these|those|any\w*|some\w*)\s"
    r"|remind\s+(?:me|us)\s+(?:who|what|when|where|why|which|how)\b"
    r")",
    re.IGNORECASE,
)
"""How an English sentence begins that asks something, also where its writer left the mark out."""


def is_question(text: str) -> bool:
    """Whether a text asks something: a sentence of it ends with a question mark, or begins as one that asks."""
    plain_text = text.replace("\u2019", "'")
    pieces = [plain_text[start:end] for start, end in sentences(plain_text)]
    return any(_MARKED.search(piece) or (piece[-1] != "!" and _BEGUN.match(piece)) for piece in pieces)


class TextMatch(msgspec.Struct, frozen=True, kw_only=True):
    """How much of what was looked for a text has. `whole`: it has it; else `found` of `words` words, the rest being
    `missing` (none: they stand too far apart)."""

    whole: bool
    found: int
    words: int
    missing: tuple[str, ...] = ()


class Phrase:
    """What is looked for. Quotation marks around the text mean `exact` too, and a text of stop words alone is looked
    for so. Raises BadInput where it is empty."""

    def __init__(self, text: str, terms: Terms, *, exact: bool = False) -> None:
        given = text.strip()
        quoted = len(given) > 1 and given[0] + given[-1] in {'""', "“”"}
        self.text = given[1:-1].strip() if quoted else given
        if not self.text:
            raise BadInput("The text to look for is empty: give a few words of it.")
        self._terms = terms
        words = {word: frozenset(terms(word)) for word in self.text.split()}
        self.words: dict[str, frozenset[int]] = {word: each for word, each in words.items() if each}
        self._given = tuple(self.words.items())
        self.only_stop_words = not self.words
        self.exact = exact or quoted or self.only_stop_words
        self._pattern = _pattern(self.text)

    @property
    def how(self) -> str:
        """How it is matched, in words."""
        if self.exact:
            why = " (it has no other words than stop words)" if self.only_stop_words else ""
            return f"word for word, upper or lower case{why}"
        return f"all of its words ({', '.join(self.words)}), whatever their endings, in one place"

    def match(self, text: str) -> TextMatch:
        if self.exact:
            whole = self._pattern.search(text) is not None
            return TextMatch(whole=whole, found=int(whole), words=1, missing=() if whole else (self.text,))
        there = self._terms(text)
        missing = tuple(word for word, each in self._given if not there >= each)
        whole = not missing and (len(text) <= REACH_CHARS or bool(self._stretches(text)))
        return TextMatch(whole=whole, found=len(self.words) - len(missing), words=len(self.words), missing=missing)

    def shares(self, query: str, text: str) -> bool:
        """Whether a query has a word of what is looked for, or of a text."""
        asked = frozenset(self._terms(query))
        return bool(asked & (frozenset().union(*self.words.values()) | frozenset(self._terms(text))))

    def holds(self, text: str) -> bool:
        return self.match(text).whole

    def where(self, text: str) -> list[Span]:
        """The stretches of whole sentences that have it."""
        if not self.holds(text):
            return []
        return self._lines(text) if self.exact else self._stretches(text)

    def _stretches(self, text: str) -> list[Span]:
        """The shortest runs of sentences with all words: none begins or ends with a sentence that could be left out."""
        spans = sentences(text)
        each = [frozenset(self._terms(text[start:end])) for start, end in spans]
        needed = frozenset().union(*self.words.values())
        found: list[Span] = []
        for last in range(len(spans)):
            have: frozenset[int] = frozenset()
            for first in range(last, -1, -1):
                start, end = spans[first][0], spans[last][1]
                if first < last and end - start > REACH_CHARS:
                    break
                have |= each[first] & needed
                if have == needed:
                    if not (found and found[-1][0] >= start):
                        found.append((start, end))
                    break
        return found

    def _lines(self, text: str) -> list[Span]:
        """The sentences that a word-for-word match touches."""
        found = [match.span() for match in self._pattern.finditer(text)]
        return [(s, e) for s, e in sentences(text) if any(s < end and start < e for start, end in found)]


def _pattern(text: str) -> re.Pattern[str]:
    """The text word for word: not within a word, in scripts that set spaces between words."""
    begin, end = (r"\b" if edge.isalnum() and edge < _UNSPACED else "" for edge in (text[0], text[-1]))
    return re.compile(begin + r"\s+".join(map(re.escape, text.split())) + end, re.IGNORECASE)


_UNSPACED: Final = "\u0e00"
"""From here on there are scripts without spaces (Thai, Chinese, Japanese …)."""
