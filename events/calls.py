"""What becomes of each function call: decided at once where memory alone is needed, else asked of another part.

An edit of core memory that cannot be made changes nothing, and its error says how to mend it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from palimpsest.events.context import Count, clip, entry_tokens, head_tokens, summary_cap_tokens, with_margin
from palimpsest.events.endings import cut_of
from palimpsest.events.eviction import STATUS_TOKENS, budget_tokens
from palimpsest.events.evolve import appended
from palimpsest.events.formats import Format
from palimpsest.events.functions import BadCall, Call, check
from palimpsest.events.lifecycle import NO_TIMER
from palimpsest.events.passages import split
from palimpsest.events.repetition import times_done
from palimpsest.events.state import UNCOUNTED, State, Turn
from palimpsest.events.times import now, stamp
from palimpsest.events.types import (
    ArchivalMemoryInserted,
    Block,
    CoreMemoryAppended,
    CoreMemoryReplaced,
    Event,
    FunctionCalled,
    FunctionFailed,
    FunctionReturned,
    HeartbeatsPaused,
    MessageSent,
    Settings,
    TimerCancelled,
    ToolCall,
)
from palimpsest.events.vocabulary import FinishOrNone

MAX_PAUSE_MINUTES = 360
MAX_TIMERS = 50
PASSAGE_TOKENS = 300
MIN_RESULT_CHARS = 200
SHOWN_CALL_CHARS = 160
SHOWN_CHARS = 400
"""An error shows so much of a section."""


def carry_out(state: State, turn: Turn, call: ToolCall, count: Count) -> Event:
    """The event that this call leads to."""
    checked = check(call, state.format, finish=turn.finish, documents=bool(state.sources))
    if isinstance(checked, BadCall):
        return FunctionFailed(call=call.id, name=call.name[:80], error=checked.error + _ENDED.get(turn.finish, ""))
    most = state.settings.repeats_ended
    if call.name != "send_message" and 0 < most <= times_done(turn.acts, call):
        return _fail(call, f"You made this very call {most} times in this turn. It was not carried out again.")
    handler = _AT_ONCE.get(call.name)
    if handler is None:
        return _ask(state, turn, call, checked)
    return handler(state, call, checked, count)


_ENDED: Final[Mapping[FinishOrNone, str]] = {
    "content_filter": " (The server's content filter ended your answer.)",
    "interrupted": " (The server ended your answer in its middle.)",
}


def wants_heartbeat(call: ToolCall, format: Format) -> bool:
    checked = check(call, format)
    return isinstance(checked, Call) and checked.heartbeat


def shown(call: ToolCall) -> str:
    """A call's arguments, as they are quoted to people."""
    return clip(call.arguments, SHOWN_CALL_CHARS)


def alarm_key(state: State, timer_id: str) -> str:
    """The key of the event that set a timer."""
    return next((alarm.key for alarm in state.alarms if alarm.timer.id == timer_id), "")


def _fail(call: ToolCall, error: str) -> FunctionFailed:
    return FunctionFailed(call=call.id, name=call.name, error=error)


def _ask(state: State, turn: Turn, call: ToolCall, checked: Call) -> Event:
    if call.name == "set_timer" and state.retired:
        return _fail(call, NO_TIMER)
    if call.name == "set_timer" and len(state.alarms) >= MAX_TIMERS:
        return _fail(call, f"{MAX_TIMERS} timers are set, which is the limit. Cancel one with cancel_timer first.")
    settings = state.settings
    return FunctionCalled(
        call=call.id,
        name=call.name,
        arguments=dict(checked.arguments),
        hidden=(turn.input, *(pending.seq for pending in state.pending)),
        max_chars=_max_chars(settings, len(turn.calls)),
        page_size=settings.page_size,
        time_ms=turn.time_ms,
        sources=state.sources,
        page_chars=_max_chars(settings, 1) if state.sources else 0,
        number=turn.number or (state.seq + 1 - state.shift if state.shift else 0),
        zone=turn.zone,
    )


def _max_chars(settings: Settings, calls: int) -> int:
    """The most that a result may have, so that those of all calls of an answer fit the window together."""
    return max(MIN_RESULT_CHARS, min(settings.result_chars, budget_tokens(settings) // 2 // max(1, calls)))


# --- decided at once ----------------------------------------------------------------------------------------------


def _send_message(state: State, call: ToolCall, checked: Call, _count: Count) -> Event:
    """Its text is closed: a limit came behind it. What was cut off otherwise, the server may have closed."""
    text, turn = checked.text("message"), state.turn
    if not text.strip():
        return _fail(call, "The message is empty. Write what the user is to read.")
    is_last = turn is not None and turn.finish in _ENDED and turn.done == len(turn.calls) - 1
    return MessageSent(text=text, call=call.id, cut=cut_of(turn.finish) if turn and is_last else "")


def _pause_heartbeats(state: State, call: ToolCall, checked: Call, _count: Count) -> Event:
    minutes = checked.integer("minutes")
    if minutes < 0:
        return _fail(call, "minutes must be 0 or more (at most 360).")
    minutes = min(minutes, MAX_PAUSE_MINUTES)
    return HeartbeatsPaused(call=call.id, until_ms=now(state).time_ms + minutes * 60_000, minutes=minutes)


def _block(state: State, label: str) -> Block | str:
    block = next((block for block in state.blocks if block.label == label), None)
    labels = ", ".join(block.label for block in state.blocks)
    return block or f"There is no section '{label[:40]}' in core memory. The sections are: {labels}."


def _append(state: State, call: ToolCall, checked: Call, count: Count) -> Event:
    block = _block(state, checked.text("name"))
    if isinstance(block, str):
        return _fail(call, block)
    if not checked.text("content"):
        return _fail(call, "content is empty. Write what is to be remembered.")
    value = appended(block.value, checked.text("content"))
    error = _too_large(state, block, value, count)
    if error:
        return _fail(call, error)
    return CoreMemoryAppended(call=call.id, label=block.label, text=checked.text("content"))


def _replace(state: State, call: ToolCall, checked: Call, count: Count) -> Event:
    block = _block(state, checked.text("name"))
    if isinstance(block, str):
        return _fail(call, block)
    old, new = checked.text("old_content"), checked.text("new_content")
    if not old:
        return _fail(
            call, "old_content is empty. To add text call core_memory_append; to replace, give the exact text."
        )
    found = block.value.count(old)
    if found == 0:
        return _fail(
            call,
            f"old_content was not found in '{block.label}', which was not changed. It must match exactly, with case "
            f"and line breaks. The section reads now:\n{clip(block.value, SHOWN_CHARS)}",
        )
    if found > 1:
        return _fail(
            call,
            f"old_content was found {found} times in '{block.label}', which was not changed. Give a longer text that "
            "stands there once.",
        )
    error = _too_large(state, block, block.value.replace(old, new, 1), count)
    if error:
        return _fail(call, error)
    return CoreMemoryReplaced(call=call.id, label=block.label, old=old, new=new)


def _too_large(state: State, block: Block, value: str, count: Count) -> str:
    """Why the block cannot take this value ("": it can)."""
    if len(value) > block.limit:
        return (
            f"Edit failed: it exceeds the {block.limit} character limit of '{block.label}' (requested {len(value)}), "
            "which was not changed. Condense the section with core_memory_replace, or move text to archival storage "
            "with archival_memory_insert."
        )
    if len(value) <= len(block.value):
        return ""
    blocks = tuple(msgspec.structs.replace(b, value=value) if b.label == block.label else b for b in state.blocks)
    head = head_tokens(msgspec.structs.replace(state, blocks=blocks, head_tokens=UNCOUNTED), count)
    room = _head_room_tokens(state, count)
    if with_margin(head, state.settings) > room:
        return (
            f"Edit failed: with it, core memory and the instructions would take {head} tokens of the window, and at "
            f"most {room} are theirs. Condense core memory, or use archival_memory_insert."
        )
    return ""


def _head_room_tokens(state: State, count: Count) -> int:
    """The most that instructions and core memory may take: the turn's input stays in the window beside them."""
    settings, seq = state.settings, state.turn.input if state.turn else 0
    held = sum(entry_tokens(state, entry, count) for entry in state.queue if entry.seq == seq)
    beside = with_margin(held + summary_cap_tokens(settings) + STATUS_TOKENS, settings)
    return min(budget_tokens(settings) * 3 // 4, budget_tokens(settings) - beside)


def _insert(state: State, call: ToolCall, checked: Call, count: Count) -> Event:
    text = checked.text("content")
    if not text.strip():
        return _fail(call, "content is empty. Write what is to be remembered.")
    ends = split(text, lambda piece: count(state.settings.encoding, piece), PASSAGE_TOKENS)
    return ArchivalMemoryInserted(call=call.id, text=text, ends=ends)


def _cancel_timer(state: State, call: ToolCall, checked: Call, _count: Count) -> Event:
    wanted = checked.text("timer")
    if all(alarm.timer.id != wanted for alarm in state.alarms):
        return _fail(call, f"There is no timer '{wanted[:40]}'. {clip(_timers(state), SHOWN_CHARS)}")
    return TimerCancelled(timer_id=wanted, call=call.id)


def _list_timers(state: State, call: ToolCall, _checked: Call, _count: Count) -> Event:
    max_chars = _max_chars(state.settings, len(state.turn.calls)) if state.turn else state.settings.result_chars
    return FunctionReturned(call=call.id, result=clip(_timers(state), max_chars))


def _timers(state: State) -> str:
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


_AT_ONCE: dict[str, Callable[[State, ToolCall, Call, Count], Event]] = {
    "send_message": _send_message,
    "pause_heartbeats": _pause_heartbeats,
    "core_memory_append": _append,
    "core_memory_replace": _replace,
    "archival_memory_insert": _insert,
    "cancel_timer": _cancel_timer,
    "list_timers": _list_timers,
}
