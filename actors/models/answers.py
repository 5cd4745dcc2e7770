"""A chat-completions answer, whole or streamed, read leniently into an `Answer`.

Rules. (1) Whole and streamed answers go through the same `AnswerBuilder`, so they come out equal. (2) What a server got
slightly wrong (no id, arguments as an object, content in parts, no usage) is read; what is no answer is a `Failure`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.models.failures import Failure, from_error
from actors.models.own import OwnFields
from actors.models.pieces import StreamedArgument
from actors.models.protocol import Answer, OnPiece, Piece
from events.own_fields import OTHERS, REASONING
from events.types import ToolCall, Usage

SPOKEN: Final = ("send_message", "message")
"""The function and the argument that the user sees."""
_FINISHES: Final = {
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "length": "length",
    "max_tokens": "length",  # Anthropic, Gemini
    "max_output_tokens": "length",
    "model_length": "length",  # Mistral: the end of the model's window
    "model_context_window_exceeded": "length",  # Anthropic
    "content_filter": "content_filter",
    "content_filtered": "content_filter",  # Bedrock
    "guardrail_intervened": "content_filter",
    "safety": "content_filter",  # Gemini, with the four that follow
    "recitation": "content_filter",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
    "spii": "content_filter",
    "sensitive": "content_filter",  # GLM
    "insufficient_system_resource": "interrupted",  # DeepSeek
    "network_error": "interrupted",  # GLM
    "abort": "interrupted",  # vLLM
    "repetition": "interrupted",
    "error": "interrupted",  # Mistral, OpenRouter
}
"""What servers call the end of an answer, in lower case. What is not here is an end like any other."""
OWN: Final = (*REASONING, *OTHERS)
DONE: Final = b"[DONE]"

MAX_TOKENS = 1_000_000_000


class Function(msgspec.Struct):
    name: Any = None
    arguments: msgspec.Raw = msgspec.Raw(b"")


class Call(msgspec.Struct):
    index: Any = None
    id: Any = None
    function: Function | None = None
    extra_content: Any = None
    provider_specific_fields: Any = None

    def own(self) -> dict[str, Any]:
        return {"extra_content": self.extra_content, "provider_specific_fields": self.provider_specific_fields}


class Message(msgspec.Struct):
    content: Any = None
    refusal: Any = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    thinking_blocks: Any = None
    extra_content: Any = None
    provider_specific_fields: Any = None

    def has_own(self) -> bool:
        thought = self.reasoning_content or self.reasoning or self.reasoning_details
        return bool(thought or self.extra_content or self.thinking_blocks or self.provider_specific_fields)

    def own(self) -> dict[str, Any]:
        """The fields of the server's own (`events.own_fields`)."""
        return {name: getattr(self, name) for name in OWN}


class Choice(msgspec.Struct):
    index: Any = 0
    message: Message | None = None
    delta: Message | None = None
    finish_reason: Any = None


class Completion(msgspec.Struct):
    """A whole answer, or one chunk of a streamed one."""

    choices: list[Choice] | None = None
    model: Any = None
    usage: Any = None
    error: Any = None


def whole_answer(body: bytes, on_piece: OnPiece | None = None) -> Answer | Failure:
    """The answer in a complete response body."""
    completion = _decoded(body)
    if isinstance(completion, Failure):
        return completion
    builder = AnswerBuilder(on_piece)
    failure = builder.add_whole(completion)
    return failure or builder.answer()


def _decoded(body: bytes) -> Completion | Failure:
    try:
        completion = msgspec.json.decode(body, type=Completion)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _not_json(body)
    return from_error(completion.error) if completion.error else completion


def _not_json(body: bytes) -> Failure:
    start = body[:1000].decode("utf-8", "replace").strip()
    if start.startswith("<"):
        return Failure("bad_answer", "An HTML page came back: check that the base_url is an API's (it may end in /v1).")
    return Failure("bad_answer", "What came back is no chat completion: check the base_url.", start or "(nothing)")


class _Slot:
    """A tool call on its way."""

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []
        self.unread = ""  # of the arguments, by `spoken`
        self.spoken = StreamedArgument(SPOKEN[1])


class AnswerBuilder:
    """Puts an answer together.

    `finished`: the answer has its finish reason; `closed`: the stream said that it is over; `emitted`: pieces went out.
    """

    def __init__(self, on_piece: OnPiece | None = None) -> None:
        self.finished = False
        self.closed = False
        self.emitted = False
        self._on_piece = on_piece
        self._content: list[str] = []
        self._refusal: list[str] = []
        self._slots: list[_Slot] = []
        self._by_index: dict[int, _Slot] = {}
        self._finish = ""
        self._model = ""
        self._usage = Usage()
        self._own = OwnFields()

    def add_whole(self, completion: Completion) -> Failure | None:
        choice = completion.choices[0] if completion.choices else None
        message = choice.message if choice else None
        if choice is None or message is None:
            what = "a choice without a message" if choice else "no choices"
            return Failure("bad_answer", f"The answer has {what}: check the server's log.", again=True)
        self._add_head(completion)
        self._add_finish(choice)
        self._add_text(message)
        for call in message.tool_calls or ():
            self._slots.append(_Slot())
            self._add_call(self._slots[-1], call)
        return None

    def add_chunk(self, payload: bytes) -> Failure | None:
        """One event of a stream."""
        if payload == DONE:
            self.closed = True
            return None
        chunk = _decoded(payload)
        if isinstance(chunk, Failure):
            return chunk
        self._add_head(chunk)
        for choice in chunk.choices or ():
            if choice.index in (0, None):
                self._add_finish(choice)
                delta = choice.delta or choice.message or Message()
                self._add_text(delta)
                for call in delta.tool_calls or ():
                    self._add_call(self._slot_of(call), call)
        return None

    def answer(self) -> Answer:
        content = "".join(self._content) or "".join(self._refusal)
        calls = tuple(ToolCall(id=slot.id, name=slot.name, arguments="".join(slot.arguments)) for slot in self._slots)
        finish = _FINISHES.get(self._finish, "stop")
        own = self._own.own(len(calls))
        return Answer(content=content, calls=calls, finish=finish, model=self._model, usage=self._usage, own=own)

    def _add_head(self, completion: Completion) -> None:
        self._model = _text(completion.model) or self._model
        if isinstance(completion.usage, dict):
            self._usage = _usage(completion.usage)

    def _add_finish(self, choice: Choice) -> None:
        if choice.finish_reason:
            self._finish = _text(choice.finish_reason).lower()
            self.finished = True

    def _add_text(self, message: Message) -> None:
        if message.has_own():
            self._own.add(message.own())
        for text, kept in ((_text(message.content), self._content), (_text(message.refusal), self._refusal)):
            if text:
                kept.append(text)
                self._emit("thought", text)
        if message.function_call is not None:  # the protocol's older form, of one call
            self._add_call(self._slot_of(Call(index=0)), Call(function=message.function_call))

    def _slot_of(self, call: Call) -> _Slot:
        """The call that a delta goes on with. Servers that send no index, or always 0, tell calls apart by ids."""
        call_id = _text(call.id)
        last = self._slots[-1] if self._slots else None
        slot = self._by_index.get(call.index) if isinstance(call.index, int) else last
        if slot is None or (call_id and slot.id and call_id != slot.id):
            slot = _Slot()
            self._slots.append(slot)
        if isinstance(call.index, int):
            self._by_index[call.index] = slot
        return slot

    def _add_call(self, slot: _Slot, call: Call) -> None:
        slot.id = slot.id or _text(call.id)
        if call.extra_content or call.provider_specific_fields:
            self._own.add_call(self._slots.index(slot), call.own())
        function = call.function or Function()
        name = _text(function.name)
        if name != slot.name:  # some servers repeat the name in every delta
            slot.name += name
        arguments = _arguments(function.arguments)
        slot.arguments.append(arguments)
        slot.unread += arguments
        if slot.name == SPOKEN[0] and slot.unread:
            self._emit("message", slot.spoken.feed(slot.unread))
            slot.unread = ""

    def _emit(self, kind: str, text: str) -> None:
        if text and self._on_piece is not None:
            self.emitted = True
            self._on_piece(Piece(kind, text))


def _text(value: object) -> str:
    """A string, a number, or a list of parts with text in them."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(_text(part.get("text")) if isinstance(part, dict) else _text(part) for part in value)
    return str(value) if isinstance(value, int) else ""


def _arguments(raw: msgspec.Raw) -> str:
    """Arguments are JSON text in a string; a server that sends the object itself is understood too."""
    data = bytes(raw).strip()
    if data in (b"", b"null"):
        return ""
    return msgspec.json.decode(data, type=str) if data.startswith(b'"') else data.decode()


def _usage(usage: dict[str, Any]) -> Usage:
    details = usage.get("prompt_tokens_details")
    return Usage(
        prompt=_count(usage.get("prompt_tokens")),
        completion=_count(usage.get("completion_tokens")),
        cached=_count(details.get("cached_tokens")) if isinstance(details, dict) else 0,
    )


def _count(value: object) -> int:
    """A count of tokens; nonsense is 0, and an absurd one is capped, so that sums of them fit an event."""
    return int(min(max(0, value), MAX_TOKENS)) if isinstance(value, int | float) and value == value else 0  # noqa: PLR0124 - NaN
