"""A partition's last events, held against the whole of them."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.actors.parts import recent
from palimpsest.actors.parts.recent import Recent, bounded
from palimpsest.events.envelope import Envelope
from palimpsest.events.kinds import Kind
from tests.worlds.positions import nth

NONE: frozenset[Kind] = frozenset()


def event(position: int, kind: str = "A", size: int = 1) -> Envelope:
    return Envelope(
        "agent", position, nth(position), 0, cast(Kind, kind), 1, str(position), b"x" * size, 0, "", "", "", b""
    )


@given(
    st.lists(st.lists(st.sampled_from("ABC"), min_size=1, max_size=5), max_size=20),
    st.integers(0, 40),
    st.integers(1, 9),
    st.frozensets(st.sampled_from("ABC")),
)
def test_a_tail_is_that_of_the_log_or_there_is_none(
    commits: list[list[str]], after: int, limit: int, kinds: frozenset[Kind]
) -> None:
    kept, log = Recent(nth(7)), [event(position) for position in range(1, 8)]
    for commit in commits:
        made = [event(len(log) + number, kind) for number, kind in enumerate(commit, 1)]
        kept.add(made)
        log += made
    found = kept.tail(nth(after), limit, kinds)
    wanted = [each for each in log if each.position > nth(after) and (not kinds or each.kind in kinds)]
    if after < 7:
        assert found is None
        assert kept.has(nth(after), kinds)
    else:
        end = wanted[limit - 1].position if len(wanted) > limit else nth(max(after, len(log)))
        assert found == (wanted[:limit], end)
        assert kept.has(nth(after), kinds) == bool(wanted)


def test_it_is_bounded_in_number_and_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "MAX_RECENT", 10)
    monkeypatch.setattr(recent, "MAX_RECENT_BYTES", 1000)
    kept = Recent(nth(0))
    for position in range(1, 101):
        kept.add([event(position)])
    assert kept.tail(nth(0), 100, NONE) is None
    assert kept.tail(nth(95), 100, NONE) == ([event(position) for position in range(96, 101)], nth(100))
    kept.add([event(position, size=900) for position in range(101, 111)])
    assert kept.tail(nth(101), 100, NONE) is None
    assert kept.tail(nth(109), 100, NONE) == ([event(110, size=900)], nth(110))


def test_a_gap_in_the_positions_is_never_read_across() -> None:
    kept = Recent(nth(0))
    kept.add([event(1), event(2)])
    kept.add([event(5)])
    assert kept.tail(nth(2), 9, NONE) is None
    assert kept.tail(nth(4), 9, NONE) == ([event(5)], nth(5))


def test_a_batch_is_cut_where_it_grows_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "MAX_BATCH_BYTES", 100)
    events = [event(1, size=60), event(2, size=30), event(3, size=60), event(4, size=500)]
    assert bounded(events, nth(9)) == (events[:2], nth(2))
    assert bounded(events[3:], nth(9)) == (events[3:], nth(9)), "one that is too large alone goes alone"
    assert bounded([], nth(9)) == ([], nth(9))
