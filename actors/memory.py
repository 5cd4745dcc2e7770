"""The memory manager actor: paging, eviction, core memory, and every decision of a turn, for thousands of agents.

Its mind is `events.memory_manager`; here it gets hands: it tails the log, loads states, appends its plans.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import ray
import structlog

from actors.log_client import LogClient
from actors.process import now_ms, set_up_logging, spawn, until_taken
from events.context import Count
from events.envelope import Envelope, Topic
from events.errors import PalimpsestError
from events.memory_manager import FOREIGN, Due, MemoryManager, Plan
from events.state import State
from store.log import Append, Appended, Snapshot
from store.states import snapshot_of

BATCH = 2000
WAIT_S = 30.0
CONSUMER = "memory"
KINDS = tuple(sorted(FOREIGN))


class Memory:
    """Runs a MemoryManager on a log."""

    def __init__(self, log: LogClient, count: Count, *, capacity: int = 4096, snapshot_every: int = 500) -> None:
        self._client = log
        self._manager = MemoryManager(count, capacity=capacity, snapshot_every=snapshot_every)
        self._log = structlog.get_logger("memory")
        self._broken: set[str] = set()

    async def run(self) -> None:
        """Recover, then serve for ever."""
        await self._recover()
        while True:
            batch = await until_taken(self._tail, self._log, "tail")
            sound = [envelope for envelope in batch.envelopes if envelope.agent not in self._broken]
            await self._load(self._manager.missing(sound))
            due = self._take(sound, batch.position)
            await self._append_plans(due)

    async def _tail(self) -> Any:
        return await self._client.tail(self._manager.position, BATCH, WAIT_S, kinds=KINDS)

    async def _recover(self) -> None:
        """Take up the agents that are owed a turn."""
        self._manager.position = await self._client.cursor(CONSUMER)
        opened = await self._client.open_requests(Topic.TURN)
        owed = list(dict.fromkeys(envelope.agent for envelope in opened.envelopes))
        for start in range(0, len(owed), 200):
            for state in await self._states(dict.fromkeys(owed[start : start + 200])):
                self._manager.owe(state)
        self._log.info("started", position=self._manager.position, owed=len(owed))
        await self._append_plans([])

    async def _load(self, missing: dict[str, int]) -> None:
        for state in await self._states(dict(missing)):
            self._manager.states.put(state)

    async def _states(self, wanted: dict[str, int | None]) -> Iterable[State]:
        """The states of these agents; one that cannot be folded is set aside, and the others are served."""
        if not wanted:
            return []
        try:
            return (await self._client.states(wanted)).values()
        except PalimpsestError as error:
            if len(wanted) == 1:
                self._set_aside(next(iter(wanted)), error)
                return []
        found: list[State] = []
        for agent, seq in wanted.items():
            found += await self._states({agent: seq})
        return found

    def _take(self, envelopes: list[Envelope], position: int) -> list[Due]:
        try:
            return self._manager.take(envelopes, position)
        except PalimpsestError:
            due = []
            for envelope in envelopes:
                if envelope.agent not in self._broken:
                    due += self._take_one(envelope, position)
            return due

    def _take_one(self, envelope: Envelope, position: int) -> list[Due]:
        try:
            return self._manager.take([envelope], position)
        except PalimpsestError as error:
            self._set_aside(envelope.agent, error)
            return []

    def _set_aside(self, agent: str, error: PalimpsestError) -> None:
        """An agent whose stream cannot be read (damaged, or from a newer version) waits; the others go on."""
        self._broken.add(agent)
        self._manager.states.drop(agent)
        self._log.error("agent set aside", agent=agent, detail=str(error))

    async def _append_plans(self, due: list[Due]) -> None:
        """Decide for all that changed, and append; again, until nothing is left to say."""
        snapshots = tuple(snapshot_of(each.state, each.chain) for each in due)
        while plan := self._manager.plan(now_ms()):
            answers = await self._append(plan, snapshots)
            behind = self._manager.settle([(d.agent, a.outcome) for d, a in zip(plan.drafts, answers, strict=True)])
            for state in await self._states(dict.fromkeys(behind)):
                self._manager.owe(state)
            snapshots = ()

    async def _append(self, plan: Plan, snapshots: tuple[Snapshot, ...]) -> list[Appended]:
        append = Append(plan.drafts, plan.expected, (CONSUMER, plan.position), snapshots)
        return await until_taken(lambda: self._client.append(append), self._log, "append")

    def figures(self) -> dict[str, Any]:
        return {"position": self._manager.position, "states": len(self._manager.states), "broken": len(self._broken)}


class MemoryActor:
    """The Ray actor around it."""

    def __init__(self, log: Any, options: dict[str, int]) -> None:
        from store.tokens import count

        set_up_logging()
        self._memory = Memory(LogClient(log), count, **options)
        self._task = spawn("memory", self._memory.run)

    async def status(self) -> dict[str, Any]:
        return self._memory.figures()


def remote(**options: Any) -> Any:
    """The Ray actor class."""
    return ray.remote(MemoryActor).options(**options)
