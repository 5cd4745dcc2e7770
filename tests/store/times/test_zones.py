"""store/times/zones.py and store/times/schedule.py: what clocks show, and when timers ring that go by them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.events.errors import BadInput
from palimpsest.events.times import ahead, stamp
from palimpsest.events.types import Timer
from palimpsest.store.times import zones
from palimpsest.store.times.schedule import BadTimer, goes_by_clocks, in_zone, moved, next_cron_ms, next_of, timer_from

NEW_YORK: Final = "America/New_York"
MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000
MONTHS_MS: Final = 400 * DAY_MS
FROM_MS: Final = 1_767_225_600_000  # 2026-01-01 00:00:00 UTC

Argument = str | int | float | bool


def utc(text: str) -> int:
    """2026-03-08 07:00 as milliseconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def shown(zone: str, time_ms: int) -> str:
    """What the clocks of a zone show."""
    return stamp(time_ms, zones.offset_s(zone, time_ms))


def made(zone: str, now: str, **arguments: Argument) -> Timer:
    return timer_from({"note": "tea", **arguments}, id="t1", now_ms=utc(now), zone=zone)


def rings(timer: Timer, times: int) -> list[str]:
    """When a timer rings, and goes on ringing, on the clock of its zone."""
    found: list[str] = []
    then: Timer | None = timer
    while then is not None and len(found) < times:
        found.append(stamp(then.due_ms, then.offset_s))
        then = next_of(then, then.due_ms + 40)  # nobody rings to the millisecond
    return found


# --- clocks -------------------------------------------------------------------------------------------------------

CLOCKS: Final = (
    ("Europe/Berlin", "2026-07-01 12:00", "2026-07-01 14:00:00 +02:00"),
    ("Asia/Kolkata", "2026-07-01 12:00", "2026-07-01 17:30:00 +05:30"),
    ("Australia/Lord_Howe", "2026-01-01 12:00", "2026-01-01 23:00:00 +11:00"),
    ("Australia/Lord_Howe", "2026-07-01 12:00", "2026-07-01 22:30:00 +10:30"),
    ("America/Sao_Paulo", "2018-12-01 12:00", "2018-12-01 10:00:00 -02:00"),  # it gave daylight saving up in 2019
    ("America/Sao_Paulo", "2020-12-01 12:00", "2020-12-01 09:00:00 -03:00"),
    ("Europe/London", "2026-01-01 12:00", "2026-01-01 12:00:00 +00:00"),
    ("UTC", "2026-01-01 12:00", "2026-01-01 12:00:00 UTC"),
    ("Africa/Monrovia", "1970-06-01 12:00", "1970-06-01 11:15:30 -00:44:30"),
)


@pytest.mark.parametrize(("zone", "at", "said"), CLOCKS)
def test_a_clock_shows_what_held_then(zone: str, at: str, said: str) -> None:
    assert shown(zone, utc(at)) == said


def test_offsets_are_written_as_iso_8601_has_them() -> None:
    assert [ahead(s) for s in (0, 3600, -18_000, 20_700, -2670)] == [
        "+00:00",
        "+01:00",
        "-05:00",
        "+05:45",
        "-00:44:30",
    ]


def test_the_zone_data_are_the_packages_and_not_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoneinfo.TZPATH", ())
    zones.zone.cache_clear()
    assert zones.offset_s("Asia/Tokyo", 0) == 32_400


def test_a_zone_that_is_not_known_here_has_no_clock() -> None:
    assert zones.offset_s("Mars/Olympus", 0) is None
    assert zones.offset_s("../../etc/passwd", 0) is None
    assert zones.offset_s("asia/tokyo", 0) is None, "an event has a name as the IANA writes it"


# --- days ---------------------------------------------------------------------------------------------------------

DAYS: Final = (
    (NEW_YORK, "2026-03-08", "2026-03-08 05:00", 23),
    (NEW_YORK, "2026-11-01", "2026-11-01 04:00", 25),
    ("Australia/Lord_Howe", "2026-10-04", "2026-10-03 13:30", 23.5),
    ("America/Sao_Paulo", "2018-11-04", "2018-11-04 03:00", 23),  # its day began at one o'clock
    ("America/Havana", "2023-11-05", "2023-11-05 04:00", 25),  # midnight came twice
    ("Pacific/Apia", "2011-12-29", "2011-12-29 10:00", 24),
    ("Pacific/Apia", "2011-12-30", "2011-12-30 10:00", 0),  # there was no such day
    ("", "2026-03-08", "2026-03-08 00:00", 24),
)


@pytest.mark.parametrize(("zone", "day", "begins", "hours"), DAYS)
def test_a_day_is_as_long_as_it_was_there(zone: str, day: str, begins: str, hours: float) -> None:
    start, end = zones.day_bounds(zone, day, day)
    assert start == utc(begins)
    assert end + 1 - start == hours * 3_600_000


def test_days_of_all_time_can_be_asked_for() -> None:
    for zone in ("", NEW_YORK, "Asia/Tokyo"):
        start, end = zones.day_bounds(zone, "0001-01-01", "9999-12-31")
        assert start < 0 and end == zones.LAST_MS
    with pytest.raises(ValueError, match="is no day of the calendar"):
        zones.day_bounds(NEW_YORK, "2026-02-30", "2026-03-01")


# --- once ---------------------------------------------------------------------------------------------------------

ONCE: Final = (
    (NEW_YORK, "2026-11-27 15:00", "2026-11-27 17:30", "2026-11-27 17:30:00 -05:00"),
    ("Asia/Kathmandu", "2026-11-27 15:00", "2026-11-28 09:00", "2026-11-28 09:00:00 +05:45"),
    # with an offset, or UTC, it says itself what it means; as times are shown, too
    (NEW_YORK, "2026-11-27 15:00", "2026-11-27 17:30 UTC", "2026-11-27 12:30:00 -05:00"),
    (NEW_YORK, "2026-11-27 15:00", "2026-11-27T17:30Z", "2026-11-27 12:30:00 -05:00"),
    (NEW_YORK, "2026-11-27 15:00", "2026-11-27 17:30:00 -05:00", "2026-11-27 17:30:00 -05:00"),
    (NEW_YORK, "2026-11-27 15:00", "2026-11-27T17:30+01:00", "2026-11-27 11:30:00 -05:00"),
    # an hour that does not exist rings after the gap
    (NEW_YORK, "2026-03-01 12:00", "2026-03-08 02:30", "2026-03-08 03:00:00 -04:00"),
    ("Europe/Berlin", "2026-03-01 12:00", "2026-03-29 02:00", "2026-03-29 03:00:00 +02:00"),
    ("Australia/Sydney", "2026-09-01 12:00", "2026-10-04 02:59", "2026-10-04 03:00:00 +11:00"),
    ("Australia/Lord_Howe", "2026-09-01 12:00", "2026-10-04 02:15", "2026-10-04 02:30:00 +11:00"),
    ("Pacific/Apia", "2011-12-20 12:00", "2011-12-30 08:00", "2011-12-31 00:00:00 +14:00"),
    # an hour that comes twice rings the first time
    (NEW_YORK, "2026-10-30 12:00", "2026-11-01 01:30", "2026-11-01 01:30:00 -04:00"),
    ("Australia/Lord_Howe", "2026-04-01 12:00", "2026-04-05 01:45", "2026-04-05 01:45:00 +11:00"),
    # in its midst: what is past of it is past
    (NEW_YORK, "2026-11-01 05:45", "2026-11-01 01:50", "2026-11-01 01:50:00 -04:00"),
    (NEW_YORK, "2026-11-01 05:45", "2026-11-01 01:30", "2026-11-01 01:30:00 -05:00"),
    (NEW_YORK, "2026-11-01 06:15", "2026-11-01 01:30", "2026-11-01 01:30:00 -05:00"),
)


@pytest.mark.parametrize(("zone", "now", "at", "said"), ONCE)
def test_a_timer_rings_when_the_clock_there_shows_it(zone: str, now: str, at: str, said: str) -> None:
    assert rings(made(zone, now, at=at), 2) == [said]


def test_what_is_past_there_is_refused_with_the_time_that_it_is_there() -> None:
    with pytest.raises(BadTimer, match=r"in the past: it is 2026-11-27 10:00 -05:00 now"):
        made(NEW_YORK, "2026-11-27 15:00", at="2026-11-27 09:00")
    with pytest.raises(BadTimer, match=r"Write it as YYYY-MM-DD HH:MM, in America/New_York\."):
        made(NEW_YORK, "2026-11-27 15:00", at="half past five")


# --- again and again ----------------------------------------------------------------------------------------------

REPEATS: Final[tuple[tuple[str, str, dict[str, Argument], list[str]], ...]] = (
    (  # over a gap: after it, and at its own hour again the next day
        NEW_YORK,
        "2026-03-07 12:00",
        {"cron": "30 2 * * *"},
        ["2026-03-08 03:00:00 -04:00", "2026-03-09 02:30:00 -04:00"],
    ),
    (NEW_YORK, "2026-03-07 12:00", {"cron": "0 9 * * *"}, ["2026-03-07 09:00:00 -05:00", "2026-03-08 09:00:00 -04:00"]),
    (  # over an hour that comes twice: once
        NEW_YORK,
        "2026-10-31 12:00",
        {"cron": "30 1 * * *"},
        ["2026-11-01 01:30:00 -04:00", "2026-11-02 01:30:00 -05:00"],
    ),
    (  # set between the two: it has rung
        NEW_YORK,
        "2026-11-01 06:10",
        {"cron": "30 1 * * *"},
        ["2026-11-02 01:30:00 -05:00"],
    ),
    (  # in every hour: by the hour, whatever the clocks are set to
        NEW_YORK,
        "2026-11-01 04:30",
        {"cron": "0 * * * *"},
        ["2026-11-01 01:00:00 -04:00", "2026-11-01 01:00:00 -05:00", "2026-11-01 02:00:00 -05:00"],
    ),
    (
        NEW_YORK,
        "2026-03-08 06:50",
        {"cron": "*/30 * * * *"},
        ["2026-03-08 03:00:00 -04:00", "2026-03-08 03:30:00 -04:00"],
    ),
    (  # the clocks there go back by half an hour
        "Australia/Lord_Howe",
        "2026-04-04 14:20",
        {"cron": "0 * * * *"},
        ["2026-04-05 02:00:00 +10:30", "2026-04-05 03:00:00 +10:30"],
    ),
    (  # every second hour, of which the gap has one
        NEW_YORK,
        "2026-03-08 05:30",
        {"cron": "0 */2 * * *"},
        ["2026-03-08 03:00:00 -04:00", "2026-03-08 04:00:00 -04:00"],
    ),
    (  # every ten minutes of an hour that does not exist: once, after it
        NEW_YORK,
        "2026-03-08 06:30",
        {"cron": "*/10 2 * * *"},
        ["2026-03-08 03:00:00 -04:00", "2026-03-09 02:00:00 -04:00"],
    ),
    (  # a day that does not exist is made up for when the next begins
        "Pacific/Apia",
        "2011-12-29 12:00",
        {"cron": "0 8 * * *"},
        ["2011-12-29 08:00:00 -10:00", "2011-12-31 00:00:00 +14:00", "2011-12-31 08:00:00 +14:00"],
    ),
    ("Asia/Tokyo", "2026-11-27 15:00", {"cron": "0 9 * * 1"}, ["2026-11-30 09:00:00 +09:00"]),
    (  # whole days are days of the clock …
        "Europe/Berlin",
        "2026-03-28 08:00",
        {"every_minutes": 1440},
        ["2026-03-29 09:00:00 +02:00", "2026-03-30 09:00:00 +02:00"],
    ),
    (  # … also from within a gap on
        "Europe/Berlin",
        "2026-03-28 01:30",
        {"every_minutes": 1440},
        ["2026-03-29 03:00:00 +02:00", "2026-03-30 02:30:00 +02:00"],
    ),
    (  # and other times are so long
        "Europe/Berlin",
        "2026-03-28 23:30",
        {"every_minutes": 60},
        ["2026-03-29 01:30:00 +01:00", "2026-03-29 03:30:00 +02:00"],
    ),
)


@pytest.mark.parametrize(("zone", "now", "arguments", "said"), REPEATS)
def test_a_timer_keeps_its_hour(zone: str, now: str, arguments: dict[str, Argument], said: list[str]) -> None:
    assert rings(made(zone, now, **arguments), len(said)) == said


def test_missed_days_ring_once_and_the_next_at_its_hour() -> None:
    timer = made("Europe/Berlin", "2026-03-01 08:00", every_minutes=2 * 1440)
    then = next_of(timer, utc("2026-04-10 07:30"))
    assert then is not None
    assert stamp(then.due_ms, then.offset_s) == "2026-04-12 09:00:00 +02:00"


ZONES: Final = (NEW_YORK, "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata", "America/Havana", "Africa/Casablanca")


@given(
    zone=st.sampled_from(ZONES),
    after_ms=st.integers(FROM_MS, FROM_MS + MONTHS_MS),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
)
def test_the_next_time_is_after_now_and_at_the_hour_asked_for_or_ends_a_gap(
    zone: str, after_ms: int, hour: int, minute: int
) -> None:
    clock = zones.zone(zone)
    assert clock is not None
    due_ms = next_cron_ms(f"{minute} {hour} * * *", after_ms, clock)
    assert after_ms < due_ms <= after_ms + 25 * 3_600_000 + 3_600_000
    at = zones.wall(clock, due_ms)
    if (at.hour, at.minute, at.second) != (hour, minute, 0):
        before = zones.wall(clock, due_ms - 1000)
        assert before.replace(second=0) < at.replace(hour=hour, minute=minute) < at, "the clock was set forward"
    assert zones.instant_ms(clock, at) == due_ms, "of an hour that comes twice, the first"


@given(zone=st.sampled_from(ZONES), after_ms=st.integers(FROM_MS, FROM_MS + MONTHS_MS), minute=st.integers(0, 59))
def test_what_rings_in_every_hour_is_never_more_than_two_hours_away(zone: str, after_ms: int, minute: int) -> None:
    clock = zones.zone(zone)
    assert clock is not None
    due_ms = next_cron_ms(f"{minute} * * * *", after_ms, clock)
    assert after_ms < due_ms <= after_ms + 2 * 3_600_000
    assert zones.wall(clock, due_ms).minute == minute


@given(zone=st.sampled_from(ZONES), time_ms=st.integers(0, 2 * FROM_MS))
def test_a_moment_is_found_again_by_what_the_clock_shows(zone: str, time_ms: int) -> None:
    clock = zones.zone(zone)
    assert clock is not None
    assert time_ms in zones.instants_ms(clock, zones.wall(clock, time_ms))


# --- other zones --------------------------------------------------------------------------------------------------


def test_a_timer_that_goes_by_clocks_moves_with_its_agent() -> None:
    now_ms = utc("2026-11-27 15:00")
    daily = moved(made(NEW_YORK, "2026-11-27 15:00", cron="0 9 * * *"), "Asia/Tokyo", now_ms)
    assert rings(daily, 1) == ["2026-11-28 09:00:00 +09:00"]
    days = moved(made(NEW_YORK, "2026-11-27 15:00", every_minutes=1440), "Europe/Berlin", now_ms)
    assert rings(days, 2) == ["2026-11-28 10:00:00 +01:00", "2026-11-29 10:00:00 +01:00"]
    plain = made("", "2026-10-31 15:00", every_minutes=1440)
    assert rings(moved(plain, NEW_YORK, utc("2026-10-31 16:00")), 2) == [
        "2026-11-01 10:00:00 -05:00", "2026-11-02 10:00:00 -05:00",
    ]  # fmt: skip
    assert not goes_by_clocks(made(NEW_YORK, "2026-11-27 15:00", in_minutes=5))
    assert not goes_by_clocks(made(NEW_YORK, "2026-11-27 15:00", every_minutes=90))


def test_a_timer_of_a_zone_that_is_not_known_here_goes_on_by_the_clock_as_it_was() -> None:
    timer = Timer(id="t", due_ms=utc("2026-11-27 12:00"), cron="0 9 * * *", zone="Mars/Olympus", offset_s=-10_800)
    then = next_of(timer, timer.due_ms)
    assert then is not None
    assert (then.due_ms, then.offset_s) == (timer.due_ms + DAY_MS, -10_800)


def test_a_timer_of_a_client_gets_the_zone_and_stays_due_when_it_was() -> None:
    timer = Timer(id="t", due_ms=utc("2026-11-27 14:00"), cron="0 9 * * *")
    assert in_zone(timer, NEW_YORK).due_ms == timer.due_ms
    assert rings(in_zone(timer, NEW_YORK), 2)[1] == "2026-11-28 09:00:00 -05:00"


def test_in_utc_all_is_as_it_was() -> None:
    timer = made("", "2026-11-27 15:00", every_minutes=1440)
    assert timer == Timer(id="t1", note="tea", due_ms=utc("2026-11-28 15:00"), every_s=86_400)
    then = next_of(timer, timer.due_ms)
    assert then == Timer(id="t1", note="tea", due_ms=utc("2026-11-29 15:00"), every_s=86_400)


# --- names --------------------------------------------------------------------------------------------------------

NAMES: Final = (
    ("America/New_York", "America/New_York"),
    (" america/new york ", "America/New_York"),
    ("EST5EDT", "EST5EDT"),
    ("utc", "UTC"),
    ("Etc/UTC", "UTC"),
    ("Zulu", "UTC"),
    ("Asia/Calcutta", "Asia/Calcutta"),
)


@pytest.mark.parametrize(("said", "name"), NAMES)
def test_a_zone_is_known_however_its_name_is_typed(said: str, name: str) -> None:
    assert zones.named(said) == name


WRONG: Final = (
    ("New York", "Did you mean America/New_York?"),
    ("Amercia/New_York", "Did you mean America/New_York?"),
    ("berlin", "Did you mean Europe/Berlin?"),
    ("Asia/Calcuta", "Did you mean Asia/Calcutta?"),
    ("Eastern Standard Time", "US/Eastern"),
    ("PST", "PST8PDT"),
    ("+02:00", "the same offset all year is Etc/GMT-2."),
    ("UTC-3", "the same offset all year is Etc/GMT+3."),
    ("UTC+5:30", "give a place, as Europe/Berlin."),
    ("", "There is no time zone ''. Zones have names such as America/New_York or UTC."),
    ("Factory", "There is no time zone 'Factory'."),
    ("\x1b[31m", "There is no time zone '\\x1b[31m'."),
    ("x" * 500, "There is no time zone 'xxx"),
)


@pytest.mark.parametrize(("said", "hint"), WRONG)
def test_a_name_that_is_none_is_answered_with_such_as_are_near(said: str, hint: str) -> None:
    with pytest.raises(BadInput) as caught:
        zones.named(said)
    assert hint in str(caught.value)
    assert len(str(caught.value)) < 300


# --- this machine's -----------------------------------------------------------------------------------------------

TZ: Final = (
    ("Europe/Berlin", "Europe/Berlin"),
    (":Europe/Berlin", "Europe/Berlin"),
    ("europe/berlin", "Europe/Berlin"),
    ("/usr/share/zoneinfo/Asia/Tokyo", "Asia/Tokyo"),
    (":/usr/share/zoneinfo/posix/Asia/Tokyo", "Asia/Tokyo"),
    ("", "UTC"),
    (":", "UTC"),
    ("EST5EDT", "EST5EDT"),
    ("EST5", "Etc/GMT+5"),
    ("<+03>-3", "Etc/GMT-3"),
    ("UTC0", "UTC"),
)


@pytest.mark.parametrize(("tz", "name"), TZ)
def test_the_environment_says_the_zone(tz: str, name: str, tmp_path: Path) -> None:
    assert zones.local({"TZ": tz}, localtime=tmp_path / "none", timezone=tmp_path / "none") == (name, "")


@pytest.mark.parametrize("tz", ["CET-1CEST", "CET-1CEST,M3.5.0,M10.5.0/3", "Nowhere/X", "/etc/passwd"])
def test_what_names_no_zone_means_utc_and_that_is_said(tz: str) -> None:
    name, note = zones.local({"TZ": tz})
    assert name == "UTC"
    assert note == f"TZ is '{tz}', which is the name of no time zone: UTC is taken."


def test_the_machine_says_the_zone_where_the_environment_does_not(tmp_path: Path) -> None:
    data = tmp_path / "zoneinfo" / "Asia" / "Tokyo"
    data.parent.mkdir(parents=True)
    data.write_bytes(b"TZif")
    link, none = tmp_path / "localtime", tmp_path / "none"
    assert zones.local({}, localtime=link, timezone=none) == ("UTC", ""), "as the C library has it"
    link.symlink_to(data)
    assert zones.local({}, localtime=link, timezone=none) == ("Asia/Tokyo", "")
    assert zones.local({"TZ": f":{link}"}, localtime=link, timezone=none) == ("Asia/Tokyo", "")
    assert zones.local({"TZ": str(link)}, localtime=none, timezone=none) == ("Asia/Tokyo", "")
    copy, named = tmp_path / "copy", tmp_path / "timezone"
    copy.write_bytes(b"TZif")
    assert zones.local({}, localtime=copy, timezone=none)[0] == "UTC"
    assert "does not say the name" in zones.local({}, localtime=copy, timezone=none)[1]
    named.write_text("Europe/Oslo\n")
    assert zones.local({}, localtime=copy, timezone=named) == ("Europe/Oslo", "")


def test_a_change_of_the_clocks_is_found_to_the_second() -> None:
    clock = zones.zone(NEW_YORK)
    assert clock is not None
    changed_ms = utc("2026-03-08 07:00")
    assert zones.next_change_ms(clock, changed_ms - 20 * DAY_MS, changed_ms + DAY_MS) == changed_ms
    assert zones.next_change_ms(clock, changed_ms, changed_ms + 30 * DAY_MS) == 0
    assert zones.wall(clock, changed_ms) - zones.wall(clock, changed_ms - 1000) == timedelta(hours=1, seconds=1)
