"""Engines and searches: exact scores, of the scope alone; points and mark in one step; errors by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from palimpsest.events.errors import StorageDamaged
from palimpsest.store.index.embeddings import Vectors
from palimpsest.store.index.engine_edge import EdgeEngine
from palimpsest.store.index.points import Burial, Engine, IndexEntry, Key, Mark, Place, Scope, View
from palimpsest.store.index.ranking import blend_of
from palimpsest.store.index.search import RankedPage, Searches, nameless
from palimpsest.store.index.settings import PointKind
from palimpsest.store.words.terms import Sparse, TermTokenizer, saturated
from tests.worlds.engines import Homes

DIMENSION = 4
NO_MEANING = [0.0] * DIMENSION
K1 = 0.9
TOKENIZER = TermTokenizer()
BLEND = blend_of("message", "fixed")


class Fixed:
    """An embedder that means what a test says."""

    name = "fixed"
    dimension = DIMENSION

    def __init__(self, vector: Sequence[float]) -> None:
        self._vector = vector

    def embed(self, texts: Sequence[str]) -> Vectors:
        return np.array([self._vector for _ in texts], np.float32)


@pytest.fixture
def engine(homes: Homes, tmp_path: Path) -> Iterator[Engine]:
    home = homes.home(tmp_path / "index")
    engine = home.create(DIMENSION, "stamp")
    yield engine
    engine.close()
    home.release()


def both(words: str) -> tuple[Sparse, list[int]]:
    """The weighted terms of some words, and the terms alone."""
    sparse = Sparse.of(saturated(TOKENIZER.counts(words), K1))
    return sparse, sparse.terms


def entry(seq: int, words: str, agent: str = "ann", kind: PointKind = "message", chunk: int = 0) -> IndexEntry:
    return IndexEntry(Key(agent, seq, chunk), kind, "someone", 1000 * seq, words, *both(words))


def put(engine: Engine, entries: Sequence[IndexEntry], vectors: Sequence[Sequence[float]] | None = None) -> None:
    rows = np.array(vectors if vectors is not None else [NO_MEANING] * len(entries), np.float32)
    mark = engine.mark()
    engine.put(entries, rows.reshape(-1, DIMENSION), Mark(mark.position + 1, mark.points + len(entries), mark.stamp))


def seen(as_of: int, stream: str = "ann", kind: PointKind = "message") -> Scope:
    return Scope((View(stream, as_of),), kind)


def search(
    engine: Engine, scope: Scope, words: str, vector: Sequence[float] = NO_MEANING, size: int = 1000
) -> RankedPage:
    return Searches(engine, Fixed(vector), TOKENIZER).by_query(scope, words, 0, size)


def found(
    engine: Engine, words: str, vector: Sequence[float] = NO_MEANING, as_of: int = 1000, scope: Scope | None = None
) -> dict[int, float]:
    every = search(engine, scope or seen(as_of), words, vector)
    assert every.total == len(every.matches)
    return {match.key.seq: match.score for match in every.matches}


def bm25(documents: dict[int, list[str]], query: list[str]) -> dict[int, float]:
    """BM25 by the book (b = 0), and the fold of it that ranks."""
    scores = {}
    often = {term: sum(term in words for words in documents.values()) for term in query}
    idf = {term: log((len(documents) - n + 0.5) / (n + 0.5) + 1) for term, n in often.items() if n}
    half = min(BLEND.half, sum(idf.values()))
    for seq, words in documents.items():
        score = 0.0
        for term, rarity in idf.items():
            tf = words.count(term)
            score += rarity * tf * (K1 + 1) / (tf + K1)
        if score:
            scores[seq] = round(score / (score + half), 6)
    return scores


DOCUMENTS = {1: "apple pear apple", 2: "pear fig", 3: "fig fig fig", 4: "plum", 5: "apple plum"}


def test_scores_are_bm25_over_the_scope_alone(engine: Engine) -> None:
    put(engine, [entry(seq, words) for seq, words in DOCUMENTS.items()])
    put(engine, [entry(n, "apple fig", agent="bob") for n in range(1, 50)])
    put(engine, [entry(n, "apple fig", kind="passage") for n in range(100, 150)])
    for as_of in (2, 3, 5, 1000):
        documents = {seq: words.split() for seq, words in DOCUMENTS.items() if seq <= as_of}
        expected = bm25(documents, ["apple", "fig"])
        assert found(engine, "apple fig", as_of=as_of) == pytest.approx(expected, abs=2e-6)


def test_scores_stay_when_points_are_put_again(engine: Engine) -> None:
    entries = [entry(seq, words) for seq, words in DOCUMENTS.items()]
    put(engine, entries)
    once = found(engine, "apple fig")
    engine.put(entries, np.zeros((5, DIMENSION), np.float32), engine.mark())
    assert found(engine, "apple fig") == once


def test_similarity_counts_over_its_floor_only(engine: Engine) -> None:
    put(engine, [entry(n, "w") for n in (1, 2, 3)], [[2, 0, 0, 0], [1, 1, 0, 0], [0.1, 1, 0, 0]])
    dense = BLEND.dense
    assert found(engine, "the", [1, 0, 0, 0]) == pytest.approx({1: dense, 2: dense * 0.5**0.5}, abs=2e-6)


def test_of_what_words_find_every_similarity_counts(engine: Engine) -> None:
    put(engine, [entry(n, "apple") for n in (1, 2, 3)], [[1, 5, 0, 0], [1, 0, 0, 0], [-1, 2, 0, 0]])
    scores = found(engine, "apple", [1, 0, 0, 0])
    only_words = scores[2] - BLEND.dense
    assert {n: scores[n] - only_words for n in (1, 3)} == pytest.approx(
        {1: BLEND.dense * 26**-0.5, 3: -BLEND.dense * 5**-0.5}, abs=2e-6
    )


@pytest.mark.parametrize(
    ("query", "speaker", "left"),
    [
        ("What did Ana's dog  eat?", "", "What did Ana's dog  eat?"),
        ("What did Ana\u2019s dog eat, ANA?", "Ana", "What did dog eat, ?"),
        ("Did Ana Lee meet Anabel?", "ana lee", "Did meet Anabel?"),
        ("Ana?", "Ana", "Ana?"),
        ("What is my name?", "user", "What is my name?"),
    ],
)
def test_a_query_means_what_it_says_without_the_name_of_whom_it_is_about(query: str, speaker: str, left: str) -> None:
    assert nameless(query, speaker) == left


def test_where_nobody_speaks_no_word_is_a_name(engine: Engine) -> None:
    put(engine, [passage(1, "memory leak", "d", "ann"), passage(2, "leak", "d", "ann")])
    scores = found(engine, "memory leak", scope=seen(9, kind="passage"))
    assert scores[1] > scores[2]


def test_words_and_similarity_add_up(engine: Engine) -> None:
    put(engine, [entry(1, "apple"), entry(2, "apple"), entry(3, "fig")], [[1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0]])
    scores = found(engine, "apple", [1, 0, 0, 0])
    assert scores[1] == pytest.approx(scores[2] + scores[3], abs=2e-6)


def test_a_query_of_nothing_matches_nothing(engine: Engine) -> None:
    put(engine, [entry(1, "apple")])
    assert found(engine, "the of who") == {}
    assert found(engine, "?!") == {}


def test_all_that_match_are_told_however_many(engine: Engine) -> None:
    put(engine, [entry(n, "apple") for n in range(1, 1001)])
    assert set(found(engine, "apple", as_of=900)) == set(range(1, 901))


def test_entries_are_read_in_the_order_asked_for(engine: Engine) -> None:
    put(engine, [entry(n, f"text {n}", chunk=c) for n in (1, 2) for c in (0, 1)])
    keys = [Key("ann", 2, 1), Key("ann", 1, 0), Key("ann", 7, 7), Key("bob", 2, 1)]
    assert [(s.key, s.text, s.time_ms) for s in engine.read(keys)] == [
        (Key("ann", 2, 1), "text 2", 2000),
        (Key("ann", 1, 0), "text 1", 1000),
    ]
    assert engine.read([]) == []


def listing(engine: Engine, scope: Scope, size: int, *, latest: bool = False) -> RankedPage:
    return Searches(engine, Fixed(NO_MEANING), TOKENIZER).by_time(scope, 0, size, latest=latest)


def test_a_listing_is_bounded_on_both_sides(engine: Engine) -> None:
    put(engine, [entry(n, "x") for n in range(1, 6)])
    within = listing(engine, replace(seen(4), start_ms=2000, end_ms=9000), 9)
    assert {m.key.seq: m.score for m in within.matches} == {2: 2000, 3: 3000, 4: 4000}
    assert {m.key.seq for m in listing(engine, seen(4), 9).matches} == {1, 2, 3, 4}
    assert listing(engine, seen(4, "bob"), 9).total == 0


def test_large_seqs_and_chunks_come_back_from_an_id(engine: Engine) -> None:
    keys = [Key("ann", (1 << 40) - 1, (1 << 24) - 1), Key("ann", 1 << 39, 0), Key("ann", 1, 1 << 23)]
    put(engine, [IndexEntry(key, "message", "someone", 1, "apple", *both("apple")) for key in keys])
    every = search(engine, seen(1 << 41), "apple", size=9)
    assert {m.key for m in every.matches} == set(keys)


def test_equal_scores_come_newest_first_and_the_total_is_told(engine: Engine) -> None:
    put(engine, [entry(n, "apple apple" if n in {3, 4} else "apple") for n in range(1, 8)])
    put(engine, [entry(9, "fig")])
    ranked = [4, 3, 7, 6, 5, 2, 1]
    for size in (0, 1, 2, 3, 99):
        best = search(engine, seen(9), "apple", size=size)
        assert ([m.key.seq for m in best.matches], best.total) == (ranked[:size], 7)
    assert [m.key.seq for m in listing(engine, seen(9), 2, latest=True).matches] == [9, 7]
    assert listing(engine, seen(9), 2).total == 8


def test_many_ties_are_told_apart_however_many_there_are(engine: Engine) -> None:
    put(engine, [entry(n, "apple") for n in range(1, 301)])
    assert [m.key.seq for m in search(engine, seen(299), "apple", size=3).matches] == [299, 298, 297]


def test_the_mark_comes_back_with_the_points(tmp_path: Path, homes: Homes) -> None:
    home = homes.home(tmp_path / "index")
    assert home.load() is None
    engine = home.create(DIMENSION, "stamp")
    put(engine, [entry(1, "apple")])
    engine.close()
    home.release()
    home = homes.home(tmp_path / "index")
    again = home.load()
    assert again is not None
    assert again.mark() == Mark(1, 1, "stamp")
    assert set(found(again, "apple")) == {1}
    again.close()
    assert home.clear() != ""
    assert (home.load(), home.clear()) == (None, "")
    home.release()


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
        search(engine, seen(9), "apple", [1.0] * (DIMENSION + 1))
    engine.close()
    with pytest.raises(StorageDamaged, match="gave read errors when it was last in use"):
        EdgeEngine.load(tmp_path / "shard")


def test_a_search_is_bounded_by_time_and_by_who_said_it(engine: Engine) -> None:
    put(engine, [replace(entry(n, "apple"), speaker=("user", "assistant")[n % 2]) for n in range(1, 9)])
    bounded = replace(seen(9), start_ms=2000, end_ms=7000)
    assert set(found(engine, "apple", scope=bounded)) == {2, 3, 4, 5, 6, 7}
    by_user = replace(bounded, speakers=frozenset(("user", "Eve")))
    assert set(found(engine, "apple", scope=by_user)) == {2, 4, 6}
    assert {match.key.seq for match in listing(engine, by_user, 9).matches} == {2, 4, 6}
    alone = Searches(engine, Fixed(NO_MEANING), TOKENIZER).by_query(by_user, "apple", 0, 1)
    assert alone.total == 3
    assert alone.matches[0].score == pytest.approx(bm25({n: ["apple"] for n in range(3)}, ["apple"])[1])


# --- streams, documents, deaths -----------------------------------------------------------------------------------

SOURCE = "source:manuals"


def passage(seq: int, words: str, document: str, stream: str = SOURCE, chunk: int = 0) -> IndexEntry:
    place = Place(document=document, path=f"{document}.md", page=2, first_line=10, last_line=12, heading="Part > One")
    return IndexEntry(Key(stream, seq, chunk), "passage", "memory", 1000 * seq, words, *both(words), place=place)


def bury(engine: Engine, *burials: Burial, entries: Sequence[IndexEntry] = ()) -> None:
    mark = engine.mark()
    rows = np.zeros((len(entries), DIMENSION), np.float32)
    engine.put(entries, rows, Mark(mark.position + 1, mark.points + len(entries), mark.stamp), burials)


def streams(engine: Engine, words: str, *views: View, hidden: frozenset[int] = frozenset()) -> set[tuple[str, int]]:
    every = search(engine, Scope(views, "passage", hidden), words)
    listed = listing(engine, Scope(views, "passage", hidden), 1000)
    assert every.total == len(every.matches) == listed.total, "all of these hold the word"
    assert {match.key for match in every.matches} == {match.key for match in listed.matches}
    return {(match.key.stream, match.key.seq) for match in every.matches}


def test_a_search_sees_its_views_and_no_other_stream(engine: Engine) -> None:
    put(engine, [entry(n, "apple", kind="passage") for n in (1, 2, 3)])
    put(engine, [passage(n, "apple", "d") for n in (1, 2, 3)])
    put(engine, [passage(n, "apple", "d", "source:other") for n in (1, 2, 3)])
    assert streams(engine, "apple", View("ann", 2)) == {("ann", 1), ("ann", 2)}
    assert streams(engine, "apple", View("ann", 2), View(SOURCE, 1)) == {("ann", 1), ("ann", 2), (SOURCE, 1)}
    assert streams(engine, "apple", View("ann", 0), View(SOURCE, 9), View("source:other", 1)) == {
        *((SOURCE, n) for n in (1, 2, 3)),
        ("source:other", 1),
    }


def test_what_is_hidden_is_hidden_in_the_first_view_alone(engine: Engine) -> None:
    put(engine, [entry(2, "apple", kind="passage"), passage(2, "apple", "d")])
    assert streams(engine, "apple", View("ann", 9), View(SOURCE, 9), hidden=frozenset({2})) == {(SOURCE, 2)}


def test_word_statistics_are_those_of_all_views_together(engine: Engine) -> None:
    put(engine, [entry(1, "apple"), entry(2, "fig")])
    put(engine, [entry(n, "apple", agent="mum") for n in (3, 4, 5)])
    put(engine, [entry(n, "fig", agent="dad") for n in range(6, 90)])
    documents = {n: ["fig"] if n == 2 else ["apple"] for n in range(1, 6)}
    scope = Scope((View("ann", 9), View("mum", 9)), "message")
    expected = bm25(documents, ["apple", "fig"])
    assert found(engine, "apple fig", scope=scope) == pytest.approx(expected, abs=2e-6)


def test_a_removed_document_is_seen_as_of_before_its_removal(engine: Engine) -> None:
    put(engine, [passage(3, "apple", "one"), passage(4, "apple", "two")])
    bury(engine, Burial(SOURCE, "one", 6))
    assert streams(engine, "apple", View(SOURCE, 5)) == {(SOURCE, 3), (SOURCE, 4)}
    assert streams(engine, "apple", View(SOURCE, 6)) == {(SOURCE, 4)}
    assert streams(engine, "apple", View("ann", 9), View(SOURCE, 9)) == {(SOURCE, 4)}


def test_a_document_that_comes_again_lives_from_then_on(engine: Engine) -> None:
    put(engine, [passage(3, "apple", "one")])
    bury(engine, Burial(SOURCE, "one", 4), Burial(SOURCE, "one", 6), entries=[passage(5, "apple", "one")])
    put(engine, [passage(7, "apple", "one")])
    for as_of, seqs in ((3, {3}), (4, set()), (5, {5}), (6, set()), (7, {7})):
        assert streams(engine, "apple", View(SOURCE, as_of)) == {(SOURCE, seq) for seq in seqs}


def test_a_source_that_is_unloaded_dies_whole_and_a_second_time_changes_nothing(engine: Engine) -> None:
    put(engine, [passage(3, "apple", "one"), passage(4, "apple", "two"), passage(3, "apple", "one", "source:other")])
    for _ in range(2):
        bury(engine, Burial(SOURCE, "one", 5), Burial(SOURCE, "", 6))
    assert streams(engine, "apple", View(SOURCE, 5), View("source:other", 9)) == {(SOURCE, 4), ("source:other", 3)}
    assert streams(engine, "apple", View(SOURCE, 9), View("source:other", 9)) == {("source:other", 3)}


def test_deaths_are_there_after_a_reopening_and_no_point_is_missed(tmp_path: Path, homes: Homes) -> None:
    home = homes.home(tmp_path / "index")
    engine = home.create(DIMENSION, "stamp")
    put(engine, [passage(3, "apple", "one"), passage(4, "apple", "two")])
    bury(engine, Burial(SOURCE, "one", 5))
    engine.close()
    home.release()
    home = homes.home(tmp_path / "index")
    again = home.load()
    assert again is not None
    assert streams(again, "apple", View(SOURCE, 9)) == {(SOURCE, 4)}
    again.close()
    home.release()


def test_a_passage_says_where_it_stands(engine: Engine) -> None:
    put(engine, [passage(3, "apple", "one"), entry(1, "pear")])
    one, two = engine.read([Key(SOURCE, 3), Key("ann", 1)])
    assert one.place == passage(3, "apple", "one").place
    assert two.place == Place()
