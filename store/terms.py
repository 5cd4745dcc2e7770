"""Texts to weighted terms: how often each word stands in a text, and what that weighs (BM25 without its IDF).

Rules. (1) The words are cut and stemmed by Qdrant's own tokenizer, and a term is its hash of the stem, so that every
engine gets the same numbers. (2) A document and a query are cut by the same function. (3) IDF is no part of a point: it
is the query's, over exactly what the search sees (`store.census`).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np
import qdrant_edge as qdrant

from store.known import Known
from store.letters import parted
from store.lexical import LEMMAS, STOP_WORDS, ready, unspaced

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
        self._known = Known(lambda words: map(self._row, words))
        self.short_counts = lru_cache(maxsize=4096)(lambda text: self.counts(ready(text)))
        """The same for texts that come again and again: names, days, headings."""
        self.short_row = lru_cache(maxsize=4096)(self._row)

    def counts(self, text: str) -> dict[int, float]:
        counted: dict[int, float] = {}
        for term, count in self._counted(text):
            plain = self._plain.get(term, term)
            counted[plain] = counted.get(plain, 0.0) + count
        return counted

    def rows(self, texts: Sequence[str]) -> list[bytes]:
        """The terms of texts, each as often as it stands there, as unsigned numbers of 32 bits: what `counts` counts.
        Where spaces part words, a text's terms are those of its words; so most are known from earlier texts."""
        found = self._known.of([() if unspaced(text) else text.split() for text in texts])
        return [self._row(text) if not row and unspaced(text) else row for text, row in zip(texts, found, strict=True)]

    def _row(self, text: str) -> bytes:
        terms: list[int] = []
        for term, count in self._counted(text):
            terms += [self._plain.get(term, term)] * count
        return array("I", terms).tobytes() if terms else b""

    def _counted(self, text: str) -> Iterator[tuple[int, int]]:
        model = self._unspaced if unspaced(text) else self._spaced
        sparse = model.embed_document(parted(text))
        return zip(sparse.indices, map(round, sparse.values), strict=True)


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


def saturated_rows(rows: Sequence[bytes], k1: float, b: float, mean: float) -> list[Sparse]:
    """The same of many texts at once, each given as its row of terms."""
    lengths = np.array([len(row) // 4 for row in rows], np.int64)
    texts = np.repeat(np.arange(len(rows)), lengths)
    pairs = texts << 32 | np.frombuffer(b"".join(rows), np.uint32)
    pairs, counts = np.unique(pairs, return_counts=True)
    texts = pairs >> 32
    k = k1 * (1 - b + b * lengths / mean)
    weights = (counts * (k1 + 1) / (counts + k[texts])).tolist()
    terms = (pairs & 0xFFFFFFFF).tolist()
    ends = np.searchsorted(texts, np.arange(1, len(rows) + 1)).tolist()
    return [Sparse(terms[at:end], weights[at:end]) for at, end in pairwise([0, *ends])]


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
