"""Bisection: the boundary that a linear search would find, and a true one whatever the check does."""

from __future__ import annotations

from math import ceil, log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palimpsest.events.debug.bisect import CORE, PLACES, STATE, SUMMARY, bisect, described, says, texts_in
from palimpsest.events.errors import BadInput, NoBoundary
from palimpsest.events.evolve import fold
from tests.worlds.simulated import World
from tests.worlds.story import Story, call, say


@given(first=st.integers(1, 10_000), length=st.integers(1, 100_000), share=st.floats(0, 1))
def test_of_what_turns_once_the_turn_is_found(first: int, length: int, share: float) -> None:
    last_good = first + round(share * (length - 1))
    found = bisect(first, first + length, lambda seq: seq <= last_good)
    assert (found.good, found.bad) == (last_good, last_good + 1), "as a linear search has it"
    assert found.checks <= 2 + ceil(log2(length)) if length > 1 else found.checks == 2


@given(st.lists(st.booleans(), max_size=60))
def test_whatever_comes_and_goes_a_true_boundary_is_found(between: list[bool]) -> None:
    goods = [True, *between, False]
    found = bisect(0, len(goods) - 1, goods.__getitem__)
    assert found.bad == found.good + 1
    assert (goods[found.good], goods[found.bad]) == (True, False)


def test_both_ends_are_checked_first() -> None:
    with pytest.raises(NoBoundary, match=r"bad after event 3, the good end: name one at which it is good"):
        bisect(3, 9, lambda _: False)
    with pytest.raises(NoBoundary, match=r"good after event 9, the bad end: name one at which it is bad"):
        bisect(3, 9, lambda _: True)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), share=st.floats(0, 0.99))
def test_over_a_session_it_is_the_linear_search(seed: int, share: float) -> None:
    """Of what only grows: the turns that an agent has ended."""
    world = World(seed, agents=1, inputs=5)
    world.run()
    events = world.log.read(world.names[0])
    turns = [state.turns for n in range(1, len(events) + 1) if (state := fold(events[:n]))]
    limit = int(share * turns[-1])
    linear = next(seq for seq, ended in enumerate(turns, 1) if ended > limit)
    assert bisect(1, len(events), lambda seq: turns[seq - 1] <= limit).bad == linear


# --- texts


def story() -> Story:
    story = Story(human="Likes tea.")
    story.says('I live in "Oslo" — near\nthe sea.').answers(
        call("core_memory_append", name="human", content='Lives in "Oslo".'), say("Noted: the fjord.", "c2")
    )
    return story


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ('in "Oslo" — near\nthe sea', {"context", "state"}),  # as it was said, though the window has it in JSON in JSON
        ("Likes tea", {"context", "state", "core"}),
        ('Lives in "Oslo".', {"context", "state", "core"}),
        ("the fjord", {"context", "state"}),
        ("memory_status", {"context"}),
        ("Bergen", set()),
    ],
)
def test_a_text_is_found_where_it_stands(text: str, there: set[str]) -> None:
    state = story().state
    assert {place for place in PLACES if says(state, text, place)} == there


def test_what_was_summed_up_is_in_the_summary() -> None:
    state = story().chats(14, "words " * 200).state
    assert state.summary is not None
    assert says(state, state.summary.text, SUMMARY)
    assert not says(story().state, "x", SUMMARY), "there is none yet"


def test_a_place_that_is_none_is_refused() -> None:
    with pytest.raises(BadInput, match="context, state, summary or core"):
        list(texts_in(story().state, "moon"))


def test_a_state_is_described_in_plain_data() -> None:
    state = story().state
    found = described(state)
    assert found["queue"][0]["wire"]["role"] == "user"
    assert [block["value"] for block in found["blocks"]] == list(texts_in(state, CORE))
    assert set(found) >= {"agent", "seq", "settings", "turn", "summary"}
    assert any(texts_in(state, STATE))
