# ruff: noqa: RUF001 (list marks and ends of sentences, as people write them)
"""Answering out of documents: which of the passages that a search found answers a question, and what of it is quoted.

Rules. (1) The search's order counts: it knows more of words than this model does. (2) A passage answers that has more
than half of the question's words, in its text or in what cites it (a heading says what is below it), all names in it,
and one of its keys: a number, a code, an address. (3) A list, a table and a record are quoted in their lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from actors.models.offline_pages import Item
from actors.models.offline_question import Question
from actors.models.offline_search import Hit
from actors.models.offline_words import READ_CHARS, STOP, stem, words
from store.languages import LANGUAGES, LATIN, language_of
from store.letters import plain

ANSWERS: Final = 0.51
ANSWERS_ABROAD: Final = 0.45
"""Of the words of other languages fewer forms are known."""
QUOTE_CHARS: Final = 300
_WRAPPED_CHARS: Final = 50
"""A line that is so long may be wrapped."""
_OF_A_KEY: Final = 2.0
_OF_A_FRAME: Final = 0.3
"""What a word weighs that only leads to the question."""
_BY_PLACE: Final = (0.3, 0.2, 0.15, 0.1, 0.05)
"""What the places of a page add to what a passage has in common with the question."""
_WIDE: Final = re.compile(r"[\u30a0-\u30ff]{2,}|[\u3400-\u9fff]{2,}|[\uac00-\ud7af]{2,}")
"""A word of Japanese or Chinese: what is written in Katakana, or in Chinese characters."""
_NAME: Final = re.compile(r"(?<![.!?:] )(?<!^)(?<!\w)[A-Z][a-z]\w+")
_KEY: Final = re.compile(r"[\w.@:/-]*\d[\w.,@:/-]*|\w+(?:[_@]\w+)+")
_LISTED: Final = re.compile(r"\s*(?:[-*•–|>]|\d|[\w-][\w .\[\]-]{0,60}: )|[^|]*\|")
_HEADING: Final = re.compile(r"^#{1,6} .*$", re.M)
_GROUPS: Final = re.compile(r"(?<=\d)[,.' \u202f\u00a0](?=\d{3}(?!\d))")
"""What parts the thousands of a number."""
_END: Final = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])\s*")


def answer(question: Question, pages: Sequence[Sequence[Item]]) -> Hit | None:
    """The passage that answers best, out of the pages of a search in their order; None where none does."""
    wanted, needed = _wanted(question), _needed(plain(question.text))
    least = ANSWERS if language_of(question.text) in ("", "english") else ANSWERS_ABROAD
    best: tuple[float, float, Item, str] | None = None
    for page in pages:
        documents = [item for item in page if item.who == "document"]
        for item, place in zip(documents, _BY_PLACE, strict=False):
            body = plain(item.text[:READ_CHARS])
            text = f"{plain(item.source)}\n{body}"
            share = _share(wanted, text) if all(_share(each, text) for each in needed) else 0.0
            if share >= least and (best is None or share + place > best[0]):
                best = share + place, share, item, body
    if best is None:
        return None
    score, share, item, body = best
    return Hit(item, _quote(wanted, body), share, score)


def _needed(question: str) -> list[dict[str, float]]:
    """What an answer must have: one of the question's keys, and each name in it (a word with a capital, where nouns
    have none)."""
    keys = {word: 1.0 for word in words(question.lower()) if _KEY.fullmatch(word)}
    named = [] if language_of(question) == "german" or question.isupper() else _NAME.findall(question)
    names = [{_beginning(word.lower()): 1.0} for word in named if word.lower() not in keys]
    return [keys, *names] if keys else names


def _wanted(question: Question) -> dict[str, float]:
    """The words that an answer should have, in the forms that text is looked through for, each with its weight."""
    language = language_of(question.text)
    stops = STOP.union(*(LANGUAGES[each].stops for each in ([language] if language in LANGUAGES else LATIN)))
    weights = {t.stem: t.weight for t in question.terms}
    found = dict.fromkeys(_WIDE.findall(plain(question.text)), 1.0)
    for word in words(question.text.lower()):
        if _KEY.fullmatch(word):
            found[word] = _OF_A_KEY
        elif word not in stops and not _WIDE.search(word):
            found[_beginning(word)] = weights.get(stem(word), _OF_A_FRAME)
    return found


def _beginning(word: str) -> str:
    """What the forms of a word begin with."""
    root = stem(word) if word.isascii() else word
    return root[: max(4, len(root) - 2)] if len(root) > 5 else root


def _share(wanted: dict[str, float], text: str) -> float:
    """How much of what is wanted a text has, by weight. A word of Chinese characters counts by its pairs."""
    low = _GROUPS.sub("", text.lower().replace("-", ""))
    total = sum(wanted.values())
    return sum(weight * _has(word, low, text) for word, weight in wanted.items()) / total if total else 0.0


def _has(word: str, low: str, text: str) -> float:
    if _WIDE.fullmatch(word):
        pairs = [word[at : at + 2] for at in range(len(word) - 1)]
        return sum(pair in text for pair in pairs) / len(pairs)
    return float(bool(re.search(rf"(?<![^\W_]){re.escape(_GROUPS.sub('', word.replace('-', '')))}", low)))


def _quote(wanted: dict[str, float], text: str) -> str:
    """The sentences or lines that have most between them, as many as there is room for; of equal ones, those whose
    first has most."""
    parts = _parts(text)
    if not parts:
        return text.strip()[:QUOTE_CHARS]
    quotes = [_from(parts[at:]) for at in range(len(parts))]
    best = max(range(len(parts)), key=lambda at: (_share(wanted, quotes[at]), _share(wanted, parts[at]), -at))
    quote = quotes[best]
    return quote if len(quote) <= QUOTE_CHARS else f"{quote[: QUOTE_CHARS - 1]}…"


def _from(parts: Sequence[str]) -> str:
    quote = parts[0]
    for part in parts[1:]:
        if len(quote) + len(part) >= QUOTE_CHARS:
            break
        quote += ("\n" if _LISTED.match(part) else " ") + part
    return quote


def _parts(text: str) -> list[str]:
    """Each line that stands for itself; the sentences of what flows. The citation has the headings."""
    found: list[str] = []
    flow = ""
    for line in map(str.strip, [*_HEADING.sub("", text).splitlines(), ""]):
        if flow and not (line[:1].isalpha() and not _LISTED.match(line) and _is_wrapped(flow, line)):
            found += [flow] if _LISTED.match(flow) else [part for part in _END.split(flow) if part]
            flow = ""
        flow = f"{flow} {line}".strip()
    return found


def _is_wrapped(line: str, after: str) -> bool:
    """Whether a line goes on in the one after it."""
    return after[0].islower() or not after[0].isascii() or (len(line) >= _WRAPPED_CHARS and line[-1] not in ".!?:;|")
