"""What the miss diagnosis answers: a cause, the events that show it, what to type next; and the facts that it needs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from palimpsest.events.debug.told import Nearest, Told
from palimpsest.events.debug.turns import Search
from palimpsest.events.envelope import Envelope
from palimpsest.events.types import Event


class Cause(StrEnum):
    """What it was. The first five are the question's own; the others are what else there can be."""

    NEVER_SAID = "never said"
    NOT_SEARCHED = "said, but evicted, and not searched for"
    NOT_ON_PAGE = "searched for, and not on the page that came back"
    PUSHED_OUT = "seen in this turn, and pushed out before the answer"
    IGNORED = "in the window, and ignored"
    CUT_OFF = "on the page that came back, but cut out of the excerpt"
    UNREAD = "found, but the answer was given before the page was read"
    UNSEARCHABLE = "known once, and kept where no search looks"
    WAITING = "said, but its input still waited for its turn"
    NOT_ATTACHED = "in a document of a source that was not attached"
    SAID_LATER = "known only later"
    ANSWERED = "nothing was missed: the answer has it"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """An event that shows it. `what` says what it shows; `stream` "": the agent's own."""

    seq: int
    what: str
    text: str = ""
    stream: str = ""


class Next(msgspec.Struct, frozen=True, kw_only=True):
    """A command to type next, as its arguments, and what it shows."""

    command: tuple[str, ...]
    shows: str


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """Where a search had it: at `rank` of `total` (from 1; 0: not at all among the first `looked`), or `unknown`: why
    that is not known."""

    rank: int = 0
    total: int = 0
    looked: int = 0
    unknown: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`input` is the turn that was judged, `answer` what was said, and `request` what it answers (0: nothing yet).
    `question` is what was asked, or what else the turn was of. `nearest` is shown where nothing had all of it."""

    agent: str
    text: str
    matched: str
    at: int
    input: int
    answer: int
    request: int
    cause: Cause
    says: str
    evidence: tuple[Evidence, ...]
    more: int = 0
    """So many events more show the same as those of the evidence."""
    nearest: Nearest | None = None
    next: tuple[Next, ...] = ()
    question: str = ""
    passed_over: int = 0
    """So many later answers were to no question, and are not judged."""


class VerdictFacts(Protocol):
    """What is read from the log; each is asked for only where it is needed."""

    def told(self) -> Sequence[Told]:
        """What the agent was told up to the end of the turn, documents of its sources included."""
        ...

    def repeated(self) -> Sequence[Told]:
        """The same by its own thoughts, and by what functions gave it."""
        ...

    def unattached(self) -> Sequence[Told]:
        """What documents have that the agent had no source for."""
        ...

    def later(self) -> Sequence[Told]:
        """What it was told after the turn's end."""
        ...

    def nearest(self) -> Nearest | None: ...

    def evictions(self) -> Iterable[tuple[Envelope, Event]]:
        """Every MessagesEvicted and SummaryWritten up to the end."""
        ...

    def rank(self, search: Search, told: Collection[Told]) -> Ranked: ...
