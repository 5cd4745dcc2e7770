"""store/times/schedule.py: what set_timer's arguments mean, and when a timer is due again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.events.types import Timer
from palimpsest.store.times.schedule import BadTimer, next_cron_ms, next_of, timer_from

NOW_MS = 1_795_361_055_000  # Sunday 2026-11-22 15:24:15 UTC
MINUTE_MS = 60_000
Arguments = dict[str, str | int | float | bool]


def made(**arguments: str | int | float | bool) -> Timer:
    return timer_from({"note": "tea", **arguments}, id="t1", now_ms=NOW_MS)


def moment(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def again_ms(timer: Timer, now_ms: int) -> int:
    """When it is due again."""
    then = next_of(timer, now_ms)
    assert then is not None, "it repeats"
    return then.due_ms


def test_in_minutes_fires_once() -> None:
    assert made(in_minutes=5) == Timer(id="t1", note="tea", due_ms=NOW_MS + 5 * MINUTE_MS)
    assert made(in_minutes=0.5).due_ms == NOW_MS + 30_000
    assert next_of(made(in_minutes=5), NOW_MS) is None


def test_every_minutes_fires_again_and_again() -> None:
    timer = made(every_minutes=90)
    assert (timer.every_s, timer.due_ms) == (5400, NOW_MS + 90 * MINUTE_MS)


def test_cron_fires_by_the_calendar_in_utc() -> None:
    timer = made(cron="0 9 * * 1")
    assert moment(timer.due_ms) == "2026-11-23 09:00:00"
    assert moment(again_ms(timer, timer.due_ms)) == "2026-11-30 09:00:00"


@pytest.mark.parametrize(
    ("at", "due"),
    [
        ("2026-11-22 16:00", "2026-11-22 16:00:00"),
        (" 2026-11-22 16:00 UTC ", "2026-11-22 16:00:00"),
        ("2026-11-22T16:00:30Z", "2026-11-22 16:00:30"),
        ("2026-11-22T18:00+02:00", "2026-11-22 16:00:00"),
        ("2026-11-23", "2026-11-23 00:00:00"),
        ("2028-02-29 00:00", "2028-02-29 00:00:00"),
    ],
)
def test_a_moment_is_utc_unless_it_says_otherwise(at: str, due: str) -> None:
    assert moment(made(at=at).due_ms) == due


def test_arguments_that_a_model_leaves_empty_do_not_count() -> None:
    assert made(in_minutes=5, at="", every_minutes=0, cron="").due_ms == NOW_MS + 5 * MINUTE_MS


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "Give exactly one of in_minutes, at, every_minutes, cron; given: none"),
        ({"in_minutes": 5, "cron": "0 9 * * *"}, "given: in_minutes, cron"),
        ({"in_minutes": -1}, "more than 0"),
        ({"in_minutes": 0.000001}, "more than 0"),
        ({"in_minutes": 1e8}, "at most ten years"),
        ({"every_minutes": 0.5}, "at least 1"),
        ({"at": "tomorrow"}, "'tomorrow' is no time. Write it as YYYY-MM-DD HH:MM"),
        ({"at": "2026-11-22 15:24"}, "is in the past: it is 2026-11-22 15:24 UTC now"),
        ({"at": "2026-02-30 10:00"}, "is no time"),
        ({"at": "2046-01-01 00:00"}, "more than ten years away"),
        ({"at": "9999-12-31T23:59-23:59"}, "more than ten years away"),
        ({"cron": "every day"}, "is no cron expression"),
        ({"cron": "* * * *"}, "It has five fields"),
        ({"cron": "* * * * * *"}, "It has five fields"),
        ({"cron": "0 0 30 2 *"}, "that ever fires"),
        ({"cron": "61 * * * *"}, "is no cron expression"),
        ({"cron": "x" * 5000}, "is no cron expression"),
    ],
)
def test_a_timer_that_cannot_be_set_gets_an_error_that_teaches(arguments: Arguments, says: str) -> None:
    with pytest.raises(BadTimer) as caught:
        made(**arguments)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_cron_at_the_calendars_end_is_told_too() -> None:
    with pytest.raises(BadTimer):
        next_cron_ms("0 0 1 1 *", 253_402_300_799_000)


@given(every_s=st.integers(60, 10**6), late_ms=st.integers(0, 10**9))
def test_a_missed_timer_fires_once_and_goes_on_from_now_in_step(every_s: int, late_ms: int) -> None:
    timer = Timer(id="t", due_ms=NOW_MS, every_s=every_s)
    now_ms = NOW_MS + late_ms
    due_ms = again_ms(timer, now_ms)
    assert now_ms < due_ms <= now_ms + every_s * 1000
    assert (due_ms - NOW_MS) % (every_s * 1000) == 0


@given(late_ms=st.integers(0, 10**9), cron=st.sampled_from(["* * * * *", "0 9 * * *", "30 4 1 * *", "0 0 29 2 *"]))
def test_a_missed_cron_goes_on_after_now(late_ms: int, cron: str) -> None:
    timer = Timer(id="t", due_ms=next_cron_ms(cron, NOW_MS), cron=cron)
    assert again_ms(timer, timer.due_ms + late_ms) > timer.due_ms + late_ms


def test_a_timer_that_fires_early_is_not_due_at_the_same_moment_again() -> None:
    timer = Timer(id="t", due_ms=NOW_MS, cron="24 15 * * *")
    assert again_ms(timer, NOW_MS - 5000) > NOW_MS
    assert again_ms(Timer(id="t", due_ms=NOW_MS, every_s=60), NOW_MS - 5000) == NOW_MS + 60_000


def test_a_timed_heartbeat_is_asked_for() -> None:
    assert made(every_minutes=30, heartbeat=True).heartbeat
    assert not made(every_minutes=30, heartbeat=False).heartbeat
