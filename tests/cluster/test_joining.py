"""One system a folder: every command finds it, it lives until the last has left, and whoever dies, the turns go on."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil
import pytest

from palimpsest.actors.joining.joined import Joined
from palimpsest.actors.system import Options, System, boot, join
from palimpsest.events.errors import ActorLost, BadInput, DataFolderBusy
from palimpsest.events.prompts import newborn
from palimpsest.events.types import Settings
from palimpsest.store.folder import DataFolder, Holder
from tests.worlds.crowd import HOME, PYTHONPATH, check_answered_once, check_promises, log_of, run

LIMIT_S = 240.0
SLOW = Options(model={"offline_latency_s": 0.5})
"""Slow enough that a turn is under way when its system dies."""


def command(folder: Path, *words: str) -> list[str]:
    return [sys.executable, str(HOME / "launch.py"), "--data", str(folder), *words]


def started(folder: Path, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
    return subprocess.Popen(
        command(folder, *words), env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def done(folder: Path, *words: str, code: int = 0) -> str:
    """What a command prints, once it has ended so."""
    program = started(folder, *words)
    said, complaints = program.communicate(timeout=LIMIT_S)
    assert program.returncode == code, complaints
    assert "Traceback" not in complaints
    return said + complaints


def host_of(system: System) -> psutil.Process:
    assert isinstance(system.runtime, Joined)
    return psutil.Process(system.runtime.welcome.pid)


async def agent_of(system: System, *names: str) -> None:
    for name in names:
        await system.client().create(name, newborn(Settings()))


def say(chat: subprocess.Popen[str], text: str) -> str:
    """A line to a chat that reads from a pipe, and what it answers."""
    assert chat.stdin is not None and chat.stdout is not None
    chat.stdin.write(text + "\n")
    chat.stdin.flush()
    return chat.stdout.readline()


def gone(processes: Sequence[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert not alive


def test_everything_at_once_on_one_folder(tmp_path: Path) -> None:
    folder, manual = tmp_path / "data", tmp_path / "manual.txt"
    manual.write_text("The boiler is bled by the red valve.\n")
    ada = started(folder, "chat", "ada")
    assert "Kim" in say(ada, "My name is Kim.")
    others = [
        started(folder, "load", "manuals", str(manual), "--attach", "ada"),
        started(folder, "fork", "ada", "--as", "ada-2"),
        started(folder, "search", "ada", "Kim"),
        started(folder, "chat", "ben"),
    ]
    ben = others.pop()
    assert "Ben" in say(ben, "My name is Ben.")
    for other in others:
        _, complaints = other.communicate(timeout=LIMIT_S)
        assert other.returncode == 0, complaints
        assert "Starting Ray" not in complaints and "index of what this agent sees" not in complaints
    assert "Attached manuals to ben" in done(folder, "attach", "manuals", "ben")
    found = msgspec.json.decode(done(folder, "search", "ben", "How is the boiler bled?", "--json"))
    assert "red valve" in found["archival"]["hits"][0]["text"]
    assert "red valve" in say(ben, "How is the boiler bled?")

    status = msgspec.json.decode(done(folder, "status", "--json"))
    assert {seat["purpose"] for seat in status["system"]["joined"]} == {"chat ada", "chat ben"}
    parts = [psutil.Process(pid) for pid in (status["system"]["pid"], *status["system"]["pids"].values())]
    ada.communicate(timeout=LIMIT_S)  # whoever started it leaves, and it goes on
    assert "Ben" in say(ben, "What is my name?")
    assert status["system"]["pid"] == msgspec.json.decode(done(folder, "status", "--json"))["system"]["pid"]
    ben.communicate(timeout=LIMIT_S)
    gone(parts)
    check_promises(DataFolder(folder))


def test_turns_go_on_where_the_process_that_has_the_system_is_killed(tmp_path: Path) -> None:
    """Both who joined start it again, or one does and the other joins; and the same turn goes on."""
    folder = DataFolder(tmp_path / "data")

    async def live() -> None:
        one, two = await join(folder, "one", SLOW), await join(folder, "two", SLOW)
        await agent_of(one, "ada", "ben")
        for round in range(2):
            host, parts = host_of(one), list((await one.pids()).values())
            assert host == host_of(two)
            tickets = [
                await system.client().send(agent, f"Hello {round}.", message_id=f"m{round}")
                for system, agent in ((one, "ada"), (two, "ben"))
            ]
            waiting = [
                asyncio.create_task(system.client().wait(ticket))
                for system, ticket in zip((one, two), tickets, strict=True)
            ]
            pieces = asyncio.create_task(_words(one, "ada", f"And again {round}.", f"n{round}"))
            host.kill()
            for reply in await asyncio.gather(*waiting):
                assert reply.reason == "yielded" and reply.text
            assert await pieces
            gone([psutil.Process(pid) for pid in parts if psutil.pid_exists(pid)])
        host = host_of(two)
        await one.stop()
        await two.stop()
        gone([host])

    run(live(), LIMIT_S)
    acknowledged = {("ada", f"m{n}") for n in range(2)} | {("ben", f"m{n}") for n in range(2)}
    check_answered_once(folder, acknowledged | {("ada", f"n{n}") for n in range(2)})
    check_promises(folder)


async def _words(system: System, agent: str, text: str, message_id: str) -> str:
    return "".join([str(piece) async for piece in system.client().stream(agent, text, message_id=message_id)])


def test_two_starts_at_the_same_moment_are_one_system_with_one_index(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    index = msgspec.structs.replace(Options().index, embedder="openai:text-embedding-3-small")

    async def live() -> None:
        systems = await asyncio.gather(*(join(folder, f"start {number}") for number in range(3)))
        assert len({host_of(system).pid for system in systems}) == 1
        with pytest.raises(BadInput, match="has its index with the embedder wordllama, and this call asks for"):
            await join(folder, "one more", Options(index=index))
        await asyncio.gather(*(system.stop() for system in systems))

    run(live(), LIMIT_S)


def test_a_door_that_nobody_opens_any_more_is_no_obstacle(tmp_path: Path) -> None:
    """Its process was killed between finding and joining: who knocks is hung up on, its pid may be another's now."""
    folder = DataFolder(tmp_path / "data").create()
    door = tmp_path / "door"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(door))
        left.listen()
        holder = Holder(os.getpid(), "chat sam", "2026-11-27 12:00", how="door", door=str(door))
        (folder.path / "lock").write_bytes(msgspec.json.encode(holder))

        async def live() -> None:
            asyncio.get_running_loop().call_later(0.5, left.close)
            system = await join(folder, "the next one")
            await agent_of(system, "ada")
            await system.stop()

        run(live(), LIMIT_S)


def test_it_stays_until_it_is_ended_and_who_has_joined_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert "runs (pid" in done(folder, "up")
    assert "runs (pid" in done(folder, "up")
    chat = started(folder, "chat", "ada")
    assert "Kim" in say(chat, "My name is Kim.")
    status = done(folder, "status")
    assert "Connected: chat ada (pid" in status and "Waiting: nothing." in status
    assert "needs it alone" in done(folder, "reindex", code=2)
    assert "has ended" in done(folder, "down")
    assert chat.stdin is not None
    chat.stdin.write("Hello?\n")
    _, complaints = chat.communicate(timeout=LIMIT_S)
    assert chat.returncode == 2
    assert "ended by" in complaints and "down" in complaints
    assert "No system runs" in done(folder, "status", code=1)
    assert "No system runs" in done(folder, "down")
    DataFolder(folder).lock("the next one").release()


def test_a_program_that_has_a_system_lets_others_join_and_keeps_it(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")

    async def live() -> None:
        system = await boot(folder, "a program")
        await agent_of(system, "ada")
        joined = await join(folder, "a guest")
        assert (await joined.client().ask("ada", "My name is Kim.")).text
        with pytest.raises(DataFolderBusy, match="needs it alone"):
            await boot(folder, "another program")
        assert isinstance(joined.runtime, Joined)
        assert not await joined.runtime.end(), "it is not the guest's"
        ticket = await joined.client().send("ada", "What is my name?")
        await system.stop()  # and the guest, who stays, starts it again
        assert "Kim" in (await joined.client().wait(ticket)).text
        assert host_of(joined).pid != os.getpid()
        await joined.stop()

    run(live(), LIMIT_S)


def test_a_system_without_ray_is_whole_and_says_that_nobody_can_join_it(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")

    async def live() -> None:
        system = await boot(folder, "a program", Options(local=True))
        await agent_of(system, "ada")
        client = system.client()
        assert "Kim" in (await client.ask("ada", "My name is Kim.")).text
        for other in (join(folder, "a guest"), boot(folder, "another")):
            with pytest.raises(DataFolderBusy, match=r"runs without Ray .*Stop that one"):
                await other
        await system.stop()
        with pytest.raises(ActorLost):
            await client.ask("ada", "Are you there?")

    run(live(), LIMIT_S)
    check_promises(folder)
    with log_of(folder) as log:
        assert log.head("ada")


def test_a_signal_ends_it_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    program = started(folder, "up", "--foreground")
    assert program.stdout is not None and "runs in this process" in program.stdout.readline()
    program.send_signal(signal.SIGTERM)
    said, complaints = program.communicate(timeout=LIMIT_S)
    assert (program.returncode, complaints) == (0, "Starting Ray …\n")
    assert "has ended" in said
    DataFolder(folder).lock("the next one").release()
