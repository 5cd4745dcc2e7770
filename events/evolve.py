"""The fold: what each event makes of the state. Pure, total over all kinds, and free of policy.

Every limit, choice and count was made by `decide` and stands in the event; so old logs fold for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from palimpsest.events import counting, lifecycle, margins
from palimpsest.events.answers import named, package_answer, rewired
from palimpsest.events.codec import decode
from palimpsest.events.context import SENT, package, package_result, pressure_warning
from palimpsest.events.encodings import is_servers
from palimpsest.events.endings import CUT
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import LogDamaged, NewerFormat
from palimpsest.events.forks import adopted, asked_again, asked_with, forked, stopped, timer_set, with_settings
from palimpsest.events.formats import NAMED, NUMBERED, Format, ordered, unknown_parts
from palimpsest.events.functions.core_memory import appended
from palimpsest.events.inputs import first_page, on_clock, packaged
from palimpsest.events.own_fields import slimmed, wanting
from palimpsest.events.repetition import acted
from palimpsest.events.state import UNCOUNTED, Down, Entry, Eviction, Pending, State, Summary, Turn, moved
from palimpsest.events.times import now as _now
from palimpsest.events.times import zone_of
from palimpsest.events.types import (
    AgentCreated,
    AgentForked,
    AgentReinstated,
    AgentRetired,
    AlertRaised,
    AnswerRejected,
    ArchivalMemoryInserted,
    CoreMemoryAppended,
    CoreMemoryReplaced,
    CutNoticed,
    Event,
    EvictionStarted,
    FormatChanged,
    FunctionCalled,
    FunctionFailed,
    FunctionReturned,
    HeartbeatRaised,
    HeartbeatsPaused,
    InferenceCancelled,
    InferenceCompleted,
    InferenceFailed,
    InferenceRequested,
    InputAdopted,
    InputArchived,
    InputSkipped,
    MarginLearned,
    MemoryPressureWarned,
    MessageSent,
    MessagesEvicted,
    Own,
    RepetitionNoted,
    ServerSwitched,
    SettingsChanged,
    SourceAttached,
    SourceDetached,
    StopRequested,
    SummaryWritten,
    TimerCancelled,
    TimerFired,
    TimerSet,
    TimeZoneSet,
    TitleChanged,
    TurnEnded,
    TurnStarted,
    UploadFinished,
    UserLoggedIn,
    UserMessageReceived,
)
from palimpsest.events.vocabulary import Beat, CutOrNot, EntryKind, Phase


def fold(envelopes: Iterable[Envelope], state: State | None = None) -> State | None:
    """The state after these events of one stream (None: the stream is empty)."""
    for envelope in envelopes:
        state = evolve(state, envelope, decode(envelope))
    return state


def evolve(state: State | None, envelope: Envelope, event: Event) -> State:
    """The state after `event`. Raises LogDamaged where the stream has a gap or does not begin with AgentCreated."""
    if state is None:
        if not isinstance(event, AgentCreated) or envelope.seq != 1:
            raise LogDamaged(envelope.stream, envelope.seq, "a stream begins with AgentCreated at seq 1")
        return _created(envelope, event)
    if envelope.seq != state.seq + 1:
        raise LogDamaged(
            envelope.stream, envelope.seq, f"it follows event {state.seq}: events between them are missing"
        )
    try:
        after = _EVOLVE[type(event)](state, envelope, event)
    except (ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, msgspec.MsgspecError) as error:
        # Bytes that decode, and yet make no sense: nothing that this code wrote.
        raise LogDamaged(
            envelope.stream, envelope.seq, f"it does not fold ({type(error).__name__}: {error})"
        ) from error
    return replace(after, seq=envelope.seq, time_ms=envelope.time)


def _created(at: Envelope, event: AgentCreated) -> State:
    if event.format > NAMED:
        raise NewerFormat(
            f"Agent '{at.stream}' has contexts of format {event.format}; this Palimpsest renders {NAMED}: upgrade it."
        )
    return State(
        agent=at.stream,
        seq=at.seq,
        time_ms=at.time,
        created_ms=at.time,
        format=NUMBERED[event.format] if event.format in NUMBERED else _format(at, event.parts),
        system=event.system,
        settings=event.settings,
        blocks=event.blocks,
        parent=event.parent,
        zone=event.zone,
        offset_s=event.offset_s,
    )


def _format(at: Envelope, parts: tuple[str, ...]) -> Format:
    strange = unknown_parts(parts)
    if strange:
        raise NewerFormat(
            f"Agent '{at.stream}' has contexts with the part '{strange[0]}' (event {at.seq}), which this Palimpsest "
            "does not render: upgrade it."
        )
    return ordered(parts)


def _created_again(_state: State, at: Envelope, _event: AgentCreated) -> State:
    raise LogDamaged(at.stream, at.seq, "AgentCreated stands in the middle of a stream")


def _time_zone_set(state: State, _at: Envelope, event: TimeZoneSet) -> State:
    return replace(state, zone=event.zone, offset_s=event.offset_s)


def _settings_changed(state: State, _at: Envelope, event: SettingsChanged) -> State:
    return with_settings(state, event.settings)


def _server_switched(state: State, _at: Envelope, event: ServerSwitched) -> State:
    """Whoever is asked next: the turn's request, or the summary of its eviction, is made again for that server."""
    turn, eviction = state.turn, state.eviction
    if turn is not None and event.reason:
        down = (*turn.down, Down(server=state.server, why=event.reason))
        turn = moved(turn, _asks_again(turn), down=down, overflows=0, error="", detail="")
    state = replace(
        asked_with(state, event.settings),
        server=event.server,
        chosen=(state.chosen or state.settings) if event.server else None,
        switched_ms=_now(state).time_ms if event.server else 0,
        eviction=Eviction(seqs=eviction.seqs, gone=eviction.gone) if eviction else None,
    )
    return replace(state, turn=turn)


def _format_changed(state: State, at: Envelope, event: FormatChanged) -> State:
    """What is in the queue goes out in the new form too. A turn whose request was refused asks again."""
    format = _format(at, event.parts)
    queue = tuple(
        replace(entry, wire=rewired(entry.wire, format) if entry.kind == "assistant" else entry.wire, tokens=UNCOUNTED)
        for entry in state.queue
    )
    summary = replace(state.summary, tokens=UNCOUNTED) if state.summary else None
    state = replace(
        state,
        format=format,
        stand_ins=wanting(state, format),
        queue=queue,
        summary=summary,
        head_tokens=UNCOUNTED,
    )
    turn = state.turn
    if turn is None or not turn.mended_by:
        return state
    return replace(state, turn=moved(turn, _asks_again(turn), mended_by=()))


def _asks_again(turn: Turn) -> Phase:
    return "ready" if turn.phase == "failed" else turn.phase


# --- inputs -------------------------------------------------------------------------------------------------------


def _input(state: State, at: Envelope, event: Event, *, heartbeat: bool = False) -> State:
    wire = packaged(event, at.time)
    pending = Pending(seq=at.seq, key=at.key, kind=at.kind, time_ms=at.time, wire=wire, heartbeat=heartbeat)
    return replace(state, pending=(*state.pending, pending))


def _timer_fired(state: State, at: Envelope, event: TimerFired) -> State:
    return _input(_without_alarm(state, at.closes), at, event, heartbeat=event.timer.heartbeat)


def _stop_requested(state: State, _at: Envelope, event: StopRequested) -> State:
    """A stop is for the turn of the input that it names; naming none, for the one that runs, or else is about to."""
    if state.turn and event.input in (0, state.turn.input):
        return _turn(state, stop=event.reason)
    meant = event.input or (state.pending[0].seq if state.pending else 0)
    pending = tuple(replace(each, stop=event.reason) if each.seq == meant else each for each in state.pending)
    return replace(state, pending=pending)


# --- a turn -------------------------------------------------------------------------------------------------------


def _turn(state: State, phase: Phase | None = None, **changes: Any) -> State:
    turn = _turn_of(state)
    return replace(state, turn=moved(turn, phase or turn.phase, **changes))


def _turn_of(state: State) -> Turn:
    if state.turn is None:
        raise LogDamaged(state.agent, state.seq + 1, "it belongs to a turn, and no turn is under way")
    return state.turn


def _input_archived(state: State, _at: Envelope, event: InputArchived) -> State:
    pending = tuple(replace(each, ends=event.ends) if each.seq == event.input else each for each in state.pending)
    return replace(state, pending=pending, archival_passages=state.archival_passages + len(event.ends))


def _turn_started(state: State, at: Envelope, event: TurnStarted) -> State:
    waiting = next((p for p in state.pending if p.seq == event.input), None)
    if waiting is None:
        raise LogDamaged(state.agent, at.seq, f"it starts a turn on event {event.input}, which is no waiting input")
    wire = on_clock(waiting.wire, waiting.time_ms, event.offset_s)
    wire = first_page(wire, event.first_chars) if event.first_chars else wire
    return replace(
        state,
        offset_s=event.offset_s,
        pending=tuple(p for p in state.pending if p.seq != event.input),
        queue=(*slimmed(state.queue, state.format), Entry(seq=waiting.seq, kind="input", wire=wire)),
        recall_messages=state.recall_messages + 1,
        turn=Turn(
            input=waiting.seq,
            input_key=waiting.key,
            input_kind=waiting.kind,
            time_ms=waiting.time_ms,
            stop=waiting.stop,
            zone="" if event.offset_s is None else zone_of(state),
            offset_s=event.offset_s,
        ),
    )


def _input_skipped(state: State, _at: Envelope, event: InputSkipped) -> State:
    return replace(state, pending=tuple(p for p in state.pending if p.seq != event.input))


def _turn_ended(state: State, _at: Envelope, event: TurnEnded) -> State:
    if event.reason == "stopped" and state.turn:
        state = stopped(state, state.turn)
    if event.reason == "inference_failed":
        state = replace(state, switched_ms=0)  # the last of its servers is no better than the first
    return _with_sources(replace(state, turn=None, eviction=None, turns=state.turns + 1), _sources(state))


def _heartbeat_raised(state: State, at: Envelope, event: HeartbeatRaised) -> State:
    failures = 0 if event.reason == "requested" else _turn_of(state).failures + 1
    wire = package("heartbeat", _now(state), reason=_HEARTBEAT_REASONS.get(event.reason, event.reason))
    return _enqueue(_turn(state, phase="ready", failures=failures), at, "alert", wire)


_HEARTBEAT_REASONS: Final[Mapping[Beat, str]] = {
    "requested": "Function called using request_heartbeat=true, returning control",
    "failed": "Function call failed, returning control",
    "silent": "You yielded without a message to the user, who waits for one: call send_message, returning control",
}


def _enqueue(state: State, at: Envelope, kind: EntryKind, wire: bytes, own: Own | None = None) -> State:
    return replace(state, queue=(*state.queue, Entry(seq=at.seq, kind=kind, wire=wire, own=own)))


# --- inference ----------------------------------------------------------------------------------------------------


def _inference_requested(state: State, at: Envelope, event: InferenceRequested) -> State:
    state = asked_again(state)
    if event.purpose == "summary":
        return _summary_requested(state, at, event)
    if event.counted:
        counts = iter(event.counted)
        queue = tuple(replace(e, tokens=next(counts, UNCOUNTED)) if e.tokens == UNCOUNTED else e for e in state.queue)
        state = replace(state, queue=queue)
    if event.head_tokens:
        state = replace(state, head_tokens=event.head_tokens)
    if event.summary_tokens and state.summary:
        state = replace(state, summary=replace(state.summary, tokens=event.summary_tokens))
    counted = int(event.tokens / state.settings.margin)
    steps = _turn_of(state).steps + 1
    return _turn(state, phase="inferring", request_key=at.key, steps=steps, asked_tokens=counted)


def _summary_requested(state: State, at: Envelope, event: InferenceRequested) -> State:
    under_way = state.eviction
    if under_way is None:
        raise LogDamaged(state.agent, at.seq, "it asks for a summary, and no eviction is under way")
    eviction = Eviction(seqs=under_way.seqs, clip_chars=event.clip_chars, attempts=under_way.attempts + 1)
    return _turn(replace(state, eviction=eviction), phase="summarising", request_key=at.key)


def _inference_completed(state: State, at: Envelope, event: InferenceCompleted) -> State:
    turn = _turn_of(state)
    tokens = turn.tokens + event.usage.prompt + event.usage.completion
    if turn.phase == "summarising" and state.eviction:
        eviction = replace(state.eviction, answered=True, text="" if event.finish in CUT else event.content)
        state = replace(state, eviction=eviction)
        return _turn(state, phase="ready", request_key="", tokens=tokens)
    state = margins.taken(state, margins.reading(event, _counted_tokens(state, event)))
    state = counting.counted(state, event.counted)
    calls = tuple(named(event.calls, at.seq - state.shift))
    wire = package_answer(event.content, calls, state.format)
    state = _turn(
        state,
        phase="acting",
        request_key="",
        tokens=tokens,
        calls=calls,
        done=0,
        finish=event.finish,
        content=event.content,
        step_failed=False,
        repeats=0,
        note="",
    )
    return _enqueue(state, at, "assistant", wire, event.own)


def _counted_tokens(state: State, event: InferenceCompleted) -> int:
    """Our count of the request that was answered, without margin; 0 where it says nothing: an estimate of what the
    server was to count."""
    if event.counted:
        return event.counted.tokens
    return 0 if is_servers(state.settings.encoding) else _turn_of(state).asked_tokens


def _margin_learned(state: State, _at: Envelope, event: MarginLearned) -> State:
    return margins.remembered(state, event)


def _cut_noticed(state: State, _at: Envelope, event: CutNoticed) -> State:
    return replace(state, cut_tokens=event.tokens)


def _inference_failed(state: State, _at: Envelope, event: InferenceFailed) -> State:
    turn = _turn_of(state)
    if turn.phase == "summarising" and state.eviction:
        note = f"{event.error}: {event.detail}"[:300]
        eviction = replace(state.eviction, answered=True, text="", note=note, error=event.error)
        state = replace(state, eviction=eviction)
        return _turn(state, phase="ready", request_key="", detail=event.detail, mended_by=event.mended_by)
    overflows = turn.overflows + (event.error == "overflow")
    return _turn(
        counting.counted(state, event.counted),
        phase="failed",
        request_key="",
        error=event.error,
        detail=event.detail,
        overflows=overflows,
        mended_by=event.mended_by,
    )


def _inference_cancelled(state: State, _at: Envelope, _event: InferenceCancelled) -> State:
    return _turn(state, phase="ready", request_key="")


def _answer_rejected(state: State, _at: Envelope, event: AnswerRejected) -> State:
    turn = _turn_of(state)
    return _turn(
        replace(state, queue=state.queue[:-1]),
        phase="ready",
        calls=(),
        content="",
        note=event.reason,
        failures=turn.failures + 1,
    )


def _repetition_noted(state: State, _at: Envelope, event: RepetitionNoted) -> State:
    return _turn(state, note=event.reason, noted=_turn_of(state).steps)


# --- functions ----------------------------------------------------------------------------------------------------


def _result(state: State, at: Envelope, call: str, text: str = SENT, *, ok: bool = True) -> State:
    """The call's result joins the queue, and the call counts as done."""
    turn = _turn_of(state)
    wire = package_result(call, _now(state), text, ok=ok)
    acts = acted(turn.acts, turn.calls[turn.done], text, ok=ok)
    repeats, repeating = max((turn.repeats, turn.repeating), (acts[-1].times, turn.done), key=lambda most: most[0])
    state = _turn(
        state,
        acts=acts,
        repeats=repeats,
        repeating=repeating,
        phase="acting",
        request_key="",
        number=0,
        done=turn.done + 1,
        step_failed=turn.step_failed or not ok,
    )
    return _enqueue(state, at, "tool", wire)


def _message_sent(state: State, at: Envelope, event: MessageSent) -> State:
    state = _turn(state, sent=_turn_of(state).sent + 1)
    state = replace(state, recall_messages=state.recall_messages + 1)
    cut = _CUTS.get(event.cut, event.cut)
    if event.call:
        return _result(state, at, event.call, cut or SENT)
    state = _turn(state, done=1)
    return _enqueue(state, at, "alert", package("system_alert", _now(state), message=cut)) if cut else state


_CUTS: Final[Mapping[CutOrNot, str]] = {
    "length": "The message was cut off at the length limit of your answers; the user got it as far as it went.",
    "content_filter": "The server's content filter cut the message off; the user got it as far as it went.",
    "interrupted": "The server ended the message in its middle; the user got it as far as it went.",
}


def _edit(state: State, label: str, edit: Callable[[str], str]) -> State:
    blocks = tuple(replace(b, value=edit(b.value)) if b.label == label else b for b in state.blocks)
    return replace(state, blocks=blocks, head_tokens=UNCOUNTED)


def _core_appended(state: State, at: Envelope, event: CoreMemoryAppended) -> State:
    return _result(_edit(state, event.label, lambda value: appended(value, event.text)), at, event.call)


def _core_replaced(state: State, at: Envelope, event: CoreMemoryReplaced) -> State:
    return _result(_edit(state, event.label, lambda value: value.replace(event.old, event.new, 1)), at, event.call)


def _archival_inserted(state: State, at: Envelope, event: ArchivalMemoryInserted) -> State:
    state = replace(state, archival_passages=state.archival_passages + len(event.ends))
    return _result(state, at, event.call)


def _heartbeats_paused(state: State, at: Envelope, event: HeartbeatsPaused) -> State:
    state = replace(state, heartbeats_paused_until_ms=event.until_ms)
    return _result(state, at, event.call, f"Pausing timed heartbeats for {event.minutes} min")


def _function_called(state: State, at: Envelope, event: FunctionCalled) -> State:
    return _turn(asked_again(state), phase="calling", request_key=at.key, number=event.number)


def _function_returned(state: State, at: Envelope, event: FunctionReturned) -> State:
    return _result(state, at, event.call, event.result)


def _function_failed(state: State, at: Envelope, event: FunctionFailed) -> State:
    return _result(state, at, event.call, event.error, ok=False)


# --- timers -------------------------------------------------------------------------------------------------------


def _timer_cancelled(state: State, at: Envelope, event: TimerCancelled) -> State:
    state = _without_alarm(state, at.closes)
    return _result(state, at, event.call) if event.call else state


def _without_alarm(state: State, key: str) -> State:
    return replace(state, alarms=tuple(alarm for alarm in state.alarms if alarm.key != key))


# --- sources ------------------------------------------------------------------------------------------------------


def _source_attached(state: State, _at: Envelope, event: SourceAttached) -> State:
    now = _sources(state)
    return _with_sources(state, now if event.source in now else (*now, event.source))


def _source_detached(state: State, _at: Envelope, event: SourceDetached) -> State:
    return _with_sources(state, tuple(source for source in _sources(state) if source != event.source))


def _sources(state: State) -> tuple[str, ...]:
    return state.sources if state.next_sources is None else state.next_sources


def _with_sources(state: State, sources: tuple[str, ...]) -> State:
    """A turn goes on with the sources that it began with: what its input may take of the window was reckoned with them.

    The first source brings functions into the context, the last one takes them away: the head is counted anew.
    """
    if state.turn is not None:
        return replace(state, next_sources=None if sources == state.sources else sources)
    if sources == state.sources:
        return state
    return replace(state, sources=sources, next_sources=None, head_tokens=UNCOUNTED)


# --- memory pressure ----------------------------------------------------------------------------------------------


def _pressure_warned(state: State, at: Envelope, _event: MemoryPressureWarned) -> State:
    return _enqueue(replace(state, warned=True), at, "alert", pressure_warning(_now(state)))


def _eviction_started(state: State, _at: Envelope, event: EvictionStarted) -> State:
    state = replace(state, eviction=Eviction(seqs=event.seqs))
    return _turn(state, phase="ready")


def _messages_evicted(state: State, _at: Envelope, event: MessagesEvicted) -> State:
    seqs = set(event.seqs)
    gone = tuple(entry for entry in state.queue if entry.seq in seqs)
    eviction = replace(state.eviction, gone=gone) if state.eviction else None
    queue = tuple(entry for entry in state.queue if entry.seq not in seqs)
    return replace(state, queue=queue, eviction=eviction, warned=False)


def _summary_written(state: State, at: Envelope, event: SummaryWritten) -> State:
    before = state.summary
    hidden = len(event.covers) + (before.hidden if before else 0)
    time_ms, offset_s = _now(state)
    summary = Summary(
        seq=at.seq,
        text=event.text,
        hidden=hidden,
        total=hidden + len(state.queue),
        tokens=event.tokens,
        time_ms=time_ms,
        offset_s=offset_s,
    )
    return replace(state, summary=summary, eviction=None)


_EVOLVE: Final[dict[type[Event], Callable[[State, Envelope, Any], State]]] = {
    AgentCreated: _created_again,
    AgentForked: forked,
    TimeZoneSet: _time_zone_set,
    SettingsChanged: _settings_changed,
    TitleChanged: lifecycle.titled,
    AgentRetired: lifecycle.retired,
    AgentReinstated: lifecycle.reinstated,
    FormatChanged: _format_changed,
    MarginLearned: _margin_learned,
    CutNoticed: _cut_noticed,
    ServerSwitched: _server_switched,
    UserMessageReceived: _input,
    UserLoggedIn: _input,
    UploadFinished: _input,
    AlertRaised: _input,
    TimerFired: _timer_fired,
    InputAdopted: adopted,
    StopRequested: _stop_requested,
    InputArchived: _input_archived,
    TurnStarted: _turn_started,
    InputSkipped: _input_skipped,
    InferenceRequested: _inference_requested,
    InferenceCompleted: _inference_completed,
    InferenceFailed: _inference_failed,
    InferenceCancelled: _inference_cancelled,
    AnswerRejected: _answer_rejected,
    RepetitionNoted: _repetition_noted,
    HeartbeatRaised: _heartbeat_raised,
    TurnEnded: _turn_ended,
    MessageSent: _message_sent,
    CoreMemoryAppended: _core_appended,
    CoreMemoryReplaced: _core_replaced,
    ArchivalMemoryInserted: _archival_inserted,
    HeartbeatsPaused: _heartbeats_paused,
    FunctionCalled: _function_called,
    FunctionReturned: _function_returned,
    FunctionFailed: _function_failed,
    TimerSet: timer_set,
    TimerCancelled: _timer_cancelled,
    MemoryPressureWarned: _pressure_warned,
    EvictionStarted: _eviction_started,
    MessagesEvicted: _messages_evicted,
    SummaryWritten: _summary_written,
    SourceAttached: _source_attached,
    SourceDetached: _source_detached,
}
