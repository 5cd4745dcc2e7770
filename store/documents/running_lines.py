"""Headers and footers of pages: lines that come again at the edges of one page after another.

Rules. (1) A line goes only where it stands at the edge of two more pages nearby, the same but for the page's number.
(2) The first page that has it keeps it, so that nothing is lost. (3) At an edge lines go from the outside in, up to the
first that does not come again. (4) "Invoice 3" on page 3 may be what the page is about: a number is a page's only
beside a title of some words, or with nothing but words for pages.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from itertools import chain, repeat, starmap
from typing import Final

EDGE: Final = 3
"""Lines at the top and at the bottom of a page that may be such."""
NEAR: Final = 4
"""Pages before and after that are compared: headers of left and right pages take turns."""
_OFTEN: Final = 3
_NUMBER: Final = re.compile(r"\d{1,6}")
_WORD: Final = re.compile(r"[^\W\d_]+")
_TITLE_WORDS: Final = 3
_PAGE_WORDS: Final = frozenset(
    (
        "page",
        "pages",
        "pg",
        "p",
        "of",
        "seite",
        "s",
        "von",
        "página",
        "pagina",
        "pág",
        "de",
        "di",
        "sur",
        "頁",
        "ページ",
    )
)

Page = str | None


class _Edges:
    """A page, and what its lines are known by: each by the same text, or by one but for a number that counts pages."""

    def __init__(self, number: int, text: Page) -> None:
        self.text = text
        self.lines = [] if text is None else text.splitlines(keepends=True)
        written = [at for at, line in enumerate(self.lines) if line.strip()]
        self.top = [(at, _known_by(self.lines[at], number)) for at in written[:EDGE]]
        self.bottom = [(at, _known_by(self.lines[at], number)) for at in written[-EDGE:][::-1]]
        self.known = {key for _, keys in (*self.top, *self.bottom) for key in keys}

    def without(self, again: set[str]) -> Page:
        """The text without the lines at its edges that are known by these."""
        gone = {at for edge in (self.top, self.bottom) for at in _outermost(edge, again)}
        return self.text if not gone else "".join(line for at, line in enumerate(self.lines) if at not in gone)


def without_running_lines(pages: Iterable[Page]) -> Iterator[Page]:
    """Each page's text without the headers and footers that an earlier page had (None, an unread page, stays)."""
    passed: deque[_Edges] = deque()
    coming: deque[_Edges] = deque()
    count: Counter[str] = Counter()
    seen: set[str] = set()
    for page in chain(starmap(_Edges, enumerate(pages)), repeat(None, NEAR)):
        if page is not None:
            coming.append(page)
            count.update(page.known)
        if len(coming) > NEAR or (page is None and coming):
            passed.append(coming.popleft())
            yield _cleared(passed[-1], count, seen)
            if len(passed) > NEAR:
                count.subtract(passed.popleft().known)


def _cleared(page: _Edges, count: Counter[str], seen: set[str]) -> Page:
    """The page without what an earlier one had; what comes again later is noted."""
    running = {key for key in page.known if count[key] >= _OFTEN}
    cleared = page.without(running & seen)
    seen |= running
    return cleared


def _outermost(edge: list[tuple[int, frozenset[str]]], again: set[str]) -> Iterator[int]:
    for at, keys in edge:
        if not keys & again:
            return
        yield at


def _known_by(line: str, page: int) -> frozenset[str]:
    """Its text, and where a number in it may count pages, the text with the number counted from this page."""
    text = " ".join(line.split()).casefold()
    words = _WORD.findall(text)
    if len(words) < _TITLE_WORDS and not all(word in _PAGE_WORDS for word in words):
        return frozenset([text])
    return frozenset([text, *(_counted(text, found, page) for found in _NUMBER.finditer(text))])


def _counted(text: str, found: re.Match[str], page: int) -> str:
    return f"{text[: found.start()]}\0{int(found.group()) - page}\0{text[found.end() :]}"
