"""Bundles: an agent, with all that its contexts hang on, in one file that proves itself on another machine.

The file: a line of text that names the format, frames of packed msgpack (a manifest, then events in the partition's
order, `FRAME_BYTES` or so in each), and a seal, the SHA-256 of everything before it. Rules. (1) A file that is cut off,
altered by one bit, or of a newer format is refused by name; nothing of it is believed before the seal was checked,
except by whoever reads it twice. (2) It is written beside its place and renamed: a name never stands for half a file.
(3) No frame is unpacked beyond `MOST_FRAME_BYTES`. (4) Positions are not kept, only their order: equal histories give
equal bytes.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Final, Self

import msgspec

from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import BadInput, BundleUnreadable, BundleUnwritable, NewerFormat, NoBundle
from palimpsest.events.kinds import Kind
from palimpsest.events.position import FIRST_PARTITION, Position, beginning
from palimpsest.events.vocabulary import Logged, Opens
from palimpsest.store.bundles.manifest import Manifest
from palimpsest.store.output import whole

FORMAT: Final = 1
SUFFIX: Final = ".palimpsest"
FRAME_BYTES: Final = 256 * 1024
MOST_FRAME_BYTES: Final = 64 * 1024 * 1024
"""More than any event can be."""
LEVEL: Final = 6

_MAGIC: Final = b"palimpsest-bundle "
_LINE_BYTES: Final = 64
_FRAME: Final = struct.Struct(">cIII")  # kind, bytes packed, bytes unpacked, CRC-32 of both and what is packed
_MANIFEST, _EVENTS, _SEAL = b"M", b"E", b"S"
_CUT_OFF: Final = "it is cut off"
_ALTERED: Final = "it was altered, or damaged on its way"


class _FramedEvent(msgspec.Struct, frozen=True, array_like=True):
    """An event in a frame: an envelope with its stream's number for the name, and without its position."""

    stream: int
    seq: int
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
_manifest_decoder = msgspec.msgpack.Decoder(Manifest)
_rows_decoder = msgspec.msgpack.Decoder(list[_FramedEvent])

Progress = Callable[[int], None]
"""Told how many events more are done."""


def no_progress(_events: int) -> None:
    """No progress is wanted."""


# --- writing ------------------------------------------------------------------------------------------------------


def write_bundle(
    path: Path,
    manifest: Manifest,
    envelopes: Iterable[Envelope],
    *,
    force: bool = False,
    progress: Progress = no_progress,
) -> int:
    """Write a bundle of these events, which come in the partition's order; the file's size. Raises BadInput where the
    path is taken (and not `force`) or is no place for a file, BundleUnwritable where the disk refuses."""
    try:
        with whole(path, force=force) as file:
            size = _write(file, manifest, envelopes, progress)
    except OSError as error:
        raise BundleUnwritable(str(path), error.strerror or str(error)) from error
    return size


def _write(file: IO[bytes], manifest: Manifest, envelopes: Iterable[Envelope], progress: Progress) -> int:
    numbers = {stream.name: number for number, stream in enumerate(manifest.streams)}
    counts = dict.fromkeys(numbers, 0)
    sheet = _Sheet(file)
    sheet.put(_first_line())
    sheet.frame(_MANIFEST, _encoder.encode(manifest))
    rows: list[bytes] = []
    size = 0
    for each in envelopes:
        counts[each.stream] += 1
        rows.append(_row(each, numbers[each.stream]))
        size += len(rows[-1])
        if size >= FRAME_BYTES:
            sheet.frame(_EVENTS, _joined(rows))
            progress(len(rows))
            rows, size = [], 0
    if rows:
        sheet.frame(_EVENTS, _joined(rows))
        progress(len(rows))
    assert counts == {stream.name: stream.events for stream in manifest.streams}, "the events are the manifest's"
    sheet.frame(_SEAL, sheet.digest())
    return sheet.size


def _row(each: Envelope, stream: int) -> bytes:
    made = _encoder.encode(
        _FramedEvent(
            stream,
            each.seq,
            each.time,
            each.kind,
            each.version,
            each.key,
            each.body,
            each.turn,
            each.cause,
            each.opens,
            each.closes,
            each.hash,
        )
    )
    if len(made) > MOST_FRAME_BYTES - 16:
        raise BadInput(f"Event {each.seq} of '{each.stream}' is too large for a bundle ({len(made):,} bytes).")
    return made


def _joined(rows: list[bytes]) -> bytes:
    """A msgpack array of what is encoded already."""
    return b"\xdd" + struct.pack(">I", len(rows)) + b"".join(rows)


def _first_line() -> bytes:
    """It checks itself, so that a damaged number is not taken for a newer format's."""
    said = _MAGIC + b"%d" % FORMAT
    return said + b" %08x\n" % zlib.crc32(said)


class _Sheet:
    """Puts bytes into a file, and digests them."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sha = hashlib.sha256()
        self.size = 0

    def put(self, data: bytes) -> None:
        self._file.write(data)
        self._sha.update(data)
        self.size += len(data)

    def frame(self, kind: bytes, data: bytes) -> None:
        packed = zlib.compress(data, LEVEL)
        self.put(_FRAME.pack(kind, len(packed), len(data), _check(kind, len(data), packed)))
        self.put(packed)

    def digest(self) -> bytes:
        return self._sha.digest()


def _check(kind: bytes, size: int, packed: bytes) -> int:
    return zlib.crc32(packed, zlib.crc32(b"%b %d %d" % (kind, len(packed), size)))


# --- reading ------------------------------------------------------------------------------------------------------


class BundleReader:
    """Reads a bundle in bounded memory. `manifest` is there at once; `envelopes` gives the events by position (numbered
    from 1, in the first partition), and raises BundleUnreadable as soon as something is not as it was written: at the
    latest after the last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unpacked = 0
        """So many bytes were unpacked."""
        if path.is_dir():
            raise NoBundle(str(path), folder=True)
        try:
            self._file: IO[bytes] = path.open("rb")
        except FileNotFoundError:
            raise NoBundle(str(path)) from None
        except OSError as error:
            raise BadInput(f"{path} cannot be opened: {error.strerror}. Check its rights.") from error
        self._sha = hashlib.sha256()
        try:
            self._begin()
            kind, data = self._frame()
            if kind != _MANIFEST:
                raise self._wrong(_ALTERED)
            self.manifest: Manifest = self._decoded(_manifest_decoder, data)
            if not self.manifest.makes_sense():
                raise self._wrong(_ALTERED)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def envelopes(self) -> Iterator[Envelope]:
        """All events, once."""
        streams = self.manifest.streams
        following = [stream.first for stream in streams]
        position = beginning(FIRST_PARTITION)
        while True:
            before = self._sha.digest()
            kind, data = self._frame()
            if kind != _EVENTS:
                break
            for row in self._decoded(_rows_decoder, data):
                if row.stream >= len(streams) or row.seq != following[row.stream]:
                    raise self._wrong(_ALTERED)
                following[row.stream] += 1
                position = position.moved(1)
                yield _envelope(row, streams[row.stream].name, position)
        if kind != _SEAL or data != before or self._read(1):
            raise self._wrong(_ALTERED)
        if following != [stream.last + 1 for stream in streams]:
            raise self._wrong(_ALTERED)

    def _begin(self) -> None:
        line = self._file.readline(_LINE_BYTES)
        self._sha.update(line)
        words = line.split()
        if not line.startswith(_MAGIC):
            raise self._wrong("it is no bundle" if line else "it is empty")
        if not line.endswith(b"\n"):
            raise self._wrong(_CUT_OFF)
        said = b" ".join(words[:2])
        if len(words) < 3 or not words[1].isdigit() or words[2] != b"%08x" % zlib.crc32(said):
            raise self._wrong(_ALTERED)
        if int(words[1]) > FORMAT:
            raise NewerFormat(
                f"The bundle {self.path} has format {int(words[1])}, and this Palimpsest knows {FORMAT}. "
                "Upgrade this installation to read it, or have it exported by one of this version."
            )
        if line != _first_line():
            raise self._wrong(_ALTERED)

    def _frame(self) -> tuple[bytes, bytes]:
        head = self._read(_FRAME.size)
        if len(head) < _FRAME.size:
            raise self._wrong(_CUT_OFF)
        kind, packed_bytes, size, check = _FRAME.unpack(head)
        if kind not in (_MANIFEST, _EVENTS, _SEAL) or max(size, packed_bytes) > MOST_FRAME_BYTES:
            raise self._wrong(_ALTERED)
        packed = self._read(packed_bytes)
        if len(packed) < packed_bytes:
            raise self._wrong(_CUT_OFF)
        if _check(kind, size, packed) != check:
            raise self._wrong(_ALTERED)
        return kind, self._inflated(packed, size)

    def _inflated(self, packed: bytes, size: int) -> bytes:
        """Exactly as many bytes as were announced, and never more."""
        inflater = zlib.decompressobj()
        try:
            data = inflater.decompress(packed, size + 1)
        except zlib.error:
            raise self._wrong(_ALTERED) from None
        if len(data) != size or not inflater.eof or inflater.unused_data:
            raise self._wrong(_ALTERED)
        self.unpacked += size
        return data

    def _read(self, size: int) -> bytes:
        try:
            data = self._file.read(size)
        except OSError as error:
            raise self._wrong(f"the disk failed ({error.strerror})") from error
        self._sha.update(data)
        return data

    def _decoded(self, decoder: msgspec.msgpack.Decoder[Any], data: bytes) -> Any:
        try:
            return decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise self._wrong(_ALTERED) from None

    def _wrong(self, why: str) -> BundleUnreadable:
        return BundleUnreadable(str(self.path), why)


def _envelope(row: _FramedEvent, agent: str, position: Position) -> Envelope:
    return Envelope(
        agent,
        row.seq,
        position,
        row.time,
        row.kind,
        row.version,
        row.key,
        row.body,
        row.turn,
        row.cause,
        row.opens,
        row.closes,
        row.hash,
    )
