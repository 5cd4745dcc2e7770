"""The timer actor: sets the timers that the model asks for, and fires those that are due, as interrupts.

A timer that is set is an open request in the log, and its firing is the answer: so it survives every restart, fires
once however often it is tried, and a cancelled one cannot fire.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Any, Final

import structlog

from palimpsest.actors.links.log_client import LogClient
from palimpsest.actors.links.protocol import LogPart
from palimpsest.actors.parts.owed import append_owed
from palimpsest.actors.parts.process import Life, now_ms, until_taken
from palimpsest.events.alarms import firing, setting
from palimpsest.events.codec import answer, decode
from palimpsest.events.envelope import Draft, Envelope
from palimpsest.events.errors import LogDamaged, NewerFormat
from palimpsest.events.kinds import kind_of, kinds_of
from palimpsest.events.position import UNPLACED
from palimpsest.events.types import FunctionCalled, Timer, TimerCancelled, TimerSet
from palimpsest.events.vocabulary import Opens
from palimpsest.store.times.schedule import BadTimer, next_of, set_timer

KINDS = kinds_of(FunctionCalled, TimerSet, TimerCancelled)
_OWED: Final[frozenset[Opens]] = frozenset({"alarm", "timer"})
_CANCELLED = kind_of(TimerCancelled)
BATCH = 2000
MAX_WAIT_S = 30.0
MAX_WAITING_INPUTS = 20
"""A timer that repeats skips a firing where the agent has so many inputs waiting."""


class Timers:
    """Runs the timers of a partition, by a clock of milliseconds since 1970 UTC."""

    def __init__(self, log: LogClient, clock: Callable[[], int] = now_ms) -> None:
        self._client = log
        self._now_ms = clock
        self._logger = structlog.get_logger("timer")
        self._position = UNPLACED
        self._due: list[tuple[int, str, str]] = []
        self._alarms: dict[tuple[str, str], Timer] = {}

    async def run(self) -> None:
        """Recover, then serve for ever."""
        await self.recover()
        while True:
            await self.step(MAX_WAIT_S)

    async def step(self, max_wait_s: float) -> None:
        """Take what the log brings, wait at most so long for it or for what is due, and fire what is due by then."""
        wait_s = max(0.0, min(max_wait_s, (self._due[0][0] - self._now_ms()) / 1000)) if self._due else max_wait_s
        batch = await until_taken(lambda: self._tail(wait_s), self._logger, "tail")
        self._position = batch.position
        await self._append([self._take(envelope) for envelope in batch.envelopes])
        await self._fire(self._now_ms())

    async def _tail(self, wait_s: float) -> Any:
        return await self._client.tail(self._position, BATCH, wait_s, kinds=KINDS)

    async def recover(self) -> None:
        """Read what is owed."""
        alarms = await until_taken(lambda: self._client.open_requests("alarm"), self._logger, "open requests")
        asked = await until_taken(lambda: self._client.open_requests("timer"), self._logger, "open requests")
        self._position = min(alarms.position, asked.position)
        for envelope in alarms.envelopes:
            self._take(envelope)
        await self._append([self._take(envelope) for envelope in asked.envelopes])
        self._logger.info("started", position=self._position.number, timers=len(self._alarms))

    def _take(self, envelope: Envelope) -> list[Draft]:
        """Note a timer that was set or cancelled; answer a call of set_timer. What cannot be read holds up no other
        agent."""
        if envelope.kind == _CANCELLED:
            self._alarms.pop((envelope.stream, envelope.closes), None)
        if envelope.opens not in _OWED:
            return []
        try:
            event = decode(envelope)
        except (LogDamaged, NewerFormat) as error:
            self._logger.error("event passed over", agent=envelope.stream, seq=envelope.seq, detail=str(error))
            return []
        if isinstance(event, TimerSet):
            self._alarms[envelope.stream, envelope.key] = event.timer
            heapq.heappush(self._due, (event.timer.due_ms, envelope.stream, envelope.key))
        return self._set(envelope, event) if isinstance(event, FunctionCalled) else []

    def _set(self, asked: Envelope, call: FunctionCalled) -> list[Draft]:
        event, timer = set_timer(call, asked)
        answered = [answer(asked, event, self._now_ms())]
        return [*answered, setting(asked.stream, timer, self._now_ms(), cause=asked.key)] if timer else answered

    async def _fire(self, now: int) -> None:
        """Fire what is due: the interrupt, and in the same append the next one of a timer that repeats."""
        firings: list[list[Draft]] = []
        while self._due and self._due[0][0] <= now:
            _, agent, key = heapq.heappop(self._due)
            timer = self._alarms.pop((agent, key), None)
            if timer is None:
                continue
            then = self._next_of(agent, timer, now)
            if then and await self._is_swamped(agent):
                self._alarms[agent, key] = then
                heapq.heappush(self._due, (then.due_ms, agent, key))
                continue
            firings.append(firing(agent, timer, key, now, then))
        # One append each: a timer that was cancelled meanwhile must not hold back another one of its agent.
        await asyncio.gather(*(self._append([drafts]) for drafts in firings))

    def _next_of(self, agent: str, timer: Timer, now: int) -> Timer | None:
        try:
            return next_of(timer, now)
        except BadTimer as error:  # it fires this once
            self._logger.error("timer does not repeat", agent=agent, timer=timer.id, detail=str(error))
            return None

    async def _is_swamped(self, agent: str) -> bool:
        waiting = await until_taken(lambda: self._client.open_requests("turn", agent), self._logger, "open requests")
        return len(waiting.envelopes) >= MAX_WAITING_INPUTS

    async def _append(self, groups: list[list[Draft]]) -> None:
        """Append; what was answered or cancelled meanwhile is refused by the log, and that is well."""
        await append_owed(self._client, groups, self._logger)

    def figures(self) -> dict[str, Any]:
        return {"position": self._position.number, "timers": len(self._alarms)}


class TimerActor:
    """The part around it."""

    def __init__(self, log: LogPart) -> None:
        self._timers = Timers(LogClient(log))
        self._life = Life("timer", self._timers.run)

    async def status(self) -> dict[str, Any]:
        return self._timers.figures()
