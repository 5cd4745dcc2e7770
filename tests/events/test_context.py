"""The context compiler: what a request holds, that its prefix stays, and that what is counted is what is sent."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.events.context import (
    PRIMING,
    fingerprint,
    head_tokens,
    measure,
    message_tokens,
    open_request,
    package,
    reply_request,
    system_message,
    tools_json,
    with_margin,
)
from palimpsest.events.envelope import Envelope
from palimpsest.events.formats import NEWBORN
from palimpsest.events.functions import given_by
from palimpsest.events.replay import Replayer
from palimpsest.events.texts import clip
from palimpsest.events.times import ShownTime, stamp
from palimpsest.events.types import InferenceRequested, Settings, ToolCall
from tests.worlds.simulated import World
from tests.worlds.story import AGENT, Story, call, octets, quarter, say


def requests(story_or_world: list[Envelope]) -> list[tuple[int, bytes]]:
    """The requests for replies in a stream: (seq, bytes)."""
    replayer, found = Replayer("x", verify=False), []
    for envelope in story_or_world:
        replayer.feed(envelope)
        if envelope.kind == "InferenceRequested" and replayer.state and replayer.state.turn:
            found.append((envelope.seq, open_request(replayer.state)))
    return found


def test_a_request_is_what_the_chat_completions_protocol_takes() -> None:
    story = Story(temperature=0.5, output_parameter="max_tokens", model="gpt-x").says("Hi.")
    request = msgspec.json.decode(story.request)
    assert list(request) == ["model", "messages", "tools", "temperature", "max_tokens"]
    assert (request["model"], request["temperature"], request["max_tokens"]) == ("gpt-x", 0.5, 512)
    roles = [message["role"] for message in request["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "user", "user"]
    assert request["tools"] == msgspec.json.decode(tools_json(given_by(NEWBORN), NEWBORN))


def test_the_system_message_holds_instructions_and_core_memory_with_its_sizes() -> None:
    story = Story(human="Eve.").says("Hi.")
    system = story.messages[0]["content"]
    assert system.startswith("You are an agent in a test.\n\n### Core memory\n")
    assert '<persona characters="9/2000" description="Who the agent is.">\nI am Ada.\n</persona>\n<human' in system
    assert '<human characters="4/2000" description="What the agent knows of the user.">\nEve.\n</human>' in system


def test_what_changes_from_request_to_request_stands_last() -> None:
    story = Story().says("Hi.")
    status = msgspec.json.decode(story.messages[-1]["content"])
    assert status == {
        "type": "memory_status",
        "recall_messages": 3,
        "archival_passages": 0,
        "time": "2026-11-22 15:26:15 UTC",
    }


CHANGES_THE_PREFIX = {
    "CoreMemoryAppended", "CoreMemoryReplaced", "MessagesEvicted", "SettingsChanged", "FormatChanged",
    "ServerSwitched",
}  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_a_prefix_stays_the_same_between_cuts_and_edits(seed: int) -> None:
    world = World(seed, agents=1, inputs=15)
    world.run()
    stream = world.log.read(world.names[0])
    stable = 0
    replies = [(seq, data) for seq, data in requests(stream) if b'"tools":' in data]
    for (seq, before), (following, after) in pairwise(replies):
        if {envelope.kind for envelope in stream[seq:following]} & CHANGES_THE_PREFIX:
            continue
        status = before.rindex(b'{\\"type\\":\\"memory_status')  # a message, or a line of one where sides alternate
        assert after.startswith(before[:status].removesuffix(b'{"role":"user","content":"').removesuffix(rb"\n"))
        stable += 1
    assert stable > 5


def test_the_count_is_that_of_the_bytes_that_are_sent() -> None:
    story = Story().chats(22).says("Look.")
    story.answers(call("conversation_search", query="x", request_heartbeat=True)).returns("found")
    request = msgspec.json.decode(story.request)
    counted = PRIMING + sum(
        message_tokens(msgspec.json.encode(message), story.state.settings, quarter) for message in request["messages"]
    )
    tools = head_tokens(story.state, quarter) - message_tokens(
        system_message(story.state), story.state.settings, quarter
    )
    assert story.state.summary is not None, "the summary is counted too"
    assert story.requested()[-1].tokens == counted + tools


def test_counts_are_made_once_a_message() -> None:
    seen: list[str] = []

    def counting(encoding: str, text: str) -> int:
        seen.append(text)
        return quarter(encoding, text)

    story = Story(count=counting)
    for number in range(12):
        story.says(f"Message {number} of them.").settles()
    assert sum("Message 3 of them." in text for text in seen) <= 2, "once for its room, once for its message"


@given(tokens=st.integers(0, 10**6), margin=st.floats(1.0, 2.0))
def test_a_margin_never_makes_a_count_smaller(tokens: int, margin: float) -> None:
    assert with_margin(tokens, Settings(token_margin=margin)) >= tokens


def test_a_margin_is_held_against_the_window() -> None:
    plain, careful = Story().says("Hi."), Story(token_margin=1.2).says("Hi.")
    assert careful.requested()[-1].tokens == -(-plain.requested()[-1].tokens * 6 // 5)


def test_fingerprints_tell_requests_apart() -> None:
    one, two = Story().says("Hi."), Story().says("Hi!")
    assert one.requested()[-1].fingerprint == fingerprint(one.request)
    assert fingerprint(one.request) != fingerprint(two.request)
    assert Story().says("Hi.").request == one.request


def test_the_fold_alone_renders_the_request() -> None:
    story = Story().says("Hi.")
    assert reply_request(story.state) == open_request(story.state) == story.request
    for (seq, data), asked in zip(requests(story.log.read(AGENT)), _asked(story), strict=True):
        assert fingerprint(data) == asked.fingerprint, seq


def _asked(story: Story) -> list[InferenceRequested]:
    story.mark = 0
    return story.all(InferenceRequested)


@pytest.mark.parametrize(
    ("time_ms", "shown"),
    [
        (1_795_361_055_999, "2026-11-22 15:24:15 UTC"),
        (0, "1970-01-01 00:00:00 UTC"),
        (-5, "1970-01-01 00:00:00 UTC"),
        (10**18, "9999-12-31 23:59:59 UTC"),
    ],
)
def test_times_are_shown_in_utc(time_ms: int, shown: str) -> None:
    assert stamp(time_ms) == shown


def test_the_model_sees_one_time_a_turn() -> None:
    story = Story().says("Hi.")
    story.now_ms += 3_600_000
    story.answers(call("list_timers", request_heartbeat=True))
    story.now_ms += 3_600_000
    story.answers(call("conversation_search", query="x", request_heartbeat=True)).returns()
    assert {word for word in story.request.split(b'\\"') if word.endswith(b" UTC")} == {
        b"2026-11-22 15:25:15 UTC",
        b"2026-11-22 15:26:15 UTC",
    }


@given(text=st.text(max_size=50), chars=st.integers(2, 60))
def test_clip_keeps_its_limit_and_marks_the_cut(text: str, chars: int) -> None:
    clipped = clip(text, chars)
    assert len(clipped) <= chars
    assert clipped == text or (clipped.endswith(" …") and text.startswith(clipped[:-2]))


@given(text=st.text())
def test_a_message_survives_its_packages(text: str) -> None:
    content = msgspec.json.decode(package("user_message", ShownTime(0), message=text))["content"]
    assert msgspec.json.decode(content)["message"] == text


def test_calls_and_their_ids_are_counted() -> None:
    plain = Story().says("Hi.").answers(say("Hello.", "c1"))
    longer = Story().says("Hi.").answers(ToolCall(id="c1", name="send_message", arguments='{ "message": "Hello." }  '))
    assert measure(longer.state, octets).total > measure(plain.state, octets).total
