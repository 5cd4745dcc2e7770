"""A fork finds what its parent had at the fork, and what is its own since: just as one agent that had it all.

Nothing is copied: each message is one point, of the stream that bore it. So what a fork finds is held against an agent
whose own stream has the very same events, at the same seqs and times.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from palimpsest.events.envelope import Envelope
from palimpsest.events.kinds import Kind
from palimpsest.events.passages import HitPage
from palimpsest.events.types import (
    ArchivalMemoryInserted,
    Event,
    InputArchived,
    MessageSent,
    Parent,
    TurnEnded,
    UserLoggedIn,
    UserMessageReceived,
)
from palimpsest.store.index.projection import MemoryIndex
from palimpsest.store.library.functions import sight_of
from palimpsest.store.logs.contract import parts
from tests.worlds.engines import Homes
from tests.worlds.journal import QUERIES, START_MS, TOPICS, Journal, embedder, feed, own

DIGITS = 5
SCRIPT = 60
FAY, GUS = 21, 37
"""The last seqs that fay shares with ada, and gus with fay."""
EVERY_SEQ = (FAY - 3, FAY, FAY + 1, FAY + 3, GUS, GUS + 2, SCRIPT)
ONE_OF_EACH = (FAY, FAY + 3, SCRIPT)
"""One stream, two and three: the engines in Python are slow, and where a fork ends is told to all alike."""


class Family(Journal):
    """ada, fay who goes on from her, gus who goes on from fay; and solo, who has all that gus has."""

    lineages = {  # noqa: RUF012 - a fixed table
        "fay": [Parent(agent="ada", seq=FAY)],
        "gus": [Parent(agent="fay", seq=GUS), Parent(agent="ada", seq=FAY)],
    }

    def __init__(self) -> None:
        super().__init__()
        for number, event in enumerate(script(), 1):
            time_ms = START_MS + number * 60_000
            owner = "ada" if number <= FAY else "fay" if number <= GUS else "gus"
            self.add(owner, event, time_ms=time_ms, seq=number)
            self.add("solo", event, time_ms=time_ms, seq=number)
        for agent, seq in (("ada", FAY), ("fay", GUS)):  # both go their own ways
            for number in range(1, 9):
                said = UserMessageReceived(text=f"Elsewhere {agent} says: the painter has a dog in Oslo, {number}")
                self.add(agent, said, time_ms=START_MS, seq=seq + number)

    def read(self, stream: str, after: int, to: int, /, *, kinds: frozenset[Kind] | None = None) -> list[Envelope]:
        return [
            envelope
            for part in parts(stream, self.lineages.get(stream, []))
            for envelope in super(Family, self).read(part.stream, max(after, part.after), min(to, part.to), kinds=kinds)
        ]


def script() -> list[Event]:
    """What happened, seq by seq; an own first event stands after each fork."""
    dice = random.Random(7)
    found: list[Event] = []
    for number in range(1, SCRIPT + 1):
        if number in (1, FAY + 1, GUS + 1):
            found.append(TurnEnded(input=1))
        elif number % 9 == 0:
            text = f"Note {number}: {dice.choice(TOPICS)}."
            found.append(ArchivalMemoryInserted(call="c", text=text, ends=(len(text) // 2, len(text))))
        elif number == 30:
            found.append(InputArchived(input=20, ends=(10, 25)))
        elif number == 50:
            found.append(UserLoggedIn(last_login="yesterday"))
        elif number % 2:
            found.append(MessageSent(text=f"You said that {dice.choice(TOPICS)}"))
        else:
            found.append(UserMessageReceived(text=f"{dice.choice(TOPICS)}, remark {number}"))
    return found


def found(page: HitPage) -> tuple[int, list[tuple[Any, ...]]]:
    hits = [(hit.seq, hit.chunk, round(hit.score, DIGITS), hit.time_ms, hit.speaker, hit.text) for hit in page.hits]
    return page.total, hits


def answers(index: MemoryIndex, agent: str, seq: int, lineage: Sequence[Parent], hidden: frozenset[int]) -> list[Any]:
    sight = sight_of(agent, seq, lineage)
    count = len(sight.own)
    pages = [
        index.search(sight.own, kind=kind, query=query, page=page, size=5, hidden=hidden, own=count)
        for kind in ("message", "passage")
        for query in (*QUERIES, "Note 27", "cello orchestra")
        for page in (0, 1)
    ]
    start, end = START_MS + 10 * 60_000, START_MS + 50 * 60_000
    pages += [
        index.by_date(sight.own, start_ms=start, end_ms=end, page=page, size=7, hidden=hidden, own=count)
        for page in range(4)
    ]
    return [found(page) for page in pages]


def test_a_fork_of_a_fork_finds_what_one_agent_would_on_every_engine(tmp_path: Path, homes: Homes) -> None:
    journal = Family()
    index = MemoryIndex.at(homes.home(tmp_path / "index"), embedder(), journal.read)
    feed(index, journal, batch=13)
    lineage = journal.lineages["gus"]
    some = frozenset({FAY - 1, GUS - 1, SCRIPT})
    for at, seq in enumerate(EVERY_SEQ if homes.kind == "edge" else ONE_OF_EACH):
        hidden = some if at % 2 else frozenset[int]()
        expected = answers(index, "solo", seq, (), hidden)
        assert answers(index, "gus", seq, lineage, hidden) == expected, (seq, hidden)
    index.close()


def test_a_sight_has_the_nearest_first_and_ends_at_the_forks() -> None:
    lineage = Family.lineages["gus"]
    assert [tuple(view) for view in map(_pair, sight_of("gus", 50, lineage).own)] == [
        ("gus", 50),
        ("fay", GUS),
        ("ada", FAY),
    ]
    assert [_pair(view) for view in sight_of("gus", GUS, lineage).own] == [("fay", GUS), ("ada", FAY)]
    assert [_pair(view) for view in sight_of("gus", 3, lineage).own] == [("ada", 3)]
    assert [_pair(view) for view in sight_of("ada", 3, (), {"books": 7, "none": 0}).all] == [
        ("ada", 3),
        ("source:books", 7),
    ]


def _pair(view: Any) -> tuple[str, int]:
    return view.stream, view.as_of


@pytest.mark.parametrize("agent", ["ada", "fay"])
def test_what_came_after_the_fork_is_not_found_in_it(tmp_path: Path, agent: str) -> None:
    journal = Family()
    index = MemoryIndex.open(tmp_path / "index", embedder(), journal.read)
    feed(index, journal)
    sight = sight_of("gus", SCRIPT, journal.lineages["gus"])
    query = f"Elsewhere {agent} says"
    page = index.search(sight.own, kind="message", query=query, page=0, size=50, own=len(sight.own))
    assert not [hit for hit in page.hits if hit.text.startswith("Elsewhere")]
    assert {hit.stream for hit in page.hits} <= {"gus", "fay", "ada"}
    lineage = journal.lineages.get(agent, [])
    theirs = sight_of(agent, SCRIPT, lineage)
    page = index.search(theirs.own, kind="message", query=query, page=0, size=50, own=len(theirs.own))
    assert [hit for hit in page.hits if hit.text.startswith(f"Elsewhere {agent}")]
    index.close()


def test_nothing_is_copied(tmp_path: Path) -> None:
    journal = Family()
    index = MemoryIndex.open(tmp_path / "index", embedder(), journal.read)
    feed(index, journal)
    solo = index.search(own("solo"), kind="message", query="", page=0, size=1).total
    theirs = [
        index.search(own(agent), kind="message", query="", page=0, size=1).total for agent in ("ada", "fay", "gus")
    ]
    assert sum(theirs) == solo + 16
    index.close()
