"""What the readers of all formats hand on: parts, a stretch of text each, with the place where it stands."""

from __future__ import annotations

from typing import Final, NamedTuple

PART_CHARS: Final = 65_536
"""About how much text a reader gathers before it hands it on."""
HEADING_CHARS: Final = 200


class Part(NamedTuple):
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


def well_formed(text: str) -> str:
    """A text that can be written as UTF-8: halves of surrogate pairs are joined, or replaced if they stand alone."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
