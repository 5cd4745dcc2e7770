"""What the ranking finds for questions that its weights were not chosen on.

    python -m bench.cross_validation --data DIR [--locomo FILE] [--nq FILE] [--embedder NAME]

Around the blend in use, each weight is taken at half, once and twice. A conversation of LoCoMo is ranked by the blend
that is best on the *other* conversations, and each half of NQ's questions by the one that is best on the other half
(best is the mean of the recalls that are printed). How far "in use" is above "held out" is what was won by looking at
the questions. Weights that lie in the index (contexts, BM25's own) are not tried: each choice would be another index.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from bench.retrieval import POOLED, Journal, load, store, take_sets, tell
from bench.retrieval_sets import BadData, Conversation, Lookup
from events.errors import BadInput
from store.embeddings import Embedder, Vectors, embedder_named
from store.points import Blend
from store.ranking import blend_of

FACTORS = (0.5, 1.0, 2.0)
RESAMPLES = 2000

Questions = list[tuple[str, str, set[int]]]
"""Agent, question, and the seqs that answer it."""
Recalls = NDArray[np.float64]
"""A row a question, a column a cut."""


class Remembering:
    """An embedder that is asked the same again and again."""

    def __init__(self, embedder: Embedder) -> None:
        self.name, self.dimension = embedder.name, embedder.dimension
        self._embedder = embedder
        self._rows: dict[str, NDArray[np.float32]] = {}

    def embed(self, texts: Sequence[str]) -> Vectors:
        fresh = [text for text in dict.fromkeys(texts) if text not in self._rows]
        self._rows.update(zip(fresh, self._embedder.embed(fresh), strict=True))
        return np.stack([self._rows[text] for text in texts])


def blends_around(used: Blend) -> list[Blend]:
    """The one in use first."""
    names = [name for name in ("half", "dense", "speaker") if getattr(used, name)]
    found = [
        replace(used, **{name: getattr(used, name) * factor for name, factor in zip(names, factors, strict=True)})
        for factors in product(FACTORS, repeat=len(names))
    ]
    return [used, *(blend for blend in found if blend != used)]


def held_out(parts: Sequence[Sequence[Recalls]]) -> tuple[list[int], Recalls]:
    """Of parts, each with its recalls by every blend: the blend that is best without a part, for each; and what these
    find in theirs."""
    chosen = []
    for left_out in range(len(parts)):
        rest = [part for number, part in enumerate(parts) if number != left_out]
        means = [float(np.concatenate(of_one).mean()) for of_one in zip(*rest, strict=True)]
        chosen.append(means.index(max(means)))
    return chosen, np.concatenate([part[number] for part, number in zip(parts, chosen, strict=True)])


def cross_validate(journal: Journal, conversations: Sequence[Conversation], passages: Lookup) -> None:
    turns: dict[str, Questions] = {}
    for number, conversation in enumerate(conversations):
        agent = f"conversation {number}"
        seqs = tell(journal, agent, conversation.turns)
        asked = [question for question in conversation.questions if question.category in POOLED]
        wanted = [(agent, question.text, {seqs[turn] for turn in question.evidence}) for question in asked]
        if wanted:
            turns[f"{number + 1} {conversation.name}"] = wanted
    if len(turns) < 2 or len(passages.questions) < 2:
        raise BadData("Holding out takes two conversations at least that are asked about, and two questions of NQ.")
    _report(journal, "LoCoMo 1 to 4 pooled", "message", (5, 10), turns)
    golds = store(journal, "passages", passages)
    every = [("passages", question, {golds[gold]}) for question, gold in passages.questions]
    _report(journal, "NQ passages", "passage", (1, 10), {"first of two": every[::2], "second of two": every[1::2]})


def _report(journal: Journal, name: str, kind: str, cuts: Sequence[int], asked: Mapping[str, Questions]) -> None:
    blends = blends_around(blend_of(kind, journal.embedder.name))
    by_blend = [[_recalls(journal, kind, blend, cuts, questions) for questions in asked.values()] for blend in blends]
    parts = list(zip(*by_blend, strict=True))
    chosen, found = held_out(parts)
    print(f"{name}: {len(blends)} blends")
    for part, blend, of in zip(parts, chosen, asked, strict=True):
        used = blends[blend]
        weights = f"half {used.half:g}, dense {used.dense:g}" + (f", speaker {used.speaker:g}" if used.speaker else "")
        print(f"  {of:<16} n {len(part[0]):>5}   {_row(cuts, part[0])} in use   {_row(cuts, part[blend])} by {weights}")
    print(f"  in use                    {_row(cuts, np.concatenate(by_blend[0]), spread=True)}")
    print(f"  held out                  {_row(cuts, found, spread=True)}")


def _recalls(journal: Journal, kind: str, blend: Blend, cuts: Sequence[int], questions: Questions) -> Recalls:
    function = "conversation_search" if kind == "message" else "archival_memory_search"
    journal.index._searches.blend_of = lambda *_: blend
    rows = []
    for agent, question, wanted in questions:
        found = journal.first(agent, function, question, max(cuts), page_size=max(cuts))
        rows.append([len(wanted & set(found[:cut])) / len(wanted) for cut in cuts])
    return np.array(rows, np.float64).reshape(-1, len(cuts))


def _row(cuts: Sequence[int], recalls: Recalls, *, spread: bool = False) -> str:
    """Mean recall at each cut; `spread`: with half the width of its 95 % interval, by bootstrap over questions."""
    means = recalls.mean(axis=0)
    if not spread:
        return "   ".join(f"@{cut} {mean:.4f}" for cut, mean in zip(cuts, means, strict=True))
    random = np.random.default_rng(1)
    drawn = np.stack([recalls[random.integers(0, len(recalls), len(recalls))].mean(axis=0) for _ in range(RESAMPLES)])
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    halves = (high - low) / 2
    return "   ".join(
        f"recall@{cut} {mean:.4f} \u00b1 {half:.4f}" for cut, mean, half in zip(cuts, means, halves, strict=True)
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    take_sets(parser)
    options = parser.parse_args()
    try:
        sets, embedder = load(options), Remembering(embedder_named(options.embedder))
        with tempfile.TemporaryDirectory() as folder:
            journal = Journal(Path(folder) / "index", embedder)
            cross_validate(journal, sets.locomo, sets.nq)
            journal.index.close()
    except (BadData, BadInput) as error:
        print(f"bench.cross_validation: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
