"""Text made ready for lexical search: what counts as a word, and which words say nothing.

Rules. (1) A document and a query are made ready by the same function. (2) Any change here changes what is in an index:
raise `VERSION`, and indexes are built again.

What pays was measured on LoCoMo and REALTALK: a stop list with question words (+5 points of recall@10), dates as words
(+15 on questions that carry a date), identifiers as one token (exact keys: 100 % at rank 1).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Final

from palimpsest.store.words.letters import plain, together
from palimpsest.store.words.spelling import spelled

VERSION: Final = 4

_STOP_WORDS: Final = (
    # articles, pronouns, auxiliaries, prepositions, conjunctions
    "a an the this that these those i me my mine myself we us our ours you your yours he him his she her hers it its "
    "they them their theirs am is are was were be been being do does did doing done have has had having will would "
    "shall should can could may might must of to in on at by for from with about as into onto over under up down out "
    "off between through during before after above below against and or but nor so if then than because while not no "
    # questions and what surrounds them
    "what who whom whose which when where why how there here also just too very some any all both each more most other "
    "such own same only again once ever get got tell say said says "
    # what is left of short forms: don't, I'll, they've
    "s t d ll m re ve don doesn didn isn aren wasn weren won wouldn couldn shouldn hasn haven hadn"
)
STOP_WORDS: Final = frozenset(_STOP_WORDS.split())

_IRREGULAR: Final = (
    "become became, begin began begun, bend bent, bite bit bitten, bleed bled, blow blew blown, "
    "break broke broken, breed bred, bring brought, build built, burn burnt, buy bought, catch caught, "
    "choose chose chosen, come came, creep crept, deal dealt, dig dug, draw drew drawn, dream dreamt, "
    "drink drank drunk, drive drove driven, eat ate eaten, fall fell fallen, feed fed, feel felt, fight fought, "
    "find found, flee fled, fly flew flown, forbid forbade forbidden, forget forgot forgotten, "
    "forgive forgave forgiven, freeze froze frozen, give gave given, go went gone, grow grew grown, hang hung, "
    "hear heard, hide hid hidden, hold held, keep kept, kneel knelt, know knew known, lead led, lean leant, "
    "learn learnt, leave left, lend lent, light lit, lose lost, make made, mean meant, meet met, pay paid, "
    "ride rode ridden, ring rang rung, rise rose risen, run ran, see saw seen, seek sought, sell sold, "
    "send sent, sew sewn, shake shook shaken, shine shone, shoot shot, show shown, shrink shrank shrunk, "
    "sing sang sung, sink sank sunk, sit sat, sleep slept, slide slid, speak spoke spoken, spend spent, "
    "spin spun, spill spilt, stand stood, steal stole stolen, stick stuck, strike struck, swear swore sworn, "
    "sweep swept, swim swam swum, swing swung, take took taken, teach taught, tear tore torn, think thought, "
    "throw threw thrown, understand understood, wake woke woken, wear wore worn, weave wove woven, weep wept, "
    "win won, write wrote written, child children, man men, woman women, person people, foot feet, tooth teeth, "
    "mouse mice, goose geese, wife wives, knife knives, life lives, leaf leaves, wolf wolves, shelf shelves, "
    "half halves, loaf loaves, "
    "gray grey, check cheque, program programme, license licence, defense defence, practice practise, tire tyre, "
    "catalog catalogue, dialog dialogue, mom mum, aluminum aluminium, plow plough, pajamas pyjamas, curb kerb, "
    "center centre, theater theatre, liter litre, meter metre, fiber fibre, story storey"
)
_GROUPS: Final = tuple(group.split() for group in _IRREGULAR.split(","))
LEMMAS: Final = {form: group[0] for group in _GROUPS for form in group[1:]}
"""Irregular forms, each with the plain one that it counts as: went is go, children is child."""

_CALENDAR: Final = (
    "January February March April May June July August September October November December",
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
)
_MONTHS, _WEEKDAYS = (names.split() for names in _CALENDAR)
CALENDAR: Final = (*_MONTHS, *_WEEKDAYS)

_SPECIAL: Final = re.compile(
    r"(?<![\w-])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![\w-])"
    r"|(?<![\d.-])(?P<y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)(?![\d-])"
    r"|(?<![\d.-])(?P<dd>\d{1,2})\.(?P<mm>\d{1,2})\.(?P<yy>\d{4})(?![\d-])",
    re.ASCII | re.IGNORECASE,
)
_CJK_DAY: Final = re.compile("(1[0-2]|[1-9])\u6708([12]?[0-9]|3[01])[\u65e5\u53f7]")
_DASHED: Final = re.compile(r"-(?:\d\d|[0-9a-f]{4})-", re.ASCII | re.IGNORECASE)
_DOTTED: Final = re.compile(r"\.\d\d?\.\d{4}", re.ASCII)
"""The middle of what is special. It is looked for first: most texts have none, and the whole is slow to look for."""
_UNSPACED: Final = re.compile("[\u0900-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


def ready(text: str) -> str:
    """A text as it is indexed or searched: one form for each word, UUIDs as one token, written dates as words."""
    text = spelled(plain(text))
    if "\u6708" in text:
        text = _CJK_DAY.sub(lambda found: f"{found[0]} {int(found[2])} {_MONTHS[int(found[1]) - 1]} ", text)
    return together(_SPECIAL.sub(_rewrite, text) if _DASHED.search(text) or _DOTTED.search(text) else text)


def unspaced(text: str) -> bool:
    """Whether it has a script that sets no spaces between words (Chinese, Japanese, Thai …), or within whose words
    stand marks that are no letters (those of India)."""
    return not text.isascii() and _UNSPACED.search(text) is not None


def date_words(time_ms: int) -> str:
    """A time's day as words: 22 November 2026 Sunday."""
    return _day_words(time_ms // 86_400_000)


@lru_cache(maxsize=4096)
def _day_words(day: int) -> str:
    return _words(datetime.fromtimestamp(day * 86_400, UTC).date())


def _words(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year} {_WEEKDAYS[day.weekday()]}"


def _rewrite(found: re.Match[str]) -> str:
    year, month, day = found["y"] or found["yy"], found["m"] or found["mm"], found["d"] or found["dd"]
    if not year:
        return found[0].replace("-", "").lower()
    try:
        return _words(date(int(year), int(month), int(day)))
    except ValueError:
        return found[0]
