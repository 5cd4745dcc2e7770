"""Times in words: exact times counted from the message, and the note that is left."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import pytest

from palimpsest.actors.models.offline.clock import ahead, moment, past_days, when
from palimpsest.actors.models.offline.remind import is_cancel, is_list, is_reminder, note_of

NOW = moment("2026-11-22 15:24:15 UTC")  # a Sunday


@pytest.mark.parametrize(
    ("said", "argument", "value", "note"),
    [
        ("Remind me in 10 minutes to call Ann", "in_minutes", 10, "call Ann"),
        ("remind me to call Ann in 2 hours", "in_minutes", 120, "call Ann"),
        ("in half an hour, please remind me to call Ann", "in_minutes", 30, "call Ann"),
        ("remind me in 90 seconds to go", "in_minutes", 1.5, "go"),
        ("remind me tomorrow at 9 to water the plants", "at", "2026-11-23 09:00", "water the plants"),
        ("remind me tomorrow at 9 a.m. to go", "at", "2026-11-23 09:00", "go"),
        ("remind me to go at 2026-11-23 09:00", "at", "2026-11-23 09:00", "go"),
        ("remind me on 2026-12-01 at 18:30 about the tax", "at", "2026-12-01 18:30", "the tax"),
        ("remind me at 5pm that the shop closes", "at", "2026-11-22 17:00", "the shop closes"),
        ("remind me at 14:00 to eat", "at", "2026-11-23 14:00", "eat"),
        ("Remind me on Friday at 10 to pay the rent", "at", "2026-11-27 10:00", "pay the rent"),
        ("remind me on 3 May to call", "at", "2027-05-03 09:00", "call"),
        ("remind me tonight to read", "at", "2026-11-22 20:00", "read"),
        ("every day at 9 remind me to stretch", "cron", "0 9 * * *", "stretch"),
        ("remind me every weekday at 8:30 to stand up", "cron", "30 8 * * 1-5", "stand up"),
        ("remind me every Sunday at 7pm to call home", "cron", "0 19 * * 0", "call home"),
        ("remind me every 30 minutes to drink water", "every_minutes", 30, "drink water"),
        ("remind me every hour to blink", "every_minutes", 60, "blink"),
    ],
)
def test_times(said: str, argument: str, value: str | float, note: str) -> None:
    found = when(said, NOW)
    assert found is not None
    assert (found.argument, found.value) == (argument, value)
    assert note_of(found.rest) == note


ZONED: Final = (
    ("remind me at 5pm to go", "2026-11-22 17:00", "at 2026-11-22 17:00"),
    ("remind me at 9 to go", "2026-11-23 09:00", "at 2026-11-23 09:00"),
    ("remind me at 17:30 UTC to go", "2026-11-22 17:30 UTC", "at 2026-11-22 17:30 UTC"),
    ("remind me at 15:00 UTC to go", "2026-11-23 15:00 UTC", "at 2026-11-23 15:00 UTC"),  # it is 15:24 UTC
    ("remind me every day at 9 to go", "0 9 * * *", "every day at 09:00"),
)


@pytest.mark.parametrize(("text", "value", "said"), ZONED)
def test_times_of_a_clock_that_is_not_utc(text: str, value: str, said: str) -> None:
    time = "2026-11-22 10:24:15 -05:00"
    found = when(text, moment(time), ahead(time))
    assert found is not None
    assert (found.value, found.said) == (value, said)


def test_how_far_a_clock_is_ahead_of_utc() -> None:
    assert ahead("2026-11-22 15:24:15 UTC") is None
    assert ahead("2026-11-22 20:54:15 +05:30") == timedelta(hours=5, minutes=30)
    assert ahead("2026-11-22 10:24:15 -05:00") == -timedelta(hours=5)


@pytest.mark.parametrize(
    "said", ["remind me to call Ann", "remind me at 25:99 to go", "remind me on 31 February to go"]
)
def test_no_time(said: str) -> None:
    assert when(said, NOW) is None


def test_days_of_the_past() -> None:
    assert NOW is not None
    days = past_days("what did we say last week?", NOW.date())
    assert days is not None
    assert [day.isoformat() for day in days] == ["2026-11-09", "2026-11-15"]
    assert past_days("what did we say?", NOW.date()) is None


def test_what_is_asked_of_timers() -> None:
    assert is_reminder("Remind me at 9 to go")
    assert not is_reminder("Remind me what my name is")
    assert is_list("what reminders do I have?")
    assert is_cancel("cancel the reminder about Ann")
