"""Searches over an engine: what a query matches, how that is ranked, and how much of it there is.

Rules. (1) What matches shares a word with the query, itself or in its context, or is over the floor in meaning.
(2) What words find is counted exactly in any scope. Up to `EXACT_POINTS` all that words or meaning find is ranked and
counted; in larger scopes it is what words find, if that is no more than `RANKED_POINTS` and else the best
`LEXICAL_LIMIT`, and the best `DENSE_LIMIT` by meaning; over `DENSE_POINTS` it is the best `LEXICAL_LIMIT` by words, and
meaning only ranks them. (3) Equal scores: newest first.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Final

from msgspec.structs import replace

from palimpsest.events.passages import ToldBeside
from palimpsest.store.index.census import Census, Count
from palimpsest.store.index.echoes import POOL, Echoes, RankedResult, told_of
from palimpsest.store.index.embeddings import Embedder, knows
from palimpsest.store.index.points import Blend, Engine, Match, Query, Scope
from palimpsest.store.index.ranking import blend_of
from palimpsest.store.words import lexical
from palimpsest.store.words.languages import ENGLISH, LANGUAGES, Language, language_of
from palimpsest.store.words.lexical import unspaced
from palimpsest.store.words.terms import Sparse, TermTokenizer

QUERY_CHARS: Final = 4000
"""A query is cut here: far more than anyone asks, and the cost of a search grows with it."""
EXACT_POINTS: Final = 2_000
LEXICAL_LIMIT: Final = 400
RANKED_POINTS: Final = 4_000
"""So many found by words are all ranked, in scopes of up to `DENSE_POINTS`."""
DENSE_POINTS: Final = 10_000
DENSE_LIMIT: Final = 300
"""Fewer than by words: an engine takes a dense limit that is as large to hold all that words find."""
_SLACK: Final = 20
"""Results asked for beyond those wanted, so that ties with the last of them seldom need a second request."""

_POLITE: Final = re.compile(
    r"\b(?:can|could|would|will) you (?:please |just )?(?:tell|remind|show|give|list|help|summari[sz]e|find|recall"
    r"|explain|look|check|search|see)\b(?: me\b)?|\bdo you (?:still |even )?(?:remember|know|recall)\b"
    r"|\b(?:tell|remind|show|give) me\b|\bthank you\b|\bif you\b",
    re.IGNORECASE,
)
"""What a question is wrapped in: it says nothing of whom it is about."""
_YOU_SAID: Final = re.compile(
    r"\b(?:you|your) (?:\w+ )?(?:say|said|suggest|recommend|tell|told|give|gave|mention|advi[sc]e|explain|propose|write"
    r"|wrote|list|provide|answer|offer|think|help|recommendation|suggestion)",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"\w+")
_OWNED: Final = re.compile(r"(\w+)(?:['\u2019]s\b)?")


class RankedPage:
    """Keys of one page with their scores, what is told beside each, and how many there are on all pages."""

    def __init__(self, matches: Sequence[Match], total: int, beside: Sequence[tuple[ToldBeside, ...]] = ()) -> None:
        self.matches = matches
        self.total = total
        self.beside = beside or [()] * len(matches)


class Searches:
    """Asks an engine, by the counts of a census."""

    def __init__(self, engine: Engine, embedder: Embedder, tokenizer: TermTokenizer) -> None:
        self._engine = engine
        self._embedder = embedder
        self._tokenizer = tokenizer
        self.census = Census(engine.listed)
        self.exact_points, self.dense_points = EXACT_POINTS, DENSE_POINTS
        """Up to how many points all is looked at; the bench raises them, to compare."""
        self.blend_of = blend_of
        """How scores are blended, by kind and embedder; the bench tries others."""
        self._echoes = Echoes(lru_cache(maxsize=4096)(lambda text: frozenset(tokenizer.words(lexical.ready(text)))))
        self.groups = True
        """Whether echoes are grouped; the bench that weighs anew does without."""

    def by_query(self, scope: Scope, query: str, first: int, size: int) -> RankedPage:
        """The results from number `first` on. An empty query finds all, the latest first."""
        text = query[:QUERY_CHARS].encode("utf-8", "replace").decode().strip()
        if not text:
            return self.by_time(scope, first, size, latest=True)
        count = self.census.count(scope)
        blend = self._blend(scope)
        speaker, oneself = named(text, count.speakers) if blend.speaker else ("", False)
        terms = self._terms(text, speaker)
        idf = {term: weight * terms[term] for term, weight in count.idf(terms).items()}
        known = count.points and knows(self._embedder.name, text)
        vector = self._embedder.embed([nameless(text, speaker)])[0].tolist() if known else []
        meaning = vector if any(vector) else []
        if not idf and not meaning:
            return RankedPage((), 0)
        matched = count.match(list(idf))
        ask = self._ask(scope, count, Sparse.of(idf), meaning, speaker, matched=matched.points)
        if oneself:
            ask = replace(ask, blend=replace(blend, speaker=blend.oneself))  # weighed against the whole of half
        pool = POOL if scope.whole and self.groups else 0
        end = max(0, first + size, pool)
        ask = _wide(ask, end + _SLACK)
        while True:
            best, near = self._engine.search(ask)
            each = _each_once(_in_order(best, scope)) if scope.whole else _in_order(best, scope)
            last = each[max(0, end - 1)].score if len(each) >= end > 0 else None
            if len(best) < ask.limit or (last is not None and best[-1].score != last):
                break
            ask = _wide(ask, ask.limit * 4)
        total = matched.total_with(near)
        if not pool:
            return RankedPage(each[first : first + size] if first >= 0 else (), total)
        return self._grouped(each, first, size, total)

    def _grouped(self, ranked: Sequence[Match], first: int, size: int, total: int) -> RankedPage:
        """A page of what was ranked, with its best `POOL` grouped."""
        stored = self._engine.read([match.key for match in ranked[:POOL]])
        places = self._echoes.grouped(list(zip(ranked[:POOL], stored, strict=True)))
        gone = len(stored) - len(places)
        places += [RankedResult(match) for match in ranked[POOL:]]
        if first < 0:
            return RankedPage((), total - gone)
        shown = [place.match for place in places[first : first + size]]
        return RankedPage(shown, total - gone, told_of(places, first, size))

    def called(self, who: str, scope: Scope) -> frozenset[str]:
        """Whom a search means: the user, by whatever name, the assistant, or the one of a name. Raises ValueError with
        a text for the model where nobody has it."""
        speakers, name = self.census.count(scope).speakers, who.strip().casefold()
        if name == "assistant":
            return frozenset(("assistant",))
        if name == "user":
            return (speakers | {"user"}) - {"assistant"}
        found = frozenset(each for each in speakers if each.casefold() == name)
        if not found:
            known = ", ".join(sorted({"user", "assistant", *speakers})[:8])
            raise ValueError(f"Nobody is called '{who.strip()[:40]}' here: who is one of {known}.")
        return found

    def by_time(
        self,
        scope: Scope,
        first: int,
        size: int,
        *,
        latest: bool = False,
    ) -> RankedPage:
        """What a scope has, in the order of time (`latest`: the last first)."""
        total = self.census.count(scope).points
        end = min(first + size, total)
        if first < 0 or end <= first:
            return RankedPage((), total)
        parts, limit = self.census.parts(scope), end + _SLACK
        while True:
            some = self._engine.listing(parts, limit, latest=latest)
            if len(some) < limit or some[-1].score != some[end - 1].score:
                return RankedPage(_page(some, scope, first, size, ascending=not latest), total)
            limit *= 4

    def _blend(self, scope: Scope) -> Blend:
        return self.blend_of(scope.kind, self._embedder.name)

    def _dense_limit(self, points: int, lexical: bool) -> int:
        if points <= self.exact_points:
            return points
        return 0 if lexical and points > self.dense_points else DENSE_LIMIT

    def _terms(self, text: str, speaker: str) -> dict[int, float]:
        """A query's words. The name of the one whom it is about is no word to look for: what others say of them would
        come first; unless it is all there is."""
        terms = self._tokenizer.asked(lexical.ready(text))
        others = terms.keys() - self._tokenizer.short_counts(speaker).keys()
        return {term: weight for term, weight in terms.items() if term in others} if others else terms

    def _lexical_limit(self, points: int, matched: int) -> int:
        """All that words find, where that is a bounded number: of those that are equally good by words no one can say
        which are the best few hundred, and an index that is built again would say others."""
        if points <= self.exact_points:
            return points
        return matched if points <= self.dense_points and LEXICAL_LIMIT < matched <= RANKED_POINTS else LEXICAL_LIMIT

    def _ask(
        self, scope: Scope, count: Count, words: Sparse, vector: list[float], speaker: str, *, matched: int
    ) -> Query:
        return Query(
            parts=self.census.parts(scope),
            words=words,
            vector=vector,
            blend=_halved(self._blend(scope), words),
            speaker=speaker,
            lexical_limit=self._lexical_limit(count.points, matched),
            dense_limit=self._dense_limit(count.points, bool(words.terms)),
            limit=0,
        )


def named(query: str, speakers: Collection[str]) -> tuple[str, bool]:
    """The speaker whom a query is about, if it names exactly one ("": it does not); and whether as I or you."""
    language = LANGUAGES[language_of(query) or ENGLISH]
    text = _POLITE.sub(" ", query)
    words = {word.lower() for word in _WORD.findall(text)}
    by_name = {name for name in speakers if (parts := _WORD.findall(name.lower())) and words.issuperset(parts)}
    found = by_name | _meant(text, words, language) & set(speakers)
    return (found.pop(), not by_name) if len(found) == 1 else ("", False)


def _meant(text: str, words: set[str], language: Language) -> set[str]:
    """Whom pronouns mean. Who is asked what they said to me is the one who said it."""
    user, assistant = _has(language.user, text, words), _has(language.assistant, text, words)
    if user and assistant:
        assistant = _YOU_SAID.search(text) is not None
        user = False
    return {name for name, meant in (("user", user), ("assistant", assistant)) if meant}


def _has(pronouns: frozenset[str], text: str, words: set[str]) -> bool:
    """Where no spaces part words, pronouns stand within what looks like one."""
    return not words.isdisjoint(pronouns) or (unspaced(text) and any(each in text for each in pronouns))


def nameless(query: str, speaker: str) -> str:
    """A query without the name of the one whom it is about, who says I; unless that is all there is."""
    name = set(_WORD.findall(speaker.lower()))
    if not name:
        return query
    rest = " ".join(_OWNED.sub(lambda found: "" if found[1].lower() in name else found[0], query).split())
    return rest if _WORD.search(rest) else query


def _halved(blend: Blend, words: Sparse) -> Blend:
    """The blend for a query. One of few words has but low scores by them: against a `half` for long questions a word
    that is found as it stands would come after what is only alike."""
    return replace(blend, half=min(blend.half, sum(words.weights))) if words.terms else blend


def _wide(ask: Query, limit: int) -> Query:
    return replace(ask, limit=limit, lexical_limit=max(ask.lexical_limit, limit))


def _page(found: Sequence[Match], scope: Scope, first: int, size: int, *, ascending: bool = False) -> Sequence[Match]:
    return _in_order(found, scope, ascending=ascending)[first : first + size] if first >= 0 else ()


def _each_once(found: Sequence[Match]) -> list[Match]:
    """Of each event the first: a message takes one place, by its best piece."""
    best: dict[tuple[str, int], Match] = {}
    for match in found:
        best.setdefault((match.key.stream, match.key.seq), match)
    return list(best.values())


def _in_order(found: Sequence[Match], scope: Scope, *, ascending: bool = False) -> list[Match]:
    """Found ones in order: by score; among equals by the views' order and the seq (which count in one stream alone)."""
    nth = {view.stream: number for number, view in enumerate(scope.views)}

    def order(match: Match) -> tuple[float, int, int, int]:
        key = match.key
        if ascending:
            return (match.score, -nth[key.stream], key.seq, key.chunk)
        return (-match.score, nth[key.stream], -key.seq, key.chunk)

    return sorted(found, key=order)
