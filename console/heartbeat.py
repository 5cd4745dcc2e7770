"""`/heartbeat` of the chat: how often the agent is woken by a timed heartbeat, in the user's words."""

from __future__ import annotations

import re
from typing import Final

from palimpsest.actors.requests.checks import MAX_EVERY_S
from palimpsest.events.errors import BadInput
from palimpsest.events.types import Timer

TIMER_ID: Final = "heartbeat"
MIN_EVERY_S: Final = 60
_EVERY: Final = re.compile(r"(?:every\s+)?(\d{1,5})\s*(m|min|minutes?|h|hours?)", re.I)


def heartbeat(text: str, now_ms: int) -> Timer:
    """The timed heartbeat that "every 30m" or "2h" asks for. Raises BadInput."""
    match = _EVERY.fullmatch(text.strip())
    every_s = int(match[1]) * (3600 if match[2].lower().startswith("h") else 60) if match else 0
    if every_s < MIN_EVERY_S:
        raise BadInput("Say how often, as `/heartbeat every 30m` or `/heartbeat every 2h`; `/heartbeat off` ends it.")
    if every_s > MAX_EVERY_S:
        unit_s, unit = (3600, "h") if match and match[2].lower().startswith("h") else (60, "m")
        raise BadInput(
            f"'{text.strip()}' is too seldom: give at most {MAX_EVERY_S // unit_s}{unit}, which is ten years."
        )
    return Timer(id=TIMER_ID, due_ms=now_ms + every_s * 1000, every_s=every_s, heartbeat=True)
