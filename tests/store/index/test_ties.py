"""What words find equally good: whichever the engine thinks of first, meaning tells them apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from palimpsest.store.index import search
from palimpsest.store.index.engine_edge import EdgeHome
from palimpsest.store.index.points import View
from palimpsest.store.index.projection import MemoryIndex
from tests.worlds.journal import EVERYTHING, Journal, embedder

THINGS = (
    "piano", "guitar", "bread", "mountain", "river", "window", "candle", "tiger", "engine", "carpet", "lemon", "hammer",
    "violin", "forest", "bottle", "saddle", "pencil", "island", "basket", "mirror", "ladder", "turnip", "anchor",
)  # fmt: skip


def found(path: Path, journal: Journal, step: int) -> list[int]:
    """The seqs that a query finds, on an index that was built in batches of so many events and opened for each anew."""
    events = journal.events
    for start in range(0, len(events), step):
        index = MemoryIndex.at(EdgeHome(path), embedder(), journal.read)
        index.apply(events[start : start + step], events[min(start + step, len(events)) - 1].position)
        index.close()
    index = MemoryIndex.at(EdgeHome(path), embedder(), journal.read)
    index._searches.exact_points = len(events) - 1  # a scope in which not everything is ranked
    page = index.search((View("ada", EVERYTHING),), kind="passage", query="gadget flute", page=0, size=3)
    index.close()
    return [hit.seq for hit in page.hits]


def test_an_index_built_otherwise_finds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "LEXICAL_LIMIT", 3)
    monkeypatch.setattr(search, "_SLACK", 0)
    journal = Journal()
    for thing in THINGS:
        journal.archive("ada", f"A gadget: {thing}.")
    for number in range(4):
        journal.archive("ada", f"Something else, number {number}.")
    whole, parts = found(tmp_path / "whole", journal, len(journal.events)), found(tmp_path / "parts", journal, 5)
    assert whole == parts
    best = [THINGS[seq - 1] for seq in whole]
    assert set(best) & {"piano", "guitar", "violin"}, "meaning ranks what is equal by words"
