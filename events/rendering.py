"""How the messages of a context go out: in the one form that the queue keeps, or as a particular server takes them.

Rules. (1) A pure function of the messages and the parts of the format: the queue itself stays as it is. (2) Nothing is
left out but what the server cannot be told at all. (3) Between evictions a request goes on where the one before it
ended: what is joined is joined at the end, so that a prompt cache is good up to the last message's last line.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, Literal, TypeAlias

import msgspec

from palimpsest.events.formats import ALTERNATING, BARE_CALLS, NO_CONTENT, NO_SYSTEM, SHORT_IDS, TEXT_CALLS, Format
from palimpsest.events.functions import longest_name
from palimpsest.events.text_calls import call_text, result_text
from palimpsest.events.types import OFFLINE
from palimpsest.events.vocabulary import EntryKind, Role

SHAPES: Final = frozenset({ALTERNATING, NO_SYSTEM, SHORT_IDS, BARE_CALLS, NO_CONTENT, TEXT_CALLS})
"""The parts that give messages another form than the queue's."""
ID_CHARS: Final = 9
BRIDGE: Final = "I wait for the next event."
"""What stands between a function's result and the next input, where the two may not be neighbours. No request ends
with it, so no model is asked to write it."""

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


MessageKind: TypeAlias = EntryKind | Literal["system", "summary", "status", "bridge"]
"""What a message is: that of its entry, or what stands beside the queue."""


class Message(msgspec.Struct):
    """A message on its way out."""

    kind: MessageKind
    body: dict[str, Any]

    @property
    def role(self) -> Role:
        role: Role = self.body["role"]
        return role

    def join(self, text: str, between: str = "\n") -> None:
        self.body["content"] = f"{self.body['content']}{between}{text}" if self.body.get("content") else text


def shapes(format: Format, model: str) -> frozenset[str]:
    """The parts that change messages' forms for this model: none for the built-in one, which reads the queue's own."""
    return SHAPES.intersection(format) if model != OFFLINE else frozenset()


def rendered(messages: Iterable[tuple[MessageKind, bytes]], wanted: frozenset[str]) -> list[bytes]:
    """The messages (kind, JSON) of a request in the forms that are `wanted` (see `shapes`)."""
    if not wanted:
        return [wire for _, wire in messages]
    made = [Message(kind, msgspec.json.decode(wire)) for kind, wire in messages]
    if TEXT_CALLS in wanted:
        _as_text(made)
    if BARE_CALLS in wanted:
        _bare(made)
    if NO_CONTENT in wanted:
        _without_content(made)
    if SHORT_IDS in wanted:
        _shorten_ids(made)
    if ALTERNATING in wanted:
        made = _alternating(made)
    if NO_SYSTEM in wanted:
        made = _without_system(made)
    return [msgspec.json.encode(each.body) for each in made]


def alone(kind: MessageKind, wire: bytes, wanted: frozenset[str]) -> list[bytes]:
    """What a message of the queue adds to a request at most: for its count, which must not hang on its neighbours."""
    sent = rendered([(kind, wire)], wanted - {ALTERNATING, NO_SYSTEM})
    if ALTERNATING in wanted and kind == "assistant" and b'"tool_calls"' in wire:
        sent.append(_bridge())
    return sent


def _bridge() -> bytes:
    return msgspec.json.encode({"role": "assistant", "content": BRIDGE})


# --- shapes -------------------------------------------------------------------------------------------------------


def _as_text(messages: list[Message]) -> None:
    """Calls as the model would write them, and results as it would read them."""
    names: dict[str, str] = {}
    for each in messages:
        calls = each.body.pop("tool_calls", ())
        if calls:
            names |= {call["id"]: call["function"]["name"] for call in calls}
            written = [call_text(call["function"]["name"], call["function"]["arguments"]) for call in calls]
            each.body["content"] = "\n".join([*filter(None, (each.body["content"],)), *written])
        elif each.role == "tool":
            name = names.get(each.body["tool_call_id"], longest_name())
            each.body = {"role": "user", "content": result_text(name, each.body["content"])}


def _bare(messages: list[Message]) -> None:
    for each in messages:
        if each.body.get("tool_calls"):
            each.body["content"] = ""


def _without_content(messages: list[Message]) -> None:
    for each in messages:
        if each.body.get("tool_calls") and not each.body.get("content"):
            each.body.pop("content", None)


def _shorten_ids(messages: list[Message]) -> None:
    """Ids that are unique in the whole request, of the one length that Mistral's servers and templates take."""
    uses: Counter[str] = Counter()
    short: dict[str, str] = {}
    for each in messages:
        for call in each.body.get("tool_calls", ()):
            short[call["id"]] = _short(call["id"], uses[call["id"]])
            uses[call["id"]] += 1
            call["id"] = short[call["id"]]
        if "tool_call_id" in each.body:
            called = each.body["tool_call_id"]
            each.body["tool_call_id"] = short.get(called) or _short(called, 0)


def _short(id: str, use: int) -> str:
    """The id for its use number `use` (from 0) in the request; one that is good stays."""
    if use == 0 and len(id) == ID_CHARS and id.isascii() and id.isalnum():
        return id
    number = int.from_bytes(hashlib.blake2s(f"{id}#{use}".encode(), digest_size=8).digest())
    digits = []
    for _ in range(ID_CHARS):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(digits)


def _alternating(messages: list[Message]) -> list[Message]:
    """User and assistant in turn, results where they belong. What the system adds to a result (a heartbeat, the status)
    is joined to it; an input that follows one has a word of the assistant's before it."""
    made: list[Message] = []
    for each in messages:
        last = made[-1] if made else None
        if last and each.role == "user" and (last.role == "user" or (last.role == "tool" and each.kind != "input")):
            last.join(each.body["content"])
            continue
        if last and _is_plain(each) and _is_plain(last):
            last.join(each.body["content"])
            continue
        if last and each.role == "user" and last.role == "tool":
            made.append(Message("bridge", msgspec.json.decode(_bridge())))
        made.append(each)
    return made


def _is_plain(message: Message) -> bool:
    return message.role == "assistant" and not message.body.get("tool_calls")


def _without_system(messages: list[Message]) -> list[Message]:
    """The system text heads the first user message: with nothing before it where there is none."""
    if messages[0].role != "system":
        return messages
    system, *others = messages
    head = Message(system.kind, {"role": "user", "content": system.body["content"]})
    if others and others[0].role == "user":
        head.join(others[0].body["content"], "\n\n")
        others = others[1:]
    return [head, *others]
