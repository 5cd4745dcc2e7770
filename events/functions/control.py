"""Speaking to the user, and heartbeats."""

from __future__ import annotations

from typing import Final

from palimpsest.events.functions.entry import Function, Invocation, Parameter
from palimpsest.events.times import now
from palimpsest.events.types import Event, HeartbeatsPaused, MessageSent

MAX_PAUSE_MINUTES: Final = 360


def _send_message(asked: Invocation) -> Event:
    text = asked.text("message")
    if not text.strip():
        return asked.declined("The message is empty. Write what the user is to read.")
    return MessageSent(text=text, call=asked.id, cut=asked.cut)


def _pause_heartbeats(asked: Invocation) -> Event:
    minutes = asked.call.integer("minutes")
    if minutes < 0:
        return asked.declined("minutes must be 0 or more (at most 360).")
    minutes = min(minutes, MAX_PAUSE_MINUTES)
    until_ms = now(asked.state).time_ms + minutes * 60_000
    return HeartbeatsPaused(call=asked.id, until_ms=until_ms, minutes=minutes)


SEND_MESSAGE: Final = Function(
    name="send_message",
    description="Sends a message to the human user. It is the only thing that the user sees.",
    brief="Speak to the user: all that they see.",
    parameters=(Parameter("message", "string", "Message contents. All unicode (including emojis) is supported."),),
    chains=False,
    at_once=_send_message,
    tells="message",
    speaks=True,
)
PAUSE_HEARTBEATS: Final = Function(
    name="pause_heartbeats",
    description="Temporarily ignores timed heartbeats. You may still be reached by messages and other events.",
    brief="Ignore timed heartbeats.",
    parameters=(
        Parameter(
            "minutes",
            "integer",
            "Number of minutes to ignore timed heartbeats for, at most 360 (6 hours).",
            brief="At most 360.",
        ),
    ),
    chains=False,
    at_once=_pause_heartbeats,
)
