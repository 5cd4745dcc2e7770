"""A chat-completions body as it is on the wire, whole or a chunk, decoded as leniently as can be done without guessing.

Rule: a field of the wrong type is read as text or a number where it can be, and is nothing where it cannot.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from palimpsest.events.own_fields import OTHERS, REASONING
from palimpsest.events.types import Usage

THOUGHTS: Final = ("thinking", "reasoning", "redacted_thinking")
"""Types of parts of a content."""
MAX_TOKENS: Final = 1_000_000_000


class FunctionBody(msgspec.Struct):
    name: Any = None
    arguments: msgspec.Raw = msgspec.Raw(b"")


class CallBody(msgspec.Struct):
    index: Any = None
    id: Any = None
    function: FunctionBody | None = None
    extra_content: Any = None
    provider_specific_fields: Any = None

    @property
    def own(self) -> dict[str, Any]:
        """The fields of the server's own (`events.own_fields`), where there are any."""
        if not (self.extra_content or self.provider_specific_fields):
            return {}
        return {"extra_content": self.extra_content, "provider_specific_fields": self.provider_specific_fields}


class MessageBody(msgspec.Struct):
    content: Any = None
    refusal: Any = None
    tool_calls: list[CallBody] | None = None
    function_call: FunctionBody | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    thinking_blocks: Any = None
    extra_content: Any = None
    provider_specific_fields: Any = None

    @property
    def has_own(self) -> bool:
        thought = self.reasoning_content or self.reasoning or self.reasoning_details
        return bool(thought or self.extra_content or self.thinking_blocks or self.provider_specific_fields)

    @property
    def own(self) -> dict[str, Any]:
        """The fields of the server's own (`events.own_fields`)."""
        return {name: getattr(self, name) for name in (*REASONING, *OTHERS)}


class Choice(msgspec.Struct):
    index: Any = 0
    message: MessageBody | None = None
    delta: MessageBody | None = None
    finish_reason: Any = None


class Completion(msgspec.Struct):
    """A whole answer, or one chunk of a streamed one."""

    choices: list[Choice] | None = None
    model: Any = None
    usage: Any = None
    error: Any = None
    object: Any = None
    detail: Any = None
    message: Any = None

    @property
    def is_error(self) -> bool:
        """Whether it is an error, as some servers write it: without a field for it."""
        said = isinstance(self.detail, str) or isinstance(self.message, str)
        return (self.object == "error" or said) and not self.choices


def decoded(body: bytes) -> Completion | None:
    """A body, or an event's payload; None where it is none. What is no UTF-8, and halves of surrogate pairs, come as
    lone surrogates (see `Halves`)."""
    try:
        return msgspec.json.decode(body, type=Completion)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass
    try:
        loose = json.loads(body.decode("utf-8-sig", "surrogateescape"), strict=False)
        if isinstance(loose, list) and len(loose) == 1:
            loose = loose[0]  # some gateways put an error into a list
        return msgspec.convert(_with_raw_arguments(loose), type=Completion)
    except (ValueError, RecursionError):
        return None


def _with_raw_arguments(value: Any) -> Any:
    """A decoded body with the arguments of calls as JSON again, as `FunctionBody` has them."""
    if isinstance(value, list):
        return [_with_raw_arguments(item) for item in value]
    if not isinstance(value, dict):
        return value
    held = {name: _with_raw_arguments(each) for name, each in value.items()}
    if "arguments" in value:
        held["arguments"] = msgspec.Raw(json.dumps(value["arguments"]).encode())
    return held


def reasoning_of(message: MessageBody) -> str:
    """The reasoning in a message: servers that send it in two fields say the same in both."""
    for field in (message.reasoning_content, message.reasoning, message.reasoning_details):
        if field and (text := text_of(field, thought=True)):
            return text
    content = message.content
    if not isinstance(content, list):
        return ""
    return "".join(_thought(part) for part in content if isinstance(part, dict))


def _thought(part: dict[str, Any]) -> str:
    """A part of content that is a thought, as Mistral, Anthropic and others write it."""
    if part.get("type") not in THOUGHTS:
        return ""
    return text_of([part.get("thinking") or part.get("text")], thought=True)


def text_of(value: object, *, thought: bool = False) -> str:
    """A string, a number, or a list of parts with text in them (or, of reasoning, with a summary)."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(text_of(item, thought=thought) for item in value)
    if isinstance(value, dict):
        if not thought and value.get("type") in THOUGHTS:
            return ""
        text = value.get("text") or (value.get("summary") if thought else None)
        return text_of(text, thought=thought)
    return str(value) if isinstance(value, int) else ""


def arguments_of(raw: msgspec.Raw) -> str:
    """Arguments are JSON text in a string; a server that sends the object itself is understood too."""
    data = bytes(raw).strip()
    if data in (b"", b"null"):
        return ""
    if not data.startswith(b'"'):
        return data.decode()
    try:
        return msgspec.json.decode(data, type=str)
    except (msgspec.MsgspecError, UnicodeError):
        return str(json.loads(data))


def usage_of(usage: dict[str, Any]) -> Usage:
    details = usage.get("prompt_tokens_details")
    return Usage(
        prompt=count_of(usage.get("prompt_tokens")),
        completion=count_of(usage.get("completion_tokens")),
        cached=count_of(details.get("cached_tokens")) if isinstance(details, dict) else 0,
    )


def count_of(value: object) -> int:
    """A count of tokens; nonsense is 0, and an absurd one is capped, so that sums of them fit an event."""
    return int(min(max(0, value), MAX_TOKENS)) if isinstance(value, int | float) and value == value else 0  # noqa: PLR0124 - NaN
