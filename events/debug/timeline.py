"""The timeline: a stream's events as a story, part by part, in bounded memory however long the stream is.

Rules. (1) A part is told as soon as its last event is there: an inference with its answer, a call with its result.
(2) Reading may begin anywhere: the state before, and the inputs that it waits for, say what is under way there.
(3) What no rule here knows (a newer event, a damaged one) is told as it stands.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec

from palimpsest.events.debug.moments import (
    Called,
    Evicted,
    EvictionBegan,
    Item,
    Moment,
    Noted,
    SettingChange,
    SettingsMoved,
    Step,
    StepOutcome,
    TurnBegan,
    TurnClosed,
    moment,
)
from palimpsest.events.envelope import Envelope
from palimpsest.events.servers import chosen, summarizer
from palimpsest.events.state import State
from palimpsest.events.types import (
    INPUTS,
    AgentCreated,
    AgentForked,
    AnswerRejected,
    ArchivalMemoryInserted,
    CoreMemoryAppended,
    CoreMemoryReplaced,
    Event,
    EvictionStarted,
    FunctionCalled,
    FunctionFailed,
    FunctionReturned,
    HeartbeatRaised,
    HeartbeatsPaused,
    InferenceCancelled,
    InferenceCompleted,
    InferenceFailed,
    InferenceRequested,
    InputArchived,
    InputSkipped,
    MessageSent,
    MessagesEvicted,
    ServerSwitched,
    Settings,
    SettingsChanged,
    SummaryWritten,
    TimerCancelled,
    ToolCall,
    TurnEnded,
    TurnStarted,
)

Parts = Iterator[Item]


def story(envelopes: Iterable[Envelope], before: State | None = None, opened: Iterable[Envelope] = ()) -> Parts:
    """The parts of a stretch of a stream. `before` is the state before its first event (None: it is the stream's
    first); `opened` are the events that it has `under_way` there."""
    timeline = Timeline(before, opened)
    for envelope in envelopes:
        yield from timeline.feed(moment(envelope))
    yield from timeline.rest()


def under_way(state: State) -> tuple[str, ...]:
    """The keys of what is open at a state (inputs, a request): a story that goes on from there needs their events."""
    turn = (state.turn.input_key, state.turn.request_key) if state.turn else ()
    return tuple(key for key in (*turn, *(pending.key for pending in state.pending)) if key)


class _Open:
    """The turn under way, as far as it was read."""

    def __init__(self, started_ms: int, steps: int = 0) -> None:
        self.started_ms = started_ms
        self.steps = steps
        self.prompt_tokens = 0
        self.completion_tokens = 0


class Timeline:
    """Takes a stream's events one by one and gives the parts that each of them completes."""

    def __init__(self, before: State | None = None, opened: Iterable[Envelope] = ()) -> None:
        known = [moment(each) for each in opened]
        self._inputs = {each.seq: each for each in known if isinstance(each.event, INPUTS)}
        self._settings: Settings | None = before.settings if before else None
        self._chosen: Settings | None = chosen(before) if before else None
        self._turns = before.turns if before else 0
        self._turn: _Open | None = None
        self._to_resume = before.turn if before else None
        self._calls: deque[ToolCall] = deque()
        self._held = [each for each in known if isinstance(each.event, (InferenceRequested, FunctionCalled))]
        """Events whose part is still to be completed: a request, a heartbeat, an eviction."""
        if before and before.turn:
            self._calls.extend(before.turn.calls[before.turn.done :])

    def feed(self, at: Moment) -> Parts:
        """The parts that are complete with this event."""
        if self._to_resume and at.turn == self._to_resume.input:
            yield self._resumed()
        tell = _TELL.get(type(at.event)) if at.event else None
        yield from tell(self, at, at.event) if tell else (_noted(at),)

    def rest(self) -> Parts:
        """What is still under way at the end: an open request, inputs that wait."""
        if self._to_resume and self._held:
            yield self._resumed()
        elif self._to_resume:
            self._inputs.pop(self._to_resume.input, None)
        asked = self._request()
        if asked:
            yield self._step(asked, outcome="open")
        yield from map(_noted, self._take())
        for waiting in self._inputs.values():
            yield _noted(waiting)
        self._inputs = {}

    # --- turns

    def _resumed(self) -> TurnBegan:
        """The header of a turn in whose middle the reading began: its time counts from its input."""
        turn, self._to_resume = self._to_resume, None
        assert turn is not None, "the caller looked"
        self._turn = _Open(turn.time_ms, turn.steps)
        came = self._inputs.pop(turn.input, None)
        return TurnBegan(
            seq=turn.input, time_ms=turn.time_ms, turn=turn.input, number=self._turns + 1, input=came, resumed=True
        )

    def _input(self, at: Moment, _event: Event) -> Parts:
        self._inputs[at.seq] = at
        yield from ()

    def _archived(self, at: Moment, _event: InputArchived) -> Parts:
        self._held.append(at)
        yield from ()

    def _began(self, at: Moment, event: TurnStarted) -> Parts:
        came = self._inputs.pop(event.input, None)
        archived = self._take(InputArchived)
        passages = sum(len(each.event.ends) for each in archived if isinstance(each.event, InputArchived))
        self._turn = _Open(at.time_ms)
        self._to_resume = None
        self._calls.clear()
        yield TurnBegan(
            seq=event.input,
            time_ms=at.time_ms,
            turn=event.input,
            events=((came,) if came else ()) + (*archived, at),
            number=self._turns + 1,
            input=came,
            waited_ms=max(0, at.time_ms - came.time_ms) if came else 0,
            archived_passages=passages,
            first_chars=event.first_chars,
        )

    def _skipped(self, at: Moment, event: InputSkipped) -> Parts:
        came = self._inputs.pop(event.input, None)
        yield _noted(*((came,) if came else ()), at)

    def _ended(self, at: Moment, event: TurnEnded) -> Parts:
        yield from map(_noted, self._take())
        turn, self._turn = self._turn, None
        self._turns += 1
        yield TurnClosed(
            seq=at.seq,
            time_ms=at.time_ms,
            turn=at.turn,
            events=(at,),
            reason=event.reason,
            detail=event.detail,
            steps=event.steps,
            tokens=event.tokens,
            prompt_tokens=turn.prompt_tokens if turn else 0,
            completion_tokens=turn.completion_tokens if turn else 0,
            wall_ms=max(0, at.time_ms - turn.started_ms) if turn else 0,
        )

    # --- steps

    def _asked(self, at: Moment, event: InferenceRequested) -> Parts:
        if self._turn and event.purpose == "reply":
            self._turn.steps += 1
        self._held.append(at)
        yield from ()

    def _heartbeat(self, at: Moment, _event: HeartbeatRaised) -> Parts:
        self._held.append(at)
        yield from ()

    def _completed(self, at: Moment, event: InferenceCompleted) -> Parts:
        if self._turn:
            self._turn.prompt_tokens += event.usage.prompt
            self._turn.completion_tokens += event.usage.completion
        step = self._step(
            (*self._request(), at),
            model=event.model,
            finish=event.finish,
            content=event.content,
            calls=event.calls,
            usage=event.usage,
            duration_ms=event.duration_ms,
        )
        if step.purpose == "reply":
            self._calls = deque(event.calls)
        yield step

    def _failed(self, at: Moment, event: InferenceFailed) -> Parts:
        yield self._step((*self._request(), at), event.error, detail=event.detail)

    def _cancelled(self, at: Moment, event: InferenceCancelled) -> Parts:
        yield self._step((*self._request(), at), "cancelled", detail=event.reason)

    def _step(self, told: tuple[Moment, ...], outcome: StepOutcome = "answered", **fields: Any) -> Step:
        """The step of these events; what was asked may lie before what was read."""
        last = told[-1]
        asked = next((each for each in told if isinstance(each.event, InferenceRequested)), None)
        request = asked.event if asked and isinstance(asked.event, InferenceRequested) else None
        beat = next((each.event for each in told if isinstance(each.event, HeartbeatRaised)), None)
        is_summary = request is not None and request.purpose == "summary"
        asked_with = summarizer(self._settings) if self._settings and is_summary else self._settings
        return Step(
            seq=(asked or last).seq,
            time_ms=(asked or last).time_ms,
            turn=last.turn,
            events=told,
            number=self._turn.steps if self._turn else 0,
            purpose=request.purpose if request else "reply",
            tokens=request.tokens if request else 0,
            window_tokens=asked_with.window_tokens if asked_with else 0,
            why=beat.reason if beat else "",
            answered=0 if last is asked else last.seq,
            outcome=outcome,
            wall_ms=max(0, last.time_ms - asked.time_ms) if asked else 0,
            **fields,
        )

    def _request(self) -> tuple[Moment, ...]:
        """The open request, after the heartbeat that led to it (which a summary that comes between is not for)."""
        asked = next((each.event for each in self._held if isinstance(each.event, InferenceRequested)), None)
        if asked is None or asked.purpose == "summary":
            return self._take(InferenceRequested)
        return self._take(HeartbeatRaised, InferenceRequested)

    def _rejected(self, at: Moment, _event: AnswerRejected) -> Parts:
        self._calls.clear()
        yield _noted(at)

    # --- calls

    def _function(self, at: Moment, _event: FunctionCalled) -> Parts:
        self._held.append(at)
        yield from ()

    def _done(self, at: Moment, event: Event) -> Parts:
        """The outcome of the first call that has none: they are carried out in their order."""
        if isinstance(event, TimerCancelled) and not event.call:
            yield _noted(at)
            return
        call = self._calls.popleft() if self._calls else None
        asked = self._take(FunctionCalled)
        plain = isinstance(event, MessageSent) and not event.call
        returned = event if isinstance(event, FunctionReturned) else None
        yield Called(
            seq=at.seq,
            time_ms=at.time_ms,
            turn=at.turn,
            events=(*asked, at),
            name=call.name if call else "" if plain else getattr(event, "name", ""),
            arguments=call.arguments if call else "",
            raw=call.raw if call else "",
            ok=not isinstance(event, FunctionFailed),
            result=event.error if isinstance(event, FunctionFailed) else returned.result if returned else "",
            found=returned.found if returned else (),
            total=returned.total if returned else 0,
            asked=asked[0].seq if asked else 0,
            wall_ms=max(0, at.time_ms - asked[0].time_ms) if asked else 0,
        )

    # --- memory pressure, settings

    def _eviction(self, at: Moment, event: EvictionStarted) -> Parts:
        yield EvictionBegan(
            seq=at.seq,
            time_ms=at.time_ms,
            turn=at.turn,
            events=(at,),
            seqs=event.seqs,
            reason=event.reason,
            tokens=event.tokens,
            target_tokens=event.target_tokens,
        )

    def _evicted(self, at: Moment, _event: MessagesEvicted) -> Parts:
        self._held.append(at)
        yield from ()

    def _summary(self, at: Moment, event: SummaryWritten) -> Parts:
        yield Evicted(
            seq=at.seq,
            time_ms=at.time_ms,
            turn=at.turn,
            events=(*self._take(MessagesEvicted), at),
            seqs=event.covers,
            author=event.author,
            text=event.text,
            tokens=event.tokens,
            previous=event.previous,
            note=event.note,
        )

    def _forked(self, at: Moment, event: AgentForked) -> Parts:
        """What was open stays with the parent: the fork asks for it anew."""
        asked = self._request()
        if asked:
            step = self._step(asked, outcome="left to the parent")
            if self._turn and step.purpose == "reply":
                self._turn.steps -= 1
            yield step
        yield from map(_noted, self._take())
        if event.settings is not None:
            self._settings = self._chosen = event.settings
        yield _noted(at)

    def _created(self, at: Moment, event: AgentCreated) -> Parts:
        self._settings = self._chosen = event.settings
        yield _noted(at)

    def _switched(self, at: Moment, event: ServerSwitched) -> Parts:
        self._settings = event.settings
        yield _noted(at)

    def _settled(self, at: Moment, event: SettingsChanged) -> Parts:
        found = changes(self._chosen, event.settings) if self._chosen else ()
        self._settings = self._chosen = event.settings
        yield SettingsMoved(seq=at.seq, time_ms=at.time_ms, turn=at.turn, events=(at,), changes=found)

    def _take(self, *kinds: type[Event]) -> tuple[Moment, ...]:
        """The events of these kinds that were held back (all of them, where none is named)."""
        taken = tuple(each for each in self._held if not kinds or isinstance(each.event, kinds))
        self._held = [each for each in self._held if each not in taken] if kinds else []
        return taken


def changes(before: msgspec.Struct, after: msgspec.Struct) -> tuple[SettingChange, ...]:
    """The fields in which two structs of one type differ."""
    fields = ((name, getattr(before, name), getattr(after, name)) for name in after.__struct_fields__)
    return tuple(SettingChange(name=name, before=old, after=new) for name, old, new in fields if old != new)


def _noted(*told: Moment) -> Noted:
    last = told[-1]
    return Noted(seq=last.seq, time_ms=last.time_ms, turn=last.turn, events=told)


_TELL: Final[dict[type[Event], Callable[[Timeline, Moment, Any], Parts]]] = {
    **dict.fromkeys(INPUTS, Timeline._input),
    InputArchived: Timeline._archived,
    TurnStarted: Timeline._began,
    InputSkipped: Timeline._skipped,
    TurnEnded: Timeline._ended,
    InferenceRequested: Timeline._asked,
    HeartbeatRaised: Timeline._heartbeat,
    InferenceCompleted: Timeline._completed,
    InferenceFailed: Timeline._failed,
    InferenceCancelled: Timeline._cancelled,
    AnswerRejected: Timeline._rejected,
    FunctionCalled: Timeline._function,
    MessageSent: Timeline._done,
    CoreMemoryAppended: Timeline._done,
    CoreMemoryReplaced: Timeline._done,
    ArchivalMemoryInserted: Timeline._done,
    HeartbeatsPaused: Timeline._done,
    FunctionReturned: Timeline._done,
    FunctionFailed: Timeline._done,
    TimerCancelled: Timeline._done,
    EvictionStarted: Timeline._eviction,
    MessagesEvicted: Timeline._evicted,
    SummaryWritten: Timeline._summary,
    AgentCreated: Timeline._created,
    AgentForked: Timeline._forked,
    SettingsChanged: Timeline._settled,
    ServerSwitched: Timeline._switched,
}
