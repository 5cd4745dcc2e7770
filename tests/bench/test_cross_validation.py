"""Weights on trial: what was kept of a search gives what it gives, and a fold is ranked by what the others choose."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from bench import cross_validation
from bench.cross_validation import PASSAGES, TURNS, always_better, best, best_without, settings_around
from bench.features import Features, Question, Recalls, Tap, Weights, kept
from bench.retrieval import Journal, store, tell
from bench.retrieval_sets import Lookup, Turn
from palimpsest.store.index import projection, search, surroundings
from palimpsest.store.index.points import Blend
from palimpsest.store.index.ranking import AROUND, SMOOTHING
from tests.bench import test_retrieval_bench as files
from tests.worlds.journal import START_MS, TOPICS, embedder

CUTS = (1, 2, 5, 20)
USED = Blend(half=40.0, dense=0.3, floor=0.3, speaker=0.12, asks=0.05, echoes=0.7)
QUERIES = (
    "Where does Ana live?",
    "What did Ben say of the dog?",
    "the orchestra",
    "and of",
    "xyzzy",
    "terrier in fog",
    "puppies and musicians",
    "a painter with peanuts on a cello in Corsica, by Biscuit",
)


def asked(path: Path, turns: int = 60, seed: int = 1) -> tuple[Features, Recalls]:
    """A conversation of two in sessions, with texts that come again, questions, and one that is cut in pieces."""
    dice = random.Random(seed)
    said = [dice.choice(TOPICS) + dice.choice(("", "?", f", remark {n % 7}")) for n in range(turns)]
    said[3] = "A long one. " + " ".join(f"{topic}, at length." for topic in TOPICS * 6)
    hours = [n // 9 * 5 for n in range(turns)]
    every = [
        Turn((1, n), dice.choice(("Ana", "Ben")), text, START_MS + hours[n] * 3_600_000) for n, text in enumerate(said)
    ]
    path.mkdir()
    tap = Tap(path / "index")
    journal = Journal(tap, embedder())
    seqs = list(tell(journal, "talk", every).values())
    questions = [Question(query, frozenset(dice.sample(seqs, 2))) for query in QUERIES for _ in range(12)]
    questions.append(Question(f"{TOPICS[2]} remark", frozenset([seqs[3]])))
    found = kept(journal, tap, "talk", "conversation_search", questions=questions, cuts=CUTS)
    journal.index.close()
    return found


def test_what_was_kept_gives_what_the_search_gives_for_any_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, shipped = asked(tmp_path / "used")
    assert np.array_equal(features.recalls(Weights(USED), CUTS), shipped)
    tried = random.Random(2).sample(settings_around(USED, TURNS), 3)
    for number, weights in enumerate(tried):
        monkeypatch.setattr(search, "blend_of", lambda *_, blend=weights.blend: blend)
        monkeypatch.setattr(surroundings, "AROUND", AROUND * weights.around)
        monkeypatch.setattr(projection, "SMOOTHING", tuple(weights.smoothing * each for each in SMOOTHING))
        _, real = asked(tmp_path / str(number))
        assert np.array_equal(features.recalls(weights, CUTS), real), weights
        assert not np.array_equal(real, np.zeros_like(real))


def test_so_it_does_where_not_all_that_is_found_is_ranked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_meaning = Blend(half=400.0, dense=3.0, floor=0.1)
    monkeypatch.setattr(search, "blend_of", lambda *_: by_meaning)
    _, whole = asked(tmp_path / "whole", turns=150)
    for name, limit in (("EXACT_POINTS", 10), ("LEXICAL_LIMIT", 45), ("RANKED_POINTS", 0), ("DENSE_LIMIT", 7)):
        monkeypatch.setattr(search, name, limit)
    features, real = asked(tmp_path / "limited", turns=150)
    assert np.array_equal(features.recalls(Weights(by_meaning), CUTS), real)
    assert not np.array_equal(whole, real), "the limits count here"


def test_so_it_does_of_passages(tmp_path: Path) -> None:
    dice = random.Random(3)
    texts = [f"Note {n}: {dice.choice(TOPICS)}, {dice.choice(TOPICS)}" for n in range(40)]
    tap = Tap(tmp_path / "index")
    journal = Journal(tap, embedder())
    seqs = store(journal, "notes", Lookup(texts, []))
    questions = [Question(f"{dice.choice(TOPICS)} {n}", frozenset([seqs[n]])) for n in range(40)]
    features, real = kept(journal, tap, "notes", "archival_memory_search", questions=questions, cuts=CUTS)
    journal.index.close()
    assert np.array_equal(features.recalls(Weights(Blend(half=20.0, dense=1.0, floor=0.3)), CUTS), real)
    assert 0 < real[:, 0].mean() < 1, "neither all nor nothing"


def test_the_settings_are_every_combination_once_the_one_in_use_first() -> None:
    turns = settings_around(USED, TURNS)
    assert turns[0] == Weights(USED)
    assert len(turns) == len(set(turns)) == np.prod([len(factors) for factors in TURNS.values()])
    blend = Blend(half=20.0, dense=1.0, floor=0.3)
    passages = settings_around(blend, PASSAGES)
    assert (passages[0].blend, len(passages)) == (blend, 75)
    assert {weights.blend.speaker for weights in passages} == {0.0}


def test_each_fold_is_ranked_by_what_is_best_on_the_others() -> None:
    sums = np.array([[[1.0], [1.0], [0.0]], [[3.0], [0.5], [0.5]], [[0.0], [2.0], [0.0]]])
    assert best_without(sums) == [2, 1, 1]
    assert best(sums) == 1
    assert best_without(np.ones((4, 3, 2))) == [0, 0, 0], "of those that are equal the first, which is the one in use"


def test_better_throughout_is_better_in_every_fold() -> None:
    sums = np.array([[[1.0], [1.0]], [[9.0], [1.0]], [[1.1], [1.1]]])
    assert always_better(sums) == [2]


def write_sets(folder: Path, conversations: int = 2) -> None:
    files.write(folder, "locomo.json", [files.CONVERSATION] * conversations)
    files.write(folder, "nq.jsonl", files.PASSAGES)


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["bench.cross_validation", *arguments])
    few = {name: factors[:2] if name in {"half", "dense"} else (1.0,) for name, factors in TURNS.items()}
    monkeypatch.setattr(cross_validation, "TURNS", few)
    return cross_validation.main()


def test_the_figures_come_last_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sets(tmp_path)
    assert command(monkeypatch, "--data", str(tmp_path), "--json") == 0
    printed = capsys.readouterr().out
    assert "kept figures differ for 0 of 4" in printed
    found = json.loads(printed.splitlines()[-1])
    ones = {"recall@5": 1.0, "recall@10": 1.0}
    assert found["locomo"]["as_shipped"].items() >= ones.items()
    assert found["locomo"]["in_sample"].items() >= ones.items()
    assert found["locomo"]["held_out"].items() >= ones.items()
    folds = found["locomo"]["held_out"]["by_fold"]
    assert [(name, fold["questions"], fold["held_out"]) for name, fold in folds.items()] == [
        ("1 one", 2, ones),
        ("2 one", 2, ones),
    ]
    assert found["nq"]["held_out"].items() >= {"recall@1": 1.0, "recall@10": 1.0}.items()


def test_one_file_alone_will_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sets(tmp_path)
    assert command(monkeypatch, "--nq", str(tmp_path / "nq.jsonl"), "--json") == 0
    assert list(json.loads(capsys.readouterr().out.splitlines()[-1])) == ["nq"]


def test_it_says_what_it_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sets(tmp_path, conversations=1)
    assert command(monkeypatch, "--data", str(tmp_path)) == 2
    assert "two conversations" in capsys.readouterr().err
    assert command(monkeypatch) == 2
    assert "--data DIR" in capsys.readouterr().err


def test_it_fails_where_what_was_kept_is_not_what_the_search_gives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sets(tmp_path)
    monkeypatch.setattr(Features, "recalls", lambda self, *_: np.zeros((len(self.own), 2)))
    assert command(monkeypatch, "--data", str(tmp_path)) == 2
    assert "does not find what the search finds" in capsys.readouterr().err
