"""The memory manager's mind: from a state, what happens next. Pure; called until it has nothing to say.

`decide` looks at the state alone, not at the event that came last: so it can be asked again after a crash or a
conflict, and gives the same answer. Everything that it wants of another part it asks by an event that opens a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, assert_never

from msgspec.structs import replace

from palimpsest.events import calls, eviction, margins, repetition, servers
from palimpsest.events.codec import draft
from palimpsest.events.context import (
    Count,
    fingerprint,
    head_tokens,
    measure,
    message_tokens,
    reply_request,
    summary_cap_tokens,
    with_margin,
)
from palimpsest.events.endings import cut_of
from palimpsest.events.envelope import Draft, Envelope, answer_key
from palimpsest.events.evolve import evolve
from palimpsest.events.forks import TAKEN_UP, adoptions, is_awake
from palimpsest.events.formats import BRIEF, ordered
from palimpsest.events.functions import functions_of, named, topic
from palimpsest.events.inputs import first_page, on_clock, text_of
from palimpsest.events.kinds import kind_of
from palimpsest.events.lifecycle import RETIRED, is_late, late
from palimpsest.events.own_fields import at_server
from palimpsest.events.passages import PASSAGE_TOKENS, split
from palimpsest.events.position import UNPLACED
from palimpsest.events.state import Pending, State, Turn
from palimpsest.events.times import Offset, no_zones, zone_of
from palimpsest.events.types import (
    AnswerRejected,
    Event,
    FormatChanged,
    FunctionCalled,
    FunctionFailed,
    HeartbeatRaised,
    InferenceCancelled,
    InferenceRequested,
    InputAdopted,
    InputArchived,
    InputSkipped,
    MessageSent,
    RepetitionNoted,
    TimerCancelled,
    TimerSet,
    TurnEnded,
    TurnStarted,
    UserMessageReceived,
)
from palimpsest.events.vocabulary import Beat, End, FinishOrNone, Opens


def decide(state: State, count: Count, offset: Offset = no_zones) -> tuple[Event, ...]:
    """The next events of this agent, or () if it waits: for an input, or for another part's answer."""
    if state.unadopted:
        return _skip(late(state)) or (adoptions(state) if is_awake(state) else ())
    turn = state.turn
    if turn is None:
        return _start_turn(state, count, offset) if state.pending else ()
    if turn.stop is not None and not (state.eviction and state.eviction.gone):  # what is cut is summed up first
        return _stop(turn)
    if any(part not in at_server(state) for part in turn.mended_by):
        return (FormatChanged(parts=ordered((*state.format, *turn.mended_by)), reason=turn.detail),)
    match turn.phase:
        case "inferring" | "summarising" | "calling":
            return ()
        case "failed":
            return _after_failure(state, turn, count)
        case "acting":
            return _act(state, turn, count)
        case "ready" if state.eviction:
            switched = servers.fail_over_summary(state)
            return (switched,) if switched else eviction.proceed(state, count)
        case "ready":
            return _request(state, turn, count)
        case _:
            assert_never(turn.phase)


# --- the beginning of a turn --------------------------------------------------------------------------------------


def _start_turn(state: State, count: Count, offset: Offset) -> tuple[Event, ...]:
    waiting = state.pending[0]
    if is_late(state, waiting):
        return _skip(waiting)
    if waiting.heartbeat and waiting.time_ms < state.heartbeats_paused_until_ms:
        return (InputSkipped(input=waiting.seq, reason="timed heartbeats are paused"),)
    back = servers.way_back(state, waiting.time_ms)
    if back:
        return (back,)
    if eviction.is_cramped(state, head_tokens(state, count)):
        return (_in_few_words(state),)
    room_tokens = _input_room_tokens(state, count)
    zone = zone_of(state)
    ahead_s = offset(zone, waiting.time_ms) if zone else None
    waiting = replace(waiting, wire=on_clock(waiting.wire, waiting.time_ms, ahead_s))
    if len(waiting.wire) <= room_tokens or message_tokens(waiting.wire, state.settings, count) <= room_tokens:
        return (TurnStarted(input=waiting.seq, offset_s=ahead_s),)
    return _archive_input(state, waiting, room_tokens, count, ahead_s)


def _skip(waiting: Pending | None) -> tuple[Event, ...]:
    """An input of a retired agent that did not come by the log's door."""
    return (InputSkipped(input=waiting.seq, reason=RETIRED),) if waiting else ()


def _in_few_words(state: State) -> FormatChanged:
    window = f"{state.settings.window_tokens} tokens"
    return FormatChanged(parts=ordered((*state.format, BRIEF)), reason=f"a window of {window} leaves no room to talk")


def _input_room_tokens(state: State, count: Count) -> int:
    """The most that an input may take of the window: half of what head, summary and answer leave."""
    settings = state.settings
    free = eviction.budget_tokens(settings) - with_margin(head_tokens(state, count), settings)
    return max(16, int((free - summary_cap_tokens(settings) - eviction.STATUS_TOKENS) / 2 / settings.margin))


def _archive_input(
    state: State, waiting: Pending, room_tokens: int, count: Count, ahead_s: int | None
) -> tuple[Event, ...]:
    """An input too large for the window: into archival storage whole, its first passages into the window.

    It is there already in a fork from between the two.
    """
    passage_tokens = min(PASSAGE_TOKENS, room_tokens)
    text = text_of(waiting.wire)
    ends = waiting.ends or split(text, lambda piece: count(state.settings.encoding, piece), passage_tokens)
    if not ends:
        return (TurnStarted(input=waiting.seq, offset_s=ahead_s),)
    chars = ends[min(max(1, room_tokens // 2 // passage_tokens), len(ends)) - 1]
    while chars > 1 and message_tokens(first_page(waiting.wire, chars), state.settings, count) > room_tokens:
        chars //= 2
    started = TurnStarted(input=waiting.seq, first_chars=chars, offset_s=ahead_s)
    return (started,) if waiting.ends else (InputArchived(input=waiting.seq, ends=ends), started)


# --- requests -----------------------------------------------------------------------------------------------------


def _request(state: State, turn: Turn, count: Count) -> tuple[Event, ...]:
    """The next inference, unless a cap ends the turn, or the window must be seen to first."""
    capped = _cap(state, turn)
    if capped:
        return (capped,)
    settings = state.settings
    measured = measure(state, count)
    tokens = with_margin(measured.total, settings)
    budget = eviction.budget_tokens(settings)
    if tokens > eviction.mark_tokens(settings) and eviction.is_cramped(state, measured.head):
        return (_in_few_words(state),)
    if tokens > eviction.mark_tokens(settings):
        started = eviction.start(state, measured, "pressure")
        if started:
            return (started,)
    if tokens > budget:
        why = _TOO_SMALL.format(tokens=tokens, budget=budget)
        switched = servers.fail_over(state, f"window_too_small: {why}", larger=True)
        return (switched or _end(turn, "window_too_small", servers.failures(turn, why)),)
    warning = eviction.warn(state, tokens, count)
    if warning:
        return (warning,)
    return (
        InferenceRequested(
            purpose="reply",
            fingerprint=fingerprint(reply_request(state)),
            tokens=tokens,
            counted=measured.counted,
            head_tokens=measured.head if state.head_tokens != measured.head else 0,
            summary_tokens=measured.summary if state.summary and state.summary.tokens != measured.summary else 0,
        ),
    )


_TOO_SMALL = (
    "The system text, core memory and the message take {tokens} tokens, and the window has room for {budget}. "
    "Give the agent a larger window (--window), or less core memory."
)


def _cap(state: State, turn: Turn) -> TurnEnded | None:
    settings = state.settings
    if turn.steps >= settings.max_steps:
        return _end(turn, "step_limit", f"The turn took {turn.steps} steps, its limit.")
    if turn.tokens >= settings.max_turn_tokens:
        return _end(
            turn, "token_limit", f"The turn used {turn.tokens} tokens; its limit is {settings.max_turn_tokens}."
        )
    if turn.failures > settings.max_failures:
        failed = f"The model failed {turn.failures} times in a row to make a good call."
        empty = "" if turn.calls or turn.content.strip() else " Its last answer was empty: see the server's log."
        return _end(turn, "failure_limit", failed + _LAST.get(turn.finish, empty))
    return None


_LAST: Final[Mapping[FinishOrNone, str]] = {
    "content_filter": " The server's content filter ended its last answer.",
    "length": " Its last answer was cut off at its length limit.",
    "interrupted": " The server ended its last answer in its middle.",
}


def _after_failure(state: State, turn: Turn, count: Count) -> tuple[Event, ...]:
    """A provider's overflow is answered with an eviction; of every other failure another server may know nothing; where
    there is none left, it ends the turn."""
    if turn.error == "overflow" and turn.overflows <= eviction.OVERFLOW_ATTEMPTS:
        started = eviction.start(state, measure(state, count), "overflow")
        if started:
            return (started,)
    why = f"{turn.error}: {turn.detail}"
    return (servers.fail_over(state, why) or _end(turn, "inference_failed", servers.failures(turn, why)),)


def _end(turn: Turn, reason: End, detail: str = "") -> TurnEnded:
    return TurnEnded(input=turn.input, reason=reason, detail=detail, steps=turn.steps, tokens=turn.tokens)


# --- answers ------------------------------------------------------------------------------------------------------


def _act(state: State, turn: Turn, count: Count) -> tuple[Event, ...]:
    """Carry out the last answer: its next call, or, when all are done, what follows from them."""
    if turn.done == 0:
        noticed = margins.learned(state) or margins.cut_noticed(state)
        if noticed:
            return (noticed,)
    if not turn.calls and turn.done == 0:
        return (MessageSent(text=turn.content, cut=cut_of(turn.finish)) if turn.content.strip() else _reject(turn),)
    if turn.done < len(turn.calls):
        return (calls.carry_out(state, turn, turn.calls[turn.done], count),)
    return (_after_calls(state, turn),)


def _reject(turn: Turn) -> AnswerRejected:
    """An answer that says and does nothing."""
    cut = _EMPTY.get(turn.finish, "")
    return AnswerRejected(reason=f"Your last answer was empty.{cut} Call send_message to speak to the user.")


_EMPTY: Final[Mapping[FinishOrNone, str]] = {
    "length": " It was cut off at its length limit.",
    "content_filter": " The server's content filter held it back: say it otherwise.",
    "interrupted": " The server broke it off.",
}


def _after_calls(state: State, turn: Turn) -> Event:
    reason, settings = _goes_on(state, turn), state.settings
    if reason is None:
        return _end(turn, "yielded")
    if repetition.is_ended(turn, settings):
        call = turn.calls[turn.repeating]
        made = f"{call.name[:80]}({calls.shown(call)})"
        why = f"{turn.repeats} times in this turn, always with the same result: {made}"
        return _end(turn, "repeating", why + _LAST.get(turn.finish, ""))
    if repetition.is_told(turn, settings):
        name = turn.calls[turn.repeating].name[:80]
        return RepetitionNoted(name=name, times=turn.repeats, reason=_REPEATS.format(name=name, times=turn.repeats))
    return HeartbeatRaised(reason=reason)


def _goes_on(state: State, turn: Turn) -> Beat | None:
    """Why the model is called again (None: it yields)."""
    if turn.step_failed:
        return "failed"
    if any(calls.wants_heartbeat(state, call) for call in turn.calls):
        return "requested"
    return "silent" if turn.sent == 0 and turn.input_kind == _SPOKEN else None


_SPOKEN: Final = kind_of(UserMessageReceived)
_REPEATS: Final = (
    "You called {name} {times} times in this turn with the same arguments, and each time the result was the same. It "
    "will not be another one: do something else, or answer the user with send_message."
)


# --- stop ---------------------------------------------------------------------------------------------------------


def _stop(turn: Turn) -> tuple[Event, ...]:
    """Cancel what is open, give every call a result (so that no later request is refused), and end the turn.

    Plain text that was not sent yet leaves the queue: the user never saw it.
    """
    reason = f"stopped by the user{': ' + turn.stop if turn.stop else ''}"
    events: list[Event] = []
    match turn.phase:
        case "inferring" | "summarising":
            events.append(InferenceCancelled(reason=reason))
        case "acting" if not turn.calls and turn.done == 0:
            events.append(AnswerRejected(reason=reason))
        case "acting" | "calling":
            events += [FunctionFailed(call=c.id, name=c.name, error=reason) for c in turn.calls[turn.done :]]
        case "ready" | "failed":
            pass
        case _:
            assert_never(turn.phase)
    return (*events, _end(turn, "stopped", reason))


# --- drafts -------------------------------------------------------------------------------------------------------


def advance(state: State, count: Count, now_ms: int, offset: Offset = no_zones) -> tuple[State, list[Draft]]:
    """Decide until the agent waits; the state then, and the drafts to append with `state.seq` expected.

    `now_ms` is only the envelopes' time: nothing in a context or a decision hangs on it.
    """
    drafts: list[Draft] = []
    while events := decide(state, count, offset):
        state = _drafted(state, events, now_ms, drafts)
    return state, drafts


def resumption(state: State, now_ms: int) -> list[Draft]:
    """What takes up in a fork at rest what it has of its parent's, to append with `state.seq` expected."""
    drafts: list[Draft] = []
    _drafted(state, adoptions(state), now_ms, drafts)
    return drafts


def _drafted(state: State, events: tuple[Event, ...], now_ms: int, drafts: list[Draft]) -> State:
    for event in events:
        made = _draft(state, event, now_ms)
        drafts.append(made)
        state = evolve(state, placed(made, state.seq + 1), event)
    return state


def _draft(state: State, event: Event, now_ms: int) -> Draft:
    """The event's draft: its key is its seq (an expected seq guards it), and it opens or closes what its kind does.

    What calls off a timer or its setting has not the key of the answer: that answer comes with other drafts (the timer
    that is set, or set again), and would, as a duplicate, let these in alone. So all of it meets a closed request.
    """
    turn = state.turn
    cause = (turn.request_key or turn.input_key) if turn else ""
    number = turn.input if turn else getattr(event, "input", 0)
    opens: Opens = ""
    closes, key = "", f"m{state.seq + 1}"
    match event:
        case InferenceRequested():
            opens = "inference"
        case FunctionCalled():
            opens = topic(named(functions_of(state), event.name))
        case InferenceCancelled() if turn:
            closes, key = turn.request_key, answer_key(turn.request_key)
        case FunctionFailed() if turn and turn.phase == "calling":
            closes = turn.request_key
        case TimerCancelled():
            closes = calls.alarm_key(state, event.timer_id)
        case TurnEnded() if turn:
            closes = turn.input_key
        case InputAdopted():
            opens, number, cause = "turn", event.input, ""
        case TimerSet() if state.unadopted:
            opens, number, cause, key = "alarm", 0, TAKEN_UP, state.unadopted.alarms[0]
        case InputArchived() | InputSkipped() | TurnStarted():
            cause = next(p.key for p in state.pending if p.seq == event.input)
            closes = cause if isinstance(event, InputSkipped) else ""
            number = event.input
        case _:
            pass
    return draft(state.agent, now_ms, event, key=key, turn=number, cause=cause, opens=opens, closes=closes)


def placed(made: Draft, seq: int) -> Envelope:
    """The draft as the fold will see it."""
    return Envelope(
        made.stream, seq, UNPLACED, made.time, made.kind, made.version, made.key, made.body, made.turn, made.cause,
        made.opens, made.closes, b"",
    )  # fmt: skip
