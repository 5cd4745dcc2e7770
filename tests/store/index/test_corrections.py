"""store/index/corrections.py: what a brief correction corrects, and that little else is taken for one."""

from __future__ import annotations

import pytest

from palimpsest.store.index.corrections import UserText, corrected
from palimpsest.store.words.lexical import ready
from palimpsest.store.words.terms import TermTokenizer

WORDS = TermTokenizer()
SAID = (
    "The dentist is at 10:30.",
    "My sister has 3 cats.",
    "My appointment is in May.",
    "The sailing lesson is on Tuesday.",
)


def meant(text: str) -> str:
    told = [UserText(seq, "", said, WORDS.counts(ready(said))) for seq, said in enumerate(SAID, 1)]
    found = corrected(UserText(len(SAID) + 1, "", text, WORDS.counts(ready(text))), reversed(told))
    return found.text if found else ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Actually, make that Thursday.", "The sailing lesson is on Tuesday."),
        ("Sorry, I meant 4 cats.", "My sister has 3 cats."),
        ("No wait, it is in June.", "My appointment is in May."),
        ("Actually, I may be late.", ""),
        ("Actually, march on.", ""),
        ("I like Tuesdays.", ""),
    ],
)
def test_a_brief_correction_is_of_what_shares_a_word_or_a_kind_of_value(text: str, said: str) -> None:
    assert meant(text) == said
