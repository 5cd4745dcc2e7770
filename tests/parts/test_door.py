"""A system's door: calls and errors cross as they are, and whoever has joined learns what becomes of it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from palimpsest.actors.joining import frames
from palimpsest.actors.joining.door import Door
from palimpsest.actors.joining.frames import Figures, Seat, Welcome
from palimpsest.actors.joining.joined import Connection, Joined, connected
from palimpsest.actors.links.protocol import Parts, parts_of
from palimpsest.actors.options import Options
from palimpsest.actors.system import join
from palimpsest.events.errors import ActorLost, BadInput, Fenced
from palimpsest.store.folder import DataFolder, FolderLock
from palimpsest.store.index.settings import IndexSettings
from palimpsest.store.keys.files import Handed
from palimpsest.store.keys.keys import Credentials, Keys
from tests.worlds.one_process import run
from tests.worlds.positions import nth


class Log:
    """A log part that answers what it was asked."""

    def __init__(self) -> None:
        self.called: list[tuple[str, tuple[object, ...]]] = []

    def __getattr__(self, method: str) -> Any:
        async def call(*arguments: object) -> object:
            self.called.append((method, arguments))
            return {
                "read": b"\x00\xff",
                "cursor": nth(7),
                "stretches": b"",
                "status": {"position": 3, "of": {"a": 1.5}},
            }.get(method)

        return call

    async def tail(self, data: bytes) -> bytes:
        return data[::-1]

    async def append(self, _data: bytes) -> bytes:
        raise Fenced(1, 2)

    async def seq_at(self, _agent: str, _position: int) -> int:
        raise ZeroDivisionError


class Memory:
    def __init__(self) -> None:
        self.waiting, self.let_go = threading.Event(), threading.Event()

    async def aside(self, known: int, wait_s: float) -> dict[str, str]:
        self.waiting.set()
        try:
            await asyncio.sleep(wait_s and 3600)
        except asyncio.CancelledError:
            self.let_go.set()
            raise
        return {"ada": f"{known}"}


class LLM:
    def __init__(self) -> None:
        self.keys: list[Handed] = []

    async def take_keys(self, keys: Handed) -> None:
        self.keys.append(keys)

    async def pieces(self, watcher: str, wait_s: float, left: list[str]) -> list[tuple[str, int, str, str]] | None:
        return [(watcher, len(left), "message", str(wait_s))]


class Served:
    """A system of such parts."""

    def __init__(self) -> None:
        self.log, self.llm, self.memory = Log(), LLM(), Memory()
        self.parts: Parts = parts_of(
            {"log": self.log, "memory": self.memory, "llm": self.llm, "storage": None, "timer": None}
        )
        self.others: list[int] = []
        self.was_left = threading.Event()
        self.ends = False

    def welcome(self) -> Welcome:
        return Welcome(1, "served", "0", IndexSettings())

    async def figures(self, joined: tuple[Seat, ...]) -> Figures:
        return Figures(
            pid=1, purpose="served", version="0", since_ms=1, stays=True, joined=joined, pids={"log": 1}, parts={}
        )

    def stay(self) -> bool:
        return True

    def end(self, why: str) -> bool:
        return bool(why)

    def left(self, others: int) -> bool:
        self.others.append(others)
        self.was_left.set()
        return self.ends and not others


async def nowhere() -> Connection:
    raise BadInput("Nobody is there.")


@asynccontextmanager
async def open_door() -> AsyncIterator[tuple[Served, Door, Path]]:
    served = Served()
    door = Door(served)
    try:
        yield served, door, door.open()
    finally:
        await asyncio.to_thread(door.close)


async def guest(path: Path, purpose: str = "a guest") -> Joined:
    line = await connected(path, purpose)
    assert line is not None
    return Joined(line, nowhere)


def test_a_call_that_nobody_waits_for_any_more_is_let_go_there_too() -> None:
    async def live() -> None:
        async with open_door() as (served, _, path):
            joined = await guest(path)
            waiting = asyncio.create_task(joined.parts.memory.aside(0, 60.0))
            assert await asyncio.to_thread(served.memory.waiting.wait, 10)
            waiting.cancel()
            assert await asyncio.to_thread(served.memory.let_go.wait, 10)
            assert await joined.parts.memory.aside(3, 0.0) == {"ada": "3"}  # the line goes on
            await joined.stop()

    asyncio.run(live())


def test_what_nobody_waits_for_makes_room_where_a_guest_asks_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palimpsest.actors.joining.door.MOST_CALLS", 2)

    async def live() -> None:
        async with open_door() as (served, _, path):
            joined = await guest(path)
            waiting = [asyncio.create_task(joined.parts.memory.aside(0, 60.0)) for _ in range(3)]
            assert await asyncio.to_thread(served.memory.waiting.wait, 10)
            for each in waiting:
                each.cancel()
            assert await asyncio.wait_for(joined.parts.memory.aside(3, 0.0), 10) == {"ada": "3"}
            await joined.stop()

    asyncio.run(live())


def test_calls_cross_with_their_types_and_errors_with_their_fields() -> None:
    async def live() -> None:
        async with open_door() as (served, _, path):
            joined = await guest(path)
            log = joined.parts.log
            assert await log.read("ada", 0, None, None, frozenset({"A"})) == b"\x00\xff"
            assert await log.cursor("me") == nth(7)
            assert (await log.status())["of"] == {"a": 1.5}
            await log.stretches([("ada", None), ("ben", 3)])
            assert served.log.called[0] == ("read", ("ada", 0, None, None, frozenset({"A"})))
            assert served.log.called[-1] == ("stretches", ([("ada", None), ("ben", 3)],))
            assert await log.tail(b"abc") == b"cba"
            with pytest.raises(Fenced) as fenced:
                await log.append(b"")
            assert (fenced.value.epoch, fenced.value.current) == (1, 2)
            with pytest.raises(ActorLost, match=r"could not carry out log\.seq_at"):
                await log.seq_at("ada", nth(1))
            assert await joined.parts.llm.pieces("me", 0.0, ["ada"]) == [("me", 1, "message", "0.0")]
            keys = Handed(environment=Keys(servers=(Credentials(url="http://a/v1", key="sk-1"),)), path="/keys.json")
            await joined.parts.llm.take_keys(keys)
            assert served.llm.keys == [keys]
            await joined.stop()

    run(live())


def test_what_only_its_owner_may_do_and_what_there_is_not_is_refused() -> None:
    async def live() -> None:
        async with open_door() as (_, _, path):
            joined = await guest(path)
            for part, method in (
                ("log", "flush_and_close"),
                ("log", "__init__"),
                ("log", "nothing"),
                ("host", "parts"),
            ):
                with pytest.raises(ActorLost, match="could not carry out"):
                    await joined.call(part, method, ())
            await joined.stop()

    run(live())


def test_who_is_in_and_who_has_left_is_known() -> None:
    async def live() -> None:
        async with open_door() as (served, _, path):
            one, two = await guest(path, "one"), await guest(path, "two")
            assert {seat.purpose for seat in (await one.figures()).joined} == {"one", "two"}
            waiting = asyncio.create_task(two.parts.memory.aside(1, 5.0))
            await two.stop()
            with pytest.raises(ActorLost):
                await waiting
            assert [seat.purpose for seat in (await one.figures()).joined] == ["one"]
            await one.stop()
            assert served.others == [1, 0]
            with pytest.raises(ActorLost, match="this program has left it"):
                await one.parts.log.cursor("me")

    run(live())


def test_after_a_goodbye_nothing_is_started_and_before_one_the_call_is_made_again() -> None:
    async def live() -> None:
        async with open_door() as (_, door, path), open_door() as (other, other_door, other_path):
            line = await connected(path, "a guest")
            assert line is not None

            async def again() -> Connection:
                found = await connected(other_path, "a guest")
                assert found is not None
                return found

            joined = Joined(line, again)
            poll = asyncio.create_task(joined.parts.memory.aside(1, 5.0))
            await joined.parts.log.cursor("me")
            await asyncio.to_thread(door.dismiss, "")
            with pytest.raises(ActorLost) as lost:
                await poll
            assert not lost.value.for_good, "a long poll is its caller's to make again"
            assert await joined.parts.log.cursor("me") == nth(7)
            assert other.log.called == [("cursor", ("me",))]
            await asyncio.to_thread(other_door.dismiss, "it was ended")
            with pytest.raises(ActorLost, match="has ended: it was ended") as lost:
                await joined.parts.log.cursor("me")
            assert lost.value.for_good

    run(live())


def test_the_last_who_leaves_waits_until_the_system_is_gone() -> None:
    async def live() -> None:
        served = Served()
        served.ends = True
        door = Door(served)
        joined = await guest(door.open())
        leaving = asyncio.create_task(joined.stop())
        await asyncio.to_thread(served.was_left.wait)
        await asyncio.to_thread(door.dismiss, "")
        assert not leaving.done()
        await asyncio.to_thread(door.close)
        await leaving

    run(live())


def test_rubbish_and_another_version_are_shown_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    async def live() -> None:
        async with open_door() as (_, _, path):
            for rubbish in (b"GET / HTTP/1.1\r\n\r\n", b"\xff\xff\xff\xff", b"\x00\x00\x00\x01\xc1", b""):
                reader, writer = await asyncio.open_unix_connection(path)
                writer.write(rubbish)
                writer.write_eof()
                assert await reader.read() == b""
                writer.close()
            joined = await guest(path)
            assert await joined.parts.log.cursor("me") == nth(7)
            await joined.stop()
            monkeypatch.setattr(frames, "VERSION", 99)
            hello = frames.framed(frames.Hello(1, 1, "of an older version"))
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(hello)
            welcome = await frames.received(reader)
            assert isinstance(welcome, Welcome) and "of version 0, which this one cannot join" in welcome.refusal
            writer.close()

    run(live())


def test_nobody_behind_a_door_is_told_from_somebody(tmp_path: Path) -> None:
    async def live() -> None:
        assert await connected(tmp_path / "none", "a guest") is None
        (tmp_path / "file").touch()
        assert await connected(tmp_path / "file", "a guest") is None
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(tmp_path / "left"))
            assert await connected(tmp_path / "left", "a guest") is None, "its process was killed: it lies there still"

    run(live())


def test_no_key_goes_to_a_door_that_others_could_have_made(tmp_path: Path) -> None:
    async def live() -> None:
        async def listen(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(frames.framed(Welcome(1, "somebody else", "0", IndexSettings())))

        (tmp_path / "open").mkdir(mode=0o755)
        (tmp_path / "open").chmod(0o755)
        async with await asyncio.start_unix_server(listen, tmp_path / "open" / "door"):
            assert await connected(tmp_path / "open" / "door", "a guest") is None
            (tmp_path / "open").chmod(0o700)
            line = await connected(tmp_path / "open" / "door", "a guest")
            assert line is not None, "it was the folder's rights alone"
            await line.close()

    run(live())


def test_a_call_that_fails_is_logged_without_what_it_was_given(capfd: pytest.CaptureFixture[str]) -> None:
    structlog.reset_defaults()  # others have it write to files

    async def live() -> None:
        async with open_door() as (served, _, path):

            async def take_keys(keys: Handed) -> None:
                raise ZeroDivisionError(str(keys.environment.servers))

            served.llm.take_keys = take_keys  # type: ignore[method-assign]
            joined = await guest(path)
            with pytest.raises(ActorLost, match="could not carry out"):
                await joined.parts.llm.take_keys(
                    Handed(environment=Keys(servers=(Credentials(url="http://a/v1", key="sk-1"),)))
                )
            await joined.stop()

    run(live())
    printed = "".join(capfd.readouterr())
    assert "ZeroDivisionError" in printed and "sk-1" not in printed


def test_what_cannot_cross_is_an_error_and_no_lost_line() -> None:
    async def live() -> None:
        async with open_door() as (served, _, path):
            joined = await guest(path)
            with pytest.raises(BadInput, match="cannot be sent"):
                await joined.parts.log.read("half \ud800")

            async def aside(known: int, wait_s: float) -> dict[str, str]:
                raise BadInput(f"half \ud800 {known} {wait_s}")

            served.parts.memory.aside = aside  # type: ignore[method-assign]
            with pytest.raises(ActorLost, match="could not carry out"):
                await joined.parts.memory.aside(1, 0.0)
            assert await joined.parts.log.cursor("me") == nth(7)
            await joined.stop()

    run(live())


def test_who_had_not_said_hello_is_not_let_in_after_the_end() -> None:
    async def live() -> None:
        async with open_door() as (served, door, path):
            reader, writer = await asyncio.open_unix_connection(path)
            await (await guest(path)).stop()  # the door has had the first one by now
            await asyncio.to_thread(door.dismiss, "")
            writer.write(frames.framed(frames.Hello(frames.VERSION, 1, "late")))
            assert await reader.read() == b""
            writer.close()
            assert served.others == [0], "it never had a seat"

    run(live())


class Standing(Served):
    """A system that stays, with an index and a log of its own."""

    index = IndexSettings(qdrant_url="http://127.0.0.1:6333")

    def __init__(self, folder: DataFolder) -> None:
        super().__init__()
        self._log_id = folder.log().begin()

    def welcome(self) -> Welcome:
        return Welcome(1, "served", "0", self.index, self._log_id, True)


def test_who_starts_a_system_again_starts_it_as_it_was_and_on_its_log_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = DataFolder(tmp_path / "data").create()
    asked: list[tuple[IndexSettings, bool]] = []
    doors: list[tuple[Door, FolderLock]] = []

    def opened() -> None:
        door, lock = Door(Standing(folder)), folder.lock("a test", how="starting")
        lock.tell(how="door", door=str(door.open()))
        doors.append((door, lock))

    async def started(_folder: DataFolder, _purpose: str, options: Options, *, stays: bool) -> None:
        asked.append((options.index, stays))
        opened()

    async def ended() -> None:
        door, lock = doors[-1]
        await asyncio.to_thread(door.dismiss, "")
        lock.release()

    monkeypatch.setattr("palimpsest.actors.system.started", started)

    async def live() -> None:
        opened()
        system = await join(folder, "a guest")
        assert await system.parts.log.cursor("me") == nth(7)
        await ended()
        assert await system.parts.log.cursor("me") == nth(7)
        assert asked == [(Standing.index, True)]
        await ended()
        folder.log_path().unlink()
        folder.log().begin()
        with pytest.raises(ActorLost, match=r"could not be started again: The log that was joined is not in") as lost:
            await system.parts.log.cursor("me")
        assert not lost.value.for_good, "it may be put back"
        assert len(asked) == 1, "nothing was started on another log"
        await system.stop()
        for door, _ in doors:
            await asyncio.to_thread(door.close)

    monkeypatch.setattr("palimpsest.actors.joining.joined.PAUSE_S", 0.0)
    run(live())
