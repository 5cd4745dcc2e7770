"""The storage actor where its engine breaks on one query, cannot be had for a while, or is of another embedder."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.actors.links import wire
from palimpsest.actors.parts.outage import Outage
from palimpsest.actors.storage import BITE_BYTES, Storage, bites_of
from palimpsest.events.codec import draft
from palimpsest.events.envelope import GENESIS, Draft, Envelope, place
from palimpsest.events.errors import EmbedderChanged, StorageAway, StorageDamaged
from palimpsest.events.kinds import Kind, kinds_of
from palimpsest.events.passages import HitPage
from palimpsest.events.position import Position
from palimpsest.events.types import FunctionCalled, Parent, UploadFinished
from palimpsest.store.index.projection import MemoryIndex
from tests.worlds.one_process import LIMIT_S, Parts, parts, run
from tests.worlds.positions import nth
from tests.worlds.story import call, say


class Brittle:
    """An index that takes everything, finds nothing, and breaks where it is asked for poison. Asked for the away,
    it may be out of reach."""

    def __init__(self, position: int = 0, away: bool = False) -> None:
        self.position = nth(position)
        self._away = away

    def apply(self, _envelopes: Sequence[Envelope], position: Position) -> None:
        self.position = position

    def search(self, _agent: str, *, query: str, **_options: Any) -> HitPage:
        if query == "poison":
            raise StorageDamaged("The index cannot be read.")
        if query == "the away" and self._away:
            raise StorageAway("The server went away.")
        return HitPage((), 0)

    def close(self) -> None:
        """There is nothing to close."""


SCRIPT = {
    "Look for poison": (call("conversation_search", query="poison", request_heartbeat=True),),
    "Look for bread": (call("conversation_search", query="bread", request_heartbeat=True),),
    "Look in the archive": (call("archival_memory_search", query="bread", request_heartbeat=True),),
    "Look for the away": (call("conversation_search", query="the away", request_heartbeat=True),),
    "Function call failed": (say("That cannot be searched for."),),
    "Function called using": (say("I found nothing."),),
}


def test_a_query_that_breaks_a_fresh_index_too_is_answered_as_failed(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            await here.born("ada")
            await here.says("ada", "Hello.")

            def storage(position: int) -> asyncio.Task[None]:
                opened = Storage(here.log, here.log_actor._reader, lambda: Brittle(position))  # type: ignore[arg-type, return-value]
                return asyncio.create_task(opened.run())

            first = storage(position=3)
            ticket = await here.client.send("ada", "Look for poison.")
            with pytest.raises(StorageDamaged):
                await first
            again = storage(position=0)  # what comes up next builds the index from nothing
            assert (await here.ended(ticket)).text == "That cannot be searched for."
            assert (await here.says("ada", "Look for bread.")).text == "I found nothing."
            later = await here.client.send("ada", "Look for poison.")
            with pytest.raises(StorageDamaged):
                await again
            last = storage(position=0)
            assert (await here.ended(later)).text == "That cannot be searched for."
            last.cancel()

    run(live())


class Door:
    """Opens an index, unless `trouble` is in the way: the first one is out of reach for some, or each one (`again`)."""

    def __init__(self, trouble: Exception | None = None, *, again: bool = False) -> None:
        self.trouble = trouble
        self.tried = 0
        self._again = again

    def open(self) -> MemoryIndex:
        self.tried += 1
        if self.trouble:
            raise self.trouble
        return Brittle(away=self._again or self.tried == 1)  # type: ignore[return-value]  # what storage asks of one


class Clock:
    """Time passes only while somebody sleeps, and then at once."""

    def __init__(self) -> None:
        self._now_s = 0.0

    def now_s(self) -> float:
        return self._now_s

    async def sleep(self, seconds: float) -> None:
        self._now_s += seconds
        await asyncio.sleep(0)


@asynccontextmanager
async def kept(here: Parts, door: Door, patience_s: float = 0.0) -> AsyncIterator[Storage]:
    clock = Clock()
    outage = Outage(patience_s, clock.now_s, clock.sleep)
    storage = Storage(here.log, here.log_actor._reader, door.open, outage=outage)
    task = asyncio.create_task(storage.run())
    try:
        yield storage
    finally:
        task.cancel()


def test_without_an_index_turns_go_on_and_a_search_fails_with_an_event_that_says_why(tmp_path: Path) -> None:
    async def live() -> None:
        door = Door(StorageAway("The Qdrant server is down: start it."))
        async with parts(tmp_path, SCRIPT) as here, kept(here, door) as storage:
            await storage.check()
            assert "server is down" in storage.figures()["trouble"]
            await here.born("ada")
            assert (await here.says("ada", "Hello.")).reason == "yielded"
            assert (await here.says("ada", "Look for bread.")).text == "That cannot be searched for."
            (failed,) = await here.events("ada", "FunctionFailed")
            assert failed.error == "Storage cannot answer now: The Qdrant server is down: start it."
            door.trouble = None
            position = await here.position()
            assert await storage.indexed(position, LIMIT_S) >= position, "it is tried again by itself"
            assert (await here.says("ada", "Look for bread.")).text == "I found nothing."

    run(live())


def test_a_search_waits_for_an_index_that_is_away_for_a_moment(tmp_path: Path) -> None:
    async def live() -> None:
        door = Door()
        async with parts(tmp_path, SCRIPT) as here, kept(here, door, patience_s=60.0) as storage:
            await here.born("ada")
            assert (await here.says("ada", "Look for the away.")).text == "I found nothing."
            assert (door.tried, storage.figures()["trouble"]) == (2, "")

    run(live())


def test_a_search_that_its_server_never_answers_fails_in_the_end(tmp_path: Path) -> None:
    async def live() -> None:
        door = Door(again=True)
        async with parts(tmp_path, SCRIPT) as here, kept(here, door, patience_s=0.5):
            await here.born("ada")
            assert (await here.says("ada", "Look for the away.")).text == "That cannot be searched for."
            assert door.tried <= 5, "with pauses between"
            assert (await here.says("ada", "Look for bread.")).text == "I found nothing."

    run(live())


def test_another_embedder_is_told_to_whoever_boots_and_never_tried_again(tmp_path: Path) -> None:
    async def live() -> None:
        door = Door(EmbedderChanged("here", "wordllama (256 dimensions)", "minilm (384 dimensions)"))
        async with parts(tmp_path, SCRIPT) as here, kept(here, door) as storage:
            with pytest.raises(EmbedderChanged, match=r"and minilm \(384 dimensions\) is set"):
                await storage.check()
            await here.born("ada")
            assert (await here.says("ada", "Look for bread.")).text == "That cannot be searched for."
            assert door.tried == 1

    run(live())


def _bearing(position: int, size: int, kind: Kind = "PassagesLoaded") -> Envelope:
    drawn = Draft("source:bread", 0, kind, 1, f"k{position}", b"x" * size)
    return place(drawn, position, nth(position), GENESIS)


@given(st.lists(st.tuples(st.integers(0, BITE_BYTES * 2), st.booleans()), max_size=12))
def test_a_batch_is_taken_in_bites_that_leave_nothing_out(drawn: list[tuple[int, bool]]) -> None:
    envelopes = [
        _bearing(position, size, "PassagesLoaded" if bears else "FunctionCalled")
        for position, (size, bears) in enumerate(drawn, start=1)
    ]
    bites = list(bites_of(wire.Batch(envelopes, nth(len(drawn) + 7))))
    assert [envelope for bite, _ in bites for envelope in bite] == [e for e in envelopes if e.kind == "PassagesLoaded"]
    assert all(len(bite) == 1 or sum(len(e.body) for e in bite) <= BITE_BYTES for bite, _ in bites if bite)
    assert all(bite[-1].position == position for bite, position in bites[:-1])
    assert bites[-1][1] == nth(len(drawn) + 7)


class Slow(Brittle):
    """An index that stops after the first event until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go_on = threading.Event()

    def apply(self, envelopes: Sequence[Envelope], position: Position) -> None:
        if self.position.number:
            assert self.may_go_on.wait(LIMIT_S)
        super().apply(envelopes, position)


def test_who_waits_for_a_position_waits_for_nothing_that_comes_after_it(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            index = Slow()
            big = [Draft("source:bread", 0, "PassagesLoaded", 1, f"k{n}", bytes(BITE_BYTES)) for n in range(2)]
            first, last = [answer.position or nth(0) for answer in await here.log.append_drafts(big)]
            storage = Storage(here.log, here.log_actor._reader, lambda: index)  # type: ignore[arg-type, return-value]
            serving = asyncio.create_task(storage.run())
            assert await storage.indexed(first, LIMIT_S) == first, "the next one holds up nobody"
            assert await storage.indexed(last, 0.0) == first
            index.may_go_on.set()
            assert await storage.indexed(last, LIMIT_S) == last
            serving.cancel()

    run(live())


class Looking(Brittle):
    """An index that notes how far it was when it was searched."""

    def __init__(self) -> None:
        super().__init__()
        self.searched_at: list[Position] = []

    def search(self, _agent: str, *, query: str, **_options: Any) -> HitPage:
        self.searched_at.append(self.position)
        return super().search(_agent, query=query)


def test_a_search_waits_for_the_bites_that_come_before_it(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            await here.born("ada")
            await here.log.append_drafts(
                [Draft("source:bread", 0, "PassagesLoaded", 1, f"k{n}", bytes(BITE_BYTES)) for n in range(3)]
            )
            ticket = await here.client.send("ada", "Look for bread.")
            (asked,) = (await here.log.tail(nth(0), 1000, LIMIT_S, kinds=kinds_of(FunctionCalled))).envelopes
            index = Looking()
            storage = Storage(here.log, here.log_actor._reader, lambda: index)  # type: ignore[arg-type, return-value]
            serving = asyncio.create_task(storage.run())
            assert (await here.ended(ticket)).text == "I found nothing."
            (reached,) = index.searched_at
            assert reached >= asked.position
            serving.cancel()

    run(live())


class Counting:
    """The part of a reader that says where streams stand; how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def seq_at(self, agent: str, _position: int) -> int:
        self.asked.append(agent)
        return 1

    def lineage(self, agent: str) -> list[Parent]:
        self.asked.append(agent)
        return []


def test_searches_ask_the_log_once_where_their_streams_stand(tmp_path: Path) -> None:
    async def live() -> None:
        (tmp_path / "files").mkdir()
        async with parts(tmp_path, SCRIPT) as here:
            await here.born("ada")
            await here.client.load_source("bread", [tmp_path / "files"], agents=["ada"])
            reader = Counting()
            storage = Storage(here.log, reader, Brittle)  # type: ignore[arg-type]
            serving = asyncio.create_task(storage.run())
            for _ in range(3):
                assert (await here.says("ada", "Look in the archive.")).text == "I found nothing."
            assert sorted(reader.asked) == ["ada", "source:bread"]
            serving.cancel()

    run(live())


def test_the_word_that_ends_a_load_is_indexed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palimpsest.actors.storage.LINGER_S", 2 * LIMIT_S)

    async def live() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            await here.born("ada")
            storage = Storage(here.log, here.log_actor._reader, Brittle)  # type: ignore[arg-type]
            serving = asyncio.create_task(storage.run())
            word = draft("ada", 0, UploadFinished(source="bread", detail="a loaf"), key="in:load", opens="turn")
            (answer,) = await here.log.append_drafts([word])
            assert answer.position is not None
            assert await storage.indexed(answer.position, LIMIT_S / 2) == answer.position
            serving.cancel()

    run(live())


class Lasting(Looking):
    """An index that is where it was when it is opened again; at its first search it goes away."""

    def search(self, _agent: str, *, query: str, **_options: Any) -> HitPage:
        found = super().search(_agent, query=query)
        if len(self.searched_at) == 1:
            raise StorageAway("The server went away.")
        return found


def test_what_was_asked_before_the_index_is_back_is_answered_without_waiting_for_more(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path, SCRIPT) as here:
            await here.born("ada")
            index, clock = Lasting(), Clock()
            outage = Outage(now_s=clock.now_s, sleep=clock.sleep)
            storage = Storage(here.log, here.log_actor._reader, lambda: index, outage=outage)  # type: ignore[arg-type, return-value]
            serving = asyncio.create_task(storage.run())
            assert (await here.says("ada", "Look for bread.")).text == "I found nothing."
            assert len(index.searched_at) == 2
            serving.cancel()

    run(live())
