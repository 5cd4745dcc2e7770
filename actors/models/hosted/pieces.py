"""Text out of a stream as it arrives: server-sent events out of bytes, characters out of their halves, a string out of
half a JSON object.

Rule: wherever the input is cut, the pieces join to the same whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_PLAIN: Final = re.compile(r'[^"\\]+')
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_BLANK: Final = " \t\r\n"
REPLACEMENT: Final = "\ufffd"


class EventLines:
    """The payloads of server-sent events: one for each `data:` line as it comes, and b"" where an event ends that had
    any (a payload may go over several lines).

    All ends of lines that the format knows are taken, and comments that stand as data are comments. A line that is bare
    JSON counts as data: some servers report an error so in the middle of a stream. What an event of the kind "error"
    holds comes into `error` instead, and of what is no event at all the first is kept in `strange`.
    """

    def __init__(self) -> None:
        self.error: bytes | None = None
        self.strange = b""
        self._rest = bytearray()
        self._after_cr = False
        self._is_open = False  # in an event that had data
        self._is_error = False

    @property
    def is_in_error(self) -> bool:
        """Whether an event of the kind "error" goes on."""
        return self._is_error

    @property
    def waiting(self) -> int:
        """How many bytes of a line without an end are kept."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        elif data:
            self._after_cr = False
        *lines, rest = data.split(b"\n")
        if not lines:
            self._rest += rest
            return []
        lines[0] = bytes(self._rest) + lines[0]
        self._rest = bytearray(rest)
        out: list[bytes] = []
        for line in lines:
            self._line(line, out)
        return out

    def end(self) -> list[bytes]:
        """What stands in a last line and a last event without an end."""
        out: list[bytes] = []
        self._line(bytes(self._rest), out)
        self._line(b"", out)
        self._rest.clear()
        return out

    def _line(self, line: bytes, out: list[bytes]) -> None:
        if line.startswith(b"data:"):
            self._data(line[5:].strip(), out)
        elif not line:
            if self._is_open:
                out.append(b"")
            self._is_open = self._is_error = False
        elif line.startswith(b"event:"):
            self._is_error = line[6:].strip().lower() == b"error"
        elif line.startswith(b"{"):
            self._data(line.strip(), out)
        elif not line.startswith(_FIELDS) and line.strip():
            self.strange = self.strange or line[:MAX_STRANGE].strip()

    def _data(self, payload: bytes, out: list[bytes]) -> None:
        if self._is_error:
            self.error = (self.error + b"\n" if self.error else b"") + payload
        elif payload and not payload.startswith(b":"):
            self._is_open = True
            out.append(payload)


_FIELDS: Final = (b":", b"id:", b"id", b"retry:", b"event", b"data")
MAX_STRANGE: Final = 1000


_MARKS: Final = re.compile(r'[\\"{}\[\]]')


class ObjectEnd:
    """Whether a JSON object that comes in pieces is closed."""

    def __init__(self) -> None:
        self._depth = 0
        self._quoted = False
        self._escaped = False
        self._is_begun = False

    @property
    def closed(self) -> bool:
        return self._is_begun and self._depth <= 0

    def feed(self, text: str) -> None:
        at = int(self._escaped and bool(text))
        self._escaped = self._escaped and not text
        while found := _MARKS.search(text, at):
            at, mark = found.end(), found.group()
            if mark == '"':
                self._quoted = not self._quoted
            elif self._quoted:
                if mark == "\\":
                    self._escaped = at == len(text)
                    at += 1
            elif mark in "{[":
                self._depth += 1
                self._is_begun = True
            elif mark in "}]":
                self._depth -= 1


_TAIL: Final = re.compile("[\ud800-\udbff]$|[\udc80-\udcff]+$")
_BYTES: Final = re.compile("[\udc80-\udcff]+")
_LONE: Final = re.compile("[\ud800-\udfff]")
_CHARACTER_BYTES: Final = 4


class Halves:
    """Text whose characters may come in halves: the two of a surrogate pair, or a character's bytes (as Python's
    `surrogateescape` has them). Halves that meet are joined; what stays alone is U+FFFD, and `lost` says so."""

    def __init__(self) -> None:
        self.lost = False
        self._held = ""

    @property
    def is_waiting(self) -> bool:
        """Whether a half is kept back."""
        return bool(self._held)

    def feed(self, text: str) -> str:
        """The text so far, but for a half at its end."""
        text = self._held + text
        if not _LONE.search(text):
            self._held = ""
            return text
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")  # pairs are joined
        tail = _TAIL.search(text)
        self._held = tail.group() if tail and len(tail.group()) < _CHARACTER_BYTES and not _read(tail.group()) else ""
        return self._sealed(text[: len(text) - len(self._held)])

    def end(self) -> str:
        left, self._held = self._held, ""
        return self._sealed(left)

    def _sealed(self, text: str) -> str:
        sealed = _LONE.sub(REPLACEMENT, _BYTES.sub(lambda run: _read(run.group(), "replace"), text))
        self.lost = self.lost or REPLACEMENT in sealed
        return sealed


def _read(run: str, errors: str = "strict") -> str:
    """Bytes as text; "" where they are none."""
    try:
        return run.encode("utf-8", "surrogateescape").decode("utf-8", errors)
    except UnicodeError:
        return ""


class StreamedArgument:
    """The text of one string argument, while the JSON object that it is in still arrives.

    Anything but an object, or another type of value, yields nothing. Lone surrogates become U+FFFD.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._step: Callable[[str, int, list[str]], int] = self._before_object
        self._key = ""
        self._depth = 0
        self._quoted = False  # inside a string, while skipping
        self._escape = ""  # an escape that has begun
        self._high = 0  # the first half of a surrogate pair

    def feed(self, text: str) -> str:
        """The argument's text as far as this piece of JSON tells more of it."""
        out: list[str] = []
        at = 0
        while at < len(text):
            at = self._step(text, at, out)
        return "".join(out)

    # Each step reads at least one character at `at`, and returns where to go on.

    def _before_object(self, text: str, at: int, _: list[str]) -> int:
        if text[at] not in _BLANK:
            self._step = self._before_key if text[at] == "{" else self._over
        return at + 1

    def _before_key(self, text: str, at: int, _: list[str]) -> int:
        if text[at] == '"':
            self._key, self._step = "", self._in_key
        elif text[at] not in _BLANK + ",":
            self._step = self._over
        return at + 1

    def _in_key(self, text: str, at: int, _: list[str]) -> int:
        read: list[str] = []
        at, closed = self._string(text, at, read)
        self._key += "".join(read)
        if closed:
            self._step = self._before_value
        return at

    def _before_value(self, text: str, at: int, _: list[str]) -> int:
        if text[at] in _BLANK + ":":
            return at + 1
        if self._key != self._name:
            self._step = self._skip
            return at
        self._step = self._in_value if text[at] == '"' else self._over
        return at + 1

    def _in_value(self, text: str, at: int, out: list[str]) -> int:
        at, closed = self._string(text, at, out)
        if closed:
            self._step = self._over
        return at

    def _skip(self, text: str, at: int, _: list[str]) -> int:
        """Past a value of no interest, up to its comma or the object's end."""
        char = text[at]
        if self._escape:
            self._escape = ""
        elif self._quoted:
            self._escape = "\\" if char == "\\" else ""
            self._quoted = char != '"'
        elif char == '"':
            self._quoted = True
        elif char in "{[":
            self._depth += 1
        elif char in "}]":
            self._depth -= 1
            if self._depth < 0:
                self._step = self._over
        elif char == "," and self._depth == 0:
            self._step = self._before_key
        return at + 1

    def _over(self, text: str, at: int, _: list[str]) -> int:
        return max(at, len(text))

    def _string(self, text: str, at: int, out: list[str]) -> tuple[int, bool]:
        """Inside a string: where to go on, and whether it was closed."""
        if self._escape:
            self._escape += text[at]
            self._unescape(out)
            return at + 1, False
        if plain := _PLAIN.match(text, at):
            self._lone_half(out)
            out.append(plain.group())
            return plain.end(), False
        if text[at] == "\\":
            self._escape = "\\"
            return at + 1, False
        self._lone_half(out)
        return at + 1, True

    def _unescape(self, out: list[str]) -> None:
        if self._escape[1] != "u":
            self._lone_half(out)
            out.append(_ESCAPES.get(self._escape[1], self._escape[1]))
        elif len(self._escape) < 6:
            return
        else:
            self._code_unit(self._escape[2:], out)
        self._escape = ""

    def _code_unit(self, digits: str, out: list[str]) -> None:
        unit = int(digits, 16) if re.fullmatch("[0-9a-fA-F]{4}", digits) else ord(REPLACEMENT)
        if self._high and 0xDC00 <= unit < 0xE000:
            out.append(chr(0x10000 + ((self._high - 0xD800) << 10) + (unit - 0xDC00)))
            self._high = 0
            return
        self._lone_half(out)
        if 0xD800 <= unit < 0xDC00:
            self._high = unit
        else:
            out.append(REPLACEMENT if 0xDC00 <= unit < 0xE000 else chr(unit))

    def _lone_half(self, out: list[str]) -> None:
        if self._high:
            out.append(REPLACEMENT)
            self._high = 0
