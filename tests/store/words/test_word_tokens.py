"""A text's tokens and terms, put together from its words', are those that a tokenizer gives for the whole text."""

from __future__ import annotations

from array import array
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palimpsest.store.index.embeddings import WordLlamaEmbedder
from palimpsest.store.words.known import Known
from palimpsest.store.words.terms import TermTokenizer, saturated, saturated_rows

EMBEDDER = WordLlamaEmbedder()
TRICKY = (
    "",
    " ",
    "a",
    " a",
    "a ",
    "a  b",
    "a b",
    "a   b    c  ",
    "  a b\n  c\n\td",
    "a\n\nb c",
    "\u2581 a",
    "a \u2581b",
    "<s> a",
    "a </s> b",
    "x" * 60 + " y",
)


def tokens(texts: list[str]) -> list[list[int]]:
    return [ids.tolist() for ids in EMBEDDER.tokens(texts)]


def whole(text: str) -> list[int]:
    (encoded,) = EMBEDDER._tokenizer.encode_batch_fast([text], add_special_tokens=False)
    found: list[int] = encoded.ids
    return found


@pytest.mark.parametrize("text", TRICKY)
def test_odd_texts(text: str) -> None:
    assert tokens([text]) == [whole(text)]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(alphabet="ab é\n\t.,1-\u2581\u4e2d\U0001f600<s>/", max_size=30), max_size=4))
def test_any_texts(texts: list[str]) -> None:
    assert tokens(texts) == [whole(text) for text in texts]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.text(alphabet="abc", max_size=3), max_size=6), max_size=12))
def test_what_is_known_of_words_is_bounded_and_theirs(texts: list[list[str]]) -> None:
    known = Known(lambda words: [word.encode() for word in words], held=8)
    for text in texts:
        assert known.of([text, text]) == ["".join(text).encode()] * 2
        assert len(known) <= 8 + 2 * 6


def test_long_words_are_not_kept() -> None:
    known = Known(lambda words: [word.encode() for word in words])
    assert known.of([["x" * 100, "a"]]) == [b"x" * 100 + b"a"]
    assert len(known) == 1


WORDS = TermTokenizer()


@pytest.mark.parametrize(
    "text", ["", "left leaves", "Was it Éva's well-known café?\n\nfoo_bar 3.14", "我住在 奥斯陆 Oslo"]
)
def test_a_row_holds_what_is_counted(text: str) -> None:
    (row,) = WORDS.rows([text])
    assert Counter(np.frombuffer(row, np.uint32).tolist()) == WORDS.counts(text)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.text(alphabet="ab éÉ\u4e2d\u0e01\n\t.,'-_1went went leaves left", max_size=30), max_size=4))
def test_rows_of_any_texts_hold_what_is_counted(texts: list[str]) -> None:
    for row, text in zip(WORDS.rows(texts), texts, strict=True):
        assert Counter(np.frombuffer(row, np.uint32).tolist()) == WORDS.counts(text)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), max_size=12), max_size=5))
def test_texts_weigh_together_what_each_weighs_alone(texts: list[list[int]]) -> None:
    rows = [array("I", text).tobytes() for text in texts]
    alone = [saturated({term: float(n) for term, n in Counter(text).items()}, 1.2, 0.75, 5.0) for text in texts]
    together = saturated_rows(rows, 1.2, 0.75, 5.0)
    assert [dict(zip(each.terms, each.weights, strict=True)) for each in together] == alone
