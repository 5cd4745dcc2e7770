"""Reads the JSON object that a model meant, where that is sure; else says what is wrong with its text, and where.

Rules. (1) Every character is accounted for: it is read as part of a text, a key or a number as it stands, or it is
between them and means nothing (a brace, a comma, a space). Nothing is dropped, closed or invented. (2) Two keys of one
name are a flaw, and so is an escape that JSON and Python do not have: one of them would be lost, or read otherwise.
(3) How deep an object may be is bounded by rule, not by the stack.

Besides JSON it reads what models write in its place: Python's dicts, other quotation marks around a text, bare keys, a
comma before the closing brace, line breaks within a text, `\\n` between tokens, the object as a string or its inside,
a code fence around it, and a token that ends a turn behind it. json-repair goes further: it drops and invents what it
cannot place, and does not say so (of 51 broken texts it changed 11).
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any, Final

import msgspec

MAX_DEPTH: Final = 32
_SHOWN: Final = 24
"""An error shows so many characters of where it is."""
_LAYERS: Final = 3
"""An object may be a string in a string."""

_BLANK: Final = re.compile(r"(?:\s|\ufeff|\\[nrt])*")
_NUMBER: Final = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?(?![\w.])")
_WORD: Final = re.compile(r"[^\W\d][\w-]*")
_WORDS: Final = {"true": "true", "True": "true", "false": "false", "False": "false", "null": "null", "None": "null"}
_CLOSING: Final = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019"}
_PLAIN: Final = {close: re.compile(rf"[^\\{close}]+") for close in _CLOSING.values()}
_COLONS: Final = ":\uff1a"
_COMMAS: Final = ",\uff0c"
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|U([0-9a-fA-F]{8})|([\"'\\/bfnrt]))")
_MEANS: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_FENCE: Final = "```"
_FENCE_NAMES: Final = ("json", "JSON", "python", "")
_ENDS: Final = (
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|call|>",
    "<|return|>",
    "<|endoftext|>",
    "<|tool_call_end|>",
    "<\uff5cend\u2581of\u2581sentence\uff5c>",
    "<end_of_turn>",
    "</s>",
    "</tool_call>",
)
"""Tokens that end a turn or a call, as servers let them through."""


class Flaw(msgspec.Struct, frozen=True):
    """Why a text is no JSON object; `at` is the character (from 0) where it is not. `str()`: for the model."""

    what: str
    at: int
    found: str = ""

    def __str__(self) -> str:
        place = f" at character {self.at + 1}"
        return f"{self.what}{place}: {self.found}" if self.found else f"{self.what}{place}"


class _Wrong(Exception):
    def __init__(self, what: str, at: int) -> None:
        super().__init__(what)
        self.what = what
        self.at = at


def read_object(text: str, *, lists: bool = False) -> str | Flaw:
    """The object in a text, as JSON text; or what is wrong with the text. `lists`: a list of objects is read too."""
    inner, start = _unwrapped(text)
    if not inner.strip():
        return Flaw("they are empty", start)
    try:
        return _Scanner(inner).whole(lists=lists)
    except _Wrong as wrong:
        found = inner[wrong.at : wrong.at + _SHOWN]
        shown = msgspec.json.encode(found.encode("utf-8", "replace").decode()).decode() if found else ""
        return Flaw(wrong.what, start + wrong.at, shown)


def _unwrapped(text: str) -> tuple[str, int]:
    """What stands in a code fence, or before a turn's end; and the character at which it begins."""
    inner = text.rstrip()
    while end := next((end for end in _ENDS if inner.endswith(end)), ""):
        inner = inner.removesuffix(end).rstrip()
    start = len(inner) - len(inner.lstrip())
    if not (inner.startswith(_FENCE, start) and inner.endswith(_FENCE) and len(inner) >= start + 2 * len(_FENCE)):
        return inner, 0
    start += len(_FENCE)
    start += len(next(name for name in _FENCE_NAMES if inner.startswith(name, start)))
    return inner[start : -len(_FENCE)], start


class _Scanner:
    """One pass over the text; `_at` is the next character. Raises _Wrong."""

    def __init__(self, text: str, layer: int = 1) -> None:
        self._text = text
        self._layer = layer
        self._at = 0

    def whole(self, *, lists: bool = False) -> str:
        """The text's one object."""
        first = self._peek()
        if first == "[" and lists:
            return self._alone(self._list(1))
        if first == '"' and self._layer < _LAYERS:
            return self._string_of_object()
        if first != "{":
            kind = {"[": "they are a list, no object", "": "they are empty"}.get(first, "they do not begin with {")
            raise _Wrong(kind, self._at)
        if self._layer < _LAYERS and re.match(r'\{(?:\s|\\[nrt])*\\"', self._text[self._at : self._at + 200]):
            return self._inside_of_string()
        return self._alone(self._object(1))

    def _alone(self, made: str) -> str:
        if self._peek():
            more = (
                "after the object's end stands another" if self._peek() == "{" else "after the object's end stands more"
            )
            raise _Wrong(f"{more} (call the function once for each object, and write nothing behind it)", self._at)
        return made

    def _string_of_object(self) -> str:
        """The object as a JSON string."""
        start = self._at
        inner = self._string()
        if self._peek():
            raise _Wrong("they are a text, and after it stands more", self._at)
        return self._nested(inner, start)

    def _inside_of_string(self) -> str:
        """The object as it stands in a JSON string, without the string's own quotation marks."""
        start = self._at
        inner = _Scanner(f'"{self._text[start:].rstrip()}"', self._layer)
        body = inner._string()
        end = inner._at
        if inner._peek():
            raise _Wrong('of its quotation marks some are written \\" and some are not', start + end - 2)
        return self._nested(body, start)

    def _nested(self, inner: str, start: int) -> str:
        try:
            return _Scanner(inner, self._layer + 1).whole()
        except _Wrong as wrong:
            raise _Wrong(f"the object that is written as a text is none ({wrong.what})", start) from None

    def _peek(self) -> str:
        """The next character that means something ("": the end)."""
        self._at = _BLANK.match(self._text, self._at).end()  # type: ignore[union-attr]
        return self._text[self._at : self._at + 1]

    def _value(self, depth: int) -> str:
        char = self._peek()
        if char == "":
            raise _Wrong("they are cut off: a value is missing", self._at)
        if char in "{[":
            if depth > MAX_DEPTH:
                raise _Wrong(f"they are nested more than {MAX_DEPTH} deep", self._at)
            return self._object(depth) if char == "{" else self._list(depth)
        if char in _CLOSING:
            return _quoted(self._string())
        return self._number_or_word()

    def _object(self, depth: int) -> str:
        pairs: list[str] = []
        keys: set[str] = set()
        self._at += 1
        while self._peek() != "}":
            start = self._at
            key = self._key()
            if key in keys:
                raise _Wrong("a key stands twice", start)
            keys.add(key)
            if self._peek() not in _COLONS or not self._peek():
                raise _Wrong(self._missing('":" after a key'), self._at)
            self._at += 1
            pairs.append(f"{_quoted(key)}:{self._value(depth + 1)}")
            self._comma("}")
        self._at += 1
        return "{" + ",".join(pairs) + "}"

    def _list(self, depth: int) -> str:
        values: list[str] = []
        self._at += 1
        while self._peek() != "]":
            values.append(self._value(depth + 1))
            self._comma("]")
        self._at += 1
        return "[" + ",".join(values) + "]"

    def _comma(self, close: str) -> None:
        """What follows a value: a comma, or the closing brace, which stays."""
        char = self._peek()
        if char and char in _COMMAS:
            self._at += 1
        elif char != close:
            raise _Wrong(self._missing(f'"," or "{close}" after a value'), self._at)

    def _missing(self, what: str) -> str:
        if self._at >= len(self._text):
            return f"they are cut off: {what} is missing"
        return f'{what} is missing (a quotation mark within a text is written \\")'

    def _key(self) -> str:
        char = self._peek()
        if char == "":
            raise _Wrong('they are cut off: a key or "}" is missing', self._at)
        if char in _CLOSING:
            return self._string()
        word = _WORD.match(self._text, self._at)
        if word is None:
            raise _Wrong("a key is missing", self._at)
        self._at = word.end()
        return word[0]

    def _number_or_word(self) -> str:
        if number := _NUMBER.match(self._text, self._at):
            self._at = number.end()
            return _number(number)
        word = _WORD.match(self._text, self._at)
        if word is None or word[0] not in _WORDS:
            raise _Wrong("a value is not in quotation marks", self._at)
        self._at = word.end()
        return _WORDS[word[0]]

    def _string(self) -> str:
        """The text in the quotation marks that begin here."""
        start = self._at
        close = _CLOSING[self._text[start]]
        plain = _PLAIN[close]
        parts: list[str] = []
        self._at += 1
        while True:
            if found := plain.match(self._text, self._at):
                parts.append(found[0])
                self._at = found.end()
            if self._at >= len(self._text):
                raise _Wrong("they are cut off: a text has no closing quotation mark; it begins", start)
            if self._text[self._at] == close:
                self._at += 1
                return self._joined(parts, start)
            parts.append(self._escape())

    def _escape(self) -> str:
        found = _ESCAPE.match(self._text, self._at)
        if found is None:
            raise _Wrong("an escape is none that JSON has (a backslash is written \\\\)", self._at)
        self._at = found.end()
        digits = found[1] or found[2] or found[3]
        if not digits:
            return _MEANS.get(found[4], found[4])
        code = int(digits, 16)
        if code > 0x10FFFF:
            raise _Wrong("an escape is no character", found.start())
        return chr(code)

    def _joined(self, parts: list[str], start: int) -> str:
        """The text, its escaped surrogates paired."""
        text = "".join(parts)
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeError:
            raise _Wrong("a text holds half a character (a lone surrogate); it begins", start) from None


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _number(found: re.Match[str]) -> str:
    """A number as JSON writes it: digits on both sides of the point, no plus."""
    sign, digits, exponent = found[1], found[2], found[3] or ""
    whole, point, part = digits.partition(".")
    if len(whole) > 1 and whole.startswith("0"):
        raise _Wrong("a number begins with 0 (a text stands in quotation marks)", found.start())
    return f"{sign.strip('+')}{whole or '0'}{'.' + (part or '0') if point else ''}{exponent}"


def has_a_key_twice(text: str) -> bool:
    """Whether an object in this JSON text has two values of one name: the decoder keeps only the last."""
    found = False

    def seen(pairs: list[tuple[str, Any]]) -> None:
        nonlocal found
        found = found or len({key for key, _ in pairs}) < len(pairs)

    with suppress(ValueError):  # a number of thousands of digits
        json.loads(text or "{}", object_pairs_hook=seen)
    return found
