# ruff: noqa: RUF001 (both forms of the apostrophe are matched, as users type them)
"""Times in what a user says: "in 10 minutes", "tomorrow at 9", "every weekday at 8:30", "on 2026-11-23".

Two rules. Every time is by the clock that the message is stamped with (UTC's, or that of the agent's zone), and counted
from the time of the message. What is found is returned with the text that is left, so that "remind me tomorrow at 9 to
call Ann" leaves the note.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Final

import msgspec

_SPAN_CHARS: Final = 600

_NUMBERS: Final = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "sixty": 60, "half an": 0.5,
    "a couple of": 2, "other": 2,
}  # fmt: skip
_UNITS: Final = {"s": 1 / 60, "m": 1.0, "h": 60.0, "d": 1440.0, "w": 10080.0}
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH: Final = (
    r"(?P<{0}>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_AMOUNT: Final = (
    r"(\d{1,5}(?:\.\d+)?|half an|a couple of|an?|one|two|three|four|five|six|seven|eight|nine|ten|fifteen|twenty|thirty"
    r"|forty|sixty|other)"
)
_UNIT: Final = r"(seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|w)\b"
_IN: Final = re.compile(
    rf"\b(?:in|after|for) {_AMOUNT}[ -]?{_UNIT}(?: from now| time)?|\b{_AMOUNT} {_UNIT} from now", re.I
)
_BARE_SPAN: Final = re.compile(rf"\b{_AMOUNT}[ -]?{_UNIT}", re.I)
_EVERY_SPAN: Final = re.compile(rf"\b(?:every|each) (?:{_AMOUNT} )?{_UNIT}|\b(hourly)\b", re.I)
_EVERY_DAY: Final = re.compile(
    r"\b(?:(?:every|each) (?P<what>(?:single )?day|morning|evening|night|afternoon|weekday|weekend|work(?:ing)? ?day"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day|month)s?|(?P<daily>daily|weekly|monthly))"
    r"(?:,? on the (?P<nth>\d{1,2})(?:st|nd|rd|th)?)?\b",
    re.I,
)
_CLOCK: Final = re.compile(
    r"(?i)\b(?:at|by|around|@) ?(?P<hour>\d{1,2})(?:[:.h](?P<minute>\d{2}))?(?: ?(?P<half>am|pm))?(?: ?o['’]clock)?"
    r"(?: utc)?\b(?!\s*%|[-/]\d)|\b(?P<hour2>\d{1,2}):(?P<minute2>\d{2})(?: ?(?P<half2>am|pm))?(?: utc)?\b"
    r"|\b(?P<hour3>\d{1,2}) ?(?P<half3>am|pm)(?: utc)?\b|\b(?:at )?(?P<word>noon|midday|midnight)\b"
)
_DAY: Final = re.compile(
    r"\b(?:on |at )?(?P<iso>\d{4}-\d{2}-\d{2})(?:[T ](?=\d))?|\b(?P<rel>the day after tomorrow|tomorrow|tonight|today"
    r"|this (?:morning|afternoon|evening))\b(?: (?P<part>morning|afternoon|evening|night))?|\b(?:on |next |this "
    r"|on next )(?P<week>(?:mon|tues|wednes|thurs|fri|satur|sun)day)\b(?: (?P<part2>morning|afternoon|evening|night))?"
    rf"|\b(?:on )?(?:the )?(?P<dom>\d{{1,2}})(?:st|nd|rd|th)? (?:of )?{_MONTH.format('month')}\b"
    r"(?:,? (?P<year>\d{4}))?"
    rf"|\b(?:on )?{_MONTH.format('month2')} (?P<dom2>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (?P<year2>\d{{4}}))?"
    r"|\bnext (?P<nextweek>week)\b",
    re.I,
)
_PARTS: Final = {"morning": 9, "afternoon": 15, "evening": 19, "night": 20, "tonight": 20}
_AM: Final = re.compile(r"\b([ap])\.\s?m\b\.?", re.I)
_AHEAD: Final = re.compile(r" (?P<sign>[+-])(?P<hours>\d\d):(?P<minutes>\d\d)(?::\d\d)?$")
_PAST: Final = re.compile(r"\b(?:(yesterday)|(today)|last (week)|this (week)|(?:on )?(\d{4}-\d{2}-\d{2}))\b", re.I)


class When(msgspec.Struct, frozen=True):
    """When a timer is to fire: the argument of `set_timer` that says so, how to say it, and the text that is left."""

    argument: str
    value: str | float
    said: str
    rest: str


def moment(time: str) -> datetime | None:
    """A rendered time, `YYYY-MM-DD HH:MM[:SS]` and then `UTC` or an offset, as a naive datetime on its clock."""
    try:
        return datetime.fromisoformat(time.removesuffix(" UTC").strip()[:19]).replace(tzinfo=None)
    except ValueError:
        return None


def ahead(time: str) -> timedelta | None:
    """How far the clock of a rendered time is ahead of UTC; None: it is UTC."""
    match = _AHEAD.search(time)
    ahead = timedelta(hours=int(match["hours"]), minutes=int(match["minutes"])) if match else None
    return -ahead if match and ahead and match["sign"] == "-" else ahead


def when(text: str, now: datetime | None, zone: timedelta | None = None) -> When | None:
    """The time that a request for a reminder names, if it names one. Without `now`, spans and repeats alone. `zone`:
    how far the clock is ahead of UTC (None: it is UTC)."""
    text = _AM.sub(r"\1m", text[:_SPAN_CHARS])
    return _every(text, " UTC" if zone is None else "") or _after(text) or (_at(text, now, zone) if now else None)


def span(text: str) -> When | None:
    """A bare span, as in "set a timer of 10 minutes"."""
    match = _BARE_SPAN.search(text[:_SPAN_CHARS])
    return _in_minutes(match, text, match[1], match[2]) if match else None


def _left(text: str, *matches: re.Match[str] | None) -> str:
    for match in sorted((m for m in matches if m), key=lambda m: -m.start()):
        text = f"{text[: match.start()]} {text[match.end() :]}"
    return " ".join(text.split())


def _minutes(amount: str | None, unit: str) -> float:
    count = _NUMBERS.get((amount or "one").lower())
    return round((float(amount or 1) if count is None else count) * _UNITS[unit[0].lower()], 4)


def _spell(minutes: float) -> str:
    for size, name in ((1440, "day"), (60, "hour"), (1, "minute")):
        if minutes >= size and minutes % size == 0:
            count = int(minutes // size)
            return f"{count} {name}{'' if count == 1 else 's'}"
    return f"{minutes:g} minutes"


def _in_minutes(match: re.Match[str], text: str, amount: str | None, unit: str) -> When | None:
    minutes = _minutes(amount, unit)
    if minutes <= 0:
        return None
    return When(
        "in_minutes", int(minutes) if minutes == int(minutes) else minutes, f"in {_spell(minutes)}", _left(text, match)
    )


def _after(text: str) -> When | None:
    match = _IN.search(text)
    return _in_minutes(match, text, match[1] or match[3], match[2] or match[4]) if match else None


def _clock(match: re.Match[str] | None) -> tuple[int, int] | None:
    if match is None:
        return None
    if match["word"]:
        return (0, 0) if match["word"].lower() == "midnight" else (12, 0)
    hour = int(match["hour"] or match["hour2"] or match["hour3"])
    minute = int(match["minute"] or match["minute2"] or 0)
    half = (match["half"] or match["half2"] or match["half3"] or "").lower()
    if half and 1 <= hour <= 12:
        hour = hour % 12 + (12 if half == "pm" else 0)
    return (hour, minute) if hour < 24 and minute < 60 else None


def _every(text: str, clock: str) -> When | None:
    day = _EVERY_DAY.search(text)
    if day:
        at = _CLOCK.search(text)
        what = (day["what"] or day["daily"] or "").lower().removeprefix("single ")
        hour, minute = _clock(at) or (_PARTS.get(what, 9), 0)
        fields, said = _repeat(what, max(1, min(28, int(day["nth"] or 1))))
        cron = f"{minute} {hour} {fields}"
        return When("cron", cron, f"{said} at {hour:02d}:{minute:02d}{clock}", _left(text, day, at))
    match = _EVERY_SPAN.search(text)
    if not match:
        return None
    minutes = 60.0 if match[3] else _minutes(match[1], match[2])
    if minutes <= 0:
        return None
    return When(
        "every_minutes",
        int(minutes) if minutes == int(minutes) else minutes,
        f"every {_spell(minutes).removeprefix('1 ')}",
        _left(text, match),
    )


def _repeat(what: str, nth: int) -> tuple[str, str]:
    """Cron's last three fields, and how to say them."""
    if what in _DAYS:
        return f"* * {(_DAYS.index(what) + 1) % 7}", f"every {what.capitalize()}"
    if what in ("month", "monthly"):
        return f"{nth} * *", f"on day {nth} of every month"
    days = {"weekend": "0,6", "weekly": "1"}.get(what, "1-5" if "week" in what or "work" in what else "*")
    said = {"0,6": "every weekend", "1": "every Monday", "1-5": "every weekday"}.get(days, "every day")
    return f"* * {days}", said


def _at(text: str, now: datetime, zone: timedelta | None) -> When | None:
    on = _DAY.search(text)
    clock = _CLOCK.search(text, on.end() if on and on["iso"] else 0) or _CLOCK.search(text)
    in_utc = zone is None or (clock is not None and clock[0].lower().endswith(" utc"))
    if in_utc and zone is not None:
        now -= zone
    day = day_of(on, now.date()) if on else None
    at = _clock(clock)
    if day is None and at is None:
        return None
    hour, minute = at or (_part_hour(on), 0)
    try:
        due = datetime.combine(day or now.date(), datetime.min.time()) + timedelta(hours=hour, minutes=minute)
        if day is None and due <= now:
            due += timedelta(days=1)
    except OverflowError:
        return None
    said = f"{due:%Y-%m-%d %H:%M}"
    value = f"{said} UTC" if in_utc and zone is not None else said
    rest = _left(text, on if day else None, clock if at else None)
    return When("at", value, f"at {said}{' UTC' if in_utc else ''}", rest)


def _part_hour(on: re.Match[str] | None) -> int:
    if on is None:
        return 9
    word = (on["part"] or on["part2"] or (on["rel"] or "").split(" ")[-1]).lower()
    return _PARTS.get(word, 9)


def day_of(match: re.Match[str], today: date) -> date | None:
    """The day that a match of the day pattern names; without a year, the next such day."""
    try:
        if match["iso"]:
            return date.fromisoformat(match["iso"])
        if match["rel"]:
            ahead = {"the day after tomorrow": 2, "tomorrow": 1}
            return today + timedelta(days=ahead.get(match["rel"].lower(), 0))
        if match["week"]:
            ahead_days = (_DAYS.index(match["week"].lower()) - today.weekday()) % 7 or 7
            return today + timedelta(days=ahead_days)
        if match["nextweek"]:
            return today + timedelta(days=7)
        month = _MONTHS.index((match["month"] or match["month2"])[:3].lower()) + 1
        dom, year = int(match["dom"] or match["dom2"]), match["year"] or match["year2"]
        day = date(int(year) if year else today.year, month, dom)
        return day if year or day >= today else day.replace(year=today.year + 1)
    except (ValueError, OverflowError):
        return None


def past_days(text: str, today: date) -> tuple[date, date] | None:
    """The days that a question about the past names, both inclusive."""
    match = _PAST.search(text[:_SPAN_CHARS])
    if match is None:
        return None
    try:
        if match[3] or match[4]:
            monday = today - timedelta(days=today.weekday() + (7 if match[3] else 0))
            return monday, monday + timedelta(days=6)
        day = date.fromisoformat(match[5]) if match[5] else today - timedelta(days=1 if match[1] else 0)
    except (ValueError, OverflowError):
        return None
    return day, day
