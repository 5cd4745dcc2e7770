"""Plain text to load: sentences of words with Zipf's frequencies, from a seed, so that nothing comes twice.

Rule: what is made hangs on the arguments alone, and is written as it is made: its size is the disk's matter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from bench.storage import STOP, SYLLABLES

VOCABULARY: Final = 60_000
SENTENCE_WORDS: Final = 14
PARAGRAPH_SENTENCES: Final = 6
WORDS_A_PASSAGE: Final = 84
"""What 200 tokens hold of such words, an overlap of 20 tokens taken off: measured, and near enough."""
_STOP_SHARE: Final = 0.4


def words(seed: int, count: int) -> list[str]:
    """Words in the order of a text: two in five are stop words, the others made up."""
    dice = np.random.default_rng(seed)
    made = np.array([_word(rank) for rank in range(VOCABULARY)], dtype=object)
    said = made[(VOCABULARY ** dice.random(count)).astype(np.int64) - 1]
    stops = dice.random(count) < _STOP_SHARE
    said[stops] = np.array(STOP, dtype=object)[dice.integers(0, len(STOP), int(stops.sum()))]
    found: list[str] = said.tolist()
    return found


def write(path: Path, passages: int, *, seed: int = 1) -> int:
    """A text of about so many passages of the usual size; its bytes. Each paragraph has a number, to be found by."""
    size, count = 0, PARAGRAPH_SENTENCES * SENTENCE_WORDS
    with path.open("w") as file:
        for start in range(0, passages, 1000):
            part = min(1000, passages - start)
            said = words(seed * 1_000_003 + start, part * WORDS_A_PASSAGE)
            for number, at in enumerate(range(0, len(said), count)):
                size += file.write(_paragraph(said[at : at + count], f"{seed}x{start + number}"))
    return size


def _paragraph(said: list[str], number: str) -> str:
    sentences = (said[at : at + SENTENCE_WORDS] for at in range(0, len(said), SENTENCE_WORDS))
    return f"Entry {number}. " + " ".join(f"{' '.join(sentence).capitalize()}." for sentence in sentences) + "\n\n"


def _word(rank: int) -> str:
    letters, base = [], len(SYLLABLES)
    rank += base
    while rank:
        letters.append(SYLLABLES[rank % base])
        rank //= base
    return "".join(letters)
