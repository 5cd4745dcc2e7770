"""A DOCX file's text: paragraphs, headings by their styles, and tables by rows.

Read as a stream of XML elements, so that memory is bounded and nothing in a form field, a text box or a tracked
insertion is passed over (python-docx loads the whole tree, and does pass over those). Sizes are checked before
anything is unpacked.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from palimpsest.events.errors import DocumentUnreadable
from palimpsest.store.documents.parts import Sections, TextPart

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MOST_UNPACKED_BYTES: Final = 512 << 20
MOST_RATIO: Final = 200
"""Text in XML packs to a tenth or a thirtieth; a bomb to a thousandth."""
_SMALL_BYTES: Final = 8 << 20

_BODY: Final = "word/document.xml"
_STYLES: Final = "word/styles.xml"
_MORE: Final = ("word/footnotes.xml", "word/endnotes.xml")
_W: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_STRICT: Final = "{http://purl.oclc.org/ooxml/wordprocessingml/main}"
_FALLBACK: Final = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_TITLE: Final = 0
"""The document's title stands above headings of level 1."""
_HEADING: Final = re.compile(r"heading ([1-9])$", re.I)
_USUAL: Final = re.compile(r"heading([1-9])$", re.I)
"""Word's own ids of these styles: what a file means by them that describes no style that is a heading."""
_BROKEN: Final = (
    zipfile.BadZipFile,
    UnicodeDecodeError,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
)


def docx_parts(path: Path) -> Iterator[TextPart]:
    from xml.etree.ElementTree import ParseError

    try:
        with zipfile.ZipFile(path) as archive:
            names = _checked(path, archive)
            levels = _heading_levels(archive) if _STYLES in names else {}
            for name in (_BODY, *_MORE):
                if name in names:
                    yield from _Reader(levels).parts(archive, name)
    except ParseError as error:
        reason = (
            f"It is a damaged DOCX: its XML cannot be read ({error}). Open it in Word, save it anew, and load that."
        )
        raise DocumentUnreadable(str(path), reason) from error
    except _BROKEN as error:
        reason = f"It is a damaged DOCX ({error}). Get a whole copy and load that."
        raise DocumentUnreadable(str(path), reason) from error


def _checked(path: Path, archive: zipfile.ZipFile) -> set[str]:
    """The names of the parts that are read, if they may be unpacked. (A part never unpacks to more than it says.)"""
    wanted = [info for info in archive.infolist() if info.filename in (_BODY, _STYLES, *_MORE)]
    unpacked, packed = sum(info.file_size for info in wanted), sum(info.compress_size for info in wanted)
    if unpacked > MOST_UNPACKED_BYTES or (unpacked > _SMALL_BYTES and unpacked > MOST_RATIO * packed):
        raise DocumentUnreadable(
            str(path),
            f"It would unpack to {unpacked:,} bytes from {packed:,}: a ZIP bomb, or too large. If it is a real "
            "document, split it or save it as text, and load that.",
        )
    if any(info.flag_bits & 1 for info in wanted):
        raise DocumentUnreadable(str(path), "It is encrypted. Save it without a password and load that.")
    return {info.filename for info in wanted}


def _elements(stream: IO[bytes]) -> Iterator[tuple[str, str, Element]]:
    """Beginnings and ends of elements, with the bare names of Word's own. Each is emptied when it has been seen."""
    from xml.etree.ElementTree import ParseError, iterparse

    if b"<!DOCTYPE" in stream.read(4096):
        raise ParseError("it declares entities, which no DOCX does")
    stream.seek(0)
    above: list[Element] = []
    for event, element in iterparse(stream, ("start", "end")):
        name = element.tag.replace(_STRICT, _W).removeprefix(_W)
        if event == "end":
            above.pop()
        yield event, name, element
        if event == "start":
            above.append(element)
        elif above and name not in _KEPT:
            above[-1].remove(element)


_KEPT: Final = frozenset({"pPr", "pStyle", "outlineLvl", "name", "basedOn", "rPr"})
"""What is looked at from the element above."""


def _value(element: Element | None) -> str:
    return "" if element is None else element.get(_W + "val", "") or element.get(_STRICT + "val", "")


def _child(element: Element, name: str) -> Element | None:
    return next((each for each in element if each.tag in (_W + name, _STRICT + name)), None)


def _outline_level(element: Element) -> int | None:
    """The level that a paragraph's or style's properties give it: 1 to 9."""
    properties = _child(element, "pPr")
    value = "" if properties is None else _value(_child(properties, "outlineLvl"))
    return int(value) + 1 if value.isdigit() and int(value) < 9 else None


def _heading_levels(archive: zipfile.ZipFile) -> dict[str, int]:
    """The levels of the styles that are headings, by the styles' ids."""
    levels, bases = dict[str, int](), dict[str, str]()
    with archive.open(_STYLES) as stream:
        for event, name, element in _elements(stream):
            if (event, name) != ("end", "style"):
                continue
            style = element.get(_W + "styleId", "") or element.get(_STRICT + "styleId", "")
            title = _value(_child(element, "name"))
            found = _HEADING.match(title)
            bases[style] = _value(_child(element, "basedOn"))
            if level := int(found[1]) if found else _outline_level(element):
                levels[style] = level
            elif title.lower() == "title":
                levels[style] = _TITLE
    for style in bases:
        base, seen = bases[style], {style}
        while base and base not in seen and style not in levels:
            seen.add(base)
            if base in levels:
                levels[style] = levels[base]
            base = bases.get(base, "")
    return levels


class _Reader:
    """Reads the elements in order. Paragraphs and tables may stand in each other: text boxes, tables in cells."""

    def __init__(self, levels: dict[str, int]) -> None:
        self._levels = levels
        self._sections = Sections()
        self._paragraphs: list[list[str]] = []
        self._rows: list[list[str]] = []
        self._cells: list[list[str]] = []
        self._skipping = 0

    def parts(self, archive: zipfile.ZipFile, name: str) -> Iterator[TextPart]:
        with archive.open(name) as stream:
            for event, tag, element in _elements(stream):
                if tag == _FALLBACK:
                    self._skipping += 1 if event == "start" else -1
                elif not self._skipping:
                    yield from self._begin(tag) if event == "start" else self._end(tag, element)
        yield from self._sections.flush()

    def _begin(self, tag: str) -> Iterator[TextPart]:
        if tag == "p":
            self._paragraphs.append([])
        elif tag == "tr":
            self._rows.append([])
        elif tag == "tc":
            self._cells.append([])
        return iter(())

    def _end(self, tag: str, element: Element) -> Iterator[TextPart]:
        if tag == "p":
            yield from self._paragraph("".join(self._paragraphs.pop()), element)
        elif tag == "tc" and self._rows:
            self._rows[-1].append(" ".join(self._cells.pop()))
        elif tag == "tr":
            yield from self._row(" | ".join(self._rows.pop()))
        elif tag == "tbl" and not self._cells:
            yield from self._sections.add("\n")
        elif self._paragraphs and (text := _TEXTS.get(tag) if tag != "t" else element.text):
            self._paragraphs[-1].append(text)

    def _paragraph(self, text: str, element: Element) -> Iterator[TextPart]:
        text = text.strip()
        if not text:
            return
        if self._cells:
            self._cells[-1].append(" ".join(text.split()))
            return
        properties = _child(element, "pPr")
        style = "" if properties is None else _value(_child(properties, "pStyle"))
        level = _outline_level(element) or self._levels.get(style)
        if level is None and (usual := _USUAL.match(style)) and not self._levels:
            level = int(usual[1])
        if level is not None:
            yield from self._sections.enter(level, text, text + "\n\n")
        else:
            yield from self._sections.add(text + "\n\n")

    def _row(self, text: str) -> Iterator[TextPart]:
        if self._cells:
            self._cells[-1].append(text)
        elif text.strip(" |"):
            yield from self._sections.add(text + "\n")


_TEXTS: Final = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
"""Elements that stand for a character."""
