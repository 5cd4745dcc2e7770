"""What becomes of each function call: carried out at once by its entry's code, or asked of another part."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

import msgspec

from palimpsest.events.context import Count, entry_tokens, head_tokens, summary_cap_tokens, with_margin
from palimpsest.events.endings import cut_of
from palimpsest.events.eviction import STATUS_TOKENS, budget_tokens
from palimpsest.events.functions import BadCall, Call, Invocation, check, functions_of
from palimpsest.events.repetition import times_done
from palimpsest.events.state import UNCOUNTED, State, Turn
from palimpsest.events.texts import clip
from palimpsest.events.types import Block, Event, FunctionCalled, FunctionFailed, Settings, ToolCall
from palimpsest.events.vocabulary import CutOrNot, FinishOrNone

MIN_RESULT_CHARS = 200
SHOWN_CALL_CHARS = 160


def carry_out(state: State, turn: Turn, call: ToolCall, count: Count) -> Event:
    """The event that this call leads to."""
    checked = check(call, functions_of(state), state.format, finish=turn.finish)
    if isinstance(checked, BadCall):
        return FunctionFailed(call=call.id, name=call.name[:80], error=checked.error + _ENDED.get(turn.finish, ""))
    function, most = checked.function, state.settings.repeats_ended
    if not function.speaks and 0 < most <= times_done(turn.acts, call):
        return _fail(call, f"You made this very call {most} times in this turn. It was not carried out again.")
    if function.at_once:
        return function.at_once(_invocation(state, turn, call, checked, count))
    return _ask(state, turn, call, checked)


_ENDED: Final[Mapping[FinishOrNone, str]] = {
    "content_filter": " (The server's content filter ended your answer.)",
    "interrupted": " (The server ended your answer in its middle.)",
}


def wants_heartbeat(state: State, call: ToolCall) -> bool:
    checked = check(call, functions_of(state), state.format)
    return isinstance(checked, Call) and checked.heartbeat


def shown(call: ToolCall) -> str:
    """A call's arguments, as they are quoted to people."""
    return clip(call.arguments, SHOWN_CALL_CHARS)


def alarm_key(state: State, timer_id: str) -> str:
    """The key of the event that set a timer."""
    return next((alarm.key for alarm in state.alarms if alarm.timer.id == timer_id), "")


def _fail(call: ToolCall, error: str) -> FunctionFailed:
    return FunctionFailed(call=call.id, name=call.name, error=error)


def _invocation(state: State, turn: Turn, call: ToolCall, checked: Call, count: Count) -> Invocation:
    return Invocation(
        state=state,
        id=call.id,
        call=checked,
        max_chars=_max_chars(state.settings, len(turn.calls)),
        cut=_cut(turn),
        count=partial(count, state.settings.encoding),
        no_room=partial(_no_room, state, count),
    )


def _ask(state: State, turn: Turn, call: ToolCall, checked: Call) -> Event:
    refusal = checked.function.refusal
    if refusal and (why := refusal(state)):
        return _fail(call, why)
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


def _cut(turn: Turn) -> CutOrNot:
    """How the server ended the answer behind its last call. A limit came behind a closed text; what was cut off
    otherwise, the server may have closed."""
    return cut_of(turn.finish) if turn.finish in _ENDED and turn.done == len(turn.calls) - 1 else ""


def _no_room(state: State, count: Count, blocks: tuple[Block, ...]) -> str:
    """Why the window has no room for core memory as it would be ("": it has)."""
    head = head_tokens(msgspec.structs.replace(state, blocks=blocks, head_tokens=UNCOUNTED), count)
    room = _head_room_tokens(state, count)
    if with_margin(head, state.settings) <= room:
        return ""
    return (
        f"with it, core memory and the instructions would take {head} tokens of the window, and at most {room} are "
        "theirs."
    )


def _head_room_tokens(state: State, count: Count) -> int:
    """The most that instructions and core memory may take: the turn's input stays in the window beside them."""
    settings, seq = state.settings, state.turn.input if state.turn else 0
    held = sum(entry_tokens(state, entry, count) for entry in state.queue if entry.seq == seq)
    beside = with_margin(held + summary_cap_tokens(settings) + STATUS_TOKENS, settings)
    return min(budget_tokens(settings) * 3 // 4, budget_tokens(settings) - beside)
