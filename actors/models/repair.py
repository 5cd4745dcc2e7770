"""Mends a tool call whose arguments are not a JSON object, where a library can, and only so far as it is sure.

Rules. (1) The model's own text is kept in `raw`. (2) A call that was cut off is left as it is: completing it would
invent an argument. (3) Garbage never becomes an empty object: the model must be told instead.
"""

from __future__ import annotations

import ast
from typing import Any, Final

import msgspec

from events.types import ToolCall

MAX_CHARS: Final = 200_000
"""Longer broken text is not worth the time that mending takes."""


def repair(call: ToolCall, finish: str) -> ToolCall:
    """The call with arguments that are a JSON object; or the very same call, where they are or cannot be made one."""
    text = call.arguments
    if finish == "length" or len(text) > MAX_CHARS or _object(text) is not None:
        return call
    if not text.strip():
        return msgspec.structs.replace(call, arguments="{}")
    mended = _double_encoded(text) or _python_literal(text) or _mended(text)
    encoded = _encoded(mended) if mended else None
    return call if encoded is None else msgspec.structs.replace(call, arguments=encoded, raw=text)


def _object(text: str) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _double_encoded(text: str) -> dict[str, Any] | None:
    """A JSON string that holds the object; inside it every other flaw may occur too."""
    try:
        inner = msgspec.json.decode(text, type=str)
    except (msgspec.MsgspecError, UnicodeError):
        return None
    return _object(inner) or _python_literal(inner) or _mended(inner)


def _python_literal(text: str) -> dict[str, Any] | None:
    """A Python dict as some models print it: read by Python's own grammar, which guesses nothing."""
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _mended(text: str) -> dict[str, Any] | None:
    import json_repair

    try:
        value = json_repair.loads(text, skip_json_loads=True)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _encoded(value: dict[str, Any]) -> str | None:
    try:
        return msgspec.json.encode(value).decode()
    except (msgspec.MsgspecError, UnicodeError, TypeError, OverflowError, RecursionError):
        return None
