"""What cannot be a message, by its name: pictures, documents and other bytes, raw or written as base64.

Rule: only what is surely no text is refused; a name is said where its first bytes tell it.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
from collections.abc import Iterator
from typing import Final

from palimpsest.events.errors import BadInput

SNIFFED: Final = 64
"""So many bytes tell what they are the beginning of."""

_PICTURE, _SOUND, _FILM, _DOCUMENT, _ARCHIVE = "a picture", "a sound", "a film", "a document", "an archive"
_BEGINNINGS: Final = (
    (b"\x89PNG", _PICTURE, "PNG"),
    (b"\xff\xd8\xff", _PICTURE, "JPEG"),
    (b"GIF87a", _PICTURE, "GIF"),
    (b"GIF89a", _PICTURE, "GIF"),
    (b"II*\x00", _PICTURE, "TIFF"),
    (b"MM\x00*", _PICTURE, "TIFF"),
    (b"8BPS\x00", _PICTURE, "Photoshop"),
    (b"\x00\x00\x01\x00", _PICTURE, "ICO"),
    (b"BM", _PICTURE, "BMP"),
    (b"%PDF-", _DOCUMENT, "PDF"),
    (b"\xd0\xcf\x11\xe0", _DOCUMENT, "an old Office format"),
    (b"PK\x03\x04", _ARCHIVE, "ZIP, DOCX or the like"),
    (b"\x1f\x8b", _ARCHIVE, "gzip"),
    (b"BZh", _ARCHIVE, "bzip2"),
    (b"\xfd7zXZ\x00", _ARCHIVE, "xz"),
    (b"7z\xbc\xaf\x27\x1c", _ARCHIVE, "7-Zip"),
    (b"\x28\xb5\x2f\xfd", _ARCHIVE, "Zstandard"),
    (b"Rar!\x1a\x07", _ARCHIVE, "RAR"),
    (b"ID3", _SOUND, "MP3"),
    (b"OggS", _SOUND, "Ogg"),
    (b"fLaC", _SOUND, "FLAC"),
    (b"\x1aE\xdf\xa3", _FILM, "Matroska or WebM"),
    (b"\x7fELF", "a program", "ELF"),
    (b"SQLite format 3\x00", "a database", "SQLite"),
)
_IN_RIFF: Final = {b"WEBP": (_PICTURE, "WebP"), b"WAVE": (_SOUND, "WAV"), b"AVI ": (_FILM, "AVI")}
_IN_FTYP: Final = {b"avif": (_PICTURE, "AVIF"), b"heic": (_PICTURE, "HEIC"), b"M4A ": (_SOUND, "M4A")}
_OF_TYPE: Final = {"image": _PICTURE, "audio": _SOUND, "video": _FILM, "application": "a file", "font": "a font"}

_DATA_URL: Final = re.compile(r"data:(\w+)/([\w.+-]+)(?:;[\w.+-]+=[\w.+-]+)*;base64,\s*([A-Za-z0-9+/_-]{64,}=*)")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-][A-Za-z0-9+/_\s-]{126,}=*\s*")


def kind_of(data: bytes) -> str:
    """What bytes are that begin so, as "a picture (PNG)"; "" where that is not known, or they may be text."""
    found = next((each for each in _known(data)), None)
    if found is None:
        return ""
    start, what, name = found
    is_surely = not _is_text(start) or not _is_text(data) or re.fullmatch(rb"%PDF-\d\.\d\s*", data[:SNIFFED])
    return f"{what} ({name})" if is_surely else ""


def _known(data: bytes) -> Iterator[tuple[bytes, str, str]]:
    yield from (each for each in _BEGINNINGS if data.startswith(each[0]))
    if data[:4] == b"RIFF" and data[8:12] in _IN_RIFF:
        yield (data[:12], *_IN_RIFF[data[8:12]])
    if data[4:8] == b"ftyp":
        yield (data[:12], *_IN_FTYP.get(data[8:12], (_FILM, "MP4")))


def _is_text(data: bytes) -> bool:
    """Whether it reads as text; a letter may be cut off at its end."""
    try:
        text = data[:-3].decode() + data[-3:].decode("utf-8", "ignore")
    except UnicodeDecodeError:
        return False
    return not any(char < " " and char not in "\t\r\n\f\x1b" for char in text)


def refusal(text: str) -> str:
    """Why a text that was typed or pasted cannot be a message ("": it can), with what to do."""
    data = text.encode("utf-8", "surrogateescape") if _has_strays(text) else b""
    held = _sized(kind_of(data), len(data)) if data else held_in(text).removeprefix("holds ")
    if held:
        return f"That is {held}, and was not sent: agents read text. /load SOURCE FILE reads documents."
    if data or "\0" in text:
        return f"That holds {'bytes that are not UTF-8' if data else 'NUL bytes'}, so it is no text and was not sent."
    return ""


def held_in(text: str) -> str:
    """What a text holds that is no text, as "holds a picture (PNG, as base64, 24 KB)"; else ""."""
    if url := _DATA_URL.search(text):
        kind, size = f"{_OF_TYPE.get(url[1].lower(), 'a file')} ({url[2].upper()}, as base64)", len(url[3])
    else:
        kind, size = _in_base64(text.strip()), len(text)
    return f"holds {_sized(kind, size * 3 // 4)}" if kind else ""


def _has_strays(text: str) -> bool:
    """Whether bytes that are no UTF-8 came from the keyboard."""
    return not text.isascii() and any("\udc80" <= char <= "\udcff" for char in text)


def _in_base64(text: str) -> str:
    if not _BASE64.fullmatch(text):
        return ""
    try:
        data = base64.b64decode("".join(text[: 2 * SNIFFED].split())[:SNIFFED], altchars=None)
    except binascii.Error:
        return ""
    kind = kind_of(data)
    return kind[:-1] + ", as base64)" if kind else ""


def _sized(kind: str, size: int) -> str:
    amount = f"{size:,} bytes" if size < 1000 else f"{size // 1000:,} KB"
    return f"{kind[:-1]}, {amount})" if kind else ""


def refuse_at_once() -> None:
    """Raises BadInput where standard input is a file that is surely no text, before anything is started for it."""
    try:
        if not stat.S_ISREG(os.fstat(0).st_mode):
            return
        begins = os.pread(0, 4 * SNIFFED, os.lseek(0, 0, os.SEEK_CUR))
    except OSError:
        return
    kind = kind_of(begins)
    if kind:
        raise BadInput(
            f"Standard input is {kind}, and no text: nothing was sent. `load SOURCE FILE` loads documents for agents."
        )
