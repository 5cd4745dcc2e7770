"""Bytes into text: which encoding, and the text in pieces, with every newline as "\\n".

Rules. (1) No file is lost for a bad byte: what is not UTF-8 in a UTF-8 file is read as Windows-1252, what is neither
is replaced, and how many bytes that were is told. (2) The encoding is guessed from a bounded sample.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from io import IncrementalNewlineDecoder
from typing import BinaryIO, Final

SAMPLE_BYTES: Final = 65_536
_READ_BYTES: Final = 65_536

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CANDIDATES: Final = (
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r", "shift_jis", "euc_jp", "gb18030",
    "big5", "euc_kr",
)  # fmt: skip
"""Encodings that files still come in. Others in which anything can be read (mac_*, cp037) invite wrong guesses."""
_DETECTED_BYTES: Final = 16_384
_SURE_BYTES: Final = 20
"""Fewer bytes beyond ASCII tell Western European from Central European only by chance."""
_CONTROL: Final = re.compile(r"[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f]")
_SPARE: Final = 0.02
"""The share of control characters from which bytes are no text. Random bytes have over 10 %."""


def encoding_of(sample: bytes) -> str | None:
    """The encoding of a file that begins with these bytes; None if they are no text."""
    encoding = _guess(sample)
    text = sample.decode(encoding, "replace")
    return encoding if len(_CONTROL.findall(text)) <= _SPARE * len(text) else None


def _guess(sample: bytes) -> str:
    for mark, encoding in _MARKS:
        if sample.startswith(mark):
            return encoding
    if wide := _wide(sample):
        return wide
    text, _ = codecs.utf_8_decode(sample, "replace", False)
    bad = text.count("\ufffd") - sample.count(b"\xef\xbf\xbd")
    good = sum(1 for char in text if char > "\x7f") - text.count("\ufffd")
    return "utf-8" if bad <= good else _legacy(sample)


def _wide(sample: bytes) -> str:
    """UTF-16 without a mark shows by the zero bytes of its Latin letters and blanks, all on one side."""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    much, little = len(sample) // 8, len(sample) // 200
    if odd > much and even <= little:
        return "utf-16-le"
    return "utf-16-be" if even > much and odd <= little else ""


def _legacy(sample: bytes) -> str:
    """Windows-1252 where little speaks for another (the detector is slow, so it sees a part of the sample)."""
    from charset_normalizer import from_bytes

    sample = sample[:_DETECTED_BYTES]
    foreign = sum(byte > 0x7F for byte in sample)
    if foreign < _SURE_BYTES and foreign * 3 < len(sample):
        return "cp1252"
    best = from_bytes(sample, cp_isolation=list(_CANDIDATES), enable_fallback=False).best()
    if best is None or "cp1252" in best.could_be_from_charset:
        return "cp1252"
    return best.encoding


class Decoded:
    """A stream's text. `notes` is whole when the text has been read."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._encoding = encoding
        self._replaced = 0

    @property
    def notes(self) -> list[str]:
        if not self._replaced:
            return []
        name = "UTF-8" if self._encoding.startswith("utf-8") else self._encoding
        return [f"{self._replaced} bytes that are not {name} were read as Windows-1252 or replaced."]

    def chunks(self) -> Iterator[str]:
        """The text in pieces of some 64 KB, whole characters each."""
        newlines = IncrementalNewlineDecoder(None, translate=True)
        for text in self._utf8() if self._encoding.startswith("utf-8") else self._others():
            if text := newlines.decode(text):
                yield text
        if rest := newlines.decode("", final=True):
            yield rest

    def lines(self, longest_chars: int = SAMPLE_BYTES) -> Iterator[str]:
        """The text by lines, each with its newline; a line over the limit comes in pieces."""
        carry = ""
        for text in self.chunks():
            *whole, carry = (carry + text).split("\n")
            for line in whole:
                yield line + "\n"
            if len(carry) >= longest_chars:
                yield carry
                carry = ""
        if carry:
            yield carry

    def _others(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(self._encoding)("replace")
        while data := self._stream.read(_READ_BYTES):
            text = decoder.decode(data)
            self._replaced += text.count("\ufffd")
            yield text
        rest = decoder.decode(b"", final=True)
        self._replaced += rest.count("\ufffd")
        yield rest

    def _utf8(self) -> Iterator[str]:
        pending = b""
        if self._encoding == "utf-8-sig":
            self._stream.read(len(codecs.BOM_UTF8))
        while data := self._stream.read(_READ_BYTES):
            text, read = self._mended(pending + data, final=False)
            pending = (pending + data)[read:]
            yield text
        yield self._mended(pending, final=True)[0]

    def _mended(self, data: bytes, *, final: bool) -> tuple[str, int]:
        """The text of UTF-8 bytes with strays, and how many bytes were read (an unfinished character is left)."""
        texts: list[str] = []
        view, at = memoryview(data), 0
        while True:
            try:
                text, read = codecs.utf_8_decode(view[at:], "strict", final)
                return "".join([*texts, text]), at + read
            except UnicodeDecodeError as error:
                bad = slice(at + error.start, at + error.end)
                texts.append(codecs.utf_8_decode(view[at : bad.start], "strict", True)[0])
                texts.append(data[bad].decode("cp1252", "replace"))
                self._replaced += error.end - error.start
                at = bad.stop
