"""Texts to weighted terms: how often each word stands in a text, and what that weighs (BM25 without its IDF).

Rules. (1) The words are cut and stemmed by Qdrant's own tokenizer, and a term is its hash of the stem, so that every
engine gets the same numbers. (2) A document and a query are cut by the same function. (3) IDF is no part of a point: it
is the query's, over exactly what the search sees (`store.index.census`). A change here changes what is indexed: raise
`projection.SCHEMA`.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np
import qdrant_edge as qdrant

from palimpsest.store.words.known import Known
from palimpsest.store.words.languages import ENGLISH, LANGUAGES, LATIN, Language, language_of
from palimpsest.store.words.letters import parted
from palimpsest.store.words.lexical import CALENDAR, LEMMAS, STOP_WORDS, ready, unspaced

Counts = Mapping[int, float]
"""Terms of a text, each with how often it stands there (or what it weighs)."""

KIN: Final = 0.25
"""What a relative of a word counts in a text, and in a query."""
KIN_ASKED: Final = 0.5
ROOT_CHARS: Final = 4
COMPOUND_CHARS: Final = 9
_WORDS: Final = re.compile("[^\\W\\d_](?:[^\\W\\d_]|[\u0900-\u0903\u093a-\u094f])*")
_NAMES: Final = re.compile(r"(?<=[^\W_] )[A-Z\u00c0-\u00d6\u00d8-\u00de]\w+")
_LATIN: Final = re.compile("[a-z\u00c0-\u024f]+$", re.IGNORECASE)
_LINEAR: Final = 1e6
"""BM25's k so large that its weights are plain counts."""


class Sparse(msgspec.Struct, frozen=True, array_like=True):
    """A sparse vector: terms and their weights."""

    terms: list[int]
    weights: list[float]

    @classmethod
    def of(cls, weighted: Counts) -> Sparse:
        return cls(list(weighted), list(weighted.values()))


class TermTokenizer:
    """Counts words by the language of the text: stop words out, endings cut, accents folded, irregular forms (went) as
    their plain one (go). Beside a word stand its *kin*, at `KIN`: what is left without the endings of its relatives
    (allergy, allergic), and the parts of a German compound."""

    def __init__(self) -> None:
        self._models: dict[str, qdrant.Bm25] = {}
        self._spaced = self._model("")
        pairs = ((self._spaced.embed_query(form), self._spaced.embed_query(plain)) for form, plain in LEMMAS.items())
        self._plain = {form.indices[0]: plain.indices[0] for form, plain in pairs if form.indices and plain.indices}
        self._known: dict[str, Known] = {}
        self._kin = lru_cache(maxsize=50_000)(self._kin_of)
        self.short_counts = lru_cache(maxsize=4096)(lambda text: self.counts(ready(text)))
        """The same for texts that come again and again: names, days, headings."""
        self.short_row = lru_cache(maxsize=4096)(self._row)

    def counts(self, text: str) -> dict[int, float]:
        language = language_of(text)
        counted: dict[int, float] = {}
        for term, count in self._counted(text, language):
            counted[term] = counted.get(term, 0.0) + count
        for term in self._all_kin(text, language):
            counted.setdefault(term, KIN)
        return counted

    def words(self, text: str) -> dict[int, float]:
        """The same without kin."""
        return {term: float(count) for term, count in self._counted(text, language_of(text))}

    def asked(self, text: str) -> dict[int, float]:
        """The terms that a query looks for, each with what it counts: those of its language; of English, since a short
        text passes for that; and where it shows no language, those of all, as a name's in any case. Months and days are
        looked for by the English names too, which is how the index has them."""
        language = language_of(text)
        found: dict[int, float] = {}
        for each, said in self._readings(text, language):
            found.update((term, 1.0) for term, _ in self._counted(said, each))
        for term in self._all_kin(text, language):
            found.setdefault(term, KIN_ASKED)
        for name, english in zip(LANGUAGES[language].calendar if language else (), CALENDAR, strict=False):
            if name in text.lower():
                found.update(dict.fromkeys(self.short_counts(english), 1.0))
        return found

    @staticmethod
    def _readings(text: str, language: str) -> Iterator[tuple[str, str]]:
        """A query as it is read, by the language that it is read in."""
        yield language, text
        if not language:
            yield from ((each, text) for each in LATIN)
        elif language == ENGLISH:
            if names := " ".join(_NAMES.findall(text)):
                yield from ((each, names) for each in LATIN)
        elif language in LATIN:
            stops = LANGUAGES[language].stops
            yield "", " ".join(word for word in _WORDS.findall(text) if word.lower() not in stops)

    def rows(self, texts: Sequence[str]) -> list[bytes]:
        """The terms of texts, each as often as it stands there, as unsigned numbers of 32 bits: what `counts` counts,
        without kin. Where spaces part words, a text's terms are those of its words; so most are known from earlier
        texts."""
        languages = [language_of(text) for text in texts]
        found: list[bytes] = [b""] * len(texts)
        for language in dict.fromkeys(languages):
            here = [n for n, each in enumerate(languages) if each == language]
            known = self._known.setdefault(language, Known(partial(self._rows_of_words, language)))
            split = [() if _is_whole(language, texts[n]) else texts[n].split() for n in here]
            for n, row in zip(here, known.of(split), strict=True):
                found[n] = self._row(texts[n]) if not row and _is_whole(language, texts[n]) else row
        return found

    def _rows_of_words(self, language: str, words: list[str]) -> Iterator[bytes]:
        return (self._packed(self._counted(word, language)) for word in words)

    def _row(self, text: str) -> bytes:
        return self._packed(self._counted(text, language_of(text)))

    @staticmethod
    def _packed(counted: Iterable[tuple[int, int]]) -> bytes:
        terms: list[int] = []
        for term, count in counted:
            terms += [term] * count
        return array("I", terms).tobytes() if terms else b""

    def _counted(self, text: str, language: str) -> Iterator[tuple[int, int]]:
        whole = _is_whole(language, text)
        sparse = self._model(language, whole=whole).embed_document(parted(text))
        plain = self._plain if language in {"", ENGLISH} else {}
        for term, count in zip(sparse.indices, sparse.values, strict=True):
            yield plain.get(term, term), round(count)

    def _all_kin(self, text: str, language: str) -> Iterator[int]:
        if language in LANGUAGES and not LANGUAGES[language].endings:
            return
        for word in set(_WORDS.findall(text.lower())):
            yield from self._kin(word, language)

    def _kin_of(self, word: str, language: str) -> tuple[int, ...]:
        model = self._model(language, whole=_is_whole(language, word))
        own = set(model.embed_query(word).indices)
        if not own:
            return ()
        found: dict[int, None] = {}
        for part in kin(word, LANGUAGES[language or ENGLISH]):
            found.update(dict.fromkeys(model.embed_query(part).indices))
        return tuple(term for term in found if term not in own)

    def _model(self, language: str, *, whole: bool = False) -> qdrant.Bm25:
        name = f"{language}/{whole}"
        if name not in self._models:
            kind = qdrant.TokenizerType.Multilingual if whole else qdrant.TokenizerType.Word
            self._models[name] = _model(kind, language)
        return self._models[name]


def kin(word: str, language: Language) -> Iterator[str]:
    """What a word has in common with its relatives, beside its stem: its root; the parts of a compound."""
    shortest = ROOT_CHARS if _LATIN.match(word) else 2
    if len(word) <= shortest:
        return
    if found := _rooted(language.endings, shortest).match(word):
        yield found[1]
    if language.compounds and len(word) >= COMPOUND_CHARS:
        for at in range(ROOT_CHARS, len(word) - ROOT_CHARS + 1):
            yield word[:at]
            yield word[at:]


@lru_cache(maxsize=32)
def _rooted(endings: str, shortest: int) -> re.Pattern[str]:
    """A word as its root, of so many characters at least, and the longest ending that it has."""
    return re.compile(rf"(\w{{{shortest},}}?|.{{{shortest},}}?)(?:{'|'.join(endings.split())})$")


def _is_whole(language: str, text: str) -> bool:
    """Whether words are not parted at spaces alone."""
    return language in {"chinese", "japanese", "hindi"} or unspaced(text)


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


def _model(tokenizer: qdrant.TokenizerType, language: str) -> qdrant.Bm25:
    stops = STOP_WORDS if language in {"", ENGLISH} else LANGUAGES[language].stops
    stemmer = getattr(qdrant.SnowballLanguage, language.capitalize(), qdrant.SnowballLanguage.English)
    config = qdrant.Bm25Config(
        k=_LINEAR,
        b=0.0,
        avg_len=1.0,
        tokenizer=tokenizer,
        language="english",
        ascii_folding=True,
        stopwords=qdrant.StopwordsSet(custom={*stops, *map(_folded, stops)}),
        stemmer=qdrant.SnowballParams(stemmer),
    )
    return qdrant.Bm25(config)


def _folded(word: str) -> str:
    plain = unicodedata.normalize("NFD", word)
    return "".join(each for each in plain if each.isascii()) if _LATIN.match(word) else word
