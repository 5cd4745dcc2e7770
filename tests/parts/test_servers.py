"""Fail-over from one model server to another, with real server processes that are killed and come back; no Ray."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from palimpsest.actors.client import Reply
from palimpsest.actors.models.hosted.openai import OpenAIModel
from palimpsest.events.prompts import newborn
from palimpsest.events.replay import replay
from palimpsest.events.types import InferenceCompleted, InferenceFailed, Server, Settings, SummaryWritten
from tests.worlds.one_process import MINUTE_MS, Parts, Scripted, run
from tests.worlds.stub_server import Waits

ROOT = Path(__file__).parents[2]


class Process:
    """A stub server in a process of its own, at a port that it keeps."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, "bench/openai_stub.py", "--port", str(self.port), "--delay-ms", "600000"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == str(self.port)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@pytest.fixture
def two() -> Iterator[tuple[Process, Process]]:
    servers = Process(), Process()
    for each in servers:
        each.start()
    yield servers
    for each in servers:
        each.kill()


@asynccontextmanager
async def system(folder: Path, settings: Settings) -> AsyncIterator[Parts]:
    """The parts on a real client of model servers, with one agent, "ada"."""
    model = OpenAIModel(sleep=Waits(), max_retries=1)
    made = Parts(folder, cast(Scripted, model), None, {})
    await made.timers.recover()
    loops = [asyncio.create_task(part.run()) for part in (made.memory, made.processor)]
    try:
        await made.client.create("ada", newborn(settings))
        yield made
    finally:
        await made.client.close()
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await model.aclose()
        await made.log.close()


async def spoke(world: Parts) -> list[str]:
    """The models that answered, in order."""
    return [event.model for event in await world.events("ada", "InferenceCompleted")]


async def prove(world: Parts) -> None:
    proof = replay("ada", await world.log.read("ada"))
    assert proof.difference is None
    answers = [*await world.events("ada", "InferenceCompleted"), *await world.events("ada", "InferenceFailed")]
    assert proof.contexts == sum(bool(event.sent) for event in answers)


def yielded(reply: Reply) -> bool:
    return reply.reason == "yielded" and reply.text.startswith("You said: ")


def settings(first: Process, *others: Process, **changes: Any) -> Settings:
    """ "stub:a" at the first, "stub:b" at the second: the stub answers for both, and says who was asked."""
    fallbacks = tuple(
        Server(model=f"stub:{name}", base_url=other.url, output_parameter="max_tokens")
        for name, other in zip("bcd", others, strict=False)
    )
    return Settings(model="stub:a", base_url=first.url, fallbacks=fallbacks, **changes)


def test_a_server_that_is_killed_is_left_and_taken_again_when_it_is_back(
    tmp_path: Path, two: tuple[Process, Process]
) -> None:
    first, second = two

    async def talk() -> None:
        async with system(tmp_path, settings(first, second)) as world:
            assert yielded(await world.says("ada", "Are you there?"))
            first.kill()
            reply = await world.says("ada", "And now?")
            assert yielded(reply)
            (note,) = reply.notes
            assert note.startswith(f"stub:b at {second.url} was asked, since the server before failed (unreachable: ")
            still = await world.says("ada", "Still?")
            assert yielded(still)
            assert still.notes == ()
            assert await spoke(world) == ["stub:a", "stub:b", "stub:b"]
            (failed,) = await world.events("ada", "InferenceFailed")
            assert isinstance(failed, InferenceFailed)
            assert (failed.error, failed.attempts) == ("unreachable", 2)
            first.start()
            world.now_ms += 11 * MINUTE_MS
            assert yielded(await world.says("ada", "Back?"))
            assert (await spoke(world))[-1] == "stub:a"
            switches = await world.events("ada", "ServerSwitched")
            assert [event.server for event in switches] == [1, 0]
            assert first.url in switches[0].reason
            assert (await world.client.state("ada")).chosen is None
            await prove(world)

    run(talk())


def test_a_server_that_is_killed_in_the_middle_of_an_answer_loses_no_turn(
    tmp_path: Path, two: tuple[Process, Process]
) -> None:
    first, second = two

    async def talk() -> None:
        slow = settings(first, second)
        async with system(tmp_path, Settings(model="stub-slow", base_url=first.url, fallbacks=slow.fallbacks)) as world:
            ticket = await world.client.send("ada", "Think hard.", at_ms=world.now_ms)
            figures: dict[str, Any] = {}
            while not figures.get(first.url, {}).get("running"):
                await asyncio.sleep(0.01)  # the request is on its way
                figures = world.processor.figures()["servers"]
            first.kill()
            assert yielded(await world.ended(ticket))
            assert await spoke(world) == ["stub:b"]
            await prove(world)

    run(talk())


def test_when_all_are_down_the_user_is_told_of_each_and_the_next_turn_asks_the_first(
    tmp_path: Path, two: tuple[Process, Process]
) -> None:
    first, second = two

    async def talk() -> None:
        async with system(tmp_path, settings(first, second)) as world:
            first.kill()
            second.kill()
            reply = await world.says("ada", "Anybody?")
            assert reply.reason == "inference_failed"
            assert reply.detail.startswith(f"None of 2 servers answered. 1. unreachable: {first.url}: No connection")
            assert f"| 2. unreachable: {second.url}: No connection" in reply.detail
            first.start()
            assert yielded(await world.says("ada", "And now?"))
            assert await spoke(world) == ["stub:a"]
            await prove(world)

    run(talk())


def test_a_summariser_at_a_server_of_its_own_and_one_that_is_down(tmp_path: Path, two: tuple[Process, Process]) -> None:
    first, second = two
    writer = Server(model="stub-plain", base_url=second.url, window_tokens=3000, reserve_tokens=200)

    async def summary(world: Parts) -> SummaryWritten:
        before = len(await world.events("ada", "SummaryWritten"))
        for number in range(40):
            assert yielded(await world.says("ada", f"{number}: " + "the weather and the garden. " * 15))
            written = await world.events("ada", "SummaryWritten")
            if len(written) > before:
                assert isinstance(written[-1], SummaryWritten)
                return written[-1]
        raise AssertionError("the window never filled up")

    async def talk() -> None:
        async with system(tmp_path, settings(first, window_tokens=6000, summarizer_at=writer)) as world:
            assert (await summary(world)).text == "Plain text, no call."
            completed = await world.events("ada", "InferenceCompleted")
            assert {event.model for event in completed if isinstance(event, InferenceCompleted)} == {
                "stub:a", "stub-plain",
            }  # fmt: skip
            second.kill()
            written = await summary(world)
            assert written.author == "extractive"
            assert written.note.startswith(f"unreachable: The summariser (stub-plain): {second.url}: No connection")
            assert not await world.events("ada", "ServerSwitched")
            await prove(world)

    run(talk())
