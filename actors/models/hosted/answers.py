"""A chat-completions answer, whole or streamed, read leniently into an `Answer`.

Rules. (1) Whole and streamed answers go through the same `AnswerBuilder`, so they come out equal. (2) What a server got
slightly wrong (no id, arguments as an object, content in parts, no usage) is read; what is no answer is a `Failure`.
(3) Content is a thought where a call follows, and else the message: until that is known it is not shown, unless the
model is one that answers in plain text. (4) Thoughts and calls in the content are thoughts and calls (`events.markup`);
where an answer has calls of its own, those in its content are thoughts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from palimpsest.actors.models.hosted.completions import (
    CallBody,
    Choice,
    Completion,
    FunctionBody,
    MessageBody,
    arguments_of,
    count_of,
    decoded,
    reasoning_of,
    text_of,
    usage_of,
)
from palimpsest.actors.models.hosted.failures import Failure, from_error, from_text, strange_body
from palimpsest.actors.models.hosted.own import OwnFields
from palimpsest.actors.models.hosted.pieces import Halves, ObjectEnd, StreamedArgument
from palimpsest.actors.models.protocol import Answer, OnPiece, Piece, PieceKind
from palimpsest.events.functions import SEND_MESSAGE, parameter_types
from palimpsest.events.markup import MarkupReading, Splitter
from palimpsest.events.markup_calls import function_name
from palimpsest.events.markup_given import TextPiece
from palimpsest.events.types import ToolCall, Usage
from palimpsest.events.vocabulary import Finish

SPOKEN: Final = (SEND_MESSAGE.name, SEND_MESSAGE.tells)
"""The function and the argument that the user sees."""
_FINISHES: Final[Mapping[str, Finish]] = {
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
DONE: Final = b"[DONE]"

MOST_CHARS: Final = 4_000_000
"""No answer is longer: some thirty times what any model writes at once."""
CALL_CHARS: Final = 200
"""What a call counts for, besides its text."""
MOST_PENDING: Final = 1_000_000
"""Bytes of a payload that goes over several lines."""
REPLACED: Final = "characters that came broken were replaced by U+FFFD"


class _Slot:
    """A tool call on its way."""

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []
        self.unread = ""  # of the arguments, by `spoken`
        self.spoken = StreamedArgument(SPOKEN[1])
        self.halves = Halves()
        self._end = ObjectEnd()
        self._scanned = 0  # so many of `arguments` went into it

    @property
    def is_closed(self) -> bool:
        """Whether its arguments are an object that has come to its end."""
        for part in self.arguments[self._scanned :]:
            self._end.feed(part)
        self._scanned = len(self.arguments)
        return self._end.closed


class AnswerBuilder:
    """Puts an answer together. `plain`: content is the message, as far as is known.

    `finished`: the answer has its finish reason; `closed`: the stream said that it is over; `chose`: something of an
    answer came, if nothing was in it; `chars`: what was in it, in characters; `strange`: the first payload that was no
    JSON.
    """

    def __init__(self, on_piece: OnPiece | None = None, *, plain: bool = False) -> None:
        self.finished = False
        self.closed = False
        self.chose = False
        self.chars = 0
        self.strange = b""
        self.notes: dict[str, None] = {}
        self._on_piece = on_piece
        self._plain = plain
        self._content: list[str] = []
        self._split = Splitter(parameter_types())
        self._read: MarkupReading | None = None  # the content, once all of it is there
        self._unsaid: list[str] = []  # content that is not known to be thought or message yet
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._halves: dict[int, Halves] = {}
        self._slots: list[_Slot] = []
        self._by_index: dict[int, _Slot] = {}
        self._old: _Slot | None = None  # the call in the protocol's older form
        self._speaks: _Slot | None = None  # the last call of which something was said
        self._pending = b""  # a payload whose end is to come
        self._finish = ""
        self._model = ""
        self._usage = Usage()
        self._unseen = 0  # tokens of reasoning that the server keeps to itself
        self._own = OwnFields()

    # --- what comes in

    def add_whole(self, completion: Completion) -> Failure | None:
        if completion.error:
            return from_error(completion.error)
        choice = completion.choices[0] if completion.choices else None
        message = choice.message or choice.delta if choice else None
        if choice is None or message is None:
            what = "a choice without a message" if choice else "no choices"
            return Failure("bad_answer", f"The answer has {what}: check the server's log.", again=True)
        self._add_head(completion)
        self._add_finish(choice)
        self._add_message(message, whole=True)
        return None

    def add_chunk(self, payload: bytes) -> Failure | None:
        """One payload of a stream; b"" where an event ends."""
        if not payload:
            return self._torn()
        if payload == DONE:
            self.closed = True
            return None
        if not payload.startswith((b"{", b"[")) and not self._pending:
            self.strange = self.strange or payload
            self.notes["data that is no JSON was passed over"] = None
            return None
        payload = self._pending + b"\n" + payload if self._pending else payload
        chunk = decoded(payload)
        if chunk is None:
            self._pending = payload
            return self._torn() if len(payload) > MOST_PENDING else None
        self._pending = b""
        return from_text(payload) if chunk.is_error else self._add(chunk)

    def _torn(self) -> Failure | None:
        """An event has ended: none of it may be left."""
        left, self._pending = self._pending, b""
        return strange_body(left) if left else None

    def _add(self, chunk: Completion) -> Failure | None:
        if chunk.error:
            return from_error(chunk.error)
        self._add_head(chunk)
        for choice in chunk.choices or ():
            if choice.index not in (0, None):
                continue
            self._add_finish(choice)
            if choice.delta is not None:
                self._add_message(choice.delta)
            elif choice.message is not None and not self.chars:
                self._add_message(choice.message, whole=True)
            self.chose = True
        return None

    def _add_head(self, completion: Completion) -> None:
        self._model = text_of(completion.model) or self._model
        if isinstance(completion.usage, dict):
            self._usage = usage_of(completion.usage)
            details = completion.usage.get("completion_tokens_details")
            self._unseen = count_of(details.get("reasoning_tokens")) if isinstance(details, dict) else 0

    def _add_finish(self, choice: Choice) -> None:
        if choice.finish_reason:
            self._finish = text_of(choice.finish_reason).lower()
            self.finished = True

    def _add_message(self, message: MessageBody, *, whole: bool = False) -> None:
        """A message, or a piece of one. Of a call in both forms the newer one counts."""
        self.chose = True
        if message.has_own:
            self._own.add(message.own)
        if reasoning := reasoning_of(message):
            self._add_reasoning(reasoning)
        if message.content:
            self._add_content(self._sound(0, text_of(message.content)))
        if message.refusal:
            self._add_refusal(self._sound(1, text_of(message.refusal)))
        for call in message.tool_calls or ():
            slot = self._new_slot() if whole else self._slot_of(call)
            if slot is not None:
                self._add_call(slot, call)
        if message.function_call is not None and not self._slots:
            self._old = self._old or _Slot()
            self._add_call(self._old, CallBody(function=message.function_call))

    def _add_reasoning(self, text: str) -> None:
        text = self._sound(2, text)
        self._reasoning.append(text)
        self._emit("thought", text)

    def _add_content(self, text: str) -> None:
        """Text that is the model's own: a message, or what it thinks beside its calls."""
        self._content.append(text)
        self._part(self._split.feed(text))

    def _part(self, pieces: list[TextPiece]) -> None:
        """Hand on what content was found to be; what was to be a message may turn out to be a thought."""
        for kind, text in pieces:
            if kind == "message":
                self._unsaid.append(text)
            elif kind == "withdrawn":
                self._say("thought")
            else:
                self._emit("thought", text)
        if self._has_calls:
            self._say("thought")
        elif self._plain:
            self._say("message")

    def _add_refusal(self, text: str) -> None:
        self._refusal.append(text)
        if not self._content:
            self._unsaid.append(text)

    def _slot_of(self, call: CallBody) -> _Slot | None:
        """The call that a delta goes on with; None: it repeats one that is whole.

        Servers that send no index, or always 0, tell calls apart by ids; where there are none either, by a name that
        comes after the arguments of the one before have begun, and is another one, or after they are closed.
        """
        call_id, last = text_of(call.id), self._slots[-1] if self._slots else None
        slot = self._by_index.get(call.index) if isinstance(call.index, int) else last
        if slot is not None and call_id and slot.id and call_id != slot.id:
            slot = None
        elif slot is not None and call.function is not None and (name := text_of(call.function.name)):
            arguments = arguments_of(call.function.arguments)
            if slot.is_closed and arguments.strip():
                if call_id and (name, arguments) == (slot.name, "".join(slot.arguments)):
                    self.notes["a call that came twice counts once"] = None
                    return None
                slot = None
            elif name != slot.name and any(slot.arguments):
                slot = None
        slot = slot or self._new_slot()
        if isinstance(call.index, int):
            self._by_index[call.index] = slot
        return slot

    def _new_slot(self) -> _Slot:
        self._slots.append(_Slot())
        self.chars += CALL_CHARS
        return self._slots[-1]

    def _add_call(self, slot: _Slot, call: CallBody) -> None:
        self._say("thought")
        if call.own and slot in self._slots:
            self._own.add_call(self._slots.index(slot), call.own)
        slot.id = slot.id or text_of(call.id)
        function = call.function or FunctionBody()
        name = text_of(function.name)
        if name != slot.name:  # some servers repeat the name in every delta
            slot.name += name
        arguments = arguments_of(function.arguments)
        if slot.halves.is_waiting or not arguments.isascii():
            arguments = slot.halves.feed(arguments)
        self.chars += len(arguments)
        slot.arguments.append(arguments)
        slot.unread += arguments
        if slot.unread and function_name(slot.name, parameter_types()) == SPOKEN[0]:
            said = slot.spoken.feed(slot.unread)
            if slot is self._old or self._old is None:  # else it is said already
                self._emit("message", said if self._speaks in (None, slot) or not said else "\n" + said)
                self._speaks = slot if said else self._speaks
            slot.unread = ""

    # --- what goes out

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing at all in it."""
        return not self.chars and not self._has_calls

    @property
    def is_cut(self) -> bool:
        """Whether what came is no answer without its end: text, or a call that is not closed."""
        return not (self._has_calls and all(slot.is_closed for slot in self._called))

    @property
    def _has_calls(self) -> bool:
        return bool(self._slots or self._old)

    @property
    def _called(self) -> list[_Slot]:
        return self._slots or ([self._old] if self._old else [])

    @property
    def _parted(self) -> MarkupReading:
        """The whole content, read."""
        if self._read is None:
            self._end_halves()
            self._part(self._split.end())
            self._read = self._split.reading()
        return self._read

    def _thoughts(self, read: MarkupReading) -> str:
        beside = "".join(self._content).strip() if self._has_calls and read.calls else read.thoughts
        return "\n".join(text for text in ("".join(self._reasoning), beside) if text)

    def objection(self) -> Failure | None:
        """Why this is no answer: nothing but reasoning came, or the limit before anything did."""
        read, finish = self._parted, _FINISHES.get(self._finish, "stop")
        reasoning = self._thoughts(read)
        said = bool(read.text.strip() or read.calls) or any(text.strip() for text in self._refusal)
        if said or self._has_calls or not (reasoning.strip() or finish == "length"):
            return None
        return only_reasoning(reasoning, finish, max(self._usage.completion, self._unseen))

    def answer(self) -> Answer:
        read = self._parted
        calls = tuple(
            ToolCall(id=slot.id, name=function_name(slot.name, parameter_types()), arguments="".join(slot.arguments))
            for slot in self._called
        )
        self._say("thought" if read.calls else "message")
        return Answer(
            content=read.text or "".join(self._refusal),
            reasoning=self._thoughts(read),
            notes=tuple(self.notes),
            calls=calls or read.calls,
            finish=_FINISHES.get(self._finish, "stop"),
            model=self._model,
            usage=self._usage,
            own=self._own.own(len(calls)),
        )

    def _end_halves(self) -> None:
        adds = (self._add_content, self._refusal.append, self._reasoning.append)
        for channel, halves in self._halves.items():
            adds[channel](halves.end())
        for slot in self._called:
            slot.arguments.append(slot.halves.end())
        if any(halves.lost for halves in (*self._halves.values(), *(slot.halves for slot in self._called))):
            self.notes[REPLACED] = None

    def _sound(self, channel: int, text: str) -> str:
        """Text as it is to be kept."""
        self.chars += len(text)
        if text.isascii() and channel not in self._halves:
            return text
        return self._halves.setdefault(channel, Halves()).feed(text)

    def _say(self, kind: PieceKind) -> None:
        """Hand on the content that was kept back, as what it turned out to be."""
        if self._unsaid:
            text = "".join(self._unsaid)
            self._unsaid.clear()
            self._emit(kind, text)

    def _emit(self, kind: PieceKind, text: str) -> None:
        if text and self._on_piece is not None:
            self._on_piece(Piece(kind, text))


def only_reasoning(reasoning: str, finish: Finish, tokens: int) -> Failure:
    """What is said where a model thought, and did not speak."""
    if finish == "length":
        took = f" ({tokens:,} tokens)" if tokens else ""
        what = "only reasoning" if reasoning else "nothing to read (reasoning that is not shown counts)"
        detail = (
            f"The answer came to its length limit{took} with {what} in it: raise the agent's reserve_tokens, or lower "
            "the model's reasoning effort."
        )
    else:
        detail = (
            f"Only reasoning came ({len(reasoning):,} characters), and no answer: check how the server parses the "
            "model's reasoning, or turn the model's thinking off."
        )
    return Failure("bad_answer", detail)
