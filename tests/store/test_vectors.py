"""The engine: scores that are exact and those of the scope alone, one write for points and mark, errors by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log
from pathlib import Path

import numpy as np
import pytest

from events.errors import StorageDamaged
from store.points import Entry, Found, Key, Mark, Scope
from store.vectors import WEIGHTS, EdgeEngine

DIMENSION = 4
NO_MEANING = [0.0] * DIMENSION


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EdgeEngine]:
    engine = EdgeEngine.create(tmp_path / "shard", DIMENSION, "stamp")
    yield engine
    engine.close()


def entry(seq: int, words: str, agent: str = "ann", kind: str = "message", chunk: int = 0) -> Entry:
    return Entry(agent, Key(seq, chunk), kind, "user", 1000 * seq, words, words)


def put(engine: EdgeEngine, entries: Sequence[Entry], vectors: Sequence[Sequence[float]] | None = None) -> None:
    rows = np.array(vectors if vectors is not None else [NO_MEANING] * len(entries), np.float32)
    mark = engine.mark()
    engine.put(entries, rows.reshape(-1, DIMENSION), Mark(mark.position + 1, mark.points + len(entries), mark.stamp))


def found(engine: EdgeEngine, words: str, vector: Sequence[float] = NO_MEANING, **scope: object) -> dict[int, float]:
    wanted = {"agent": "ann", "kind": "message", "as_of": 1000, **scope}
    every = engine.search(Scope(**wanted), words, vector, 1000)  # type: ignore[arg-type]  # scopes by keyword
    assert every.total == len(every.matches)
    return {match.key.seq: match.score for match in every.matches}


def bm25(documents: dict[int, list[str]], query: list[str], k1: float, half: float) -> dict[int, float]:
    """BM25 by the book (b = 0), and the fold of it that ranks."""
    scores = {}
    for seq, words in documents.items():
        score = 0.0
        for term in query:
            n = sum(term in other for other in documents.values())
            idf = log((len(documents) - n + 0.5) / (n + 0.5) + 1)
            tf = words.count(term)
            score += idf * tf * (k1 + 1) / (tf + k1)
        if score:
            scores[seq] = round(score / (score + half), 6)
    return scores


DOCUMENTS = {1: "apple pear apple", 2: "pear fig", 3: "fig fig fig", 4: "plum", 5: "apple plum"}


def test_scores_are_bm25_over_the_scope_alone(engine: EdgeEngine) -> None:
    put(engine, [entry(seq, words) for seq, words in DOCUMENTS.items()])
    put(engine, [entry(n, "apple fig", agent="bob") for n in range(1, 50)])
    put(engine, [entry(n, "apple fig", kind="passage") for n in range(100, 150)])
    weights = WEIGHTS["message"]
    for as_of in (2, 3, 5, 1000):
        documents = {seq: words.split() for seq, words in DOCUMENTS.items() if seq <= as_of}
        expected = bm25(documents, ["apple", "fig"], weights.k1, weights.half)
        assert found(engine, "apple fig", as_of=as_of) == pytest.approx(expected, abs=2e-6)


def test_scores_stay_when_points_are_put_again(engine: EdgeEngine) -> None:
    entries = [entry(seq, words) for seq, words in DOCUMENTS.items()]
    put(engine, entries)
    once = found(engine, "apple fig")
    engine.put(entries, np.zeros((5, DIMENSION), np.float32), engine.mark())
    assert found(engine, "apple fig") == once


def test_similarity_counts_over_its_floor_only(engine: EdgeEngine) -> None:
    put(engine, [entry(n, "w") for n in (1, 2, 3)], [[2, 0, 0, 0], [1, 1, 0, 0], [0.1, 1, 0, 0]])
    dense = WEIGHTS["message"].dense
    assert found(engine, "", [1, 0, 0, 0]) == pytest.approx({1: dense, 2: dense * 0.5**0.5}, abs=2e-6)


def test_words_and_similarity_add_up(engine: EdgeEngine) -> None:
    put(engine, [entry(1, "apple"), entry(2, "apple"), entry(3, "fig")], [[1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0]])
    scores = found(engine, "apple", [1, 0, 0, 0])
    assert scores[1] == pytest.approx(scores[2] + scores[3], abs=2e-6)


def test_a_query_of_nothing_matches_nothing(engine: EdgeEngine) -> None:
    put(engine, [entry(1, "apple")])
    assert found(engine, "the of who") == {}
    assert found(engine, "") == {}


def test_all_that_match_are_told_however_many(engine: EdgeEngine) -> None:
    put(engine, [entry(n, "apple") for n in range(1, 1001)])
    assert set(found(engine, "apple", as_of=900)) == set(range(1, 901))


def test_entries_are_read_in_the_order_asked_for(engine: EdgeEngine) -> None:
    put(engine, [entry(n, f"text {n}", chunk=c) for n in (1, 2) for c in (0, 1)])
    keys = [Key(2, 1), Key(1, 0), Key(7, 7)]
    assert [(s.key, s.text, s.time_ms) for s in engine.read("ann", keys)] == [
        (Key(2, 1), "text 2", 2000),
        (Key(1, 0), "text 1", 1000),
    ]
    assert engine.read("bob", keys) == engine.read("ann", []) == []


def test_a_listing_is_bounded_on_both_sides(engine: EdgeEngine) -> None:
    put(engine, [entry(n, "x") for n in range(1, 6)])
    scope = Scope("ann", "message", 4)
    within = engine.listing(scope, 9, start_ms=2000, end_ms=9000)
    assert {m.key.seq: m.score for m in within.matches} == {2: 2000, 3: 3000, 4: 4000}
    assert {m.key.seq for m in engine.listing(scope, 9).matches} == {1, 2, 3, 4}
    assert engine.listing(Scope("bob", "message", 4), 9) == Found([], 0)


def test_large_seqs_and_chunks_come_back_from_an_id(engine: EdgeEngine) -> None:
    keys = [Key((1 << 40) - 1, (1 << 24) - 1), Key(1 << 39, 0), Key(1, 1 << 23)]
    put(engine, [Entry("ann", key, "message", "user", 1, "apple", "apple") for key in keys])
    every = engine.search(Scope("ann", "message", 1 << 41), "apple", NO_MEANING, 9)
    assert {m.key for m in every.matches} == set(keys)


def test_the_first_come_with_their_ties_and_the_total(engine: EdgeEngine) -> None:
    put(engine, [entry(n, "apple apple" if n in {3, 4} else "apple") for n in range(1, 8)])
    put(engine, [entry(9, "fig")])
    scope = Scope("ann", "message", 9)
    for take, seqs in ((0, set()), (1, {3, 4}), (2, {3, 4}), (3, {1, 2, 3, 4, 5, 6, 7}), (99, {1, 2, 3, 4, 5, 6, 7})):
        best = engine.search(scope, "apple", NO_MEANING, take)
        assert ({m.key.seq for m in best.matches}, best.total) == (seqs, 7)
    assert [m.key.seq for m in engine.listing(scope, 2, latest=True).matches] == [9, 7]
    assert engine.listing(scope, 2).total == 8


def test_the_mark_comes_back_with_the_points(tmp_path: Path, engine: EdgeEngine) -> None:
    put(engine, [entry(1, "apple")])
    engine.close()
    again = EdgeEngine.load(tmp_path / "shard")
    assert again.mark() == Mark(1, 1, "stamp")
    assert set(found(again, "apple")) == {1}
    again.close()


def test_a_shard_with_points_missing_is_damaged(tmp_path: Path) -> None:
    engine = EdgeEngine.create(tmp_path / "shard", DIMENSION, "stamp")
    engine.put([entry(1, "apple")], np.zeros((1, DIMENSION), np.float32), Mark(1, 2, "stamp"))
    engine.close()
    with pytest.raises(StorageDamaged, match="holds 1 points, and 2 were put into it"):
        EdgeEngine.load(tmp_path / "shard")


def test_a_read_that_fails_is_remembered(tmp_path: Path) -> None:
    engine = EdgeEngine.create(tmp_path / "shard", DIMENSION, "stamp")
    put(engine, [entry(1, "apple")])
    with pytest.raises(StorageDamaged, match=r"cannot be read .* Nothing is lost"):
        engine.search(Scope("ann", "message", 9), "apple", [1.0] * (DIMENSION + 1), 5)
    engine.close()
    with pytest.raises(StorageDamaged, match="gave read errors when it was last in use"):
        EdgeEngine.load(tmp_path / "shard")
