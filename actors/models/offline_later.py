"""What was said after something that answers, and may have changed it: it is told with the answer, not in its place.

Rules. (1) What follows at once and corrects is told. (2) So is a later sentence on what is asked that gives another
value, or says that something changed. (3) Nothing is told whose values the answer has already.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from actors.models.offline_asks import is_question
from actors.models.offline_fold import MOVED, same_units
from actors.models.offline_hush import topic_of
from actors.models.offline_lines import NAME, VALUES, content, ends
from actors.models.offline_question import HARD, STRONG, WEAK, Question, coverage, of_other
from actors.models.offline_topic import corrects
from actors.models.offline_words import clip, sentences, stems

_CHANGES: Final = re.compile(
    r"(?i)\b(?:now|instead|new|moved|changed|switched|swapped|postponed|upgraded|raised|replac\w+|taking over|took over"
    r"|any ?more|no longer|not? .{1,40} till|(?:put|went|gone|goes) (?:up|down|off)|back|(?:up|down|cut\w*) (?:to|down)"
    r"|until|stop\w*|off the|on hold|paus\w+|leav\w+|left|renewed|quit|dropped|turned|since then|from now on)\b"
)
_REFERS: Final = re.compile(
    r"^\W*(?:they|this|that|these|those)\b|\b(?:it|its|he|she|his|her|him|them|ones?|there)\b", re.I
)
_A_MOVE: Final = re.compile(r"\b(?:the|our|my) (?:move|change|raise)", re.I)
_NOT_NEW: Final = re.compile(r"\b(?:not|from|instead of|no longer|before) (?:(?:on|at|in|the) )?\S+", re.I)


def source(line: str, told: Sequence[str]) -> int:
    """Which of the messages, oldest first, a line of core memory is from; the latest of several, -1 for none."""
    words = content(line)
    held = [content(text) for text in told]
    ranked = [(len(words & each), -len(each), at) for at, each in enumerate(held)]
    share, _, at = max(ranked, default=(0, 0, -1))
    return at if share >= 0.6 * len(words) else -1


def later(question: Question, answer: str, told: Sequence[str], at: int) -> list[str]:
    """What was said after message `at` that changes an answer taken from it: at most two, the latest last."""
    found: list[str] = []
    direct = at >= 0
    for text in told[at + 1 :]:
        parts = [part for part in sentences(text) if not is_question(part) and topic_of(part) is None]
        direct = direct and bool(text) and (not parts or corrects(parts[0]))
        if not parts:
            continue
        if direct and content(text) and _differs(parts[0], answer, strict=False):
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
    share += STRONG * bool({n.lower() for n in NAME.findall(f"x {part}")} & {n.lower() for n in NAME.findall(answer)})
    if question.kind in HARD:
        enough = changes or share >= max(WEAK, coverage(question, stems(answer)))
        return enough and question.fits(part) and _differs(part, answer, strict=True)
    return (
        changes and (share >= WEAK) and bool(content(part) - content(answer)) and _differs(part, answer, strict=False)
    )


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
