"""What the ranking finds for questions that its weights were not chosen on.

    python -m bench.cross_validation --data DIR [--json] [--locomo FILE] [--nq FILE] [--embedder NAME]

Around the weights in use every combination of the multiples in `TURNS` (`PASSAGES`) is tried. A conversation of LoCoMo
is ranked by the one that is best on the *other* conversations, and each fifth of NQ's questions by the best on the
other four (best: the mean of the recalls that are printed, over questions; of equals the first, which is the one in
use). "In sample" is the best on all of them: how far it is above "held out" is what looking at the questions wins.
The weights in use were chosen on these files, by hand, and all is tried around them: only the choice is held out.

The questions go once through the search itself, as in `bench.retrieval`; from there on what was weighed is weighed anew
(`bench.features`). For the weights in use both are held against each other, and where they part the command fails.
Echoes are not grouped here: what stands for what is told by wording, and not weighed.
Not tried, since each choice would be another index: BM25's own weights, and how far a context reaches. With a speaker's
weight of 0 a query is put in another way, so that is not tried either.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from bench.features import Features, Question, Recalls, Tap, Weights, kept
from bench.figures import add_json_option
from bench.progress import Steps
from bench.retrieval import POOLED, Journal, path_of, store, take_sets, tell
from bench.retrieval_sets import BadData, Conversation, Lookup, locomo, nq
from palimpsest.events.errors import BadInput
from palimpsest.store.index.embeddings import Embedder, embedder_named
from palimpsest.store.index.points import Blend
from palimpsest.store.index.ranking import AROUND, SMOOTHING, blend_of

TURNS: Final = {
    "around": (0.5, 1.0, 2.0),
    "smoothing": (0.5, 1.0, 1.5),
    "half": (0.25, 0.5, 1.0, 2.0, 4.0),
    "dense": (0.25, 0.5, 1.0, 2.0, 4.0),
    "floor": (0.5, 1.0, 1.5),
    "speaker": (0.5, 1.0, 2.0, 4.0),
    "asks": (0.0, 1.0, 2.0),
}
PASSAGES: Final = {name: TURNS[name] for name in ("half", "dense", "floor")}
"""What each weight is multiplied by."""

FOLDS: Final = 5
"""Of NQ's questions: each fifth one."""
RESAMPLES: Final = 2000
MAY_PART: Final = 0.002
"""So much may the recalls differ that the search and the kept figures give for the weights in use."""

Figures = dict[str, Any]
"""As they are printed by `--json`."""
Sums = NDArray[np.float64]
"""By setting, fold and cut: the recalls of the fold's questions, summed up."""


class Asked(msgspec.Struct, frozen=True):
    """Questions of one set, each in a fold, with what the search itself found (`real`)."""

    cuts: tuple[int, ...]
    folds: list[str]
    fold_of: NDArray[np.int64]
    features: list[Features]
    real: Recalls

    def recalls(self, weights: Weights) -> Recalls:
        return np.concatenate([features.recalls(weights, self.cuts) for features in self.features])


def settings_around(used: Blend, factors: Mapping[str, Sequence[float]]) -> list[Weights]:
    """The one in use first."""
    found = [Weights(used)]
    for combined in product(*factors.values()):
        by = dict(zip(factors, combined, strict=True))
        around, smoothing = by.pop("around", 1.0), by.pop("smoothing", 1.0)
        blend = replace(used, **{name: getattr(used, name) * factor for name, factor in by.items()})
        found.append(Weights(blend, around, smoothing))
    return list(dict.fromkeys(found))


def tried(asked: Asked, settings: Sequence[Weights], what: str) -> Sums:
    steps = Steps(what, len(settings))
    sums = np.zeros((len(settings), len(asked.folds), len(asked.cuts)))
    for number, weights in enumerate(settings):
        np.add.at(sums[number], asked.fold_of, asked.recalls(weights))
        steps.step()
    steps.end()
    return sums


def best_without(sums: Sums) -> list[int]:
    """The setting that is best on all folds but one, for each."""
    rest = sums.sum(axis=1, keepdims=True) - sums
    return _best(rest)


def best(sums: Sums) -> int:
    return _best(sums.sum(axis=1, keepdims=True))[0]


def always_better(sums: Sums) -> list[int]:
    """The settings that are better than the first in every fold."""
    means = sums.sum(axis=2)
    return [int(number) for number in np.flatnonzero((means > means[0] + 1e-9).all(axis=1))]


def _best(sums: Sums) -> list[int]:
    """Rounded: what is equal is not to hang on the order in which it was summed up."""
    return [int(number) for number in np.argmax(np.round(sums.sum(axis=2), 9), axis=0)]


# --- the questions --------------------------------------------------------------------------------------------------


def ask_turns(embedder: Embedder, conversations: Sequence[Conversation]) -> Asked:
    pooled = [[each for each in talk.questions if each.category in POOLED] for talk in conversations]
    asked_about = [(talk, asked) for talk, asked in zip(conversations, pooled, strict=True) if asked]
    if len(asked_about) < 2:
        raise BadData("Holding out takes two conversations at least that are asked about.")
    steps = Steps("LoCoMo: conversations asked", len(asked_about))
    names, features, real = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        tap = Tap(Path(folder) / "index")
        journal = Journal(tap, embedder)
        for number, (talk, asked) in enumerate(asked_about):
            agent = f"conversation {number}"
            seqs = tell(journal, agent, talk.turns)
            questions = [Question(each.text, frozenset(seqs[turn] for turn in each.evidence)) for each in asked]
            found = kept(journal, tap, agent, "conversation_search", questions=questions, cuts=(5, 10))
            names.append(f"{number + 1} {talk.name}")
            features.append(found[0])
            real.append(found[1])
            steps.step()
        journal.index.close()
    steps.end()
    fold_of = np.repeat(np.arange(len(real)), [len(each) for each in real])
    return Asked((5, 10), names, fold_of, features, np.concatenate(real))


def ask_passages(embedder: Embedder, passages: Lookup) -> Asked:
    count = len(passages.questions)
    if count < 2:
        raise BadData("Holding out takes two questions of NQ at least.")
    with tempfile.TemporaryDirectory() as folder:
        tap = Tap(Path(folder) / "index")
        journal = Journal(tap, embedder)
        golds = store(journal, "passages", passages)
        questions = [Question(text, frozenset([golds[gold]])) for text, gold in passages.questions]
        features, real = kept(journal, tap, "passages", "archival_memory_search", questions=questions, cuts=(1, 10))
        journal.index.close()
    folds = min(FOLDS, count)
    return Asked((1, 10), [f"fold {n + 1}" for n in range(folds)], np.arange(count) % folds, [features], real)


# --- the report -----------------------------------------------------------------------------------------------------


def report(name: str, asked: Asked, used: Blend, factors: Mapping[str, Sequence[float]]) -> Figures:
    """Print the table; the same as plain data. Raises BadData where the kept figures are not the search's."""
    settings = settings_around(used, factors)
    shipped = asked.recalls(settings[0])
    _compare(name, asked, shipped)
    sums = tried(asked, settings, f"{name}: settings tried")
    chosen, held_out, by_fold = [settings[number] for number in best_without(sums)], np.zeros_like(shipped), {}
    print(f"{name}: {len(shipped):,} questions, {len(settings):,} settings")
    print(f"{'':<14}{'n':>6}  {_head('as shipped', asked.cuts)}  {_head('held out', asked.cuts)}  chosen on the others")
    for fold, weights in enumerate(chosen):
        here = asked.fold_of == fold
        held_out[here] = asked.recalls(weights)[here]
        told = _told(_values(weights, factors), _values(settings[0], factors))
        print(f"{asked.folds[fold]:<14}{_row(shipped[here], held_out[here])}  {told}")
        by_fold[asked.folds[fold]] = {
            "questions": int(here.sum()),
            "as_shipped": _means(asked.cuts, shipped[here]),
            "held_out": _means(asked.cuts, held_out[here]),
            "weights": _values(weights, factors),
        }
    print(f"{'all':<14}{_row(shipped, held_out)}")
    print(f"  held out less as shipped: {_gain(asked.cuts, held_out - shipped)}")
    return {
        "questions": len(shipped),
        "settings": len(settings),
        "as_shipped": {**_means(asked.cuts, shipped), "weights": _values(settings[0], factors)},
        "held_out": {**_means(asked.cuts, held_out), "by_fold": by_fold},
        **_of_all(asked, settings, sums, factors),
    }


def _of_all(asked: Asked, settings: Sequence[Weights], sums: Sums, factors: Mapping[str, Sequence[float]]) -> Figures:
    """The settings by what they find on all questions: the best, the middle, and how many are better throughout."""
    top, better = settings[best(sums)], len(always_better(sums))
    in_sample = _means(asked.cuts, asked.recalls(top))
    middle = dict(zip(in_sample, np.median(sums.sum(axis=1), axis=0) / len(asked.fold_of), strict=True))
    told = _told(_values(top, factors), _values(settings[0], factors))
    print(f"  in sample (the best on all): {_said(in_sample)}, by {told}")
    print(f"  half of the settings find less than: {_said(middle)}")
    print(f"  better than as shipped in every fold: {better:,} of {len(settings):,} settings")
    return {
        "in_sample": {**in_sample, "weights": _values(top, factors)},
        "median": {name: float(value) for name, value in middle.items()},
        "better_in_every_fold": better,
    }


def _compare(name: str, asked: Asked, shipped: Recalls) -> None:
    parted = int((~np.isclose(shipped, asked.real)).any(axis=1).sum())
    real = _said(_means(asked.cuts, asked.real))
    print(f"{name}, as shipped, by the search itself: {real}; kept figures differ for {parted} of {len(shipped):,}")
    if np.abs(shipped.mean(axis=0) - asked.real.mean(axis=0)).max() > MAY_PART:
        raise BadData(f"{name}: what was kept does not find what the search finds; see bench/features.py.")


def _means(cuts: Sequence[int], recalls: Recalls) -> dict[str, float]:
    return {f"recall@{cut}": float(mean) for cut, mean in zip(cuts, recalls.mean(axis=0), strict=True)}


def _said(means: Mapping[str, float]) -> str:
    return "  ".join(f"{name.removeprefix('recall')} {mean:.4f}" for name, mean in means.items())


def _head(what: str, cuts: Sequence[int]) -> str:
    return f"{what}: " + " ".join(f"{f'@{cut}':>6}" for cut in cuts)


def _row(shipped: Recalls, held_out: Recalls) -> str:
    first, second = (" ".join(f"{mean:.4f}" for mean in each.mean(axis=0)) for each in (shipped, held_out))
    return f"{len(shipped):>6}  {first:>25}  {second:>23}"


def _gain(cuts: Sequence[int], gains: Recalls) -> str:
    """The mean at each cut, with its 95 % interval by bootstrap over questions."""
    random = np.random.default_rng(1)
    drawn = np.stack([gains[random.integers(0, len(gains), len(gains))].mean(axis=0) for _ in range(RESAMPLES)])
    rows = zip(cuts, gains.mean(axis=0), *np.percentile(drawn, [2.5, 97.5], axis=0), strict=True)
    return ",  ".join(f"@{cut} {mean:+.4f} (95 %: {low:+.4f} to {high:+.4f})" for cut, mean, low, high in rows)


def _values(weights: Weights, names: Iterable[str]) -> dict[str, float]:
    """The weights that are tried, as they stand in `store.index.ranking` (of `SMOOTHING` the first)."""
    every = {name: getattr(weights.blend, name) for name in Blend.__struct_fields__}
    every |= {"around": AROUND * weights.around, "smoothing": SMOOTHING[0] * weights.smoothing}
    return {name: round(every[name], 9) for name in names}


def _told(values: Mapping[str, float], used: Mapping[str, float]) -> str:
    """Those that are not the ones in use."""
    return ", ".join(f"{name} {value:g}" for name, value in values.items() if value != used[name]) or "those in use"


# --- the command ----------------------------------------------------------------------------------------------------


def run(options: argparse.Namespace) -> Figures:
    """Of the sets that there are: all of a folder's, or those that are named."""
    here = {kind: options.data is not None or getattr(options, kind) is not None for kind in ("locomo", "nq")}
    talks = locomo(path_of(options, "locomo")) if here["locomo"] or not here["nq"] else None
    lookup = nq(path_of(options, "nq")) if here["nq"] else None
    embedder = embedder_named(options.embedder)
    found: Figures = {}
    if talks is not None:
        used = blend_of("message", embedder.name)
        found["locomo"] = report("LoCoMo, categories 1 to 4", ask_turns(embedder, talks), used, TURNS)
    if lookup is not None:
        used = blend_of("passage", embedder.name)
        found["nq"] = report("NQ passages", ask_passages(embedder, lookup), used, PASSAGES)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_json_option(parser)
    take_sets(parser, "locomo", "nq")
    options, began = parser.parse_args(), time.perf_counter()
    try:
        found = run(options)
    except (BadData, BadInput) as error:
        print(f"bench.cross_validation: {error}", file=sys.stderr)
        return 2
    print(f"{time.perf_counter() - began:.0f} s; embedder {options.embedder}")
    if options.json:
        print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
