"""What the readers of all formats hand on: parts, a stretch of text each, with the place where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

PART_CHARS: Final = 65_536
"""About how much text a reader gathers before it hands it on."""
HEADING_CHARS: Final = 200


class TextPart(NamedTuple):
    """Some text. A passage never spans parts, but for a part that `joins` the one before: its text goes on there.

    With `last_line` the whole part stands on these lines (a record); else lines are counted from `first_line` by the
    newlines in the text; with neither they are not known.
    """

    text: str
    page: int = 0
    heading: str = ""
    first_line: int = 0
    last_line: int = 0
    joins: bool = False


class Headings:
    """The path of headings at a place: a heading closes those of its own level and below."""

    def __init__(self) -> None:
        self._open: list[tuple[int, str]] = []

    def enter(self, level: int, title: str) -> None:
        self._open = [above for above in self._open if above[0] < level]
        if words := " ".join(title.split()):
            self._open.append((level, words))

    @property
    def path(self) -> str:
        """At most HEADING_CHARS characters: the end is what is cut."""
        path = " > ".join(title for _, title in self._open)
        return path if len(path) <= HEADING_CHARS else path[: HEADING_CHARS - 1].rstrip() + "…"


class Sections:
    """Gathers a document's text by sections. One that only has headings so far goes on with the heading after it."""

    def __init__(self) -> None:
        self._headings = Headings()
        self._texts: list[str] = []
        self._chars = 0
        self._first_line = 0
        self._has_body = False
        self._joins = False

    def add(self, text: str, line: int = 0) -> Iterator[TextPart]:
        """More of this section; `line` is where the text begins, if lines are known."""
        if self._chars >= PART_CHARS:
            yield from self.flush()
        self._first_line = self._first_line or line
        self._texts.append(text)
        self._chars += len(text)
        self._has_body = self._has_body or not text.isspace()

    def enter(self, level: int, title: str, text: str, line: int = 0) -> Iterator[TextPart]:
        """A heading, and the text that it has in the document."""
        if self._has_body:
            yield from self.flush()
            self._joins, self._has_body, self._first_line = False, False, 0
        self._headings.enter(level, title)
        self._first_line = self._first_line or line
        self._texts.append(text)
        self._chars += len(text)

    def flush(self) -> Iterator[TextPart]:
        """What is gathered. What comes then goes on from there."""
        if self._texts:
            text = "".join(self._texts)
            yield TextPart(text, heading=self._headings.path, first_line=self._first_line, joins=self._joins)
            self._joins = True
        self._texts, self._chars = [], 0


def well_formed(text: str) -> str:
    """A text that can be written as UTF-8: halves of surrogate pairs are joined, or replaced if they stand alone."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
