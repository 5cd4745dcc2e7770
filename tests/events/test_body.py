"""Settings that stand in the body of a request, and its headers: what they make of it, and what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from palimpsest.events.body import headers
from palimpsest.events.formats import NEWBORN, TEXT_CALLS, changed
from palimpsest.events.inference import job
from palimpsest.events.replay import replay
from palimpsest.events.settings import flaw
from palimpsest.events.types import InferenceRequested, Server, Settings
from tests.worlds.story import AGENT, Story, say

SET: dict[str, Any] = {
    "temperature": 0.5,
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "response_format": '{"type":"json_object"}',
    "seed": 7,
    "reasoning_effort": "low",
    "extra_body": '{"top_p":0.9,"provider":{"only":["azure"]}}',
    "headers": '{"X-Title":"Palimpsest"}',
}
SENT = {
    "temperature": 0.5,
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "response_format": {"type": "json_object"},
    "seed": 7,
    "reasoning_effort": "low",
    "top_p": 0.9,
    "provider": {"only": ["azure"]},
}
ASKED: dict[str, Any] = {"model": "m", "base_url": "http://localhost/v1"}


def body(story: Story) -> dict[str, Any]:
    """What stands in the open request beside messages and functions."""
    request: dict[str, Any] = msgspec.json.decode(story.request)
    return {name: value for name, value in request.items() if name not in ("model", "messages", "tools")}


def test_settings_that_are_not_set_add_nothing() -> None:
    assert body(Story(**ASKED).says("Hi.")) == {"max_completion_tokens": 512}


def test_what_is_set_stands_in_the_body_and_is_proved() -> None:
    story = Story(**ASKED, **SET).says("Hi.")
    assert body(story) == {**SENT, "max_completion_tokens": 512}
    assert replay(AGENT, story.log.read(AGENT)).difference is None


def test_a_summary_is_asked_for_without_what_is_for_functions_and_replies() -> None:
    story = Story(**ASKED, **SET)
    while story.phase != "summarising":
        story.says("words " * 60)
        if story.phase == "inferring":
            story.answers(say())
    assert {"seed", "reasoning_effort", "top_p", "temperature"} < set(body(story))
    assert not {"tool_choice", "parallel_tool_calls", "response_format"} & set(body(story))


def test_where_functions_are_told_in_the_text_nothing_is_said_of_tools() -> None:
    story = Story(parts=changed(NEWBORN, add=(TEXT_CALLS,)), **ASKED, **SET).says("Hi.")
    assert not {"tool_choice", "parallel_tool_calls"} & set(body(story))
    assert body(story)["response_format"] == {"type": "json_object"}


def test_a_function_can_be_chosen_by_its_name() -> None:
    story = Story(**ASKED, tool_choice="send_message").says("Hi.")
    assert body(story)["tool_choice"] == {"type": "function", "function": {"name": "send_message"}}


def test_they_are_for_the_agents_own_server() -> None:
    story = Story(**ASKED, **SET, fallbacks=(Server(model="other", base_url="http://other/v1"),)).says("Hi.")
    story.fails("unreachable")
    assert set(body(story)) == {"temperature", "max_completion_tokens"}
    assert headers(story.state.settings) == {}


def test_headers_go_with_the_job_and_not_into_the_body() -> None:
    story = Story(**ASKED, **SET).says("Hi.")
    envelope = story.log.open_requests_of(AGENT, "inference")[0]
    asked = job(story.state, envelope, story.the(InferenceRequested))
    assert asked.headers == {"X-Title": "Palimpsest"}
    assert b"X-Title" not in asked.request


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"tool_choice": "fly"}, "give auto, required, none, or a function's name"),
        ({"response_format": '{"a":1}'}, "no JSON object with a type"),
        ({"response_format": "json"}, "no JSON object"),
        ({"seed": 2**63}, "64 bits"),
        ({"extra_body": "[1]"}, "no JSON object"),
        ({"extra_body": '{"a":NaN}'}, "no JSON object"),
        ({"extra_body": '{"messages":[]}'}, "may not hold 'messages'"),
        ({"extra_body": '{"model":"x"}'}, "set `model`"),
        ({"extra_body": '{"tools":[]}'}, "may not hold 'tools'"),
        ({"extra_body": '{"stream":true}'}, "may not hold 'stream'"),
        ({"extra_body": '{"max_tokens":1}'}, "set `reserve`"),
        ({"extra_body": '{"seed":1}'}, "set `seed`"),
        ({"extra_body": '{"api_key":"x"}'}, "looks like a secret"),
        ({"headers": '{"X":1}'}, "no JSON object of texts"),
        ({"headers": '{"Authorization":"Bearer x"}'}, "palimpsest keys add"),
        ({"headers": '{"api-key":"x"}'}, "looks like a secret"),
        ({"headers": '{"X-Api-Key":"x"}'}, "looks like a secret"),
        ({"headers": '{"Cookie":"x"}'}, "looks like a secret"),
        ({"headers": '{"X-Auth-Token":"x"}'}, "looks like a secret"),
        ({"headers": '{"X-Org":"sk-abcdefgh123"}'}, "looks like a secret"),
        ({"headers": '{"X":"a\\nb"}'}, "none that HTTP can carry"),
        ({"headers": '{"X Y":"a"}'}, "none that HTTP can carry"),
        ({"headers": '{"Host":"a"}'}, "HTTP's own"),
    ],
)
def test_what_makes_no_sense_or_is_a_secret_is_refused(change: dict[str, Any], why: str) -> None:
    found = flaw(Settings(**change))
    assert why in found
    assert "sk-abcdefgh123" not in found


def test_what_makes_sense_is_taken() -> None:
    assert flaw(Settings(**SET)) == ""


@pytest.mark.parametrize(
    "brought",
    ['{"Host":"elsewhere"}', '{"Authorization":"Bearer sk-theirs"}', '{"X":"a\\r\\nb"}', '{"X":1}', "[", "{}x"],
)
def test_headers_that_an_import_brought_and_the_door_would_not_let_in_are_not_sent(brought: str) -> None:
    assert headers(Settings(headers=brought)) == {}
