"""What goes through a system's door, a Unix socket: frames of msgpack, each after its length.

Rules. (1) Who joins says `Hello`, and is told `Welcome`, with a refusal or without. (2) Each `Ask` is a call of a part
and has one `CallResult`, in any order; arguments and results cross by the annotations of `actors.links.protocol`. A
caller that waits no more says so (`Dropped`), and the call is let go (what a part has begun, it may go on with).
(3) After a `Goodbye` the system has ended by somebody's wish, and nobody is to start it again for this one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, Protocol, get_type_hints

import msgspec

from palimpsest.actors.links.protocol import LLMPart, LogPart, MemoryPart, StoragePart, TimerPart
from palimpsest.events.errors import BadInput, PalimpsestError, rebuilt
from palimpsest.store.index.settings import IndexSettings

VERSION: Final = 2
"""Of these frames."""
MOST_BYTES: Final = 1 << 30
_HEAD: Final = 4


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """Who joins: the version of its frames, its process, and what it is there for."""

    frames: int
    pid: int
    purpose: str
    passing: bool = False


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """What is joined. `notes`: what its user should know."""

    pid: int
    purpose: str
    version: str
    index: IndexSettings
    log: str = ""
    """The log's id."""
    stays: bool = False
    notes: tuple[str, ...] = ()
    refusal: str = ""


class Ask(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A call of a part; its arguments are a list."""

    id: int
    part: str
    method: str
    arguments: msgspec.Raw


class CallResult(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """What came of a call: its result, or an error with its fields."""

    id: int
    result: msgspec.Raw = msgspec.Raw(b"\xc0")
    error: str = ""
    message: str = ""
    fields: dict[str, Any] = {}


class Goodbye(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """The system ends, for this reason."""

    why: str


class Dropped(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """Nobody waits for what comes of this call any more."""

    id: int


Frame = Hello | Welcome | Ask | CallResult | Goodbye | Dropped


class Seat(msgspec.Struct, frozen=True):
    """One who has joined."""

    pid: int
    purpose: str
    since_ms: int


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """A running system: the process that has it, those who joined, each part's process and figures. `stays`: it does
    not end when the last who joined leaves."""

    pid: int
    purpose: str
    version: str
    since_ms: int
    stays: bool
    joined: tuple[Seat, ...]
    pids: dict[str, int]
    parts: dict[str, dict[str, Any]]


class HostPart(Protocol):
    """What may be called of the process that has the system."""

    async def figures(self) -> Figures: ...

    async def leave(self) -> bool: ...

    async def stay(self) -> bool: ...

    async def stop(self) -> bool: ...


_PARTS: Final[dict[str, type]] = {
    "log": LogPart,
    "memory": MemoryPart,
    "llm": LLMPart,
    "storage": StoragePart,
    "timer": TimerPart,
    "host": HostPart,
}
_CLOSED: Final = frozenset({"flush_and_close"})
"""What only the process that has the system may call."""

_encode = msgspec.msgpack.Encoder(enc_hook=str).encode
_frames = msgspec.msgpack.Decoder(Frame)


def framed(frame: Frame) -> bytes:
    """A frame, with its length before it. Raises BadInput for what cannot be sent."""
    body = _packed(frame)
    if len(body) > MOST_BYTES:
        raise BadInput(f"This cannot be sent: it has {len(body):,} bytes.")
    return len(body).to_bytes(_HEAD, "big") + body


async def received(reader: asyncio.StreamReader) -> Frame | None:
    """The next frame; None: the other side is gone, or does not speak so."""
    try:
        size = int.from_bytes(await reader.readexactly(_HEAD), "big")
        return _frames.decode(await reader.readexactly(size)) if size <= MOST_BYTES else None
    except (asyncio.IncompleteReadError, OSError, msgspec.MsgspecError):
        return None


@cache
def _signature(part: str, method: str) -> tuple[tuple[Any, ...], Any]:
    """The types of a method's arguments, and of its result. Raises KeyError for one that there is not."""
    if method in _CLOSED or method not in _PARTS[part].__dict__:
        raise KeyError(method)
    hints = get_type_hints(_PARTS[part].__dict__[method])
    result = hints.pop("return")
    return tuple(hints.values()), result


@cache
def _decoder(part: str, method: str) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(_signature(part, method)[1])


def asked(id: int, part: str, method: str, arguments: Sequence[object]) -> Ask:
    return Ask(id, part, method, msgspec.Raw(_packed(arguments)))


def arguments_of(ask: Ask) -> list[Any]:
    """Raises KeyError where there is no such method; msgspec's errors where the arguments are not of its types."""
    types, _ = _signature(ask.part, ask.method)
    given = msgspec.msgpack.decode(ask.arguments)
    return [msgspec.convert(value, type) for value, type in zip(given, types, strict=False)]


def told(id: int, result: object) -> CallResult:
    if isinstance(result, PalimpsestError):
        return CallResult(id, error=type(result).__name__, message=str(result), fields=result.__dict__)
    return CallResult(id, msgspec.Raw(_packed(result)))


def _packed(value: object) -> bytes:
    try:
        return _encode(value)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise BadInput(f"This cannot be sent ({error}).") from None


def check(frame: CallResult) -> None:
    """Raises the error that the call had."""
    if frame.error:
        raise rebuilt(frame.error, frame.message, frame.fields)


def result_of(frame: CallResult, part: str, method: str) -> Any:
    """The result. Raises the error that the call had."""
    check(frame)
    return _decoder(part, method).decode(frame.result)
