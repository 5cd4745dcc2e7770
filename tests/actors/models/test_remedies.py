"""What servers say when they refuse a request, and the part of the format that mends it."""

from __future__ import annotations

import pytest

from palimpsest.actors.models.hosted.failures import ServerWords, classify
from palimpsest.actors.models.hosted.remedies import next_step, remedies
from palimpsest.events.formats import (
    ALTERNATING,
    BARE_CALLS,
    EMPTY_CONTENT,
    NO_CONTENT,
    NO_SYSTEM,
    OWN_FIELDS,
    OWN_REASONING,
    SHORT_IDS,
    TEXT_CALLS,
)

MISTRAL = "After the optional system message, conversation roles must alternate user/assistant/user/assistant/..."
LLAMA_500 = "Unable to generate parser for this template. Automatic parser generation failed: Jinja Exception: "

SAID = [
    (400, MISTRAL, ALTERNATING),
    (500, f"Jinja Exception: {MISTRAL}", ALTERNATING),
    (400, f'Error rendering prompt with jinja template: "{MISTRAL}"', ALTERNATING),
    (400, "Conversation roles must alternate user/assistant/user/assistant/...", ALTERNATING),
    (400, "Unexpected role 'user' after role 'tool'", ALTERNATING),
    (422, "Unexpected role RoleEnum.user after role RoleEnum.tool", ALTERNATING),
    (400, "System role not supported", NO_SYSTEM),
    (500, f"{LLAMA_500}System role not supported", NO_SYSTEM),
    (400, "Developer instruction is not enabled for models/gemma-3-27b-it", NO_SYSTEM),
    (400, "Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9.", SHORT_IDS),
    (500, f"{LLAMA_500}Tool call IDs should be alphanumeric strings with length 9!", SHORT_IDS),
    (400, "messages.5.content.1: `tool_use` ids must be unique", SHORT_IDS),
    (400, "Assistant message must have either content or tool_calls, but not both.", BARE_CALLS),
    (500, "Expected 'content' to be a string or an array", EMPTY_CONTENT),
    (500, 'can only concatenate str (not "NoneType") to str', EMPTY_CONTENT),
    (500, "[json.exception.type_error.302] type must be string, but is null", EMPTY_CONTENT),
    (422, "[{'type': 'string_type', 'loc': ('body', 'messages', 2, 'content'), 'input': None}]", EMPTY_CONTENT),
    (500, "'NoneType' object has no attribute 'strip'", EMPTY_CONTENT),
    (400, "Invalid value for 'content': expected a string, got null.", EMPTY_CONTENT),
    (400, "registry.ollama.ai/library/gemma3:4b does not support tools", TEXT_CALLS),
    (500, "tools param requires --jinja flag", TEXT_CALLS),
    (400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set', TEXT_CALLS),
    (404, 'No endpoints found that support tool use. Try disabling "set_timer".', TEXT_CALLS),
    (405, "deepinfra error: Tool calling is not supported for model: mistral-small", TEXT_CALLS),
    (400, "tools is not supported in this model. For a list of supported models, refer to …", TEXT_CALLS),
    (400, "InternalError.Algo.InvalidParameter: The tool call is not supported.", TEXT_CALLS),
    (400, "Function calling is not enabled for models/gemma-3-27b-it", TEXT_CALLS),
    (400, "This model doesn't support function calling", TEXT_CALLS),
    (500, "Internal server error: Unsupported tool_call_parser: None", TEXT_CALLS),
    (
        422,
        "[{'type': 'extra_forbidden', 'loc': ('body', 'tools'), 'msg': 'Extra inputs are not permitted'}]",
        TEXT_CALLS,
    ),
    (400, "Function call is missing a thought_signature in functionCall parts.", OWN_FIELDS),
    (400, "function call `x` in the 5. content block is missing a `thought_signature`.", OWN_FIELDS),
    (
        400,
        "thinking is enabled but reasoning_content is missing in assistant tool call message at index 2",
        OWN_REASONING,
    ),
    (400, "Missing `reasoning_content` field in the assistant message at message index 2.", OWN_REASONING),
    (400, "The `reasoning_content` in the thinking mode must be passed back to the API.", OWN_REASONING),
    (400, "Expected `thinking` or `redacted_thinking`, but found `tool_use`.", OWN_REASONING),
    (400, "invalid message content type: <nil>", EMPTY_CONTENT),
    (400, "Invalid 'content': 'content' field must be a string or an array of objects.", EMPTY_CONTENT),
    (400, "messages: text content blocks must be non-empty", NO_CONTENT),
    (400, "request: Value error, Empty content is not allowed for assistant messages", NO_CONTENT),
    (400, "bedrock error: The content field in the Message object at messages.2 is empty.", NO_CONTENT),
    (400, "Only user and assistant roles are supported!", NO_SYSTEM),
]


@pytest.mark.parametrize(("status", "words", "part"), SAID)
def test_a_refusal_names_what_mends_it_and_is_not_tried_again(status: int, words: str, part: str) -> None:
    failure = classify(status, ServerWords(words))
    assert failure.mended_by[0] == part
    assert (failure.error, failure.again) == ("bad_request", False)
    assert words in failure.quote


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "Unrecognized request argument supplied: foo"),
        (500, "The server had an error while processing your request."),
        (401, "System role not supported by this key"),
        (429, "roles must alternate"),
        (400, "parallel_tool_calls is not supported with this model"),
        (400, "Unsupported value: 'tool_choice' does not support 'required' with this model"),
        (400, "This model's maximum context length is 8192 tokens; the content must not be null."),
    ],
)
def test_other_failures_are_what_they_were(status: int, words: str) -> None:
    assert classify(status, ServerWords(words)).mended_by == ()


def test_a_ladder_is_climbed_a_part_at_a_time() -> None:
    assert next_step(("one", "two"), ()) == ("one",)
    assert next_step(("one", "two"), ("one", "three")) == ("two",)
    assert next_step(("one", "two"), ("two", "one")) == ()
    assert remedies(200, "roles must alternate") == ()
