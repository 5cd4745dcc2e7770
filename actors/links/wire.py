"""What crosses between actors: msgpack bytes, made and read in an ordinary module.

Ray pickles an actor's class by value and cannot pickle a msgspec encoder, so codecs live here and are called.
"""

from __future__ import annotations

from typing import Any

import msgspec

from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import BadInput, PalimpsestError, rebuilt
from palimpsest.events.kinds import Kind
from palimpsest.events.passages import HitPage
from palimpsest.events.position import Position
from palimpsest.events.types import Parent
from palimpsest.events.vocabulary import Logged
from palimpsest.store.index.settings import PointKind
from palimpsest.store.logs.contract import Append, Appended, StreamHead
from palimpsest.store.logs.states import StateBasis


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """A tail's answer: events in order, and the cursor to go on from."""

    envelopes: list[Envelope]
    position: Position


class TailRequest(msgspec.Struct, frozen=True, array_like=True):
    """What a tail waits for: see `LogActor.tail`. One argument of bytes: Ray packs each by itself, and slowly."""

    after: Position
    limit: int
    wait_s: float
    kinds: frozenset[Logged[Kind]] = frozenset()
    wake: frozenset[Logged[Kind]] = frozenset()
    linger_s: float = 0.0


class Answered(msgspec.Struct, frozen=True, array_like=True):
    """What became of one append: an answer for each of its drafts, or the error for which nothing of it was taken."""

    answers: list[Appended]
    error: str = ""
    message: str = ""
    fields: dict[str, Any] = {}


class Exchange(msgspec.Struct, frozen=True, array_like=True):
    """An append, and what is waited for once it is taken."""

    append: Append
    wanted: TailRequest


class Exchanged(msgspec.Struct, frozen=True, array_like=True):
    """What became of the append; and the tail's `Batch`, if all of it was taken."""

    answered: Answered
    batch: Batch | None = None


class Opened(msgspec.Struct, frozen=True, array_like=True):
    """What is open, and the position up to which that is so."""

    envelopes: list[Envelope]
    position: Position


class MemorySearch(msgspec.Struct, frozen=True, array_like=True):
    """A search of somebody who looks into an agent's memory: see `MemoryIndex.search`."""

    views: tuple[tuple[str, int], ...]
    """Streams, each as of a seq (`store.index.points.View`)."""
    kind: PointKind
    query: str
    page: int
    size: int
    own: int
    who: str = ""
    start_ms: int | None = None
    end_ms: int | None = None


_encode = msgspec.msgpack.Encoder().encode
_appends = msgspec.msgpack.Decoder(list[Append])
_answered = msgspec.msgpack.Decoder(list[Answered])
_exchange = msgspec.msgpack.Decoder(Exchange)
_exchanged = msgspec.msgpack.Decoder(Exchanged)
_wanted = msgspec.msgpack.Decoder(TailRequest)
_batch = msgspec.msgpack.Decoder(Batch)
_opened = msgspec.msgpack.Decoder(Opened)
_envelopes = msgspec.msgpack.Decoder(list[Envelope])
_stretches = msgspec.msgpack.Decoder(list[StateBasis])
_lineage = msgspec.msgpack.Decoder(list[Parent])
_heads = msgspec.msgpack.Decoder(list[StreamHead])
_sought = msgspec.msgpack.Decoder(MemorySearch)
_page = msgspec.msgpack.Decoder(HitPage)


def pack(value: object) -> bytes:
    return _encode(value)


def unpack_appends(data: bytes) -> list[Append]:
    return _appends.decode(data)


def packed(append: Append | Exchange) -> msgspec.Raw:
    """An append by itself: what cannot be packed is found before it meets others. Raises BadInput."""
    try:
        return msgspec.Raw(_encode(append))
    except (ValueError, TypeError, ArithmeticError) as error:
        raise BadInput(f"This cannot be written ({error}): nothing of it was sent.") from None


def answered(outcome: list[Appended] | BaseException) -> Answered:
    """An append's outcome. Raises what is none of Palimpsest's own errors."""
    if isinstance(outcome, PalimpsestError):
        return Answered([], type(outcome).__name__, str(outcome), outcome.__dict__)
    if isinstance(outcome, BaseException):
        raise outcome
    return Answered(outcome)


def unpack_answered(data: bytes) -> list[list[Appended] | PalimpsestError]:
    """Each append's answers, or its error."""
    return [_outcome(each) for each in _answered.decode(data)]


def _outcome(each: Answered) -> list[Appended] | PalimpsestError:
    return rebuilt(each.error, each.message, each.fields) if each.error else each.answers


def exchanged(outcome: Answered, batch: bytes | None) -> bytes:
    """An `Exchanged`, of a batch that is packed already."""
    return _encode((outcome, None if batch is None else msgspec.Raw(batch)))


def unpack_exchange(data: bytes) -> Exchange:
    return _exchange.decode(data)


def unpack_exchanged(data: bytes) -> tuple[list[Appended] | PalimpsestError, Batch | None]:
    """The append's answers, or its error; and the batch."""
    both = _exchanged.decode(data)
    return _outcome(both.answered), both.batch


def unpack_wanted(data: bytes) -> TailRequest:
    return _wanted.decode(data)


def unpack_batch(data: bytes) -> Batch:
    return _batch.decode(data)


def unpack_opened(data: bytes) -> Opened:
    return _opened.decode(data)


def unpack_envelopes(data: bytes) -> list[Envelope]:
    return _envelopes.decode(data)


def unpack_stretches(data: bytes) -> list[StateBasis]:
    return _stretches.decode(data)


def unpack_heads(data: bytes) -> list[StreamHead]:
    return _heads.decode(data)


def unpack_lineage(data: bytes) -> list[Parent]:
    return _lineage.decode(data)


def unpack_sought(data: bytes) -> MemorySearch:
    return _sought.decode(data)


def unpack_page(data: bytes) -> HitPage:
    return _page.decode(data)
