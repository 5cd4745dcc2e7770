"""Heads that are kept say what the log says, as far as a search can tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from palimpsest.events.envelope import GENESIS, Draft, Envelope, place
from palimpsest.events.kinds import Kind, kind_of
from palimpsest.events.position import Position
from palimpsest.events.types import DocumentOpened, Parent, PassagesLoaded
from palimpsest.store.index.heads import EVENTS_KEPT, KeptHeads
from tests.worlds.positions import nth

STREAMS = ("source:a", "source:b", "ada")
SHOWN = kind_of(PassagesLoaded)


@dataclass
class Log:
    """Events of some streams, one at each position; how often it was asked."""

    events: list[Envelope] = field(default_factory=list)
    asked: int = 0

    def add(self, stream: str, kind: Kind) -> None:
        seq = sum(event.stream == stream for event in self.events) + 1
        position = len(self.events) + 1
        self.events.append(place(Draft(stream, 0, kind, 1, f"k{position}", b""), seq, nth(position), GENESIS))

    def seqs(self, stream: str, test: Callable[[Envelope], bool]) -> list[int]:
        return [event.seq for event in self.events if event.stream == stream and test(event)]

    def seq_at(self, agent: str, position: Position) -> int:
        self.asked += 1
        return max(self.seqs(agent, lambda event: event.position <= position), default=0)

    def lineage(self, agent: str) -> list[Parent]:
        self.asked += 1
        return [Parent(agent=f"parent of {agent}", seq=1)]


@given(
    events=st.lists(st.tuples(st.sampled_from(STREAMS), st.booleans()), max_size=80),
    since=st.integers(0, 80),
    bites=st.lists(st.integers(1, 50), min_size=1, max_size=8),
    back=st.lists(st.integers(0, 60), max_size=8),
)
def test_what_a_search_finds_is_the_same(
    events: list[tuple[str, bool]], since: int, bites: list[int], back: list[int]
) -> None:
    log = Log()
    for stream, bears in events:
        log.add(stream, SHOWN if bears else kind_of(DocumentOpened))
    position = min(since, len(events))
    kept = KeptHeads(log, nth(position))
    for number, size in enumerate(bites):
        end = min(position + size, len(events))
        kept.show([e for e in log.events[position:end] if e.kind == SHOWN], nth(end))
        position = end
        for stream in STREAMS[: 1 + number % 2]:
            for at in {max(0, position - ago) for ago in (0, *back)}:
                born, told = log.seq_at(stream, nth(at)), kept.seq_at(stream, nth(at))
                seen = log.seqs(stream, lambda e: e.kind == SHOWN and e.seq <= told)  # noqa: B023
                assert seen == log.seqs(stream, lambda e: e.kind == SHOWN and e.seq <= born)  # noqa: B023


def test_a_source_is_asked_for_once_and_an_older_position_again() -> None:
    log = Log()
    kept = KeptHeads(log, nth(0))
    for number in range(3 * EVENTS_KEPT):
        log.add("source:a", SHOWN)
        kept.show(log.events[-1:], nth(number + 1))
        assert kept.seq_at("source:a", nth(number + 1)) == number + 1
    assert log.asked == 1
    assert kept.seq_at("source:a", nth(EVENTS_KEPT)) == EVENTS_KEPT
    assert log.asked == 2
    assert [kept.lineage("ada") for _ in range(3)] == [[Parent(agent="parent of ada", seq=1)]] * 3
    assert log.asked == 3
