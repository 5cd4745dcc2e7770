# ruff: noqa: RUF001 (both forms of the apostrophe are matched, as users type them)
"""A question read once: what it turns on, what an answer to it looks like, and how well a sentence fits.

Rules. (1) A sentence shares the question's content words, weighed, and every required one. (2) What is to be a time, a
number or an age has to have one. (3) What was is told when what was is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Final

import msgspec

from palimpsest.actors.models.offline.fold import counted, valued
from palimpsest.actors.models.offline.lines import NUMBER, VALUES, content, ends, parsed
from palimpsest.actors.models.offline.words import KIN, STOP, WORK, Term, alike, clip, stem, stems, terms, words

STRONG: Final = 0.6
WEAK: Final = 0.48
SHAPE_BONUS: Final = 0.15
_DAYS: Final = (
    r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)days?|(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*)\b"
)
_SPAN: Final = r"(?:second|minute|min|hour|day|week|month|year|mile|metre|meter|inche)s?|m|cm|km|feet|foot"
_KINDS: Final = tuple(
    (kind, re.compile(asked, re.I), re.compile(answer) if kind in ("who", "name") else re.compile(answer, re.I))
    for kind, asked, answer in (
        ("work", WORK.pattern, r"\b(?:is|am|are|was|be|as|['’]m) (?:an? |the )|\b(?:works?|teach|teaches|stud\w+|runs?"
         r"|retired|owns?|job|ph\.?d|degree|apprentice\w*|trains?|training|sells?|fix(?:es)?|drives?)\b"
         r"|\bdoin(?:g|['’])? (?:an?|her|his|my|their) |\b(?:is|are) in the |\b(?:school|college|uni(?:versity)?)\b"),
        ("hours", r"\bhours\b(?<!many hours)", rf"(?:{NUMBER})(?::\d\d)?(?: ?[ap]\.?m\.?)?(?: ?[-–] ?"
         rf"| (?:to|till?|until) )(?:{NUMBER}|noon|midnight)|\d ?[ap]m\b|\d:\d\d"),
        ("sort", r"\bwhat (?:kind|sort|type|breed)\b", r"\b(?:is|are|was|have|has|drive|own)s? an? "),
        ("colour", r"\bwhat colou?r\b", r"\b(?:red|blue|green|yellow|black|white|gr[ea]y|brown|orange|purple|pink"
         r"|silver|golden|beige|turquoise)\b"),
        ("old", r"\bhow old\b|\b(?:['’]s|my) age\b", r"years? old|\(\d{1,3}\)|\w, \d{1,2}(?=[,.]| and |$)"
         r"|(?:\b(?:is|am|are|turns?|turned|was|im"
         rf"|hes|shes)|['’](?:s|m))(?: now| only)? (?:{NUMBER})(?![:.,]?\d)|\bborn\b"),
        ("often", r"\bhow often\b|\bhow many times\b", r"\b(?:once|twice|times|every|daily|weekly|monthly|yearly|each"
         rf"|always|never|only on|an? (?:day|week|month|year))\b|\bon {_DAYS}"),
        ("when", r"\bwhen\b|\b(?:what|which) (?:time|day|date|month|year)\b", rf"\d|\b{_DAYS}"
          rf"|\b(?:at|past|to|by|from|around|about) (?:{NUMBER})|\b(?:noon|midnight"
         r"|morning|evening|night|weekend|tomorrow|today|yesterday|next|early|late|soon|every|before|after|end"
         r"|beginning|years?|months?|weeks?|hours?|until|during|if|when|spring|summer|autumn|winter|christmas|easter)\b"),
        ("long", r"\bhow long\b", rf"(?:{NUMBER})(?:-\w+)? ?(?:{_SPAN})\b|\b(?:until|since)\b|\bfor (?:years|ages)\b"),
        ("many", r"\bhow many\b", NUMBER),
        ("much", r"\bhow (?:much|far|tall|big|heavy)\b|\bwhat (?:do|did|does|is|are|was) .* (?:cost|charge|pay|earn"
         r"|weigh|owe)\b", NUMBER),
        ("where", r"\bwhere\b|\b(?:in|at) (?:which|what)\b", r"\b(?:in|at|on|to|from|under|above|below|behind|opposite"
         r"|between|near|inside|by|with|next)\b"),
        ("who", r"\bwho(?:se|m)?\b", r"(?:.[ “(])[A-Z][a-z]|^(?!They|Their|The|I\b|My|Our|We|You)[A-Z]|\b(?:my|our"
         r"|their|user['’]s|your) \w"),
        ("name", r"\b(?:called|named|names?)\b", r"(?<!^)\b[A-Z]\w"),
        ("why", r"\bwhy\b|\bhow come\b", r"\b(?:because|since|due to|so|as|reason|cos|cause|cuz|bc|thanks to)\b"),
        ("what", r"\bwh|\bhow\b", r"\b(?:is|are|was|were|called|named)\b|['’]s\b|[:=]"),
    )
)  # fmt: skip
"""What is asked for, and what an answer to it looks like."""
_NOBODY: Final = STOP - {"he", "she"}
NUMBERED: Final = re.compile(NUMBER, re.I)
_SPANS: Final = re.compile(rf"(?:{NUMBER})(?:-| )?(?:{_SPAN}|weekends?|nights?|yrs?)\b", re.I)
_YEAR: Final = re.compile(r"\b(?:19|20)\d\d\b")
HARD: Final = ("work", "hours", "colour", "old", "often", "when", "long", "many", "much")
"""What does not look like an answer to these is none."""
_PAST: Final = re.compile(
    r"(?i)\b(?:before|previous(?:ly)?|used to|former(?:ly)?|earlier|in the past|at first|originally|ex|my old|our old"
    r"|the old)\b"
)
_WAS: Final = re.compile(
    r"(?i)\b(?:used to|before|previous(?:ly)?|former(?:ly)?|(?:my|our|their|the|your) old|lived|moved from|until"
    r"|originally|once|ex)\b"
)
_BEFORE: Final = re.compile(r"\bbefore (?:(?:that|then|this)\b|(.+))", re.I)
_ASKS_AGENT: Final = re.compile(
    r"\b(?:did|have|what) you(?:['’]ve)? (?:just )?(?:s[ae]|t[eo]l|recommend|suggest|promis|answer|repl)", re.I
)
_ASKS_ALL: Final = re.compile(
    r"(?i)\b(?:everything|all (?:that|the things|my|our)|what (?:did|have) (?:i|we) .*\b(?:about|of|regarding)\b"
    r"|what (?:else )?do (?:you|i) (?:still )?(?:know|remember) (?:about|of))|^\W*(?:please )?(?:list|summari[sz]e"
    r"|recap|tell me (?:more )?about|what about)\b"
)
_BY_USER: Final = re.compile(r"\b(?:do|did|am|was|have|had|can|should|will|are|were) (?:i|we)\b", re.I)
_OTHERS: Final = re.compile(r"(?:my|our|their|your) ((?:[\w-]+(?:['’]s)? ){1,3})|([A-Z]\w+)(?:['’]s)? ", re.I)
_OF_USER: Final = re.compile(r"\b(?:i|my|me|we|our|us|mine|i['’]m)\b", re.I)


class Question(msgspec.Struct, frozen=True):
    """A question read once: its terms, and what sort of answer it wants."""

    text: str
    terms: tuple[Term, ...]
    kind: str = ""
    of_agent: bool = False
    of_user: bool = False
    by_user: bool = False
    wants_all: bool = False
    past: bool = False
    """What was before is asked for; `after`: before what."""
    after: str = ""
    pairs: tuple[tuple[Term, Term], ...] = ()
    """A word and the number right after it ("room 12"): the number counts only beside that word."""

    @property
    def query(self) -> str:
        """Key words for a search."""
        return clip(" ".join(t.word for t in self.terms) or self.text, 200)

    @property
    def job(self) -> bool:
        """Whether it asks for the user's own job, and for nothing else."""
        asked = ["work" if "work" in t.near else t.stem for t in self.terms if t.weight > 0.3]
        return self.of_user and asked in (["work"], [] if self.kind == "work" else ["work"])

    def gains(self, sentence: str) -> bool:
        """Whether a sentence has more than the question's words: "I bought the truck" does not say which."""
        return not content(sentence) <= {alike(t.stem) for t in self.terms}

    def fits(self, sentence: str) -> bool:
        """Whether a sentence looks like an answer."""
        if self.kind in ("many", "much"):  # a number, and no time, date or year, nor a span of others
            timed = self.kind == "much" or any(_SPANS.fullmatch(f"1 {t.word}") for t in self.terms)
            for value in (*VALUES[:2], _YEAR, *([] if timed else [_SPANS])):
                sentence = value.sub(" ", sentence)
        return any(kind == self.kind and answer.search(sentence) for kind, _, answer in _KINDS)


def read_question(text: str, names: Mapping[str, frozenset[str]] | None = None) -> Question:
    """`names`: by which other names somebody goes."""
    found = terms(text, names or {})
    past, before = bool(_PAST.search(text)), _BEFORE.search(text)
    told = [word for word in words((before[1] or "").lower()) if word not in STOP] if before else []
    after = stem(told[-1]) if told else ""
    if past:
        held = [t for t in found if t.word not in ("old", "first", "ex", "former", "used")]
        later = stems(text[before.start() :]) if before else frozenset[str]()
        found = tuple(msgspec.structs.replace(t, weight=0.3, required=False) if t.stem in later else t for t in held)
    return Question(
        text=text,
        terms=found,
        kind=next((kind for kind, asked, _ in _KINDS if asked.search(text)), ""),
        of_agent=bool(_ASKS_AGENT.search(text)),
        of_user=bool(_OF_USER.search(text)),
        by_user=bool(_BY_USER.search(text)),
        wants_all=bool(_ASKS_ALL.search(text)),
        past=past,
        after=after,
        pairs=tuple((a, b) for a, b in pairwise(found) if b.word.isdigit() and f"{a.word} {b.word}" in text.lower()),
    )


def coverage(question: Question, held: frozenset[str]) -> float:
    """The weighed share of the question's terms that are among the stems; 0 where a required one is not."""
    total = found = 0.0
    for t in question.terms:
        share = t.found(held)
        total += t.weight
        found += t.weight * share
        if t.required and not share:
            return 0.0
    return found / total if total else 0.0


def fitness(question: Question, sentence: str) -> float:
    """What the form of a sentence adds to its score: whether it looks like an answer, of now or of then."""
    score = 0.0
    if question.kind:
        loose = question.kind == "what"
        score = (0.03 if loose else SHAPE_BONUS) if question.fits(sentence) else 0.0 if loose else -0.2
    if question.kind == "many" and any(t.found(counted(sentence)) for t in question.terms):
        score += 0.12
    if question.kind == "many" and ends(sentence) and valued(sentence):
        score -= 0.3  # so many are gone
    known = parsed(sentence) if question.kind == "who" else None
    if known and any(t.weight >= 1 and t.found(stems(known["who"])) for t in question.terms):
        score += 0.12
    if of_other(question, sentence):
        score -= 0.4
    was = bool(_WAS.search(sentence))
    return score + (0.2 if was else -0.4) if question.past else score - 0.1 * was


def of_other(question: Question, sentence: str) -> bool:
    """Whether a sentence is about somebody else than the question, which is about the user."""
    match = _OTHERS.match(sentence)
    if match is None or not (question.of_user if match[1] else question.by_user):
        return False
    named = match[2] and match[2][0].isupper() and match[2].lower() not in _NOBODY and not NUMBERED.match(match[2])
    whose = [word for word in words((match[1] or match[2]).lower()) if named or word in KIN]
    return bool(whose) and not any(t.found(stems(" ".join(whose))) for t in question.terms)


def is_strong(question: Question, share: float, sentence: str) -> bool:
    """Whether a sentence answers, rather than only having some of the words."""
    fits = question.fits(sentence)
    told = _BEFORE.search(sentence) if question.after else None
    if told and told[1] and question.after in stems(told[1]):
        return share >= WEAK or question.job
    if question.kind and not (question.wants_all or ends(sentence) or question.gains(sentence)):
        return False
    if question.kind in HARD and not (fits or ends(sentence)):
        return False
    if (question.past and not _WAS.search(sentence)) or (len(question.terms) == 1 and of_other(question, sentence)):
        return False
    return share >= STRONG or (share >= WEAK and fits and question.kind != "what")
