"""The words that the contract's cases are written in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from palimpsest.events.envelope import GENESIS, Draft, Envelope, chain
from palimpsest.events.kinds import Kind
from palimpsest.events.position import Position
from palimpsest.events.types import Parent
from palimpsest.events.vocabulary import Opens
from palimpsest.store.logs.contract import Append, Appended, LogReader, LogStore, Snapshot
from tests.contract.backends import PARTITION


def event(
    key: str, agent: str = "ada", *, opens: Opens = "", closes: str = "", kind: str = "Noted", body: bytes = b"text"
) -> Draft:
    return Draft(agent, 1000 + len(key), cast(Kind, kind), 1, key, body, 0, "", opens, closes)


def nth(number: int) -> Position:
    return Position(PARTITION, number)


def kinds(names: Iterable[str]) -> frozenset[Kind]:
    """Kinds that no event has: the log's contract reads none of them."""
    return frozenset(cast(Kind, name) for name in names)


def events(count: int, agent: str = "ada", prefix: str = "e") -> list[Draft]:
    return [event(f"{prefix}{n}", agent) for n in range(1, count + 1)]


def add(
    log: LogStore,
    *drafts: Draft,
    expected: Mapping[str, int] | None = None,
    cursor: tuple[str, Position] | None = None,
    snapshots: Sequence[Snapshot] = (),
    forks: Mapping[str, Parent] | None = None,
    together: bool = False,
) -> list[Appended]:
    """One append in one transaction."""
    given = Append(drafts, expected or {}, cursor, tuple(snapshots), forks or {}, together=together)
    (answers,) = log.append([given])
    return answers


def outcomes(answers: Sequence[Appended]) -> list[str]:
    return [answer.outcome for answer in answers]


def keys(envelopes: Sequence[Envelope]) -> list[str]:
    return [envelope.key for envelope in envelopes]


def snapshot(seq: int, agent: str = "ada", state: bytes = b"state") -> Snapshot:
    return Snapshot(agent, seq, b"c" * 32, "fold-1", state, b"d" * 32)


def assert_sound(log: LogReader) -> None:
    """What holds of every log: positions and seqs without gaps, hashes that chain, heads at their streams' ends."""
    (partition,) = log.partitions
    everything, end = log.tail(Position(partition, 0), 1_000_000)
    assert [e.position for e in everything] == [Position(partition, n) for n in range(1, len(everything) + 1)]
    assert end == log.position(partition) == Position(partition, len(everything))
    heads = log.heads()
    assert [head.stream for head in heads] == sorted({e.stream for e in everything})
    for head in heads:
        stream = log.read(head.stream)
        own = [e for e in stream if e.stream == head.stream]
        assert own == [e for e in everything if e.stream == head.stream]
        assert [e.seq for e in stream] == list(range(1, len(stream) + 1))
        running = GENESIS
        for e in stream:
            running = chain(running, e.seq, e)
            assert e.hash == running == log.hash_at(head.stream, e.seq)
        first, last = own[0], own[-1]
        assert (head.seq, head.hash, head.position) == (last.seq, last.hash, last.position)
        assert (head.created_ms, head.updated_ms) == (first.time, last.time)
