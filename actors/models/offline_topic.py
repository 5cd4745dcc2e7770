# ruff: noqa: RUF001 (both forms of the apostrophe are matched, as users type them)
"""What was said last: whom "she" and "it" stand for, and what a correction corrects.

Rules. (1) A correction without a subject ("no wait, it's green") puts its value into the last statement. (2) "not A but
B" puts B in the place of A in the latest line that has A.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from actors.models.offline_fold import RECOUNTS, Change, patched, restated, restates
from actors.models.offline_lines import KIN, NAME, VALUES, parsed, third, valued

LINE_CHARS: Final = 180
_CORRECTS: Final = re.compile(
    r"\b(?:no,|no wait|wait no|nope|correction|sorry|oops|wait,|i mean(?:t)?\b|scratch that|rather|tell a lie|i lied"
    r"|make (?:that|it)|should be|my mistake|mixed (?:it|that|them|this) up|got (?:it|that) wrong|was wrong"
    r"|(?<!he )actually)|^no\b",
    re.I,
)
_TAIL: Final = re.compile(
    r"(?i)(?:,?\s+(?:(?:a|two|three) \w+ ago|yesterday|today|recently|(?:right )?now|nowadays|these days|by the way|btw"
    r"|please|though|actually|at the moment|currently|again|thanks|thank you|lol|haha|honestly|sorry))+$"
    r"|[\s:;]*[:;]-?[()DP]$"
)
_OBJECT: Final = re.compile(
    r"(?:an?|the|one|my) ((?:[\w-]+ ){0,2}?[\w-]+)(?= (?:called|named|from|in|at|on|for|with)\b|,|$)", re.I
)
_SWAPPED: Final = re.compile(
    r"\b(?:replaced|swapped|exchanged) (?:the |the user's |their )?([^,]{1,40}?) (?:with|for|by) ([^,]{1,40}?)(?:,|\.$)"
    r"|\b(?:moved|switched|changed|went) from ([^,]{1,40}?) to ([^,]{1,40}?)(?: in \d{4}| last \w+|,|\.$)",
    re.I,
)
_CALLED: Final = re.compile(r"\b(?:called|named|is|contact:?) ((?:[Dd]r\. |Mr\. |Mrs\. |Ms\. )?[A-Z]\w+(?: [A-Z]\w+)*)")
_NOT_BUT: Final = (
    re.compile(r"\bnot (?:(?:on|in|at|for|to) )?(?P<old>[^,]{1,40}?),? but (?:rather )?(?P<new>[^,]{1,60})$", re.I),
    re.compile(r"(?P<new>[^,]{1,80}), not (?:(?:on|in|at|for|to|the) )?(?P<old>[^,]{1,40})$", re.I),
)
_FRAGMENT: Final = re.compile(
    r"(?i)(?:(?:it|that|this)(?:['’]s| is| was| should be)|i mean(?:t)?(?: to say)?|make (?:it|that)"
    r"|it should be)(?: really| on| at| in)?\s+(.{1,60})$"
)


def clean(value: str) -> str:
    """A statement as it is kept: one line, no trailing adverbs and marks, at most LINE_CHARS."""
    value = " ".join(value[: LINE_CHARS * 2].split()).strip(" \"'“”‘’.,;:!?")
    return _TAIL.sub("", value)[:LINE_CHARS].strip(' "“”.,;:!?')


def corrects(sentence: str) -> bool:
    """Whether a sentence has words that correct."""
    return bool(_CORRECTS.search(sentence[:200]))


class Topic:
    """The last statement of a conversation, as it goes on. `before` finds the one before a message."""

    def __init__(self, before: Callable[[], str]) -> None:
        self._before = before
        self.line = ""

    def last(self) -> str:
        self.line = self.line or self._before()
        return self.line

    def told(self, change: Change) -> Change:
        """A change, after which it is the last statement; it may give another value in the one before."""
        if RECOUNTS.match(change.line):
            return change
        last, self.line = self.last() if restates(change) else "", change.line
        swapped = _SWAPPED.search(change.line)
        if swapped:
            return replace(
                change,
                old=clean(swapped[1] or swapped[3]),
                new=re.sub("^(?:the|a|an) ", "", clean(swapped[2] or swapped[4])),
            )
        if last and last != change.line and restated(change, last):
            self.line = patched(last, change.line)
            return Change(self.line, mistaken=change.mistaken, old=last)
        return change

    def resolved(self, clause: str) -> str:
        """A clause that begins with a pronoun, with what that stands for."""
        pronoun = re.match(r"(she|he|it|her|his|its)(?:(['’]s)\b| )", clause, re.I)
        known = parsed(self.last()) if pronoun else None
        if pronoun is None or known is None:
            return clause
        rest, word = clause[pronoun.end() :].strip(), pronoun[1].lower()
        whom = self._whom(known, it=word.startswith("it"), named=rest[:1].isupper())
        whom = re.sub("^Their ", "My ", whom)
        joint = "'s" if word in ("her", "his", "its") else " is" if pronoun[2] else ""
        return f"{whom}{joint} {rest}" if whom else clause

    def _whom(self, known: re.Match[str], *, it: bool, named: bool) -> str:
        """Whom "she", "he" or "it" stands for ("" unknown): it is `named` in "it's Ann"."""
        who, called = known["who"], _CALLED.findall(self.last())
        thing = _OBJECT.match(known["rest"]) if who == "They" else None
        person = not KIN.isdisjoint(who.lower().split()) or not who.startswith("The")
        if it:
            return who if named or not person else called[-1] if called else f"My {thing[1]}" if thing else ""
        names = [*NAME.findall(f"x {known['rest']}"), *called[-1:]]
        return called[-1] if called else who if person else names[-1] if names else f"My {thing[1]}" if thing else ""

    def corrected(self, said: str) -> Change | None:
        """What a clause without words of its own for it corrects, and by what; None where it corrects nothing."""
        match = _FRAGMENT.match(said)
        if match and re.match(r"(?:the|my|our) ", match[1], re.I) and parsed(third(match[1])):
            return Change(third(match[1]), mistaken=True, only=True)
        bare = len(said.split()) <= 4 and not parsed(third(said)) and (said[:1].isupper() or valued(said))
        fragment = match[1] if match else said if bare else ""
        base = self.last() if fragment else ""
        self.line = patched(base, fragment) if base else base
        return Change(self.line, mistaken=True, old=base) if self.line != base else None


def swapped_in(said: str) -> Change | None:
    """The change of "not Friday but Thursday"."""
    match = next(filter(None, (pattern.search(said) for pattern in _NOT_BUT)), None)
    new, old = (clean(match["new"]), clean(match["old"])) if match else ("", "")
    value = _alike_in(new, old)
    whole = f"{said[: match.start()]}{new}" if match and match.re is _NOT_BUT[0] else new
    return Change(third(whole), mistaken=True, old=old, new=value) if value else None


def _alike_in(new: str, old: str) -> str:
    """The part of `new` that stands where `old` stood: a value of its kind, else a name, else the last words."""
    for kind in VALUES:
        if kind.search(old):
            found = kind.findall(new)
            return found[-1] if found else ""
    if old[:1].isupper():
        names = NAME.findall(f"x {new}")
        return names[-1] if names else ""
    return new if len(new.split()) <= 3 else ""
