"""A document's passages, as they rest in a source's stream: packed, some hundreds to an event.

Rules. (1) A passage says where it was found; 0 and "" mean that this is not known. (2) Packing gives the passages
again, exactly.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence

import msgspec

from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import LogDamaged
from palimpsest.events.types import PassagesLoaded, Value


class Passage(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of a document. Lines and pages count from 1; `heading` is the path of headings, "Install > Linux"."""

    text: str
    page: int = 0
    first_line: int = 0
    last_line: int = 0
    heading: str = ""
    overlap: int = 0
    """So many characters at its beginning repeat the end of the passage before."""

    @property
    def fresh(self) -> str:
        """What it adds to the document's text: on a line of its own, unless it ends one."""
        text = self.text[self.overlap :]
        return text if text.endswith("\n") else text + "\n"


def pack_passages(passages: Sequence[Passage]) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(list(passages)))


def unpack_passages(packed: bytes) -> list[Passage]:
    return msgspec.msgpack.decode(zlib.decompress(packed), type=list[Passage])


def digest_of(passages: Sequence[Passage]) -> bytes:
    """What tells passages from others, without keeping them."""
    return hashlib.sha256(msgspec.msgpack.encode(list(passages))).digest()


def unpacked(at: Envelope, event: PassagesLoaded) -> list[Passage]:
    """The passages of an event. Raises LogDamaged where the bytes are not those that `pack_passages` gave."""
    try:
        return unpack_passages(event.packed)
    except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LogDamaged(at.stream, at.seq, f"its passages do not unpack ({error})") from error
