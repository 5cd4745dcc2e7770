"""A document's passages, as they rest in a source's stream: packed, some hundreds to an event.

Rules. (1) A passage says where it was found; 0 and "" mean that this is not known. (2) Packing gives the passages
again, exactly.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import msgspec

from events.types import Value


class Passage(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of a document. Lines and pages count from 1; `heading` is the path of headings, "Install > Linux"."""

    text: str
    page: int = 0
    first_line: int = 0
    last_line: int = 0
    heading: str = ""


def pack_passages(passages: Sequence[Passage]) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(list(passages)))


def unpack_passages(packed: bytes) -> list[Passage]:
    return msgspec.msgpack.decode(zlib.decompress(packed), type=list[Passage])
