"""One form for what is one word, character by character: the same for what is kept and for what is looked for.

Rules. (1) What no reader sees makes no difference: soft hyphens, characters of no width, how an accent or a letter is
encoded, full and half width. Nor do points that writers leave out (Arabic, Hebrew). (2) What tells words apart stays:
accents of Latin letters, vowel signs of the scripts of India and of Thai. (3) ASCII stays as it is, but for line ends.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import lru_cache
from itertools import chain
from typing import Final
from unicodedata import category, combining, decimal, normalize

from palimpsest.store.words.known import WORD_CHARS

_SIGNS: Final = re.compile(
    "[{}]".format(
        "".join(
            chr(code)
            for code in range(0x900, 0xF00)
            if category(chr(code)) == "Mn" or (code < 0xE00 and category(chr(code)) == "Mc")
        )
    )
)
"""The vowel signs, and other marks, of the scripts of India, Thai and Lao."""

_LETTER: Final = r"[^\W\d_]"
_LINE_END: Final = r"[ \t]*\r?\n[ \t]*"
_BEHIND: Final = rf"(?<={_LETTER}-){_LINE_END}(?=[^\W_])|(?<=\d-){_LINE_END}(?={_LETTER})"
_BROKEN: Final = re.compile(rf"-(?:{_BEHIND})")
_SPOT: Final = re.compile(rf"[-\x80-\U0010ffff](?:{_BEHIND}|(?<!-)[\x80-\U0010ffff]*)")
"""What may not stand as it is: a hyphen at a line's end, and all that is not ASCII."""

_UNUSUAL: Final = re.compile(
    "[^\x00-\x7f\u00c0-\u0131\u0134-\u013e\u0141-\u0148\u014a-\u017e\u2013\u2014\u201c\u201d](?!(?<=\u2019)\\D)"
)
"""Whether there is more than ASCII, letters of Europe, and the signs between words that printers have."""
_PRINTED: Final = "\u2019\u201c\u201d"
"""Those of these that ASCII has too."""

_UNSEEN: Final = "\u00ad\u034f\u061c\u0640\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
"""What has no width, and the stroke that only makes an Arabic word longer."""
_DROPPED: Final = re.compile(f"[{_UNSEEN}]")
_SOFT_END: Final = re.compile(rf"\u00ad(?<=[^\W_]\u00ad)(?={_LINE_END}[^\W_])")
_GROUPED: Final = re.compile("[\u00a0\u2007\u2009\u202f](?<=\\d.)(?=\\d{3}(?!\\d))")
"""A space that parts a number's thousands, and at which no line ends."""
_VOWEL_AM: Final = re.compile("([\u0e4d\u0ecd])([\u0e48-\u0e4b\u0ec8-\u0ecb]?)([\u0e32\u0eb2])")
"""The vowel that is one character in Thai and Lao, in two."""
_JOINING: Final = "\uff9e\uff9f\u1160-\u11ff"
"""What makes one letter with that before it, beside marks: half-width voicing, parts of Korean syllables."""


def plain(text: str) -> str:
    """A text as its words are counted: encoded in one way, without what makes no difference. Case is kept."""
    if not _is_usual(text):
        text = _composed(_even(text))
    return _BROKEN.sub("-", text) if "-" in text else text


def _is_usual(text: str) -> bool:
    return text.isascii() or not _UNUSUAL.search(text)


def without_signs(text: str) -> str:
    """A plain text without vowel signs; of a vowel that is a sign and a letter (Thai, Lao) the letter stays."""
    return _SIGNS.sub("", text).replace("\u0e33", "\u0e32").replace("\u0eb3", "\u0eb2")


def _even(text: str) -> str:
    """As long as the text: hyphens, apostrophes, digits and groups of digits as ASCII has them."""
    signs, same = _same()
    text = signs.sub(lambda found: same[found[0]], _SOFT_END.sub("-", text))
    return _GROUPED.sub(",", text)


def _composed(text: str) -> str:
    text = normalize("NFKC", _DROPPED.sub("", text))
    text = _points().sub("", text).replace("\u0451", "\u0435").replace("\u0401", "\u0415")  # its points are left out
    return _VOWEL_AM.sub(lambda found: found[2] + ("\u0e33" if found[3] == "\u0e32" else "\u0eb3"), text)


@lru_cache(maxsize=1)
def _same() -> tuple[re.Pattern[str], dict[str, str]]:
    """Signs and digits, each with the one of ASCII that it counts as."""
    same = {"\u066b": ".", "\u066c": ","}
    for plain_sign, signs in (
        ("-", "\u2010\u2011\u2043"),
        ("'", "\u2018\u2019\u02bc\uff07"),
        ('"', "\u201c\u201d\u201e"),
    ):
        same |= dict.fromkeys(signs, plain_sign)
    same |= {chr(code): str(decimal(chr(code))) for code in range(0x80, 0x3000) if category(chr(code)) == "Nd"}
    return re.compile(f"[{''.join(same)}]"), same


@lru_cache(maxsize=1)
def _points() -> re.Pattern[str]:
    """Marks that are left when letters are composed. Those of Thai to Burmese, and of Khmer, are parts of words, and so
    is what joins consonants in the scripts of India (class 9)."""
    codes = chain(range(0x300, 0xE00), range(0x10A0, 0x1780), range(0x1800, 0x3100), range(0xA600, 0xAC00))
    return re.compile(
        f"[{''.join(chr(code) for code in (*codes, *range(0xFB00, 0xFE30)) if combining(chr(code)) not in (0, 9))}]"
    )


@lru_cache(maxsize=2)
def _clusters(bare: bool) -> re.Pattern[str]:
    """What is made plain together: a character and the marks on it."""
    marks = _points().pattern[1:-1] + (_SIGNS.pattern[1:-1] if bare else "")
    am = "[\u0e48-\u0e4b\u0ec8-\u0ecb]?[\u0e4d\u0ecd][\u0e48-\u0e4b\u0ec8-\u0ecb]?[\u0e32\u0eb2]"
    return re.compile(f"{am}|[\\s\\S][{marks}{_UNSEEN}{_JOINING}]{{0,30}}")


class Folded:
    """A text made plain, in lower case, hyphens at line ends out; and where each of its characters stood.

    `bare`: without vowel signs too.
    """

    def __init__(self, text: str, *, bare: bool = False) -> None:
        self._at, self._origin, self._wide = [0], [0], [0]
        if _is_usual(text) and ("-" not in text or not _BROKEN.search(text)):
            self.text = text.casefold()
            for sign in () if text.isascii() else _PRINTED:
                self.text = self.text.replace(sign, _same()[1][sign])
            if len(self.text) == len(text):
                return
        self._pieces: list[str] = []
        self._length = self._taken = 0
        even = _even(text)
        for spot in _SPOT.finditer(even):
            start = max(self._taken, spot.start() - (spot[0][0] != "-"))  # a mark may stand on the letter before
            self._keep(even[self._taken : start].lower())
            if spot[0][0] == "-":
                self._put("", len(spot[0]))
            else:
                self._fold(even[start : spot.end()], bare=bare)
        self._keep(even[self._taken :].lower())
        self.text = "".join(self._pieces)

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where in the text it stood that is at these offsets now; of a letter that is several now, all of it."""
        first, last = (bisect_right(self._at, offset) - 1 for offset in (start, end - 1))
        begin = self._origin[first] + (0 if self._wide[first] else start - self._at[first])
        return begin, self._origin[last] + (self._wide[last] or end - self._at[last])

    def _fold(self, run: str, *, bare: bool) -> None:
        small = run.casefold()
        if len(small) == len(run) and _composed(run) == run and not (bare and without_signs(run) != run):
            self._keep(small)
            return
        for cluster in _clusters(bare).findall(run):
            piece = _small(cluster, bare)
            if len(cluster) == len(piece) == 1:
                self._keep(piece)
            else:
                self._put(piece, len(cluster))

    def _keep(self, stretch: str) -> None:
        """A stretch that is as long as it was."""
        if self._wide[-1] and stretch:
            self._begin(0)
        self._pieces.append(stretch)
        self._length += len(stretch)
        self._taken += len(stretch)

    def _put(self, piece: str, wide: int) -> None:
        """A piece in the place of `wide` characters."""
        self._begin(wide)
        self._pieces.append(piece)
        self._length += len(piece)
        self._taken += wide

    def _begin(self, wide: int) -> None:
        self._at.append(self._length)
        self._origin.append(self._taken)
        self._wide.append(wide)


@lru_cache(maxsize=8192)
def _small(cluster: str, bare: bool) -> str:
    piece = _points().sub("", _composed(cluster).casefold())
    return without_signs(piece) if bare else piece


# --- words of several parts, and numbers ----------------------------------------------------------------------------

_UP: Final = "A-Z\u00c0-\u00d6\u00d8-\u00de\u0391-\u03a9\u0410-\u042f"
_LOW: Final = "a-z\u00df-\u00f6\u00f8-\u00ff\u03b1-\u03c9\u0430-\u044f"
_HUMP: Final = rf"(?<=[{_LOW}][{_UP}])|(?<=[{_UP}][{_UP}])(?=[{_LOW}]{{2}})"
_HUMPS: Final = re.compile(rf"[{_UP}](?:{_HUMP})")
_ANY: Final = re.compile(rf"[-_.,'{_UP}](?<=[^\W_].)(?!\s)(?:(?<=[-_])(?=\w)|(?<=\d[.,'])(?=\d)|{_HUMP})")
"""Whether there is any: most texts have none."""
_PARTED: Final = re.compile(
    rf"(?<![\w.,])({_LETTER}*+)(\d++(?:[.,']\d++)++)([^\W_]*+)"  # v2.60, 1,250,000
    r"|[^\W_]++(?:[-_]++[^\W_]++(?![.,']\d))*+"  # e-mail, snake_case, camelCase
)
THOUSANDS: Final = r"\d{1,3}(?P<sign>[.,'])\d{3}(?:(?P=sign)\d{3})*|\d{1,2}(?:,\d{2})+,\d{3}"
_COUNT: Final = re.compile(rf"({THOUSANDS})(?:(?!(?P=sign))[.,](?P<rest>\d+))?")
_SPACED: Final = re.compile(r" (?<=\d )(?=\d{3}(?!\d))")
_SPACED_COUNT: Final = re.compile(r"(?<![\d.,])(?<!\d )\d{1,3}(?: \d{3})+(?! ?\d)")
_INDIC: Final = re.compile("[\u0900-\u0963\u0966-\u0dff]+")
_SPACE: Final = re.compile(r"\s")
_POINT: Final = "dot"
"""Between the parts of what is one word: 2dot60."""


def together(text: str) -> str:
    """A plain text in which each number that spaces part (1 250 000) stands beside itself without them, and each word
    with vowel signs of India beside its consonants."""
    if _SPACED.search(text):
        text = _SPACED_COUNT.sub(lambda found: f"{found[0]} {without_spaces(found[0])}", text)
    return text if text.isascii() else _INDIC.sub(_with_consonants, text)


def without_spaces(text: str) -> str:
    """A text in which no spaces part the thousands of numbers."""
    return _SPACED_COUNT.sub(lambda found: found[0].replace(" ", ""), text)


def parted(text: str) -> str:
    """A plain text in which each word of several parts stands as these and as one: e-mail as e, mail and email, v2.60
    as v2, 60 and one word that 2.60 gives too. Numbers are written as 1250000. What it gives is that of its words."""
    found, pieces, end = _ANY.search(text), list[str](), 0
    if not found:
        return text
    while found:
        at = found.start()
        start = max(end, text.rfind(" ", end, at) + 1, text.rfind("\n", end, at) + 1)
        space = _SPACE.search(text, at)
        pieces.append(text[end:start])
        end = space.start() if space else len(text)
        pieces.append(_parted(text[start:end]) if end - start <= WORD_CHARS else _PARTED.sub(_parts, text[start:end]))
        found = _ANY.search(text, end)
    return "".join((*pieces, text[end:]))


@lru_cache(maxsize=8192)
def _parted(word: str) -> str:
    return _PARTED.sub(_parts, word)


def _with_consonants(found: re.Match[str]) -> str:
    consonants = _SIGNS.sub("", found[0])
    return f"{found[0]} {consonants}" if 1 < len(consonants) < len(found[0]) else found[0]


def _parts(found: re.Match[str]) -> str:
    if found[2]:
        return _number(found[1], found[2], found[3])
    parts = _HUMPS.sub(lambda hump: f" {hump[0]}", re.sub("[-_]+", " ", found[0])).split()
    if len(parts) == 1:
        return found[0]
    if len(parts) > 2 and len(parts[0]) == 1 and parts[0].isalpha():  # e-mail-address
        parts.insert(0, parts[0] + parts[1])
        return " ".join((*parts, "".join(parts[1:])))
    return " ".join((*parts, "".join(parts)))


def _number(before: str, number: str, behind: str) -> str:
    """Of a number with the letters on it: 1,250.50 as 1250, 50 and one word; 1.250 may be a version too."""
    count, parts, signs = _COUNT.fullmatch(number), re.split("[.,']", number), set(re.sub(r"\d", "", number))
    words = [_bare(count[1]), *filter(None, [count["rest"]])] if count else parts
    whole = words if signs == {"."} or len(words) == 2 else []
    if count and len(words) == 1:
        whole = words if before or behind else []
        if signs == {"."}:
            words, whole = [*words, *parts], parts
    return f"{before}{' '.join(words)}{behind} {_POINT.join(whole)}".rstrip()


def _bare(number: str) -> str:
    return re.sub(r"\D", "", number)
