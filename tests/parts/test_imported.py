"""An imported agent among the parts at work: nothing of it runs by itself; it can be stopped, used, and forked."""

from __future__ import annotations

from pathlib import Path

import pytest

from palimpsest.events.codec import draft
from palimpsest.events.errors import AtRest
from palimpsest.events.position import FIRST_PARTITION
from palimpsest.events.prompts import newborn
from palimpsest.events.replay import replay
from palimpsest.events.types import Settings, Timer, TimerCancelled, TimerSet, UserMessageReceived
from palimpsest.store.bundles.exporting import export
from palimpsest.store.bundles.importing import import_bundle
from palimpsest.store.logs.contract import Append
from palimpsest.store.logs.in_memory import InMemoryLog
from palimpsest.store.logs.sqlite_log import SqliteLog
from tests.worlds.one_process import Parts, parts, run
from tests.worlds.story import START_MS, Story, call, say

TEA = Timer(id="tea", due_ms=START_MS + 60_000, note="Tea!", every_s=300)


def imported(folder: Path, story: Story) -> int:
    """The story's agent as a bundle, taken into the folder's log, where another one waits for its turn; its end."""
    export(story.log, "ada", story.state.seq, folder / "bundle")
    log = SqliteLog(folder / "log.sqlite")
    log.open_epoch()
    made = draft("ben", START_MS, newborn(Settings()), key="create")
    asked = draft("ben", START_MS, UserMessageReceived(text="Hello"), key="in:1", opens="turn")
    log.append([Append((made, asked))])
    assert import_bundle(log, folder / "bundle").written == story.state.seq
    log.close()
    return story.state.seq


async def settled(system: Parts) -> None:
    """What the parts have to do for those who are not imported is done."""
    await system.ended(await system.last_input("ben"))
    assert (await system.says("ben", "Hello")).text == "Hi."


def test_nothing_of_it_runs_by_itself(tmp_path: Path) -> None:
    """In the midst of an inference, with a timer that is long due: beside an agent that works."""
    end = imported(tmp_path, Story().sets(TEA).says("And?"))

    async def scenario() -> None:
        async with parts(tmp_path, {"Hello": (say("Hi."),)}) as system:
            await settled(system)
            await system.passes(60)
            await settled(system)
            assert len(await system.log.read("ada")) == end
            assert all(b"Hello" in request for request in system.model.requests)

    run(scenario())


def test_what_is_ready_to_be_asked_is_not_asked(tmp_path: Path) -> None:
    """Up to any event of a turn: also where no part, but the memory manager itself would be next."""
    story = Story().says("Keep it.").answers(call("core_memory_append", name="human", content="x"), say("Yes.", "c2"))
    whole = story.log.read("ada")
    for seq in range(6, len(whole)):
        folder = tmp_path / str(seq)
        folder.mkdir()
        export(story.log, "ada", seq, folder / "bundle")
        log = SqliteLog(folder / "log.sqlite")
        log.open_epoch()
        import_bundle(log, folder / "bundle")
        log.close()

        async def scenario(folder: Path = folder, seq: int = seq) -> None:
            async with parts(folder, {"Hello": (say("Hi."),)}) as system:
                await system.born("ben")
                await system.says("ben", "Hello")
                assert len(await system.log.read("ada")) == seq

        run(scenario())


def test_a_timer_that_rests_can_be_called_off(tmp_path: Path) -> None:
    """By the model: were it refused, the memory manager would try for ever."""
    imported(tmp_path, Story().sets(TEA))

    async def scenario() -> None:
        async with parts(tmp_path, {"No tea": (call("cancel_timer", timer="tea"), say("Off.", "c2"))}) as system:
            assert (await system.says("ada", "No tea")).text == "Off."
            assert await system.events("ada", "TimerCancelled") == [TimerCancelled(timer_id="tea", call="c1")]
            assert replay("ada", await system.log.read("ada")).difference is None

    run(scenario())


def test_a_turn_that_rests_can_be_stopped_or_goes_on_in_a_fork(tmp_path: Path) -> None:
    story = Story().says("And?")
    end = imported(tmp_path, story)
    assert story.state.turn is not None
    turn = story.state.turn.input

    async def scenario() -> None:
        async with parts(tmp_path, {"And?": (say("Well."),), "Hello": (say("Hi."),)}) as system:
            with pytest.raises(AtRest, match="A fork does"):
                await system.client.resume("ada")
            await system.client.fork("ada", "fay", at=end)
            (ticket,) = await system.client.resume("fay")
            assert (await system.ended(ticket)).text == "Well."
            assert await system.client.stop("ada", input=turn)
            assert (await system.says("ada", "Hello")).text == "Hi."
            for agent in ("ada", "fay"):
                assert replay(agent, await system.log.read(agent)).difference is None

    run(scenario())


def test_the_log_in_memory_imports_alike(tmp_path: Path) -> None:
    story = Story().sets(TEA).says("And?")
    export(story.log, "ada", story.state.seq, tmp_path / "bundle")
    log = InMemoryLog()
    log.open_epoch()
    done = import_bundle(log, tmp_path / "bundle")
    assert (done.resting, done.alarms) == (True, 1)
    assert TimerSet.__name__ in {each.kind for each in log.read("ada")}
    assert log.open_requests("alarm", FIRST_PARTITION) == log.open_requests("inference", FIRST_PARTITION) == []
