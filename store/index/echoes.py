"""What was said again, and what was corrected, among the best of a search: one place for each thing that was told.

Rules. (1) It looks at the best `POOL` results alone, whichever page is asked for, so that the pages of a search are
parts of one order. (2) Of near-copies the earliest stands for all, at the best place that any of them has. A copy says
nothing new: a message with another name or number is none. (3) A statement comes before what the agent only quotes of
it. (4) What was said otherwise later comes right behind what it corrects: by its wording ("no wait"), or because it
says something else of the same thing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Final

import msgspec

from palimpsest.events.passages import BesideHit, ToldBeside
from palimpsest.store.index.corrections import CORRECTS, NEAR_SEQS, SHORT_CHARS
from palimpsest.store.index.forms import STATING
from palimpsest.store.index.points import Match, Stored
from palimpsest.store.index.surroundings import PAUSE_MS

POOL: Final = 40
SAME: Final = 0.6
"""A copy has so much of what the first one says, and nothing else."""
QUOTED: Final = 0.8
APART: Final = 4
"""In so many words, at most, do two statements about one thing differ."""
CHAIN: Final = 4

Terms = Callable[[str], frozenset[int]]
"""The words of a text, as a search matches them."""

_REPORTING: Final = (
    "said told tell mention mentioned remember recall shared wrote earlier before already previously again yes yeah "
    "right indeed note noted know conversation asked message ago sure correct also please look looking found according"
)
_NUMBER: Final = re.compile(r"\d+(?:[.,:]\d+)*")
_NO_MORE: Final = re.compile(
    r"\b(?:any ?more|no longer|not any longer|these days|by now|from now on|nowadays|as of today|now)\b|\bnicht mehr\b"
    r"|\binzwischen\b|\bmittlerweile\b|\bya no\b|\bahora\b|\bne \w+ plus\b|\bmaintenant\b|\bd\u00e9sormais\b"
    "|\u73b0\u5728|\u4e0d\u518d|\u4eca\u306f|\u3082\u3046",
    re.IGNORECASE,
)
_SAYS: Final = (
    "is are was were 's am called named means equals live lives living work works working weigh weighs earn pay pays "
    "cost costs start starts begin begins end ends leave leaves arrive arrives meet sleep drive drives "
    "ist sind war hei\u00dft hei\u00dfe wohne wohnt arbeite arbeitet lebe kostet beginnt "
    "es son era est\u00e1 llama llamo vivo vive trabajo trabaja cuesta empieza sale "
    "est sont \u00e9tait appelle habite vis travaille co\u00fbte commence part"
)
_SAYS_WHAT_IS: Final = frozenset(_SAYS.split())
"""What has one value at a time is said with one of these."""
_HAS: Final = frozenset(
    ("have", "has", "own", "owns", "got", "need", "needs", "habe", "hat", "tengo", "tiene", "ai", "a")
)
"""What changes by its number alone is said with one of these."""
_NUMERALS: Final = "no one two three four five six seven eight nine ten eleven twelve both several"
_COUNTS: Final = frozenset(_NUMERALS.split())
_NOT: Final = re.compile(
    r"\b(?:(?:do|does|did|is|am|are|was|can|will)(?:n['\u2019]t| not)|cannot|won['\u2019]t|not|never|no longer|nicht"
    r"|keine?[nrms]?)\b",
    re.IGNORECASE,
)
_TOKEN: Final = re.compile(r"['\u2019]s\b|[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+(?:[.,:]\d+)*")


class RankedResult(msgspec.Struct):
    """A result, how often it was said again, and what stands beside it: where (among the results) it was corrected, or
    what it corrects (-1: nothing)."""

    match: Match
    stored: Stored | None = None
    copies: int = 0
    last_ms: int = 0
    later: int = -1
    earlier: int = -1


class _Candidate:
    """One of the pool."""

    def __init__(self, match: Match, stored: Stored, terms: frozenset[int], rank: int) -> None:
        self.place = RankedResult(match, stored)
        self.at, self.by_user = (stored.time_ms, match.key.seq), stored.speaker != "assistant"
        self.terms, self.rank = terms, rank
        self.states = stored.form in STATING
        self.text = stored.text
        self.short = len(stored.text) <= SHORT_CHARS

    @cached_property
    def numbers(self) -> frozenset[str]:
        return frozenset(_NUMBER.findall(self.text))

    @cached_property
    def frame(self) -> list[str]:
        """Its words, without those that only say that it is so now, or is not."""
        return [word.lower() for word in _TOKEN.findall(_NOT.sub(" ", _NO_MORE.sub(" ", self.text)))]

    @cached_property
    def is_news(self) -> bool:
        return bool(_NO_MORE.search(self.text))

    @cached_property
    def denies(self) -> bool:
        return bool(_NOT.search(self.text))


class Echoes:
    """Groups a search's best results. `terms` makes a text's words, as they are searched."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._reporting = terms(_REPORTING)

    def grouped(self, pool: Sequence[tuple[Match, Stored]]) -> list[RankedResult]:
        """The pool in its new order; copies are gone."""
        told = [_Candidate(match, one, self._of(one), n) for n, (match, one) in enumerate(pool)]
        firsts = self._without_copies(sorted(told, key=lambda said: said.at))
        firsts.sort(key=lambda said: said.rank)
        firsts = _statements_first(firsts)
        return _with_corrections(firsts)

    def _of(self, stored: Stored) -> frozenset[int]:
        return self._terms(stored.text) - self._reporting

    def _without_copies(self, told: Sequence[_Candidate]) -> list[_Candidate]:
        """Of what was told, in the order of time, that which was no copy then; it has the best rank of its copies."""
        firsts = list[_Candidate]()
        for said in told:
            first = next((one for one in firsts if _is_copy(said, one)), None)
            if first is None:
                firsts.append(said)
                continue
            first.rank = min(first.rank, said.rank)
            first.place.copies += 1
            first.place.last_ms = said.place.stored.time_ms if said.place.stored else 0
        return firsts


def _is_copy(said: _Candidate, first: _Candidate) -> bool:
    if said.states != first.states or len(first.terms) < 2 or not said.terms:
        return False
    new, missing = said.terms - first.terms, first.terms - said.terms
    if not new:
        return len(missing) <= (1 - SAME) * len(first.terms) and said.numbers >= first.numbers
    quotes = not said.by_user and first.by_user and not missing and len(new) <= max(2, len(first.terms) // 2)
    return quotes and said.numbers == first.numbers


def _statements_first(ranked: list[_Candidate]) -> list[_Candidate]:
    """Each statement of the user's before what the agent says of it, if that is all of it and more."""
    found = list[_Candidate]()
    for said in ranked:
        at = len(found)
        if said.states and said.by_user and len(said.terms) >= 2:
            at = next((n for n, other in enumerate(found) if _quotes(other, said)), at)
        found.insert(at, said)
    return found


def _quotes(other: _Candidate, said: _Candidate) -> bool:
    if other.by_user and other.states:
        return False
    return other.at > said.at and len(other.terms & said.terms) >= QUOTED * len(said.terms)


# --- corrections ------------------------------------------------------------------------------------------------------


def _with_corrections(ranked: list[_Candidate]) -> list[RankedResult]:
    """Each chain of a statement and its corrections in a row, in the order of time, where the best of it stands."""
    chains: dict[int, list[_Candidate]] = {}
    for said in sorted(ranked, key=lambda said: said.at):
        corrected = _corrected_by(said, [one for one in ranked if one.at < said.at])
        chain = chains[id(corrected)] if corrected is not None else []
        if len(chain) >= CHAIN:
            chain = []
        chain.append(said)
        chains[id(said)] = chain
    found, seen = list[RankedResult](), set[int]()
    for said in ranked:
        chain = chains[id(said)]
        if id(chain) in seen:
            continue
        seen.add(id(chain))
        for n, one in enumerate(chain):
            here = len(found)
            one.place.earlier = here - 1 if n else -1
            one.place.later = here + 1 if n + 1 < len(chain) else -1
            found.append(one.place)
    return found


def _corrected_by(said: _Candidate, before: Sequence[_Candidate]) -> _Candidate | None:
    """What a statement of the user's corrects, of what was told before it."""
    if not (said.states and said.by_user):
        return None
    mine = [one for one in before if one.states and one.by_user]
    if CORRECTS.match(said.text):
        near = [one for one in mine if _is_near(said, one)]
        return max(near, key=lambda one: (len(one.terms & said.terms), one.at), default=None)
    otherwise = [one for one in mine if _says_otherwise(said, one)]
    return max(otherwise, key=lambda one: one.at, default=None)


def _is_near(said: _Candidate, one: _Candidate) -> bool:
    in_a_row = said.at[0] - one.at[0] < PAUSE_MS and said.at[1] - one.at[1] <= NEAR_SEQS
    return in_a_row or len(one.terms & said.terms) >= max(1, min(len(one.terms), len(said.terms)) // 2)


def _says_otherwise(said: _Candidate, one: _Candidate) -> bool:
    """Whether two statements have one beginning and end, and between them another value: of what has but one value at
    a time, or of what is said to be so now."""
    if not (one.terms & said.terms and one.short and said.short):
        return False
    a, b = one.frame, said.frame
    head = _common(a, b)
    if head < 2:
        return False
    if one.denies != said.denies:
        return head == min(len(a), len(b))
    tail = _common(a[head:][::-1], b[head:][::-1])
    old, new = a[head : len(a) - tail], b[head : len(b) - tail]
    if max(len(old), len(new)) > APART or not (old and new):
        return False
    counted = all(any(_NUMBER.search(word) or word in _COUNTS for word in words) for words in (old, new))
    shared = set(a[:head] + a[len(a) - tail :])
    return said.is_news or bool(shared & _SAYS_WHAT_IS) or (counted and bool(shared & _HAS))


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    """How many words two texts begin with together."""
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return n


def told_of(places: Sequence[RankedResult], first: int, size: int) -> list[tuple[ToldBeside, ...]]:
    """What is told beside each result of a page: of a correction that stands on the page, only that it does."""
    found = list[tuple[ToldBeside, ...]]()
    for place in places[first : first + size]:
        beside = list[ToldBeside]()
        if place.copies:
            beside.append(ToldBeside("repeated", place.last_ms, times=place.copies))
        links: tuple[tuple[BesideHit, int], ...] = (("corrected", place.later), ("corrects", place.earlier))
        for kind, at in links:
            if at >= 0 and (other := places[at].stored):
                shown = first <= at < first + size
                beside.append(ToldBeside(kind, other.time_ms, text="" if shown else other.text))
        found.append(tuple(beside))
    return found
