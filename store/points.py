"""What an index puts into a vector engine and gets back, and the contract of an engine.

Rules. (1) Everything is asked for within a `Scope`: an engine's answer is a function of the points in it alone, word
statistics included. (2) Entries and mark are taken in one step: after a crash both are there, or neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from store.embeddings import Vectors


class Key(msgspec.Struct, frozen=True, array_like=True, order=True):
    """Chunk `chunk` of the event at `seq` of a stream."""

    seq: int
    chunk: int = 0


class Entry(msgspec.Struct, frozen=True):
    """What is to be indexed: `text` is what a search shows, `words` what lexical search sees.

    `kind`: message (said by user or agent), passage (archival storage), notice (what the system told the agent).
    """

    agent: str
    key: Key
    kind: str
    speaker: str
    time_ms: int
    text: str
    words: str


class Mark(msgspec.Struct, frozen=True):
    """How far a shard is: the log position that it holds, how many points that makes, and what made it (`stamp`)."""

    position: int
    points: int
    stamp: str


class Scope(msgspec.Struct, frozen=True):
    """What a search may see: one agent's points of a kind, born at seq <= `as_of`.

    A source that several agents share, a parent's memory, passages that died: they will change this, and only this.
    """

    agent: str
    kind: str
    as_of: int
    hidden: frozenset[int] = frozenset()
    """Seqs left out, though they are born: the input that is being answered, and those that still wait."""


class Match(msgspec.Struct, frozen=True, array_like=True):
    key: Key
    score: float


class Found(msgspec.Struct, frozen=True):
    """The first of all that was found, with whatever ties with the last of them, in no order among equals; and how many
    there are in all."""

    matches: list[Match]
    total: int


class Stored(msgspec.Struct, frozen=True):
    key: Key
    speaker: str
    time_ms: int
    text: str


class Engine(Protocol):
    """What an index needs of an engine. Raises StorageUnavailable, or StorageDamaged where its files are to blame."""

    def mark(self) -> Mark: ...

    def put(self, entries: Sequence[Entry], vectors: Vectors, mark: Mark) -> None:
        """Take entries (a row of `vectors` each) and the mark, in one step."""
        ...

    def search(self, scope: Scope, words: str, vector: Sequence[float], take: int) -> Found:
        """The best `take` of all that match by a word, or by a similarity over the floor; scores are rounded."""
        ...

    def listing(
        self, scope: Scope, take: int, *, start_ms: int | None = None, end_ms: int | None = None, latest: bool = False
    ) -> Found:
        """The first `take` in the order of time (`latest`: the last) of all with start_ms <= time <= end_ms; the time
        is the score."""
        ...

    def read(self, agent: str, keys: Sequence[Key]) -> list[Stored]:
        """In the order asked for."""
        ...

    def flush(self) -> None: ...

    def close(self) -> None: ...
