"""Contexts in the forms that particular servers take: each form as its servers check it, and the same words in it."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.refusals import gemma_template, mistral_common, mistral_template, repeated_ids, strict_alternation
from palimpsest.events.context import message_tokens, reply_request, system_message, with_margin
from palimpsest.events.formats import (
    ALTERNATING,
    BARE_CALLS,
    NEWBORN,
    NO_CONTENT,
    NO_SYSTEM,
    SHORT_IDS,
    TEXT_CALLS,
    Format,
    changed,
)
from palimpsest.events.rendering import BRIDGE
from palimpsest.events.replay import replay
from palimpsest.events.types import AlertRaised, FormatChanged, SettingsChanged, SourceAttached
from tests.worlds.story import AGENT, Story, call, quarter, say

SHAPED = changed(NEWBORN, add=(ALTERNATING, NO_SYSTEM, SHORT_IDS, BARE_CALLS))


def story_of(*parts: str, **options: Any) -> Story:
    return Story(parts=changed(NEWBORN, add=parts), model="m", base_url="http://localhost/v1", **options)


def roles(story: Story) -> str:
    """The messages' roles by their first letters; C: an assistant's with calls."""
    return "".join("C" if each.get("tool_calls") else each["role"][0] for each in story.messages)


def test_user_and_assistant_take_turns_and_the_status_is_joined_to_the_last_message() -> None:
    story = story_of(ALTERNATING).says("Where is it?")
    assert roles(story) == "suCtau"
    first, last = story.messages[1]["content"], story.messages[-1]["content"].split("\n")
    assert msgspec.json.decode(first)["message"] == "Hi."
    assert [msgspec.json.decode(line)["type"] for line in last] == ["user_message", "memory_status"]
    assert story.messages[-2]["content"] == BRIDGE


def test_what_the_system_adds_to_a_result_is_joined_to_it() -> None:
    story = story_of(ALTERNATING).says("Look.").answers(call("list_timers", request_heartbeat=True))
    assert roles(story) == "suCtauCt"
    lines = [msgspec.json.decode(line) for line in story.messages[-1]["content"].split("\n")]
    assert [line.get("type", line.get("status")) for line in lines] == ["OK", "heartbeat", "memory_status"]


def test_inputs_without_an_answer_between_them_are_one_message() -> None:
    story = story_of(ALTERNATING).says("One.").fails().comes(AlertRaised(text="Two.")).fails().says("Three.")
    assert roles(story) == "suCtau"
    assert story.messages[-1]["content"].count("\n") == 3


def test_a_request_goes_on_where_the_one_before_ended() -> None:
    """What a prompt cache keeps: all but the status, though that is no message of its own."""
    story = story_of(ALTERNATING, NO_SYSTEM).says("Look.")
    before = story.request
    after = story.answers(call("list_timers", request_heartbeat=True)).request
    shared = next(n for n, (one, other) in enumerate(zip(before, after, strict=False)) if one != other)
    assert shared == before.index(rb"\n{\"type\":\"memory_status\"")


def test_without_a_system_message_its_text_heads_the_first_user_message() -> None:
    story = story_of(NO_SYSTEM).says("Hello?")
    assert roles(story) == "uCtuu"
    assert story.messages[0]["content"].startswith("You are an agent in a test.\n\n### Core memory")
    assert story.messages[0]["content"].count("\n\n{") == 1


def test_a_summary_is_asked_for_without_a_system_message_too() -> None:
    story = story_of(NO_SYSTEM)
    while story.phase != "summarising":
        story.says("words " * 60)
        if story.phase == "inferring":
            story.answers(say())
    (only,) = story.messages
    assert only["role"] == "user"
    assert only["content"].startswith("Your job is to summarize")


def test_ids_are_short_and_each_its_own_however_often_the_model_repeats_them() -> None:
    story = story_of(SHORT_IDS)
    for _ in range(3):
        story.says("Again.").answers(call("list_timers", "same", request_heartbeat=True)).answers(
            say("Yes.", "123456789")
        )
    story.says("And?")
    assert not repeated_ids({"messages": story.messages})
    made = [each["id"] for message in story.messages for each in message.get("tool_calls", ())]
    answered = [message["tool_call_id"] for message in story.messages if message["role"] == "tool"]
    assert made == answered
    assert all(re.fullmatch("[0-9A-Za-z]{9}", id) for id in made)
    assert "123456789" in made, "an id that is good stays"


def test_thoughts_are_left_out_of_messages_with_calls_alone() -> None:
    story = story_of(BARE_CALLS).says("Hi?").answers(say(), content="A thought.").says("So?").answers(content="Plain.")
    story.says("And?")
    assert [each["content"] for each in story.messages if each.get("tool_calls")] == ["", ""]
    assert "Plain." in [each["content"] for each in story.messages]


def test_where_there_are_no_tools_functions_calls_and_results_are_text() -> None:
    story = story_of(TEXT_CALLS).says("Look.").answers(call("list_timers", request_heartbeat=True), content="A look.")
    request = msgspec.json.decode(story.request)
    assert "tools" not in request
    assert roles(story) == "suauuauuu"
    assert '"name":"core_memory_append"' in story.messages[0]["content"]
    assert "list_documents" not in story.messages[0]["content"]
    thought, call_line = story.messages[5]["content"].split("\n", 1)
    assert thought == "A look."
    assert call_line.startswith('<tool_call>\n{"name": "list_timers"')
    assert story.messages[6]["content"].startswith('<tool_response>\n{"name": "list_timers", "content": {"status":"OK"')
    assert not any("tool_calls" in each or "tool_call_id" in each for each in story.messages)


def test_functions_that_come_with_a_source_are_told_in_the_text_too() -> None:
    story = story_of(TEXT_CALLS).happens(SourceAttached(source="manuals")).says("Read.")
    assert "grep_documents" in story.messages[0]["content"]


def test_the_text_of_the_functions_is_counted() -> None:
    one, other = story_of(TEXT_CALLS).says("Hi?"), story_of().says("Hi?")
    assert counted(one) <= one.tokens <= counted(one) + 60, "nothing beside the messages"
    assert one.state.head_tokens > 1000
    assert counted(other) < 1000


def test_a_message_of_calls_alone_has_no_content_where_an_empty_one_is_refused() -> None:
    story = story_of(NO_CONTENT).says("Hi?").answers(say(), content="A thought.").says("And?")
    assert [each.get("content", "none") for each in story.messages if each.get("tool_calls")] == ["none", "A thought."]


def test_the_built_in_model_gets_the_form_that_it_reads() -> None:
    one, other = Story(parts=SHAPED).says("Hi?"), Story().says("Hi?")
    assert one.request == other.request


def test_counts_are_made_anew_where_another_model_gets_another_form() -> None:
    story = Story(parts=SHAPED).says("Hi?").answers(say())
    before = story.state
    story.happens(SettingsChanged(settings=msgspec.structs.replace(before.settings, model="m", base_url="http://x/v1")))
    assert {entry.tokens for entry in story.state.queue} == {-1}
    story.says("And?")
    assert all(entry.tokens > 0 for entry in story.state.queue)


def counted(story: Story) -> int:
    """The tokens of the request's messages as they are sent."""
    settings = story.state.settings
    return with_margin(sum(message_tokens(msgspec.json.encode(m), settings, quarter) for m in story.messages), settings)


SETS = [(ALTERNATING,), (SHORT_IDS,), (TEXT_CALLS,), (ALTERNATING, NO_SYSTEM, SHORT_IDS, BARE_CALLS)]


@pytest.mark.parametrize("parts", [*SETS, (ALTERNATING, NO_SYSTEM, TEXT_CALLS)])
def test_what_is_counted_is_never_less_than_what_is_sent(parts: Format) -> None:
    story = story_of(*parts)
    for number in range(6):
        story.says("words " * 9).answers(call("list_timers", f"t{number}", request_heartbeat=True), content="Hm.")
        system = system_message(story.state)
        tools = story.state.head_tokens - message_tokens(system, story.state.settings, quarter)
        assert counted(story) + tools <= story.tokens
        story.answers(say())


STEPS = st.sampled_from(["says", "alerts", "chains", "speaks", "talks", "fails", "stops"])


@pytest.mark.slow
@given(st.lists(STEPS, max_size=14))
def test_whatever_happens_strict_servers_take_it(steps: list[str]) -> None:
    story = story_of(ALTERNATING, SHORT_IDS, BARE_CALLS)
    for number, step in enumerate(steps):
        _do(story, step, number)
        body = {"messages": msgspec.json.decode(reply_request(story.state))["messages"]}
        assert not mistral_template(body), body
        assert not mistral_common(body), body
    story.happens(FormatChanged(parts=NEWBORN))
    assert replay(AGENT, story.log.read(AGENT)).difference is None


@pytest.mark.slow
@given(st.lists(STEPS, max_size=14))
def test_whatever_happens_templates_without_tools_take_it(steps: list[str]) -> None:
    story = story_of(ALTERNATING, TEXT_CALLS, NO_SYSTEM)
    for number, step in enumerate(steps):
        _do(story, step, number)
        body = {"messages": msgspec.json.decode(reply_request(story.state))["messages"]}
        assert not gemma_template(body), body
        assert not strict_alternation(body), body


def _do(story: Story, step: str, number: int) -> None:
    asked = story.phase == "inferring"
    match step:
        case "says":
            story.says("Hello.")
        case "alerts":
            story.comes(AlertRaised(text="Look out."))
        case "chains" if asked:
            story.answers(call("list_timers", f"c{number}", request_heartbeat=True), content="Hm.")
        case "speaks" if asked:
            story.answers(say())
        case "talks" if asked:
            story.answers(content="Plain words.")
        case "fails" if asked:
            story.fails()
        case "stops":
            story.stops()
        case _:
            pass


def test_gemma_wants_no_system_message() -> None:
    assert gemma_template({"messages": Story().says("Hi.").messages}) == "System role not supported"
