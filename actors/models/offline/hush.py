"""What is not to be said again: how core memory remembers that, and what it covers.

Rules. (1) A line of core memory says by digests what is meant, to whoever hears it again and to nobody else. (2) What
the user says of it later is said again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final

import msgspec

from palimpsest.actors.models.offline.asks import is_question
from palimpsest.actors.models.offline.lines import MARK, parsed, third
from palimpsest.actors.models.offline.pages import read_page
from palimpsest.actors.models.offline.request import RequestView
from palimpsest.actors.models.offline.unsay import ASKING, request_of
from palimpsest.actors.models.offline.words import STOP, alike, sentences, stem, stems, vocabulary, words

Hushed = Callable[[str, str], bool]
"""Whether a text of a time ("" unknown) is not to be quoted."""


_FORGOTTEN: Final = re.compile(rf"{re.escape(MARK)}([^)]*)\): (.*) \[([\w+*# ]*)\]")
WEAK: Final = stems("number detail information info data thing note old date day place")
_LITTLE: Final = frozenset(["my", "our", "the", "a", "an", "i", "is", "are", "was", "am", "we", "that", "m"])
_NAME_ENDS: Final = vocabulary(
    "of on with for to about that who which in at from is are was were has have had and live lives work works"
)
_NAMES_MAX: Final = 3
_YEAR: Final = re.compile(r"(?:19|20)\d\d")
_ANY_NUMBER: Final = "#"
_NUMBERS: Final = stems("number pin phone telephone mobile iban account zip postcode")
_ROOT_CHARS: Final = 6


def about_of(topic: str) -> frozenset[str]:
    """The stems that a topic turns on."""
    told = stems(topic) - stems(" ".join(_LITTLE))
    return told - stems(" ".join(STOP)) - WEAK or told - WEAK or told or stems(topic)


def forgotten(topics: Sequence[str], told: Sequence[str], time: str) -> Forgotten:
    """How to know again what is meant by some topics, and what gives it away in the statements that told it. A topic
    that is a number is in what has one."""
    if "*" in topics:
        return Forgotten.of(time, "everything", [frozenset("*")])
    groups = [
        about_of(topic) | (frozenset() if _NUMBERS.isdisjoint(stems(topic)) else {_ANY_NUMBER}) for topic in topics
    ]
    alone = frozenset[str]().union(*(secrets(line) for line in (*map(third, topics), *told)))
    alone |= frozenset[str]().union(*(_named(topic, line) for topic in topics for line in told))
    label = " and ".join(filter(None, (_label(topic, alone) for topic in topics)))
    return Forgotten.of(time, label or "something", [*groups, *(frozenset({each}) for each in sorted(alone))])


def _label(topic: str, alone: frozenset[str]) -> str:
    """What a topic is called without what it says: the words before the first that goes into it."""
    named = [w for w in words(topic) if w.lower() not in _LITTLE]
    end = next((at for at, w in enumerate(named) if at and w.lower() in _NAME_ENDS), len(named))
    hidden = {w for w in named if stem(w.lower()) in alone or any(c.isdigit() for c in w) or w.istitle()}
    return " ".join("…" if w in hidden else w for w in named[:end])


def _named(topic: str, line: str) -> frozenset[str]:
    """The names that stand right after a topic: "my ex Peter"."""
    after = re.search(rf"{re.escape(words(topic)[-1])},? ((?:[A-Z][\w-]+ ?)+)", line) if words(topic) else None
    return stems(after[1]) if after else frozenset()


class Forgotten(msgspec.Struct, frozen=True):
    """What is not to be said again of what was said up to `time`: whatever has all the digests of one of `groups`."""

    time: str
    label: str
    groups: tuple[frozenset[str], ...]

    @classmethod
    def of(cls, time: str, label: str, groups: Iterable[frozenset[str]]) -> Forgotten:
        """`groups` are of stems; one of "*" alone is all that was ever said."""
        return cls(time, label, tuple(frozenset(map(_digest, group)) for group in groups if group))

    @property
    def line(self) -> str:
        marks = " ".join("+".join(sorted(group)) for group in self.groups)
        return f"{MARK}{self.time}): {self.label} [{marks}]"

    def covers(self, text: str, time: str = "") -> bool:
        if self.time and time and time > self.time:
            return False
        number = [_ANY_NUMBER] if any(map(str.isdigit, text)) else []
        held = frozenset(map(_digest, (*stems(text), *number, "*")))
        return any(group <= held for group in self.groups)


@lru_cache(maxsize=20_000)
def _digest(each: str) -> str:
    if each in ("*", _ANY_NUMBER):
        return each
    root = alike(each) if any(map(str.isdigit, each)) else alike(each)[:_ROOT_CHARS]  # diagnosed, diagnosis
    return blake2b(root.encode("utf-8", "replace"), digest_size=3).hexdigest()


def forgotten_in(lines: Iterable[str]) -> Iterator[Forgotten]:
    """What lines of core memory say is forgotten."""
    for match in map(_FORGOTTEN.fullmatch, lines):
        if match:
            yield Forgotten(match[1], match[2], tuple(frozenset(group.split("+")) for group in match[3].split()))


def secrets(line: str) -> frozenset[str]:
    """The stems of a line that give it away by themselves: those with digits, and a value of one word or of names."""
    known = parsed(line)
    value = words(known["rest"]) if known and known["verb"].strip() in ("is", "are") else []
    telling = len(value) == 1 or (len(value) <= _NAMES_MAX and all(word[0].isupper() for word in value))
    told = [word for word in words(line) if any(map(str.isdigit, word)) and len(word) > 3 and not _YEAR.fullmatch(word)]
    return stems(" ".join([*told, *(value if telling else [])]))


def statements(text: str) -> list[str]:
    """The sentences of a message that neither ask nor want something forgotten."""
    return [s for s in sentences(text) if not is_question(s) and not ((asked := request_of(s)) and asked.certain)]


def _marks(view: RequestView) -> Iterator[Forgotten]:
    """What core memory says is forgotten."""
    for block in view.blocks.values():
        yield from forgotten_in(block.text.split("\n"))


def _asked(said: str, time: str) -> Iterator[Forgotten]:
    """What a user's message asks to forget, as far as it tells by itself."""
    for request in map(request_of, sentences(said)):
        if request and request.certain and request.topics:
            yield forgotten(request.topics, (), time)


def hushed(view: RequestView) -> Hushed:
    """What is not to be quoted now: by core memory, by what users ask for in the visible conversation, and by such
    requests as the searches of this turn have found."""
    found = list(_marks(view))
    for said in view.said(*ASKING):
        if said.who == "user":
            found += _asked(said.text, said.time)
    for item in (item for d in view.done if d.ok and d.name.endswith("_search") for item in read_page(d.result).items):
        if item.who == "user":
            found += _asked(item.text, item.time)
    return lambda text, time: any(each.covers(text, time) for each in found)


def asked_to_forget(view: RequestView, asked: frozenset[str], *, for_number: bool) -> Forgotten | None:
    """What was asked to be forgotten, if a question's stems ask for it; `for_number`: a number may answer it."""
    text = f"{' '.join(asked)} {0 if for_number else ''}"
    return next((each for each in _marks(view) if each.covers(text)), None)
