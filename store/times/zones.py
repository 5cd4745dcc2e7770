"""Time zones, by the pinned `tzdata` package: what the clocks of a place show, and when they show it.

Rules. (1) The machine's own zone data are never read, so that all machines of a cluster say the same. (2) What is
found here is written into an event, and asked for once: no fold, context or replay imports this; an index, which does,
has `DATA` in its stamp. (3) An hour that a
zone skips means the moment at which the gap ends; one that comes twice means its first.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from tzdata import IANA_VERSION

from palimpsest.events.errors import BadInput
from palimpsest.events.passages import DAY_MS, days_of
from palimpsest.events.times import is_utc

LOCALTIME: Final = Path("/etc/localtime")
TIMEZONE: Final = Path("/etc/timezone")
DATA: Final = IANA_VERSION
"""Which zone data this is: what days an index has depends on it."""
LAST_MS: Final = 253_402_300_799_999

_NONE: Final = frozenset({"factory"})
"""Names of the data that are no place's."""
_UTCS: Final = frozenset({"uct", "universal", "zulu", "etc/utc", "etc/uct", "etc/universal", "etc/zulu"})
_PATH: Final = re.compile(r"zoneinfo[^/]*/(?:posix/|right/)?(?P<name>.+)$")
_FIXED: Final = re.compile(r"(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)(?P<west>[+-]?\d{1,2})(?::00)?")
"""A POSIX zone without daylight saving: EST5, <+03>-3."""
_OFFSET: Final = re.compile(r"(?:UTC|GMT)?(?P<sign>[+-])(?P<hours>\d{1,2})(?::?(?P<minutes>\d{2}))?", re.I)
_SPLIT: Final = re.compile(r"[^a-z0-9]+")
_EMPTY: Final = frozenset({"standard", "time", "daylight", "zone", "the", "summer"})
_NEAR: Final = 5


# --- names ----------------------------------------------------------------------------------------------------------


@cache
def names() -> Mapping[str, str]:
    """All names of zones, by how they are written in lower case."""
    listed = files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    return {name.lower(): name for name in listed if name.lower() not in _NONE}


def named(text: str) -> str:
    """The zone of this name, as the IANA writes it. Raises BadInput, with names that are near."""
    key = text.strip().replace(" ", "_").lower()
    if key in _UTCS or key == "utc":
        return "UTC"
    if key in names():
        return names()[key]
    raise BadInput(f"There is no time zone {_quoted(text)}. {_hint(text)}")


def _quoted(text: str) -> str:
    return f"'{text[:60]}'" if text[:60].isprintable() else ascii(text[:60])


def _hint(text: str) -> str:
    if offset := _OFFSET.fullmatch(text.strip()):
        west = "-" if offset["sign"] == "+" else "+"
        fixed = names().get(f"etc/gmt{west}{int(offset['hours'])}", "") if offset["minutes"] in (None, "00") else ""
        same = f"; the same offset all year is {fixed}" if fixed else ""
        return f"An offset does not know when clocks are changed: give a place, as Europe/Berlin{same}."
    near = _near(text)
    return (f"Did you mean {' or '.join(near)}? " if near else "") + "Zones have names such as America/New_York or UTC."


def _near(text: str) -> list[str]:
    """Names of a place that is called so, or much like it; else those with a word of this text in them."""
    words = [word for word in _SPLIT.split(text.lower()) if len(word) > 2 and word not in _EMPTY]
    whole = "_".join(words)
    places = {key: key.rpartition("/")[2] for key in names()}
    found = [key for key, place in places.items() if whole in (place, key)]
    found += get_close_matches(text.strip().replace(" ", "_").lower(), places, n=3, cutoff=0.8)
    alike = get_close_matches(whole, places.values(), n=3, cutoff=0.8)
    found += [key for key, place in places.items() if place in alike]
    found = found or [key for key in places if whole and key.startswith(whole)]
    found = found or [key for key in places if set(words) & set(_SPLIT.split(key))]
    return [names()[key] for key in dict.fromkeys(found)][:_NEAR]


def local(
    environ: Mapping[str, str] = os.environ, *, localtime: Path = LOCALTIME, timezone: Path = TIMEZONE
) -> tuple[str, str]:
    """The zone of whoever runs this process, and a word on it where it cannot be known by its name (it is UTC then).

    It is TZ's, as the C library reads it (empty: UTC), else the machine's.
    """
    said = environ.get("TZ")
    if said is None:
        return _machines(localtime, timezone)
    said = said.strip().removeprefix(":")
    if said == str(localtime):
        return _machines(localtime, timezone)
    name = "UTC" if not said else _known(said) or _of_path(said) or _fixed(said)
    return (name, "") if name else ("UTC", f"TZ is {_quoted(said)}, which is the name of no time zone: UTC is taken.")


def _known(name: str) -> str:
    key = name.lower()
    return "UTC" if key in _UTCS else names().get(key, "")


def _of_path(path: str) -> str:
    """The zone of a file of zone data, by its path, or by that of the file which it is a link to."""
    if not path.startswith("/"):
        return ""
    found = (_PATH.search(each) for each in (path, os.path.realpath(path)))
    return next((name for match in found if match and (name := _known(match["name"]))), "")


def _fixed(said: str) -> str:
    """The zone of a POSIX text that has the same offset all year."""
    match = _FIXED.fullmatch(said)
    return _known(f"Etc/GMT{int(match['west']):+d}" if int(match["west"]) else "UTC") if match else ""


def _machines(localtime: Path, timezone: Path) -> tuple[str, str]:
    if not localtime.exists():
        return "UTC", ""  # as the C library has it
    name = _of_path(str(localtime))
    if not name:
        try:
            name = _known(timezone.read_text(encoding="utf-8").split("\n")[0].strip())
        except (OSError, UnicodeDecodeError):
            name = ""
    return (name, "") if name else ("UTC", f"{localtime} does not say the name of its time zone: UTC is taken.")


# --- clocks ---------------------------------------------------------------------------------------------------------


@cache
def zone(name: str) -> tzinfo | None:
    """The zone of this name; None: no such zone is known here."""
    if is_utc(name):
        return UTC
    if names().get(name.lower()) != name:
        return None
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


def offset_s(name: str, time_ms: int) -> int | None:
    """By how many seconds a zone's clocks are ahead of UTC then; None: it is UTC, or no such zone is known here."""
    found = None if is_utc(name) else zone(name)
    return None if found is None else _ahead_s(found, time_ms)


def _ahead_s(at: tzinfo, time_ms: int) -> int:
    return round((wall(at, time_ms) - _naive(time_ms)).total_seconds())


def _naive(time_ms: int) -> datetime:
    return datetime(1970, 1, 1) + timedelta(milliseconds=time_ms)


def wall(at: tzinfo, time_ms: int) -> datetime:
    """What the clocks of a zone show."""
    return datetime.fromtimestamp(time_ms / 1000, at).replace(tzinfo=None, fold=0)


def instants_ms(at: tzinfo, shown: datetime) -> tuple[int, ...]:
    """When the clocks of a zone show this: once, twice, or never."""
    both = {_ms(shown.replace(tzinfo=at, fold=fold)) for fold in (0, 1)}
    return tuple(sorted(each for each in both if wall(at, each) == shown))


def instant_ms(at: tzinfo, shown: datetime) -> int:
    """The moment that is meant by what a clock is to show: the first such, or the end of the gap that skips it."""
    shows = instants_ms(at, shown)
    return shows[0] if shows else gap_end_ms(at, shown)


def gap_end_ms(at: tzinfo, shown: datetime) -> int:
    """The end of the gap in which the clocks never show this."""
    before, after = sorted(_ms(shown.replace(tzinfo=at, fold=fold)) for fold in (0, 1))
    return change_ms(at, before, after)


def change_ms(at: tzinfo, before_ms: int, after_ms: int) -> int:
    """The first moment of the offset that holds at `after_ms`, and not at `before_ms`: one change is between them."""
    was = _ahead_s(at, before_ms)
    low, high = before_ms // 1000, -(-after_ms // 1000)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _ahead_s(at, middle * 1000) == was else (low, middle)
    return high * 1000


def next_change_ms(at: tzinfo, after_ms: int, until_ms: int) -> int:
    """The first moment after `after_ms`, and up to `until_ms`, at which the clocks are changed (0: none)."""
    was = _ahead_s(at, after_ms)
    for day_ms in range(after_ms, until_ms, DAY_MS):
        end_ms = min(day_ms + DAY_MS, until_ms)
        if _ahead_s(at, end_ms) != was:
            return change_ms(at, day_ms, end_ms)
    return 0


def _ms(moment: datetime) -> int:
    return round((moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))


def day_bounds(name: str, start_date: str, end_date: str) -> tuple[int, int]:
    """The first and the last millisecond of a range of days of a zone, both inclusive. Raises ValueError with a text
    for the model."""
    first, last = days_of(start_date, end_date)
    at = zone(name) or UTC
    return _begin_ms(at, first), LAST_MS if last == date.max else _begin_ms(at, last + timedelta(days=1)) - 1


def _begin_ms(at: tzinfo, day: date) -> int:
    """Before 1970 nothing was said."""
    return instant_ms(at if day.year >= 1970 else UTC, datetime(day.year, day.month, day.day))
