"""What the log keeps around each event, and the hash that chains a stream.

A `Draft` is an event on its way in; the log gives it its place (`seq` in its stream, gapless from 1,
and `position` in its partition) and makes it an `Envelope`. The log reads no body.

`opens` names the part that owes an answer to this event (see `Topic`); `closes` is the key of the request that this
event answers. `opens` and `closes` take effect in the same commit as the event.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

GENESIS: Final = b"\x00" * 32
"""The hash before a stream's first event."""


class Topic:
    """The parts that can owe an answer; the values of `opens`."""

    TURN: Final = "turn"  # an input, owed a turn by the memory manager; closed by TurnEnded
    INFERENCE: Final = "inference"  # owed by the LLM processor
    STORAGE: Final = "storage"  # a storage function, owed by the storage actor
    TIMER: Final = "timer"  # a timer function, owed by the timer actor
    ALARM: Final = "alarm"  # a timer that is set: the timer actor owes its firing
    RETIREMENT: Final = "retirement"  # an agent that is retired: owed by nobody, closed by AgentReinstated; never rests


class Draft(msgspec.Struct, frozen=True, array_like=True):
    """An event to be appended. `time` is milliseconds since 1970 UTC; `turn` the seq of the turn's input (0: none).

    `key` is the idempotency key, unique in the stream; `cause` the key of the event that caused this one.
    """

    agent: str
    time: int
    kind: str
    version: int
    key: str
    body: bytes
    turn: int = 0
    cause: str = ""
    opens: str = ""
    closes: str = ""


class Envelope(msgspec.Struct, frozen=True, array_like=True):
    """An event in its place. Fields as in `Draft`, and `hash` = chain(previous hash, this event)."""

    agent: str
    seq: int
    position: int
    time: int
    kind: str
    version: int
    key: str
    body: bytes
    turn: int
    cause: str
    opens: str
    closes: str
    hash: bytes


_encoder = msgspec.msgpack.Encoder()


def chain(previous: bytes, seq: int, draft: Draft | Envelope) -> bytes:
    """The stream's running hash after this event: SHA-256 over the previous hash and every field but the position.

    The position is left out because it belongs to the partition: a stream keeps its hashes when it is moved.
    """
    head = _encoder.encode(
        (
            draft.agent,
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


def place(draft: Draft, seq: int, position: int, previous: bytes) -> Envelope:
    """The envelope of `draft` at `seq` and `position`, chained to the stream's `previous` hash."""
    return Envelope(
        draft.agent,
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


def answer_key(request_key: str) -> str:
    """The key of the one event that may answer a request: a second answer is a duplicate, and is dropped."""
    return "a:" + request_key
