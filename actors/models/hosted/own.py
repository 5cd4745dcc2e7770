"""Fields of a server's own beside an answer, gathered so that they can go back as they came (see `events.own_fields`).

Rules. (1) A stream's pieces join to what the whole answer would hold: text to text, a list's items by their index.
(2) Of the fields that hold the reasoning one is kept, since they say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from palimpsest.events.own_fields import OTHERS
from palimpsest.events.types import Own

PREFERRED: Final = ("reasoning_details", "reasoning_content", "reasoning")
"""The fields that hold the reasoning: of those that came, the first is kept. OpenRouter wants its details back."""
MOST_CHARS: Final = 1_000_000
"""Fields that are longer than this together are no field that a server wants back: they are dropped."""
_JOINED: Final = frozenset({"text", "summary", "data", "thinking"})


class OwnFields:
    """The fields of one message, and of each of its calls."""

    def __init__(self) -> None:
        self._message: dict[str, Any] = {}
        self._calls: dict[int, dict[str, Any]] = {}

    def add(self, came: Mapping[str, Any]) -> None:
        """Fields of a message, or of one piece of it; None is nothing."""
        _merge(self._message, came)

    def add_call(self, number: int, came: Mapping[str, Any]) -> None:
        """The same of its call `number`."""
        _merge(self._calls.setdefault(number, {}), came)

    def own(self, calls: int) -> Own | None:
        """What came beside a message with so many calls; None: nothing."""
        reasoning = next((name for name in PREFERRED if self._message.get(name)), "")
        message = {name: value for name, value in self._message.items() if name in (reasoning, *OTHERS)}
        texts = tuple(_text(self._calls.get(number, {})) for number in range(calls))
        made = Own(message=_text(message), calls=texts if any(texts) else ())
        return made if made != Own() and len(made.message) + sum(map(len, texts)) <= MOST_CHARS else None


def _text(fields: dict[str, Any]) -> str:
    try:
        return msgspec.json.encode(fields).decode() if fields else ""
    except UnicodeEncodeError:  # half a character, which no server would know again
        return ""


def _merge(into: dict[str, Any], came: Mapping[str, Any]) -> None:
    for name, value in came.items():
        before = into.get(name)
        if value is None:
            continue
        if isinstance(before, str) and isinstance(value, str):
            into[name] = before + value
        elif isinstance(before, list) and isinstance(value, list):
            for item in value:
                _merge_item(before, item)
        elif isinstance(before, dict) and isinstance(value, dict):
            into[name] = {**before, **value}
        elif isinstance(value, list):
            into[name] = []
            _merge(into, {name: value})
        else:
            into[name] = value


def _merge_item(items: list[Any], item: Any) -> None:
    """A piece of a list's item goes on with the last one of its index and type."""
    last = items[-1] if items else None
    if not (isinstance(item, dict) and isinstance(last, dict) and _is_one(last, item)):
        items.append(dict(item) if isinstance(item, dict) else item)
        return
    for name, value in item.items():
        joins = name in _JOINED and isinstance(value, str) and isinstance(last.get(name), str)
        if value is not None:
            last[name] = last[name] + value if joins else value


def _is_one(last: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    return "index" in item and all(last.get(name) == item.get(name) for name in ("index", "type"))
