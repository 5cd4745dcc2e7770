"""A text's tokens, put together from its words', are those that the tokenizer gives for the whole text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.embeddings import KNOWN_WORDS, WordLlamaEmbedder

EMBEDDER = WordLlamaEmbedder()
TRICKY = (
    "",
    " ",
    "a",
    " a",
    "a ",
    "a  b",
    "a b",
    "a\n\nb c",
    "\u2581 a",
    "a \u2581b",
    "<s> a",
    "a </s> b",
    "x" * 60 + " y",
)


def whole(text: str) -> list[int]:
    (encoded,) = EMBEDDER._tokenizer.encode_batch_fast([text], add_special_tokens=False)
    found: list[int] = encoded.ids
    return found


@pytest.mark.parametrize("text", TRICKY)
def test_odd_texts(text: str) -> None:
    assert EMBEDDER.tokens([text]) == [whole(text)]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(alphabet="ab é\n\t.,1-\u2581\u4e2d\U0001f600<s>/", max_size=30), max_size=4))
def test_any_texts(texts: list[str]) -> None:
    assert EMBEDDER.tokens(texts) == [whole(text) for text in texts]
    assert len(EMBEDDER._known) <= KNOWN_WORDS
