"""Summaries without an LLM: the facts and the most telling sentences of what is to be hidden, within a word limit.

Rules. (1) Written as the agent's own recollection, in sentences that the next summary can take up again. (2) A
sentence of the previous summary stays while it is still true and there is room; newer facts of the same slot replace
it. (3) Never empty, never over the limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, zip_longest
from typing import Final

import msgspec

from palimpsest.actors.models.offline.asks import is_question
from palimpsest.actors.models.offline.facts import facts_in, states
from palimpsest.actors.models.offline.fold import fold
from palimpsest.actors.models.offline.hush import Forgotten, forgotten
from palimpsest.actors.models.offline.lines import holds
from palimpsest.actors.models.offline.request import RequestView, ShownEntry, entry_of
from palimpsest.actors.models.offline.search import is_own
from palimpsest.actors.models.offline.unsay import request_of
from palimpsest.actors.models.offline.words import STOP, clip, plain, sentences, vocabulary, words

_LIMIT: Final = re.compile(r"(?:at most|no more than|under|within|fewer than|less than)\s+(\d{1,5})\s+words", re.I)
_ANY_LIMIT: Final = re.compile(r"(\d{1,5})[- ]words?\b", re.I)
_PREVIOUS: Final = re.compile(r"Previous summary:\n(.*?)(?:\n\s*)?(?=\nMessages:\n|\Z)", re.S)
_LINE: Final = re.compile(
    r"^(?:\[(?P<day>\d{4}-\d{2}-\d{2})[^\]\n]{0,30}\] (?P<who>[^:\n]{1,60}): "
    r"|(?P<own>assistant|assistant \(thinking\)|result): |(?P<called>assistant called )\w+\()",
    re.M,
)
_EVENTS: Final = vocabulary("""login upload timer system_alert heartbeat memory_status function result tool system""")
_HEAD: Final = re.compile(r"I talked with the user from (\d{4}-\d{2}-\d{2}) to (\d{4}-\d{2}-\d{2})\.\s*")
_FACT: Final = re.compile(r"The user: (.+)", re.S)
_SECRET: Final = re.compile(r"\b(?:pass(?:word|code|phrase)|pin|code|combination|secret|token|api key)s?\b", re.I)
"""What is summed up stands in contexts for long, and what will be forgotten is not known yet: recall has it."""
_MESSAGES_MAX: Final = 600
_MESSAGE_CHARS: Final = 800
DEFAULT_WORDS: Final = 100
_WORD_CHARS: Final = 7


class Spoken(msgspec.Struct, frozen=True):
    day: str
    who: str
    text: str


def summarize(view: RequestView) -> str:
    """The answer to a summary request; for any other request without tools, what can be said of its messages."""
    system, user = _parts(view)
    limit = _limit(system) or DEFAULT_WORDS
    previous, said = _read(user)
    text = _within(_sentences_of(previous, said), limit)
    return text or _first_words(clip(previous or user.partition("Messages:\n")[2] or user, 400), limit)


def _first_words(text: str, limit: int) -> str:
    return " ".join((text.split() or ["Nothing", "was", "said."])[:limit])


def _parts(view: RequestView) -> tuple[str, str]:
    system = "\n".join(m.content or "" for m in view.messages if m.role == "system")
    rest = [_plain_content(m.content or "") for m in view.messages if m.role != "system"]
    return system, "\n".join(rest)


def _plain_content(content: str) -> str:
    return entry_of(content).message if content.startswith('{"type"') else content


def _limit(system: str) -> int:
    match = _LIMIT.search(system) or _ANY_LIMIT.search(system)
    return max(1, int(match[1])) if match else 0


def _read(user: str) -> tuple[str, list[Spoken]]:
    before = _PREVIOUS.search(user)
    previous = before[1].strip() if before else ""
    body = user[before.end() :] if before else user
    heads = list(_LINE.finditer(body))[:_MESSAGES_MAX]
    ends = [head.start() for head in heads[1:]] + [len(body)] if heads else []
    said, day = list[Spoken](), ""
    for head, end in zip(heads, ends, strict=True):
        day = head["day"] or day
        said.append(Spoken(day, _speaker(head), _plain_content(body[head.end() : end].strip())[:_MESSAGE_CHARS]))
    if not heads and not previous:
        said = [Spoken("", "user", body[: _MESSAGE_CHARS * 4])]
    return ("" if previous.lower() in ("none", "(none)", "-") else previous), said


def _speaker(head: re.Match[str]) -> str:
    """user, assistant, or "" for events, thoughts, calls and results. A named user is a user."""
    who = (head["who"] or head["own"] or "result").lower()
    return "assistant" if who == "assistant" else "user" if head["who"] and who not in _EVENTS else ""


def _sentences_of(previous: str, said: list[Spoken]) -> Iterator[str]:
    """Sentences by falling importance: the span, facts that hold, what was said, and what the last summary kept."""
    head = _HEAD.search(previous)
    gone = _forgotten_of(said)
    kept = sentences(_HEAD.sub("", previous))
    facts = _fold([match[1] for match in map(_FACT.match, kept) if match][::-1], said)
    days = [s.day for s in said if s.day]
    if days or head:
        first = head[1] if head else days[0]
        yield f"I talked with the user from {first} to {days[-1] if days else head[2] if head else first}."
    others = [s for s in kept if not _FACT.match(s)]
    telling = _telling(said)
    # The new and the old take turns, so that neither crowds the other out.
    mixed = (line for pair in zip_longest(telling, others) for line in pair if line)
    for line in chain((f"The user: {line}" for line in reversed(facts)), mixed):
        if not (_SECRET.search(line) or any(each.covers(line) for each in gone)):
            yield line


def _fold(lines: list[str], said: Sequence[Spoken]) -> list[str]:
    """The facts that hold after what was said."""
    cells = [[line] for line in lines] + [[]]
    users = [one for one in said if one.who == "user"]
    for at, one in enumerate(users):
        for fact in facts_in(one.text, [each.text for each in users[max(0, at - 3) : at]][::-1]):
            fold(cells, fact.change, one.day)
    return [line for cell in cells for line in cell if holds(line)]


def _forgotten_of(said: Sequence[Spoken]) -> list[Forgotten]:
    """What was asked to be forgotten, among what was said."""
    asked = (request_of(sentence) for one in said if one.who == "user" for sentence in sentences(one.text))
    return [forgotten(request.topics, (), "") for request in asked if request and request.topics]


def _telling(said: list[Spoken]) -> list[str]:
    """What was said besides facts, the most informative first; each sentence once."""
    scored: dict[str, tuple[float, int, str]] = {}
    for at, one in enumerate(said):
        if one.who not in ("user", "assistant") or (one.who == "assistant" and is_own(one.text)):
            continue
        for sentence in sentences(one.text)[:6]:
            weight = worth(sentence)
            if weight <= 0 or (one.who == "user" and states(sentence)):
                continue
            weight *= 1.0 if one.who == "user" else 0.6
            speaker = "the user said" if one.who == "user" else "I said"
            on = f"On {one.day} " if one.day else ""
            quote = clip(sentence, 160)
            line = f"{on}{speaker}: “{quote}”{'' if quote[-1] in '.!?…' else '.'}"
            scored.setdefault(plain(sentence), (weight, at, line[0].upper() + line[1:]))
    return [line for _, _, line in sorted(scored.values(), key=lambda s: (-round(s[0], 2), -s[1]))]


def worth(sentence: str) -> float:
    """How much a sentence tells: content words, names and numbers; nothing for questions and pleasantries."""
    if is_question(sentence) or _SECRET.search(sentence):
        return 0.0
    tokens = words(sentence[:400])
    content = {t.lower() for t in tokens} - STOP
    if len(content) < 2:
        return 0.0
    names = sum(1 for t in tokens[1:] if t[0].isupper() and t != "I")
    numbers = sum(1 for t in tokens if t[0].isdigit())
    return min(len(content), 12) / 6 + min(names, 3) * 0.5 + min(numbers, 3) * 0.5


def _within(lines: Iterable[str], limit: int) -> str:
    """As many sentences as fit, each whole; the first is cut where even that does not fit."""
    chosen: list[str] = []
    left, misses = limit, 0
    for line in lines:
        count = cost(line)
        if count <= left:
            chosen.append(line)
            left -= count
        else:
            misses += 1
            if not chosen:
                return clip(_first_words(line, limit), limit * _WORD_CHARS)
        if left < 4 or misses > 20:
            break
    return " ".join(chosen)


def cost(line: str) -> int:
    """Words, as a limit of words means them; long ones, and scripts without spaces, count by their characters."""
    return max(len(line.split()), len(line) // _WORD_CHARS)


def extract(entries: Iterable[ShownEntry], limit_chars: int) -> str:
    """A compact extract of what users said, with the dates, for archival storage; "" where nothing tells anything."""
    scored = [
        (weight, at, f"[{entry.time[:10] or 'undated'}] user: {clip(sentence, 200)}")
        for at, entry in enumerate(entries)
        for sentence in sentences(entry.message[:_MESSAGE_CHARS])[:4]
        if (weight := worth(sentence)) > 0.5
    ]
    chosen: list[tuple[int, str]] = []
    room = limit_chars
    for _, at, line in sorted(scored, key=lambda s: (-round(s[0], 1), s[1])):  # the oldest leave the window first
        if len(line) < room and (at, line) not in chosen:
            chosen.append((at, line))
            room -= len(line) + 1
    return "\n".join(line for _, line in sorted(chosen))
