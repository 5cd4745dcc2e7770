"""A system in one process, without Ray: a part that dies is made anew, and what was asked of it goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from palimpsest.actors.links.local import LocalPart
from palimpsest.actors.local import LocalRuntime
from palimpsest.actors.parts.process import Life
from palimpsest.actors.system import Options, System, boot
from palimpsest.events.errors import ActorLost
from palimpsest.events.prompts import newborn
from palimpsest.events.types import Settings
from palimpsest.store.folder import DataFolder
from palimpsest.store.logs.sqlite_log import SqliteLog
from tests.simulation.promises import Watch
from tests.worlds.one_process import run


class Frail:
    """A part that dies when it is told to, and answers when it may."""

    made = 0

    def __init__(self, may_answer: asyncio.Event) -> None:
        type(self).made += 1
        self.number = type(self).made
        self.may_answer = may_answer
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._life = Life("frail", self._run)

    async def _run(self) -> None:
        await self.over

    async def cursor(self, _consumer: str) -> int:
        await self.may_answer.wait()
        return self.number

    async def aside(self, _known: int, _wait_s: float) -> int:
        await self.may_answer.wait()
        return self.number


def part_of(link: LocalPart) -> Frail:
    assert isinstance(link.part, Frail)
    return link.part


def test_what_was_called_of_a_part_that_died_is_called_again_and_a_long_poll_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("palimpsest.actors.links.local.PAUSE_S", 0.0)
    monkeypatch.setattr(Frail, "made", 0)

    async def live() -> None:
        may_answer = asyncio.Event()
        link = LocalPart(lambda: Frail(may_answer))
        call = asyncio.create_task(link.cursor("me"))
        poll = asyncio.create_task(link.aside(0, 5.0))
        left = asyncio.create_task(link.cursor("me"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        left.cancel()
        part_of(link).over.set_exception(ZeroDivisionError())
        with pytest.raises(ActorLost) as lost:
            await poll
        assert not lost.value.for_good
        may_answer.set()
        assert await call == 2, "the next one answers"
        assert left.cancelled()
        part_of(link).over.set_exception(ActorLost("the log has ended"))
        await part_of(link)._life.task
        with pytest.raises(ActorLost, match="has ended") as lost:
            await link.cursor("me")
        assert lost.value.for_good

    run(live())


@pytest.mark.parametrize("name", ["memory", "llm", "storage", "timer", "log"])
def test_a_turn_goes_on_where_a_part_dies(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palimpsest.actors.links.local.PAUSE_S", 0.0)
    folder = DataFolder(tmp_path / "data")

    async def live() -> None:
        system = await boot(folder, "a test", Options(local=True, model={"offline_latency_s": 0.05}))
        client = system.client()
        await client.create("ada", newborn(Settings()))
        assert "Kim" in (await client.ask("ada", "My name is Kim and the key is under the blue pot.")).text
        for number in range(3):
            ticket = await client.send("ada", f"Where is the key? ({number})")
            await _die(system, name)
            assert "blue pot" in (await client.wait(ticket)).text
        await system.stop()

    run(live())
    with SqliteLog.open_readonly(folder.log_path()) as log:
        Watch().look(log)


async def _die(system: System, name: str) -> None:
    """The part dies, as it does where its loop fails."""
    assert isinstance(system.runtime, LocalRuntime)
    link = system.runtime.links[name]
    before = link.part
    life: Life = link.part._life  # type: ignore[attr-defined]
    life.task.cancel()
    await asyncio.wait([life.task])
    await link.died()
    assert link.part is not before
