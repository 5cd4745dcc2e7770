"""Texts and times out of a log as people can read them.

Rule: a text from a log may hold anything. Its control characters are made visible, so that no message can drive the
terminal or the page that it is shown on.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from palimpsest.events.texts import clip

_ACTIVE: Final = (*range(32), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_VISIBLE: Final = {code: f"\\x{code:02x}" for code in _ACTIVE if chr(code) not in "\n\t"} | {ord("\t"): "    "}


def printable(text: str) -> str:
    """The text with its control characters made visible; its lines stay."""
    return text.replace("\r\n", "\n").translate(_VISIBLE)


def one_line(text: str, chars: int = 100) -> str:
    """The text on one line, its white space run together, clipped."""
    return printable(clip(" ".join(text[: 4 * chars].split()), chars))


def utc(time_ms: int) -> str:
    """A time to the millisecond, in UTC."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.") + f"{time_ms % 1000:03d}"
