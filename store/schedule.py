"""When timers fire: the arguments of set_timer to a timer, and a timer to its next firing. Times are UTC.

No clock in here: the time comes in. A timer that was missed fires once, and goes on from now.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError
from msgspec.structs import replace

from events.context import stamp
from events.envelope import Envelope
from events.types import FunctionCalled, FunctionFailed, FunctionReturned, Timer

MIN_EVERY_S = 60
CRON_FIELDS = 5
MAX_DELAY_MS = 10 * 366 * 86_400_000
WAYS = ("in_minutes", "at", "every_minutes", "cron")


class BadTimer(ValueError):
    """A timer that cannot be set; the message says how to mend it."""


def set_timer(call: FunctionCalled, asked: Envelope) -> tuple[FunctionReturned | FunctionFailed, Timer | None]:
    """The answer to a call of set_timer, and the timer to be set, if it can be."""
    try:
        timer = timer_from(call.arguments, id=f"timer-{call.number or asked.seq}", now_ms=call.time_ms or asked.time)
    except BadTimer as error:
        return FunctionFailed(call=call.call, name=call.name, error=str(error)), None
    what = "Timed heartbeat" if timer.heartbeat else "Timer"
    result = f"{what} {timer.id} is set for {stamp(timer.due_ms)}: {timer.note}"
    return FunctionReturned(call=call.call, result=result), timer


def timer_from(arguments: Mapping[str, str | int | float | bool], *, id: str, now_ms: int) -> Timer:
    """The timer that set_timer's arguments ask for. Raises BadTimer."""
    return replace(_scheduled(arguments, id, now_ms), heartbeat=arguments.get("heartbeat") is True)


def _scheduled(arguments: Mapping[str, str | int | float | bool], id: str, now_ms: int) -> Timer:
    given = [way for way in WAYS if arguments.get(way) not in (None, "", 0)]
    if len(given) != 1:
        raise BadTimer(f"Give exactly one of {', '.join(WAYS)}; given: {', '.join(given) or 'none'}.")
    note, value = str(arguments.get("note", "")), arguments[given[0]]
    match given[0]:
        case "in_minutes":
            return Timer(id=id, note=note, due_ms=now_ms + _delay_ms(value))
        case "every_minutes":
            every_s = _delay_ms(value) // 1000
            if every_s < MIN_EVERY_S:
                raise BadTimer(f"every_minutes must be at least {MIN_EVERY_S // 60}.")
            return Timer(id=id, note=note, due_ms=now_ms + every_s * 1000, every_s=every_s)
        case "at":
            return Timer(id=id, note=note, due_ms=_moment_ms(str(value), now_ms))
        case _:
            return Timer(id=id, note=note, due_ms=next_cron_ms(str(value), now_ms), cron=str(value))


def _delay_ms(value: str | int | float | bool) -> int:
    delay_ms = int(float(value) * 60_000)
    if not 0 < delay_ms <= MAX_DELAY_MS:
        raise BadTimer("The minutes must be more than 0, and at most ten years' worth.")
    return delay_ms


def _moment_ms(text: str, now_ms: int) -> int:
    try:
        moment = datetime.fromisoformat(text.strip().removesuffix(" UTC"))
    except ValueError:
        raise BadTimer(f"'{text[:40]}' is no time. Write it as YYYY-MM-DD HH:MM, in UTC.") from None
    at_ms = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    if at_ms <= now_ms:
        raise BadTimer(f"'{text[:40]}' is in the past: it is {_shown(now_ms)} UTC now.")
    if at_ms - now_ms > MAX_DELAY_MS:
        raise BadTimer(f"'{text[:40]}' is more than ten years away.")
    return at_ms


def _shown(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def next_cron_ms(expression: str, after_ms: int) -> int:
    """The first moment after `after_ms` that a cron expression names. Raises BadTimer."""
    try:
        if len(expression.split()) != CRON_FIELDS:
            raise CronSimError("a sixth field would be seconds")
        moment = next(CronSim(expression, datetime.fromtimestamp(after_ms / 1000, UTC)))
    except (CronSimError, StopIteration, OverflowError):
        raise BadTimer(
            f"'{expression[:60]}' is no cron expression that ever fires. It has five fields: minute hour day month "
            "weekday, as in '0 9 * * 1' for Mondays at nine."
        ) from None
    return int(moment.timestamp() * 1000)


def next_due_ms(timer: Timer, now_ms: int) -> int:
    """When a timer that has just fired is due again (0: never): the first time after now, however many were missed."""
    if timer.cron:
        return next_cron_ms(timer.cron, max(now_ms, timer.due_ms))
    if timer.every_s:
        step_ms = timer.every_s * 1000
        missed = max(0, now_ms - timer.due_ms) // step_ms
        return timer.due_ms + (missed + 1) * step_ms
    return 0
