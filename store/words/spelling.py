"""Spellings of one word made one, and names that would be lost among other words.

Rules. (1) A document and a query are spelled by the same function: a word that is no word for it is changed in both.
(2) Any change here changes what is in an index: raise `lexical.VERSION`.
"""

from __future__ import annotations

import re
from typing import Final

_OUR: Final = re.compile(r"\b(\w{3,})our(s|ed|ing|ite|ites|able|ful|hood|hoods|al|ist|less)?\b", re.IGNORECASE)
_ISE: Final = re.compile(r"\b(\w{3,})(i|y)s(e[drs]?|es|ing|ations?)\b", re.IGNORECASE)
_DOUBLED: Final = re.compile(
    r"\b(travel|cancel|label|model|fuel|level|counsel|signal|marvel|channel|dial|panel|parcel|quarrel|rival|shovel"
    r"|spiral|tunnel|total|equal|jewel)l(ed|ing|ers?|ery)\b",
    re.IGNORECASE,
)
_SIGNED: Final = re.compile(r"\b([A-Za-z])(\+\+|#)(?!\w)|(?<![\w.])\.(NET)\b")
_CAPITALS: Final = re.compile(r"\b(US|IT|WHO|OR|ME|AM)\b|\bU\.S\.(?:A\.)?")
"""Names that would be stop words in small letters."""
_LOWER: Final = re.compile(r"[a-z]")


def spelled(text: str) -> str:
    if "our" in text:
        text = _OUR.sub(r"\1or\2", text)
    if "is" in text or "ys" in text:
        text = _ISE.sub(r"\1\2z\3", text)
    if "ll" in text:
        text = _DOUBLED.sub(r"\1\2", text)
    if "+" in text or "#" in text or ".NET" in text:
        text = _SIGNED.sub(_signed, text)
    if _LOWER.search(text):
        text = _CAPITALS.sub(lambda found: "usa" if found[0].startswith(("US", "U.")) else f"{found[0]}acronym", text)
    return text


def _signed(found: re.Match[str]) -> str:
    if found[3]:
        return "dotnet"
    return f"{found[1].lower()}{'plusplus' if found[2] == '++' else 'sharp'}"
