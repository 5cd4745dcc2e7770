# ruff: noqa: RUF001 (both forms of the apostrophe are matched, as users type them)
"""Matching and answering: which of the things that were said answers a question, and how it is quoted.

Rules. (1) A hit shares the question's content words, weighed, and every required one. (2) A question is never quoted as
an answer, nor are the agent's own replies about its searches. (3) Of equal hits the later one holds: it may correct
the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from actors.models.offline_facts import is_question
from actors.models.offline_words import READ_CHARS, Term, clip, plain, sentences, stem, stems, terms, words

QUOTE_CHARS: Final = 300
STRONG: Final = 0.6
WEAK: Final = 0.5
READ_ITEMS: Final = 12
_SHAPE_BONUS: Final = 0.15

NOTHING: Final = "I found nothing about that"
FROM_CORE: Final = "(From my core memory.)"
_OWN_WORDS: Final = (
    "I found nothing", "On 20", "Noted", "From my", "You told me", "Let me look", "Reminder:", "I am Palimpsest",
    "I have that", "My summary", "I am sorry", "Hello", "In what I keep", "I said", "Done", "Forgotten", "All right",
    "You are welcome", "Goodbye", "Your reminders", "Checking in", "When should I remind", "My name is", "I cannot",
    "From the document",
    "Your message is empty", "A notice from", "I have received", "All is well", "My core memory", "I could not",
)  # fmt: skip


def is_own(text: str) -> bool:
    """Whether a message has one of the offline model's own forms: they repeat what was said, and are no source."""
    return text.startswith(_OWN_WORDS) or text.endswith(FROM_CORE)


_WEEKDAY_OR_MONTH: Final = (
    r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)day|\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b"
)
_SHAPES: Final = (
    (re.compile(r"\bwhen\b|\bwhat (?:time|day|date)\b", re.I), re.compile(rf"\d|{_WEEKDAY_OR_MONTH}|\bnoon\b", re.I)),
    (
        re.compile(r"\bhow (?:many|much|old|long|far)\b", re.I),
        re.compile(r"\d|\b(?:one|two|three|four|five|ten)\b", re.I),
    ),
    (re.compile(r"\bwhere\b", re.I), re.compile(r"\b(?:in|at|on|to|from|under|behind|near|inside|by)\b", re.I)),
    (re.compile(r"\bwho(?:se|m)?\b", re.I), re.compile(r"(?<!^)\b[A-Z][a-z]")),
    (re.compile(r"\bwh|\bhow\b", re.I), re.compile(r"\b(?:is|are|was|were|called|named)\b|['’]s\b|[:=]", re.I)),
)
"""What an answer to a kind of question looks like."""
_NO_IDEA: Final = re.compile(
    r"\b(?:forgot|forget|don['’]t (?:know|remember|recall)|can['’]t (?:remember|recall)|no idea|i asked)\b",
    re.I,
)
_ASKS_AGENT: Final = re.compile(
    r"\b(?:did|have|what) you(?:['’]ve)? (?:just )?(?:s[ae]|t[eo]l|recommend|suggest|promis|answer|repl)", re.I
)
_ASKS_ALL: Final = re.compile(
    r"\b(?:everything|all (?:that|the things)|what (?:did|have) (?:i|we) .*\b(?:about|of|regarding)\b"
    r"|what do (?:you|i) (?:still )?(?:know|remember) (?:about|of))",
    re.I,
)


class Item(msgspec.Struct, frozen=True):
    """Something that may answer. `who`: user, assistant, memory, summary, document; `time` as rendered ("" unknown).
    `source` says where it is from; of a document, all that it takes to cite it."""

    who: str
    text: str
    time: str = ""
    source: str = ""


class Question(msgspec.Struct, frozen=True):
    """A question read once: its terms, and what sort of answer it wants."""

    text: str
    terms: tuple[Term, ...]
    plain: str
    of_agent: bool
    wants_all: bool
    shapes: tuple[re.Pattern[str], ...] = ()
    pairs: tuple[tuple[Term, Term], ...] = ()
    """A word and the number right after it ("room 12"): the number counts only beside that word."""

    @property
    def query(self) -> str:
        """Key words for a search."""
        return clip(" ".join(t.word for t in self.terms) or self.text, 200)


class Hit(msgspec.Struct, frozen=True):
    item: Item
    quote: str
    coverage: float
    score: float


def read_question(text: str) -> Question:
    shapes = tuple(shape for asked, shape in _SHAPES if asked.search(text))[:1]
    found = terms(text)
    return Question(
        text=text,
        terms=found,
        pairs=tuple((a, b) for a, b in pairwise(found) if b.word.isdigit() and f"{a.word} {b.word}" in text.lower()),
        plain=plain(text),
        of_agent=bool(_ASKS_AGENT.search(text)),
        wants_all=bool(_ASKS_ALL.search(text)),
        shapes=shapes,
    )


def coverage(question: Question, held: frozenset[str]) -> float:
    """The weighed share of the question's terms that are among the stems; 0 where a required one is not."""
    total = found = 0.0
    for t in question.terms:
        total += t.weight
        if not t.stems.isdisjoint(held):
            found += t.weight
        elif t.required:
            return 0.0
    return found / total if total else 0.0


def _apart(question: Question, text: str) -> float:
    """The weight of the question's numbers that do not stand beside their word in a text."""
    tokens = [stem(word) for word in words(text.lower())]
    beside = set(pairwise(tokens))
    return sum(b.weight for a, b in question.pairs if not any((x, y) in beside for x in a.stems for y in b.stems))


def hit(question: Question, item: Item) -> Hit | None:
    """How well an item answers; None where it does not, or may not be quoted."""
    text = item.text[:READ_CHARS] if item.who != "document" else _flowing(item.text[:READ_CHARS])
    if item.who == "assistant" and is_own(text):
        return None
    parts = [sentence for sentence in sentences(text) if not is_question(sentence)]
    if not parts or (abs(len(text) - len(question.text)) < 8 and plain(text) == question.plain):
        return None
    held = [stems(part) for part in parts]
    share = coverage(question, frozenset().union(*held))
    if question.pairs and share:
        share -= _apart(question, text) / sum(t.weight for t in question.terms)
    if share < WEAK:
        return None
    best = max(range(len(parts)), key=lambda at: (coverage(question, held[at]), -at))
    score = _score(question, item, share, parts[best])
    first = best if item.who == "document" else 0
    return Hit(item, _quote(parts[first:], best - first), share, round(score, 3))


def _flowing(text: str) -> str:
    """A document's text without the line ends inside a paragraph, and without headings, which its citation has."""
    return _WRAPPED.sub(" ", _HEADING.sub("", text))


def _score(question: Question, item: Item, share: float, sentence: str) -> float:
    score = share
    if any(shape.search(sentence) for shape in question.shapes):
        score += _SHAPE_BONUS
    if _NO_IDEA.search(sentence):
        score -= 0.4
    return score * _trust(question, item.who)


def _trust(question: Question, who: str) -> float:
    """How much a speaker's words count: the user's most, unless the agent's own are asked for."""
    if who == "assistant":
        return 1.3 if question.of_agent else 0.5
    return (0.7 if question.of_agent else 1.0) * {"summary": 0.95, "memory": 0.98, "document": 0.98}.get(who, 1.0)


_HEADING: Final = re.compile(r"^#{1,6} .*$\n?", re.M)
_WRAPPED: Final = re.compile(r"(?<=[^\n.!?:|])\n(?=[^\s#|>*•–-])(?!\d+[.)] )")
"""A line end within a sentence: what follows is no list, table, quotation or empty line."""


def _most(question: Question, item: Item) -> float:
    """The score that an item can reach at most, by substring tests alone; 0 where it cannot be a hit."""
    low = item.text[:READ_CHARS].lower()
    total = found = 0.0
    for t in question.terms:
        total += t.weight
        if any(start in low for start in t.starts):
            found += t.weight
        elif t.required:
            return 0.0
    share = found / total if total else 0.0
    return (share + _SHAPE_BONUS) * _trust(question, item.who) if share >= WEAK else 0.0


def _quote(parts: Sequence[str], best: int) -> str:
    """The best sentence and, while there is room, its neighbours after and before it."""
    first = last = best
    length = len(parts[best])
    while last + 1 < len(parts) and length + len(parts[last + 1]) < QUOTE_CHARS:
        last += 1
        length += len(parts[last]) + 1
    while first > 0 and length + len(parts[first - 1]) < QUOTE_CHARS:
        first -= 1
        length += len(parts[first]) + 1
    return clip(" ".join(parts[first : last + 1]), QUOTE_CHARS)


def hits(question: Question, items: Iterable[Item]) -> list[Hit]:
    """The hits, best first; of equal ones the latest first, as the items come. One for each thing said.

    Of many items only those READ_ITEMS are read that can score highest, and those only while one can still win.
    """
    able = [(most, item) for item in items if (most := _most(question, item))]
    able.sort(key=lambda pair: pair[0], reverse=True)
    found: dict[str, Hit] = {}
    best = 0.0
    for most, item in able[:READ_ITEMS]:
        if most <= best and not question.wants_all:
            break
        one = hit(question, item)
        if one is not None:
            best = max(best, one.score)
            key = plain(one.quote)
            other = found.get(key)
            if other is None or one.score > other.score:
                found[key] = one
    return sorted(found.values(), key=lambda h: (h.score, h.item.time), reverse=True)


def strong(found: Sequence[Hit]) -> list[Hit]:
    return [h for h in found if h.coverage >= STRONG and h.score > 0.25]


def told(one: Hit) -> str:
    """A hit quoted with who said it and when."""
    quote = f"“{one.quote}”"
    day = one.item.time[:10]
    match one.item.who:
        case "user":
            return f"On {day} you said: {quote}" if day else f"You told me: {quote}"
        case "assistant":
            return f"On {day} I said: {quote}" if day else f"I said: {quote}"
        case "summary":
            return f"My summary of earlier messages says: {quote}"
        case "document":
            return f"From the document {one.item.source}: {quote}"
        case _:
            source = f" (source: {one.item.source})" if one.item.source else ""
            return f"In what I keep in archival memory since {day or 'earlier'}{source}: {quote}"


# --- result pages -----------------------------------------------------------------------------------------------

_PAGE: Final = re.compile(r"Showing \d+ of (\d+) results? \(page (\d+)/(\d+)\):\s*", re.I)
_ITEM: Final = re.compile(r"timestamp: ([^,]*), (\w[\w ]{0,30}): (.*)", re.S)
_WHERE: Final = r"(?:, (?:pages?|lines?) [\d-]+)"
_DOCUMENTS: Final = tuple(
    re.compile(rf"timestamp: ([^,]*), source: (.{{1,100}}?), document: (.{{1,400}}?)({where}): (.*)", re.S)
    for where in (rf"{_WHERE}+(?:, under “[^”]*”)?", r"(?:, under “[^”]*”)?")
)
"""A document's line: first as it is with a place, which tells where a path ends that holds a colon; then without."""
_SOURCE: Final = re.compile(r",? source: ([^,\n]{1,200})$")
_items: Final = msgspec.json.Decoder(list[str])


class Page(msgspec.Struct, frozen=True):
    items: tuple[Item, ...] = ()
    number: int = 0
    last: int = 0


def read_page(result: str) -> Page:
    """A search's result page; one that is empty or does not read has no items."""
    head = _PAGE.search(result[:400])
    if head is None:
        return Page()
    try:
        raw = _items.decode(result[head.end() :])
    except (msgspec.MsgspecError, RecursionError):
        return Page(number=int(head[2][:9]), last=int(head[3][:9]))
    return Page(tuple(_item(text) for text in raw), int(head[2][:9]), int(head[3][:9]))


def _item(text: str) -> Item:
    document = next((found for pattern in _DOCUMENTS if (found := pattern.match(text))), None)
    if document is not None:
        return Item("document", document[5], document[1], f"{document[3]}{document[4]} (source: {document[2]})")
    match = _ITEM.match(text)
    if match is None:
        return Item("memory", text)
    source = _SOURCE.search(match[3])
    body = match[3][: source.start()] if source else match[3]
    return Item(match[2].strip().lower(), body, match[1], source[1] if source else "")
