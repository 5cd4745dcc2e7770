"""What a message does, told from its wording: it states, or it only asks, or it only says that nothing was found.

Rules. (1) It is a function of the text, and of whether the agent said it. (2) Only what states nothing beside is a
question or an empty answer: a fact with a question behind it is a fact. (3) What is not known to ask or to be empty
states. Any change here changes what is in an index: raise `projection.SCHEMA`.
"""

from __future__ import annotations

import re
from typing import Final, Literal

Form = Literal["", "asking", "question", "nothing"]
"""States; states and asks at the end; asks only; says only that nothing was found."""
STATING: Final[frozenset[Form]] = frozenset({"", "asking"})

STATED_WORDS: Final = 3
"""So many words beside are a greeting or a name, and no statement."""
LOOKED_AT: Final = 1200

_SENTENCE: Final = re.compile(
    r"[^.!?\u2026\n\u3002\uff01\uff1f\u061f\u0964]*(?:[.!?\u2026\n\u3002\uff01\uff1f\u061f\u0964]+|$)"
)
_WORD: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]{2}|[^\W\u3040-\u30ff\u3400-\u9fff]+")
_MARK: Final = re.compile(r"[?\uff1f\u061f]\W*$")

_AUX: Final = r"(?:is|are|was|were|am|do|does|did|can|could|will|would|should|have|has|had|might|must|'s|\u2019s|'re)\b"
_ASKS: Final = re.compile(
    rf"(?:(?:hi|hey|hello|so|and|ok|okay|well|please|sorry|\w+)[,!]? )?(?:"
    rf"(?:what|who|where|when|why|how)\s*{_AUX}|(?:what|which|whose|how) \w+(?: \w+)? {_AUX}"
    r"|how (?:many|much|often|old|long|far|big)\b|do (?:you|i|we) |did (?:you|i|we) |(?:can|could|would|will) you "
    r"|(?:have|are|am|is|was|were|should|can) (?:you|i|we|my|your|the|there|it) (?!not a)"
    r"|(?:tell|remind|show|give) me (?:again|about|all|everything|more|of|if|whether|my|the|what|who|wh\w+|how)\b"
    r"|(?:search|check|look through|look in|look up)(?: in)?(?: for)? (?:your|my|our|the)\b"
    r"|was (?:ist|war|hei|hab|hat|mach|kost|wei|sag|soll|mu|will|kann)"
    r"|wer |wann |wo |warum |welche[rsnm]? |wie (?:viel|hei\u00dft|alt|oft|lange|ist|war|komm|geht)"
    r"|qu\u00e9 |cu\u00e1l|cu\u00e1ndo |d\u00f3nde |qui\u00e9n|c\u00f3mo |cu\u00e1nt"
    r"|qu(?:el|elle|els|elles|and|oi|i) |o\u00f9 |comment |combien |pourquoi |est-ce |qu'est-ce )",
    re.IGNORECASE,
)
"""How a question begins that is typed without its mark."""
_ASKS_IN: Final = re.compile(
    "[\u5417\u5462\u561b][\u3002.]?$|\u4ec0\u4e48|\u54ea|\u8c01|\u591a\u5c11|\u600e\u4e48|\u51e0(?:\u70b9|\u4e2a|\u5c81)"
    "|(?:\u3067\u3059|\u307e\u3059|\u307e\u3057\u305f|\u3060\u3063\u305f|\u306e)\u304b[\u306a\u306d]?[\u3002.]?$"
)
"""The same in Chinese and Japanese."""

_NOTHING: Final = re.compile(
    r"\b(?:found|find|see|have|know|remember|recall) (?:nothing|no|neither)\b"
    r"|\b(?:could|can|did|was|am)(?:n['\u2019]?t| not|not) (?:able to )?(?:find|locate|recall|remember|see|have|know)\b"
    r"|\bunable to (?:find|locate|recall)|\b(?:do|does)(?:n['\u2019]?t| not) (?:have|know|recall|remember"
    r"|see|find|seem)\b"
    r"|\bno (?:record|mention|information|memory|memories|results?|entries|entry|notes?|trace|matches|data)\b"
    r"|\bnothing (?:about|on|in|found|match|of|was|came|there|that|relevant)"
    r"|\b(?:have|has|had)(?:n['\u2019]?t| not|\s+never) (?:been )?(?:told|mention|said|shared|discuss|talked|come)"
    r"|\bnot (?:been )?(?:mentioned|found|discussed)\b|\bnever (?:mentioned|told|said|talked)\b"
    r"|\bnichts (?:\w+ ){0,4}(?:gefunden|finden|bekannt)|\bnichts (?:dazu|dar\u00fcber|davon)|\bkeine\w* (?:\w+ )?"
    r"(?:information|erw\u00e4hnung|hinweis|angabe|eintr)|wei\u00df (?:ich )?(?:es |das |leider )?nicht"
    r"|nicht (?:finden|gefunden)"
    r"|\bno (?:encontr|encuentro|he encontrado|tengo|recuerdo|hay|s\u00e9|aparece|me consta)"
    r"|\bje n['\u2019]ai (?:rien|pas|aucun)|\brien (?:trouv|\u00e0 ce sujet)"
    r"|\bje ne (?:sais|me souviens|trouve|vois|me rappelle)"
    "|\u6ca1\u6709?(?:\u627e\u5230|\u63d0|\u8bb0\u5f55|\u4efb\u4f55|\u76f8\u5173)|\u627e\u4e0d\u5230|\u4e0d\u77e5\u9053|\u4e0d\u8bb0\u5f97"
    "|\u898b\u3064\u304b\u308a\u307e\u305b|\u898b\u3064\u304b\u3089|\u899a\u3048\u3066\u3044\u307e\u305b|\u5206\u304b\u308a\u307e\u305b"
    "|\u308f\u304b\u308a\u307e\u305b|\u8a18\u9332(?:\u304c|\u306f)\u3042\u308a\u307e\u305b",
    re.IGNORECASE,
)
_BUT: Final = re.compile(r"\b(?:but|however|though|only that|aber|pero|mais)\b|\u4f46|\u304c\u3001", re.IGNORECASE)


def form_of(text: str, *, by_agent: bool) -> Form:
    asks: Form = "asking" if _MARK.search(text[-20:]) else ""
    if len(text) > LOOKED_AT:
        return asks
    stated = asked = empty = 0
    for found in _SENTENCE.finditer(text):
        sentence = found[0].strip()
        if not sentence:
            continue
        if _asks(sentence):
            asked += 1
        elif by_agent and _NOTHING.search(sentence):
            empty += 1
            but = _BUT.search(sentence)
            stated += _words(sentence[but.end() :]) if but else 0
        else:
            stated += _words(sentence)
        if stated > STATED_WORDS:
            return asks
    return "nothing" if empty else "question" if asked else ""


def _words(text: str) -> int:
    return len(_WORD.findall(text))


def _asks(sentence: str) -> bool:
    if _MARK.search(sentence):
        return True
    return sentence[-1] not in ".!" and bool(_ASKS.match(sentence) or _ASKS_IN.search(sentence))
