"""What crosses between actors: msgpack bytes, made and read in an ordinary module.

Ray pickles an actor's class by value and cannot pickle a msgspec encoder, so codecs live here and are called.
"""

from __future__ import annotations

import msgspec

from events.envelope import Envelope
from store.log import Append, Appended, StreamHead
from store.states import Stretch


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """A tail's answer: events in order, and the cursor to go on from."""

    envelopes: list[Envelope]
    position: int


class Opened(msgspec.Struct, frozen=True, array_like=True):
    """What is open, and the position up to which that is so."""

    envelopes: list[Envelope]
    position: int


_encode = msgspec.msgpack.Encoder().encode
_appends = msgspec.msgpack.Decoder(list[Append])
_appended = msgspec.msgpack.Decoder(list[list[Appended]])
_batch = msgspec.msgpack.Decoder(Batch)
_opened = msgspec.msgpack.Decoder(Opened)
_envelopes = msgspec.msgpack.Decoder(list[Envelope])
_stretches = msgspec.msgpack.Decoder(list[Stretch])
_heads = msgspec.msgpack.Decoder(list[StreamHead])


def pack(value: object) -> bytes:
    return _encode(value)


def unpack_appends(data: bytes) -> list[Append]:
    return _appends.decode(data)


def unpack_appended(data: bytes) -> list[list[Appended]]:
    return _appended.decode(data)


def unpack_batch(data: bytes) -> Batch:
    return _batch.decode(data)


def unpack_opened(data: bytes) -> Opened:
    return _opened.decode(data)


def unpack_envelopes(data: bytes) -> list[Envelope]:
    return _envelopes.decode(data)


def unpack_stretches(data: bytes) -> list[Stretch]:
    return _stretches.decode(data)


def unpack_heads(data: bytes) -> list[StreamHead]:
    return _heads.decode(data)
