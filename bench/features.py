"""What the ranking weighs of each question and each text, kept: other weights then cost milliseconds, not an index.

Rules. (1) Nothing is worked out anew that an index or a search works out: a `Tap` notes what the index puts into the
engine, and what `store.index.search` asks it while the questions go the way they go in `bench.retrieval`. (2) What is
done here is the engine's own part, the blend (`store.index.engine_edge`), in numbers; `bench.cross_validation` holds
what it finds with the weights in use against what the engine found. (3) Two weights of the index can be changed as
well, since they only scale a part of a point: what the context's words count, and what the vectors before take.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.retrieval import Journal
from palimpsest.events.codec import decode
from palimpsest.events.types import UserMessageReceived
from palimpsest.store.index.clocks import Clocks
from palimpsest.store.index.embeddings import Vectors, unit_rows
from palimpsest.store.index.engine_edge import EdgeEngine, EdgeHome
from palimpsest.store.index.layout import SCORE_DIGITS
from palimpsest.store.index.points import Blend, Burial, IndexEntry, Key, Mark, Match, Query
from palimpsest.store.index.surroundings import Surroundings
from palimpsest.store.words.terms import Sparse, TermTokenizer

Numbers = NDArray[np.float64]
Recalls = NDArray[np.float64]
"""A row a question, a column a cut."""

_UNSEEN: Final = -np.inf


class Weights(msgspec.Struct, frozen=True):
    """A setting: a query's blend; and by how much `AROUND` and `SMOOTHING` of `store.index.ranking` are multiplied."""

    blend: Blend
    around: float = 1.0
    smoothing: float = 1.0


class Question(msgspec.Struct, frozen=True):
    """`wanted` are the seqs that answer it."""

    text: str
    wanted: frozenset[int]


class Tap(EdgeHome):
    """An embedded index's folder, whose engine's puts and searches are noted."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.entries: list[tuple[IndexEntry, NDArray[np.float32]]] = []
        self.asks: list[Query] = []

    def create(self, dimension: int, stamp: str) -> EdgeEngine:
        engine = super().create(dimension, stamp)
        put, search = engine.put, engine.search

        def noted_put(
            entries: Sequence[IndexEntry], vectors: Vectors, mark: Mark, burials: Sequence[Burial] = ()
        ) -> None:
            put(entries, vectors, mark, burials)
            self.entries += zip(entries, vectors, strict=True)

        def noted_search(ask: Query) -> tuple[list[Match], list[Key]]:
            self.asks.append(ask)
            return search(ask)

        engine.put, engine.search = noted_put, noted_search  # type: ignore[method-assign]
        return engine


class Points:
    """The texts that a search sees, in the order in which equal scores come: newest first."""

    def __init__(
        self,
        entries: Sequence[tuple[IndexEntry, NDArray[np.float32]]],
        own: Mapping[Key, Mapping[int, float]],
        units: Vectors,
    ) -> None:
        """`own`: of those with a context, the words without it; `units`: each text's vector without those before."""
        order = sorted(range(len(entries)), key=lambda n: (-entries[n][0].key.seq, entries[n][0].key.chunk))
        points = [entries[n][0] for n in order]
        seqs = np.array([point.key.seq for point in points])
        self.starts = np.flatnonzero(np.diff(seqs, prepend=-1))
        """Where each event's points begin: they are one result, by the best of them."""
        self.seqs = seqs[self.starts]
        self.forms = np.array([point.form for point in points], dtype=object)
        self.speakers = np.array([point.speaker for point in points], dtype=object)
        whole = [dict(zip(point.words.terms, point.words.weights, strict=True)) for point in points]
        alone = [own.get(point.key, words) for point, words in zip(points, whole, strict=True)]
        self.own = Words(alone)
        self.context = Words([_less(words, less) for words, less in zip(whole, alone, strict=True)])
        self.unit = units[order].astype(np.float64)
        self.before = np.stack([entries[n][1] for n in order]) - self.unit


class Words:
    """In which texts a term stands, and what it weighs there."""

    def __init__(self, texts: Sequence[Mapping[int, float]]) -> None:
        self._count = len(texts)
        postings: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for number, words in enumerate(texts):
            for term, weight in words.items():
                postings[term].append((number, weight))
        self._postings = {term: tuple(map(np.array, zip(*found, strict=True))) for term, found in postings.items()}

    def scores(self, query: Sparse) -> Numbers:
        found = np.zeros(self._count)
        for term, idf in zip(query.terms, query.weights, strict=True):
            if term in self._postings:
                numbers, weights = self._postings[term]
                found[numbers] += idf * weights
        return found


class Features:
    """Of questions that see the same points: by question and point, what a blend is made of."""

    def __init__(self, points: Points, questions: Sequence[Question], asks: Sequence[Query | None]) -> None:
        """`asks`: what the engine was asked for each question; None where nothing could be found."""
        shape = (len(questions), len(points.forms))
        self.own, self.context, self.unit, self.before = (np.zeros(shape) for _ in range(4))
        self.named = np.zeros(shape, np.bool_)
        self.most = np.full((len(questions), 1), np.inf)
        """What a question's words can weigh: `half` is no more than that, but for questions of oneself."""
        self._forms, self._starts = points.forms, points.starts
        self._norms = points.unit, points.before
        self._words_at: dict[float, Numbers] = {}
        self._cosines_at: dict[float, Numbers] = {}
        for row, ask in enumerate(asks):
            self._note(row, ask, points)
        self._evidence(points, questions)

    def _note(self, row: int, ask: Query | None, points: Points) -> None:
        if ask is None:
            self.unit[row] = _UNSEEN
            return
        most = sum(ask.words.weights)
        if ask.words.terms and ask.blend.half <= most:
            self.most[row] = most
        own, context = points.own.scores(ask.words), points.context.scores(ask.words)
        unit, before = np.zeros((2, len(own)))
        if ask.vector:
            query = np.array(ask.vector) / np.linalg.norm(ask.vector)
            unit, before = points.unit @ query, points.before @ query
        worded = _best(own + context, ask.lexical_limit)
        near = _best(_cosine(unit, before, self._lengths(1.0)), ask.dense_limit if ask.vector else 0, least=_UNSEEN)
        self.own[row], self.context[row] = np.where(worded, own, 0), np.where(worded, context, 0)
        self.unit[row], self.before[row] = np.where(worded | near, unit, _UNSEEN), before
        self.named[row] = (points.speakers == ask.speaker) & bool(ask.speaker)

    def _evidence(self, points: Points, questions: Sequence[Question]) -> None:
        """Each seq that answers a question is one piece of evidence."""
        number = {int(seq): at for at, seq in enumerate(points.seqs)}
        wanted = [(row, number[seq]) for row, question in enumerate(questions) for seq in sorted(question.wanted)]
        self._rows, self._at = np.array(wanted, np.int64).reshape(-1, 2).T
        self._wanted = np.bincount(self._rows, minlength=len(questions))

    def recalls(self, weights: Weights, cuts: Sequence[int]) -> Recalls:
        scores = np.maximum.reduceat(self._scores(weights), self._starts, axis=1)
        rows, at = scores[self._rows], np.arange(scores.shape[1])
        scored = rows[np.arange(len(rows)), self._at][:, None]
        ahead = (rows > scored) | (rows == scored) & (at < self._at[:, None])
        ranks = np.where(np.isfinite(scored[:, 0]), ahead.sum(axis=1), scores.shape[1])
        found = [np.bincount(self._rows, ranks < cut, minlength=len(self._wanted)) for cut in cuts]
        return np.stack(found, axis=1) / np.maximum(1, self._wanted)[:, None]

    def _scores(self, weights: Weights) -> Numbers:
        """Rounded as an engine's are; what a search does not find is infinitely bad."""
        blend, words, cosines = weights.blend, self._words(weights.around), self._cosines(weights.smoothing)
        found = (words > 0) | (cosines >= blend.floor)
        score = words / (words + np.minimum(blend.half, self.most)) + blend.dense * cosines + blend.speaker * self.named
        for form, weight in blend.by_form:
            score -= weight * (self._forms == form)
        return np.where(found, np.rint(score * 10**SCORE_DIGITS), _UNSEEN)

    def _words(self, around: float) -> Numbers:
        if around not in self._words_at:
            self._words_at[around] = self.own + around * self.context
        return self._words_at[around]

    def _cosines(self, smoothing: float) -> Numbers:
        if smoothing not in self._cosines_at:
            cosines = _cosine(self.unit, smoothing * self.before, self._lengths(smoothing))
            self._cosines_at[smoothing] = cosines
        return self._cosines_at[smoothing]

    def _lengths(self, smoothing: float) -> Numbers:
        unit, before = self._norms
        lengths: Numbers = np.linalg.norm(unit + smoothing * before, axis=1)
        return lengths


def _less(words: Mapping[int, float], own: Mapping[int, float]) -> dict[int, float]:
    return {} if words is own else {term: weight - own.get(term, 0.0) for term, weight in words.items()}


def _cosine(unit: Numbers, before: Numbers, lengths: Numbers) -> Numbers:
    return (unit + before) / np.where(lengths > 0, lengths, 1.0)


def _best(scores: Numbers, limit: int, *, least: float = 0.0) -> NDArray[np.bool_]:
    """Which of them are over `least` and among the best so many, with those as good as the last."""
    if limit >= len(scores):
        return scores > least
    return (scores > least) & (scores >= np.partition(scores, -limit)[-limit]) if limit else np.zeros_like(scores) > 0


# --- from an index --------------------------------------------------------------------------------------------------


def kept(
    journal: Journal, tap: Tap, agent: str, function: str, *, questions: Sequence[Question], cuts: Sequence[int]
) -> tuple[Features, Recalls]:
    """Ask an agent's memory; what was weighed on the way, and what was found. The journal's index is the tap's."""
    score, asks = [], []
    journal.index._searches.groups = False  # what is told again, or corrected, is found by its wording: no weight
    for question in questions:
        tap.asks.clear()
        found = journal.first(agent, function, question.text, max(cuts))
        asks.append(tap.asks[0] if tap.asks else None)
        score.append([len(question.wanted & set(found[:cut])) / len(question.wanted) for cut in cuts])
    return Features(_points(journal, tap, agent), questions, asks), np.array(score)


def _points(journal: Journal, tap: Tap, agent: str) -> Points:
    entries = [(entry, row) for entry, row in tap.entries if entry.key.stream == agent]
    own = _own_words(journal, agent)
    rows = np.stack([row for _, row in entries])
    alone = np.array([entry.key in own for entry, _ in entries])
    rows[alone] = unit_rows(journal.embedder.embed([entry.text for entry, _ in entries if entry.key in own]))
    return Points(entries, own, rows)


def _own_words(journal: Journal, agent: str) -> dict[Key, dict[int, float]]:
    """Of messages, what their terms weigh without a context."""
    said: dict[Key, dict[int, float]] = {}
    surroundings = Surroundings(journal.read, Clocks(journal.read), TermTokenizer())
    for envelope in journal.read(agent, 0, sys.maxsize):
        event = decode(envelope)
        if isinstance(event, UserMessageReceived):
            heard = surroundings.hear(envelope, event.text, event.name)
            said.update((Key(agent, envelope.seq, chunk), one.terms) for chunk, (one, _) in enumerate(heard))
    return said
