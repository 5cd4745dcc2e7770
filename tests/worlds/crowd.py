"""What the cluster tests share: systems that are always stopped, a scripted crowd of agents, and proofs over their log.

Nothing here sleeps to wait for something: everything waits for an event, a reply or the end of a process.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from palimpsest.actors.client import Client, Reply, Ticket
from palimpsest.actors.links.log_client import LogClient
from palimpsest.actors.system import Options, System, boot
from palimpsest.events.codec import decode
from palimpsest.events.context import open_request
from palimpsest.events.envelope import Envelope
from palimpsest.events.evolve import evolve
from palimpsest.events.kinds import Kind
from palimpsest.events.prompts import newborn
from palimpsest.events.state import State
from palimpsest.events.types import Event, InferenceRequested, Settings, TurnEnded
from palimpsest.store.folder import DataFolder
from palimpsest.store.logs.contract import LogReader
from palimpsest.store.logs.sqlite_reader import SqliteReader
from tests.simulation.promises import Watch
from tests.worlds.positions import nth

T = TypeVar("T")

HOME: Final = Path(__file__).parents[2]
PYTHONPATH: Final = os.pathsep.join((str(HOME / "src"), str(HOME)))
KEY: Final = "sk-test-4bK9wQ2xVt7LmZ0pRj5nYc3u"
OWN_KEY: Final = "sk-of-the-stub-alone-0123456789"
LIMIT_S: Final = 60.0
START_MS: Final = 1_763_800_000_000
SLOW: Final = Options(model={"offline_latency_s": 0.02})
"""Slow enough that much is in flight at any moment."""
SMALL: Final = Settings(window_tokens=2300, reserve_tokens=400)


def run(work: Coroutine[Any, Any, T], limit_s: float = LIMIT_S) -> T:
    """Run to the end; what hangs fails."""

    async def bounded() -> T:
        async with asyncio.timeout(limit_s):
            return await work

    return asyncio.run(bounded())


@asynccontextmanager
async def running(folder: DataFolder, options: Options | None = None) -> AsyncIterator[System]:
    system = await boot(folder, "tests", options)
    try:
        yield system
    finally:
        await system.stop()


async def born(system: System, agent: str, settings: Settings | None = None) -> Client:
    """A client, and a new agent."""
    client = system.client()
    await client.create(agent, newborn(settings or Settings()))
    return client


async def waited_for(system: System, agent: str, kind: Kind, *, after: int = 0) -> Envelope:
    """The first event of this kind in an agent's stream (with seq > after), as soon as it is there."""
    log = LogClient(system.parts.log)
    position = nth(0)
    while True:
        batch = await log.tail(position, 1000, 10.0, kinds=frozenset({kind}))
        position = batch.position
        for envelope in batch.envelopes:
            if envelope.stream == agent and envelope.seq > after:
                return envelope


async def stream_of(system: System, agent: str) -> list[Event]:
    return [decode(envelope) for envelope in await LogClient(system.parts.log).read(agent)]


async def kill(system: System, part: str) -> None:
    os.kill((await system.pids())[part], signal.SIGKILL)


# --- a crowd ------------------------------------------------------------------------------------------------------

_CITIES: Final = ("Oslo", "Lima", "Graz", "Pune", "Turin")
_FOODS: Final = ("peanuts", "shellfish", "sesame", "celery", "mustard")
_TALK: Final = (
    "Yesterday we cycled out to the lighthouse, had coffee in the wind, and on the way back the chain came off twice, "
    "so it was dark before we reached the harbour and everybody was hungry and in a very good mood.",
    "The new neighbours moved in with two pianos, which the movers carried up four floors without a single word, while "
    "the whole staircase stood and watched and somebody made tea for all of them in the end.",
    "At work we spent the week on the old billing code; it turns out that half of it handles a currency that has not "
    "existed for twenty years, and nobody dares to delete it before the audit in spring.",
    "The museum has a room full of clocks now, each of them showing a slightly different time, and the guard told us "
    "that he sets them wrong on purpose every morning because visitors like to argue about them.",
)


def script(number: int) -> list[str]:
    """What the user of agent `number` says: facts, talk that fills a small window, questions, a search."""
    dice = random.Random(number)
    talk = dice.sample(_TALK, len(_TALK))
    return [
        f"My name is Kim{number} and I live in {dice.choice(_CITIES)}.",
        f"I'm allergic to {dice.choice(_FOODS)}. {talk[0]}",
        f"The spare key is under flowerpot {dice.randrange(100)}. {talk[1]}",
        talk[2],
        "Where do I live?",
        f"{talk[3]} {talk[0]}",
        "Where is the spare key?",
        "What am I allergic to?",
    ]


class Crowd:
    """Agents that each hold their scripted conversation, all at once; a message waits for the answer to the last one.

    `replies` has what came of each (agent, number); `on_reply` is awaited after each of them.
    """

    def __init__(self, agents: int = 20, *, on_ack: Callable[[str], None] | None = None) -> None:
        self.names = [f"kim-{number}" for number in range(agents)]
        self.tickets: dict[tuple[str, int], Ticket] = {}
        self.replies: dict[tuple[str, int], Reply] = {}
        self.on_ack = on_ack
        self.replied = asyncio.Condition()

    async def create(self, client: Client) -> None:
        await asyncio.gather(*(client.create(name, newborn(SMALL)) for name in self.names))

    async def talk(self, client: Client) -> None:
        await asyncio.gather(*(self._talk(client, number, name) for number, name in enumerate(self.names)))

    async def _talk(self, client: Client, number: int, name: str) -> None:
        for turn, text in enumerate(script(number)):
            at_ms = START_MS + 60_000 * (turn + 1)
            ticket = await client.send(name, text, message_id=f"{name}/{turn}", at_ms=at_ms)
            self.tickets[name, turn] = ticket
            if self.on_ack:
                self.on_ack(ticket.message_id)
            self.replies[name, turn] = await client.wait(ticket)
            async with self.replied:
                self.replied.notify_all()

    async def after(self, count: int) -> None:
        """Wait until so many replies came."""
        async with self.replied:
            await self.replied.wait_for(lambda: len(self.replies) >= count)

    def texts(self) -> dict[tuple[str, int], str]:
        return {key: f"{reply.reason}: {reply.text}" for key, reply in self.replies.items()}


# --- proofs -------------------------------------------------------------------------------------------------------


def log_of(folder: DataFolder) -> SqliteReader:
    return SqliteReader.open_readonly(folder.log_path())


def check_promises(folder: DataFolder) -> None:
    """All that the simulation checks of a log, and every context proved by replay."""
    with log_of(folder) as log:
        Watch().look(log)


def check_answered_once(folder: DataFolder, acknowledged: set[tuple[str, str]]) -> None:
    """Every acknowledged (agent, message id) is in the log, and led to exactly one turn."""
    with log_of(folder) as log:
        for agent in sorted({agent for agent, _ in acknowledged}):
            ends = Counter(e.input for e in map(decode, log.read(agent)) if isinstance(e, TurnEnded))
            assert set(ends.values()) <= {1}, f"promise 3: {agent} ended a turn twice"
            for _, message in sorted(each for each in acknowledged if each[0] == agent):
                envelope = log.find(agent, f"in:{message}")
                assert envelope is not None, f"promise 1: {agent} lost {message}"
                assert ends[envelope.seq] == 1, f"promise 3: {message} was not answered"


_OWN_TIME: Final = re.compile(rb"timestamp: [\d-]{10} [\d:]{8} UTC, (assistant|memory)")
_TOLD_BESIDE: Final = re.compile(rb"(last|corrected|said) [\d-]{10} [\d:]{8} UTC")


def contexts(log: LogReader, agent: str) -> list[str]:
    """The digests of all requests that were made for an agent, in order.

    A search shows when the agent said or kept its own words, by the clock of the wall, also where they repeat others:
    these times alone are left out.
    """
    digests: list[str] = []
    state: State | None = None
    for envelope in log.read(agent):
        event = decode(envelope)
        state = evolve(state, envelope, event)
        if isinstance(event, InferenceRequested):
            request = _OWN_TIME.sub(rb"timestamp: then, \1", open_request(state))
            request = _TOLD_BESIDE.sub(rb"\1 then", request)
            digests.append(hashlib.sha256(request).hexdigest())
    return digests


def all_contexts(folder: DataFolder, agents: list[str]) -> dict[str, list[str]]:
    with log_of(folder) as log:
        return {agent: contexts(log, agent) for agent in agents}


def worker_lines(text: str) -> list[dict[str, Any]]:
    """The structlog lines in a worker's log."""
    return [msgspec.json.decode(line) for line in text.splitlines() if line.startswith("{")]
