"""A difference makes b of a, exactly and in either direction, and says truly where what left went."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palimpsest.events.codec import decode
from palimpsest.events.debug.diff import Road, TextPiece, apply, diff, pieces
from palimpsest.events.state import State
from palimpsest.events.types import InferenceRequested, MessagesEvicted, SummaryWritten
from palimpsest.store.logs.contract import LogReader
from palimpsest.store.logs.states import load
from tests.worlds.sessions import SEEDS, session

SEED = st.sampled_from(SEEDS)


def drawn(seed: int, data: st.DataObject) -> tuple[LogReader, State]:
    log, agent = session(seed)
    state = load(log, agent, data.draw(st.integers(1, len(log.read(agent)))))
    assert state is not None
    return log, state


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(SEED, st.data())
def test_applied_to_one_state_it_gives_the_other(seed: int, data: st.DataObject) -> None:
    (log, a), (_, b) = drawn(seed, data), drawn(seed, data)
    way = log.read(a.agent, min(a.seq, b.seq), max(a.seq, b.seq))
    found = diff(a, b, way) if a.seq <= b.seq else diff(a, b, back=way)
    assert apply(a, found) == b
    assert apply(b, diff(b, a)) == a, "the way only explains"
    if a.seq <= b.seq:
        for each in found.left:
            assert bool(each.evicted) != bool(each.rejected), "what left was evicted or rejected"
        assert all(each.entry.seq > a.seq or each.entry.kind == "input" for each in found.entered)
        assert not found.summaries_undone
    else:
        assert all(each.evicted or each.rejected for each in found.entered if each.entry.kind != "input")


@settings(max_examples=60, deadline=None)
@given(SEED, SEED, st.data())
def test_it_holds_for_agents_that_share_nothing(first: int, second: int, data: st.DataObject) -> None:
    (_, a), (_, b) = drawn(first, data), drawn(second, data)
    assert apply(a, diff(a, b)) == b


@pytest.mark.parametrize("seed", SEEDS[:20])
def test_what_left_is_named_with_its_eviction_and_its_summary(seed: int) -> None:
    log, agent = session(seed)
    envelopes = log.read(agent)
    for envelope in envelopes:
        event = decode(envelope)
        if not isinstance(event, SummaryWritten):
            continue
        a, b = load(log, agent, envelope.seq - 2), load(log, agent, envelope.seq)
        assert a is not None
        assert b is not None
        found = diff(a, b, log.read(agent, a.seq, b.seq))
        evicted = decode(log.read(agent, envelope.seq - 2, envelope.seq - 1)[0])
        if not isinstance(evicted, MessagesEvicted):
            continue
        assert tuple(each.entry.seq for each in found.left) == event.covers
        assert {(each.evicted, each.summary) for each in found.left} == {(envelope.seq - 1, envelope.seq)}
        assert [each.seq for each in found.summaries] == [envelope.seq]


@pytest.mark.parametrize("seed", SEEDS[:20])
def test_edits_of_core_memory_are_traced_to_their_events(seed: int) -> None:
    log, agent = session(seed)
    a, b = load(log, agent, 1), load(log, agent)
    assert a is not None
    assert b is not None
    wrote = [each.seq for each in log.read(agent) if each.kind.startswith("CoreMemory")]
    found = diff(a, b, log.read(agent, 1))
    assert [seq for each in found.blocks for seq in each.by] == (wrote if found.blocks else [])
    undone = diff(b, a, back=log.read(agent, 1))
    assert [each.undone for each in undone.blocks] == [each.by for each in found.blocks]


def test_the_windows_of_open_inferences_have_their_exact_counts() -> None:
    log, agent = session(0)
    asked = [(each.seq, decode(each)) for each in log.read(agent) if each.kind == "InferenceRequested"]
    (first, one), (second, two) = asked[0], asked[-1]
    assert isinstance(one, InferenceRequested)
    assert isinstance(two, InferenceRequested)
    a, b = load(log, agent, first), load(log, agent, second)
    assert a is not None
    assert b is not None
    found = diff(a, b, asked=(one, two))
    assert (found.window_before.total_tokens, found.window_after.total_tokens) == (one.tokens, two.tokens)


def test_a_difference_of_another_state_is_refused() -> None:
    log, agent = session(0)
    a, b = load(log, agent, 2), load(log, agent, 5)
    assert a is not None
    assert b is not None
    with pytest.raises(ValueError, match="from event 2"):
        apply(b, diff(a, b))


def test_texts_are_compared_by_sentence() -> None:
    found = list(pieces("Name: Ada. Lives in Rome.\nLikes tea.", "Name: Ada. Lives in Lisbon.\nLikes tea."))
    assert found == [TextPiece(" ", "Name: Ada."), TextPiece("-", "Lives in Rome."), TextPiece("+", "Lives in Lisbon."),
                     TextPiece(" ", "Likes tea.")]  # fmt: skip


def test_a_way_may_leave_out_what_explains_nothing() -> None:
    log, agent = session(1)
    whole, chosen = Road(log.read(agent)), Road(log.read(agent, kinds=frozenset({"MessagesEvicted"})))
    assert whole.evicted == chosen.evicted
