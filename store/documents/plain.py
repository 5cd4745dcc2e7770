"""Plain text and Markdown into parts, with exact line numbers; Markdown's headings are its places.

Rules. (1) Parts joined give the text again. (2) A heading that only holds other headings goes with the first of them:
no passage is a heading alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from store.documents.decoding import Decoded
from store.documents.parts import PART_CHARS, Headings, Part

_ATX: Final = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_UNDERLINE: Final = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_NOT_TITLED: Final = re.compile(r"\s*$|[ \t]*([-*+>|#]|\d+[.)])(\s|$)| {4}|\t")
"""What an underline under it makes no heading: blank lines, lists, quotes, tables, code."""


def text_parts(text: Decoded) -> Iterator[Part]:
    joins = False
    for piece in text.chunks():
        yield Part(piece, first_line=1, joins=joins)
        joins = True


def markdown_parts(text: Decoded) -> Iterator[Part]:
    reader = _Markdown()
    for line in text.lines():
        yield from reader.read(line)
    yield from reader.close()


class _Markdown:
    """Gathers the lines of a section; a line is held back until it is known not to be a heading by its underline."""

    def __init__(self) -> None:
        self._headings = Headings()
        self._lines: list[str] = []
        self._chars = 0
        self._first_line = 1
        self._line = 0
        self._whole = True
        self._has_body = False
        self._had_body = False
        self._joins = False
        self._fence = ""
        self._front_matter = False
        self._title = ""
        """The line before, if an underline would make it a heading."""

    def read(self, line: str) -> Iterator[Part]:
        starts = self._whole
        self._line += starts
        self._whole = line.endswith("\n")
        if not starts or self._is_literal(line):
            self._title = ""
            yield from self._add(line)
        elif found := _ATX.match(line):
            yield from self._enter(len(found[1]), found[2] or "", [line])
        elif self._title and (found := _UNDERLINE.match(line)):
            self._lines.pop()
            self._chars -= len(self._title)
            self._has_body = self._had_body
            yield from self._enter(1 if found[1][0] == "=" else 2, self._title, [self._title, line])
        else:
            self._title = "" if _NOT_TITLED.match(line) else line
            self._had_body = self._has_body
            yield from self._add(line)

    def close(self) -> Iterator[Part]:
        yield from self._flush()

    def _is_literal(self, line: str) -> bool:
        """Whether the line stands in a fence of code or in front matter, or marks one."""
        if self._line == 1 and line.rstrip() == "---":
            self._front_matter = True
            return True
        if self._front_matter:
            self._front_matter = line.rstrip() not in ("---", "...")
            return True
        if self._fence:
            if line.strip().startswith(self._fence) and not line.strip().strip(self._fence[0]):
                self._fence = ""
            return True
        if found := _FENCE.match(line):
            self._fence = found[1]
        return bool(self._fence)

    def _add(self, line: str) -> Iterator[Part]:
        if self._chars >= PART_CHARS:
            yield from self._flush()
        self._lines.append(line)
        self._chars += len(line)
        self._has_body = self._has_body or not line.isspace()

    def _enter(self, level: int, title: str, lines: list[str]) -> Iterator[Part]:
        """Begin a section with a heading of these lines, after what stands before it."""
        self._title = ""
        if self._has_body:
            yield from self._flush()
            self._joins = False
            self._first_line = self._line - len(lines) + 1
        self._headings.enter(level, title)
        self._lines += lines
        self._chars += sum(map(len, lines))
        self._has_body = False

    def _flush(self) -> Iterator[Part]:
        if self._lines:
            text = "".join(self._lines)
            yield Part(text, heading=self._headings.path, first_line=self._first_line, joins=self._joins)
            self._joins = True
        self._lines, self._chars = [], 0
