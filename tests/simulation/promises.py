"""The promises of the design, as checks over a partition's log. Each failure cites its promise by number.

A `Watch` follows a log and takes each event once, so that it can look after every step of a run.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from palimpsest.events.codec import decode
from palimpsest.events.envelope import Envelope
from palimpsest.events.eviction import budget_tokens
from palimpsest.events.kinds import kind_of
from palimpsest.events.lifecycle import RETIRED
from palimpsest.events.phases import WAITING, after
from palimpsest.events.replay import Replayer
from palimpsest.events.state import State, Unadopted
from palimpsest.events.types import (
    AgentForked,
    Event,
    EvictionStarted,
    InferenceRequested,
    InputSkipped,
    MemoryPressureWarned,
    MessagesEvicted,
    StopRequested,
    SummaryWritten,
    TimerFired,
    TimerSet,
    TurnEnded,
    TurnStarted,
)
from palimpsest.events.vocabulary import TOPICS, Phase
from palimpsest.store.logs.contract import LogReader


class Watch:
    """Watches the streams of a log. `look` after every step; each raises AssertionError where a promise is broken."""

    def __init__(self) -> None:
        self.streams: dict[str, Stream] = {}

    def look(self, log: LogReader) -> None:
        """Take what is new, and check what must hold now."""
        for head in log.heads():
            stream = self.streams.setdefault(head.stream, Stream(head.stream))
            assert head.seq >= stream.seq, f"promise 1: {head.stream} lost events after {head.seq}"
            if head.seq > stream.seq:
                for envelope in log.read(head.stream, after=stream.seq):
                    stream.take(envelope)
                assert head.hash == stream.replayer.hash, f"section 3: the head of {head.stream} is not its last event"
                stream.check_open(
                    {e.key: e.opens for topic in TOPICS for e in log.open_requests_of(head.stream, topic)}
                )

    def state(self, agent: str) -> State:
        state = self.streams[agent].replayer.state
        assert state is not None, f"promise 1: the stream of {agent} is there"
        return state


class Stream:
    """What has been seen of one stream."""

    def __init__(self, agent: str) -> None:
        self.agent = agent
        self.seq = 0
        self.replayer = Replayer(agent)
        self.contexts: list[bytes] = []
        """The fingerprints of all requests, in order."""
        self.ended: dict[int, str] = {}
        """The inputs whose turn has ended, and how."""
        self.skipped: set[int] = set()
        """The inputs that came after the agent was retired."""
        self._keys: set[str] = set()
        self._meant: set[int] = set()
        """The inputs whose turns were to be stopped (0: whichever ran)."""
        self._closed: set[str] = set()
        self._open: dict[str, str] = {}
        self._asked_to_go: tuple[int, ...] = ()
        self._evicted: list[int] = []
        self._covered: list[int] = []
        self._summary = 0
        self._taken_up = 0
        self._warned = False

    def take(self, envelope: Envelope) -> None:
        self.seq += 1
        assert envelope.seq == self.seq, f"section 3: gapless seqs; {envelope.seq} stands at {self.seq}"
        before = phase_of(self.replayer.state)
        difference = self.replayer.feed(envelope)
        assert difference is None, f"promise 2, at {self.agent}/{envelope.seq}: {difference}"
        self._check_once(envelope)
        if self.replayer.source is not None:
            return
        assert self.replayer.state is not None, "an event was folded"
        event = decode(envelope)
        check_phase(before, event, self.replayer.state)
        self._check(envelope, event, self.replayer.state)

    def _check_once(self, envelope: Envelope) -> None:
        where = f"at {self.agent}/{envelope.seq}"
        if envelope.kind == AgentForked.__name__:  # keys and requests are a stream's own
            self._keys.clear()
            self._closed.clear()
            self._open.clear()
        assert envelope.key not in self._keys, f"promise 3: a key stands twice {where}"
        self._keys.add(envelope.key)
        if envelope.closes:
            assert envelope.closes not in self._closed, f"promise 3: a request was answered twice {where}"
            self._closed.add(envelope.closes)
            assert self._open.pop(envelope.closes, None), f"section 3: what it closes was not open {where}"
        if envelope.opens:
            self._open[envelope.key] = envelope.opens
        flying = sum(topic == "inference" for topic in self._open.values())
        assert flying <= 1, f"promise 4: two inferences in flight {where}"

    def _check(self, envelope: Envelope, event: Event, state: State) -> None:
        seq = envelope.seq
        self._check_retired(seq, event, state)
        match event:
            case TurnEnded():
                assert event.input not in self.ended, f"promise 3: input {event.input} led to two turns"
                self.ended[event.input] = event.reason
                if event.reason == "stopped":
                    assert self._meant & {0, event.input}, f"promise 4: a stop at {seq} hit a turn that it did not mean"
            case StopRequested():
                self._meant.add(event.input)
            case TurnStarted() | InputSkipped():
                assert event.input > self._taken_up, f"promise 4: input {event.input} was taken up out of order"
                self._taken_up = event.input
            case InferenceRequested():
                self.contexts.append(event.fingerprint)
                check_request(self.agent, seq, event, state)
            case MemoryPressureWarned():
                assert not self._warned, f"section 6: warned twice between two evictions, at {seq}"
                self._warned = True
            case EvictionStarted():
                self._asked_to_go = event.seqs
            case MessagesEvicted():
                assert event.seqs == self._asked_to_go, f"promise 6: other seqs were evicted than asked at {seq}"
                assert not set(event.seqs) & set(self._evicted), f"promise 6: a message was evicted twice at {seq}"
                self._evicted += event.seqs
                self._warned = False
                check_pairs(state)
            case SummaryWritten():
                assert event.previous == self._summary, f"promise 6: the chain of summaries breaks at {seq}"
                self._summary = seq
                self._covered += event.covers
                assert self._evicted == self._covered, f"promise 6: the summary at {seq} does not name what was evicted"

    def _check_retired(self, seq: int, event: Event, state: State) -> None:
        """What a retired agent may do: end what came before its retirement, and skip what came after."""
        since = state.retired
        match event:
            case TurnStarted() if since:
                assert event.input < since.seq, f"a retired agent began a turn on input {event.input} at {seq}"
            case TimerFired() | TimerSet():
                assert not since, f"a timer of a retired agent was set, or rang, at {seq}"
            case InputSkipped(reason=reason) if reason == RETIRED:
                assert since and event.input > since.seq, f"input {event.input} was skipped at {seq}"
                self.skipped.add(event.input)

    def check_open(self, kept: dict[str, str]) -> None:
        """What the log holds for open is what the events opened, and what the fold knows of."""
        assert kept == self._open, f"section 3: the open requests of {self.agent} are not those of its stream"
        state = self.replayer.state
        if self.replayer.source is not None:
            assert not kept, f"section 3: nothing is owed to a source ({self.agent})"
            return
        assert state is not None, "the stream is not empty"
        theirs = state.unadopted or Unadopted()
        owed = {pending.key for pending in state.pending if pending.seq not in theirs.inputs}
        owed |= {state.turn.input_key} if state.turn and state.turn.input not in theirs.inputs else set()
        assert owed == _of("turn", kept), f"promise 3: the inputs owed by {self.agent}'s state are not those open"
        retired = {state.retired.key} if state.retired else set()
        assert retired == _of("retirement", kept), f"{self.agent} is retired in its stream, or in the log, alone"
        set_ = {alarm.key for alarm in state.alarms} - set(theirs.alarms)
        assert set_ == _of("alarm", kept), f"section 6: the timers of {self.agent}'s state are not those open"


def _of(topic: str, kept: dict[str, str]) -> set[str]:
    return {key for key, opens in kept.items() if opens == topic}


def phase_of(state: State | None) -> Phase | None:
    """Where the turn stands (None: there is none)."""
    return state.turn.phase if state and state.turn else None


def check_phase(before: Phase | None, event: Event, state: State) -> None:
    """A turn moves as the table says, and has in each phase what belongs to that."""
    turn, where = state.turn, f"at {state.agent}/{state.seq}"
    now = turn.phase if turn else None
    assert now in after(before, event), f"section 5: {before} --{kind_of(event)}--> {now} is no move of a turn, {where}"
    if turn is None:
        assert state.eviction is None, f"section 6: an eviction is under way outside of a turn, {where}"
        return
    assert bool(turn.request_key) == (now in WAITING), f"section 5: a request is open in {now}, {where}"
    match turn.phase:
        case "calling":
            assert turn.done < len(turn.calls), f"section 5: no call is open, {where}"
        case "failed":
            assert turn.error, f"section 5: it failed of nothing, {where}"
        case "summarising":
            assert state.eviction, f"section 6: nothing is to be summed up, {where}"
        case "inferring":
            assert state.eviction is None, f"section 6: a reply is asked for in the middle of an eviction, {where}"
        case "ready" | "acting":
            pass
        case _:
            assert_never(turn.phase)


def check_request(agent: str, seq: int, event: InferenceRequested, state: State) -> None:
    """A request is within the window, and a reply's has the turn's input, and calls and results together."""
    assert event.tokens <= budget_tokens(state.settings), f"promise 5: {agent}/{seq} exceeds the window"
    if event.purpose == "reply":
        check_pairs(state)
        assert state.turn is not None, "a request belongs to a turn"
        seqs = {entry.seq for entry in state.queue}
        assert state.turn.input in seqs, f"promise 5: the input left the window at {agent}/{seq}"


def check_pairs(state: State) -> None:
    """Every call has its result right behind it, and no result stands without its call."""
    waiting: list[str] = []
    for entry in state.queue:
        if entry.kind == "tool":
            assert waiting, f"promise 5: a result without its call at {entry.seq}"
            called = msgspec.json.decode(entry.wire)["tool_call_id"]
            assert called == waiting.pop(0), f"promise 5: a result out of order at {entry.seq}"
        else:
            assert not waiting, f"promise 5: calls without results before {entry.seq}"
            if entry.kind == "assistant":
                waiting = [call["id"] for call in msgspec.json.decode(entry.wire).get("tool_calls", ())]
    assert not waiting, "promise 5: the last calls have no results"
