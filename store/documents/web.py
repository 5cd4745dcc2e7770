"""An HTML page's main text, with its headings. The only module that imports selectolax (a binding of Lexbor).

Rules. (1) What a reader does not see is left out (scripts, styles, hidden elements), and so is navigation; of a page
that marks its main part, the rest. The page's footer, which may hold its address, comes last. (2) Lexbor reads any text
as some page; the page is in memory, so its size is limited, and so is its depth. Lines are not known.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from palimpsest.events.errors import DocumentUnreadable
from palimpsest.store.documents.decoding import SAMPLE_BYTES, Decoded
from palimpsest.store.documents.parts import Sections, TextPart, well_formed

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

MOST_BYTES: Final = 64 << 20
MOST_DEPTH: Final = 5000

_DROPPED: Final = frozenset((
    "script", "style", "template", "noscript", "head", "nav", "svg", "math", "iframe", "object", "canvas", "audio",
    "video", "button", "select", "textarea", "dialog", "datalist", "-comment",
))  # fmt: skip
_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
_PARAGRAPHS: Final = frozenset((
    "p", "div", "section", "article", "main", "blockquote", "ul", "ol", "dl", "table", "pre", "figure", "header",
    "footer",
))  # fmt: skip
_LINES: Final = frozenset((
    "li", "tr", "dt", "dd", "br", "hr", "address", "aside", "caption", "figcaption", "fieldset", "form", "summary",
    "details",
))  # fmt: skip
_CHARSET: Final = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?([\w.:-]+)", re.I)
_CHARSETS: Final = re.compile(r"(cp\d|iso8859|iso2022|koi8|shift_jis|euc_|gb|big5|mac-|tis-620|johab)")
_TAGS: Final = re.compile(r"<(/?)([a-z][a-z0-9]*)[^<>]*?(/?)>", re.I)
_UNCLOSED: Final = frozenset((
    "p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "option", "colgroup", "col", "br", "hr", "img",
    "input", "meta", "link", "area", "base", "embed", "source", "track", "wbr", "param",
))  # fmt: skip
"""Elements that end by themselves."""
_SPACE: Final = re.compile(r"\s+")


def html_parts(path: Path, stream: BinaryIO, encoding: str, notes: list[str]) -> Iterator[TextPart]:
    from selectolax.lexbor import LexborHTMLParser

    size = path.stat().st_size
    if size > MOST_BYTES:
        reason = f"It is an HTML page of {size:,} bytes, and the limit is {MOST_BYTES:,}. Split it, or save it as text."
        raise DocumentUnreadable(str(path), reason)
    decoded = Decoded(stream, _declared(stream, encoding))
    text = "".join(decoded.chunks()).replace("\0", " ")
    notes += decoded.notes
    if _depth(text) > MOST_DEPTH:
        reason = f"It is HTML whose elements are nested more than {MOST_DEPTH:,} deep. Save it as text and load that."
        raise DocumentUnreadable(str(path), reason)
    yield from _PageText().read(LexborHTMLParser(text))


def _depth(text: str) -> int:
    """About how deep elements are nested: the parser's time grows with the square of that."""
    depth = deepest = 0
    for closes, name, closed in _TAGS.findall(text):
        if closes:
            depth = max(0, depth - (name.lower() not in _UNCLOSED))
        elif not closed and name.lower() not in _UNCLOSED:
            depth += 1
            deepest = max(deepest, depth)
    return deepest


def _declared(stream: BinaryIO, encoding: str) -> str:
    """The encoding that the page says it has, unless its bytes say UTF-8 or UTF-16."""
    found = _CHARSET.search(stream.read(SAMPLE_BYTES))
    stream.seek(0)
    if encoding.startswith("utf") or found is None:
        return encoding
    try:
        declared = codecs.lookup(found[1].decode("ascii")).name
    except LookupError:
        return encoding
    # Browsers take Latin-1 for Windows-1252 too. Python's other codecs (base64, idna ...) are no charsets.
    return "cp1252" if declared == "iso8859-1" else declared if _CHARSETS.match(declared) else encoding


def _is_of_page(footer: LexborNode) -> bool:
    """Whether a footer is no article's, and shown."""
    node: LexborNode | None = footer
    while node is not None:
        if node.tag in _DROPPED or "hidden" in node.attributes:
            return False
        if node is not footer and node.tag in ("article", "section", "main", "blockquote"):
            return False
        node = node.parent
    return True


def _is_apart(node: LexborNode) -> bool:
    """Whether it is a footer that comes last, or a footer's list of nothing but links to other pages."""
    if node.tag == "footer":
        return _is_of_page(node)
    if node.tag not in ("ul", "ol") or not node.css_matches("footer *"):
        return False
    links = [each for each in node.css("a") if not (each.attributes.get("href") or "").startswith(("mailto:", "tel:"))]
    return "".join(node.text().split()) == "".join("".join(each.text() for each in links).split())


class _PageText:
    """Gathers the text of inline elements until a block's border, and then hands it to the sections."""

    def __init__(self) -> None:
        self._sections = Sections()
        self._line: list[str] = []
        self._pre = 0

    def read(self, page: LexborHTMLParser) -> Iterator[TextPart]:
        title = page.css_first("title")
        if title is not None and title.text():
            yield from self._sections.enter(1, well_formed(title.text()), "")
        marked = page.css("main, [role=main]") or page.css("body > article")
        start = marked[0] if len(marked) == 1 and marked[0].text().strip() else page.body or page.root
        footers = [each for each in page.css("footer") if _is_of_page(each)]
        if start is not None:
            yield from self._walk(start)
        yield from self._end_line("\n")
        for footer in footers:
            yield from self._sections.enter(2, "", "")
            for child in footer.iter(include_text=True):
                yield from self._walk(child)
            yield from self._end_line("\n")
        yield from self._sections.flush()

    def _walk(self, start: LexborNode) -> Iterator[TextPart]:
        """All that is under a node, in order. Elements nest deeper than calls may: a stack of what is still to do."""
        stack: list[tuple[LexborNode, bool]] = [(start, False)]
        while stack:
            node, done = stack.pop()
            tag = node.tag or ""
            if done:
                yield from self._leave(tag)
            elif tag == "-text":
                self._text(node.text_content or "")
            elif tag not in _DROPPED and "hidden" not in node.attributes and not _is_apart(node):
                yield from self._enter(tag)
                stack.append((node, True))
                child = node.last_child
                while child is not None:
                    stack.append((child, False))
                    child = child.prev

    def _text(self, text: str) -> None:
        self._line.append(text if self._pre else _SPACE.sub(" ", text))

    def _enter(self, tag: str) -> Iterator[TextPart]:
        self._pre += tag == "pre"
        if tag in _HEADINGS or tag in _PARAGRAPHS or tag in _LINES:
            yield from self._end_line("\n")
        elif tag in ("td", "th") and "".join(self._line).strip():
            self._line.append(" | ")

    def _leave(self, tag: str) -> Iterator[TextPart]:
        if level := _HEADINGS.get(tag):
            title = "".join(self._line).strip()
            self._line = []
            if title:
                title = well_formed(title)
                yield from self._sections.enter(level, title, title + "\n\n")
        elif tag in _PARAGRAPHS:
            yield from self._end_line("\n\n")
        elif tag in _LINES:
            yield from self._end_line("\n")
        self._pre -= tag == "pre"

    def _end_line(self, ending: str) -> Iterator[TextPart]:
        text = "".join(self._line)
        self._line = []
        text = text.strip("\n") if self._pre else text.strip()
        if text and not text.isspace():
            yield from self._sections.add(well_formed(text) + ending)
