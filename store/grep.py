"""Every place of a text in the documents of sources: what is looked for, in which order, and what is shown of a match.

Rule: upper and lower case and white space make no difference, and a match may stand across passages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from events.documents import Passage
from events.envelope import Envelope
from events.passages import Hit
from events.sources import Document, Source
from events.types import PassagesLoaded

TEXT_CHARS: Final = 1000
"""No longer text is looked for."""
SNIPPET_CHARS: Final = 80
"""So much is shown on each side of a match."""


class Match(NamedTuple):
    """A match, whose text is only made if it is shown."""

    source: Source
    at: Envelope
    event: PassagesLoaded
    chunk: int
    passage: Passage
    start: int
    whole: str
    found: re.Match[str]

    def __call__(self) -> Hit:
        passage, line = self.passage, 0
        if passage.first_line:
            before = passage.text[: max(0, passage.overlap + self.start)].count("\n")
            line = min(passage.first_line + before, max(passage.last_line, passage.first_line))
        low, high = self.found.start() - SNIPPET_CHARS, self.found.end() + SNIPPET_CHARS
        around = " ".join(self.whole[max(0, low) : high].split())
        return Hit(
            self.at.seq,
            self.chunk,
            0.0,
            self.at.time,
            self.source.name,
            f"{'… ' * (low > 0)}{around}{' …' * (high < len(self.whole))}",
            stream=self.at.agent,
            document=self.event.document,
            path=self.event.path,
            page=passage.page,
            first_line=line,
            last_line=line,
            heading=passage.heading,
        )


def pattern_of(text: str) -> re.Pattern[str]:
    """What finds a text, white space apart, in one that `low` made. Raises ValueError, for the model, where the text is
    none to look for."""
    words = low(text).split()
    if not words:
        raise ValueError("text is empty. Give the text to find.")
    if len(text) > TEXT_CHARS:
        raise ValueError(f"text has {len(text):,} characters. Give at most {TEXT_CHARS:,} of them.")
    return re.compile(r"\s+".join(map(re.escape, words)))


def low(text: str) -> str:
    """Lower case, character by character where some would grow: what is found stands at the same place in the text."""
    low = text.lower()
    if len(low) == len(text):
        return low
    return "".join(small if len(small := character.lower()) == 1 else character for character in text)


def in_order(
    events: Iterable[tuple[Envelope, PassagesLoaded]], loaded: Mapping[str, Document]
) -> Iterator[tuple[Envelope, PassagesLoaded]]:
    """The stretches of the loaded documents, each document's in its order.

    What was in flight together, and sent again, may stand in another: it is held back until its turn comes.
    """
    following: dict[str, int] = {}
    early: dict[tuple[str, int], tuple[Envelope, PassagesLoaded]] = {}
    for envelope, event in events:
        document = loaded.get(event.document)
        if document is None or not document.opened < envelope.seq < document.closed:
            continue
        early[event.document, event.first] = envelope, event
        while due := early.pop((event.document, following.get(event.document, 0)), None):
            following[event.document] = due[1].first + due[1].count
            yield due
