"""How a point lies in a collection, whichever engine holds it: its id, its payload, its vectors' names, and which
points a search sees.

Rules. (1) An id is a hash of the stream's name and the rest of the key: the same point put twice is one. (2) Any change
here changes what is in an index: raise `projection.SCHEMA`.
"""

from __future__ import annotations

from array import array
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

import msgspec

from palimpsest.events.sources import is_source, source_of
from palimpsest.store.index.points import (
    NOWHERE,
    Burial,
    IndexEntry,
    Key,
    Listed,
    Mark,
    Place,
    ScopePart,
    Stored,
    death,
    listed,
)
from palimpsest.store.index.settings import PointKind

DENSE: Final = "dense"
WORDS: Final = "words"

TENANT: Final = "shelf"
"""The payload field that every search is filtered by: the kind and the stream."""
WHOLE_NUMBERS: Final = ("seq", "time_ms", "died")
ROLL: Final = "roll"
"""On the first point of an event alone: the same as `TENANT`."""
KEYWORDS: Final = ("document", "speaker", "form", ROLL)
"""The other indexed payload fields."""

MARK_ID: Final = UUID(int=0)
SCORE_DIGITS: Final = 6

_SEQ_BITS, _CHUNK_BITS = 40, 24


def shelf(stream: str, kind: PointKind) -> str:
    return f"{kind}/{stream}"


def id_of(key: Key) -> UUID:
    return UUID(int=_stream_bits(key.stream) << 64 | key.seq << _CHUNK_BITS | key.chunk)


def names_of(streams: set[str]) -> dict[int, str]:
    """What `key_of` tells a point's stream by."""
    return {_stream_bits(stream): stream for stream in streams}


def key_of(point_id: UUID, names: Mapping[int, str]) -> Key:
    bits = point_id.int
    return Key(names[bits >> 64], bits >> _CHUNK_BITS & (1 << _SEQ_BITS) - 1, bits & (1 << _CHUNK_BITS) - 1)


def payloads_of(entries: Sequence[IndexEntry], burials: Sequence[Burial]) -> list[dict[str, Any]]:
    """Of a batch's points. What a census counts of an event's points rests with the first of them."""
    found = [_payload(entry, death(entry, burials)) for entry in entries]
    for number, one in listed(entries, burials):
        of_all = {ROLL: found[number][TENANT], "terms": _packed(one.terms)}
        if len(one.sizes) > 1:
            of_all["sizes"] = _packed(array("I", one.sizes).tobytes())
        if any(one.reach):
            of_all["reach"] = one.reach
        found[number].update(of_all)
    return found


def _payload(entry: IndexEntry, died: int) -> dict[str, Any]:
    """What is usual, or empty, is left out: it takes time."""
    key, place = entry.key, entry.place
    payload: dict[str, Any] = {
        TENANT: shelf(key.stream, entry.kind),
        "seq": key.seq,
        "time_ms": entry.time_ms,
        "text": entry.text,
    }
    if entry.kind != "passage" or entry.speaker != _usual_speaker(key.stream):
        payload["speaker"] = entry.speaker
    if place is not NOWHERE:
        payload.update(msgspec.to_builtins(place))
    if entry.form:
        payload["form"] = entry.form
    if died:
        payload["died"] = died
    return payload


def _usual_speaker(stream: str) -> str:
    """Of passages."""
    return source_of(stream) if is_source(stream) else "memory"


def _packed(raw: bytes) -> str:
    return b64encode(raw).decode()


# --- what a search sees, as conditions on payloads ----------------------------------------------------------------


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """What a payload's field has to be: the one of these that is given."""

    field: str
    equals: str | None = None
    one_of: tuple[int, ...] = ()
    any_of: tuple[str, ...] = ()
    at_least: int | None = None
    at_most: int | None = None
    missing: bool = False


class Where(msgspec.Struct, frozen=True):
    """Which points: those that meet all of `must`, and none of `must_not`."""

    must: tuple[Condition, ...]
    must_not: tuple[Condition, ...] = ()


def on_shelf(stream: str, kind: PointKind) -> Where:
    return Where((Condition(field=TENANT, equals=shelf(stream, kind)),))


def on_roll(stream: str, kind: PointKind) -> Where:
    """Those points of a shelf that say what a census counts of all."""
    return Where((Condition(field=ROLL, equals=shelf(stream, kind)),))


def in_part(part: ScopePart) -> Where:
    must = list(on_shelf(part.stream, part.kind).must)
    must_not = []
    if part.as_of is not None:
        must.append(Condition(field="seq", at_most=part.as_of))
    if part.mortal:
        must_not.append(Condition(field="died", at_most=part.as_of))
    if part.hidden:
        must_not.append(Condition(field="seq", one_of=part.hidden))
    if part.speakers is not None:
        must.append(Condition(field="speaker", any_of=part.speakers))
    must += in_time(part.start_ms, part.end_ms)
    return Where(tuple(must), tuple(must_not))


def in_time(start_ms: int | None, end_ms: int | None) -> tuple[Condition, ...]:
    if start_ms is None and end_ms is None:
        return ()
    return (Condition(field="time_ms", at_least=start_ms, at_most=end_ms),)


def taken_by(burial: Burial) -> Where:
    """What a burial takes: passages that were born before it, and are not dead yet."""
    must = [
        *on_shelf(burial.stream, "passage").must,
        Condition(field="seq", at_most=burial.died - 1),
        Condition(field="died", missing=True),
    ]
    if burial.document:
        must.append(Condition(field="document", equals=burial.document))
    return Where(tuple(must))


# --- what comes back ----------------------------------------------------------------------------------------------


def stored_of(key: Key, payload: dict[str, Any]) -> Stored:
    speaker = payload.get("speaker") or _usual_speaker(key.stream)
    return Stored(
        key, speaker, payload["time_ms"], payload["text"], msgspec.convert(payload, Place), payload.get("form", "")
    )


LISTED_FIELDS: Final = ("terms", "sizes", "time_ms", "speaker", "document", "died", "reach")


def listed_of(key: Key, payload: dict[str, Any]) -> Listed:
    terms = b64decode(payload["terms"])
    sizes = array("I", b64decode(payload.get("sizes", ""))).tolist() or [len(terms) // 4]
    return Listed(
        key,
        payload["time_ms"],
        payload.get("speaker") or _usual_speaker(key.stream),
        payload.get("document", ""),
        payload.get("died", 0),
        payload.get("reach") or [0] * len(sizes),
        sizes,
        terms,
    )


def mark_payload(mark: Mark) -> dict[str, Any]:
    return {"mark": msgspec.to_builtins(mark)}


def mark_of(payload: dict[str, Any] | None) -> Mark:
    return msgspec.convert((payload or {}).get("mark"), Mark)


@lru_cache(maxsize=4096)
def _stream_bits(stream: str) -> int:
    return int.from_bytes(blake2b(stream.encode(), digest_size=8).digest())
