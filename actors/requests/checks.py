"""What a client may ask for: every value is looked at before anything is sent.

Rule: each check raises BadInput with a message that says what is wrong and what to do; nothing was written then.
"""

from __future__ import annotations

from typing import Final

from palimpsest.events.codec import encode
from palimpsest.events.errors import BadInput
from palimpsest.events.functions.timers import MAX_TIMERS
from palimpsest.events.settings import flaw
from palimpsest.events.sources import is_source
from palimpsest.events.types import AgentCreated, Settings, Timer
from palimpsest.store.times import zones
from palimpsest.store.times.schedule import BadTimer, next_cron_ms

MAX_NAME_CHARS: Final = 100
MAX_ID_CHARS: Final = 200
MAX_LABEL_CHARS: Final = 1000
MAX_MESSAGE_BYTES: Final = 4_000_000
MAX_NOTE_CHARS: Final = 10_000
MAX_TIME_MS: Final = 253_402_300_799_000
"""The end of the year 9999: the last moment that a context can show."""
MAX_EVERY_S: Final = 10 * 366 * 86_400


def check_name(agent: str) -> None:
    """Raises BadInput where a name cannot be an agent's."""
    if not agent.strip() or len(agent) > MAX_NAME_CHARS or not agent.isprintable():
        raise BadInput(f"{shown(agent)} cannot be an agent's name: give 1 to {MAX_NAME_CHARS} printable characters.")
    if agent.startswith("-"):
        raise BadInput(f"{shown(agent)} cannot be an agent's name: it begins with a dash.")
    if is_source(agent):
        raise BadInput(f"{shown(agent)} cannot be an agent's name: 'source:' stands before the names of sources.")


def check_born(born: AgentCreated) -> None:
    """Raises BadInput where an agent cannot be made so."""
    check_settings(born.settings)
    check_text(born.system, "system text", may_be_empty=True)
    for block in born.blocks:
        check_id(block.label, "label of a core-memory block")
        check_text(block.value + block.description, "core memory", may_be_empty=True)


def check_settings(settings: Settings) -> None:
    """Raises BadInput where settings make no sense."""
    try:
        why = flaw(settings)
        encode(AgentCreated(system="", blocks=(), settings=settings))
    except UnicodeEncodeError:
        why = "The settings hold text that is not valid Unicode (lone surrogates). Give names in UTF-8."
    if why:
        raise BadInput(why)


def check_id(id: str, what: str = "message id") -> None:
    """Raises BadInput where an id cannot be one."""
    if not id.strip() or len(id) > MAX_ID_CHARS or not id.isprintable():
        raise BadInput(f"{shown(id)} cannot be a {what}: give 1 to {MAX_ID_CHARS} printable characters.")


def check_label(text: str, what: str, *, may_be_empty: bool = True) -> None:
    """Raises BadInput where a short text (a name, a source, a reason) cannot be taken."""
    if not text.strip() and not may_be_empty:
        raise BadInput(f"The {what} is empty. Give one.")
    if len(text) > MAX_LABEL_CHARS:
        raise BadInput(f"The {what} has {len(text):,} characters: give at most {MAX_LABEL_CHARS:,}.")
    _size(text, what)


def check_text(text: str, what: str = "message", *, may_be_empty: bool = False) -> None:
    """Raises BadInput where a text cannot be a message (an alert, an upload's detail)."""
    if not text.strip() and not may_be_empty:
        raise BadInput(f"The {what} is empty. Write something.")
    size = _size(text, what)
    if size > MAX_MESSAGE_BYTES:
        raise BadInput(
            f"The {what} has {size:,} bytes, and at most {MAX_MESSAGE_BYTES:,} can be taken at once. Split it."
        )


def check_time(time_ms: int) -> None:
    """Raises BadInput where a time cannot be an event's."""
    if not 0 <= time_ms <= MAX_TIME_MS:
        raise BadInput(f"{time_ms} is no time: give milliseconds since 1970 UTC, up to the year 9999.")


def check_timer(timer: Timer) -> None:
    """Raises BadInput where a timer cannot be set."""
    check_id(timer.id, "timer's id")
    check_time(timer.due_ms)
    if _size(timer.note, "timer's note") > MAX_NOTE_CHARS:
        raise BadInput(f"The timer's note is too long: give at most {MAX_NOTE_CHARS:,} bytes.")
    if not 0 <= timer.every_s <= MAX_EVERY_S:
        raise BadInput(
            f"A timer cannot repeat every {timer.every_s:,} s: give 0 (once), or up to {MAX_EVERY_S:,} s (ten years)."
        )
    if timer.zone and zones.named(timer.zone) != timer.zone:
        raise BadInput(f"A timer's zone has the name '{zones.named(timer.zone)}': write it so.")
    if timer.cron:
        try:
            next_cron_ms(timer.cron, timer.due_ms)
        except BadTimer as error:
            raise BadInput(str(error)) from None


def check_room(timers: int) -> None:
    """Raises BadInput where an agent has as many timers as it may."""
    if timers >= MAX_TIMERS:
        raise BadInput(f"{MAX_TIMERS} timers are set for this agent, which is the limit. Cancel one first.")


def _size(text: str, what: str) -> int:
    """The text's bytes."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise BadInput(f"The {what} is not valid Unicode text (it holds lone surrogates). Send UTF-8 text.") from None


def shown(text: str) -> str:
    """A bad value in a message: its beginning, in characters that every terminal can print."""
    return f"'{text[:40]}'" if text[:40].isprintable() else ascii(text[:40])
