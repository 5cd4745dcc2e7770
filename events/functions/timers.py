"""Timers: set by the timer actor, which knows the time; called off and listed at once."""

from __future__ import annotations

from typing import Final

from palimpsest.events.formats import TIMED_HEARTBEATS
from palimpsest.events.functions.entry import Function, Invocation, Parameter
from palimpsest.events.state import State
from palimpsest.events.texts import clip
from palimpsest.events.times import stamp
from palimpsest.events.types import Event, FunctionReturned, TimerCancelled

MAX_TIMERS: Final = 50
NO_TIMER: Final = "This agent is being retired: no timer can be set any more. Tell the user so."
_SHOWN_CHARS: Final = 400
"""An error shows so much of the list."""


def _not_now(state: State) -> str:
    if state.retired:
        return NO_TIMER
    if len(state.alarms) < MAX_TIMERS:
        return ""
    return f"{MAX_TIMERS} timers are set, which is the limit. Cancel one with cancel_timer first."


def _cancel_timer(asked: Invocation) -> Event:
    wanted = asked.text("timer")
    if all(alarm.timer.id != wanted for alarm in asked.state.alarms):
        return asked.declined(f"There is no timer '{wanted[:40]}'. {clip(_listed(asked.state), _SHOWN_CHARS)}")
    return TimerCancelled(timer_id=wanted, call=asked.id)


def _list_timers(asked: Invocation) -> Event:
    return FunctionReturned(call=asked.id, result=clip(_listed(asked.state), asked.max_chars))


def _listed(state: State) -> str:
    if not state.alarms:
        return "No timers are set."
    lines = []
    for alarm in sorted(state.alarms, key=lambda alarm: (alarm.timer.due_ms, alarm.timer.id)):
        timer = alarm.timer
        repeats = f", cron {timer.cron}" if timer.cron else f", every {timer.every_s / 60:g} minutes"
        lines.append(
            f"{timer.id}: {timer.note or 'timed heartbeat'} (next {stamp(timer.due_ms, timer.offset_s)}"
            f"{repeats if timer.cron or timer.every_s else ''}{', timed heartbeat' if timer.heartbeat else ''})"
        )
    return "Timers that are set:\n" + "\n".join(lines)


SET_TIMER: Final = Function(
    name="set_timer",
    description="Sets a timer: when it is due, you get a timer event with its note. Give exactly one of in_minutes, "
    "at, every_minutes and cron. Times are UTC.",
    brief="Be woken later. Give one of in_minutes, at, every_minutes, cron. UTC.",
    parameters=(
        Parameter("note", "string", "What the timer is to remind you of."),
        Parameter("in_minutes", "number", "Fires once, so many minutes from now.", required=False),
        Parameter("at", "string", "Fires once, at YYYY-MM-DD HH:MM.", required=False, brief="YYYY-MM-DD HH:MM"),
        Parameter("every_minutes", "number", "Fires again and again, so many minutes apart.", required=False),
        Parameter("cron", "string", "Fires by a cron expression of five fields.", required=False),
        Parameter(
            "heartbeat",
            "boolean",
            "true: a timed heartbeat, which is ignored while pause_heartbeats holds.",
            required=False,
            part=TIMED_HEARTBEATS,
        ),
    ),
    carrier="timer",
    refusal=_not_now,
    label="timer",
    tells="note",
)
CANCEL_TIMER: Final = Function(
    name="cancel_timer",
    description="Cancels a timer.",
    brief="",
    parameters=(Parameter("timer", "string", "The timer's id, as list_timers shows it."),),
    at_once=_cancel_timer,
    label="timer",
)
LIST_TIMERS: Final = Function(
    name="list_timers",
    description="Lists the timers that are set.",
    brief="",
    at_once=_list_timers,
    label="timer",
)
