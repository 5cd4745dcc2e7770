"""Fields of a server's own: kept in the event, sent back to the server that made them, counted, and never seen."""

from __future__ import annotations

from itertools import count
from typing import Any

import msgspec
import pytest

from palimpsest.actors.models.hosted.answers import DONE, AnswerBuilder
from palimpsest.actors.models.hosted.reading import whole_answer
from palimpsest.actors.models.protocol import Answer
from palimpsest.events.context import transcript
from palimpsest.events.debug.bisect import texts_in
from palimpsest.events.formats import BLANK_REASONING, DUMMY_SIGNATURES, NEWBORN, OWN_FIELDS, OWN_REASONING, changed
from palimpsest.events.own_fields import BLANK, KEPT_ANSWERS
from palimpsest.events.replay import replay
from palimpsest.events.state import UNCOUNTED
from palimpsest.events.types import FormatChanged, Own, SettingsChanged
from tests.worlds.story import AGENT, Story, call, say

NUMBERS = count()
URL = "https://gemini.example/v1"
SIGNED = {"extra_content": {"google": {"thought_signature": "SIGNATURE"}}}
THOUGHT = {"reasoning_content": "SECRETTHOUGHT " * 50}


def own(message: dict[str, Any] | None = None, *calls: dict[str, Any], server: str = URL, model: str = "m") -> Own:
    def text(fields: dict[str, Any] | None) -> str:
        return msgspec.json.encode(fields).decode() if fields else ""

    return Own(server=server, model=model, message=text(message), calls=tuple(map(text, calls)))


def story_of(*parts: str, remove: tuple[str, ...] = ()) -> Story:
    return Story(parts=changed(NEWBORN, add=parts, remove=remove), model="m", base_url=URL).says("Look.")


def answered(story: Story) -> dict[str, Any]:
    """The last answer in the request."""
    return [each for each in story.messages if each["role"] == "assistant"][-1]


def chains(id: str = "c1") -> Any:
    """A call that is no other's double."""
    return call("list_timers", id, number=next(NUMBERS), request_heartbeat=True)


def test_a_signature_goes_back_with_its_call_to_the_server_that_made_it() -> None:
    story = story_of().answers(chains(), chains("c2"), own=own(None, SIGNED, {}))
    assert answered(story)["tool_calls"][0]["extra_content"] == SIGNED["extra_content"]
    assert "extra_content" not in answered(story)["tool_calls"][1]
    assert story.answers(say()).says("And?")
    assert story.request.count(b"SIGNATURE") == 1, "in every later request too"
    assert replay(AGENT, story.log.read(AGENT)).difference is None


@pytest.mark.parametrize("change", [{"base_url": "https://other.example/v1"}, {"model": "other"}])
def test_it_goes_to_no_other_server_or_model_and_comes_back_with_the_way_back(change: dict[str, str]) -> None:
    story = story_of().answers(chains(), own=own(None, SIGNED)).answers(say())
    story.changes(**change).says("And?")
    assert b"SIGNATURE" not in story.request
    counted = story.tokens
    story.answers(say()).changes(base_url=URL, model="m").says("Now?")
    assert story.request.count(b"SIGNATURE") == 1
    assert story.state.queue[3].tokens > 0
    assert counted > 0


def test_it_is_counted_as_what_it_is() -> None:
    plain, signed = (story_of().answers(chains(), own=each) for each in (None, own(None, SIGNED)))
    assert signed.tokens > plain.tokens
    story = story_of(OWN_REASONING).answers(chains(), own=own(THOUGHT))
    assert story.tokens - plain.tokens == (len(THOUGHT["reasoning_content"]) + 3) // 4


def test_an_agent_without_the_part_sends_nothing_of_it() -> None:
    story = story_of(remove=(OWN_FIELDS,)).answers(chains(), own=own({**THOUGHT, **SIGNED}, SIGNED))
    assert b"SECRET" not in story.request
    assert b"SIGNATURE" not in story.request


def test_reasoning_goes_back_only_to_a_server_that_wants_it_which_gets_what_came_before_too() -> None:
    story = story_of().answers(chains(), own=own(THOUGHT))
    assert b"SECRET" not in story.request
    story.fails("bad_request", "reasoning_content is missing", mended_by=(OWN_REASONING,))
    assert answered(story)["reasoning_content"] == THOUGHT["reasoning_content"]
    assert story.the(FormatChanged).reason == "reasoning_content is missing"


def test_where_none_came_a_server_gets_what_it_takes() -> None:
    story = story_of(OWN_REASONING).answers(chains(), chains("c2"))
    parts = changed(story.state.format, add=(BLANK_REASONING, DUMMY_SIGNATURES))
    story.answers(chains(), chains("c2")).happens(FormatChanged(parts=parts)).answers(chains(), chains("c2"))
    assert answered(story)["reasoning_content"] == BLANK
    first, second = answered(story)["tool_calls"]
    assert first["extra_content"]["google"]["thought_signature"] == "skip_thought_signature_validator"
    assert "extra_content" not in second
    story.answers(chains(), own=own(THOUGHT, SIGNED))
    assert answered(story)["reasoning_content"] == THOUGHT["reasoning_content"]
    assert answered(story)["tool_calls"][0]["extra_content"] == SIGNED["extra_content"]
    plain = story.answers(content="Plain.").says("And?")
    assert answered(plain)["reasoning_content"] == BLANK, "plain answers too"
    elsewhere = plain.answers(say()).changes(model="other").says("You?")
    assert "reasoning_content" not in answered(elsewhere)
    assert b"skip_thought" not in elsewhere.request
    elsewhere.fails("bad_request", "No signature.", mended_by=(DUMMY_SIGNATURES,))
    assert b"skip_thought" in elsewhere.request, "it wants them too"


def test_nobody_else_sees_them() -> None:
    story = story_of().answers(chains(), own=own({**THOUGHT, **SIGNED}, SIGNED), content="A thought.")
    for entry in story.state.queue:
        assert "SECRET" not in "".join(transcript(entry.wire, 10_000))
        assert "SIGNATURE" not in "".join(transcript(entry.wire, 10_000))
    for place in ("context", "state", "summary", "core"):
        found = "".join(texts_in(story.state, place))
        assert "SECRET" not in found
        assert "SIGNATURE" not in found


def test_old_reasoning_that_no_server_wants_leaves_the_state_and_signatures_stay() -> None:
    story = story_of()
    for number in range(KEPT_ANSWERS + 2):
        story.answers(say(id=f"s{number}"), own=own(THOUGHT, SIGNED)).says("On.")
    kept = [entry.own for entry in story.state.queue if entry.own]
    assert [bool(each.message) for each in kept] == [False] * 2 + [True] * KEPT_ANSWERS
    assert all(each.calls for each in kept)
    assert replay(AGENT, story.log.read(AGENT)).difference is None


def test_counts_are_made_anew_where_the_server_changes() -> None:
    story = story_of().answers(say(), own=own(None, SIGNED))
    settings = msgspec.structs.replace(story.state.settings, model="other")
    assert {entry.tokens for entry in story.happens(SettingsChanged(settings=settings)).state.queue} == {UNCOUNTED}


# --- as servers send them -----------------------------------------------------------------------------------------

CALL = {"index": 0, "id": "c1", "type": "function", "function": {"name": "list_timers", "arguments": "{}"}}


def whole(message: dict[str, Any]) -> Answer:
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    answer = whole_answer(msgspec.json.encode(body))
    assert isinstance(answer, Answer)
    return answer


def streamed(*deltas: dict[str, Any]) -> Answer:
    builder = AnswerBuilder()
    for delta in deltas:
        assert builder.add_chunk(msgspec.json.encode({"choices": [{"index": 0, "delta": delta}]})) is None
    builder.add_chunk(DONE)
    return builder.answer()


def test_gemini_puts_a_signature_beside_the_first_call() -> None:
    calls = [{**CALL, **SIGNED}, {**CALL, "index": 1, "id": "c2"}]
    for answer in (whole({"tool_calls": calls}), streamed({"tool_calls": calls[:1]}, {"tool_calls": calls[1:]})):
        assert answer.own == Own(calls=(msgspec.json.encode(SIGNED).decode(), ""))


def test_reasoning_that_is_streamed_is_joined() -> None:
    pieces: list[dict[str, Any]] = [
        {"reasoning_content": "I "},
        {"reasoning_content": "think."},
        {"content": "", "tool_calls": [CALL]},
    ]
    for answer in (whole({"reasoning_content": "I think.", "tool_calls": [CALL]}), streamed(*pieces)):
        assert answer.own == Own(message='{"reasoning_content":"I think."}')


def test_the_details_of_openrouter_are_joined_by_their_index_and_stand_for_the_rest() -> None:
    def piece(**fields: Any) -> dict[str, Any]:
        return {
            "reasoning": fields.get("text"),
            "reasoning_details": [{"type": "reasoning.text", "index": 0, **fields}],
        }

    secret = {"type": "reasoning.encrypted", "data": "XYZ", "index": 1}
    answer = streamed(
        piece(text="I "),
        piece(text="think."),
        piece(signature="S"),
        {"reasoning_details": [secret]},
        {"content": "Hi."},
    )
    assert answer.own is not None
    assert msgspec.json.decode(answer.own.message) == {
        "reasoning_details": [{"type": "reasoning.text", "index": 0, "text": "I think.", "signature": "S"}, secret]
    }


def test_an_answer_without_such_fields_has_none() -> None:
    assert whole({"content": "Hi.", "reasoning_content": None, "tool_calls": [CALL]}).own is None
    assert whole({"content": "Hi.", "reasoning_content": "", "annotations": [], "refusal": None}).own is None


def test_fields_without_an_end_are_dropped() -> None:
    assert whole({"content": "Hi.", "reasoning_content": "x" * 2_000_000}).own is None
