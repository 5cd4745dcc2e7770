"""Whatever a user writes: a valid answer, the same one twice, and turns that end."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palimpsest.actors.models.offline.model import respond
from tests.worlds.offline import START, World, check, page

STARTS = (
    "", "my name is ", "I live in ", "remember that ", "forget ", "what is my ", "where did I put the ", "remind me ",
    "remind me in 10 minutes to ", "every day at ", "you are called ", "my ", "cancel the reminder about ", "I'm ",
    "what did I say on 2026-11-20 about ", "I no longer ", "call me ",
)  # fmt: skip
TEXTS = st.builds(lambda start, rest: start + rest, st.sampled_from(STARTS), st.text(max_size=120))


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4), st.booleans(), st.booleans())
def test_any_conversation_is_answered_and_ends(said: list[str], greeted: bool, warned: bool) -> None:
    world = World(greeted=greeted, human="Name: Sam.\nLives in Oslo.")
    for text in said:
        world.warn_next = warned
        assert world.tell(text)


@settings(max_examples=80, deadline=None)
@given(TEXTS, st.text(max_size=80), st.sampled_from(["core_memory_append", "conversation_search", "set_timer"]))
def test_any_failure_ends(said: str, error: str, name: str) -> None:
    world = World(human="Lives in Oslo.")
    world.fail = {name: error, "core_memory_replace": error, "archival_memory_insert": error}
    world.tell(said)
    made = [(c.name, c.arguments) for a in world.answers for c in a.calls if c.name in world.fail]
    assert len(made) == len(set(made))


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=200), st.lists(st.text(max_size=60), max_size=5), TEXTS)
def test_any_core_memory_and_any_result(human: str, items: list[str], asked: str) -> None:
    world = World(human=human, conversation_search=[page(items, 0, 1), "Showing 5 of 9 results (page 1/9): ["])
    world.heard(asked)
    assert world.tell(asked)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=10), st.text(max_size=40), max_size=4), st.text(max_size=20))
def test_any_entry_is_answered(fields: dict[str, str], kind: str) -> None:
    world = World()
    world.add("user", **(fields | {"type": kind}))
    answer = respond(world.request())
    check(answer)
    assert answer == respond(world.request())


@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000, "my " * 300_000, "I live in " * 100_000, "(" * 500_000, "?" * 500_000, " " * 1_000_000,
        "remind me " * 100_000, "é" * 400_000, "👩‍👩‍👧‍👦" * 50_000, "a. " * 300_000, "no, " * 200_000, "1" * 500_000,
        "\n" * 500_000, "my a's " * 100_000 + "is x", "what is " * 100_000 + "?", "in 1 " * 100_000, "'s" * 300_000,
    ],
    ids=lambda text: text[:12].strip() or "blank",
)  # fmt: skip
def test_a_huge_message_is_answered_fast(text: str) -> None:
    world = World()
    world.add("user", type="user_message", message=text, time=START)
    request = world.request()
    began_s = process_time()
    check(respond(request))
    assert process_time() - began_s < 0.5


def test_a_long_context_costs_a_plain_turn_little() -> None:
    """The bound is wide, for slow machines under load; the model is measured at about 0.15 ms."""
    world = World()
    for n in range(33):
        world.heard(f"Message {n}: we walked in the park near the river and had lunch at the place on the corner. " * 2)
    world.add("user", type="user_message", message="The meeting went well.", time=START)
    request = world.request()
    began_s = process_time()
    for _ in range(100):
        respond(request)
    assert (process_time() - began_s) / 100 < 0.005
