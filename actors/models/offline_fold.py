"""What a statement does to the lines that are kept: what it replaces, what it ends, and what it corrects.

Rules. (1) A line that no longer holds stands under what took its place: "Until 2026-11-22: They live in Oslo."; one
that never held is gone. (2) Of one slot the latest line holds. (3) Another time, date or number of what a line is
about goes into that line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from actors.models.offline_lines import (
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
    valued,
)
from actors.models.offline_words import plain, stem, stems, vocabulary

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
        return (old.replace(change.old, change.new), [old]) if old else (change.line, [])
    if change.old:
        return change.line, [line for line in lines if line == change.old]
    slot = slot_of(change.line)
    gone = [line for line in lines if (slot and slot_of(line) == slot) or ended_by(change.line, line)]
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


def restates(change: Change) -> bool:
    """Whether a change may be another time, date or number of something."""
    corrects = change.only or change.mistaken or not MOVED.isdisjoint(stems(change.line))
    return corrects and valued(change.line)


def restated(change: Change, old: str) -> bool:
    """Whether a change gives another time, date or number of what an older line is about."""
    if not restates(change) or not any(kind.search(change.line) and kind.search(old) for kind in VALUES):
        return False
    if not same_units(change.line, old):
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
