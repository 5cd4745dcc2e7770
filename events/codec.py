"""Events to bytes and back: msgpack bodies, decoded by the envelope's kind and version.

A body of an older version is lifted by its upcasters, one version at a time; one of a newer version is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from palimpsest.events.envelope import Draft, Envelope, answer_key
from palimpsest.events.errors import LogDamaged, NewerFormat
from palimpsest.events.kinds import Kind, kind_of
from palimpsest.events.types import ALL_EVENTS, Event
from palimpsest.events.vocabulary import Opens

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTERS: Mapping[tuple[Kind, int], Upcaster] = {}
"""(kind, version) -> a function from that version's fields to the next version's."""

KINDS: Mapping[Kind, type[Event]] = {kind_of(event): event for event in ALL_EVENTS}

_encoder = msgspec.msgpack.Encoder()
_decoders: Mapping[Kind, msgspec.msgpack.Decoder[Any]] = {k: msgspec.msgpack.Decoder(t) for k, t in KINDS.items()}
_versions: Mapping[Kind, int] = {kind: event.version for kind, event in KINDS.items()}


def encode(event: Event) -> bytes:
    return _encoder.encode(event)


def decode(envelope: Envelope | Draft) -> Event:
    """The event in an envelope. Raises NewerFormat or LogDamaged, naming the event."""
    kind = envelope.kind
    try:
        if envelope.version == _versions[kind]:
            event: Event = _decoders[kind].decode(envelope.body)
            return event
    except KeyError:
        raise NewerFormat(_newer(envelope, f"its kind '{kind}' is unknown")) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise LogDamaged(envelope.stream, getattr(envelope, "seq", 0), f"its body does not decode ({error})") from error
    return _upcast(envelope)


def _upcast(envelope: Envelope | Draft) -> Event:
    kind, version, current = envelope.kind, envelope.version, _versions[envelope.kind]
    if version > current:
        raise NewerFormat(_newer(envelope, f"{kind} has version {version}, and this code knows {current}"))
    try:
        fields = msgspec.msgpack.decode(envelope.body, type=dict[str, Any])
        for step in range(version, current):
            fields = UPCASTERS[kind, step](fields)
        lifted: Event = msgspec.convert(fields, KINDS[kind])
        return lifted
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise LogDamaged(
            envelope.stream, getattr(envelope, "seq", 0), f"version {version} is unreadable ({error})"
        ) from error


def _newer(envelope: Envelope | Draft, why: str) -> str:
    seq = getattr(envelope, "seq", 0)
    return (
        f"Event {seq} of agent '{envelope.stream}' was written by a newer Palimpsest: {why}. "
        "Nothing was changed: upgrade this installation to read it."
    )


def draft(
    agent: str,
    time: int,
    event: Event,
    *,
    key: str,
    turn: int = 0,
    cause: str = "",
    opens: Opens = "",
    closes: str = "",
) -> Draft:
    """An event made ready for the log."""
    return Draft(agent, time, kind_of(event), event.version, key, encode(event), turn, cause, opens, closes)


class Asked(Protocol):
    """What asks for an answer: the envelope of a request, or a job that was made of one."""

    @property
    def stream(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def turn(self) -> int: ...


def answer(asked: Asked, event: Event, now_ms: int) -> Draft:
    """The answer's draft: it closes the request, and its key lets only one answer in."""
    key = answer_key(asked.key)
    return draft(asked.stream, now_ms, event, key=key, turn=asked.turn, cause=asked.key, closes=asked.key)
