"""Plain text and Markdown into parts, with exact line numbers; Markdown's headings are its places.

Rules. (1) Parts joined give the text again. (2) A heading that only holds other headings goes with the first of them:
no passage is a heading alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from palimpsest.store.documents.decoding import Decoded
from palimpsest.store.documents.parts import Sections, TextPart

_ATX: Final = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_UNDERLINE: Final = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_NOT_TITLED: Final = re.compile(r"\s*$|[ \t]*([-*+>|#]|\d+[.)])(\s|$)| {4}|\t")
"""What an underline under it makes no heading: blank lines, lists, quotes, tables, code."""


def text_parts(text: Decoded) -> Iterator[TextPart]:
    joins = False
    for piece in text.chunks():
        yield TextPart(piece, first_line=1, joins=joins)
        joins = True


def markdown_parts(text: Decoded) -> Iterator[TextPart]:
    reader = _Markdown()
    for line in text.lines():
        yield from reader.read(line)
    yield from reader.close()


class _Markdown:
    """Reads line by line. One that an underline may yet make a heading is held back until the next."""

    def __init__(self) -> None:
        self._sections = Sections()
        self._line = 0
        self._whole = True
        self._held = ""
        self._fence = ""
        self._front_matter = False

    def read(self, line: str) -> Iterator[TextPart]:
        begins, self._whole = self._whole, line.endswith("\n")
        self._line += begins
        literal = not begins or self._is_literal(line)
        if self._held and not literal and (found := _UNDERLINE.match(line)):
            title, self._held = self._held, ""
            yield from self._sections.enter(1 if found[1][0] == "=" else 2, title, title + line, self._line - 1)
            return
        yield from self._release()
        if literal:
            yield from self._sections.add(line, self._line)
        elif found := _ATX.match(line):
            yield from self._sections.enter(len(found[1]), found[2] or "", line, self._line)
        elif _NOT_TITLED.match(line):
            yield from self._sections.add(line, self._line)
        else:
            self._held = line

    def close(self) -> Iterator[TextPart]:
        yield from self._release()
        yield from self._sections.flush()

    def _release(self) -> Iterator[TextPart]:
        """The line before is no heading."""
        if self._held:
            yield from self._sections.add(self._held, self._line - 1)
            self._held = ""

    def _is_literal(self, line: str) -> bool:
        """Whether the line stands in a fence of code or in front matter, or marks one."""
        mark = line.strip()
        if self._line == 1 and mark == "---":
            self._front_matter = True
            return True
        if self._front_matter:
            self._front_matter = mark not in ("---", "...")
            return True
        if self._fence:
            if mark.startswith(self._fence) and not mark.strip(self._fence[0]):
                self._fence = ""
            return True
        if found := _FENCE.match(line):
            self._fence = found[1]
        return bool(self._fence)
