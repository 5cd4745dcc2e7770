# ruff: noqa: RUF001 (both forms of the apostrophe are matched, as users type them)
"""What a user states, as lines of core memory: clauses about the user, those who are theirs, and whom they name.

Rules. (1) A clause is a statement when it begins with a subject and a verb; all others stay in the conversation, where
they can be searched. (2) "he", "she" and "it" stand for what was named last. (3) A correction says what it corrects:
"no wait, it's green", "I meant at 5", "on Thursday, not Friday".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from palimpsest.actors.models.offline.asks import LEAD, is_question
from palimpsest.actors.models.offline.fold import (
    LINE_CHARS,
    RECOUNTS,
    Change,
    Topic,
    clean,
    corrects,
    swapped_in,
    valued,
)
from palimpsest.actors.models.offline.lines import NUMBER, VERBS, ends, parsed, third
from palimpsest.actors.models.offline.words import KIN, READ_CHARS, STOP, plain, sentences, vocabulary

_FACTS_PER_MESSAGE: Final = 12
_LINE_WORDS: Final = 18
_SENTENCES: Final = 100
_EARLIER: Final = 3
"""So many earlier messages are looked at for what a correction corrects."""
_I: Final = r"(?:i|we)(?:['’](?:m|ve|d|ll|re))?"
_SUBJECT: Final = rf"(?:{_I}|my|our|call me)\b"
_CLAUSE: Final = re.compile(
    rf"(?i)[;\n]+\s*|,?\s+(?:and|but|so)\s+(?=(?:now )?(?:{_SUBJECT}|(?:she|he|it)(?:['’]s| (?:is|was|has|\w+s|can))\b|"
    rf"[A-Z]\w+ (?:is|has|was|are)\b))|,\s+(?=(?:my|our|the) (?:new|current) |new [\w ]{{2,30}} is )"
    rf"|,?\s+(?:so|and)\s+(?=(?:(?:it|that)['’]s |now |there are )*{NUMBER} )|,?\s+so\s+(?=(?:{NUMBER})\W*$)"
    rf"|(?:,|(?<!said)(?<!says)(?<!wrote)(?<!asked):)\s+(?=(?:(?:so )?now )?(?:{_SUBJECT}|(?:she|he|it)['’]s\b))"
    r"|\s+[-–—]+\s+(?=(?:i|my)\b)|,?\s+(?=(?:sorry|no wait|wait no|no),? \w+(?: \w+)?$)"
)
_LAZY: Final = (
    (re.compile(r"\b[iI]m\b"), "I'm"), (re.compile(r"\b([HhSs]?[Hh]e|[Tt]hat)s\b"), r"\1's"),
    (re.compile(r"\b[iI]ve\b"), "I've"), (re.compile(r"\b([Ww]e|[Tt]hey) r\b"), r"\1 are"),
    (re.compile(r"\b(do|does|did|ca|wo|is|are|was)nt\b", re.I), r"\1n't"), (re.compile(r"\bi\b(?!\.)"), "I"),
)  # fmt: skip
_VAGUE_VERBS: Final = vocabulary(
    """think guess hope suppose mean wonder bet see agree understand feel forgot wish believe know said told ask asked
    thought meant say doubt remember would could should might may"""
)
_VAGUE: Final = vocabulary("it that this you them these those what how when your him her so")
_STATES: Final = re.compile(
    r"(?:married|engaged|single|divorced|widowed|vegetarian|vegan|retired|pregnant|diabetic|left-handed"
    r"|colou?r[- ]blind|deaf|blind|adopted|bilingual|self-employed|unemployed|[A-Z][a-z]+(?:ese|ian|ish|an|ch))$"
)
_NOT_KEYS: Final = vocabulary(
    """guess question point bad god goodness day problem opinion understanding intention plan idea fault pleasure
    mistake hope dream turn way apologies message sentence turn"""
)
_NOT_NAMES: Final = STOP | vocabulary(
    """there here thanks everybody everyone nobody somebody half nice nothing everything someone something dinner let
    story message"""
)
_INTRODUCED: Final = re.compile(
    r"(?i)(?:(?:I['’]m|I am|this is)(?: called| named)?|my (?:full |first |real )?name(?:['’]s| is)(?: now| actually)?)"
    r" ((?:(?:Dr|Mr|Mrs|Ms|Prof)\. )?[A-Za-z][\w'’-]*(?: [A-Z][\w'’-]*){0,3})(?:$|,| here| speaking| but| and)"
)
_HERE: Final = re.compile(r"([A-Z][\w'’-]+) here$")
_NICK: Final = re.compile(
    r"(?i)(?:you (?:can|may|should) )?call me ([A-Z][\w'’-]+(?: [A-Z][\w'’-]+)*|[\w'’-]+$)(?=$|,| or\b)"
    r"|(?:but )?every(?:one|body) (?:says|calls me) (\w+)$"
)
_PERSONA: Final = re.compile(
    r"(?is)(?:your (?:new )?name(?:['’]s| is| shall be| will be)(?: now)?|you(?:['’]re| are| will be| shall be)"
    r"(?: now)? (?:called|named)|call yourself|i(?:['’]ll| will)(?: now)? call you) (.+)"
)
_REMEMBER: Final = re.compile(
    r"(?is)(?:remember|don['’]t forget|do not forget|memori[sz]e|note down|keep in mind)(?: that| this)?[:,]?\s+(.+)"
)
_NOT_NATIONAL: Final = vocabulary(
    "crazy back later when if at tomorrow a an the today tonight in ok okay fine here sorry"
)
_SHARED: Final = re.compile(
    r"(\b(?:I|[Ww]e)(?:['’]\w+)?(?: [^\s,]+){1,7}),? and (?=(?:now )?(?:live|work|have|speak|play|drive|teach|come"
    r"|study|own|love|like|hate|am)\b)"
)
"""Two statements with one subject: "I'm 34 and live in Bristol"."""
_ELLIPSIS: Final = re.compile(
    r"(?i)^(?=(?:fav(?:e|ou?rite)?|name|birthday|phone|email|address|age|height|weight|job|hobby|hobbies|blood type"
    r"|shoe size|wife|husband|boss)(?:['’]s| (?:\w+ )?(?:is|are)\b))"
)
_UNSAID: Final = re.compile(
    r"^(?=(?:started|got|bought|took|found|met|finished|booked|moved|sold|quit|lost|joined|left|broke|adopted|went|had"
    r"|visited|passed|married|became|live|work|used to|worked) \w)",
    re.I,
)
"""Statements that leave out "my" and "I"."""
_NOTED: Final = re.compile(r"^([\w ]{3,40}): (?=\S)")
_INVERTED: Final = re.compile(r"^(.{2,40}?)(?:['’]s| is) ((?:my|our) favou?rite [\w ]+)$", re.I)
_NEW: Final = re.compile(r"^(?:(?:my|our|the) )?(?:new|current|actual) (?=[\w ]+(?: is|[’']s)\b)", re.I)
_BEGUN: Final = re.compile(
    r"(?i)((?:before|after|since|until|in|on|at|during|when|while|as) (?:[\w'’-]+ ?){1,5}?),? (?=(?:I|we|my"
    r"|our)\b)(?!I ['’])(.+)$"
)
"""A statement that begins with when or where."""
_NAMED: Final = re.compile(
    rf"(?:(?:(?:Dr|Mr|Mrs|Ms)\. )?[A-Z][\w'’-]*(?: (?:and )?[A-Z][\w'’-]*){{0,3}}|[^\W\d]\w*"
    rf"|\w+ \d+)(?:['’]s)? {VERBS} \w"
    r"|(?:(?:Dr|Mr|Mrs|Ms)\. )?[A-Z]\w+(?: [A-Z]\w*){0,2} [a-z]{2,}s \w"
    rf"|[\w-]+['’]s [\w ]{{2,30}} (?:is|are) \w"
)
_OURS: Final = re.compile(rf"(?:my|our) (?:[\w'’.-]+ ){{0,5}}?[\w'’.-]+(?:['’]s| {VERBS}) \S", re.I)
_MINE: Final = re.compile(
    r"(?is)(?:i|we)(?:['’](?:m|ve|d|ll|re))?(?: (?:just|recently|now|finally|really|also|still|always|never|usually"
    r"|currently))* (?P<verb>\S+)(?: (?P<rest>.+))?$"
)
_PASSING: Final = re.compile(r"(?:sure|sorry|afraid|glad|happy to|here|back|going to (?!the\b|[A-Z])|not sure|on my)\b")


class Fact(msgspec.Struct, frozen=True):
    """A change to the block `block`: human or persona."""

    change: Change
    block: str = "human"

    @property
    def line(self) -> str:
        return self.change.line


def facts_in(text: str, earlier: Sequence[str] = ()) -> tuple[Fact, ...]:
    """The facts that a message states, in its order. Questions state none. `earlier`: what was said before, the
    latest first, for what it leaves unsaid."""
    found: list[Fact] = []
    topic = Topic(lambda: _last_of(earlier))
    for sentence in _stated(text):
        wrong = False
        for clause in _clauses(sentence):
            wrong = wrong or corrects(clause)
            found += _facts(clause, topic, wrong=wrong)
        if len(found) >= _FACTS_PER_MESSAGE:
            break
    return tuple(found[:_FACTS_PER_MESSAGE])


def _stated(text: str) -> list[str]:
    """The sentences of a message that do not ask, with the apostrophes and capitals of English; one that leaves out
    its subject goes on with the one before."""
    found: list[str] = []
    for sentence in sentences(text[:READ_CHARS])[:_SENTENCES]:
        if not is_question(sentence):
            for pattern, word in _LAZY:
                sentence = pattern.sub(word, sentence)  # noqa: PLW2901 (one word after the other)
            if found and (ends(found[-1]) or re.search(r"\bmoving\W*$", found[-1])) and _UNSAID.match(sentence):
                found[-1] = f"{found[-1].rstrip(' .!')}, {sentence[0].lower()}{sentence[1:]}"
            else:
                found.append(sentence)
    return found


def _last_of(earlier: Sequence[str]) -> str:
    """The last statement of the message before, be it one that core memory keeps or not."""
    facts = facts_in(earlier[0], earlier[1:_EARLIER]) if earlier else ()
    told = _stated(earlier[0]) if earlier else []
    return facts[-1].line if facts else third(clean(LEAD.sub("", told[-1], count=1))) if told else ""


def states(text: str) -> bool:
    """Whether a message states what core memory keeps."""
    return any(not fact.change.only for fact in facts_in(text))


def _clauses(sentence: str) -> list[str]:
    shared = _SHARED.sub(r"\1. I ", sentence)
    if shared != sentence:
        return [clause for part in sentences(shared) for clause in _clauses(part)]
    if "instead" in sentence or _REMEMBER.match(LEAD.sub("", sentence, count=1)):
        return [sentence]
    found: list[str] = []
    for clause in filter(None, _CLAUSE.split(sentence)):
        if found and re.search(r" them\b| it$", clause, re.I):
            found[-1] += f", {clause}"  # it says nothing without what it speaks of
        else:
            found.append(clause)
    return found


def _facts(clause: str, topic: Topic, *, wrong: bool) -> Iterator[Fact]:
    """The facts of a clause; `wrong`: its sentence says that something else never held."""
    bare = LEAD.sub("", clause, count=1)
    persona = _PERSONA.match(bare)
    if persona:
        name = clean(persona[1])
        if 0 < len(name.split()) <= 4:
            yield Fact(Change(f"My name is {name}.", mistaken=True), "persona")
        return
    change = swapped_in(clean(bare)) or (topic.corrected(clean(bare)) if wrong else None)
    if change and change.new and len(change.line.split()) <= 3 and change.old in topic.last():
        change = replace(change, line=topic.last())  # "not Mondays, Fridays"
    if change:
        topic.line = change.line
        yield Fact(change)
        return
    begun = _BEGUN.match(bare)
    lines = _lines(f"{clean(begun[2])} {begun[1][0].lower()}{begun[1][1:]}" if begun else topic.resolved(bare))
    renewed = bool(_NEW.match(bare)) and "actual" not in bare
    for line in (kept := list(lines)):
        yield Fact(topic.told(Change(line, wrong and not ends(line) and " now" not in clause, renewed=renewed)))
    told = third(_NOTED.sub(r"\1 is ", clean(bare)))
    another = (known := parsed(told)) and not known["who"].startswith(("They", "Their"))
    if not kept and not KIN.isdisjoint(told.lower().split()):
        topic.line = told  # "he" is none of whom was named before
    if not kept and (another or RECOUNTS.match(told)):
        yield Fact(topic.told(Change(told, mistaken=wrong, only=True)))


def _lines(clause: str) -> Iterator[str]:
    """A clause as lines; none where it states nothing that would last."""
    remember = _REMEMBER.match(clause)
    if remember:
        yield from _noted(remember[1])
        return
    clause = f"I {clause[:1].lower()}{clause[1:]}" if _UNSAID.match(clause) else clause
    clause = _NEW.sub("my ", _ELLIPSIS.sub("my ", clause))
    nick = _NICK.match(clean(clause))
    if nick and (nick[1] or nick[2]).split()[0].lower() not in _NOT_NATIONAL:
        yield f"Likes to be called {nick[1] or nick[2]}."
        return
    name = _INTRODUCED.match(clean(clause)) or _HERE.match(clean(clause))
    if name and _is_name(name[1], given="name" in clause[:20].lower()):
        yield f"Name: {name[1]}."
        alias = re.match(r",? but (.+)", clean(clause)[name.end(1) :])
        yield from _lines(alias[1]) if alias else ()
        return
    said = _INVERTED.sub(r"\2 is \1", clean(clause))
    if not said or len(said) >= LINE_CHARS or len(said.split()) > _LINE_WORDS:
        return
    aged = re.fullmatch(r"(?:I['’]m|I am)(?: now)? (\d{1,3})(?: years old| years of age)?", said)
    if aged:
        yield f"They are {aged[1]} years old."
    elif _of_mine(said) or (_OURS.match(said) and said.lower().split()[1] not in _NOT_KEYS) or _of_named(said):
        yield re.sub(r"^(They|Their [\w ]{2,40}? (?:is|are)) now ", r"\1 ", third(said))


def _is_name(name: str, *, given: bool) -> bool:
    first = name.split(maxsplit=1)[0]
    lasting = not _STATES.match(first) and first.lower() not in _NOT_NATIONAL | _NOT_NAMES
    return lasting and (given or all(part[0].isupper() for part in name.split()))


def _of_mine(said: str) -> bool:
    match = _MINE.match(said)
    if match is None:
        return False
    verb, rest = match["verb"].lower(), match["rest"] or ""
    if re.match(r"(?:i|we)(?:['’](?:m|re)| am| are)\b", said, re.I):
        value = re.sub(r"(?i)^(?:i|we)(?:['’](?:m|re)| am| are)\s+(?:(?:so|very|really|just|now)\s+)*", "", said)
        return bool(_STATES.match(value)) or (len(value.split()) > 1 and not _PASSING.match(value))
    first = rest.partition(" ")[0].lower().strip(",.")
    if (verb in ("have", "need") and first == "to") or (verb == "will" and not valued(rest)):
        return False
    return verb not in _VAGUE_VERBS and bool(rest) and (verb == "used" or first not in _VAGUE)


def _of_named(said: str) -> bool:
    return bool(_NAMED.match(said)) and re.split(r"[\s'’]", said, maxsplit=1)[0].lower() not in _NOT_NAMES


def _noted(said: str) -> Iterator[str]:
    inner = tuple(_lines(said.strip()))
    value = clean(said)
    if inner:
        yield from inner
    elif len(value) >= 3 and plain(value) not in {"me", "this", "that", "it", "to", "everything"}:
        yield f"Note: {value[0].upper()}{value[1:]}."
