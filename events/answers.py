"""The model's answer as it goes back to the model: of a form that every provider takes, whatever the model wrote."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from palimpsest.events.context import message
from palimpsest.events.formats import EMPTY_CONTENT, Format
from palimpsest.events.functions import arguments_of
from palimpsest.events.types import ToolCall

MAX_ID_CHARS: Final = 64
INVALID_CHARS: Final = 1000
"""Of arguments that are no JSON object, the model sees so many characters again."""

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]")


def named(calls: Iterable[ToolCall], seq: int) -> Iterator[ToolCall]:
    """The calls, each with an id of its own, also where the model gave none, a giant, or the same one twice."""
    seen: set[str] = set()
    for index, call in enumerate(calls):
        id = call.id
        if not id or len(id) > MAX_ID_CHARS or id in seen:
            id = f"call_{seq}_{index}"
            while id in seen:
                id += "x"
        seen.add(id)
        yield call if id == call.id else replace(call, id=id)


def package_answer(content: str, calls: tuple[ToolCall, ...], format: Format) -> bytes:
    """An answer as a message; its calls have been named."""
    if not calls:
        return message("assistant", content)
    tool_calls = [_wire_call(call) for call in calls]
    return _calling(content, tool_calls, format)


def rewired(wire: bytes, format: Format) -> bytes:
    """An answer that was packaged in another format, in this one."""
    parsed = msgspec.json.decode(wire)
    calls = parsed.get("tool_calls")
    return _calling(parsed["content"] or "", calls, format) if calls else wire


def _calling(content: str, tool_calls: list[dict[str, Any]], format: Format) -> bytes:
    """Content that is null is in OpenAI's protocol; many servers and chat templates cannot take it."""
    said = content or ("" if EMPTY_CONTENT in format else None)
    return msgspec.json.encode({"role": "assistant", "content": said, "tool_calls": tool_calls})


def _wire_call(call: ToolCall) -> dict[str, Any]:
    arguments = call.arguments or "{}"
    if isinstance(arguments_of(arguments), str):
        arguments = msgspec.json.encode({"invalid_arguments": arguments[:INVALID_CHARS]}).decode()
    name = _UNSAFE.sub("_", call.name)[:64] or "unnamed"
    return {"id": call.id, "type": "function", "function": {"name": name, "arguments": arguments}}
