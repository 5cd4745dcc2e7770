"""A client without a system: it answers from a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

from msgspec.structs import replace

from palimpsest.actors.client import Reply, Ticket
from palimpsest.actors.loads.loading import Loaded, OnProgress, Report
from palimpsest.actors.models.protocol import Piece
from palimpsest.actors.requests.checks import check_text
from palimpsest.actors.requests.forks import Origin, Overrides, Undone
from palimpsest.actors.requests.turns import Ending
from palimpsest.actors.requests.zones import ZoneChange
from palimpsest.events.codec import draft
from palimpsest.events.envelope import GENESIS, Envelope, place
from palimpsest.events.errors import BadInput, PalimpsestError, UnknownAgent
from palimpsest.events.evolve import evolve
from palimpsest.events.formats import Format, changed
from palimpsest.events.prompts import newborn
from palimpsest.events.state import Retired, State
from palimpsest.events.types import AgentCreated, Settings, Timer
from palimpsest.events.vocabulary import CutOrNot
from palimpsest.store.logs.contract import StreamHead
from palimpsest.store.times.zones import named
from tests.worlds.positions import nth

Script = list[Piece | Reply]


def reply(*messages: str, input: int = 2, reason: Ending = "yielded", detail: str = "", cut: CutOrNot = "") -> Reply:
    return Reply(agent="ada", input=input, messages=messages, reason=reason, detail=detail, cut=cut)


class FakeClient:
    """Keeps what it was told. `script` maps a message to what its stream yields; others are echoed."""

    def __init__(self, script: dict[str, Script] | None = None) -> None:
        self.script = script or {}
        self.refused: dict[str, PalimpsestError] = {}
        self.meanwhile: dict[str, list[Reply]] = {}
        """Turns that end while the agent answers this message."""
        self.sent: list[str] = []
        self.stopped: list[tuple[str, int]] = []
        self.changed: list[Settings] = []
        self.formats: list[tuple[Format, Format]] = []
        """What parts were added and removed."""
        self.zones: list[str] = []
        self.heard: asyncio.Queue[Reply] = asyncio.Queue()
        self.alarms: list[Timer] = []
        self.born: dict[str, AgentCreated] = {}
        self.retired: set[str] = set()
        self.loaded: dict[str, list[str]] = {}
        """Sources, with the agents that have them."""
        self.read: list[Path] = []
        """The files that were loaded."""

    async def create(self, agent: str, born: AgentCreated) -> None:
        self.born[agent] = born

    async def state(self, agent: str) -> State:
        if agent not in self.born:
            raise UnknownAgent(agent)
        (envelope,) = await self.events(agent)
        state = evolve(None, envelope, self.born[agent])
        since = Retired(seq=1, key="retire", time_ms=1) if agent in self.retired else None
        return replace(state, retired=since)

    async def change_settings(self, agent: str, settings: Settings) -> None:  # noqa: ARG002 - the client's signature
        self.changed.append(settings)

    async def change_zone(self, agent: str, zone: str) -> ZoneChange:
        self.zones.append(named(zone))
        return ZoneChange((await self.state(agent)).zone or "UTC", named(zone))

    async def change_format(self, agent: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Format:
        self.formats.append((tuple(add), tuple(remove)))
        return changed((await self.state(agent)).format, add=add, remove=remove)

    async def stream(self, agent: str, text: str) -> AsyncIterator[Ticket | Piece | Reply]:
        check_text(text)
        if text in self.refused:
            raise self.refused[text]
        self.sent.append(text)
        for heard in self.meanwhile.get(text, ()):
            self.heard.put_nowait(heard)
        await self.heard.join()
        seq = 2 * len(self.sent)
        yield Ticket(agent, seq, "")
        for item in self.script.get(text, [Piece("message", text), Piece("end", ""), reply(text, input=seq)]):
            yield item

    async def listen(self, agent: str) -> AsyncIterator[Reply]:  # noqa: ARG002
        while True:
            yield await self.heard.get()
            self.heard.task_done()

    async def stop(self, agent: str, reason: str = "", *, input: int = 0) -> bool:  # noqa: ARG002
        self.stopped.append((agent, input))
        return bool(self.sent)

    async def set_timer(self, agent: str, timer: Timer) -> Timer:  # noqa: ARG002
        self.alarms.append(timer)
        return timer

    async def cancel_timer(self, agent: str, timer_id: str) -> bool:  # noqa: ARG002
        before, self.alarms = self.alarms, [timer for timer in self.alarms if timer.id != timer_id]
        return before != self.alarms

    async def timers(self, agent: str) -> list[Timer]:  # noqa: ARG002
        return self.alarms

    async def events(self, agent: str, after: int = 0) -> list[Envelope]:
        born = self.born.get(agent, newborn(Settings()))
        return [place(draft(agent, 1, born, key="create"), 1, nth(1), GENESIS)][after:]

    async def agents(self) -> list[StreamHead]:
        return [StreamHead(agent, 1, GENESIS, nth(1), 1, 1) for agent in self.born]

    async def sources(self) -> list[str]:
        return list(self.loaded)

    async def attach(self, source: str, agents: Sequence[str]) -> list[str]:
        had = self.loaded.setdefault(source, [])
        fresh = [agent for agent in agents if agent not in had]
        had += fresh
        return fresh

    async def load_source(
        self,
        source: str,
        paths: Sequence[Path],
        *,
        agents: Sequence[str] = (),
        on_progress: OnProgress | None = None,  # noqa: ARG002
    ) -> Report:
        self.read += paths
        attached = await self.attach(source, agents)
        return Report(
            source=source, loaded=tuple(Loaded(path.name, 1) for path in paths), skipped=(), refused=(),
            attached=tuple(attached), told=(), passages=len(paths), seconds=1.0, position=nth(1),
        )  # fmt: skip

    async def indexed(self, *, wait_s: float = 0.0) -> int:  # noqa: ARG002
        return 0

    async def free_name(self, agent: str) -> str:
        return f"{agent}-2"

    async def fork(self, agent: str, name: str, *, at: int | None = None, overrides: Overrides | None = None) -> Origin:  # noqa: ARG002
        self.born[name] = self.born[agent]
        return Origin(await self.state(agent), (await self.events(agent))[0])

    async def undo(self, agent: str) -> Undone:
        if not self.sent:
            raise BadInput(f"Agent '{agent}' was not told anything yet: there is nothing to undo.")
        name = await self.free_name(agent)
        self.born[name] = self.born[agent]
        return Undone(agent=name, input=2, text=self.sent[-1], moved=tuple(self.alarms))
