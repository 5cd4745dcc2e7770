"""What the log keeps around each event, and the hash that chains a stream.

A `Draft` is an event on its way in; the log gives it its place (`seq` in its stream, gapless from 1,
and `position`, its partition and its number there) and makes it an `Envelope`. The log reads no body.

`opens` names the part that owes an answer to this event; `closes` is the key of the request that this event answers.
`opens` and `closes` take effect in the same commit as the event.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from palimpsest.events.kinds import Kind
from palimpsest.events.position import Position
from palimpsest.events.vocabulary import Logged, Opens

GENESIS: Final = b"\x00" * 32
"""The hash before a stream's first event."""


class Draft(msgspec.Struct, frozen=True, array_like=True):
    """An event to be appended. `time` is milliseconds since 1970 UTC; `turn` the seq of the turn's input (0: none).

    `key` is the idempotency key, unique in the stream; `cause` the key of the event that caused this one.
    """

    stream: str
    time: int
    kind: Logged[Kind]
    version: int
    key: str
    body: bytes
    turn: int = 0
    cause: str = ""
    opens: Logged[Opens] = ""
    closes: str = ""


class Envelope(msgspec.Struct, frozen=True, array_like=True):
    """An event in its place. Fields as in `Draft`, and `hash` = chain(previous hash, this event)."""

    stream: str
    seq: int
    position: Position
    time: int
    kind: Logged[Kind]
    version: int
    key: str
    body: bytes
    turn: int
    cause: str
    opens: Logged[Opens]
    closes: str
    hash: bytes


_encoder = msgspec.msgpack.Encoder()


def chain(previous: bytes, seq: int, draft: Draft | Envelope) -> bytes:
    """The stream's running hash after this event: SHA-256 over the previous hash and every field but the position.

    The position is left out because it belongs to the partition: a stream keeps its hashes when it is moved.
    """
    head = _encoder.encode(
        (
            draft.stream,
            seq,
            draft.time,
            draft.kind,
            draft.version,
            draft.key,
            draft.turn,
            draft.cause,
            draft.opens,
            draft.closes,
        )
    )
    return hashlib.sha256(b"%b%d:%b%b" % (previous, len(head), head, draft.body)).digest()


def place(draft: Draft, seq: int, position: Position, previous: bytes) -> Envelope:
    """The envelope of `draft` at `seq` and `position`, chained to the stream's `previous` hash."""
    return Envelope(
        draft.stream,
        seq,
        position,
        draft.time,
        draft.kind,
        draft.version,
        draft.key,
        draft.body,
        draft.turn,
        draft.cause,
        draft.opens,
        draft.closes,
        chain(previous, seq, draft),
    )


def draft_of(envelope: Envelope, stream: str = "") -> Draft:
    """The event on its way in once more: into another log, or into another stream."""
    return Draft(
        stream or envelope.stream,
        envelope.time,
        envelope.kind,
        envelope.version,
        envelope.key,
        envelope.body,
        envelope.turn,
        envelope.cause,
        envelope.opens,
        envelope.closes,
    )


def answer_key(request_key: str) -> str:
    """The key of the one event that may answer a request: a second answer is a duplicate, and is dropped."""
    return "a:" + request_key
