# ruff: noqa: RUF001 (quotes and dashes are matched as users type them)
"""Whether a sentence asks to forget, and what: "pls delete my iban", "oops, shouldn't have told you that, erase it".

Rules. (1) The request may be led and closed by courtesies, and stand behind a clause that is nobody's report. (2) Of
"forget", "my …" and "what I said of …" it is certain; "delete the …" asks only where something such is known.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import msgspec

ASKING: Final = (
    "forg", "delet", "eras", "remov", "unlearn", "remember", "stor", "keep", "sav", "know", "record", "mention",
    "repeat", "bring up", "strike", "scratch", "wip", "clear", "purg", "rid of", "drop", "take back", "ignore",
    "disregard", "lose", "bin", "ditch", "trash", "scrub", "discard", "get", "take", "put",
)  # fmt: skip
"""One of these stands in every request."""


class ForgetRequest(msgspec.Struct, frozen=True):
    """What is to be forgotten: `topics` ("*" is all, none is what was said last); `certain`: it can mean nothing
    else."""

    topics: tuple[str, ...]
    certain: bool = True


_YOU: Final = r"(?:you|u|ya)"
_LEAD: Final = re.compile(
    r"(?:please|pls|plz|ok(?:ay)?|and|now|actually|so|then|hey|hi|sorry|no(?! longer)|wait|oh|oops|nvm|never ?mind|ah"
    r"|um+|hm+|also|just|kindly|better|go ahead and|let'?s"
    rf"|(?:can|could|would|will|may) (?:{_YOU}|we|i ask {_YOU} to)(?: mind)?"
    rf"|{_YOU}(?: had|'d)? (?:can|should|may|must|better|need to|have to)"
    rf"|i(?:'d| would)? (?:want|like|prefer|rather|need|wish|ask|'m asking) (?:for )?{_YOU}(?: to)?)\b[\s,:]*",
    re.I,
)
_NOT: Final = (
    rf"(?:do not|don'?t|never|not|no longer|(?<=you )didn'?t|i (?:do not|don'?t) want {_YOU} to"
    rf"|{_YOU} (?:should not|shouldn'?t)(?: have to)?)"
)
_KEEP: Final = r"(?:remember|keep|stor|sav|know|record|mention|repeat|bring)(?:e|ing)?(?: up)?"
_OUT: Final = r"(?:out of|from|off) (?:your|the) (?:\w+ )?(?:memory|mind|head|notes?|records?|storage)"
_FROM_MEMORY: Final = re.compile(_OUT, re.I)
_ASKS: Final = re.compile(
    r"(?:(?P<sure>forget(?:ting)?|(?<=you )forgot|un-?(?:learn|remember)(?:ing)?"
    r"|(?:ignore|disregard)(?= what| everything| all))"
    rf"|{_NOT} {_KEEP}|stop (?:remember|keep|stor|sav|mention)ing|(?P<strike>strike|scratch)"
    r"|delet(?:e|ing)|eras(?:e|ing)|remov(?:e|ing)|purg(?:e|ing)|get rid of|take back"
    r"|(?P<loose>los(?:e|ing)|drop|bin|ditch|trash|scrub|discard)|(?P<weak>clear(?:ing)?|wip(?:e|ing))"
    rf"|(?:get|take|put)(?=.* {_OUT}))"
    r"\b(?: (?:any(?:thing)? )?about\b)?\s*(?P<what>.*)",
    re.I | re.S,
)
_CLOSING: Final = re.compile(
    rf"(?<![\s,])(?:[\s,]*(?:\b{_OUT}|\bin (?:your|the) (?:\w+ )?(?:memory|notes?|records?)"
    r"|\b(?:please|pls|plz|again|for me|too|as well|now|thanks|thank you|thx|ty|ok(?:ay)?|any ?more|any longer|for good"
    rf"|for ?ever|completely|entirely|right away|asap|immediately|(?:would|could|will|can|won'?t) {_YOU}"
    r"|if (?:you can|possible))))+[\s.!?]*$",
    re.I,
)
_TOLD: Final = rf"(?:said|told|wrote|mentioned|shared|gave|given|sent)(?: to| with)?(?: {_YOU})?"
_SAID: Final = re.compile(
    r"(?:(?:what|all|everything|anything|whatever|that)(?: that)?"
    rf"(?: i(?:'ve| have)?(?: just| ever)? {_TOLD}| {_YOU}(?: have)? (?:know|stored|kept)| there is)?"
    r"|(?:the |that |this )?(?:fact|line|note|part|bit|thing|stuff|message|info(?:rmation)?|details?|story|memory))"
    r"(?: (?:about|'?bout|of|on|regarding|concerning)| that\b) *",
    re.I,
)
"""What was said of something: the thing follows."""
_GIVEN: Final = re.compile(
    rf"^(?:that|what)\s+| (?:that |which )?i(?:'ve| have)?(?: just)? {_TOLD}(?: about| of)?$", re.I
)
_LAST: Final = re.compile(
    r"(?:(?:all of )?(?:it|that|this)(?: (?:last )?(?:bit|part|message|one|thing))?"
    rf"|(?:what |(?:that|this) (?:that )?)?i(?:'ve)?(?: just)? {_TOLD}(?: just now)?"
    r"|(?:my|the) (?:last|previous) (?:message|one|thing|bit|part|sentence)|)$",
    re.I,
)
_ALL: Final = re.compile(
    r"(?:everything|all|me|us|all about (?:me|us)|everything .*\b(?:me|us)|all of it|all i (?!.* about ).*"
    rf"|(?:all (?:of )?)?your memory|(?:everything|all) (?:i (?:{_TOLD}|ever .*)"
    rf"|{_YOU} know(?: (?:about|of) (?:me|us))?))$",
    re.I,
)
_MINE: Final = re.compile(r"(?:that |the fact that )?(?:my|our|i|we|i'm|i've)\b", re.I)
_CLAUSE: Final = re.compile(
    r"(?<![,;:.!?–—(-])[,;:.!?–—(-]+\s+"
    rf"| (?:so|and|but|then) (?=(?:please|pls|plz|(?:can|could|would|will) {_YOU}|forget)\b)",
    re.I,
)
"""Before a clause that may be the request."""
_REPORTED: Final = re.compile(r", (?:\w+ ){1,3}(?:said|says|told (?:me|us)|wrote|wants)\W*$", re.I)
_CLAUSES: Final = 4
"""How many of the last clauses are looked at."""
_REPORTS: Final = re.compile(
    r"(?<!\bi )\b(?:said|says|wrote|writes|tells|asks|asked|told|wants|wanted|has to|have to|must|will|forgot)\b"
    rf"(?! {_YOU}\b)",
    re.I,
)
_ALSO: Final = re.compile(r"\s*(?:,|;|\band\b|\bor\b|&)\s*(?=(?:my|our|the|his|her|their|what|that|all)\b)", re.I)
_OWNED: Final = re.compile(r"(?:my|our|his|her|their|the|what|that|all)\b", re.I)
_REASON: Final = re.compile(
    r"(?<![,;:.–—(-])\s*[,;:.–—(-]+\s+(?=(?:it|that|this|these|those|they|i|we|you|u|he|she|there|because|cause|bc|as|since|no|not"
    r"|never|make|sorry|thanks|thx|shouldn)\b)|\s+(?:because|cause|bc|since) ",
    re.I,
)
_PASSIVE: Final = re.compile(
    r"(?P<wish>i(?:'d| would)? (?:like|want|need|prefer) )?(?P<what>(?:my|our|the|that|all|everything|what i)\b"
    r".{1,80}?) (?(wish)(?:to be )?|(?:should|must|needs? to|has to|have to|to) )"
    r"(?:(?:be )?(?:deleted|erased|removed|forgotten|wiped|gone)|(?:not|never) (?:stay|remain|be (?:kept|stored|known"
    r"|remembered))|vanish|disappear)(?P<sure>)(?P<strike>)(?P<loose>)(?P<weak>)"
    r"(?: (?:in|from) your \w+)?[\s.!]*(?:[,;.] .*)?$",
    re.I,
)
_NAMED: Final = re.compile(
    r"(?:\w+[,.!]? )??(?P<what>(?:my|our|the|that) [\w'-]+(?: [\w'-]+){0,3}?)\s*[,:–—-]+\s*$", re.I
)
"""What a clause names before "delete it"."""
_IDIOM: Final = re.compile(r"(?:(?:oh|ah|well|no|ok|just)[\s,]+)*forget (?:about )?it\W*$", re.I)


@lru_cache(maxsize=1024)
def request_of(sentence: str) -> ForgetRequest | None:
    """What a sentence asks to forget; None where it asks for nothing such."""
    said = sentence.replace("\u2019", "'").strip().strip("\"'“”‘")
    if _IDIOM.match(said) or _REPORTED.search(said):
        return None
    for start in (0, *[match.end() for match in _CLAUSE.finditer(said)][-_CLAUSES:]):
        if start and _REPORTS.search(said[:start]):
            return None
        at = _led(said, start)
        if asks := _ASKS.match(said, at):
            asked = _request(asks) if at > start or not asks["loose"] else None
            named = _NAMED.match(said[:start]) if asked == ForgetRequest(()) else None
            return ForgetRequest((_bare(named["what"]),)) if named else asked
    passive = _PASSIVE.match(said, _led(said, 0))
    asked = _request(passive) if passive else None
    return ForgetRequest(asked.topics, certain=bool(passive and _SAID.match(passive["what"]))) if asked else None


def _led(said: str, start: int) -> int:
    """Where the courtesies end."""
    while lead := _LEAD.match(said, start):
        start = lead.end()
    return start


def _request(found: re.Match[str]) -> ForgetRequest | None:
    what, *reason = map(_bare, _REASON.split(found["what"].strip(), maxsplit=1))
    said = _SAID.match(what)
    about = _bare(what[said.end() :]) if said else what
    if _ALL.match(what) or (said and _ALL.match(about)):
        return ForgetRequest(("*",))
    if _LAST.match(what):
        return None if found["strike"] and any(reason) else ForgetRequest(())
    certain = bool(found["sure"] or said or _MINE.match(about) or _FROM_MEMORY.search(found["what"]))
    if not certain and (found["loose"] or found["weak"] or not _OWNED.match(about)):
        return None
    bare = _GIVEN.sub("", about)
    topics = tuple(filter(None, map(_bare, _ALSO.split(bare) if _OWNED.match(bare) else [bare])))
    return ForgetRequest(topics, certain) if topics else None


def _bare(what: str) -> str:
    return _CLOSING.sub("", what.strip()).strip(" \"'“”‘.,!?)")
