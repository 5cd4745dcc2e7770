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

from palimpsest.actors.models.offline.fold import MOVED, corrects, same_units
from palimpsest.actors.models.offline.hush import statements
from palimpsest.actors.models.offline.lines import NAME, VALUES, content, ends
from palimpsest.actors.models.offline.pages import Item
from palimpsest.actors.models.offline.question import (
    HARD,
    SHAPE_BONUS,
    WEAK,
    Question,
    coverage,
    fitness,
    is_strong,
    of_other,
)
from palimpsest.actors.models.offline.words import READ_CHARS, clip, plain, sentences, stem, stems, words

QUOTE_CHARS: Final = 300
READ_ITEMS: Final = 16
_CHANGES: Final = re.compile(
    r"(?i)\b(?:now|instead|new|moved|changed|switched|swapped|postponed|upgraded|raised|replac\w+|taking over|took over"
    r"|any ?more|no longer|not? .{1,40} till|(?:put|went|gone|goes) (?:up|down|off)|back|(?:up|down|cut\w*) (?:to|down)"
    r"|until|stop\w*|off the|on hold|paus\w+|leav\w+|left|renewed|quit|dropped|turned|since then|from now on)\b"
)
_REFERS: Final = re.compile(
    r"^\W*(?:they|this|that|these|those)\b|\b(?:it|its|he|she|his|her|him|them|ones?|there)\b", re.I
)
_DENIED: Final = re.compile(rf"\bnot (?:(?:on|in|at|the) )*({VALUES[0].pattern}|{VALUES[1].pattern})", re.I)
_A_MOVE: Final = re.compile(r"\b(?:the|our|my) (?:move|change|raise)", re.I)
_NOT_NEW: Final = re.compile(r"\b(?:not|from|instead of|no longer|before) (?:(?:on|at|in|the) )?\S+", re.I)
FROM_CORE: Final = "(From my core memory.)"
_OWN_WORDS: Final = (
    "I found nothing", "I don't know", "You asked me to forget", "I know nothing", "I count", "On 20", "Noted",
    "From my", "You told me", "Let me look", "Reminder:", "I am Palimpsest", "You have told me", "What I keep now",
    "I have that", "My summary", "I am sorry", "Hello", "In what I keep", "I said", "Later you said", "Done",
    "Forgotten", "You are welcome", "Goodbye", "Your reminders", "Checking in", "When should I remind", "My name is",
    "I cannot", "From the document", "Your message is empty", "A notice from", "I have received", "All is well",
    "My core memory", "I could not", "All right",
)  # fmt: skip
_GOES_ON: Final = re.compile(r"(?:it|he|she|they|that|this|there)\b", re.I)


def is_own(text: str) -> bool:
    """Whether a message has one of the offline model's own forms: they repeat what was said, and are no source."""
    return text.startswith(_OWN_WORDS) or text.endswith(FROM_CORE)


class ShownHit(msgspec.Struct, frozen=True):
    item: Item
    quote: str
    coverage: float
    score: float
    also: ShownHit | None = None
    """Another that is as good."""


def _apart(question: Question, text: str) -> float:
    """The weight of the question's numbers that do not stand beside their word in a text."""
    tokens = [stem(word) for word in words(text.lower())]
    beside = set(pairwise(tokens))
    return sum(b.weight for a, b in question.pairs if (a.stem, b.stem) not in beside)


def hit(question: Question, item: Item) -> ShownHit | None:
    """How well an item answers; None where it does not, or may not be quoted."""
    text = item.text[:READ_CHARS]
    if item.who == "assistant" and is_own(text):
        return None
    parts = statements(text)
    if not parts or (abs(len(text) - len(question.text)) < 8 and plain(text) == plain(question.text)):
        return None
    held = [stems(part) for part in parts]
    share = coverage(question, frozenset().union(*held))
    if question.pairs and share:
        share -= _apart(question, text) / sum(t.weight for t in question.terms)
    if share < WEAK:
        return None
    ranked = [coverage(question, each) + fitness(question, part) for each, part in zip(held, parts, strict=True)]
    best = max(range(len(parts)), key=lambda at: (round(ranked[at], 3), -at))
    if item.who == "document":
        quote = text[text.find(parts[best]) :][:QUOTE_CHARS].strip()
    elif question.kind == "why" and not question.fits(parts[best]):  # the reason may stand beside it
        quote = clip(" ".join(parts[max(0, best - 1) : best + 2]), QUOTE_CHARS)
    else:
        quote = _briefly(question, parts, held, best, share)
        if question.kind and not question.gains(quote) and best + 1 < len(parts):
            quote = clip(f"{quote} {parts[best + 1]}", QUOTE_CHARS)
    if item.who == "user" and item.source and not any(part in quote for part in sentences(item.source)):
        return None  # the message before says as much alone
    score = (share + fitness(question, quote)) * _trust(question, item.who)
    return ShownHit(item, quote, share, round(score, 3))


def _briefly(question: Question, parts: Sequence[str], held: Sequence[frozenset[str]], best: int, share: float) -> str:
    """The best sentence; where it lacks what the others have, those too."""
    chosen = {best}
    for at in sorted(range(len(parts)), key=lambda at: abs(at - best)):
        now = frozenset().union(*(held[each] for each in chosen))
        if coverage(question, now) >= share:
            break
        if coverage(question, now | held[at]) > coverage(question, now):
            chosen.add(at)
    if best + 1 < len(parts) and (_GOES_ON.match(parts[best + 1]) or corrects(parts[best + 1])):
        chosen.add(best + 1)
    return clip(" ".join(parts[at] for at in sorted(chosen)), QUOTE_CHARS)


def _trust(question: Question, who: str) -> float:
    """How much a speaker's words count: the user's most, unless the agent's own are asked for."""
    if who == "assistant":
        return 1.3 if question.of_agent else 0.5
    return (0.7 if question.of_agent else 1.0) * {"summary": 0.95, "memory": 0.98, "document": 0.98}.get(who, 1.0)


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
    return (share + 3 * SHAPE_BONUS) * _trust(question, item.who) if share >= WEAK else 0.0


def hits(question: Question, items: Iterable[Item]) -> list[ShownHit]:
    """The hits, best first; of equal ones the latest first, as the items come. One for each thing said.

    Of many items only those READ_ITEMS are read that can score highest, and those only while one can still win.
    """
    able = [(most, item) for item in items if (most := _most(question, item))]
    able.sort(key=lambda pair: pair[0], reverse=True)
    found: dict[str, ShownHit] = {}
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
    return ranked(found.values())


def ranked(found: Iterable[ShownHit]) -> list[ShownHit]:
    """Best first; of those that are about as good the latest, which may correct the others."""
    return sorted(found, key=lambda h: (round(h.score, 1), h.item.time), reverse=True)


def strong(question: Question, found: Iterable[ShownHit]) -> list[ShownHit]:
    return [h for h in found if h.score > 0.25 and is_strong(question, h.coverage, h.quote)]


def told(one: ShownHit) -> str:
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
            return f"From the document {one.item.source}: {quote}{chr(10) + told(one.also) if one.also else ''}"
        case _:
            source = f" (source: {one.item.source})" if one.item.source else ""
            return f"In what I keep in archival memory since {day or 'earlier'}{source}: {quote}"


def source(line: str, told: Sequence[str]) -> int:
    """The message, the latest of several, that a line is from, or that has its time, day or number; -1 for none."""
    words = content(line)
    held = [content(text) for text in told]
    ranked = [(len(words & each), -len(each), at) for at, each in enumerate(held)]
    share, _, at = max(ranked, default=(0, 0, -1))
    if share >= 0.6 * len(words):
        return at
    values, *theirs = ({v for kind in VALUES for v in kind.findall(text.lower()) if v[1:]} for text in (line, *told))
    return max((at for at, each in enumerate(theirs) if values & each), default=-1)


def later(question: Question, answer: str, told: Sequence[str], at: int) -> list[str]:
    """What was said after message `at` that changes an answer taken from it: at most two, the latest last."""
    found: list[str] = []
    direct = at >= 0
    for text in told[at + 1 :]:
        parts = statements(text)
        direct = direct and bool(text) and (not parts or corrects(parts[0]))
        if not parts:
            continue
        denied = any(value.lower() in answer.lower() for value in _DENIED.findall(text))
        if denied or (direct and content(parts[0]) and _differs(parts[0], answer, strict=False)):
            found.append(clip(" ".join(parts), 200))
        elif not direct:
            new = [part for part in parts if _updates(question, part, answer)]
            found += [clip(part, 200) for part in new if not any(content(part) <= content(each) for each in found)]
    return found[-2:]


def with_later(question: Question, answer: str, told: Sequence[str], at: int, quote: str = "") -> str:
    """An answer that is from message `at`, or quotes it, after what was said later that changes it."""
    plainly = question.past or question.wants_all or question.of_agent or question.kind == "why"
    more = [] if plainly else later(question, quote or answer, told, at)
    quotes = " ".join(f"“{each}”" for each in more)
    return f"Later you said: {quotes}. Before that: {answer}" if quotes else answer


def corrected(line: str, quote: str) -> bool:
    """Whether a line of core memory says what a message says with another value: it was corrected there."""
    bare = line
    for kind in VALUES:
        bare = kind.sub(" ", bare)
    return bool(content(bare)) and content(bare) <= content(quote) and _differs(line, quote, strict=True)


def refers(text: str) -> bool:
    """Whether a message speaks of "it" or "one", which the message before it names."""
    return bool(_REFERS.search(sentences(text)[0])) if text.strip() else False


def _updates(question: Question, part: str, answer: str) -> bool:
    """Whether a later sentence may change an answer."""
    held = stems(part)
    share = coverage(question, held)
    about = [t for t in question.terms if t.found(held) and (t.stem not in MOVED or _A_MOVE.search(part))]
    if not share or not about or of_other(question, part):
        return False
    changes = bool(_CHANGES.search(part)) or corrects(part) or ends(part)
    share += WEAK * bool({n.lower() for n in NAME.findall(f"x {part}")} & {n.lower() for n in NAME.findall(answer)})
    if question.kind in HARD:
        enough = changes or share >= max(WEAK, coverage(question, stems(answer)))
        return enough and question.fits(part) and _differs(part, answer, strict=True)
    says_more = bool(content(part) - content(answer))
    return changes and share >= WEAK and says_more and _differs(part, answer, strict=False)


def _differs(part: str, answer: str, *, strict: bool) -> bool:
    """Whether a sentence gives another value of a kind than an answer; `strict`: of one that the answer has."""
    if not same_units(part, answer):
        return False
    part, found = _NOT_NEW.sub(" ", part), False
    for kind in VALUES:
        mine = [value.lower() for value in kind.findall(part)][:1]
        theirs = {value.lower() for value in kind.findall(answer)}
        if mine and mine[0] in theirs:
            return False
        found |= bool(mine) and (bool(theirs) or not strict)
    return found or not strict
