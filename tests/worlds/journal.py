"""What the tests of the index share: a log of a few agents in memory, and how to open an index on it."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

from palimpsest.events.codec import draft
from palimpsest.events.envelope import GENESIS, Envelope, place
from palimpsest.events.kinds import Kind
from palimpsest.events.passages import HitPage
from palimpsest.events.types import (
    ArchivalMemoryInserted,
    Event,
    MessageSent,
    TurnEnded,
    UserLoggedIn,
    UserMessageReceived,
)
from palimpsest.store.index.embeddings import WordLlamaEmbedder
from palimpsest.store.index.points import View
from palimpsest.store.index.projection import MemoryIndex
from palimpsest.store.index.settings import PointKind
from tests.worlds.positions import nth

START_MS = 1_795_361_055_000  # 2026-11-22 15:24:15 UTC
EVERYTHING = 1 << 30

TOPICS = (
    "I live in Oslo and work on bridges",
    "my sister Ana is a painter in Lisbon",
    "the dog is called Biscuit, a brown terrier",
    "we sailed to Corsica last summer",
    "I am allergic to peanuts",
    "the meeting about the budget was moved",
    "she plays the cello in an orchestra",
    "our flight was cancelled because of fog",
)


@cache
def embedder() -> WordLlamaEmbedder:
    return WordLlamaEmbedder()


class Journal:
    """A partition's log, without a disk: envelopes in order of position."""

    def __init__(self) -> None:
        self.events: list[Envelope] = []
        self._streams: dict[str, list[Envelope]] = {}

    def add(self, agent: str, event: Event, *, time_ms: int | None = None, seq: int | None = None) -> Envelope:
        stream = self._streams.setdefault(agent, [])
        seq = seq or (stream[-1].seq + 1 if stream else 1)
        position = len(self.events) + 1
        when = START_MS + position * 1000 if time_ms is None else time_ms
        envelope = place(draft(agent, when, event, key=f"k{seq}"), seq, nth(position), GENESIS)
        stream.append(envelope)
        self.events.append(envelope)
        return envelope

    def say(self, agent: str, text: str, *, name: str = "", time_ms: int | None = None) -> Envelope:
        return self.add(agent, UserMessageReceived(text=text, name=name), time_ms=time_ms)

    def answer(self, agent: str, text: str) -> Envelope:
        return self.add(agent, MessageSent(text=text))

    def archive(self, agent: str, text: str, *ends: int) -> Envelope:
        return self.add(agent, ArchivalMemoryInserted(call="c", text=text, ends=ends or (len(text),)))

    def read(self, stream: str, after: int, to: int, /, *, kinds: frozenset[Kind] | None = None) -> list[Envelope]:
        found = [e for e in self._streams.get(stream, ()) if after < e.seq <= to]
        return [e for e in found if kinds is None or e.kind in kinds]

    @property
    def position(self) -> int:
        return len(self.events)


def chatter(turns: int, agents: tuple[str, ...] = ("ann", "bob", "cyd"), seed: int = 1) -> Journal:
    """Turns of several agents, mixed, with events that bear nothing among them."""
    random_ = random.Random(seed)
    journal = Journal()
    for turn in range(turns):
        agent = random_.choice(agents)
        journal.say(agent, f"{random_.choice(TOPICS)}, remark {turn}")
        if turn % 5 == 0:
            journal.archive(agent, f"Note {turn}: {random_.choice(TOPICS)}.")
        if turn % 7 == 0:
            journal.add(agent, UserLoggedIn(last_login="yesterday"))
        journal.answer(agent, f"You said that {random_.choice(TOPICS)}")
        journal.add(agent, TurnEnded(input=1))
    return journal


def open_index(path: Path, journal: Journal) -> MemoryIndex:
    return MemoryIndex.open(path, embedder(), journal.read)


def feed(index: MemoryIndex, journal: Journal, batch: int = 100, to: int | None = None) -> None:
    """What the storage actor does: from the index's position on, in batches."""
    end = journal.position if to is None else to
    while (done := index.position.number) < end:
        events = journal.events[done : min(done + batch, end)]
        index.apply(events, events[-1].position)


def own(agent: str, as_of: int = EVERYTHING) -> tuple[View, ...]:
    """What an agent without sources sees."""
    return (View(agent, as_of),)


def all_pages(
    index: MemoryIndex, agent: str, query: str, kind: PointKind = "message", as_of: int = EVERYTHING
) -> list[HitPage]:
    views = own(agent, as_of)
    first = index.search(views, kind=kind, query=query, page=0, size=5)
    pages = range(1, -(-first.total // 5))
    return [first, *(index.search(views, kind=kind, query=query, page=p, size=5) for p in pages)]


QUERIES = (
    "Where do I live?",
    "Ana the painter",
    "dog",
    "allergic to peanuts",
    "orchestra music",
    "remark 7",
    "",
    "who",
)


def answers(index: MemoryIndex, agents: tuple[str, ...], as_of: int = EVERYTHING) -> list[list[HitPage]]:
    """All that the index says to a set of questions: equal answers, equal index."""
    return [
        all_pages(index, agent, query, kind, as_of)
        for agent in agents
        for query in QUERIES
        for kind in ("message", "passage")
    ]
