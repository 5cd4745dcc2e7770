"""The memory manager actor: paging, eviction, core memory, and every decision of a turn, for thousands of agents.

Its mind is `events.memory_manager`; here it gets hands: it tails the log, loads states, appends its plans.
"""

from __future__ import annotations

from typing import Any

import structlog

from palimpsest.actors.links.log_client import LogClient
from palimpsest.actors.links.protocol import LogPart
from palimpsest.actors.links.wire import Batch
from palimpsest.actors.parts.process import Life, now_ms, until_taken
from palimpsest.actors.parts.streams import Streams
from palimpsest.events.context import Count
from palimpsest.events.errors import BadInput
from palimpsest.events.kinds import kinds_of
from palimpsest.events.memory_manager import FOREIGN, OWN, Due, MemoryManager, Plan
from palimpsest.events.types import AGENT_EVENTS
from palimpsest.store.logs.contract import DECIDER, Append, Appended, Snapshot
from palimpsest.store.logs.states import snapshot_of
from palimpsest.store.times.zones import offset_s

BATCH = 2000
WAIT_S = 30.0
WAKE = FOREIGN
KINDS = kinds_of(*AGENT_EVENTS) - OWN


class Memory:
    """Runs a MemoryManager on a log."""

    def __init__(self, log: LogClient, count: Count, *, capacity: int = 4096, snapshot_every: int = 500) -> None:
        self._client = log
        self._manager = MemoryManager(count, offset_s, capacity=capacity, snapshot_every=snapshot_every)
        self._due: dict[str, Due] = {}
        """Snapshots that go with the next append of their agent: what follows from an answer needs none of ours."""
        self._logger = structlog.get_logger("memory")
        self.streams = Streams(log, self._logger)

    async def run(self) -> None:
        """Recover, then serve for ever."""
        came = await self._recover()
        while True:
            batch = came if came is not None else await until_taken(self._tail, self._logger, "tail")
            sound = self._manager.concerning(self.streams.sound(batch.envelopes))
            for state in await self.streams.states(self._manager.missing(sound)):
                self._manager.states.put(state)
            due = self._manager.take(self.streams.sound(sound), batch.position)
            came = await self._append_plans(due)

    async def _tail(self) -> Batch:
        return await self._client.tail(self._manager.position, BATCH, WAIT_S, kinds=KINDS, wake=WAKE)

    async def _recover(self) -> Batch | None:
        """Take up the agents that are owed a turn; what came next, if that is known."""
        self._manager.position = await until_taken(lambda: self._client.cursor(DECIDER), self._logger, "cursor")
        opened = await until_taken(lambda: self._client.open_requests("turn"), self._logger, "open requests")
        owed = dict.fromkeys(envelope.stream for envelope in opened.envelopes)
        for state in await self.streams.states(owed):
            self._manager.owe(state)
        self._logger.info("started", position=self._manager.position.number, owed=len(owed))
        return await self._append_plans([])

    async def _append_plans(self, due: list[Due]) -> Batch | None:
        """Decide for all that changed, and append; again, until nothing is left to say. What came next, if the log
        told of it with the last append."""
        self._due |= {each.state.agent: each for each in due}
        while len(self._due) > self._manager.states.capacity:
            del self._due[next(iter(self._due))]
        batch: Batch | None = None
        while plan := self._manager.plan(now_ms()):
            self.streams.set_aside(self._manager.broken)  # the log's answer may be long in coming
            ready = [self._due.pop(agent) for agent in plan.expected if agent in self._due]
            snapshots = tuple(snapshot_of(each.state, each.chain) for each in ready)
            answers, batch = await self._append(plan, snapshots)
            behind = self._manager.settle([(d.stream, a.outcome) for d, a in zip(plan.drafts, answers, strict=True)])
            for state in await self.streams.states(dict.fromkeys(behind)):
                self._manager.owe(state)
            if batch is not None:
                break
        self.streams.set_aside(self._manager.broken)
        return batch

    async def _append(self, plan: Plan, snapshots: tuple[Snapshot, ...]) -> tuple[list[Appended], Batch | None]:
        append = Append(plan.drafts, plan.expected, (DECIDER, plan.position), snapshots)
        try:
            if self._manager.has_more:
                return await self._taken(append), None
            return await until_taken(lambda: self._exchange(append), self._logger, "append")
        except BadInput:
            return await self._append_apart(plan), None

    async def _exchange(self, append: Append) -> tuple[list[Appended], Batch | None]:
        """The last append of a round: nothing is done after it but to wait for more."""
        return await self._client.exchange(append, self._manager.position, BATCH, WAIT_S, kinds=KINDS, wake=WAKE)

    async def _append_apart(self, plan: Plan) -> list[Appended]:
        """Agent by agent: one whose next events no log can hold is set aside, and the others go on."""
        answers: dict[str, list[Appended]] = {}
        for agent in plan.expected:
            append = Append(tuple(each for each in plan.drafts if each.stream == agent), plan.expected)
            try:
                answers[agent] = await self._taken(append)
            except BadInput as error:
                self.streams.set_aside({agent: error})
                answers[agent] = [Appended("refused", 0)] * len(append.drafts)
        return [answers[each.stream].pop(0) for each in plan.drafts]

    async def _taken(self, append: Append) -> list[Appended]:
        return await until_taken(lambda: self._client.append(append), self._logger, "append")

    def figures(self) -> dict[str, Any]:
        return {
            "position": self._manager.position.number,
            "states": len(self._manager.states),
            "aside": len(self.streams.aside),
        }


class MemoryActor:
    """The part around it."""

    def __init__(self, log: LogPart, **options: int) -> None:
        from palimpsest.store.tokens.counting import count

        self._memory = Memory(LogClient(log), count, **options)
        self._life = Life("memory", self._memory.run)

    async def aside(self, known: int, wait_s: float) -> dict[str, str]:
        """The agents that are set aside, with the reasons; waits up to `wait_s` for another number than `known`."""
        return await self._life.until_ending(self._memory.streams.asides(known, wait_s))

    async def status(self) -> dict[str, Any]:
        return self._memory.figures()
