"""When the ground gives way: another writer, a full disk, damaged streams, logs of another make, folders in use."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import cast

import psutil
import pytest

from palimpsest.actors.client import Client
from palimpsest.actors.links.log_client import LogClient
from palimpsest.actors.links.protocol import PARTS
from palimpsest.actors.system import Options, System
from palimpsest.events.envelope import Draft
from palimpsest.events.errors import (
    ActorLost,
    AgentSetAside,
    DataFolderBusy,
    Fenced,
    LogUnavailable,
    NewerFormat,
)
from palimpsest.events.kinds import Kind
from palimpsest.events.position import FIRST_PARTITION
from palimpsest.events.prompts import newborn
from palimpsest.events.types import Settings
from palimpsest.store.folder import DataFolder
from palimpsest.store.logs.contract import Append
from palimpsest.store.logs.sqlite_log import SqliteLog
from tests.worlds.crowd import (
    Crowd,
    born,
    check_answered_once,
    check_promises,
    kill,
    run,
    running,
    waited_for,
)
from tests.worlds.positions import nth


def test_a_log_that_was_taken_over_is_let_go_for_good(folder: DataFolder) -> None:
    """The replaced writer appends nothing more, says so, and is not started again to take the log back."""

    async def talk() -> None:
        async with running(folder) as system:
            client = await born(system, "sam")
            await client.ask("sam", "Hello!")
            parts = [psutil.Process(pid) for pid in (await system.pids()).values()]
            waiting = asyncio.create_task(LogClient(system.parts.log).tail(nth(10_000), 10, 60.0))
            with SqliteLog(folder.log_path()) as other:
                epoch = other.open_epoch()
                before = other.position(FIRST_PARTITION)
                with pytest.raises(Fenced, match="replaced by a newer one"):
                    await client.send("sam", "Are you there?")
                with pytest.raises(ActorLost, match="has ended"):
                    await waiting
                _, alive = await asyncio.to_thread(psutil.wait_procs, parts, timeout=20)
                assert not alive
                for name in PARTS:
                    with pytest.raises(ActorLost, match="Start the system again"):
                        await getattr(system.parts, name).status()
                with pytest.raises(ActorLost):
                    await client.send("sam", "Hello?")
                assert other.position(FIRST_PARTITION) == before, "nothing was written by the one that was replaced"
                other.append([Append((), cursor=("test", nth(1)))])  # raises Fenced if somebody took the log back
                assert epoch == 2

    run(talk())
    check_promises(folder)


def test_a_full_disk_loses_nothing_and_all_goes_on_after(folder: DataFolder) -> None:
    async def talk() -> Crowd:
        crowd = Crowd(6)
        async with running(folder, Options(model={"offline_latency_s": 0.05})) as system:
            client = system.client()
            await crowd.create(client)
            talking = asyncio.create_task(crowd.talk(client))
            await crowd.after(10)
            await system.parts.log.limit_pages(1)
            with pytest.raises(LogUnavailable, match=r"disk is full.*Free space"):
                while True:
                    await client.create(f"more-{len(await client.agents())}", newborn(Settings()))
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)
            taken = set(crowd.tickets) - set(crowd.replies)
            assert taken, "turns are under way that cannot be written"
            await kill(system, "memory")
            await kill(system, "llm")
            await system.parts.log.limit_pages(None)
            for key in taken:  # they end by themselves
                crowd.replies[key] = await client.wait(crowd.tickets[key])
            await crowd.talk(client)
        return crowd

    crowd = run(talk())
    assert {reply.reason for reply in crowd.replies.values()} == {"yielded"}
    check_promises(folder)
    check_answered_once(folder, {(name, f"{name}/{turn}") for name, turn in crowd.tickets})


def test_a_log_that_dies_on_a_full_disk_comes_back_when_there_is_space(folder: DataFolder) -> None:
    async def talk() -> None:
        async with running(folder) as system:
            client = await born(system, "sam")
            await client.ask("sam", "I live in Oslo.")
            with closing(sqlite3.connect(folder.log_path(), isolation_level=None)) as holder:
                holder.execute("BEGIN IMMEDIATE")  # nobody else can write: no epoch can be opened, as on a full disk
                await kill(system, "log")
                sent = asyncio.create_task(client.send("sam", "Where do I live?"))
                with pytest.raises(LogUnavailable):
                    await system.parts.log.status()
                assert not sent.done()
                holder.execute("ROLLBACK")
            assert "Oslo" in (await client.wait(await sent)).text

    run(talk())
    check_promises(folder)


DAMAGE = {
    "bytes": "body = x'c1' WHERE seq = 3",
    "sense": "kind = 'MessageSent', body = x'81a474657874a26f6b' WHERE seq = 2",
    "newer": "version = 99 WHERE seq = 2",
    "unknown": "kind = 'ThoughtRead' WHERE seq = 2",
}
"""The agent -> what befalls its stream."""


def test_streams_that_cannot_be_read_stop_nobody_else(folder: DataFolder, stub_url: str) -> None:
    """They are damaged while their turns are open, so that every part meets them, at its start and later."""

    async def before() -> None:
        async with running(folder) as system:
            client = await born(system, "well")
            await client.ask("well", "I live in Lima.")
            for agent in DAMAGE:
                await client.create(agent, newborn(Settings(model="stub-hang", base_url=stub_url)))
                await client.send(agent, "I live in Oslo.")
                await waited_for(system, agent, "InferenceRequested")

    async def refused(client: Client, agent: str) -> None:
        with pytest.raises(AgentSetAside, match=f"'{agent}' is set aside"):
            await client.ask(agent, "Where do I live?")

    async def after() -> None:
        async with running(folder) as system:
            client = system.client()
            assert "Lima" in (await client.ask("well", "Where do I live?")).text
            await asyncio.gather(*(refused(client, agent) for agent in DAMAGE))
            status = await system.status()
            assert status["memory"]["aside"] == len(DAMAGE)
            await client.create("later", newborn(Settings()))
            await client.ask("later", "Hello!")
            made = Draft("later", 0, cast(Kind, "ThoughtRead"), 1, "from a newer version", b"\x80")
            await LogClient(system.parts.log).append_drafts([made])
            await refused(client, "later")
            assert (await client.ask("well", "Thanks!")).reason == "yielded"

    run(before())
    with closing(sqlite3.connect(folder.log_path())) as file, file:
        for agent, what in DAMAGE.items():
            file.execute(f"UPDATE events SET {what} AND stream = (SELECT id FROM streams WHERE agent = '{agent}')")
    run(after())


def test_a_system_that_is_up_keeps_others_out(shared: System, shared_folder: DataFolder) -> None:
    async def second() -> None:
        async with running(shared_folder):
            pass

    with pytest.raises(DataFolderBusy, match="tests"):
        run(second())

    async def still_there() -> None:
        client = await born(shared, "still-there")
        assert (await client.ask("still-there", "Hello!")).reason == "yielded"

    run(still_there())


def test_a_log_of_a_newer_version_is_said_at_the_start_and_left_alone(folder: DataFolder) -> None:
    folder.create()
    with SqliteLog(folder.log_path()) as log:
        log.open_epoch()
    with closing(sqlite3.connect(folder.log_path())) as file:
        file.execute("PRAGMA user_version = 99")
    bytes_before = folder.log_path().read_bytes()

    async def start() -> None:
        async with running(folder):
            pass

    with pytest.raises(NewerFormat, match="upgrade"):
        run(start())
    assert folder.log_path().read_bytes() == bytes_before
    folder.lock("the next one").release()
