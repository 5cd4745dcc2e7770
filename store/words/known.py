"""What is known of words from earlier texts, so that each is worked on once and not with every text that has it.

Rules. (1) What is kept of a word is a function of the word alone. (2) Memory is bounded: each time that half of `HELD`
words were met, those go that were met before the last such time alone. (3) A text's bytes are those of its words, one
after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

HELD: Final = 200_000
"""Some 30 MB."""
WORD_CHARS: Final = 40
"""Longer ones seldom come again."""

Make = Callable[[list[str]], Iterable[bytes]]
"""What is to be known of words, in their order."""


class Known:
    def __init__(self, make: Make, held: int = HELD) -> None:
        self._make = make
        self._held = held
        self._words: dict[str, bytes] = {}
        self._before: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self._words) + len(self._before)

    def of(self, texts: Sequence[Sequence[str]]) -> list[bytes]:
        """Of each text, given as its words."""
        known = self._words
        missing = set().union(*texts).difference(known)
        passing = self._learn(missing)
        found = known.__getitem__ if not passing else (known | passing).__getitem__
        made = [b"".join(map(found, words)) for words in texts]
        if len(known) > self._held // 2:
            self._words, self._before = {}, known
        return made

    def _learn(self, missing: set[str]) -> dict[str, bytes]:
        """Get to know words; those that are too long to be kept are given back."""
        again = missing & self._before.keys()
        self._words.update((word, self._before.pop(word)) for word in again)
        fresh = list(missing - again)
        made = dict(zip(fresh, self._make(fresh), strict=True)) if fresh else {}
        passing = {word: made.pop(word) for word in fresh if len(word) > WORD_CHARS}
        self._words.update(made)
        return passing
