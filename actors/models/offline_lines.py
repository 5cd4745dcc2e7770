# ruff: noqa: RUF001 (both forms of the apostrophe are matched, as users type them)
"""Canonical lines: what a core-memory line is about, whether two can both hold, and how one is said to the user.

Two rules. A line's slot is read from the line itself, so that what a block holds and what a user says are compared
alike. Of two lines of one slot only one can hold; a line without a slot stands beside any other.
"""

from __future__ import annotations

import re
from typing import Final

from actors.models.offline_words import plain, stems, vocabulary

KIN: Final = vocabulary(
    """sister brother mother father mom mum dad parents wife husband partner girlfriend boyfriend fiancee fiance
    son daughter child kid kids children baby aunt uncle cousin niece nephew grandmother grandfather grandma
    grandpa friend boss colleague neighbour neighbor roommate flatmate teacher doctor dentist landlord twin
    twins sisters brothers sons daughters dog cat puppy kitten rabbit hamster parrot horse fish bird pet pets
    dogs cats"""
)
THINGS: Final = vocabulary("car bike bicycle boat house flat apartment garden motorcycle guitar piano van")

_SLOTS: Final = (
    ("Name: ", "name"), ("Likes to be called ", "nick"), ("Lives in ", "home"), ("Comes from ", "origin"),
    ("Works as ", "job"), ("Works at ", "employer"), ("Works in ", "field"), ("Born ", "born"),
    ("My name is ", "own name"),
)  # fmt: skip
_OPINION: Final = re.compile(r"(?:Likes|Loves|Enjoys|Hates|Dislikes) (.+?)\.?$")
_NOTED: Final = re.compile(r"Note: (.{2,60}?) (?:is|are) ", re.I)
_KEYED: Final = re.compile(r"([^:.]{2,60}): .")
_IS: Final = re.compile(r"([^:.]{2,60}?) is (\S+)")
_PREPOSITIONS: Final = vocabulary("in on at near under behind with from")


def slot_of(line: str) -> str:
    """What a line is about, where only one line can hold; "" where many can."""
    for start, slot in _SLOTS:
        if line.startswith(start):
            return slot
    if line.startswith("Is "):
        return "age" if line.endswith(" years old.") else ""
    opinion = _OPINION.match(line)
    if opinion:
        return f"opinion {plain(opinion[1])}"
    noted = _NOTED.match(line)
    if noted:
        return f"note {plain(noted[1])}"
    keyed = _KEYED.match(line)
    if keyed:
        return "" if keyed[1] == "Note" else f"is {plain(keyed[1])}"
    said = _IS.match(line)
    return f"{plain(said[1])} is {_class(said[2])}" if said else ""


def _class(word: str) -> str:
    """The class of a value by its first word: "a doctor" may stand beside "tall", not beside "a lawyer"."""
    low = word.lower()
    if low in ("a", "an", "the"):
        return "a"
    if low in _PREPOSITIONS:
        return "at"
    return "1" if word[0].isdigit() else "word"


def matching(lines: list[str], forgotten: str) -> list[str]:
    """The lines of a block that a statement to forget speaks of: those that have all its content words, or the
    words of which it repeats."""
    wanted = stems(forgotten) - _EMPTY
    if not wanted:
        return []
    return [line for line in lines if wanted <= (held := stems(line)) or (len(wanted) > 1 and held - _EMPTY <= wanted)]


_EMPTY: Final = stems(
    "i my me mine the a an is are am was be in at to of for as that it and do does not have has s you"
)

_SECOND: Final = {
    "Lives": "live", "Likes": "like", "Loves": "love", "Hates": "hate", "Dislikes": "dislike", "Prefers": "prefer",
    "Enjoys": "enjoy", "Works": "work", "Comes": "come", "Speaks": "speak", "Studies": "study", "Plays": "play",
    "Drives": "drive", "Has": "have", "Is": "are", "Allergic": "are allergic", "Born": "were born", "Does": "do",
}  # fmt: skip


def spoken(line: str) -> str:
    """A line said to the user: "Lives in Oslo." as "You live in Oslo.". A line that is not ours is quoted."""
    bare = line.strip().removesuffix(".")
    first, _, rest = bare.partition(" ")
    if line.startswith("My name is "):
        return f"My name is {bare[11:]}."
    if bare.startswith("Note: "):
        return f"You asked me to remember: “{bare[6:]}”."
    keyed = _KEYED.match(line)
    if keyed:
        return f"{_your(keyed[1])} is {bare[keyed.end(1) + 2 :]}."
    if first in _SECOND and line.endswith("."):
        return f"You {_SECOND[first]} {rest}."
    said = _IS.match(line)
    if said and line.endswith(".") and said[1][0].isupper():
        return f"{_your(said[1])} is {bare[said.end(1) + 4 :]}."
    return f"“{bare}.”"


def _your(key: str) -> str:
    owner = key.partition(" ")[0]
    head = re.sub(r"['’]s?$", "", owner)
    theirs = head != owner and head.lower() not in KIN | THINGS
    return key if theirs else f"Your {key[0].lower()}{key[1:]}"
