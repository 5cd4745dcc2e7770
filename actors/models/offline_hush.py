# ruff: noqa: RUF001 (both forms of the apostrophe are matched, as users type them)
"""What is not to be said again: how a user asks for it, how core memory remembers that, and what it covers.

Rules. (1) A line of core memory says by digests what is meant, to whoever hears it again and to nobody else. (2) What
the user says of it later is said again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import Final

import msgspec

from actors.models.offline_lines import parsed, third
from actors.models.offline_request import View
from actors.models.offline_words import STOP, alike, plain, stem, stems, words

Hushed = Callable[[str, str], bool]
"""Whether a text of a time ("" unknown) is not to be quoted."""


_FORGOTTEN: Final = re.compile(r"Asked to forget \(([^)]*)\): (.*) \[([\w+* ]*)\]")


_FORGET: Final = re.compile(
    r"\W*(?:(?:please|ok(?:ay)?|and|now|actually|so|hey|sorry|no|wait|(?:can|could|would|will) you|you (?:can|should"
    r"|may|must)"
    r"|i(?: want|['’]d like|would like) you to)\b[\s,]*)*(?P<verb>forget|delete|erase|remove|scratch|wipe|unlearn)"
    r"(?: about)?(?: the (?:fact|line|note))?(?: that| what)?:?\s*(?P<what>.*?)"
    r"(?: from (?:(?:your|the) )?(?:core )?memory|[,\s]+(?:please|again|for me|too|as well|now"
    r"|thanks|thank you|ok(?:ay)?|(?:would|could|will|can) you))*[\s.!?]*$",
    re.I | re.S,
)
WEAK: Final = stems("number detail information info data thing note old")
_LITTLE: Final = frozenset(["my", "our", "the", "a", "an", "i", "is", "are", "was", "am", "we", "that", "m"])
_LAST: Final = re.compile(
    r"(?:it|that|this|(?:what )?i(?: just)? (?:said|told you)|(?:my|the) last (?:message|one|thing)|)$", re.I
)
_ALL: Final = re.compile(r"(?:everything|all|me|all about me|everything .*\bme|all of it|all i .*|your memory)$", re.I)


def topic_of(sentence: str) -> str | None:
    """What a sentence asks to forget: "*" for all, "" for what was said last; None where it asks for nothing such."""
    match = _FORGET.match(sentence)
    if match is None or plain(sentence) in ("forget it", "forget about it"):
        return None
    what = match["what"].strip(" \"'“”.,!?")
    return "" if _LAST.match(what) else "*" if _ALL.match(what) else what


def about_of(topic: str) -> frozenset[str]:
    """The stems that a topic turns on."""
    told = stems(topic) - stems(" ".join(_LITTLE))
    return told - stems(" ".join(STOP)) - WEAK or told - WEAK or told or stems(topic)


def forgotten(topic: str, told: Iterable[str], time: str) -> Forgotten:
    """How to know again what is meant by a topic, and what gives it away in the statements that told it."""
    if topic == "*":
        return Forgotten.of(time, "everything", [frozenset("*")])
    about = about_of(topic)
    alone = secrets(third(topic)).union(*map(secrets, told))
    hidden = {w for w in words(topic) if stem(w.lower()) in alone or any(c.isdigit() for c in w) or w.istitle()}
    label = " ".join("…" if w in hidden else w for w in words(topic) if w.lower() not in _LITTLE)
    return Forgotten.of(time, label or "something", [about, *(frozenset({each}) for each in sorted(alone))])


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
        return f"Asked to forget ({self.time}): {self.label} [{marks}]"

    def covers(self, text: str, time: str = "") -> bool:
        if self.time and time and time > self.time:
            return False
        held = frozenset(_digest(each) for each in stems(text)) | {"*"}
        return any(group <= held for group in self.groups)


@lru_cache(maxsize=20_000)
def _digest(each: str) -> str:
    return "*" if each == "*" else blake2b(alike(each).encode("utf-8", "replace"), digest_size=3).hexdigest()


def forgotten_in(lines: Iterable[str]) -> Iterator[Forgotten]:
    """What lines of core memory say is forgotten."""
    for match in map(_FORGOTTEN.fullmatch, lines):
        if match:
            yield Forgotten(match[1], match[2], tuple(frozenset(group.split("+")) for group in match[3].split()))


def secrets(line: str) -> frozenset[str]:
    """The stems of a line that give it away by themselves: those with digits, and a value that is one word."""
    known = parsed(line)
    value = words(known["rest"]) if known and known["verb"].strip() in ("is", "are") else []
    told = [word for word in words(line) if any(c.isdigit() for c in word) and len(word) > 3]
    return stems(" ".join([*told, *(value if len(value) == 1 else [])]))


def hushed(view: View) -> Hushed:
    """What is not to be quoted now, by core memory and by what users ask for in the visible conversation."""
    found = [each for block in view.blocks.values() for each in forgotten_in(block.text.split("\n"))]
    if not found:
        for said in view.said("forget", "delete", "erase", "remove"):
            topic = topic_of(said.text) if said.who == "user" else None
            if topic:
                found.append(forgotten(topic, (), said.time))
    return lambda text, time: any(each.covers(text, time) for each in found)


def asked_to_forget(view: View, asked: frozenset[str]) -> Forgotten | None:
    """What was asked to be forgotten, if a question's stems ask for it."""
    found = (each for block in view.blocks.values() for each in forgotten_in(block.text.split("\n")))
    return next((each for each in found if each.covers(" ".join(asked), "")), None)
