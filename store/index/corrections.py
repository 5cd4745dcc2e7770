"""What a correction corrects that does not say so ("Actually, make that Thursday"): told from wording and values.

Rule: any change here changes what is in an index: raise `projection.SCHEMA`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from palimpsest.store.words.lexical import CALENDAR

NEAR_SEQS: Final = 60
"""A correction that names nothing is of what was said at most so many events before it."""
SHORT_CHARS: Final = 300
"""What is longer is not held against others word by word."""
BRIEF_CHARS: Final = 80
"""A correction that is longer says itself what it is about."""
KEPT: Final = 12
"""So many of a stream's last statements are looked through."""

CORRECTS: Final = re.compile(
    r"^\W*(?:(?:oh|oops|ah|hm+|ok(?:ay)?|well|and|but|so|sorry|um|uh|wait|no|nope|yes)\b[\s,.!:;\u2014-]*)*"
    r"(?:no,? wait|wait,? no|wait,|actually|correction|sorry,? (?:i meant|it|that|make)|i meant|i mean\b|i mistyped"
    r"|my mistake|scratch that|strike that|on second thou?ght|let me correct|i was wrong|that was wrong|that's wrong"
    r"|not \w+,? but|make (?:that|it)|instead|rather\b|change of plans?|i misspoke|typo|i correct"
    r"|no,? (?:it'?s|not|the)"
    r"|nein,? |doch nicht|korrektur|ich meinte|eigentlich|moment|stimmt nicht"
    r"|no,? espera|en realidad|me equivoqu|correcci\u00f3n|quise decir|perd\u00f3n|mejor dicho"
    r"|non,? attend|en fait|je me suis tromp|correction|je voulais dire|pardon|plut\u00f4t)"
    "|^(?:\u4e0d\u5bf9|\u7b49\u7b49|\u66f4\u6b63|\u6211\u8bf4\u9519|\u5176\u5b9e|\u5e94\u8be5\u662f|\u3044\u3084|\u8a02\u6b63|\u9593\u9055\u3048|\u3059\u307f\u307e\u305b\u3093\u3001|\u5b9f\u306f|\u3084\u3063\u3071\u308a)",
    re.IGNORECASE,
)
_DAYS = "|".join(CALENDAR[12:])
_MONTHS = "|".join(name for name in CALENDAR[:12] if name.lower() not in ("march", "may"))
_VALUES: Final = tuple(
    re.compile(rf"\b(?:{words})\b", re.IGNORECASE)
    for words in (
        _DAYS,
        rf"{_MONTHS}|(?:(?<=in )|(?<=on )|(?<=of )|(?<=\d ))(?:march|may)|(?:march|may)(?= \d)",
        r"\d[\d.,:]*|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|noon|midnight",
    )
)
"""Kinds of what is put in the place of another."""


class UserText(msgspec.Struct, frozen=True):
    """What a user said, and its words."""

    seq: int
    name: str
    text: str
    words: dict[int, float]


def corrected(said: UserText, told: Iterable[UserText]) -> UserText | None:
    """Of what the same one told before, the latest first, that which is corrected: what shares a word, or else has a
    value of the same kind."""
    if len(said.text) > BRIEF_CHARS or not CORRECTS.match(said.text):
        return None
    near = [one for one in told if one.name == said.name and 0 < said.seq - one.seq <= NEAR_SEQS]
    values = _values(said.text)
    found = max(
        near,
        key=lambda one: (len(one.words.keys() & said.words.keys()), bool(_values(one.text) & values)),
        default=None,
    )
    if found is None or not (found.words.keys() & said.words.keys() or _values(found.text) & values):
        return None
    return found


def _values(text: str) -> frozenset[int]:
    return frozenset(number for number, kind in enumerate(_VALUES) if kind.search(text))
