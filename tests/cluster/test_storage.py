"""Promise 7: the index is a projection of the log, and a search that was asked is answered whoever died meanwhile."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path

import pytest

from palimpsest.actors.client import Client
from palimpsest.actors.links.log_client import LogClient
from palimpsest.actors.system import Options, System
from palimpsest.events.errors import EmbedderChanged
from palimpsest.events.passages import HitPage
from palimpsest.events.types import FunctionReturned, Settings
from palimpsest.store.folder import DataFolder
from palimpsest.store.index.embeddings import WordLlamaEmbedder
from palimpsest.store.index.points import View
from palimpsest.store.index.projection import MemoryIndex
from palimpsest.store.index.settings import IndexSettings
from tests.worlds.crowd import (
    SMALL,
    START_MS,
    born,
    check_promises,
    log_of,
    run,
    running,
    script,
    stream_of,
    waited_for,
)


class Other(WordLlamaEmbedder):
    name = "another"  # type: ignore[misc]  # by another name


QUESTION = "Where is the spare key?"


async def _tell(client: Client, agent: str) -> None:
    """Let the fact leave the window."""
    lines = script(3)
    for number, text in enumerate([*lines[1:6], *lines[1:4], *lines[3:6]]):
        await client.send(agent, text, at_ms=START_MS + number)
    await client.ask(agent, "Thank you!")


QUERIES = ("spare key", "harbour in the dark", "clocks", "Kim3", "nothing of the kind")


def _pages(folder: DataFolder, index: Path, as_of: int) -> list[HitPage]:
    """What an index finds as of a seq."""
    with log_of(folder) as log:
        opened = MemoryIndex.open(index, WordLlamaEmbedder(), log.read)
        try:
            assert opened.position.number > 0
            return [
                opened.search((View("sam", as_of),), kind=kind, query=query, page=page, size=5)
                for kind in ("message", "passage")
                for query in QUERIES
                for page in (0, 1)
            ]
        finally:
            opened.close()


def test_a_deleted_index_is_built_again_from_the_log(folder: DataFolder, tmp_path: Path) -> None:
    async def first() -> int:
        async with running(folder) as system:
            client = await born(system, "sam", SMALL)
            await _tell(client, "sam")
            assert "flowerpot" in (await client.ask("sam", QUESTION)).text
            envelopes = await LogClient(system.parts.log).read("sam")
            return max(envelope.seq for envelope in envelopes if envelope.kind == "FunctionCalled")

    async def second(before: int) -> None:
        async with running(folder) as system:
            other = await born(system, "late", Settings())
            assert "flowerpot" not in (await other.ask("late", QUESTION)).text, "another agent's memory is its own"
            assert "flowerpot" in (await system.client().ask("sam", f"So, {QUESTION.lower()}")).text
            searched = (await system.status())["storage"]["searches"]
            envelopes = [
                *await LogClient(system.parts.log).read("sam", before),
                *await LogClient(system.parts.log).read("late"),
            ]
            calls = [envelope for envelope in envelopes if envelope.opens == "storage"]
            assert searched == len(calls), "what was answered before is not searched for again"

    seq = run(first())
    old = tmp_path / "old"
    shutil.move(folder.index_path(), old)
    run(second(seq))
    found = _pages(folder, old, seq)
    assert _pages(folder, folder.index_path(), seq) == found, "promise 7: the same, built again"
    assert len([page for page in found if page.hits]) >= 5
    check_promises(folder)


def test_a_system_does_not_boot_on_the_index_of_another_embedder(folder: DataFolder) -> None:
    folder.create()
    MemoryIndex.open(folder.index_path(), Other(), lambda *_, **__: []).close()

    async def boots() -> None:
        async with running(folder):
            raise AssertionError("it booted")

    with pytest.raises(EmbedderChanged, match=r"and wordllama .* is set"):
        run(boots())
    folder.lock("the next one").release()


def test_without_its_qdrant_server_a_system_boots_says_so_and_talks(folder: DataFolder) -> None:
    async def talk() -> None:
        options = Options(index=IndexSettings(qdrant_url="http://127.0.0.1:9"))
        async with running(folder, options) as system:
            (note,) = system.notes
            assert "http://127.0.0.1:9 does not answer" in note
            client = await born(system, "sam", Settings())
            assert (await client.ask("sam", "Hello!")).reason == "yielded"
            before = (await system.pids())["storage"]
            assert "does not answer" in (await system.status())["storage"]["trouble"]
            assert (await system.pids())["storage"] == before

    run(talk())


def test_a_search_that_is_open_when_storage_dies_is_answered(shared: System) -> None:
    async def talk() -> None:
        client = await born(shared, "searching")
        await client.ask("searching", "Hello!")
        storage = (await shared.pids())["storage"]
        os.kill(storage, signal.SIGSTOP)
        try:
            asked = asyncio.create_task(client.ask("searching", "Where is the bicycle pump?"))
            await waited_for(shared, "searching", "FunctionCalled")
        finally:
            os.kill(storage, signal.SIGKILL)
        assert (await asked).reason == "yielded"
        assert any(isinstance(event, FunctionReturned) for event in await stream_of(shared, "searching"))
        assert (await shared.pids())["storage"] != storage

    run(talk())
