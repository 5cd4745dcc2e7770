"""Sets of the shape that agents have, made from LoCoMo and NQ: an unnamed user, long answers, corrections, echoes.

Rules. (1) Nothing is drawn at random: the same files give the same sets. (2) One speaker of a conversation of LoCoMo is
the user, who has no name and asks as I; the other is the assistant, two in three of whose answers are long: they begin
with the user's own words, go on with passages of NQ that share the most words with it, and end with what the user once
said that comes nearest. What the assistant said is asked for less than what the user did. (3) Half of the
conversations are for tuning. The others are kept aside, and so is the wording of what is put into them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from math import log
from pathlib import Path
from typing import Final

import msgspec

from bench.retrieval_sets import Conversation, Lookup, Question, Turn

LONG_EVERY: Final = 3
"""Two in three answers go on with passages."""
PASSAGES_ASKED: Final = 20
ASSISTANT_EVERY: Final = 4
RECALLED: Final = 40
"""So many of the user's last messages are looked through for one that comes near."""
ECHOED: Final = 16
"""So many questions of a conversation are asked and answered in it before they are asked here."""
MINUTE_MS: Final = 60_000
DAY_MS: Final = 1440 * MINUTE_MS

QUOTES: Final = (
    ("You told me: {fact}", "Yes. You said: {fact} Is there anything else?", "As you mentioned, {fact}"),
    ("From what you shared with me before: {fact}", "I do remember this. {fact}", "Earlier you wrote that: {fact}"),
)
NOTHINGS: Final = (
    ("I found nothing about that.", "I couldn't find anything about this in our past conversations."),
    ("I don't have any record of that, sorry.", "There is no mention of it in what we talked about, as far as I see."),
)
"""What an answer says before the fact is asked for here: for tuning, and kept aside."""

CORRECTED: Final = (
    """
    My favourite colour is blue. | No wait, it's green. | What is my favourite colour?
    The launch of the shop is on Tuesday. | Actually, make that Thursday. | When is the launch of the shop?
    I live in Warsaw. | I live in Gdansk now. | Where do I live?
    My flight leaves at 7:15. | Correction: it leaves at 8:40. | When does my flight leave?
    The budget for the garden is 2,000 euros. | The budget for the garden is 3,500 euros. | What is the garden budget?
    My doctor is called Weber. | Sorry, I meant Becker, not Weber. | What is my doctor's name?
    I have two cats. | I have three cats now. | How many cats do I have?
    I drink my coffee black. | I don't drink my coffee black anymore, I take milk. | How do I drink my coffee?""",
    """
    My locker code is 4410. | Oops, I mistyped that: 4401. | What is the code of my locker?
    The wedding is in June. | Scratch that, we moved it to July. | When is the wedding?
    I work at a bakery. | I work at a florist's these days. | Where do I work?
    My train is at noon. | On second thought I take the one at two. | When is my train?
    My goal is to run 20 km a week. | My goal is to run 35 km a week. | What is my running goal?
    Our new puppy is called Rex. | Let me correct myself, he is Max. | What is the puppy called?
    I own one bicycle. | I own two bicycles by now. | How many bicycles do I own?
    I eat meat. | I no longer eat meat. | Do I eat meat?""",
)

_WORD: Final = re.compile(r"[a-z]{3,}")
_THIRD: Final = {"his": "my", "her": "my", "hers": "mine", "he": "I", "she": "I", "him": "me"}
_AGREED: Final = ("does I", "do I"), ("is I", "am I"), ("has I", "have I"), ("Does I", "Do I"), ("Is I", "Am I")


class Line(msgspec.Struct, frozen=True):
    """A message: the user's, or else the assistant's."""

    user: bool
    text: str
    time_ms: int


class Asked(msgspec.Struct, frozen=True):
    """A question, the numbers of the lines that answer it, and of those that only echo it."""

    kind: str
    text: str
    evidence: frozenset[int]
    echoes: frozenset[int] = frozenset()


class Talk(msgspec.Struct, frozen=True):
    name: str
    aside: bool
    lines: list[Line]
    questions: list[Asked]


def talks(conversations: Sequence[Conversation], passages: Lookup) -> list[Talk]:
    """Each conversation twice: either speaker is the user once."""
    shelf, found = Passages(passages), list[Talk]()
    for number, conversation in enumerate(conversations):
        for user in sorted({turn.speaker for turn in conversation.turns}):
            found.append(_talk(conversation, user, shelf, aside=number % 2 == 1))
    return found


class Passages:
    """NQ's passages, to be found by the words that they share with a text."""

    def __init__(self, lookup: Lookup) -> None:
        self.texts = lookup.texts
        self.asked = {gold: question for question, gold in reversed(lookup.questions)}
        words = [set(_WORD.findall(text.lower())) for text in lookup.texts]
        often = Counter(word for each in words for word in each)
        self._weight = {word: log(len(words) / n) for word, n in often.items()}
        self._where: dict[str, list[int]] = {}
        for number, each in enumerate(words):
            for word in sorted(each):
                self._where.setdefault(word, []).append(number)

    def nearest(self, text: str, but: set[int]) -> list[int]:
        """The two that share the most with a text."""
        scores: Counter[int] = Counter()
        for word in sorted(set(_WORD.findall(text.lower()))):
            for number in self._where.get(word, ()):
                scores[number] += self._weight[word]  # type: ignore[assignment]
        ranked = sorted((-score, number) for number, score in scores.items() if number not in but)
        return [number for _, number in ranked[:2]]

    def likest(self, text: str, others: Sequence[str]) -> str:
        """The one of some texts that shares the most with a text ("": none shares anything)."""
        words = set(_WORD.findall(text.lower()))
        scored = [(self._shared(words, other), n) for n, other in enumerate(others)]
        best, at = max(scored, default=(0.0, 0))
        return others[at] if best else ""

    def _shared(self, words: set[str], text: str) -> float:
        return sum(self._weight.get(word, 0.0) for word in sorted(words & set(_WORD.findall(text.lower()))))


def _talk(conversation: Conversation, user: str, shelf: Passages, *, aside: bool) -> Talk:
    lines, at, placed = list[Line](), dict[tuple[int, int], int](), dict[int, int]()
    told, earlier = "", list[str]()
    for number, turn in enumerate(conversation.turns):
        mine = turn.speaker == user
        text = turn.text
        if mine:
            earlier, told = [*earlier, told], turn.text
        elif number % LONG_EVERY:
            near = shelf.nearest(f"{told} {text}", set(placed))
            placed.update((passage, len(lines)) for passage in near)
            again = shelf.likest(told, earlier[-RECALLED:])
            said = [f"You said: {told}"] * bool(told), [f"It fits what you told me before: {again}"] * bool(again)
            text = "\n\n".join([*said[0], text, *(shelf.texts[passage] for passage in near), *said[1]])
        at[turn.id] = len(lines)
        lines.append(Line(mine, text, turn.time_ms + number % 60 * MINUTE_MS // 2))
    asked = [_asked(question, user, conversation.turns, at) for question in conversation.questions]
    own = [each for each in asked if each is not None and each.kind != "assistant"]
    own += [each for each in asked if each is not None and each.kind == "assistant"][::ASSISTANT_EVERY]
    own += [Asked("answers", shelf.asked[p], frozenset([n])) for p, n in list(placed.items())[:PASSAGES_ASKED]]
    _echo(lines, own, aside=aside)
    _correct(lines, own, aside=aside)
    return Talk(f"{conversation.name} as {user}", aside, lines, own)


def _asked(question: Question, user: str, turns: Sequence[Turn], at: dict[tuple[int, int], int]) -> Asked | None:
    """A question of the pooled categories as the user asks it; None: of another kind."""
    if question.category == 5:
        return None
    other = next(turn.speaker for turn in turns if turn.speaker != user)
    kind = "user" if user in question.text else "assistant" if other in question.text else "neither"
    return Asked(kind, first_person(question.text, user, other), frozenset(at[turn] for turn in question.evidence))


def first_person(question: str, user: str, other: str) -> str:
    """What someone asks who is the user, of the one who is the other."""
    mine, text = user in question, question
    for name, whose, who in ((user, "my", "I"), (other, "your", "you")):
        text = re.sub(rf"\b{name}['\u2019]s?\b", whose, text)
        text = re.sub(rf"\b{name}\b", who, text)
    if mine and other not in question:
        text = re.sub(r"\b(?:his|hers?|s?he|him)\b", lambda found: _THIRD[found[0]], text)
    for wrong, right in _AGREED:
        text = text.replace(wrong, right)
    return text


def _echo(lines: list[Line], questions: list[Asked], *, aside: bool) -> None:
    """Some questions are asked in the conversation, later, and answered by a quote, or that nothing was found."""
    single = [n for n, each in enumerate(questions) if each.kind == "user" and len(each.evidence) == 1]
    chosen = single[:: max(1, len(single) // ECHOED)][:ECHOED]
    for nth, number in enumerate(chosen):
        each = questions[number]
        (fact,) = each.evidence
        if not lines[fact].user:
            continue
        echoes = list[int]()
        for again in range(2):
            echoes += [len(lines), len(lines) + 1]
            wording = (QUOTES if again else NOTHINGS)[aside]
            answer = wording[nth % len(wording)].format(fact=lines[fact].text)
            _append(lines, each.text, answer)
        questions[number] = Asked("echoed", each.text, each.evidence, frozenset(echoes))


def _correct(lines: list[Line], questions: list[Asked], *, aside: bool) -> None:
    """Facts that are corrected: at once, or some days later."""
    for nth, line in enumerate(CORRECTED[aside].strip().splitlines()):
        fact, correction, question = (part.strip() for part in line.split(" | "))
        first = len(lines)
        _append(lines, fact, "Thank you, I will keep that in mind.")
        if nth % 2:
            _append(lines, "Can you suggest a film for tonight?", "How about a comedy with the family?")
        second = len(lines)
        _append(lines, correction, "Understood.", days=nth % 2)
        questions.append(Asked("corrected", question, frozenset([first, second])))


def _append(lines: list[Line], said: str, answer: str, days: int = 1) -> None:
    when = lines[-1].time_ms + MINUTE_MS + days * DAY_MS
    lines += [Line(True, said, when), Line(False, answer, when + MINUTE_MS // 2)]


# --- languages --------------------------------------------------------------------------------------------------------

_LANGUAGES: Final = Path(__file__).with_name("languages.txt")
"""Small talks, written for this: "[language] what the assistant answers", then lines of "fact | question about it"."""


def languages(start_ms: int) -> Iterator[Talk]:
    """A conversation a language; of its questions the first half are for tuning, as a talk of their own."""
    for part in _LANGUAGES.read_text(encoding="utf-8").strip().split("\n\n"):
        head, *pairs = part.splitlines()
        name, _, reply = head.removeprefix("[").partition("] ")
        lines, asked = list[Line](), list[Asked]()
        for n, pair in enumerate(pairs):
            fact, _, question = pair.partition(" | ")
            when = start_ms + n * DAY_MS
            lines += [Line(True, fact, when), Line(False, reply, when + MINUTE_MS)]
            asked.append(Asked(name, question, frozenset([2 * n])))
        half = len(asked) // 2
        yield Talk(name, False, lines, asked[:half])
        yield Talk(name, True, lines, asked[half:])
