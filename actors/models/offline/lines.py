# ruff: noqa: RUF001 (both forms of the apostrophe are matched, as users type them)
"""Lines of core memory: how a statement is written there, how a line is said to the user, and what a new one replaces.

Rules. (1) A line is the user's own words in the third person: "They live in Oslo.", "Their sister Ana is a nurse.",
"Lotte has piano on Tuesdays."; one that no longer holds stands under what took its place: "Until 2026-11-22: …".
(2) What a line is about (its slot) is read from the line itself; of one slot only one line holds. (3) What was asked
to be forgotten is written as digests, which say what is meant to whoever hears it again, and to nobody else.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from palimpsest.actors.models.offline.words import KIN, STOP, alike, plain, stem, stems, term, vocabulary

MARK: Final = "Asked to forget ("
"""How a line begins that says what is not to be said."""
_DAY: Final = r"\d{4}-\d{2}-\d{2}"
_MONTH: Final = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
NUMBER: Final = (
    r"(?:[€$£] ?)?\d[\d.,]*\d|\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
    r"|(?:thir|four|fif|six|seven|eigh|nine)teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|a dozen|hundred|thousand"
    r"|once|twice)\b"
)
_WEEKDAY: Final = r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)days?\b"
_DATE: Final = (
    rf"\b(?:the )?\d{{1,2}}(?:st|nd|rd|th)? (?:of )?{_MONTH}\b|\b{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?\b|\b{_DAY}\b"
    r"|\b(?:january|february|april|june|july|august|september|october|november|december)\b"
    r"|(?:(?<=in )|(?<=be )|(?<=to )|(?<=by )|(?<=til ))(?:march|may)\b"
)
VALUES: Final = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        r"\b\d{1,2}:\d{2}(?: ?[ap]m\b)?|\b\d{1,2} ?[ap]m\b|\b(?:noon|midnight)\b",
        rf"(?:{_WEEKDAY},? )?(?:{_DATE})|{_WEEKDAY}|\b(?:tomorrow|tonight)\b",
        NUMBER,
    )
)
"""What can be put in place of another of its kind: times, days and numbers."""
NAME: Final = re.compile(r"(?<=[^.] )(?:Dr\. |Mr\. |Mrs\. |Ms\. )?[A-Z][\w'’-]+(?: [A-Z][\w'’-]+)*")
VERBS: Final = (
    r"(?:(?:no longer|never|always|also|still|often|usually) )?(?:is|are|was|were|has|have|had|does|do|did|can(?:not"
    r"|['’]t)?|could|will|won['’]t|would|should|must|may|lives?|moved|works?|worked|owns?|likes?|loves?|hates?|prefers?"
    r"|enjoys?|speaks?|plays?|teaches|studies|studied|went|goes|costs?|takes?|took|starts?|started|begins|ends|runs?"
    r"|drives?|needs?|wants?|eats?|drinks?|knows?|keeps?|uses?|used|calls?|collects?|comes?|gets?|got|makes?|turns?"
    r"|turned|expires?|ships?|belongs?|opens?|closes?|meets?|arrives?|leaves?|left|became|joined|bought|sold|married"
    r"|adopted|died|passed|retired|broke|lost|found|said|visits?|sleeps?|weighs?|pays?|earns?|reads?|writes?|sings?"
    r"|travels?|flies|sits|stands|stays?|finished|quit|stopped|cancelled|doesn['’]t|\w{2,}ed|flew|grew|ran|ate|wrote"
    r"|carries|cooks|helps|sells|fixes|bakes|manages|gave|caught|chose|fell|held|rode|sent|stole|won|met|paid|spent|told|taught"
    r"|built|brought|began|drove|drank|swam"
    r"|spoke|kept|made|saw|don['’]t|didn['’]t|isn['’]t|aren['’]t|wasn['’]t|hasn['’]t|haven['’]t)"
)
_PARSED: Final = re.compile(
    rf"(?P<who>They|(?:(?:Their|The) )?(?:[\w'’.&-]+ ){{0,6}}?[\w'’.&-]+?)"
    rf"(?P<verb>['’]s(?! [a-z]+ (?:[A-Z]\w+ )?(?:is|was|has|are)\b)| {VERBS}"
    rf"|(?<=They) \S+) (?P<rest>.+)",
    re.S,
)
_NAMED: Final = re.compile(
    r"(?P<who>(?:(?:Dr|Mr|Mrs|Ms)\. )?[A-Z][\w'’-]+(?: [A-Z][\w'’-]*){0,2})(?P<verb> [a-z]{2,}s) (?P<rest>.+)", re.S
)
_ADVERB: Final = re.compile(
    r"(?i)^(They|[^ ]+) ((?:still|now|also|really|currently|usually|always|just|recently|finally|both|originally"
    r"|actually) )+"
)
UNTIL: Final = re.compile(rf"Until ({_DAY}|earlier): (.+)", re.S)
_OLD: Final = {
    "Lives": "live", "Likes": "like", "Loves": "love", "Hates": "hate", "Dislikes": "dislike", "Prefers": "prefer",
    "Enjoys": "enjoy", "Works": "work", "Comes": "come", "Speaks": "speak", "Studies": "study", "Plays": "play",
    "Drives": "drive", "Has": "have", "Is": "are", "Allergic": "are allergic", "Born": "were born", "Does": "do",
}  # fmt: skip
"""How the lines of earlier agents begin."""
_YOU: Final = (
    (re.compile(r"^They\b"), "You"), (re.compile(r"^Their\b"), "Your"), (re.compile(r"\bthe user['’]s\b"), "your"),
    (re.compile(r"\bthe user is\b"), "you are"), (re.compile(r"\bthe user was\b"), "you were"),
    (re.compile(r"\bthe user has\b"), "you have"), (re.compile(r"\bthe user\b"), "you"),
)  # fmt: skip
_THEY: Final = (
    (re.compile(r"^(?:i|we)(?:['’]m| am|['’]re| are)\b", re.I), "They are"),
    (re.compile(r"^(?:i|we) was\b", re.I), "They were"),
    (re.compile(r"^(?:i|we)(?:['’]ve)\b", re.I), "They have"), (re.compile(r"^(?:i|we)['’]d\b", re.I), "They would"),
    (re.compile(r"^(?:i|we)['’]ll\b", re.I), "They will"), (re.compile(r"^(?:i|we)\b", re.I), "They"),
    (re.compile(r"^(?:my|our)\b", re.I), "Their"), (re.compile(r"\b(?:my|our|mine|ours)\b"), "the user's"),
    (re.compile(r"\b(?:[Ii]|we)(?:['’]m| am|['’]re| are)\b"), "the user is"),
    (re.compile(r"\b(?:I|i|we) was\b"), "the user was"),
    (re.compile(r"\b(?:[Ii]|we)(?:['’]ve| have)\b"), "the user has"), (re.compile(r"\b(?:I|we|me|us)\b"), "the user"),
)  # fmt: skip
_OPINIONS: Final = vocabulary("like love hate enjoy prefer dislike likes loves hates enjoys prefers dislikes adore")
_ATTRIBUTES: Final = vocabulary(
    """name birthday birthdate anniversary age address email mail phone number telephone password pin code job
    employer school university hometown size type nationality language hobby username plate colour color
    timezone appointment favourite favorite doctor dentist boss manager wife husband partner surname salary rent"""
)
_PREPOSITIONS: Final = vocabulary("in on at near under behind with from")
_ENDING: Final = re.compile(
    r"(?i)\b(?:no longer|any ?more|any longer|not any|stopped|quit|sold|gave up|given up|got rid of|cancelled|canceled"
    r"|dropped|broke up with|divorced|lost|finished|(?<!the )(?<!my )(?<!his )(?<!her )(?<!['’]s )(?<!heir )left"
    r"|died|passed away|retired|used to|was stolen|is gone|moved out)\b|(?:\bis|['’]s|\bwas) (?:called )?off\W*$"
)
_OF_SUBJECT: Final = re.compile(
    r"\b(?:died|passed away|retired|was stolen|is gone|moved out|left)\b|(?:is|['’]s|was|got) (?:called )?off\b", re.I
)
_EMPTY: Final = stems(
    """no longer any more anymore stopped quit sold gave up given rid cancelled canceled dropped broke divorced lost
    finished left died passed away retired stolen gone moved used only now they their the user yesterday today ago week
    off called weekend month year last new old go going do does doing been"""
) | {stem(word) for word in STOP}
_ONE: Final = re.compile(r"[,;]| and | because | so ")
_ASIDE: Final = re.compile(r",? (?:which|though|although|because|since|but|so|except) ")
_COUNT: Final = re.compile(NUMBER, re.I)
_DEAD: Final = re.compile(r"\b(?:died|passed away)\b", re.I)


def third(clause: str) -> str:
    """A statement as a line: "my car is red" as "Their car is red."."""
    for pattern, word in _THEY:
        clause = pattern.sub(word, clause)
    clause = re.sub(r"^They have (?:got (?!to\b)|(?:just|recently|finally|now|already) )", "They have ", clause)
    clause = re.sub(r"^They have (?=\w{2,}ed\b)", "They ", clause)
    return f"{clause[:1].upper()}{clause[1:]}."


def modern(line: str) -> str:
    """A line as they are written now."""
    first, _, rest = line.partition(" ")
    return f"They {_OLD[first]} {rest}" if first in _OLD and rest else line


def spoken(line: str) -> str:
    """A line said to the user: "They live in Oslo." as "You live in Oslo."."""
    line = modern(line.strip())
    past = UNTIL.fullmatch(line)
    if past:
        return _used_to(past[2], past[1])
    bare = line.removesuffix(".")
    if bare.startswith("Note: "):
        return f"You asked me to remember: “{bare[6:]}”."
    key, colon, value = bare.partition(": ")
    if colon and len(key) < 40 and not key.startswith(("They ", "Their ")):
        return f"Your {key[0].lower()}{key[1:]} is {value}."
    for pattern, word in _YOU:
        line = pattern.sub(word, line)
    return line if line.endswith(".") else f"“{line}”"


def _used_to(line: str, day: str) -> str:
    """ "They live in Oslo." until a day: "You used to live in Oslo (until 2026-11-22)."."""
    said = spoken(line).removesuffix(".")
    known = _PARSED.match(modern(line))
    verb = known["verb"].strip() if known else ""
    base = {"is": "be", "’s": "be", "'s": "be", "are": "be", "has": "have"}.get(verb, "")
    if known and (base or known["who"] == "They") and verb not in ("was", "were", "had"):
        who, _, rest = said.partition(f" {verb} " if " " in known["verb"] else verb + " ")
        if rest:
            said = f"{who} used to {base or verb} {rest}"
    return f"{said} (until {day})."


def holds(line: str) -> bool:
    """Whether a line says how things are now."""
    return bool(line.strip()) and not line.startswith(("Until ", MARK))


@lru_cache(maxsize=8192)
def ends(line: str) -> bool:
    """Whether a line says that something is no more."""
    return bool(_ENDING.search(re.split(r"[,;]", line, maxsplit=1)[0]))


@lru_cache(maxsize=8192)
def parsed(line: str) -> re.Match[str] | None:
    """A line's subject ("who"), verb and rest."""
    said = _ADVERB.sub(r"\1 ", modern(line).removesuffix("."))
    return _PARSED.match(said) or _NAMED.match(said)


@lru_cache(maxsize=8192)
def slot_of(line: str) -> str:
    """What a line is about, where only one line can hold; "" where many can."""
    key, colon, value = line.partition(": ")
    if colon and key in ("Name", "My name is"):
        return key
    if line.startswith("My name is "):
        return "own name"
    if colon and key == "Note":
        noted = re.match(r"(.{2,60}?) (?:is|are) ", value)
        return f"note {plain(noted[1])}" if noted else ""
    if colon and not key.startswith("They "):
        return f"{plain(key)} is"
    known = parsed(line)
    if known is None or not holds(line) or ends(line):
        return ""
    who, verb, rest = (
        re.sub(r"^their | (?:there|here)$", "", plain(known["who"])),
        known["verb"].strip(" '’").lower(),
        known["rest"],
    )
    if verb in ("is", "are", "s", "was", "were") and who != "they":
        whole = {who.rpartition(" ")[2], who.partition(" ")[0]} & (
            _ATTRIBUTES - (KIN if _class(rest) == "at" else STOP)
        )
        return f"{who} is" if whole else f"{who} is {_class(rest)}"
    return _slot_of_verb(who, verb, rest)


def _slot_of_verb(who: str, verb: str, rest: str) -> str:
    first = rest.lower().partition(" ")[0]
    if verb in ("live", "lives") or (verb == "moved" and re.match(r"(?:\w+ )?(?:from .+ )?to\b", rest)):
        return f"{who} live"
    if verb in ("work", "works") and first in ("as", "at", "for"):
        return f"{who} work {'at' if first == 'for' else first}"
    if verb == "like" and rest.startswith("to be called"):
        return "nick"
    if verb in _OPINIONS:
        return f"{who} opinion {plain(rest)}"
    if verb in ("come", "comes", "are", "is") and first in ("from", "called", "named"):
        return f"{who} {first}"
    if verb == "are" and re.fullmatch(r"\d+ years old", rest):
        return "age"
    blank = re.sub(NUMBER, "#", rest.lower())
    if verb in ("have", "has") and (some := re.match(r"(?:only |about )?# ((?:\w+ )?\w+)", blank)):
        return f"{who} have {stem(some[1].partition(' ')[0])}"
    return f"{who} {stem(verb)} {plain(blank)}" if "#" in blank else ""


def _class(value: str) -> str:
    """The class of a value by its first word: "a doctor" may stand beside "tall", not beside "a lawyer"."""
    low = value.partition(" ")[0].lower()
    named = re.match(r"(?:an?|some|the) [^,]*\b(?:called|named)\b", value)
    article, at = low in ("a", "an", "the") and not named, low in _PREPOSITIONS
    return "a" if article else "at" if at else "1" if low[:1].isdigit() else "word"


def content(text: str) -> frozenset[str]:
    """The stems of the words that say something."""
    return frozenset(map(alike, stems(text) - _EMPTY))


def ended_by(line: str, old: str) -> bool:
    """Whether a line says that an older one is no more: "They sold the Skoda." and "Their car is a red Skoda."."""
    if not ends(line) or not holds(old) or ends(old):
        return False
    known, was = parsed(line), parsed(old)
    if known is None or was is None or was["rest"][:1].isdigit():
        return False
    subject = known["who"] != "They" and _OF_SUBJECT.search(line)
    what = _ONE.split(line, maxsplit=1)[0]
    gone = content((known["who"] if subject else what).replace("the user", " "))
    if not subject and not _may_end(known["who"], was["who"], gone):
        return False
    if not {number.lower() for number in _COUNT.findall(what)} <= {number.lower() for number in _COUNT.findall(old)}:
        return False  # a part of them is gone
    left = was["rest"] if subject and not _DEAD.search(line) else _ASIDE.split(old, maxsplit=1)[0]
    return bool(gone) and all(named(each, left) for each in gone)


def _may_end(who: str, theirs: str, gone: frozenset[str]) -> bool:
    """Whether what `who` did may end what is told of `theirs`: of themselves, of their things, or of what is gone."""
    if who != "They":
        return who.startswith(("The ", "Their ")) if theirs == "They" else content(who) <= content(theirs)
    return theirs.startswith(("They", "Their", "The ")) or gone <= content(theirs)


def named(each: str, line: str) -> bool:
    """Whether a line has a stem, a near one, or one that begins alike."""
    held = stems(line)
    return term(each).found(held) > 0 or any(min(len(each), len(other)) > 5 and other[:5] == each[:5] for other in held)
