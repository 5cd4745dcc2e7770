"""Several servers at once, over real HTTP: none holds up another's agents, and each serves its own in turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from palimpsest.actors.models.hosted.openai import OpenAIModel
from palimpsest.actors.models.protocol import ModelFailed, Terms
from tests.worlds.stub_server import Server, Waits, ask, run


@pytest.fixture(scope="module")
def two() -> Iterator[tuple[Server, Server]]:
    servers = Server(), Server()
    yield servers
    for each in servers:
        each.close()


@pytest.fixture(autouse=True)
def _fresh(two: tuple[Server, Server]) -> None:
    for server in two:
        server.stub.requests.clear()
        server.stub.script.clear()
        server.stub.count = 0


def texts(server: Server) -> list[str]:
    """The messages that the server was asked with, in order."""
    bodies = [msgspec.json.decode(received.body) for received in list(server.stub.requests)]
    return [body["messages"][-1]["content"] for body in bodies]


async def until(done: Callable[[], bool]) -> None:
    """Let the loop go on until this is so."""
    async with asyncio.timeout(10):
        while not done():  # noqa: ASYNC110 - the stub runs in a thread of its own
            await asyncio.sleep(0.001)


async def ended(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def test_a_server_that_is_full_holds_up_no_other(two: tuple[Server, Server]) -> None:
    slow, other = two

    async def use(model: OpenAIModel) -> None:
        stuck = [
            asyncio.create_task(
                model.complete(ask("stub-hang"), base_url=slow.url, terms=Terms(agent=f"agent {number}"))
            )
            for number in range(80)
        ]
        await until(lambda: slow.stub.count == 64)
        assert (await model.complete(ask("stub"), base_url=other.url, terms=Terms(agent="other"))).calls
        figures = model.figures()
        assert figures[slow.url] == {"running": 64, "waiting": 16, "bound": 64, "resting": False}
        assert figures[other.url]["running"] == 0
        await ended(*stuck)
        assert model.figures()[slow.url]["running"] == 0

    run(use, slow.url)


def test_agents_take_turns_at_a_server_with_one_slot(two: tuple[Server, Server]) -> None:
    server, _ = two

    async def use(model: OpenAIModel) -> None:
        asked = [("busy", f"busy {number}") for number in range(20)] + [("late", "late 0"), ("late", "late 1")]
        await asyncio.gather(
            *(model.complete(ask("stub", text), terms=Terms(agent=agent, in_flight=1)) for agent, text in asked)
        )

    run(use, server.url)
    assert texts(server)[:6] == ["busy 0", "busy 1", "late 0", "busy 2", "late 1", "busy 3"]
    assert texts(server)[6:] == [f"busy {number}" for number in range(4, 20)]


def test_one_agents_wish_binds_all_who_call_its_server(two: tuple[Server, Server]) -> None:
    server, other = two

    async def use(model: OpenAIModel) -> None:
        terms = (Terms(agent="small", in_flight=2), Terms(agent="a"), Terms(agent="b"), Terms(agent="c"))
        stuck = [asyncio.create_task(model.complete(ask("stub-hang"), terms=each)) for each in terms]
        stuck += [asyncio.create_task(model.complete(ask("stub-hang"), base_url=other.url)) for _ in range(5)]
        await until(lambda: (server.stub.count, other.stub.count) == (2, 5))
        assert model.figures()[server.url]["waiting"] == 2
        await ended(*stuck)

    run(use, server.url)


def test_a_bound_may_be_larger_than_is_usual(two: tuple[Server, Server]) -> None:
    """No pool of connections has a lesser one of its own."""
    server, _ = two

    async def use(model: OpenAIModel) -> None:
        terms = Terms(agent="many", in_flight=150)
        stuck = [asyncio.create_task(model.complete(ask("stub-hang"), terms=terms)) for _ in range(160)]
        await until(lambda: server.stub.count == 150)
        assert model.figures()[server.url]["waiting"] == 10
        await ended(*stuck)

    run(use, server.url)


class Gate(Waits):
    """A sleep that ends when it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: asyncio.Event | None = None

    async def __call__(self, delay_s: float) -> None:
        await super().__call__(delay_s)
        if self.opened is None:
            self.opened = asyncio.Event()
        await self.opened.wait()

    def open(self) -> None:
        assert self.opened is not None, "somebody waits"
        self.opened.set()


BUSY = {
    "429": {"status": 429, "body": "slow down", "headers": {"retry-after": "7"}},
    "429 without a word of when": {"status": 429, "body": "slow down"},
    "503": {"status": 503, "body": {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}},
    "500 that says when": {"status": 500, "body": "", "headers": {"retry-after": "7"}},
}
"""llama.cpp's server answers so while it loads its model (tools/server/server.cpp)."""


@pytest.mark.parametrize("reply", BUSY.values(), ids=BUSY)
def test_a_busy_server_is_left_alone_by_all_its_agents_and_no_others(
    two: tuple[Server, Server], reply: dict[str, Any]
) -> None:
    server, other = two
    gate = Gate()

    async def use(model: OpenAIModel) -> None:
        server.script(reply)
        first = asyncio.create_task(model.complete(ask("stub-script", "first"), terms=Terms(agent="a")))
        await until(lambda: bool(gate.asked))
        assert model.figures()[server.url]["resting"]
        more = [asyncio.create_task(model.complete(ask("stub", text), terms=Terms(agent=text))) for text in ("b", "c")]
        assert (await model.complete(ask("stub"), base_url=other.url)).calls
        assert server.stub.count == 1, "nobody asks it meanwhile"
        gate.open()
        await asyncio.gather(first, *more)

    run(use, server.url, gate)
    assert sorted(texts(server)) == ["b", "c", "first", "first"]


def test_after_its_rest_a_server_is_asked_by_one_first(two: tuple[Server, Server]) -> None:
    """So that a server that is busy still costs the others none of their tries."""
    server, _ = two
    gate = Gate()

    async def use(model: OpenAIModel) -> None:
        server.script({"status": 429, "body": ""})
        first = asyncio.create_task(model.complete(ask("stub-script", "first"), terms=Terms(agent="a")))
        await until(lambda: bool(gate.asked))
        hangs = asyncio.create_task(model.complete(ask("stub-hang"), terms=Terms(agent="b")))
        more = [asyncio.create_task(model.complete(ask("stub", f"{n}"), terms=Terms(agent="c"))) for n in "123"]
        await asyncio.sleep(0)
        gate.open()
        await until(lambda: server.stub.count == 2)
        figures = model.figures()[server.url]
        assert (figures["running"], figures["waiting"]) == (1, 4)
        await ended(hangs)
        await asyncio.gather(first, *more)
        assert server.stub.count == 6

    run(use, server.url, gate)


def test_a_server_that_stays_busy_is_given_up_by_all_who_wait_for_it(two: tuple[Server, Server]) -> None:
    """Not by one after the other, each with tries of its own."""
    server, other = two

    async def use(model: OpenAIModel) -> list[object]:
        asked = [model.complete(ask("stub-429"), terms=Terms(agent=f"{n}", in_flight=1)) for n in range(30)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert (await model.complete(ask("stub"), terms=Terms(agent="new"))).calls, "who comes later asks for itself"
        assert (await model.complete(ask("stub"), base_url=other.url)).calls
        return list(found)

    failed = run(use, server.url, max_retries=4)
    assert {each.error for each in failed} == {"rate_limited"}
    assert server.stub.count == 5 + 1


def test_a_refusal_that_is_the_callers_own_makes_no_other_wait(two: tuple[Server, Server]) -> None:
    server, _ = two

    async def use(model: OpenAIModel) -> None:
        for name in ("stub-401", "stub-404", "stub-quota", "stub-500-once", "stub-html"):
            try:
                await model.complete(ask(name))
            except ModelFailed:
                assert not model.figures()[server.url]["resting"]
        assert model.figures()[server.url]["running"] == 0

    run(use, server.url)


def test_the_wait_for_a_slot_is_no_part_of_the_time_limit(two: tuple[Server, Server]) -> None:
    server, _ = two

    async def use(model: OpenAIModel) -> None:
        loop = asyncio.get_running_loop()
        line = model._slots.line(server.url)
        await model._slots.enter(line, "somebody", 1)
        waiting = asyncio.create_task(model.complete(ask("stub"), terms=Terms(agent="a", timeout_s=100.0)))
        await until(lambda: line.waiting == 1)
        before = loop.time
        loop.time = lambda: before() + 100_000.0  # type: ignore[method-assign]
        await asyncio.sleep(0)
        assert not waiting.done()
        model._slots.leave(line)
        assert (await waiting).calls

    run(use, server.url)


def test_an_agents_own_time_limit_holds_for_an_attempt(two: tuple[Server, Server]) -> None:
    server, _ = two

    async def use(model: OpenAIModel) -> ModelFailed:
        with pytest.raises(ModelFailed) as caught:
            await model.complete(ask("stub-hang"), terms=Terms(timeout_s=0.05))
        return caught.value

    failed = run(use, server.url, max_retries=1)
    assert (failed.error, failed.attempts) == ("timeout", 2)
    assert "0.05 s" in failed.detail


def test_a_server_that_hangs_is_not_asked_twice_where_there_is_another(
    two: tuple[Server, Server],
) -> None:
    server, _ = two

    async def use(model: OpenAIModel) -> ModelFailed:
        with pytest.raises(ModelFailed) as caught:
            await model.complete(ask("stub-hang"), terms=Terms(timeout_s=0.05, elsewhere=True))
        return caught.value

    assert run(use, server.url).attempts == 1
