"""A counterfactual: what an agent was given, given again to a fork of it under other settings, in virtual time.

No Ray: one fork, one process, the same mind (`events.decide`), models and functions as the actors have.

Rules. (1) While the rerun is *in step* (each event of its own says what the recorded one says), it is given what came
from outside at the very places where it came; from the first divergence on, each input once the fork is at rest, and
timers when they are due. (2) With the recorded answers, model and functions are asked only from the divergence on.
(3) Nothing is written before a model has answered, and the original is only read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace

from palimpsest.actors.reruns.functions import Functions
from palimpsest.actors.reruns.ledger import Ledger
from palimpsest.events.alarms import firing, setting
from palimpsest.events.codec import answer, decode, draft
from palimpsest.events.context import Count
from palimpsest.events.debug.recording import Recorded, content, is_beginning, otherwise, paired, timer_content
from palimpsest.events.decide import advance, placed, resumption
from palimpsest.events.envelope import Draft, Envelope, answer_key
from palimpsest.events.errors import ModelUnavailable
from palimpsest.events.evolve import evolve
from palimpsest.events.inference import Job, job
from palimpsest.events.kinds import Kind
from palimpsest.events.lifecycle import taking_back
from palimpsest.events.position import Position
from palimpsest.events.servers import next_server
from palimpsest.events.state import Alarm, State
from palimpsest.events.types import (
    AgentReinstated,
    Event,
    FunctionCalled,
    FunctionFailed,
    FunctionReturned,
    InferenceCompleted,
    InferenceFailed,
    InferenceRequested,
    SettingsChanged,
    StopRequested,
    Timer,
    TimerCancelled,
    TimerFired,
    TimerSet,
    TurnStarted,
)
from palimpsest.events.vocabulary import NoAnswer, Purpose
from palimpsest.store.times.schedule import BadTimer, next_of, set_timer
from palimpsest.store.times.zones import offset_s

AT_ONCE: Final = 512
"""As many drafts are written at once."""
_ANSWERS: Final = (InferenceCompleted, InferenceFailed, FunctionReturned, FunctionFailed)
HOPELESS: Final[frozenset[NoAnswer]] = frozenset({"wrong_key", "not_allowed", "unknown_model", "unreachable"})
"""Failures of a model after which asking it again, a thousand times, makes no sense."""

SERVERS: Final[Mapping[Purpose, tuple[str, ...]]] = {"reply": ("base_url",), "summary": ("base_url", "summarizer_at")}
"""Settings that say which server answers, and stand in no request."""

Asked = tuple[State, Envelope, InferenceRequested | FunctionCalled]
"""A request, and the state with it."""

Infer = Callable[[Job], Awaitable[InferenceCompleted | InferenceFailed]]


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """Where the rerun left the recorded path: the event that was recorded there (`recorded_seq` 0: none any more), and
    the one that came instead. `otherwise` says how they differ, where they are of one kind and it is known."""

    recorded_seq: int
    recorded_kind: Kind
    seq: int
    kind: Kind | Literal[""]
    otherwise: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a rerun. `inputs` maps the seqs of what was given to those that it got in the fork, and those of
    firings to those of the same timers there; `skipped`
    says, by recorded seq, what was not given and why. `stopped` says why it ended early (the model cannot be had)."""

    fork: str
    divergence: Divergence | None
    inputs: Mapping[int, int]
    skipped: Mapping[int, str]
    recorded_answers: int
    model_answers: int
    stopped: str = ""


class Counterfactual:
    """Gives a recording to a fork. `changes` are the settings' fields that the fork has its own values of: what is
    recorded of them does not hold."""

    def __init__(
        self,
        ledger: Ledger,
        recording: Sequence[Recorded],
        *,
        infer: Infer,
        functions: Functions,
        count: Count,
        changes: Mapping[str, Any],
        recorded_answers: bool,
        on_progress: Callable[[int], None] = lambda _done: None,
    ) -> None:
        self._ledger = ledger
        self._recording = recording
        self._infer = infer
        self._functions = functions
        self._count = count
        self._changes = changes
        self._use_recorded = recorded_answers
        self._on_progress = on_progress
        self._at = 0
        """The recorded event that comes next."""
        self._now_ms = ledger.state.time_ms
        self._asked: Asked | None = None
        self._divergence: Divergence | None = None
        self._inputs: dict[int, int] = {}
        self._keys: set[str] = set()
        """Of what was given: a fork and its parent may each have been given an input of one key."""
        self._rung: tuple[list[tuple[int, Timer]], list[tuple[int, Timer]]] = ([], [])
        """The timers that fired once the runs had parted: as recorded, and in the fork."""
        self._skipped: dict[int, str] = {}
        self._taken = self._answered = 0
        self._stopped = ""

    async def run(self) -> Outcome:
        """Give all of it, and let the fork come to rest."""
        for made in resumption(self._state, self._now_ms):
            self._put(made, decode(made), own=False)
        while self._at < len(self._recording) and not self._stopped:
            if self._divergence is None:
                await self._follow(self._recording[self._at])
            elif not await self._goes_on():
                await self._give_at_rest(self._recording[self._at])
            self._on_progress(self._at)
        if self._divergence is not None:
            while not self._stopped and await self._goes_on():
                pass
            await self._ring(self._recording[-1].envelope.time)
        for made in taking_back(self._state, self._now_ms):
            self._put(made, decode(made), own=False)
        self._ledger.commit()
        return Outcome(
            fork=self._state.agent,
            divergence=self._divergence,
            inputs=self._inputs | dict(paired(*self._rung)),
            skipped=self._skipped,
            recorded_answers=self._taken,
            model_answers=self._answered,
            stopped=self._stopped,
        )

    @property
    def _state(self) -> State:
        return self._ledger.state

    # --- in step with the recording

    async def _follow(self, there: Recorded) -> None:
        """The next event, by the recording: it is given, or it is done again."""
        self._now_ms = there.envelope.time  # also where it is less: several clocks wrote the log
        # A timer that was set with the very event that is forked at: nothing in the fork would set it.
        if there.outside or (self._at == 0 and isinstance(there.event, TimerSet)):
            self._at += 1
            self._give(there)
        elif self._is_answered(there) or not self._advance():
            await self._answer(there if self._use_recorded else None)

    def _is_answered(self, there: Recorded) -> bool:
        """Whether what the fork waits for was answered next, though it may be called off by now: a stop was in the log,
        and whoever calls off had not seen it."""
        is_answer = isinstance(there.event, _ANSWERS) and there.envelope.key == answer_key(there.envelope.closes)
        return is_answer and self._open() is not None

    def _compare(self, made: Draft, event: Event, seq: int) -> None:
        """Whether an event of the fork's own is the one that was recorded there."""
        if self._divergence is not None or is_beginning(made, event):
            return
        if self._at == len(self._recording):
            return  # the recording ends within a turn: what comes now was never recorded
        there = self._recording[self._at]
        elsewhere = self._is_elsewhere(event)
        if there.envelope.kind != made.kind:
            self._diverge(there, made.kind, seq)
        elif elsewhere or content(there.event) != content(event):
            self._diverge(there, made.kind, seq, elsewhere or otherwise(there.event, event))
        else:
            self._at += 1

    def _is_elsewhere(self, event: Event) -> str:
        """Whether it would be another server's to answer ("": no): what was recorded is not its answer."""
        if not (self._use_recorded and isinstance(event, InferenceRequested)):
            return ""
        changed = next((name for name in SERVERS[event.purpose] if name in self._changes), "")
        return f"another {changed}" if changed else ""

    def _diverge(self, there: Recorded, kind: Kind | Literal[""], seq: int, how: str = "") -> None:
        self._divergence = Divergence(
            recorded_seq=there.envelope.seq, recorded_kind=there.envelope.kind, seq=seq, kind=kind, otherwise=how
        )

    # --- what the agent does itself

    async def _goes_on(self) -> bool:
        """Do the next thing that the fork has to do; False where it is at rest."""
        if self._advance():
            return True
        if self._open() is None:
            return False
        await self._answer(None)
        return True

    def _advance(self) -> bool:
        """Decide until the fork waits; whether there was anything to decide."""
        seq = self._state.seq
        state, drafts = advance(self._state, self._count, self._now_ms, self._ahead_s)
        if not drafts:
            return False
        self._ledger.put(drafts, state)
        for made in drafts:
            seq += 1
            event = decode(made)
            self._compare(made, event, seq)
            if isinstance(event, InferenceRequested | FunctionCalled):
                self._asked = state, placed(made, seq), event  # the fork waits for it: it is the last
        if self._answered and self._ledger.waiting >= AT_ONCE:
            self._ledger.commit()
        return True

    def _ahead_s(self, zone: str, time_ms: int) -> int | None:
        """What the agent's clock showed: as it is written down, as long as the runs are in step."""
        there = self._there
        return there.offset_s if isinstance(there, TurnStarted) else offset_s(zone, time_ms)

    @property
    def _there(self) -> Event | None:
        """What was recorded next, where the runs are in step."""
        in_step = self._divergence is None and self._at < len(self._recording)
        return self._recording[self._at].event if in_step else None

    def _open(self) -> Asked | None:
        """The request that the fork waits for."""
        turn = self._state.turn
        return self._asked if self._asked and turn and turn.request_key == self._asked[1].key else None

    def _put(self, made: Draft, event: Event, *, own: bool = True) -> None:
        seq = self._state.seq + 1
        self._ledger.put([made], evolve(self._state, placed(made, seq), event))
        if own:
            self._compare(made, event, seq)

    async def _answer(self, there: Recorded | None) -> None:
        """Answer what the fork waits for: as recorded, or by the model, the timers, the storage's functions."""
        asked = self._open()
        assert asked is not None, "an agent that waits in a turn has asked for something"
        await asyncio.sleep(0)  # no model that is in this process would let Ctrl-C in
        state, envelope, event = asked
        if there is not None and there.envelope.closes:
            self._taken += 1
            self._put(answer(envelope, there.event, self._now_ms), there.event)
            self._set_as_recorded(envelope)
        elif isinstance(event, FunctionCalled) and envelope.opens == "timer":
            self._set_timer(envelope, event)
        elif isinstance(event, FunctionCalled):
            self._ledger.commit()
            came = self._functions.carry_out(replace(self._ledger.end(), position=self._reached), event)
            self._put(answer(envelope, came, self._now_ms), came)
        else:
            await self._ask_model(job(state, envelope, event))

    @property
    def _reached(self) -> Position:
        """The recording's position up to which it was given, or done again: sources are seen as they were then."""
        return self._recording[max(self._at - 1, 0)].envelope.position.moved(0 if self._at else -1)

    async def _ask_model(self, asked: Job) -> None:
        came = await self._infer(asked)
        if isinstance(came, InferenceFailed) and came.error in HOPELESS and next_server(self._state) is None:
            self._stopped = f"{came.error}: {came.detail}"
            if not self._ledger.begun:
                raise ModelUnavailable(self._stopped)
            return
        self._answered += 1
        self._put(answer(asked, came, self._now_ms), came)

    def _set_timer(self, asked: Envelope, call: FunctionCalled) -> None:
        came, timer = set_timer(call, asked)
        self._put(answer(asked, came, self._now_ms), came)
        if timer:
            made = setting(asked.stream, timer, self._now_ms, cause=asked.key)
            self._put(made, decode(made))

    def _set_as_recorded(self, asked: Envelope) -> None:
        """The timer that was set with the answer to a call."""
        there = self._there
        if asked.opens == "timer" and isinstance(there, TimerSet):
            self._put(setting(asked.stream, there.timer, self._now_ms, cause=asked.key), there)

    # --- what it is given

    async def _give_at_rest(self, there: Recorded) -> None:
        """After the divergence: the timers that are due before it, then this, if it came from outside."""
        self._at += 1
        if not there.outside:
            return
        if isinstance(there.event, TimerFired):  # the fork's timers ring by themselves
            self._rung[0].append((there.envelope.seq, there.event.timer))
            return
        if isinstance(there.event, StopRequested):
            self._skipped[there.envelope.seq] = "a stop: the turn that it was for had ended"
            return
        await self._ring(there.envelope.time)
        self._now_ms = max(self._now_ms, there.envelope.time)
        if not self._stopped:
            self._give(there)

    async def _ring(self, until_ms: int) -> None:
        """Fire the fork's timers that are due by then, each once the turn of the one before has ended."""
        while not self._stopped and (due := [a for a in self._state.alarms if a.timer.due_ms <= until_ms]):
            alarm = min(due, key=lambda alarm: (alarm.timer.due_ms, alarm.key))
            self._now_ms = max(self._now_ms, alarm.timer.due_ms)
            self._fire(alarm, own=True)
            self._rung[1].append((self._state.pending[-1].seq, alarm.timer))
            while not self._stopped and await self._goes_on():
                pass

    def _fire(self, alarm: Alarm, *, own: bool) -> None:
        try:
            then = next_of(alarm.timer, self._now_ms)
        except BadTimer:
            then = None
        if then and isinstance(there := self._there, TimerSet):
            then = replace(there.timer, id=then.id)  # as it was reckoned then, with the data of zones of that day
        fired, *again = firing(self._state.agent, alarm.timer, alarm.key, self._now_ms, then)
        self._put(fired, decode(fired), own=own)
        for made in again:
            self._put(made, decode(made))

    def _give(self, there: Recorded) -> None:
        """Append what came from outside, as it fits this fork."""
        event, envelope = there.event, there.envelope
        closes = ""
        match event:
            case TimerFired(timer=timer):
                alarm = self._alarm(timer)
                if alarm is None:
                    self._skipped[envelope.seq] = f"the firing of timer {timer.id}, which is not set here"
                    self._diverge(there, "", self._state.seq + 1)
                    return
                self._fire(alarm, own=False)
                self._inputs[envelope.seq] = self._state.pending[-1].seq
                return
            case TimerCancelled(timer_id=id):
                closes = self._alarm_key(envelope.closes, id)
                event = TimerCancelled(timer_id=next((a.timer.id for a in self._state.alarms if a.key == closes), id))
                if not closes:
                    self._skipped[envelope.seq] = f"the cancelling of timer {id}, which is not set here"
                    return
            case AgentReinstated():
                if self._state.retired is None:
                    return
                closes = self._state.retired.key
            case StopRequested(input=input):
                event = replace(event, input=self._inputs.get(input, input))
            case SettingsChanged(settings=settings):
                event = replace(event, settings=replace(settings, **self._changes))
            case _:
                pass
        key = f"{envelope.key}:{envelope.seq}" if envelope.key in self._keys else envelope.key
        self._keys.add(key)
        made = draft(
            self._state.agent, self._now_ms, event, key=key, cause=envelope.cause, opens=envelope.opens, closes=closes
        )
        self._put(made, event, own=False)
        self._inputs[envelope.seq] = self._state.seq

    def _alarm_key(self, key: str, id: str) -> str:
        """The alarm with this key, or else one of the timer with this id; "" if there is none."""
        ours = [alarm.key for alarm in self._state.alarms if alarm.timer.id == id]
        if key in ours or ours:
            return key if key in ours else ours[0]
        before = (each.event for each in reversed(self._recording[: self._at]))
        meant = next((each.timer for each in before if isinstance(each, TimerSet) and each.timer.id == id), None)
        alarm = self._alarm(meant) if meant else None
        return alarm.key if alarm else ""

    def _alarm(self, timer: Timer) -> Alarm | None:
        """The fork's own timer that this one is: those that the agent sets have ids that are made of seqs."""
        same = [each for each in self._state.alarms if each.timer == timer]
        alike = [each for each in self._state.alarms if timer_content(each.timer) == timer_content(timer)]
        return next(iter((*same, *alike)), None)
