# ruff: noqa: RUF001 (both forms of the apostrophe are matched, as users type them)
"""The facts grammar: what a user states, as one canonical line a fact that can be matched again.

Two rules. A clause is matched from its beginning, by the patterns of its first word alone. What does not parse is no
fact: it stays in the conversation, where it can be searched.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec

from actors.models.offline_lines import KIN, THINGS, slot_of
from actors.models.offline_words import READ_CHARS, plain, sentences, vocabulary

VALUE_CHARS: Final = 160
_FACTS_PER_MESSAGE: Final = 12
_SENTENCES: Final = 100


class Fact(msgspec.Struct, frozen=True):
    """`line` as it is kept; `block`: human or persona. `corrects`: the user said that something else does not hold.

    With `forget`, `line` is not to be kept: what it says is to be removed.
    """

    line: str
    block: str = "human"
    corrects: bool = False
    forget: bool = False


_CLAUSE: Final = re.compile(
    r"[;\n]+\s*|(?<=[^,]),?\s+(?:and|but|so)\s+(?=(?:i|i['’]m|i['’]ve|my|call me|you can call|your name|we)\b)"
    r"|(?:,|(?<!said)(?<!says)(?<!wrote)(?<!asked):)\s+(?=(?:(?:so )?now )?(?:i|i['’]m|i['’]ve|my|call me)\b)"
    r"|\s+[-–—]+\s+(?=(?:i|my)\b)",
    re.I,
)
_LEAD: Final = re.compile(
    r"\A(?:(?:hi|hello|hey|hey there|hi there|well|oh|ok|okay|actually|no|nope|by the way|btw|so|also|and|but|yes|yeah"
    r"|please|fyi|just so you know|sorry|wait|correction|now|in fact|good (?:morning|afternoon|evening)|from now on"
    r"|these days|currently|nowadays|as of (?:today|now)|i mean|for the record|you should know(?: that)?|again"
    r"|(?:can|could|would|will) you(?: please)?|i(?: just)? want(?:ed)? (?:to tell you|you to know)(?: that)?"
    r"|(?:please )?(?:note|know|write down|keep in mind)(?: that)?)\b[\s,:!.–—-]*)+",
    re.I,
)
_CORRECTS: Final = re.compile(r"\b(?:actually|no|nope|correction|now|sorry|wait|instead|i mean|nowadays)\b", re.I)
_TAIL: Final = re.compile(
    r"(?:,?\s+(?:(?:last|this) (?:year|month|week|spring|summer|autumn|fall|winter)|(?:a|two|three) \w+ ago|yesterday"
    r"|today|recently|now|nowadays|these days|by the way|btw|please|though|actually|instead|too|as well|at the moment"
    r"|currently|again|anymore|any more|thanks|thank you|not \w+))+$|,?\s+(?:not|because|since|which|so that)\s.*$",
    re.I,
)
_QUESTION: Final = re.compile(
    r"(?:what|where|when|who|whom|whose|which|how|why)(?:['’]s|['’]re|['’]d)?\s+(?:\w+\s+){0,2}"
    r"(?:is|are|was|were|do|does|did|am|can|could|will|would|should|have|has|had)\b"
    r"|(?:what|where|when|who|how)['’]s\b|(?:do|did|does|have|has|can|could|am|are|is|was|were)\s+(?:i|you|we|my|the)\b"
    r"|(?:please\s+)?(?:tell me|remind me) (?:what|where|when|who|which|how|why|about)\b|any idea\b",
    re.I,
)
_REQUEST: Final = re.compile(
    r"(?:please\s+|(?:can|could|would|will) you (?:please )?)?"
    r"(?:remember|don['’]t forget|do not forget|note|call me|call yourself|remind|forget|cancel|set|delete|wake)\b",
    re.I,
)


def is_question(sentence: str) -> bool:
    """Whether a sentence asks; a request that is put as a question does not."""
    asks = sentence.rstrip("\"'”’ )")[-1:] in ("?", "？", "؟")
    bare = _LEAD.sub("", sentence, count=1) if _LEAD.match(sentence) else sentence
    if _REQUEST.match(bare) and not _QUESTION.match(bare):
        return False
    return asks or bool(_QUESTION.match(bare))


# --- the grammar ------------------------------------------------------------------------------------------------

Builder = Callable[[re.Match[str]], tuple[str, ...]]
_IM = r"i(?:['’]m| am)(?: still| now| also| currently| originally| really)*"
_IVE = r"(?:i|we)(?:['’]ve| have)?(?: just| recently| now| finally)*"
_ADVERBS = r"(?: really| also| still| do| now| absolutely| always| currently| actually| just| would| generally)*"


def _one(template: str) -> Builder:
    """A builder of one line from the pattern's first group."""

    def build(match: re.Match[str]) -> tuple[str, ...]:
        value = clean(match[1])
        return (template.format(value),) if value else ()

    return build


def _name(match: re.Match[str]) -> tuple[str, ...]:
    name = clean(match[1]).partition(",")[0]
    return (f"Name: {name}.",) if 0 < len(name.split()) <= 4 and len(name) <= 40 else ()


def _nick(match: re.Match[str]) -> tuple[str, ...]:
    name = clean(match[1]).partition(",")[0]
    busy = {"back", "later", "when", "if", "at", "tomorrow", "a", "an", "the", "crazy", "today", "tonight", "in"}
    good = 0 < len(name.split()) <= 3 and len(name) <= 40 and name.split()[0].lower() not in busy
    return (f"Likes to be called {name}.",) if good else ()


_NOT_NAMES: Final = vocabulary(
    """ok okay fine here back sorry norwegian swedish danish finnish german french italian spanish english british
    irish scottish welsh american canadian australian dutch belgian swiss austrian polish czech russian
    ukrainian greek turkish indian chinese japanese korean brazilian mexican african european asian portuguese
    hungarian romanian christian muslim jewish hindu buddhist catholic monday tuesday wednesday thursday friday
    saturday sunday"""
)


def _introduced(match: re.Match[str]) -> tuple[str, ...]:
    """ "I'm Sam": a name only where it is written as one."""
    name = clean(match[1])
    parts = name.split()
    if not parts or len(parts) > 3 or not all(p[0].isupper() and (len(p) == 1 or not p.isupper()) for p in parts):
        return ()
    low = parts[0].lower()
    if low in _NOT_NAMES:
        return (f"Is {name}.",) if low not in ("ok", "okay", "fine", "here", "back", "sorry") else ()
    return (f"Name: {name}.",)


def _work_as(match: re.Match[str]) -> tuple[str, ...]:
    role, place = clean(match[1]), clean(match[2] or "")
    return tuple(line for line in (role and f"Works as {role}.", place and f"Works at {place}.") if line)


_VERBS: Final = {
    "like": "Likes", "love": "Loves", "adore": "Loves", "enjoy": "Enjoys", "hate": "Hates", "detest": "Hates",
    "dislike": "Dislikes", "prefer": "Prefers", "can't stand": "Hates", "cannot stand": "Hates",
    "don't like": "Dislikes", "do not like": "Dislikes", "speak": "Speaks", "study": "Studies", "play": "Plays",
    "drive": "Drives",
}  # fmt: skip
_VAGUE: Final = vocabulary("it that this you them these those what how when to your him her")


def _verb(match: re.Match[str]) -> tuple[str, ...]:
    verb, value = _VERBS.get(match[1].lower().replace("’", "'")), clean(match[2])
    if not verb or not value or value.split()[0].lower() in _VAGUE:
        return ()
    return (f"{verb} {value}.",)


def _abstains(match: re.Match[str]) -> tuple[str, ...]:
    value = clean(match[2])
    return (f"Does not {match[1].lower()} {value}.",) if value and value.split()[0].lower() not in _VAGUE else ()


def _has(match: re.Match[str]) -> tuple[str, ...]:
    value = clean(match[1])
    known = {word.strip(",.").lower() for word in value.split()[:5]}
    named = re.search(r"\b(?:called|named)\s+\w", value, re.I)
    if value.lower().startswith("moved"):
        return ()
    return (f"Has {value}.",) if named or known & (KIN | THINGS) else ()


_ATTRIBUTES: Final = vocabulary(
    """name birthday birthdate anniversary age address email mail phone number telephone password pin code job
    employer school university hometown size blood type nationality language hobby username plate colour color
    time zone timezone appointment favourite favorite"""
)
_NOT_KEYS: Final = vocabulary(
    """guess question point bad god goodness day problem opinion understanding intention plan idea fault pleasure
    mistake hope dream life turn way apologies message sentence"""
)


def _mine(match: re.Match[str]) -> tuple[str, ...]:
    """ "My sister's birthday is 3 May" and its like."""
    key = re.sub(r"^(?:new|current|own|full|actual|real)\s+", "", " ".join(match[1].split()), flags=re.I)
    return _owned(key, match[2])


def _owned(key: str, raw: str) -> tuple[str, ...]:
    called = re.match(r"(?:called|named)\s+(.+)", raw, re.I | re.S)
    value = clean(called[1] if called else raw)
    if not value or not key:
        return ()
    head, last = key.partition(" ")[0].lower(), key.rpartition(" ")[2].lower()
    if head in _NOT_KEYS or last in _NOT_KEYS:
        return ()
    if key.lower() == "name":
        return (f"Name: {value}.",) if len(value.split()) <= 4 and len(value) <= 40 else ()
    shown = key[0].upper() + key[1:]
    if called or (last in KIN and _is_name(value)):
        return (f"{_of(shown)} name: {value}.",)
    if head in _ATTRIBUTES or last in _ATTRIBUTES or "'s " in key or "’s " in key or value[0].isdigit():
        return (f"{shown}: {value}.",)
    if _is_name(value):
        return (f"{shown}: {value}.",)
    moving = value.split()[0].lower().endswith("ing") or len(value.split()) > 14
    return () if moving else (f"{shown} is {value}.",)


def _of(key: str) -> str:
    return f"{key}'" if key.endswith("s") else f"{key}'s"


def _is_name(value: str) -> bool:
    parts = value.split()
    return (
        len(parts) <= 4
        and all(part[0].isupper() or part == "and" for part in parts)
        and parts[0].lower() not in _NOT_NAMES
    )


def _anyones(match: re.Match[str]) -> tuple[str, ...]:
    """ "Anna's birthday is 3 May": only with an attribute that is known, so that "Bob's here" is no fact."""
    known = match[1][0].isupper() and match[1].split()[-1].lower() in _ATTRIBUTES
    return _owned(match[1], match[2]) if known else ()


def _note(match: re.Match[str]) -> tuple[str, ...]:
    said = match[1].strip()
    inner = _lines(said)
    if inner:
        return inner
    value = clean(said, cut_tail=False)
    vague = not value or plain(value) in {"me", "this", "that", "it", "to", "everything"} or len(value) < 3
    return () if vague else (f"Note: {value[0].upper()}{value[1:]}.",)


def _patterns(*rows: tuple[str, Builder]) -> tuple[tuple[re.Pattern[str], Builder], ...]:
    return tuple((re.compile(pattern, re.I | re.S), build) for pattern, build in rows)


_LIKES = r"like|love|adore|enjoy|hate|detest|dislike|prefer|can['’]t stand|cannot stand|don['’]t like|do not like"
_I: Final = _patterns(
    (rf"{_IM} (\d{{1,3}})(?: years old| years of age|)$", _one("Is {} years old.")),
    (rf"{_IVE} moved (?:from .+? )?(?:back )?to (.+)", _one("Lives in {}.")),
    (rf"{_IVE} moved(?: house| home)?,? and(?: (?:now|i|we))* live in (.+)", _one("Lives in {}.")),
    (rf"(?:{_IM}|(?:i|we){_ADVERBS}) (?:live|living|reside) (?:in|on) (.+)", _one("Lives in {}.")),
    (rf"(?:{_IM}|(?:i|we){_ADVERBS}) (?:live|living) at (.+)", _one("Address: {}.")),
    (rf"(?:{_IM}|i(?: originally)? come) from (.+)", _one("Comes from {}.")),
    (rf"(?:{_IM} working|i{_ADVERBS} work) as (.+?)(?: (?:at|for) (.+))?$", _work_as),
    (rf"(?:{_IM} working|i{_ADVERBS} work) (?:at|for) (.+)", _one("Works at {}.")),
    (rf"(?:{_IM} working|i{_ADVERBS} work) in (.+)", _one("Works in {}.")),
    (rf"{_IM}(?: very| severely| highly)? allergic to (.+)", _one("Allergic to {}.")),
    (rf"i{_ADVERBS} ({_LIKES}) (.+)", _verb),
    (rf"i{_ADVERBS} (speak|study|play|drive) (.+)", _verb),
    (r"i(?: do not| don['’]t| never| can['’]t| cannot) (eat|drink) (.+)", _abstains),
    (r"i(?: have|['’]ve)(?: got)? (.+)", _has),
    (r"i own (.+)", _has),
    (rf"{_IM} (?:called|named) (.+)", _name),
    (rf"{_IM} (an? (?!bit\b|little\b|lot\b|few\b|hour\b|while\b|big fan\b)[^,]{{2,60}})$", _one("Is {}.")),
    (
        rf"{_IM} ((?:married|engaged)(?: to .+)?|single|divorced|widowed|vegetarian|vegan|retired|pregnant|diabetic"
        r"|left-handed|colou?r[- ]blind|deaf|blind|lactose intolerant)$",
        _one("Is {}."),
    ),
    (r"i was born (?:in|on) (.+)", _one("Born {}.")),
    (rf"{_IM} ([^,]{{1,40}})(?:,.*)?$", _introduced),
)
_MY: Final = _patterns(
    (r"my (?:full |first |real )?name(?:['’]s| is)(?: now| actually)? (.+)", _name),
    (r"my ((?:[\w'’-]+ ){0,4}?[\w'’-]+) (?:is|are)(?: now| actually| still)? (.+)", _mine),
    (r"my ((?:[\w-]+ ){0,2}?[\w-]+)['’]s(?: now| actually)? (.+)", _mine),
)
_CALL: Final = _patterns((r"call me (.+)", _nick))
_YOU_CALL: Final = _patterns((r"you (?:can|may|should) call me (.+)", _nick))
_REMEMBER: Final = _patterns(
    (r"(?:remember|don['’]t forget|do not forget|memori[sz]e|note down)(?: that| this)?[:,]?\s+(.+)", _note),
    (r"keep in mind(?: that)?[:,]?\s+(.+)", _note),
)
_THIS: Final = _patterns((r"this is (.+?)(?: here| speaking)?$", _introduced))
_ANYONE: Final = _patterns((r"(\w+(?:['’]s|s['’]) (?:[\w-]+ )?[\w-]+) (?:is|are)(?: now)? (.+)", _anyones))
_HEADS: Final = {
    "i": _I, "i'm": _I, "i've": _I, "we": _I, "we've": _I, "my": _MY, "call": _CALL, "you": _YOU_CALL,
    "remember": _REMEMBER, "don't": _REMEMBER, "do": _REMEMBER, "memorize": _REMEMBER, "memorise": _REMEMBER,
    "keep": _REMEMBER, "note": _REMEMBER, "this": _THIS,
}  # fmt: skip
_PERSONA: Final = re.compile(
    r"(?:your (?:new )?name(?:['’]s| is| shall be| will be)(?: now)?|you(?:['’]re| are| will be| shall be)"
    r"(?: now)? (?:called|named)|call yourself|i(?:['’]ll| will)(?: now)? call you) (.+)",
    re.I | re.S,
)
_FORGET: Final = _patterns(
    (r"(?:forget|delete|erase|remove)(?: about)?(?: the (?:fact|line|note))?(?: that)?:? (.+?)"
     r"(?: from (?:your|the|core) ?(?:core )?memory)?$", lambda m: (clean(m[1]),)),
    (r"i(?:['’]m| am)? (?:no longer|not) (.+?)(?: any ?more| any longer)?$", lambda m: (clean(m[1]),)),
    (r"i (?:do not|don['’]t) (.+?) (?:any ?more|any longer)$", lambda m: (clean(m[1]),)),
)  # fmt: skip
_HINTS_NO_LONGER: Final = re.compile(r"(?:i|i['’]m|forget|delete|erase|remove)\b", re.I)
_NO_LONGER: Final = re.compile(r"\b(?:no longer|any ?more|any longer)\b|^(?:forget|delete|erase|remove)\b", re.I)


def clean(value: str, *, cut_tail: bool = True) -> str:
    """A value as it is kept: one line, no trailing adverbs, marks or markup, at most VALUE_CHARS."""
    value = " ".join(value[: VALUE_CHARS * 2].split()).strip(" \"'“”‘’.,;:!?")
    if cut_tail:
        value = _TAIL.sub("", value)
    return value.replace("<", "").replace(">", "")[:VALUE_CHARS].strip(' "“”.,;:!?')


def _lines(clause: str) -> tuple[str, ...]:
    bare = _LEAD.sub("", clause, count=1)
    head = bare.partition(" ")[0].rstrip(",:").lower().replace("’", "'")
    patterns = _HEADS.get(head) or (_ANYONE if head.endswith(("'s", "s'")) else ())
    for pattern, build in patterns:
        match = pattern.match(bare)
        if match:
            lines = build(match)
            if lines:
                return lines
    return ()


def facts_in(text: str) -> tuple[Fact, ...]:
    """The facts that a message states, in its order; of one slot the last. Questions state none."""
    found: dict[str, Fact] = {}
    for sentence in sentences(text[:READ_CHARS])[:_SENTENCES]:
        if is_question(sentence):
            continue
        for clause in _clauses(sentence):
            for fact in _facts(clause, sentence):
                key = slot_of(fact.line) or fact.line
                found.pop(key, None)
                found[key] = fact
        if len(found) >= _FACTS_PER_MESSAGE:
            break
    return tuple(found.values())[:_FACTS_PER_MESSAGE]


def _clauses(sentence: str) -> list[str]:
    if _REMEMBER[0][0].match(_LEAD.sub("", sentence, count=1)):
        return [sentence]
    return [clause for clause in _CLAUSE.split(sentence) if clause]


def _facts(clause: str, sentence: str) -> tuple[Fact, ...]:
    """The facts of a clause; `sentence` is looked at for words that correct."""
    bare = _LEAD.sub("", clause, count=1)
    persona = _PERSONA.match(bare)
    if persona:
        name = clean(persona[1])
        return (Fact(f"My name is {name}.", "persona", _corrects(sentence)),) if 0 < len(name.split()) <= 4 else ()
    if _HINTS_NO_LONGER.match(bare) and _NO_LONGER.search(bare):
        for pattern, build in _FORGET:
            match = pattern.match(bare)
            if match and build(match)[0]:
                return (Fact(build(match)[0], corrects=True, forget=True),)
    return tuple(Fact(line, corrects=_corrects(sentence)) for line in _lines(bare))


def _corrects(sentence: str) -> bool:
    return bool(_CORRECTS.search(sentence))
