"""Margins learned from what servers count, and servers that cut: from readings alone, and so that it replays."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palimpsest.actors.requests.turns import TurnProgress, note
from palimpsest.console.servers import server
from palimpsest.events.eviction import budget_tokens
from palimpsest.events.margins import reading
from palimpsest.events.replay import replay
from palimpsest.events.servers import chosen
from palimpsest.events.types import (
    CutNoticed,
    EvictionStarted,
    InferenceCompleted,
    InferenceRequested,
    MarginLearned,
    ServerSwitched,
    TurnEnded,
    Usage,
)
from palimpsest.questions.descriptions import describe
from tests.worlds.story import AGENT, Story, quarter, say

HOSTED = {"model": "llama3", "base_url": "http://a/v1", "token_margin": 1.3}


def story(**changes: object) -> Story:
    return Story(**{**HOSTED, "window_tokens": 6000, **changes})  # type: ignore[arg-type]


def asked(told: Story) -> int:
    """Our count of the open request, without margin."""
    assert told.state.turn is not None
    return told.state.turn.asked_tokens


def counts(told: Story, ratio: float, text: str = "words " * 20) -> Story:
    """A turn whose server counts so many times as many tokens as we do."""
    told.says(text)
    while told.phase == "summarising":
        told.answers(content="We talked.")
    return told.answers(say(), usage=Usage(prompt=int(ratio * asked(told)), completion=5))


def proved(told: Story) -> None:
    assert replay(AGENT, told.log.read(AGENT)).difference is None


def test_a_server_that_counts_more_teaches_a_margin_at_once() -> None:
    told = counts(story(), 2.0)
    learned = told.the(MarginLearned)
    assert (learned.model, learned.base_url) == ("llama3", "http://a/v1")
    assert learned.margin == pytest.approx(2.16, abs=0.02)
    assert told.state.settings.margin == learned.margin
    assert told.state.settings.token_margin == 1.3, "what it was given stays beside it"
    told.says("And?")
    assert told.the(InferenceRequested).tokens >= 2.0 * asked(told)
    proved(told)


def test_no_turn_brings_an_event_where_the_margin_holds() -> None:
    told = story()
    for ratio in (1.0, 1.1, 1.2, 1.25, 1.0, 0.9, 1.1, 1.2, 1.0, 1.1):
        counts(told, ratio)
    assert not told.all(MarginLearned)
    for ratio in (1.5, 1.52, 1.48, 1.55, 1.5):
        counts(told, ratio)
    assert len(told.all(MarginLearned)) == 1
    proved(told)


def test_a_margin_shrinks_only_when_many_requests_need_far_less_and_never_below_what_was_given() -> None:
    told = counts(story(window_tokens=20_000), 3.0)
    for _ in range(7):
        counts(told, 1.0)
    assert len(told.all(MarginLearned)) == 1, "the large one is among the last eight"
    counts(told, 1.0)
    assert [event.margin for event in told.all(MarginLearned)][1:] == [1.3]
    assert told.state.settings.margin == 1.3
    for _ in range(20):
        counts(told, 1.0)
    assert len(told.all(MarginLearned)) == 2
    proved(told)


@pytest.mark.parametrize(
    "usage",
    [
        Usage(),
        Usage(completion=50),
        Usage(prompt=-5),
        Usage(prompt=1),
        Usage(prompt=10_000_000),
    ],
)
def test_counts_that_cannot_be_teach_nothing(usage: Usage) -> None:
    told = story().says("Hi.").answers(say(), usage=usage)
    assert not told.state.readings
    assert not told.all(MarginLearned)


def test_cached_tokens_that_are_not_among_the_prompts_are_added() -> None:
    event = InferenceCompleted(usage=Usage(prompt=200, cached=1400))
    found = reading(event, 1000)
    assert found is not None
    assert found.prompt == 1600
    found = reading(InferenceCompleted(usage=Usage(prompt=1600, cached=1400)), 1000)
    assert found is not None
    assert found.prompt == 1600


def test_the_offline_model_teaches_nothing() -> None:
    told = counts(story(model="offline", base_url=""), 3.0)
    assert not told.all(MarginLearned)


def test_a_margin_belongs_to_its_model_and_comes_back_with_it() -> None:
    told = story(fallbacks=(server("phi3@http://b/v1"),))
    counts(told, 2.0)
    assert told.state.settings.margin > 2
    told.says("Hm?").fails("unreachable", "No connection.")
    assert told.the(ServerSwitched).server == 1
    assert told.state.settings.margin == 1.3
    assert not told.state.readings
    told.answers(say(), usage=Usage(prompt=int(1.6 * asked(told))))
    assert {(each.model, round(each.margin, 1)) for each in told.state.margins} == {("llama3", 2.2), ("phi3", 1.7)}
    told.now_ms += 10 * 60_000
    told.says("Back?")
    assert told.state.server == 0
    assert told.state.settings.margin > 2
    told.answers(say()).changes(**{**msgspec.structs.asdict(chosen(told.state)), "model": "other"})
    assert told.state.settings.margin == 1.3
    proved(told)


def test_a_margin_that_grew_is_seen_to_before_the_next_request() -> None:
    told = story(window_tokens=9000, reserve_tokens=600)
    while told.tokens < 0.7 * 9000:
        told.chats(1, "words " * 60)
    assert not told.all(EvictionStarted)
    counts(told, 1.75)
    told.says("Go on.")
    assert told.all(EvictionStarted), "the margin makes the window smaller"
    told.settles()
    assert all(each.tokens <= budget_tokens(told.state.settings) for each in told.requested()[-1:])


@settings(max_examples=30, deadline=None)
@given(
    ratios=st.lists(st.floats(0.9, 3.0), min_size=3, max_size=10),
    texts=st.lists(st.integers(1, 300), min_size=3, max_size=10),
)
def test_a_request_never_exceeds_the_window_by_the_margin_in_force(ratios: list[float], texts: list[int]) -> None:
    told = story(window_tokens=9000, reserve_tokens=600)
    for ratio, words in zip(ratios, texts, strict=False):
        told.says("words " * words)
        while told.phase == "summarising":
            told.answers(content="We talked.")
        if told.phase == "inferring":
            most = budget_tokens(told.state.settings)
            assert asked(told) * told.state.settings.margin <= most + 1
            told.answers(say(), usage=Usage(prompt=int(ratio * asked(told))))
        assert told.the(TurnEnded).reason in {"yielded", "window_too_small"}
    proved(told)


@pytest.mark.parametrize("true", [1.0, 1.8, 2.5])
def test_after_its_first_turn_a_model_whose_true_count_is_larger_is_never_sent_too_much(true: float) -> None:
    """The server counts `true` times what we do, and has 8,192 tokens."""
    told = story(window_tokens=8192, reserve_tokens=500)
    for turn in range(80):
        told.says(f"{turn}: " + "words and numbers " * (5 + turn % 17))
        while told.state.turn:
            sent = int(true * asked(told)) if told.phase == "inferring" else 0
            assert turn == 0 or sent + 500 <= 8192, f"turn {turn}"
            if told.phase == "inferring":
                told.answers(say(), usage=Usage(prompt=sent, completion=5))
            else:
                told.answers(content="We talked.")
        assert told.the(TurnEnded).reason == "yielded"
    assert told.all(EvictionStarted)
    assert len(told.all(MarginLearned)) <= 2
    proved(told)


# --- a server that cuts -------------------------------------------------------------------------------------------


def cut_at(tokens: int, ratio: float = 1.1) -> Callable[[int], int]:
    return lambda counted: min(tokens, int(ratio * counted))


def grows(told: Story, seen: Callable[[int], int], turns: int) -> Story:
    for turn in range(turns):
        told.says(f"{turn}: " + "words " * 60)
        told.answers(say(), usage=Usage(prompt=seen(asked(told))))
    return told


def test_a_server_whose_counts_stay_while_requests_grow_cuts_and_that_is_told_once() -> None:
    told = grows(story(window_tokens=30_000), cut_at(2300), 25)
    noticed = told.the(CutNoticed)
    assert len(told.all(CutNoticed)) == 1
    assert noticed.tokens == 2300 < noticed.counted
    assert told.state.cut_tokens == 2300
    assert not told.all(MarginLearned)
    proved(told)


def test_one_that_cuts_from_the_first_request_on_is_noticed_too() -> None:
    told = grows(story(window_tokens=30_000), cut_at(700), 6)
    assert told.the(CutNoticed).tokens == 700
    assert told.log.read(AGENT)[-1].kind == "TurnEnded"


@pytest.mark.parametrize("ratio", [0.8, 1.0, 1.3, 2.5])
def test_a_server_that_takes_all_is_not_said_to_cut(ratio: float) -> None:
    told = grows(story(window_tokens=60_000), cut_at(10**9, ratio), 25)
    assert not told.all(CutNoticed)


def test_requests_that_do_not_grow_are_not_said_to_be_cut() -> None:
    told = story(window_tokens=6000)
    for _ in range(40):
        counts(told, 1.1)
    assert told.all(EvictionStarted)
    assert not told.all(CutNoticed)


def test_after_a_change_of_the_server_it_may_be_told_again() -> None:
    told = grows(story(window_tokens=30_000), cut_at(700), 6)
    told.changes(base_url="http://elsewhere/v1")
    assert told.state.cut_tokens == 0
    grows(told, cut_at(800), 6)
    assert [event.tokens for event in told.all(CutNoticed)] == [700, 800]


def test_what_was_learned_is_described() -> None:
    told = grows(counts(story(), 2.0), cut_at(600), 6)
    said = {type(event): describe(event) for event in told.events}
    assert said[MarginLearned].startswith("x 2.1")
    assert "llama3 at http://a/v1" in said[MarginLearned]
    assert said[CutNoticed].startswith("The server counted 600 tokens")


def test_counts_are_of_a_tokenizer_of_four_characters_a_token() -> None:
    """Guards the tests above."""
    assert quarter("", "words") == 2


def test_whoever_waits_for_the_turn_is_told() -> None:
    stream = grows(story(window_tokens=30_000), cut_at(700), 6).log.read(AGENT)
    heard = TurnProgress()
    replies = [reply for envelope in stream if (reply := note(envelope, heard))]
    (said,) = replies[-1].notes
    assert said.startswith("The server counted 700 tokens in a request that has")
    assert "--window" in said
