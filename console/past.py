"""What was said last, for a chat that is opened again; and what is to be known when it is closed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from palimpsest.console.called import typed
from palimpsest.console.show import many
from palimpsest.console.zones import due_text
from palimpsest.events.codec import decode
from palimpsest.events.kinds import kinds_of
from palimpsest.events.texts import clip
from palimpsest.events.types import MessageSent, UserMessageReceived
from palimpsest.questions.texts import one_line, utc

if TYPE_CHECKING:
    from palimpsest.console.talk import Talker
    from palimpsest.events.types import Timer

SAID: Final = 6
"""So many messages are shown, of the user and of the agent."""
LOOKED_BACK: Final = (60, 600, 6_000)
"""So many events are read for them; more, only where these have too few."""
CHARS: Final = 600
TIMERS: Final = 10


class PastMessage(msgspec.Struct, frozen=True):
    """A message: when it was said, who said it ("": the agent), and its beginning."""

    when: str
    who: str
    text: str


async def last_said(client: Talker, agent: str) -> list[PastMessage]:
    """The last messages, the oldest first."""
    found: list[PastMessage] = []
    end = (await client.state(agent)).seq
    for events in LOOKED_BACK:
        found = []
        for envelope in await client.events(agent, max(0, end - events)):
            event = decode(envelope) if envelope.kind in _KINDS else None
            if isinstance(event, UserMessageReceived):
                found.append(PastMessage(_when(envelope.time), event.name or "you", clip(event.text, CHARS)))
            elif isinstance(event, MessageSent):
                found.append(PastMessage(_when(envelope.time), "", clip(event.text, CHARS)))
        if len(found) >= SAID or events >= end:
            break
    return found[-SAID:]


_KINDS: Final = kinds_of(UserMessageReceived, MessageSent)


def _when(time_ms: int) -> str:
    return f"{utc(time_ms)[:16]} UTC"


def still_set(timers: Sequence[Timer], *, runs_on: bool) -> list[str]:
    """What there is to say of timers that wait where a chat ends. `runs_on`: the system stays."""
    if not timers:
        return []
    they = "It rings" if len(timers) == 1 else "They ring"
    where = "in the system, which goes on." if runs_on else f"only while a system runs on this folder: {typed('up')}"
    rest = f" and {len(timers) - TIMERS} more" if len(timers) > TIMERS else ""
    wait = f"{many(len(timers), 'timer')} wait{'s' * (len(timers) == 1)}"
    return [f"{wait}: {timers_said(timers[:TIMERS])}{rest}. {they} {where}"]


def timers_said(timers: Iterable[Timer]) -> str:
    """Timers in a line: what each is for, and when it is due."""
    by_time = sorted(timers, key=lambda timer: timer.due_ms)
    return ", ".join(f"{_named(timer)} ({due_text(timer)})" for timer in by_time)


def _named(timer: Timer) -> str:
    name = one_line(timer.id, 40)
    return f"{name} “{one_line(timer.note, 60)}”" if timer.note else name


def to_look(agent: str) -> str:
    """How to look into what happened."""
    return f"To look into what happened: {typed('events', agent, '--last', '3')}"
