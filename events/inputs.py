"""Inputs as the model reads them: MemGPT's packaged events, JSON in a user message; and the text in them.

Rules. (1) An input's text stands whole in one field, and is `passages.input_text` of its event: so the offsets of
InputArchived cut both. (2) Only that text may be large, since only text can be archived: names and labels are clipped.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from palimpsest.events.context import message, package
from palimpsest.events.texts import clip
from palimpsest.events.times import ShownTime, stamp
from palimpsest.events.types import AlertRaised, Event, TimerFired, UploadFinished, UserLoggedIn, UserMessageReceived

LABEL_CHARS: Final = 200

_TEXT: Final = {
    "user_message": "message",
    "system_alert": "message",
    "upload": "detail",
    "timer": "note",
    "heartbeat": "note",
}
"""The field that holds the text, by the package's type; a login has none."""


def packaged(event: Event, time_ms: int) -> bytes:
    """An input as a message, with the time at which it came, in UTC: see `on_clock`."""
    at = ShownTime(time_ms)
    match event:
        case UserMessageReceived():
            name = {"name": clip(event.name, LABEL_CHARS)} if event.name else {}
            return package("user_message", at, message=event.text, **name)
        case UserLoggedIn():
            return package("login", at, last_login=clip(event.last_login, LABEL_CHARS) or "never")
        case UploadFinished():
            return package("upload", at, source=clip(event.source, LABEL_CHARS), detail=event.detail)
        case AlertRaised():
            return package("system_alert", at, message=event.text)
        case TimerFired(timer=timer):
            due = stamp(timer.due_ms, timer.offset_s)
            if timer.heartbeat:
                return package("heartbeat", at, reason="timed heartbeat", note=timer.note, due=due)
            return package("timer", at, timer=clip(timer.id, LABEL_CHARS), note=timer.note, due=due)
    raise ValueError(f"{type(event).__name__} is no input.")


def on_clock(wire: bytes, time_ms: int, offset_s: int | None) -> bytes:
    """A packaged input with its time on a clock that was so far ahead of UTC then (None: it stays as it is)."""
    if offset_s is None:
        return wire
    fields = _fields(wire) | {"time": stamp(time_ms, offset_s)}
    return message("user", msgspec.json.encode(fields).decode())


def text_of(wire: bytes) -> str:
    """The text of a packaged input."""
    fields = _fields(wire)
    return str(fields.get(_TEXT.get(fields["type"], ""), ""))


def first_page(wire: bytes, chars: int) -> bytes:
    """A packaged input that was too large for the window: its first characters, and a pointer to the rest."""
    fields = _fields(wire)
    whole = text_of(wire)
    fields[_TEXT[fields["type"]]] = whole[:chars]
    fields["truncated"] = (
        f"Too large for the context window: these are the first {min(chars, len(whole))} of {len(whole)} characters. "
        "The whole text is in archival storage: find the rest with archival_memory_search."
    )
    return message("user", msgspec.json.encode(fields).decode())


def _fields(wire: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.json.decode(msgspec.json.decode(wire)["content"])
    return fields
