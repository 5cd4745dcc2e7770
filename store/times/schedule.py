"""When timers fire: the arguments of set_timer to a timer, and a timer to its next firing.

Rules. (1) No clock in here: the time comes in. (2) A timer that was missed fires once, and goes on from now. (3) Hours
are those of the timer's zone ("": UTC). One that its clocks skip rings when they have skipped it, and one that comes
twice rings the first time; what rings in every hour goes on doing so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from cronsim import CronSim, CronSimError
from msgspec.structs import replace

from palimpsest.events.envelope import Envelope
from palimpsest.events.times import stamp
from palimpsest.events.types import FunctionCalled, FunctionFailed, FunctionReturned, Timer
from palimpsest.store.times import zones

MIN_EVERY_S = 60
CRON_FIELDS = 5
HOURS = 24
DAY_S = 86_400
MAX_DELAY_MS = 10 * 366 * 86_400_000
WAYS = ("in_minutes", "at", "every_minutes", "cron")


class BadTimer(ValueError):
    """A timer that cannot be set; the message says how to mend it."""


def set_timer(call: FunctionCalled, asked: Envelope) -> tuple[FunctionReturned | FunctionFailed, Timer | None]:
    """The answer to a call of set_timer, and the timer to be set, if it can be."""
    try:
        id, now_ms = f"timer-{call.number or asked.seq}", call.time_ms or asked.time
        timer = timer_from(call.arguments, id=id, now_ms=now_ms, zone=call.zone)
    except BadTimer as error:
        return FunctionFailed(call=call.call, name=call.name, error=str(error)), None
    what = "Timed heartbeat" if timer.heartbeat else "Timer"
    result = f"{what} {timer.id} is set for {stamp(timer.due_ms, timer.offset_s)}: {timer.note}"
    return FunctionReturned(call=call.call, result=result), timer


def timer_from(arguments: Mapping[str, str | int | float | bool], *, id: str, now_ms: int, zone: str = "") -> Timer:
    """The timer that set_timer's arguments ask for. Raises BadTimer."""
    timer = _scheduled(arguments, Timer(id=id, note=str(arguments.get("note", "")), due_ms=0, zone=zone), now_ms)
    return replace(timer, heartbeat=arguments.get("heartbeat") is True)


def _scheduled(arguments: Mapping[str, str | int | float | bool], timer: Timer, now_ms: int) -> Timer:
    given = [way for way in WAYS if arguments.get(way) not in (None, "", 0)]
    if len(given) != 1:
        raise BadTimer(f"Give exactly one of {', '.join(WAYS)}; given: {', '.join(given) or 'none'}.")
    value = arguments[given[0]]
    match given[0]:
        case "in_minutes":
            return _due(timer, now_ms + _delay_ms(value))
        case "every_minutes":
            every_s = _delay_ms(value) // 1000
            if every_s < MIN_EVERY_S:
                raise BadTimer(f"every_minutes must be at least {MIN_EVERY_S // 60}.")
            return _by_steps(replace(timer, every_s=every_s), now_ms, now_ms)
        case "at":
            return _due(timer, _moment_ms(str(value), now_ms, timer))
        case _:
            return _by_cron(replace(timer, cron=str(value)), now_ms)


def _delay_ms(value: str | int | float | bool) -> int:
    delay_ms = int(float(value) * 60_000)
    if not 0 < delay_ms <= MAX_DELAY_MS:
        raise BadTimer("The minutes must be more than 0, and at most ten years' worth.")
    return delay_ms


def _moment_ms(text: str, now_ms: int, timer: Timer) -> int:
    """When that is which a model wrote: with an offset or "UTC" behind it, or else on its own clock."""
    written, clock = _SPACED.sub("", text.strip()), _clock(timer)
    if written.endswith(" UTC"):
        written, clock = written.removesuffix(" UTC"), UTC
    try:
        moment = datetime.fromisoformat(written)
        at_ms = int(moment.timestamp() * 1000) if moment.tzinfo else _meant_ms(clock, moment, now_ms)
    except (ValueError, OverflowError):
        raise BadTimer(f"'{text[:40]}' is no time. Write it as YYYY-MM-DD HH:MM, in {timer.zone or 'UTC'}.") from None
    if at_ms <= now_ms:
        now = stamp(now_ms, zones.offset_s(timer.zone, now_ms))
        raise BadTimer(f"'{text[:40]}' is in the past: it is {now[:16]}{now[19:]} now.")
    if at_ms - now_ms > MAX_DELAY_MS:
        raise BadTimer(f"'{text[:40]}' is more than ten years away.")
    return at_ms


_SPACED = re.compile(r"\s+(?=[+-]\d{2}:\d{2}(?::\d{2})?$)")
"""What stands before an offset where times are shown, and where ISO 8601 has nothing."""


def _meant_ms(clock: tzinfo, shown: datetime, now_ms: int) -> int:
    """The next moment at which a clock shows this; where both are past, the first."""
    ahead = (each for each in zones.instants_ms(clock, shown) if each > now_ms)
    return next(ahead, zones.instant_ms(clock, shown))


# --- zones ----------------------------------------------------------------------------------------------------------


def goes_by_clocks(timer: Timer) -> bool:
    """Whether it repeats by what clocks show, and not after so long."""
    return bool(timer.cron) or (timer.every_s > 0 and timer.every_s % DAY_S == 0)


def in_zone(timer: Timer, zone: str) -> Timer:
    """A timer that is due when it was, and goes on by the clocks of this zone."""
    return _due(replace(timer, zone=zone, wall=""), timer.due_ms)


def moved(timer: Timer, zone: str, now_ms: int) -> Timer:
    """A timer that goes by clocks, by those of another zone: what it was to ring at there, it rings at here. Days that
    were so long, in UTC, become days of the clock, from the next time on."""
    if not timer.cron and not timer.zone:
        return in_zone(timer, zone)
    there, here = timer, replace(timer, zone=zone)
    return _by_cron(here, now_ms) if timer.cron else _by_days(here, now_ms, _shown_at(there) - _step(there))


def _clock(timer: Timer) -> tzinfo:
    """The clock that a timer goes by. Of a zone that is not known here, it goes on as it was when it was last set."""
    return zones.zone(timer.zone) or timezone(timedelta(seconds=timer.offset_s or 0))


def _due(timer: Timer, due_ms: int) -> Timer:
    """The timer with its next moment, and how far its clock is ahead of UTC then."""
    is_known = zones.zone(timer.zone) is not None
    return replace(timer, due_ms=due_ms, offset_s=zones.offset_s(timer.zone, due_ms) if is_known else timer.offset_s)


# --- what repeats ---------------------------------------------------------------------------------------------------


def next_of(timer: Timer, now_ms: int) -> Timer | None:
    """A timer that has just fired as it is due again (None: never): the first time after now, however many were missed.

    Raises BadTimer.
    """
    if timer.cron:
        return _by_cron(timer, max(now_ms, timer.due_ms))
    return _by_steps(timer, timer.due_ms, max(now_ms, timer.due_ms)) if timer.every_s else None


def _by_steps(timer: Timer, from_ms: int, after_ms: int) -> Timer:
    """So long after `from_ms`, or so many times that, as it takes to be after `after_ms`."""
    if timer.zone and goes_by_clocks(timer):
        shown = _shown_at(timer) if timer.due_ms else zones.wall(_clock(timer), from_ms)
        return _by_days(timer, after_ms, shown)
    step_ms = timer.every_s * 1000
    return _due(timer, from_ms + ((after_ms - from_ms) // step_ms + 1) * step_ms)


def _shown_at(timer: Timer) -> datetime:
    """What its clock was to show when it was due."""
    return datetime.fromisoformat(timer.wall) if timer.wall else zones.wall(_clock(timer), timer.due_ms)


def _step(timer: Timer) -> timedelta:
    return timedelta(seconds=timer.every_s)


def _by_days(timer: Timer, after_ms: int, shown: datetime) -> Timer:
    """The first time after `after_ms` at the hour of `shown`, by the timer's number of days from there."""
    clock, step = _clock(timer), _step(timer)
    missed = (zones.wall(clock, after_ms) - shown) // step
    shown += max(1, missed - 1) * step
    while (due_ms := zones.instant_ms(clock, shown)) <= after_ms:
        shown += step
    return replace(_due(timer, due_ms), wall=shown.isoformat())


def _by_cron(timer: Timer, after_ms: int) -> Timer:
    return _due(timer, next_cron_ms(timer.cron, after_ms, _clock(timer)))


def next_cron_ms(expression: str, after_ms: int, clock: tzinfo = UTC) -> int:
    """The first moment after `after_ms` that a cron expression names on a clock. Raises BadTimer."""
    try:
        if len(expression.split()) != CRON_FIELDS:
            raise CronSimError("a sixth field would be seconds")
        shown = CronSim(expression, zones.wall(clock, after_ms))
        if len(shown.hours) == HOURS:
            return _by_the_hour(expression, after_ms, clock)
        return next(due for each in shown if (due := zones.instant_ms(clock, each)) > after_ms)
    except (CronSimError, StopIteration, OverflowError, ValueError):
        raise BadTimer(
            f"'{expression[:60]}' is no cron expression that ever fires. It has five fields: minute hour day month "
            "weekday, as in '0 9 * * 1' for Mondays at nine."
        ) from None


def _by_the_hour(expression: str, after_ms: int, clock: tzinfo) -> int:
    """Of what is due in every hour: by the clock as it goes until it is changed, and then by the changed one."""
    shown = from_shown = zones.wall(clock, after_ms)
    while True:
        due = next(CronSim(expression, shown))
        due_ms = after_ms + (due - from_shown) // timedelta(milliseconds=1)
        changed_ms = 0 if clock is UTC else zones.next_change_ms(clock, after_ms, due_ms)
        if not changed_ms:
            return due_ms
        after_ms, from_shown = changed_ms, zones.wall(clock, changed_ms)
        shown = from_shown - timedelta(seconds=1)  # what is due at the very change counts too
