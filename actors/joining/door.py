"""The door of a system: a socket in this process at which others join it.

Rules. (1) It is served on a loop of its own thread, so that whoever has the system may keep its own loop busy. (2) Who
can open the socket is this user: it lies in a folder that nobody else can enter. (3) A connection that ends has left;
what it waited for is let go.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import structlog

from palimpsest.actors.joining import frames
from palimpsest.actors.joining.frames import Ask, Dropped, Figures, Goodbye, Hello, Seat, Welcome
from palimpsest.actors.links.protocol import Parts
from palimpsest.actors.parts.process import now_ms
from palimpsest.events.errors import ActorLost, PalimpsestError
from palimpsest.store.own_folder import OwnFolder

T = TypeVar("T")

MOST_CALLS: Final = 1000
"""Of one guest at once; what more it asks waits."""
HELLO_S: Final = 10.0
_NAME: Final = "door"
_BELOW: Final = len(_NAME) + 1


class Served(Protocol):
    """The system that is behind a door."""

    parts: Parts

    def welcome(self) -> Welcome: ...

    async def figures(self, joined: tuple[Seat, ...]) -> Figures: ...

    def stay(self) -> bool:
        """From now on it does not end when the last who joined leaves. False: it ends with its program, as it will."""

    def end(self, why: str) -> bool:
        """End the system, soon. False: it is not this door's to end."""

    def left(self, others: int) -> bool:
        """Somebody has left; whether the system ends now."""


class Door:
    """A system's door, from `open` to `close`."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._folder = OwnFolder(below=_BELOW)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="door", daemon=True)
        self._guests: set[_Guest] = set()
        self._server: asyncio.Server
        self._is_shut = False

    @property
    def path(self) -> Path:
        return self._folder.path / _NAME

    @property
    def count(self) -> int:
        """How many have joined."""
        return len(self._joined())

    def open(self) -> Path:
        """Let others in from now on; where."""
        self._thread.start()
        self._server = self._call(asyncio.start_unix_server(self._enter, self.path))
        return self.path

    def dismiss(self, why: str) -> None:
        """Let nobody in any more, and end the connections of those who are; told `why`, if it is by somebody's wish.
        Who has left and waits for the end goes on waiting."""
        self._call(self._dismissed(why))

    def close(self) -> None:
        """End every connection: the system is gone, and its folder free."""
        self._call(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._folder.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    # --- on the door's own loop

    async def _dismissed(self, why: str) -> None:
        self._is_shut = True
        self._server.close()
        for guest in [guest for guest in self._guests if not guest.waits]:
            guest.send(Goodbye(why) if why else None)
            guest.close()

    async def _shut(self) -> None:
        for guest in list(self._guests):
            guest.close()
        pending = asyncio.all_tasks() - {asyncio.current_task()}
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    async def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        guest = _Guest(writer)
        with contextlib.closing(guest), contextlib.suppress(asyncio.CancelledError):  # the door is shut: no news
            hello = await _hello(reader)
            if hello is None or self._is_shut:
                return
            welcome = self._served.welcome()
            if hello.frames != frames.VERSION:
                guest.send(_refused(welcome))
                return
            guest.seat = None if hello.passing else Seat(hello.pid, hello.purpose, now_ms())
            guest.send(welcome)
            self._guests.add(guest)
            try:
                while isinstance(said := await frames.received(reader), Ask | Dropped):
                    if isinstance(said, Ask):
                        guest.begin(said.id, self._answer(guest, said))
                    else:
                        guest.drop(said.id)
            finally:
                self._guests.discard(guest)
                self._leave(guest)

    def _leave(self, guest: _Guest) -> bool:
        """Whether the system ends with it."""
        had_seat, guest.seat = guest.seat is not None, None
        return had_seat and self._served.left(len(self._joined()))

    def _joined(self) -> tuple[Seat, ...]:
        return tuple(guest.seat for guest in list(self._guests) if guest.seat is not None)

    async def _answer(self, guest: _Guest, ask: Ask) -> None:
        try:
            frame = frames.framed(frames.told(ask.id, await self._result(guest, ask)))
        except Exception as error:  # noqa: BLE001 - whatever it was: who asked is told, and the others go on
            # Where it was, and not with what: arguments are keys and users' words.
            where = "".join(traceback.format_tb(error.__traceback__))
            logger = structlog.get_logger("door")
            logger.error("call failed", part=ask.part, method=ask.method, error=type(error).__name__, where=where)
            lost = ActorLost(f"The system could not carry out {ask.part}.{ask.method}: see its log.")
            frame = frames.framed(frames.told(ask.id, lost))
        await guest.sent(frame)

    async def _result(self, guest: _Guest, ask: Ask) -> object:
        try:
            return await self._called(guest, ask)
        except PalimpsestError as error:
            return error

    async def _called(self, guest: _Guest, ask: Ask) -> object:
        arguments = frames.arguments_of(ask)
        if ask.part != "host":
            method: Callable[..., Awaitable[object]] = getattr(getattr(self._served.parts, ask.part), ask.method)
            return await method(*arguments)
        if ask.method == "figures":
            return await self._served.figures(self._joined())
        if ask.method == "leave":
            guest.waits = True
            return self._leave(guest)
        if ask.method == "stay":
            return self._served.stay()
        guest.waits = self._served.end("it was ended by `palimpsest down`")
        return guest.waits


class _Guest:
    """One connection. `seat`: who has joined by it, until it leaves; `waits`: for the system's end."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.seat: Seat | None = None
        self.waits = False
        self._writer = writer
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(MOST_CALLS)

    def send(self, frame: frames.Frame | None) -> None:
        if frame is not None and not self._writer.is_closing():
            self._writer.write(frames.framed(frame))

    async def sent(self, frame: bytes) -> None:
        """Send it, once the other side has room: who reads nothing is told no more."""
        if not self._writer.is_closing():
            self._writer.write(frame)
            with contextlib.suppress(OSError):
                await self._writer.drain()

    def begin(self, id: int, work: Coroutine[Any, Any, None]) -> None:
        """Work on a call, once there are not too many under way."""
        self._tasks[id] = task = asyncio.create_task(self._in_turn(work))
        task.add_done_callback(lambda _: self._tasks.pop(id, None))
        task.add_done_callback(lambda _: work.close())

    async def _in_turn(self, work: Coroutine[Any, Any, None]) -> None:
        async with self._room:
            await work

    def drop(self, id: int) -> None:
        """Nobody waits for this call any more."""
        if id in self._tasks:
            self._tasks[id].cancel()

    def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        self._writer.close()


async def _hello(reader: asyncio.StreamReader) -> Hello | None:
    with contextlib.suppress(TimeoutError):
        said = await asyncio.wait_for(frames.received(reader), HELLO_S)
        return said if isinstance(said, Hello) else None
    return None


def _refused(welcome: Welcome) -> Welcome:
    return Welcome(
        welcome.pid,
        welcome.purpose,
        welcome.version,
        welcome.index,
        refusal=f"The system that runs there is of version {welcome.version}, which this one cannot join. End it with "
        "`palimpsest down` of that version (or end pid "
        f"{welcome.pid}), and start again.",
    )
