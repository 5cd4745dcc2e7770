"""Which events are meant, as it is typed: a seq or a time, a turn, a kind.

Rule: what is neither is refused with what can be written.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches

from palimpsest.events.codec import KINDS
from palimpsest.events.errors import BadInput
from palimpsest.events.kinds import Kind
from palimpsest.events.sources import is_source
from palimpsest.questions.stretch import Bound, Excerpt, of_turn
from palimpsest.questions.texts import one_line
from palimpsest.store.logs.contract import LogReader


def bound(given: str, option: str, *, ends: bool) -> Bound:
    """A seq, or else a time: a day's end, where it `ends` and names but a day."""
    if re.fullmatch(r"\d{1,12}", given):
        if int(given) < 1:
            raise BadInput(f"{option} {given}: events are counted from 1.")
        return Bound(int(given), said=given)
    try:
        moment_ = datetime.fromisoformat(given.strip())
    except ValueError:
        raise BadInput(
            f"{option} '{one_line(given, 40)}' is neither a seq nor a time: write 1234, 2026-11-22, "
            "2026-11-22T21:51 or 2026-11-22T21:51:11 (UTC)."
        ) from None
    if ends and re.fullmatch(r"\d{4}-\d\d-\d\d|\d{8}", given.strip()):
        moment_ += timedelta(days=1, milliseconds=-1)
    elif ends and not moment_.microsecond:
        moment_ += timedelta(milliseconds=999)
    aware = moment_ if moment_.tzinfo else moment_.replace(tzinfo=UTC)
    return Bound(time_ms=round(aware.timestamp() * 1000), said=given)


def turn_named(log: LogReader, stretch: Excerpt, given: str) -> Excerpt:
    """The stretch of one turn: by the seq of an event in it, or counted, as 12th."""
    if counted := re.fullmatch(r"(\d+)(?:st|nd|rd|th)", given.strip().lower()):
        return of_turn(log, stretch, number=int(counted[1]))
    seq = int(given) if re.fullmatch(r"\d{1,12}", given) else 0
    if not is_source(stretch.agent) and not 1 <= seq <= stretch.last:
        what = f"--turn '{one_line(given, 20)}'"
        raise BadInput(f"{what}: give the seq of an event of 1 to {stretch.last}, or the turn as 12th.")
    return of_turn(log, stretch, seq=seq)


def bounds(since: str | None, until: str | None) -> tuple[Bound | None, Bound | None]:
    """What `--since` and `--until` say."""
    first = bound(since, "--since", ends=False) if since is not None else None
    return first, bound(until, "--until", ends=True) if until is not None else None


def kind_named(given: str) -> Kind:
    """The kind that was meant, in whatever case. Raises BadInput with what it may have meant."""
    found = {kind.lower(): kind for kind in KINDS}
    if given.lower() in found:
        return found[given.lower()]
    part = [kind for name, kind in found.items() if given.lower() in name]
    near = part[:6] or [found[name] for name in get_close_matches(given.lower(), found, n=3)]
    hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(KINDS)}."
    raise BadInput(f"There is no kind of event '{given}'. {hint}")
