"""How many tokens a text has for a tokenizer that is not known: by its scripts and digits.

OpenAI's o200k_base has long pieces for most of the world's scripts; the tokenizers of open models often have none, and
take such a text letter by letter, or byte by byte. Digits many of them take one by one.

Rules. (1) What is in no table here is counted as o200k_base has it. (2) The rates are the worst of the tokenizers that
`bench/tokenizers.py` measured, less the margin that such models have anyway (1.3): so that their counts hold for each.
"""

from __future__ import annotations

import re
from math import ceil
from typing import Final

SUFFIX: Final = "+scripts"
"""Behind an encoding's name: its counts, weighed so."""

_RATES: Final = (
    ("digits", 0.87, "0-9"),
    ("accented", 0.5, "\u0080-\u024f"),
    ("vietnamese", 1.0, "\u0300-\u036f\u1e00-\u1eff"),
    ("greek", 0.9, "\u0370-\u03ff\u1f00-\u1fff"),
    ("cyrillic", 0.65, "\u0400-\u052f"),
    ("hebrew", 0.97, "\u0590-\u05ff"),
    ("arabic", 0.86, "\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufeff"),
    ("devanagari", 1.3, "\u0900-\u097f"),
    ("kana", 1.3, "\u3000-\u30ff\uff00-\uffef"),
    ("han", 1.42, "\u3400-\u9fff\uf900-\ufaff"),
    ("hangul", 2.1, "\u1100-\u11ff\uac00-\ud7af"),
    ("indic", 1.72, "\u0980-\u0dff\u0e00-\u0eff\u10a0-\u10ff\u0530-\u058f"),
    ("signs", 1.0, "\u2000-\u2bff"),
    ("astral", 3.2, "\U00010000-\U0010ffff"),
    (
        "others",
        2.6,
        "\u0250-\u02ff\u0700-\u074f\u0780-\u08ff\u0f00-\u109f\u1200-\u1dff\u2c00-\u2fff\u3100-\u33ff\ua000-\uabff",
    ),
)
"""Name, tokens a character, and its characters."""
_RATE: Final = {name: rate for name, rate, _ in _RATES}
_WEIGHED: Final = re.compile("|".join(f"(?P<{name}>[{characters}]+)" for name, _, characters in _RATES))


def weighed(text: str) -> tuple[str, int]:
    """The text without what is weighed here, and the tokens of that."""
    tokens = 0.0

    def take(found: re.Match[str]) -> str:
        nonlocal tokens
        tokens += _RATE[found.lastgroup or "others"] * len(found[0])
        return " "

    rest = _WEIGHED.sub(take, text)
    return rest, ceil(tokens)
