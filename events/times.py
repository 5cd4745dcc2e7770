"""Times as the model reads them: in UTC, or on its agent's clock.

Rule: no zone data in here. What an agent's clock showed hangs on rules that governments change, and that each machine
knows in a version of its own: so whoever writes an event asks once (`Offset`), and the event keeps the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple

from palimpsest.events.formats import ZONED
from palimpsest.events.state import State

Offset = Callable[[str, int], int | None]
"""(zone, milliseconds since 1970) -> the seconds by which the zone's clocks are ahead of UTC then; None: no such zone
is known here."""

_LAST_S: Final = 253_402_300_799


class ShownTime(NamedTuple):
    """A time, and how far the clock that shows it is ahead of UTC (None: it shows UTC)."""

    time_ms: int
    offset_s: int | None = None


def stamp(time_ms: int, offset_s: int | None = None) -> str:
    """A time as the model reads it: 2026-11-22 15:24:15 UTC, or 2026-11-22 10:24:15 -05:00 on a clock of a zone. One
    that no calendar has is shown at its end."""
    return _stamp(time_ms // 1000, offset_s)


@lru_cache(maxsize=4096)
def _stamp(time_s: int, offset_s: int | None) -> str:
    moment = datetime.fromtimestamp(min(max(time_s + (offset_s or 0), 0), _LAST_S), UTC)
    return f"{moment.isoformat(sep=' ', timespec='seconds')[:19]} {'UTC' if offset_s is None else ahead(offset_s)}"


def ahead(offset_s: int) -> str:
    """An offset as ISO 8601 has it: -05:00."""
    minutes, seconds = divmod(abs(offset_s), 60)
    return f"{'-' if offset_s < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}{f':{seconds:02d}' if seconds else ''}"


def is_utc(zone: str) -> bool:
    """Whether a zone is UTC itself, which agents have of old."""
    return zone in ("", "UTC")


def zone_of(state: State) -> str:
    """The zone that an agent's times are told in ("": UTC)."""
    return "" if is_utc(state.zone) or ZONED not in state.format else state.zone


def now(state: State) -> ShownTime:
    """The time that the model is shown: that of the turn's input, so that a context holds no clock."""
    if state.turn:
        return ShownTime(state.turn.time_ms, state.turn.offset_s)
    return ShownTime(state.time_ms, state.offset_s if zone_of(state) else None)


def no_zones(zone: str, _time_ms: int) -> int | None:
    """For those who decide where no agent's clock is asked for."""
    raise LookupError(f"what the clocks show in {zone} is asked where nobody can say")
