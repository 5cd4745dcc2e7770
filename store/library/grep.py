"""Every place of a text in the documents of sources: what is looked for, in which order, and what is shown of a match.

Rules. (1) Case, white space and the form of a word (`store.words.letters`) make no difference, and a match may stand
across passages. (2) What is shown of a match is the document's own text. (3) A text is found wherever its characters
stand, in the middle of words too; but another form of it (email for e-mail) only where a word begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from palimpsest.events.documents import Passage
from palimpsest.events.envelope import Envelope
from palimpsest.events.passages import Hit
from palimpsest.events.sources import Document, Source
from palimpsest.events.types import PassagesLoaded
from palimpsest.store.words.letters import THOUSANDS, Folded, without_signs, without_spaces

TEXT_CHARS: Final = 1000
"""No longer text is looked for."""
SNIPPET_CHARS: Final = 80
"""So much is shown on each side of a match."""


class GrepMatch(NamedTuple):
    """A match, whose text is only made if it is shown."""

    source: Source
    at: Envelope
    event: PassagesLoaded
    chunk: int
    passage: Passage
    start: int
    whole: str
    found: tuple[int, int]

    def __call__(self) -> Hit:
        passage, line = self.passage, 0
        if passage.first_line:
            before = passage.text[: max(0, passage.overlap + self.start)].count("\n")
            line = min(passage.first_line + before, max(passage.last_line, passage.first_line))
        low, high = self.found[0] - SNIPPET_CHARS, self.found[1] + SNIPPET_CHARS
        around = " ".join(self.whole[max(0, low) : high].split())
        return Hit(
            self.at.seq,
            self.chunk,
            0.0,
            self.at.time,
            self.source.name,
            f"{'… ' * (low > 0)}{around}{' …' * (high < len(self.whole))}",
            stream=self.at.stream,
            document=self.event.document,
            path=self.event.path,
            page=passage.page,
            first_line=line,
            last_line=line,
            heading=passage.heading,
        )


class SoughtText(NamedTuple):
    """A text that is looked for; `bare`: whatever the vowel signs. What has not its `longest` word does not have it."""

    pattern: re.Pattern[str]
    longest: str
    bare: bool = False

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where in a text it stands."""
        folded = Folded(text, bare=self.bare)
        if not self._may_have(folded.text):
            return
        for found in self.pattern.finditer(folded.text):
            yield folded.span(*found.span())

    def _may_have(self, text: str) -> bool:
        """Told fast."""
        for sign in "" if self.longest in text else "-_" if self.longest.isalpha() else "-_,.' ":
            text = text.replace(sign, "")
        return self.longest in text


def sought(text: str) -> list[SoughtText]:
    """What finds a text: the second only where the first finds nothing. Raises ValueError, for the model, where the
    text is none to look for."""
    if len(text) > TEXT_CHARS:
        raise ValueError(f"text has {len(text):,} characters. Give at most {TEXT_CHARS:,} of them.")
    folded = Folded(text).text
    if not folded.split():
        raise ValueError("text is empty. Give the text to find.")
    without = without_signs(folded)
    loose = [SoughtText(_pattern(without), _longest(without), bare=True)] if _VOWELLED.search(without) else []
    return [SoughtText(_pattern(folded), _longest(folded)), *loose]


_VOWELLED: Final = re.compile("[\u0900-\u0eff]")
"""Scripts whose words have vowel signs."""
_WORD: Final = re.compile(r"[^\W_]+(?:[-_]+[^\W_]+)*")
_VERSION: Final = r"v(?=\d+\.\d)"
_SIGN: Final = "[-_]?"
_GROUP: Final = "[,.' ]?"
_MORE: Final = r"(?!\d|[,.']\d{3}(?!\d))"
_PIECE: Final = re.compile(
    rf"(?P<version>{_VERSION})|(?<![\d.,'])(?P<count>{THOUSANDS})(?!\d)|(?P<digits>\d+)|(?P<letter>[^\W\d_])"
    r"|(?P<hyphen>(?<=[^\W\d_])[-_](?=[^\W_])|(?<=\d)[-_](?=[^\W\d_]))|.",
    re.DOTALL,
)


def _pattern(folded: str) -> re.Pattern[str]:
    """Of a folded text: as it is, or else, from a word's beginning, in another form."""
    exact = r"\s+".join(map(re.escape, folded.split()))
    other = r"\s+".join(map(_forms, without_spaces(folded).split()))
    return re.compile(rf"{exact}|(?<!\w)(?<!\d[,.']){other}" if other != exact else exact)


def _longest(folded: str) -> str:
    """The longest word of a folded text, without what may be left out of it."""
    words = _WORD.findall(re.sub(_VERSION, " ", without_spaces(folded)))
    return max((re.sub("[-_]", "", word) for word in words), key=len, default="")


def _forms(word: str) -> str:
    """Of a word: hyphens and underscores in it or not, thousands parted or not, a version with its v or not."""
    pieces, last = [], ""
    for found in _PIECE.finditer(word):
        kind = found.lastgroup or ""
        if kind == "hyphen":
            continue
        if last in ("letter", "digits", "count") and kind in ("letter", "digits", "count"):
            pieces.append(_SIGN)
        match kind:
            case "version":
                pieces.append("v?")
            case "count" | "digits":
                pieces.append(_number(re.sub(r"\D", "", found[0])))
            case _:
                pieces.append(re.escape(found[0]))
        last = kind
    return "".join(pieces)


def _number(digits: str) -> str:
    """Of a number: its thousands parted or not, as in India too."""
    if len(digits) < 4:
        return digits
    head, groups = _parted(digits, 3, 3)
    western = head + "".join(_GROUP + group for group in groups)
    head, groups = _parted(digits, 2, 3)
    return rf"(?:{western}|{','.join((head, *groups))}){_MORE}"


def _parted(digits: str, size: int, last: int) -> tuple[str, list[str]]:
    """The first digits, and the groups behind them: of `size`, but for the last."""
    front = digits[:-last]
    first = len(front) % size or size
    groups = [front[at : at + size] for at in range(first, len(front), size)]
    return front[:first], [*groups, digits[-last:]]


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
