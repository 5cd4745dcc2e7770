# ruff: noqa: RUF001 (both forms of the apostrophe are matched, as users type them)
"""Words for the offline model: sentences, stems, and the terms that a question turns on.

Two rules. Nothing here looks at more than it is handed, and every function is a pure function of its text. A term
carries the beginnings by which it may appear, so that a scan can pass over a text with substring tests alone.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import msgspec

READ_CHARS: Final = 4000
"""How much of one message is analysed; the rest is kept in the log and not looked at."""

_WORD: Final = re.compile(r"\w[\w.@-]*\w|\w")
_SENTENCE_END: Final = re.compile(
    r"(?<!\bDr\.)(?<!\bMr\.)(?<!\bMrs\.)(?<!\bMs\.)(?<!\bSt\.)(?<!\be\.g\.)(?<!\bi\.e\.)"
    r"(?:(?<=[.!?…])|(?<=[.!?…][\"”’')]))\s+|(?<=[。！？])\s*|\n+"
)
_POSSESSIVE: Final = re.compile(r"['’]s\b|(?<=s)['’](?=\s|$)")


def vocabulary(text: str) -> frozenset[str]:
    """The words of a text, as a set: for the word lists below and in the sibling modules."""
    return frozenset(text.split())


STOP: Final = vocabulary(
    """a an the this that these those i me my mine myself we us our ours you your yours he him his she her hers it
    its they them their theirs is are was were be been being am do does did doing done have has had having will
    would shall should can could may might must not no nor and or but if then else so as at by for from in into
    of off on onto out over to up down with without about what which who whom whose where when why how there
    here again ever any anything some something thing things tell told tells telling say said says remember
    recall know knew known mention mentioned please just also too very really now still s t m re ve ll d don
    didn isn wasn doesn won let find search look give show think ask asked talk talked discuss discussed get got
    hi hello hey ok okay well oh yes earlier before previously already because since than until while"""
)
_WEAK: Final = vocabulary("like love hate prefer enjoy want need go number use call")
_CATEGORY: Final = vocabulary("city town country place kind sort type time day date year color food person")

_SAME: Final[dict[str, str]] = {
    "favorite": "favourite", "colour": "color", "job": "work", "profession": "work", "occupation": "work",
    "employer": "work", "call": "name", "named": "name", "mum": "mother", "mom": "mother", "dad": "father",
    "kid": "child", "children": "child", "born": "birthday", "birthdate": "birthday", "birth": "birthday",
    "old": "age", "years": "age", "bought": "buy", "went": "go", "telephone": "phone", "mobile": "phone",
    "bike": "bicycle", "tv": "television", "parked": "park",
}  # fmt: skip
"""Words that count as one. Kept short on purpose: a wrong synonym is worse than a search."""

_WIDER: Final[dict[str, str]] = {
    "pet": "dog cat rabbit hamster parrot horse fish", "child": "son daughter", "parent": "mother father",
    "sibling": "sister brother", "relative": "sister brother mother father aunt uncle cousin",
}  # fmt: skip
"""What a question's word may also be called by in a statement."""


def sentences(text: str) -> list[str]:
    """The sentences of a text, stripped, none empty."""
    if "\n" not in text and ". " not in text and "? " not in text and "! " not in text:
        alone = text.strip()
        if alone.isascii():
            return [alone] if alone else []
    return [part for part in (raw.strip() for raw in _SENTENCE_END.split(text)) if part]


def words(text: str) -> list[str]:
    return _WORD.findall(_POSSESSIVE.sub(" ", text))


def clip(text: str, chars: int) -> str:
    """`text` on one line, in at most `chars` characters, cut at a word where one ends near."""
    flat = " ".join(text[: chars * 4].split())
    if len(flat) <= chars:
        return flat
    cut = flat[: chars - 1]
    at_word = cut.rfind(" ")
    return (cut[:at_word] if at_word > chars * 2 // 3 else cut) + "…"


def plain(text: str) -> str:
    """`text` without case and punctuation: two texts that differ in neither are the same."""
    return " ".join(_WORD.findall(text.lower()))


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """The stem of a lower-case word, one for the words that count as one."""
    same = _SAME.get(word)
    if same is not None:
        return _stripped(same)
    bare = _stripped(word)
    return _stripped(_SAME[bare]) if bare in _SAME else bare


def _stripped(word: str) -> str:
    if len(word) <= 3 or not word.isalpha():
        return word
    for suffix, least in (("ies", 5), ("ing", 6), ("ed", 5), ("ly", 6), ("ic", 7), ("es", 5), ("s", 4), ("y", 4)):
        if word.endswith(suffix) and len(word) >= least and not word.endswith("ss"):
            word = word[: -len(suffix)]
            break
    if len(word) > 4 and word[-1] == word[-2] and word[-1] not in "lsz":
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word[-1] == "e" else word


def stems(text: str) -> frozenset[str]:
    return frozenset([stem(word) for word in words(text.lower())])


class Term(msgspec.Struct, frozen=True):
    """A word that a question turns on. `stems`: any of them is a match; `starts`: how its surface forms begin."""

    word: str
    stems: frozenset[str]
    starts: tuple[str, ...]
    weight: float
    required: bool = False


def term(word: str, weight: float = 1.0, required: bool = False) -> Term:
    low = word.lower()
    main = stem(low)
    also = [stem(other) for other in _WIDER.get(main, "").split()]
    surfaces = [main, *also, *(form for form, same in _SAME.items() if _stripped(same) == main)]
    starts = tuple(dict.fromkeys(_stripped(surface) for surface in surfaces))
    return Term(low, frozenset((main, *also)), starts, weight, required)


_SPECIAL: Final = (
    (re.compile(r"\bwhere\b.*\bfrom\b", re.I), "from"),
    (re.compile(r"\bwhat do i do(?: for (?:a living|work))?\W*$", re.I), "work"),
    (re.compile(r"\bwho am i\b|\bwhat am i called\b", re.I), "name"),
)
_OWNER: Final = re.compile(r"(\w[\w-]*)(?:['’]s|(?<=s)['’])\s+\w", re.I)


def terms(question: str) -> tuple[Term, ...]:
    """The terms of a question, in its order: content words, weighed by how much each says."""
    for pattern, word in _SPECIAL:
        if pattern.search(question):
            return (term(word),)
    owners = {owner.lower() for owner in _OWNER.findall(question)} - STOP - {"what", "who", "where", "let", "that"}
    shouted = question.isupper()
    kept: dict[str, Term] = {}
    for position, word in enumerate(words(question)):
        low = word.lower()
        if low in STOP or stem(low) in kept or (len(low) == 1 and low.isascii() and not low.isdigit()):
            continue
        proper = not shouted and ((position > 0 and word[0].isupper()) or any(c.isdigit() for c in word))
        kept[stem(low)] = term(low, _weight(low, proper, low in owners), required=low in owners)
    found = tuple(kept.values())
    if "favourit" in kept or all(t.weight < 1 for t in found):
        found = tuple(msgspec.structs.replace(t, weight=max(1.0, t.weight)) for t in found)
    return found


def _weight(low: str, proper: bool, owner: bool) -> float:
    if proper:
        return 2.0
    if owner:
        return 1.5
    main = stem(low)
    if low in _CATEGORY or main in _CATEGORY:
        return 0.3
    return 0.5 if main in _WEAK or low in _WEAK else 1.0
