"""The context compiler: a state to the very bytes of a request, and their count.

Rules. (1) A pure function of the state: no clock, no lookup. (2) The prefix stays the same between evictions: what
changes (counts, time, notes) stands in the last message. (3) What is counted is what is sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from math import ceil
from typing import Any, Final, Literal, TypeAlias

import msgspec

from palimpsest.events.body import fields
from palimpsest.events.brief import system_text
from palimpsest.events.encodings import is_own
from palimpsest.events.formats import BRIEF, DESCRIBED_BLOCKS, TEXT_CALLS, Format
from palimpsest.events.functions import USUAL, Functions, Labels, function_named, functions_of, schemas
from palimpsest.events.own_fields import own_texts, with_own
from palimpsest.events.rendering import MessageKind, alone, rendered, shapes
from palimpsest.events.servers import summarizer
from palimpsest.events.state import UNCOUNTED, Entry, State, Summary
from palimpsest.events.text_calls import functions_text
from palimpsest.events.texts import clip
from palimpsest.events.times import ShownTime, now, stamp, zone_of
from palimpsest.events.types import Block, Settings
from palimpsest.events.vocabulary import Role

Count = Callable[[str, str], int]
"""(encoding, text) -> tokens."""

# The framing of chat messages as OpenAI publishes it for its models: tokens around each message, and before the reply.
PER_MESSAGE: Final = 4
PER_CALL: Final = 8
PRIMING: Final = 3
PER_FUNCTION: Final = 19
PER_PARAMETER: Final = 6

_json = msgspec.json.encode


# --- pieces -------------------------------------------------------------------------------------------------------


def message(role: Role, content: str) -> bytes:
    return _json({"role": role, "content": content})


PackageType: TypeAlias = Literal["user_message", "login", "upload", "system_alert", "heartbeat", "timer"]
"""What a packaged event says that it is."""


def package(type: PackageType, at: ShownTime, **fields: str) -> bytes:
    """A packaged event as MemGPT has it: a user message whose content is JSON."""
    return message("user", _json({"type": type, **fields, "time": stamp(*at)}).decode())


def package_result(call: str, at: ShownTime, text: str, *, ok: bool) -> bytes:
    """A function's result as the model reads it."""
    content = _json({"status": "OK" if ok else "Failed", "message": text, "time": stamp(*at)}).decode()
    return _json({"role": "tool", "tool_call_id": call, "content": content})


PRESSURE_WARNING: Final = (
    "Warning: the conversation history will soon reach its maximum length and be trimmed. Make sure to save any "
    "important information from the conversation to your memory before it is removed."
)


def pressure_warning(at: ShownTime) -> bytes:
    return package("system_alert", at, message=PRESSURE_WARNING)


@lru_cache(maxsize=256)
def tools_json(functions: Functions, format: Format, labels: Labels = USUAL) -> bytes:
    """The functions as they are offered."""
    return _json(schemas(functions, format, labels))


def _labels(state: State) -> Labels:
    return tuple([block.label for block in state.blocks]) if DESCRIBED_BLOCKS in state.format else USUAL


def system_message(state: State) -> bytes:
    """System instructions and core memory; and the functions, where they are told in the text."""
    described = DESCRIBED_BLOCKS in state.format and BRIEF not in state.format
    blocks = "\n".join(
        f'<{block.label} characters="{len(block.value)}/{block.limit}"{_described(block) if described else ""}>\n'
        f"{block.value}\n</{block.label}>"
        for block in state.blocks
    )
    memory = (
        "### Core memory\n"
        "Shown below; limited in size: more is in recall storage (every message) and archival storage.\n"
    )
    functions = f"\n\n{_functions_text(state)}" if _tells_in_text(state) else ""
    system = system_text(state.system) if BRIEF in state.format else state.system
    return message("system", f"{system}\n\n{memory}{blocks}{functions}")


def _described(block: Block) -> str:
    """What a section is for, as an attribute of its tag."""
    said = clip(" ".join(block.description.replace('"', "'").split()), _DESCRIPTION_CHARS)
    return f' description="{said}"' if said else ""


_DESCRIPTION_CHARS: Final = 300


def _tells_in_text(state: State) -> bool:
    return TEXT_CALLS in shapes(state.format, state.settings.model)


def _functions_text(state: State) -> str:
    return functions_text(schemas(functions_of(state), state.format, _labels(state)))


def summary_message(summary: Summary) -> bytes:
    """The recursive summary, first in the queue. Its counts are those of its writing, so that the prefix stays."""
    text = (
        f"Note: prior messages ({summary.hidden} of {summary.total} total messages) have been hidden from view due to "
        "conversation memory constraints.\n"
        f"The following is a summary of the previous {summary.hidden} messages:\n{summary.text}"
    )
    return package("system_alert", ShownTime(summary.time_ms, summary.offset_s), message=text)


def status_message(state: State) -> bytes:
    """The last message of a context: all that changes from request to request."""
    fields: dict[str, str | int] = {
        "type": "memory_status",
        "recall_messages": state.recall_messages,
        "archival_passages": state.archival_passages,
        "time": stamp(*now(state)),
    }
    zone = state.turn.zone if state.turn else zone_of(state)
    if zone:
        fields["time_zone"] = zone
    if state.sources:
        fields["attached_sources"] = _sources(state.sources)
    if state.turn and state.turn.note:
        fields["note"] = state.turn.note
    return message("user", _json(fields).decode())


_SOURCES_SHOWN: Final = 5
_SOURCE_CHARS: Final = 24


def _sources(sources: tuple[str, ...]) -> str:
    """The attached sources in a line that stays short, whatever their number and names."""
    names = ", ".join(clip(source, _SOURCE_CHARS) for source in sources[:_SOURCES_SHOWN])
    more = len(sources) - _SOURCES_SHOWN
    return f"{names} and {more} more (list_documents names all)" if more > 0 else names


# --- requests -----------------------------------------------------------------------------------------------------


def reply_request(state: State) -> bytes:
    """The request for the model's next message: the agent's main context."""
    model = state.settings.model
    system, tools = head_wires(state)
    pieces: list[tuple[MessageKind, bytes]] = [("system", system)]
    if state.summary:
        pieces.append(("summary", summary_message(state.summary)))
    pieces += [(entry.kind, _sent(state, entry)) for entry in state.queue]
    pieces.append(("status", status_message(state)))
    return _request(state.settings, model, rendered(pieces, shapes(state.format, model)), tools=tools, reply=True)


def _sent(state: State, entry: Entry) -> bytes:
    return with_own(state, entry) if entry.kind == "assistant" else entry.wire


def summary_cap_tokens(settings: Settings) -> int:
    """The most that a summary may hold: room for its words, and never more than an eighth of the window."""
    return max(48, min(settings.summary_words * 3, settings.window_tokens // 8))


def summary_request(state: State, seqs: tuple[int, ...], clip_chars: int) -> bytes:
    """The request for a summary of the previous summary and the queue's entries `seqs`, each line clipped."""
    gone = set(seqs)
    lines = [line for entry in state.queue if entry.seq in gone for line in transcript(entry.wire, clip_chars)]
    previous = f"Previous summary:\n{state.summary.text}\n\n" if state.summary else ""
    system = (
        "Your job is to summarize a history of previous messages in a conversation between an AI persona and a human. "
        "The conversation is as the AI saw it: events, messages of the user, its own messages, function calls and "
        "results. Summarize it from the perspective of the AI (use the first person), keep every fact that may be "
        "needed later with its date, and merge the previous summary into it. "
        f"Write at most {summary_cap_tokens(state.settings) // 3} words. Only output the summary, nothing else."
    )
    told = message("user", previous + "Messages:\n" + "\n".join(lines))
    asked = summarizer(state.settings)
    pieces = rendered((("system", message("system", system)), ("input", told)), shapes(state.format, asked.model))
    return _request(asked, asked.model, pieces)


def open_request(state: State) -> bytes:
    """The bytes of an inference, from the fold up to and with its request: what the LLM processor must send."""
    if state.turn and state.turn.phase == "summarising" and state.eviction:
        return summary_request(state, state.eviction.seqs, state.eviction.clip_chars)
    return reply_request(state)


def fingerprint(request: bytes) -> bytes:
    """SHA-256 of a request's bytes."""
    return hashlib.sha256(request).digest()


def _request(settings: Settings, model: str, pieces: list[bytes], *, tools: bytes = b"", reply: bool = False) -> bytes:
    tail = b',"tools":' + tools if tools else b""
    tail += fields(settings, tools=bool(tools), reply=reply)
    limit = b',"%b":%d}' % (settings.output_parameter.encode(), settings.reserve_tokens)
    return b'{"model":%b,"messages":[%b]%b%b' % (_json(model), b",".join(pieces), tail, limit)


def transcript(wire: bytes, clip_chars: int) -> list[str]:
    """A queue message as lines of text, each clipped to so many characters."""
    parsed = msgspec.json.decode(wire)
    content = parsed.get("content") or ""
    match parsed["role"]:
        case "user":
            lines = _event_lines(msgspec.json.decode(content))
        case "assistant":
            lines = [f"assistant (thinking): {content}"] if content and parsed.get("tool_calls") else []
            lines += [f"assistant: {content}"] if content and not parsed.get("tool_calls") else []
            lines += [_call_line(call["function"]) for call in parsed.get("tool_calls", ())]
        case _:
            text = msgspec.json.decode(content)["message"]
            lines = [f"result: {text}"] if text != SENT else []
    return [clip(line, clip_chars) for line in lines]


SENT: Final = "None"
"""The result of a function that has nothing to say."""


def _event_lines(event: dict[str, Any]) -> list[str]:
    """Of heartbeats only those of a timer, which have a note, tell what happened."""
    if event["type"] == "heartbeat" and not event.get("note"):
        return []
    speaker = event.get("name", "user") if event["type"] == "user_message" else event["type"]
    text = event.get("message") or ", ".join(f"{k}: {v}" for k, v in event.items() if k not in {"type", "time"})
    return [f"[{event['time']}] {speaker}: {text}"]


def _call_line(function: dict[str, str]) -> str:
    known = function_named(function["name"])
    if known and known.speaks:
        with suppress(msgspec.DecodeError, KeyError, TypeError):
            return f"assistant: {msgspec.json.decode(function['arguments'])[known.tells]}"
    return f"assistant called {function['name']}({function['arguments']})"


# --- counts -------------------------------------------------------------------------------------------------------


def message_tokens(wire: bytes, settings: Settings, count: Count) -> int:
    """Tokens of one message with its framing: its text as the encoding has it, and OpenAI's published overheads."""
    parsed = msgspec.json.decode(wire)
    encoding = settings.encoding
    total = PER_MESSAGE + count(encoding, parsed.get("content") or "")
    for call in parsed.get("tool_calls", ()):
        function = call["function"]
        total += PER_CALL + count(encoding, function["name"]) + count(encoding, function["arguments"])
    if "tool_call_id" in parsed:
        total += count(encoding, parsed["tool_call_id"])
    return total + sum(count(encoding, text) for text in own_texts(parsed))


def entry_tokens(state: State, entry: Entry, count: Count) -> int:
    """Tokens that a message of the queue takes as it goes out. Messages that are joined are counted as if each stood
    alone, which is never less."""
    return sum(message_tokens(wire, state.settings, count) for wire in sent_wires(state, entry))


def sent_wires(state: State, entry: Entry) -> tuple[bytes, ...]:
    """A message of the queue as it goes out, each message of it as if it stood alone."""
    wanted = shapes(state.format, state.settings.model)
    wire = _sent(state, entry)
    return tuple(alone(entry.kind, wire, wanted)) if wanted else (wire,)


def tools_tokens(encoding: str, count: Count, functions: Functions, format: Format, labels: Labels = USUAL) -> int:
    """Tokens of the functions' schemas: as OpenAI's models read them, others as JSON."""
    if is_own(encoding):
        return PER_FUNCTION + count(encoding, tools_json(functions, format, labels).decode())
    return _openais_tools_tokens(encoding, count, functions, format, labels)


@lru_cache(maxsize=256)
def _openais_tools_tokens(encoding: str, count: Count, functions: Functions, format: Format, labels: Labels) -> int:
    total = 0
    for schema in schemas(functions, format, labels):
        function = schema["function"]
        total += PER_FUNCTION + count(encoding, f"{function['name']}:{function['description']}")
        for name, parameter in function["parameters"]["properties"].items():
            text = f"{name}:{parameter['type']}:{parameter.get('description', '')}"
            total += PER_PARAMETER + count(encoding, text)
    return total


def head_tokens(state: State, count: Count) -> int:
    """Tokens of the system message and the functions' schemas."""
    if state.head_tokens != UNCOUNTED:
        return state.head_tokens
    settings = state.settings
    head = message_tokens(system_message(state), settings, count)
    if _tells_in_text(state):
        return head
    return head + tools_tokens(settings.encoding, count, functions_of(state), state.format, _labels(state))


def head_wires(state: State) -> tuple[bytes, bytes]:
    """The system message, and the functions (b"": they are told in the text)."""
    if _tells_in_text(state):
        return system_message(state), b""
    return system_message(state), tools_json(functions_of(state), state.format, _labels(state))


def with_margin(tokens: int, settings: Settings) -> int:
    """The count that is held against the window: with the margin of a model whose encoding is not known."""
    return ceil(tokens * settings.margin)


def without_margin(tokens: int, settings: Settings) -> int:
    """The count that a count with the margin was made of: with a margin of 1 or more there is one at most."""
    guess = int(tokens / settings.margin)
    return next((n for n in (guess, guess + 1, guess - 1) if with_margin(n, settings) == tokens), guess)


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """A context's tokens by part, without margin. `counted` are the counts of the entries that had none."""

    head: int
    summary: int
    entries: tuple[int, ...]
    status: int
    counted: tuple[int, ...]

    @property
    def total(self) -> int:
        return PRIMING + self.head + self.summary + sum(self.entries) + self.status


def measure(state: State, count: Count) -> Measure:
    """Count what `reply_request(state)` would send; counts that the state has are not made again."""
    settings = state.settings
    entries = tuple(
        entry_tokens(state, entry, count) if entry.tokens == UNCOUNTED else entry.tokens for entry in state.queue
    )
    counted = tuple(n for entry, n in zip(state.queue, entries, strict=True) if entry.tokens == UNCOUNTED)
    return Measure(
        head=head_tokens(state, count),
        summary=_summary_tokens(state, count),
        entries=entries,
        status=message_tokens(status_message(state), settings, count),
        counted=counted,
    )


def _summary_tokens(state: State, count: Count) -> int:
    summary = state.summary
    if summary is None:
        return 0
    if summary.tokens != UNCOUNTED:
        return summary.tokens
    return message_tokens(summary_message(summary), state.settings, count)
