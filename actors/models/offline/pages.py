"""Result pages of the searches, read back: who said what and when, and where a document's passage is from.

Rule: a page that does not read is an empty one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from palimpsest.actors.models.offline.lines import spoken

_PAGE: Final = re.compile(r"Showing \d+ of (\d+) results? \(page (\d+)/(\d+)\):\s*", re.I)
_ITEM: Final = re.compile(r"timestamp: ([^,]*), (\w[\w ]{0,30})(?: \(([^)]{0,600})\))?: (.*)", re.S)
_CORRECTED: Final = re.compile(r"corrected \S+ \S+(?: [A-Z]\S*)?: (.+)$", re.S)
_KEPT: Final = re.compile(r"^\[(\d{4}-\d{2}-\d{2})\] (user|About the user): (.+)$|^(About the user): (.+)$", re.M)
_WHERE: Final = r"(?:, (?:pages?|lines?) [\d-]+)"
_DOCUMENTS: Final = tuple(
    re.compile(rf"timestamp: ([^,]*), source: (.{{1,100}}?), document: (.{{1,400}}?)({where}): (.*)", re.S)
    for where in (rf"{_WHERE}+(?:, under “[^”]*”)?", r"(?:, under “[^”]*”)?")
)
"""A document's line: first as it is with a place, which tells where a path ends that holds a colon; then without."""
_SOURCE: Final = re.compile(r",? source: ([^,\n]{1,200})$")
_items: Final = msgspec.json.Decoder(list[str])


class Item(msgspec.Struct, frozen=True):
    """Something that may answer. `who`: user, assistant, memory, summary, document; `time` as rendered ("" unknown).
    `source`: where it is from; of a document, all that it takes to cite it; of a user's two messages, the second."""

    who: str
    text: str
    time: str = ""
    source: str = ""


class ShownPage(msgspec.Struct, frozen=True):
    items: tuple[Item, ...] = ()
    number: int = 0
    last: int = 0


def read_page(result: str) -> ShownPage:
    """A search's result page; one that is empty or does not read has no items."""
    head = _PAGE.search(result[:400])
    if head is None:
        return ShownPage()
    try:
        raw = _items.decode(result[head.end() :])
    except (msgspec.MsgspecError, RecursionError):
        return ShownPage(number=int(head[2][:9]), last=int(head[3][:9]))
    return ShownPage(
        tuple(item for text in raw for item in _told_apart(_item(text))), int(head[2][:9]), int(head[3][:9])
    )


def _told_apart(item: Item) -> Iterator[Item]:
    """What the agent kept in archival memory of its own accord, as what the user said; all else as it is."""
    kept = list(_KEPT.finditer(item.text)) if item.who == "memory" else []
    for match in kept:
        said = match[3] or match[5]
        yield Item("user", said if match[2] == "user" else spoken(said), match[1] or item.time[:10])
    if not kept:
        yield item


def _item(text: str) -> Item:
    document = next((found for pattern in _DOCUMENTS if (found := pattern.match(text))), None)
    if document is not None:
        return Item("document", document[5], document[1], f"{document[3]}{document[4]} (source: {document[2]})")
    match = _ITEM.match(text)
    if match is None:
        return Item("memory", text)
    source = _SOURCE.search(match[4])
    body = match[4][: source.start()] if source else match[4]
    corrected = _CORRECTED.search(match[3] or "")
    body = f"{body.rstrip('. ')} (corrected: {corrected[1].rstrip('. ')})." if corrected else body
    return Item(match[2].strip().lower(), body, match[1], source[1] if source else "")
