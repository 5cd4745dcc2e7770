# ruff: noqa: RUF001 (both forms of the apostrophe are matched, as users type them)
"""What a statement does to the lines that are kept (what it replaces, ends and corrects), and to what was said last.

Rules. (1) A line that no longer holds stands under what took its place: "Until 2026-11-22: They live in Oslo."; one
that never held is gone. (2) Of one slot the latest line holds. (3) Another time, date or number of what a line is
about goes into that line, as does a correction without a subject ("no wait, it's green") into the last statement.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

import msgspec
from msgspec.structs import replace

from palimpsest.actors.models.offline.lines import (
    NAME,
    NUMBER,
    VALUES,
    content,
    ended_by,
    holds,
    modern,
    named,
    parsed,
    slot_of,
    third,
)
from palimpsest.actors.models.offline.words import KIN, plain, stem, stems, vocabulary

LINE_CHARS: Final = 180
_CORRECTS: Final = re.compile(
    r"\b(?:no,|no wait|wait no|nope|correction|sorry|oops|wait,|i mean(?:t)?\b|scratch that|rather|tell a lie|i lied"
    r"|make (?:that|it)|should be|my mistake|mixed (?:it|that|them|this) up|got (?:it|that) wrong|was wrong"
    r"|(?<!he )actually|pardon|sry)|^no\b|^not (?:(?:on|in|at) )?\w+$|^\d+\W*$",
    re.I,
)
_TAIL: Final = re.compile(
    r"(?i)(?:,?\s+(?:(?:a|two|three) \w+ ago|yesterday|today|recently|(?:right )?now|nowadays|these days|by the way|btw"
    r"|please|though|actually|at the moment|currently|again|thanks|thank you|lol|haha|honestly|sorry|pardon|my bad))+$"
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
    re.compile(r"^not (?:(?:on|in|at|for|to) )?(?P<old>[^,–—]{1,40}?)(?:,| [-–—]+) (?P<new>[^,]{1,80})$", re.I),
    re.compile(r"(?P<new>[^,]{1,80}), not (?:(?:on|in|at|for|to|the) )?(?P<old>[^,]{1,40})$", re.I),
)
_FRAGMENT: Final = re.compile(
    r"(?i)(?:(?:it|that|this)(?:['’]s| is| was| should be)|i mean(?:t)?(?: to say)?|make (?:it|that)"
    r"|it should be)(?: really| on| at| in)?\s+(.{1,60})$"
)
_NO_VALUES: Final = vocabulary("fine ok okay good true right wrong nothing all gone over done worries way problem")
_UNITS: Final = tuple(
    re.compile(rf"(?:{pattern})(?!\w)", re.I)
    for pattern in (
        r"[€$£](?= ?\d)|(?<=\d) ?[€$£]|\b(?:euros?|dollars?|pounds|quid|crowns|kroner|cents)",
        r"(?<=\d) (?:minutes?|hours?|days?|weeks?|months?|years?)",
        r"(?<=\d) ?(?:kg|kilos?|g|grams?|km|cm|miles?|metres?|%|percent)",
    )
)
RECOUNTS: Final = re.compile(
    rf"(?:(?:it|that)(?:.s| is| makes)|there are)?\s*(?:only |about )?(?:{NUMBER})(?! ?[ap]m\b|[:.]\d)", re.I
)
_COUNTED: Final = re.compile(rf"({NUMBER}) (?:[a-z]+ )??([a-z]{{3,}})", re.I)
_MOVES: Final = re.compile(
    r"(?i)\b(?:moved|changed|postponed|shifted|pushed|raised?|lowered|increased|dropped|(?:went|gone|goes) (?:up|down)"
    r"|put (?:back|up|off|forward)|now)\b"
)
_TIMES: Final = stems("date time day from")
MOVED: Final = stems(
    "moved move changed change postponed shifted pushed set due instead now new"
    " raise raised lowered increased dropped went up down goes"
)


class Change(msgspec.Struct, frozen=True):
    """A fact to be folded in. `mistaken`: what it replaces never held. `old`: the line that it corrects; with `new`,
    the words in whose place `new` comes."""

    line: str
    mistaken: bool = False
    old: str = ""
    new: str = ""
    renewed: bool = False
    """Its subject is another one now ("our new boss"): what was told of the one before no longer holds."""
    only: bool = False
    """It is folded in only where it takes the place of something."""


def fold(cells: list[list[str]], change: Change, day: str) -> str:
    """Fold a change into lines, each of which has a cell, and the last of which takes what is new. Returns the line
    that now stands: "" where nothing was changed by it."""
    lines = [line for cell in cells for line in cell if holds(line)]
    line, gone = _resolved(lines, change)
    if not line:
        return ""
    same = [other for other in lines if plain(modern(other)) == plain(line)]
    gone = [other for other in gone if other not in same]
    if not gone:
        if not same:
            cells[-1].append(line)
        return same[0] if same else line
    for at, other in enumerate(gone[::-1]):
        cell = next(cell for cell in cells if other in cell)
        kept = [] if change.mistaken else [f"Until {day or 'earlier'}: {other}"]
        where = cell.index(other)
        cell[where : where + 1] = [*([line] if at == 0 and not same else []), *kept]
    return line


def _resolved(lines: Sequence[str], change: Change) -> tuple[str, list[str]]:
    """The whole line of a change, and the lines whose place it takes."""
    told = reversed(lines)
    if change.old and change.new:
        old = next((line for line in told if change.old in line and content(change.line) & content(line)), "")
        return (old or change.line).replace(change.old, change.new), [old] if old else []
    if change.old:
        return change.line, [line for line in lines if line == change.old]
    slot = slot_of(change.line)
    gone = [line for line in lines if (slot and slot_of(line) == slot) or ended_by(change.line, line)]
    known = parsed(change.line) if change.renewed else None
    gone += [o for o in lines if known and o not in gone and (was := parsed(o)) and was["who"] == known["who"]]
    new = not gone and restates(change)
    old = next((line for line in told if restated(change, line)), "") if new else ""
    if old:
        return patched(old, change.line), [old]
    return "" if change.only and not gone else change.line, gone


def patched(line: str, fragment: str) -> str:
    """A statement with the values of the fragment in place of those of their kind."""
    text = recounted(fragment, line) or line
    if text != line:
        return text
    for kind in VALUES:
        new, old = kind.search(fragment), list(kind.finditer(text))
        if new and old and (kind is not VALUES[-1] or text == line):
            text = f"{text[: old[-1].start()]}{new[0]}{text[old[-1].end() :]}"
    known = parsed(line)
    if text != line or len(fragment.split()) > 6 or known is None:
        return text
    names = list(NAME.finditer(line))
    if fragment[:1].isupper() and names:
        return f"{line[: names[-1].start()]}{fragment}{line[names[-1].end() :]}"
    copula = known["verb"].strip(" '") in ("is", "are", "s") and fragment.lower() not in _NO_VALUES
    alone = copula and not valued(line) and len(fragment.split()) <= len(known["rest"].split()) + 1
    same_thing = not content(fragment).isdisjoint(content(known["rest"]))
    return f"{line[: -len(known['rest']) - 1]}{fragment}." if alone or same_thing else line


@lru_cache(maxsize=2048)
def valued(text: str) -> bool:
    """Whether a text has a time, a date or a number."""
    return any(kind.search(text) for kind in VALUES)


def same_units(new: str, old: str) -> bool:
    """Whether two statements measure in one unit, where both have one: euros and hours are no values of one thing."""
    mine, theirs = ({at for at, unit in enumerate(_UNITS) if unit.search(line)} for line in (new, old))
    return not mine or not theirs or not mine.isdisjoint(theirs)


def recounted(line: str, old: str) -> str:
    """An older line with the number that a new one gives of the same things ("so ten days left"); "" without one."""
    if not RECOUNTS.match(line):
        return ""
    new = {stem(noun.lower()): number for number, noun in _COUNTED.findall(line)}
    for match in _COUNTED.finditer(old):
        number = new.get(stem(match[2].lower()))
        if number and number.lower() != match[1].lower():
            return f"{old[: match.start(1)]}{number.lower()}{old[match.end(1) :]}"
    return ""


def counted(line: str) -> frozenset[str]:
    """The stems of the words of which a line says how many there are."""
    return frozenset(stem(word.lower()) for match in _COUNTED.finditer(line) for word in match[0].split()[1:])


def restates(change: Change) -> bool:
    """Whether a change may be another time, date or number of something."""
    corrects = change.only or change.mistaken or not MOVED.isdisjoint(stems(change.line))
    return corrects and valued(change.line)


def restated(change: Change, old: str) -> bool:
    """Whether a change gives another time, date or number of what an older line is about."""
    of_a_kind = any(kind.search(change.line) and kind.search(old) for kind in VALUES)
    if not (restates(change) and of_a_kind and same_units(change.line, old)):
        return False
    if recounted(change.line, old):
        return True
    known, was = parsed(change.line), parsed(old)
    if not known or not was:
        return False
    about, theirs = (content(each["who"]) - _TIMES for each in (known, was))
    whole = stems(re.sub(r"^(?:Their|The) ", "", was["who"]))
    if theirs and whole <= stems(change.line) and _MOVES.search(change.line):
        return True
    return bool(about) and all(named(each, old) for each in about) and _verbal(change.line) <= content(old) | about


def _verbal(line: str) -> frozenset[str]:
    """The words of a line besides its subject and its values."""
    known = parsed(line)
    rest = known["rest"] if known else line
    for kind in VALUES:
        rest = kind.sub(" ", rest)
    return content(rest) - MOVED - _TIMES


@lru_cache(maxsize=2048)
def clean(value: str) -> str:
    """A statement as it is kept: one line, no trailing adverbs and marks, at most LINE_CHARS."""
    value = " ".join(value[: LINE_CHARS * 2].split()).strip(" \"'“”‘’.,;:!?")
    return _TAIL.sub("", value)[:LINE_CHARS].strip(' "“”.,;:!?')


@lru_cache(maxsize=2048)
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
            new = re.sub("^(?:the|a|an) ", "", clean(swapped[2] or swapped[4]))
            return replace(change, old=clean(swapped[1] or swapped[3]), new=new)
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
    kind = next((kind for kind in VALUES if kind.search(old)), None)
    if kind or old[:1].isupper():
        found: list[str] = (kind or NAME).findall(f"x {new}")
        return found[-1] if found else ""
    return new if len(new.split()) <= 3 else ""
