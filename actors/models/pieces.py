"""Text out of a stream as it arrives: server-sent events out of bytes, a string out of half a JSON object.

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
    """The payloads of server-sent events, one a `data:` line, as chat-completions servers send them.

    A line that is bare JSON counts too: some servers report an error so in the middle of a stream.
    """

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        *lines, rest = data.split(b"\n")
        if not lines:
            self._rest += rest
            return []
        lines[0] = bytes(self._rest) + lines[0]
        self._rest = bytearray(rest)
        return [payload for line in lines if (payload := _payload(line))]

    def end(self) -> list[bytes]:
        """What stands in a last line without an end."""
        payload = _payload(bytes(self._rest))
        self._rest.clear()
        return [payload] if payload else []


def _payload(line: bytes) -> bytes:
    if line.startswith(b"data:"):
        return line[5:].strip()
    return line.strip() if line.startswith(b"{") else b""


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
