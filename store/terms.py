"""Texts to weighted terms: how often each word stands in a text, and what that weighs (BM25 without its IDF).

Rules. (1) The words are cut and stemmed by Qdrant's own tokenizer, and a term is its hash of the stem, so that every
engine gets the same numbers. (2) A document and a query are cut by the same function. (3) IDF is no part of a point: it
is the query's, over exactly what the search sees (`store.census`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

import msgspec
import qdrant_edge as qdrant

from store.lexical import LEMMAS, STOP_WORDS, unspaced

Counts = Mapping[int, float]
"""Terms of a text, each with how often it stands there (or what it weighs)."""

_LINEAR: Final = 1e6
"""BM25's k so large that its weights are plain counts."""


class Sparse(msgspec.Struct, frozen=True, array_like=True):
    """A sparse vector: terms and their weights."""

    terms: list[int]
    weights: list[float]

    @classmethod
    def of(cls, weighted: Counts) -> Sparse:
        return cls(list(weighted), list(weighted.values()))


class Tokenizer:
    """Counts words: stop words out, endings cut, accents folded, irregular forms (went) as their plain one (go)."""

    def __init__(self) -> None:
        self._spaced = _model(qdrant.TokenizerType.Word)
        self._unspaced = _model(qdrant.TokenizerType.Multilingual)
        pairs = ((self._spaced.embed_query(form), self._spaced.embed_query(plain)) for form, plain in LEMMAS.items())
        self._plain = {form.indices[0]: plain.indices[0] for form, plain in pairs if form.indices and plain.indices}
        self.short_counts = lru_cache(maxsize=4096)(self.counts)
        """The same for texts that come again and again: names, days, headings."""

    def counts(self, text: str) -> dict[int, float]:
        model = self._unspaced if unspaced(text) else self._spaced
        sparse = model.embed_document(text)
        counted: dict[int, float] = dict(zip(sparse.indices, map(float, map(round, sparse.values)), strict=True))
        for form in self._plain.keys() & counted.keys():
            plain = self._plain[form]
            counted[plain] = counted.pop(form) + counted.get(plain, 0.0)
        return counted


def together(several: Iterable[Counts]) -> dict[int, float]:
    """The sum of several texts' counts."""
    each = iter(several)
    total = dict(next(each, {}))
    for counts in each:
        for term, count in counts.items():
            total[term] = total.get(term, 0.0) + count
    return total


def saturated(counts: Counts, k1: float, b: float = 0.0, mean: float = 1.0) -> dict[int, float]:
    """BM25's weight of each term of a text; `mean` is a usual text's length in words."""
    k = k1 * (1 - b + b * sum(counts.values()) / mean) if b else k1
    return {term: count * (k1 + 1) / (count + k) for term, count in counts.items()}


def _model(tokenizer: qdrant.TokenizerType) -> qdrant.Bm25:
    config = qdrant.Bm25Config(
        k=_LINEAR,
        b=0.0,
        avg_len=1.0,
        tokenizer=tokenizer,
        language="english",
        ascii_folding=True,
        stopwords=qdrant.StopwordsSet(custom=set(STOP_WORDS)),
        stemmer=qdrant.SnowballParams(qdrant.SnowballLanguage.English),
    )
    return qdrant.Bm25(config)
