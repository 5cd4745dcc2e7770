"""Small windows: what is said in few words, and an agent that talks, evicts and goes on in 2,048 tokens."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from palimpsest.console.settings import Flags, settings_for_new
from palimpsest.events import brief
from palimpsest.events.context import system_message, tools_json
from palimpsest.events.eviction import budget_tokens
from palimpsest.events.formats import BRIEF, NEWBORN, changed
from palimpsest.events.functions import all_functions, given_by, schemas
from palimpsest.events.prompts import BRIEF_BELOW_TOKENS, SYSTEM, fitting, least_window_tokens, newborn
from palimpsest.events.replay import replay
from palimpsest.events.types import (
    EvictionStarted,
    FormatChanged,
    InferenceRequested,
    Settings,
    SettingsChanged,
    SummaryWritten,
    TurnEnded,
)
from palimpsest.store.tokens.counting import count
from tests.worlds.story import AGENT, Story, call, say

SMALL = 2048
IN_BRIEF = changed(NEWBORN, add=(BRIEF,))
OLLAMA = "http://localhost:11434/v1"


def small() -> Settings:
    """What `chat --model llama3 --base-url … --window 2048` gives an agent, with the usual margin."""
    return settings_for_new(Flags(model="llama3", base_url=OLLAMA, window=SMALL), {})


NARROWING = {"who", "start_date", "end_date"}


def test_every_function_is_there_with_all_its_parameters() -> None:
    full, short = (schemas(all_functions(), format) for format in (NEWBORN, IN_BRIEF))
    assert [s["function"]["name"] for s in full] == [s["function"]["name"] for s in short]
    for one, other in zip(full, short, strict=True):
        before, after = one["function"]["parameters"], other["function"]["parameters"]
        if one["function"]["name"] == "conversation_search":  # what narrows it down is left out
            before = {**before, "properties": {name: 0 for name in before["properties"] if name not in NARROWING}}
        assert list(before["properties"]) == list(after["properties"])
        assert before["required"] == after["required"]
    long, few = (len(tools_json(given_by(format), format)) for format in (NEWBORN, IN_BRIEF))
    assert few < 0.6 * long


def test_the_usual_system_text_is_shortened_and_a_users_own_is_not() -> None:
    assert hashlib.sha256(SYSTEM.encode()).hexdigest() in brief.FULL, "add the digest of the new text: see brief.FULL"
    story = Story(system=SYSTEM, parts=IN_BRIEF)
    assert brief.SYSTEM in msgspec.json.decode(system_message(story.state))["content"]
    assert story.state.system == SYSTEM, "it is kept, for a larger window"
    own = Story(system="You are Ada.", parts=IN_BRIEF)
    assert msgspec.json.decode(system_message(own.state))["content"].startswith("You are Ada.")


def test_a_small_window_is_born_in_brief_and_a_larger_one_is_not() -> None:
    assert newborn(Settings(window_tokens=BRIEF_BELOW_TOKENS - 1)).parts == IN_BRIEF
    assert newborn(Settings(window_tokens=BRIEF_BELOW_TOKENS)).parts == NEWBORN
    assert fitting(IN_BRIEF, BRIEF_BELOW_TOKENS) == NEWBORN


@pytest.mark.parametrize("model", ["offline", "llama3"])
def test_a_window_of_2048_is_not_too_small(model: str) -> None:
    flags = Flags(model=model, base_url=OLLAMA * (model != "offline"), window=SMALL)
    settings = settings_for_new(flags, {})
    assert (settings.window_tokens, settings.reserve_tokens) == (SMALL, 256)
    assert least_window_tokens(newborn(settings), count, 4096) <= SMALL


@pytest.mark.parametrize("margin", [1.0, 1.3, 1.4])
def test_an_agent_talks_evicts_and_goes_on_in_2048_tokens(margin: float) -> None:
    changes = {**msgspec.structs.asdict(small()), "token_margin": margin}
    story = Story(count=count, system=SYSTEM, parts=IN_BRIEF, met=False, **changes)
    for turn in range(40):
        story.says(f"On day {turn} I walked to the harbour and met my old friend Ole.")
        if turn % 5 == 0:
            story.answers(call("core_memory_append", name="human", content=f"Day {turn}."), say("I keep that."))
        story.settles("The user walks to the harbour and meets Ole.")
        assert story.the(TurnEnded).reason == "yielded"
    asked = story.all(InferenceRequested)
    assert all(each.tokens <= budget_tokens(story.state.settings) for each in asked)
    assert len(story.all(EvictionStarted)) >= 2
    assert {written.author for written in story.all(SummaryWritten)} <= {"model", "extractive"}
    assert replay(AGENT, story.log.read(AGENT)).difference is None


def test_an_agent_whose_window_is_made_small_takes_the_few_words_by_itself() -> None:
    story = Story(count=count, system=SYSTEM).chats(3)
    story.happens(SettingsChanged(settings=small()))
    story.says("Still there?")
    moved = story.the(FormatChanged)
    assert moved.parts == IN_BRIEF
    assert moved.reason == "a window of 2048 tokens leaves no room to talk"
    assert story.answers(say()).the(TurnEnded).reason == "yielded"
    assert len(story.all(FormatChanged)) == 1
    assert replay(AGENT, story.log.read(AGENT)).difference is None


def test_a_margin_that_grows_in_a_turn_brings_the_few_words_too() -> None:
    story = Story(count=count, system=SYSTEM, window_tokens=4096).says("Hi.")
    story.changes(token_margin=1.9)
    story.answers(call("list_timers", request_heartbeat=True), content="I look. " * 60)
    assert story.the(FormatChanged).parts == IN_BRIEF
    assert story.settles().the(TurnEnded).reason == "yielded"
