"""Timers in the log: the drafts that set one, and that let it fire.

A timer that is set is an open request, and its firing the answer: so it fires once, however often that is tried.
"""

from __future__ import annotations

import hashlib

from msgspec.structs import replace

from palimpsest.events.codec import draft
from palimpsest.events.envelope import Draft, answer_key
from palimpsest.events.forks import TAKEN_UP
from palimpsest.events.types import Timer, TimerCancelled, TimerFired, TimerSet


def setting(agent: str, timer: Timer, time_ms: int, *, cause: str = "") -> Draft:
    """The draft that sets a timer: it opens the request whose answer is the firing."""
    key = f"alarm:{timer.id}:{timer.due_ms}"
    return draft(agent, time_ms, TimerSet(timer=timer), key=key, cause=cause, opens="alarm")


def firing(agent: str, timer: Timer, key: str, now_ms: int, then: Timer | None = None) -> list[Draft]:
    """The drafts by which the alarm `key` fires; and is set again as `then`, where its timer repeats."""
    fired = TimerFired(timer=timer)
    drafts = [draft(agent, now_ms, fired, key=answer_key(key), cause=key, opens="turn", closes=key)]
    if then:
        # A key of its own: a timer of this id may have been set for that moment before, and cancelled since.
        again = setting(agent, then, now_ms, cause=key)
        drafts.append(replace(again, key=f"alarm:{hashlib.sha256(key.encode()).hexdigest()[:32]}"))
    return drafts


def cancelling(agent: str, key: str, timer: Timer, now_ms: int, *, moved_to: str = "") -> Draft:
    """The draft that cancels the alarm `key`. Its own key is not its answer's: a firing, with what it sets again, must
    find the alarm closed."""
    event = TimerCancelled(timer_id=timer.id, moved_to=moved_to)
    return draft(agent, now_ms, event, key=f"cancel:{key}", cause=key, closes=key)


def taking_up(agent: str, key: str, timer: Timer, now_ms: int) -> Draft:
    """The draft by which a fork sets a timer that its parent has or had, under the same key."""
    return draft(agent, now_ms, TimerSet(timer=timer), key=key, cause=TAKEN_UP, opens="alarm")
