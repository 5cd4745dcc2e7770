"""How things are printed: colours and tables on a terminal, plain lines in a pipe.

Rules. (1) rich is imported on a terminal only. (2) Plain lines have no tabs and no colours, and hang on no terminal's
width. (3) What comes out of a log is made printable first (`questions/texts.py`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TextIO

import msgspec

from palimpsest.events.texts import clip
from palimpsest.questions.texts import one_line

if TYPE_CHECKING:
    from rich.console import Console

Part = str | tuple[str, str]
"""Text, or text and its style on a terminal."""

PIPE_CHARS: Final = 160
"""The width of a page that is no terminal, where a line is clipped."""


def print_json(row: object) -> None:
    """One JSON value on a line of its own: what a command's --json gives to programs."""
    sys.stdout.write(msgspec.json.encode(row).decode() + "\n")


def many(number: int, what: str) -> str:
    """A number of things: 1 event, 2,000 events."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def took(duration_ms: int) -> str:
    """A duration: 9 ms, 2.3 s, 4 min 10 s, 3 h 5 min, 2 d 4 h."""
    if duration_ms < 1000:
        return f"{duration_ms} ms"
    seconds = duration_ms // 1000
    if seconds < 60:
        return f"{duration_ms / 1000:.1f} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    if seconds < 86_400:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    return f"{seconds // 86_400:,} d {seconds % 86_400 // 3600} h"


def on_terminal() -> bool:
    return sys.stdout.isatty()


def terminal(stream: TextIO) -> Console:
    """A rich console, which heeds NO_COLOR and never reads markup out of what it prints."""
    from rich.console import Console

    return Console(file=stream, highlight=False, markup=False, emoji=False)


class Page:
    """What a command prints on."""

    def __init__(self) -> None:
        self._console = terminal(sys.stdout) if on_terminal() else None

    def line(self, *parts: Part) -> None:
        """One line, however long."""
        if self._console is None:
            sys.stdout.write("".join(part if isinstance(part, str) else part[0] for part in parts) + "\n")
            return
        from rich.text import Text

        self._console.print(Text.assemble(*parts), soft_wrap=True)

    def fitted(self, *parts: Part) -> None:
        """One line, clipped to the terminal's width; in a pipe to PIPE_CHARS."""
        if self._console is None:
            self.line(clip("".join(part if isinstance(part, str) else part[0] for part in parts), PIPE_CHARS))
            return
        from rich.text import Text

        line = Text.assemble(*parts)
        line.truncate(self._console.width, overflow="ellipsis")
        self._console.print(line, soft_wrap=True)

    def table(
        self,
        header: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        right: frozenset[int] = frozenset(),
        labels: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        """Rows under a header; the columns `right` are numbers. In a pipe: aligned, with `labels` and no header."""
        rows = [tuple(row) for row in rows]
        if self._console is not None:
            self._console.print(_table(header, rows, right))
            return
        rows = [[f"{labels[i]} {cell}" if i in labels else cell for i, cell in enumerate(row)] for row in rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = [
                cell.rjust(width) if index in right else cell.ljust(width)
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            self.line("  ".join(cells).rstrip())


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[int]) -> object:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(header):
        table.add_column(name, justify="right" if index in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


NAMES_SHOWN: Final = 40


def names_of(agents: Sequence[str]) -> str:
    """Names in a line that stays short."""
    more = f" and {len(agents) - NAMES_SHOWN} more" if len(agents) > NAMES_SHOWN else ""
    return ", ".join(one_line(agent) for agent in agents[:NAMES_SHOWN]) + more
