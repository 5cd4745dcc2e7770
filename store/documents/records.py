"""CSV, JSON and JSON Lines: a record is a part of its own, as lines "column: value", with the lines it stands on.

Rules. (1) Records are read one at a time, whatever the file's size. (2) What turns out not to be what its name says is
read as plain text from there on, and a note tells it. (3) Numbers keep the digits that they have in the file.
"""

from __future__ import annotations

import contextlib
import csv
import json
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from palimpsest.store.documents.decoding import Decoded
from palimpsest.store.documents.parts import PART_CHARS, TextPart, well_formed

MOST_RECORD_CHARS: Final = 16 << 20
"""A JSON record, or a JSON file that is no list, is parsed up to this size; a larger one is read as text."""

_DELIMITERS: Final = ",;\t|"
_SNIFFED_LINES: Final = 50
_NAMED_ROWS: Final = 20
_DECODER: Final = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
_LONGEST_NAME: Final = 100
_NUMBER: Final = re.compile(r"[-+\d.,:/%\s]+")
_BLANK: Final = " \t\n\r"


def record_text(value: object) -> str:
    """A JSON value as lines "path.to.field: value"; a list of plain values on one line."""
    return well_formed("\n".join(_lines("", value)))


def _lines(path: str, value: object) -> Iterator[str]:
    """Raises RecursionError for a value that is nested too deep."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _lines(f"{path}.{key}" if path else str(key), inner)
        if not value and path:
            yield f"{path}: {{}}"
    elif isinstance(value, list) and any(isinstance(each, (dict, list)) for each in value):
        for number, inner in enumerate(value, 1):
            yield from _lines(f"{path}[{number}]", inner)
    else:
        text = ", ".join(map(_scalar, value)) if isinstance(value, list) else _scalar(value)
        yield f"{path}: {text}" if path else text


def _scalar(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _text_from(pieces: Iterator[str], line: int) -> Iterator[TextPart]:
    """The rest of a file as plain text."""
    joins = False
    for piece in pieces:
        yield TextPart(piece, first_line=line, joins=joins)
        joins = True


# --- JSON Lines -------------------------------------------------------------------------------------------------


def jsonl_parts(text: Decoded, notes: list[str]) -> Iterator[TextPart]:
    bad: list[int] = []
    number, whole = 0, True
    for line in text.lines(longest_chars=MOST_RECORD_CHARS):
        number += whole
        whole = line.endswith("\n")
        try:
            found = record_text(_DECODER.decode(line)) if line.strip() else ""
        except (ValueError, RecursionError):
            bad.append(number)
            found = line
        if found:
            yield TextPart(found, first_line=number, last_line=number)
        if len(bad) > 10_000:
            del bad[20:10_000]
    if bad:
        notes.append(f"Lines that are not JSON were read as text, first on line {bad[0]}.")


# --- JSON -------------------------------------------------------------------------------------------------------


def json_parts(text: Decoded, notes: list[str]) -> Iterator[TextPart]:
    """A list's records, one at a time; anything else as one value, laid out over lines."""
    source = _HeldText(text.chunks())
    source.skip_blank()
    if source.peek() == "[":
        yield from _list_parts(source, notes)
        return
    if source.fill(MOST_RECORD_CHARS):
        notes.append(f"It is one JSON value of more than {MOST_RECORD_CHARS:,} characters, and was read as text.")
        yield from _text_from(source.rest(), source.line)
        return
    try:
        value = _DECODER.decode(source.held)
        lines = source.held.count("\n", 0, len(source.held.rstrip()))
        yield TextPart(record_text(value), first_line=source.line, last_line=source.line + lines)
    except (ValueError, RecursionError) as error:
        notes.append(f"It is not JSON ({_why(error)}), and was read as text.")
        yield from _text_from(source.rest(), source.line)


def _list_parts(source: _HeldText, notes: list[str]) -> Iterator[TextPart]:
    opening = source.line
    source.move(1)
    try:
        source.skip_blank()
        if source.peek() == "]":
            return
        while True:
            first = source.line
            found, last = source.record()
            yield TextPart(found, first_line=first, last_line=last)
            source.skip_blank()
            mark = source.peek()
            if mark == "]":
                break
            if mark != ",":
                raise ValueError("a comma or ']' is missing" if mark else "it is cut off within its list")
            source.move(1)
            source.skip_blank()
        source.move(1)
        source.skip_blank()
        if source.peek():
            raise ValueError("more follows after its list")
    except (ValueError, RecursionError) as error:
        notes.append(
            f"It is not JSON from line {source.line} on ({_why(error)}), and was read as text from there; its list "
            f"begins on line {opening}."
        )
        yield from _text_from(source.rest(), source.line)


def _why(error: ValueError | RecursionError) -> str:
    return "it is nested too deep" if isinstance(error, RecursionError) else str(error)


class _HeldText:
    """A text of which only the piece at hand is held: `held` begins on line `line`."""

    def __init__(self, chunks: Iterator[str]) -> None:
        self._chunks = chunks
        self.held = ""
        self.line = 1
        self._at = 0

    def fill(self, chars: int) -> bool:
        """Hold this many characters from here on, if there are; whether there may be more."""
        self.held, self._at = self.held[self._at :], 0
        pieces = [self.held]
        have = len(self.held)
        while have < chars and (piece := next(self._chunks, "")):
            pieces.append(piece)
            have += len(piece)
        self.held = "".join(pieces)
        return have >= chars

    def peek(self) -> str:
        """The next character; "" at the end."""
        if self._at >= len(self.held):
            self.fill(1)
        return self.held[self._at : self._at + 1]

    def move(self, chars: int) -> None:
        self.line += self.held.count("\n", self._at, self._at + chars)
        self._at += chars

    def skip_blank(self) -> None:
        while (char := self.peek()) and char in _BLANK:
            self.move(1)

    def record(self) -> tuple[str, int]:
        """The text of the JSON value that stands here, and the line of its end. Raises ValueError, RecursionError."""
        wanted, more = PART_CHARS, True
        while True:
            try:
                value, end = _DECODER.raw_decode(self.held, self._at)
                if end < len(self.held) or not more:  # at the end of what is held a number may go on
                    text = record_text(value)
                    self.move(end - self._at)
                    return text, self.line
            except ValueError:
                if not more or wanted > MOST_RECORD_CHARS:
                    raise
            more = self.fill(wanted)
            wanted *= 4

    def rest(self) -> Iterator[str]:
        yield self.held[self._at :]
        yield from self._chunks


# --- CSV --------------------------------------------------------------------------------------------------------


def csv_parts(text: Decoded, notes: list[str]) -> Iterator[TextPart]:
    """Rows under the names of the first row; of a file whose first row is no header, under "column 1" and so on.

    A row whose quote does not close, so that it would swallow those after it, is read for itself, and named in a note.
    """
    csv.field_size_limit(2 * MOST_RECORD_CHARS)  # of this process; Python's own is 131,072
    lines = _LineBuffer(text.lines(longest_chars=MOST_RECORD_CHARS))
    delimiter, width = _shape(lines.ahead(_SNIFFED_LINES))
    names: list[str] | None = None
    header: TextPart | None = None
    odd: list[int] = []
    for first, row in _rows(lines, delimiter, width, odd):
        part = TextPart(_row_text(names or [], row), first_line=first, last_line=lines.number)
        if names is None and (names := _header(row)):
            header = part
            continue
        header = None
        yield part
    if header is not None:
        yield header
    if odd:
        more = f" and {len(odd) - _NAMED_ROWS} more" * (len(odd) > _NAMED_ROWS)
        named = ", ".join(map(str, odd[:_NAMED_ROWS]))
        notes.append(f"Rows with a quote that does not close were read as they stand: on line {named}{more}.")


class _LineBuffer:
    """Lines that can be looked at before they are taken, and given back."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._held: deque[str] = deque()
        self.taken: list[str] = []
        self.number = 0
        """Of the line taken last."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._held.popleft() if self._held else next(self._lines)
        self.taken.append(line)
        self.number += 1
        return line

    def ahead(self, count: int) -> list[str]:
        self._held.extend(islice(self._lines, count - len(self._held)))
        return list(self._held)

    def give_back(self, count: int) -> None:
        """The last so many of those taken."""
        for _ in range(count):
            self._held.appendleft(self.taken.pop())
        self.number -= count


def _rows(lines: _LineBuffer, delimiter: str, width: int, odd: list[int]) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with its first line; `odd` gets the lines of those that were read for themselves."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.taken.clear()
        first = lines.number + 1
        try:
            row = next(reader, None)
        except csv.Error:
            row = []  # it has no width, and ends the reader
        if row is None:
            return
        rows = [row]
        if len(row) != width and _swallows(lines.taken, delimiter, width):
            lines.give_back(len(lines.taken) - 1)
            odd.append(first)
            row = []
        if not row and lines.taken:
            rows = _loosely(lines.taken, delimiter)
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
        for each in rows:
            if any(map(str.strip, each)):
                yield first, each


def _swallows(taken: Sequence[str], delimiter: str, width: int) -> bool:
    """Whether most lines of a row after its first are rows by themselves."""
    others = taken[1:]
    alone = sum([len(row) for row in _loosely([line], delimiter)] == [width] for line in others)
    return width > 1 and alone * 2 > len(others) > 0


def _loosely(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """These lines as rows, where their quotes are not what they should be."""
    try:
        return list(csv.reader(lines, delimiter=delimiter))
    except csv.Error:
        return [[line] for line in lines]


def _shape(sample: Sequence[str]) -> tuple[str, int]:
    """The delimiter that cuts most rows into the same number of cells, at least two, and that number (csv.Sniffer often
    guesses letters)."""
    best = (0.0, 1, ",")
    for delimiter in _DELIMITERS:
        widths: Counter[int] = Counter()
        with contextlib.suppress(csv.Error):
            widths.update(len(row) for row in csv.reader(sample, delimiter=delimiter) if row)
        for width, rows in widths.most_common(1):
            if width > 1:
                best = max(best, (rows / widths.total(), width, delimiter))
    return best[2], best[1]


def _header(row: Sequence[str]) -> list[str]:
    """The columns' names if these cells are names: different words, no numbers. Else none."""
    names = [" ".join(cell.split()) for cell in row]
    named = [name for name in names if name]
    plain = all(len(name) <= _LONGEST_NAME and not _NUMBER.fullmatch(name) for name in named)
    return names if plain and len(set(named)) == len(named) and len(named) * 2 > len(names) else []


def _row_text(names: Sequence[str], row: Sequence[str]) -> str:
    cells = ((names[at] if at < len(names) else "") or f"column {at + 1}" for at in range(len(row)))
    return well_formed(
        "\n".join(f"{name}: {cell.strip()}" for name, cell in zip(cells, row, strict=True) if cell.strip())
    )
