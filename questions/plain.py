"""What a question finds as plain data, for programs."""

from __future__ import annotations

from typing import Any

import msgspec

from palimpsest.events.envelope import Envelope
from palimpsest.events.position import Position
from palimpsest.events.types import Event


def plain(value: Any) -> Any:
    """A value as JSON has it: all fields of a struct, bytes as hex, a position as its number."""
    match value:
        case Position():
            return value.number
        case msgspec.Struct():
            return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        case bytes():
            return value.hex()
        case list() | tuple():
            return [plain(item) for item in value]
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case _:
            return value


def as_object(envelope: Envelope, event: Event | None) -> dict[str, Any]:
    """An envelope with its body decoded, as plain data; its stream under the name `agent`, as ever. `event` None: the
    body as hex."""
    fields = plain(envelope)
    agent, body = fields.pop("stream"), fields.pop("body")
    fields = {"agent": agent, **fields}
    return {**fields, "event": plain(event)} if event is not None else {**fields, "body": body}
