# ruff: noqa: RUF001 (list marks and ends of sentences, as people write them)
"""Answering out of documents: which of the passages that a search found answers a question, and what of it is quoted.

Rules. (1) The search's order counts: it knows more of words than this model does. (2) A passage answers that has more
than half of the question's words, in its text or in what cites it (a heading says what is below it), all names in it,
and one of its keys: a number, a code, an address. Words that are said of any thing count little. (3) A short passage is
quoted whole; of a long one the lines that have most. Each line stays one: of a list, a table, a record, a program.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from palimpsest.actors.models.offline.pages import Item
from palimpsest.actors.models.offline.question import Question
from palimpsest.actors.models.offline.search import ShownHit
from palimpsest.actors.models.offline.words import READ_CHARS, STOP, stem, stems, words
from palimpsest.store.words.languages import LANGUAGES, LATIN, LIGHT, language_of
from palimpsest.store.words.letters import plain

ANSWERS: Final = 0.51
ANSWERS_ABROAD: Final = 0.45
"""Of the words of other languages fewer forms are known."""
WHOLE_CHARS: Final = 600
"""A passage that is so long is quoted whole."""
QUOTE_CHARS: Final = 400
_WRAPPED_CHARS: Final = 50
"""A line that is so long may be wrapped."""
_OF_A_KEY: Final = 2.0
_OF_A_FRAME: Final = 0.3
"""What a word weighs that only leads to the question."""
_BY_ANOTHER_NAME: Final = 0.8
_OF_NOT: Final = 0.5
_LIGHT: Final = stems(" ".join(LIGHT))
_FOR_SHORT: Final = {"kilogram": "kg", "kilometr": "km", "millimetr": "mm", "millilitr": "ml", "megabyt": "mb"}
_MEASURED: Final = ("old", "often", "when", "long", "many", "much", "colour")
"""What is asked for in these ways must have the form of an answer."""
_AS_GOOD: Final = 0.12
_BY_PLACE: Final = (0.3, 0.2, 0.15, 0.1, 0.05)
"""What the places of a page add to what a passage has in common with the question."""
_WIDE: Final = re.compile(r"[\u30a0-\u30ff]{2,}|[\u3400-\u9fff]{2,}|[\uac00-\ud7af]{2,}")
"""A word of Japanese or Chinese: what is written in Katakana, or in Chinese characters."""
_NAME: Final = re.compile(r"(?<![.!?:] )(?<!^)(?<![\w¿¡])[A-Z][a-z]\w+")
_KEY: Final = re.compile(r"[\w.@:/-]*\d[\w.,@:/-]*|\w+(?:[_@]\w+)+")
_SORT: Final = re.compile(r"\W*(?:what|which) (?:(?:kind|sort|type)s? of )?(\w+) \w", re.I)
"""What sort of thing is asked for: an answer need not name it."""
_SHAPES: Final = (
    ("email", re.compile(r"\w@\w")),
    ("phone", re.compile(r"(?<![\w.-])[+(]?0[\d ()/-]{6,}\d|\+\d[\d ()/-]{6,}")),
    ("address", re.compile(r"\d \w+ (?:Street|Road|Lane|Row|Avenue|Square)\b|(?:stra(?:ß|ss)e|weg|gasse|platz) \d")),
)
"""By what a text has these, without saying so."""
_DENIES: Final = ("never", "cannot", "nicht", "kein", "nunca", "pas", "jamais")
_NOT: Final = re.compile(rf"\b(?:not|{'|'.join(_DENIES)})|n't\b", re.I)
_LISTED: Final = re.compile(r"\s*(?:[-*•–|>]|\d|[\w-][\w .\[\]-]{0,60}: )|[^|]*\|")
_RECORD: Final = re.compile(r"(?:[^\n:]{1,60}: .*(?:\n|$)){2,}")
_HEADING: Final = re.compile(r"^#{1,6} .*$", re.M)
_FIELD: Final = r"[A-Z][\w-]*: .*(?:\n[ \t].*)*\n"
_MAIL: Final = re.compile(rf"(?=(?:.+\n){{0,40}}?(?:From|Von|De): )(?:{_FIELD}){{2,}}")
"""The head of a mail."""
_TECHNICAL: Final = re.compile(rf"^(?=(?:Content|MIME|X|Message|List|DKIM|Return|In|User)-|Rec|Ref){_FIELD}", re.M)
_GROUPS: Final = re.compile(r"(?<=\d)[,.' \u202f\u00a0](?=\d{3}(?!\d))")
"""What parts the thousands of a number."""
_END: Final = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])\s*")


class _Word(NamedTuple):
    """What an answer should have: how its forms begin, what else it is called, and whether it is a name."""

    start: str
    weight: float
    near: tuple[str, ...] = ()
    named: bool = False


def answer(question: Question, pages: Sequence[Sequence[Item]]) -> ShownHit | None:
    """The passage that answers best, out of the pages of a search in their order, and with it another that has as much;
    None where none does."""
    wanted = _wanted(question)
    least = ANSWERS if language_of(question.text) in ("", "english") else ANSWERS_ABROAD
    found: list[ShownHit] = []
    for page in pages:
        items = [item for item in page if item.who == "document"]
        texts = [f"{plain(item.source)}\n{plain(item.text[:READ_CHARS])}" for item in items]
        rare = [w for w in wanted if w.weight > _OF_NOT and sum(_share([w], text) > 0 for text in texts) == 1]
        for item, text, place in zip(items, texts, _BY_PLACE, strict=False):
            able = _may_answer(wanted, text) and (question.kind not in _MEASURED or question.fits(item.text))
            share = _share(wanted, text) if able else 0.0
            sure = len(items) == len(_BY_PLACE) and place == _BY_PLACE[0] and _share(rare, text) > 0
            if share >= (ANSWERS_ABROAD if sure else least):
                found.append(ShownHit(item, _quote(wanted, text), share, share + place))
    if not found:
        return None
    best, *others = sorted(found, key=lambda hit: -hit.score)
    also = [hit for hit in others if hit.coverage >= best.coverage - 0.01 and hit.score > best.score - _AS_GOOD]
    return msgspec.structs.replace(best, also=also[0]) if also else best


def _may_answer(wanted: Sequence[_Word], text: str) -> bool:
    """Whether a text has one of the question's keys and each name in it; and more than a name, if more is asked than
    what may be asked of anything, and if it is not about the name: a record, or a line of it or what cites it."""
    keys = [w for w in wanted if _KEY.fullmatch(w.start)]
    names, others = [w for w in wanted if w.named], [w for w in wanted if not w.named and w.weight > _OF_NOT]
    if not all(_share([name], text) for name in names) or (keys and not _share(keys, text)):
        return False
    source, _, body = text.partition("\n")
    heads = rf"^[-*|\s]*(?:{'|'.join(re.escape(name.start) for name in names)})[^\n]*[:|]"
    return bool(
        keys or not names or not others or _share(others, text) or _share(names, source)
        or _RECORD.fullmatch(body) or re.search(heads, body, re.I | re.M)
    )  # fmt: skip


def _wanted(question: Question) -> list[_Word]:
    """The words that an answer should have. A name is a word with a capital, where nouns have none."""
    text, language = plain(question.text), language_of(question.text)
    stops = STOP.union(*(LANGUAGES[each].stops for each in ([language] if language in LANGUAGES else LATIN)))
    terms, sort = {t.stem: t for t in question.terms}, _SORT.match(text)
    names = set() if language == "german" or text.isupper() else {name.lower() for name in _NAME.findall(text)}
    found = [_Word(word, 1.0) for word in dict.fromkeys(_WIDE.findall(text))]
    for word in dict.fromkeys(words(text.lower())):
        if _KEY.fullmatch(word):
            found.append(_Word(word, _OF_A_KEY))
        elif word not in stops and not _WIDE.search(word):
            root, t = stem(word), terms.get(stem(word))
            light = t is None or root in _LIGHT or (sort and word == sort[1].lower())
            weight = min(t.weight if t else 1.0, _OF_A_FRAME if light else 9.0)
            near = (*t.starts[1:], *filter(None, [_FOR_SHORT.get(root)])) if t else ()
            found.append(_Word(_beginning(word), weight, near, word in names and root not in _LIGHT))
    return [*found, _Word("not ", _OF_NOT, _DENIES)] if found and _NOT.search(text) else found


def _beginning(word: str) -> str:
    """What the forms of a word begin with."""
    root = stem(word) if word.isascii() else word
    return root[: max(4, len(root) - 2)] if len(root) > 5 else root


def _share(wanted: Sequence[_Word], text: str) -> float:
    """How much of what is wanted a text has, by weight. A word of Chinese characters counts by its pairs."""
    low = _GROUPS.sub("", text.lower().replace("-", ""))
    low += "".join(f" {name}" for name, shape in _SHAPES if shape.search(text))
    total = sum(word.weight for word in wanted)
    return sum(word.weight * _has(word, low, text) for word in wanted) / total if total else 0.0


def _has(word: _Word, low: str, text: str) -> float:
    if _WIDE.fullmatch(word.start):
        pairs = [word.start[at : at + 2] for at in range(len(word.start) - 1)]
        return sum(pair in text for pair in pairs) / len(pairs)
    start, near = _GROUPS.sub("", word.start.replace("-", "")), "|".join(map(re.escape, word.near))
    if start in low and re.search(rf"(?<![^\W_]){re.escape(start)}", low):
        return 1.0
    return _BY_ANOTHER_NAME * bool(near and re.search(rf"(?<![^\W_])(?:{near})(?:e?[sd]?|ing)(?![^\W_])", low))


def _quote(wanted: Sequence[_Word], cited: str) -> str:
    """Of a text after its citation, if it is long, the sentences or lines that have most between them, as many as there
    is room for; of equal ones, those whose first has most. Of a mail, who wrote it and what it says."""
    source, _, text = cited.partition("\n")
    text = _HEADING.sub("", text) if ", under “" in source else text
    mail = _MAIL.match(text)
    head, text = (_TECHNICAL.sub("", mail[0]), text[mail.end() :]) if mail else ("", text)
    parts = _parts(text)
    whole = "".join(parts).strip()
    if len(whole) > WHOLE_CHARS:
        quotes = [_from(parts[at:]) for at in range(len(parts))]
        best = max(range(len(parts)), key=lambda at: (_share(wanted, quotes[at]), _share(wanted, parts[at]), -at))
        whole = quotes[best]
    return f"{head}{whole if len(whole) <= WHOLE_CHARS else f'{whole[: QUOTE_CHARS - 1]}…'}".strip()


def _from(parts: Sequence[str]) -> str:
    quote = parts[0]
    for part in parts[1:]:
        if len(quote) + len(part) > QUOTE_CHARS:
            break
        quote += part
    return quote.rstrip()


def _parts(text: str) -> list[str]:
    """Each line that stands for itself, with its end; the sentences of what flows."""
    found: list[str] = []
    flow = last = ""
    for line in [*text.splitlines(), ""]:
        if flow and not _goes_on(last, line):
            found += [f"{part} " for part in _END.split(flow) if part] if not _LISTED.match(flow) else [flow]
            found[-1] = f"{found[-1].rstrip()}\n"
            flow = ""
        flow, last = f"{flow} {line.strip()}" if flow else line.rstrip(), line.strip()
    return found


def _goes_on(line: str, after: str) -> bool:
    """Whether a line, in a program or not, goes on in the one after it."""
    word = after.strip()
    if (
        not word[:1].isalpha()
        or after[:1] == "\t"
        or after[:4].isspace()
        or _LISTED.match(after)
        or line[-1] in ".!?…:;|{}()。！？"
    ):
        return False
    return len(line) >= (_WRAPPED_CHARS if word[0].isupper() else _WRAPPED_CHARS // 2 if word.isascii() else 10)
