"""A system that another process has, joined at its door.

Rules. (1) Where that process ends without a goodbye (it was killed, or its program is over), the system is joined
again, or started, and what was called is called again: the same turn goes on. (2) After a goodbye nothing is started.
(3) Who leaves, and was the last, waits until the system is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from palimpsest.actors.joining import frames
from palimpsest.actors.joining.frames import CallResult, Dropped, Figures, Goodbye, Hello, Welcome
from palimpsest.actors.links.protocol import PARTS, parts_of, waits_s
from palimpsest.events.errors import ActorLost, BadInput, PalimpsestError
from palimpsest.store.folder import LOOK_S

GONE_S: Final = 30.0
"""So long whoever was the last waits for the system's end."""
REPEATS: Final = 5
"""So often a call is made that ends the system each time."""
FAILURES: Final = 5
PAUSE_S: Final = 10.0
ANSWER_S: Final = 10.0
"""So long a door takes to answer at most."""


class LineLostError(Exception):
    """The other side is gone."""


class Connection:
    """A connection to a door. Raises nothing of its own but LineLostError."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, welcome: Welcome) -> None:
        self.welcome = welcome
        self.goodbye = ""
        """Why the system ends, once that was said."""
        self._writer = writer
        self._ids = itertools.count(1)
        self._asked: dict[int, asyncio.Future[CallResult]] = {}
        self._hearing = asyncio.create_task(self._hear(reader))

    @property
    def is_lost(self) -> bool:
        return self._hearing.done()

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        try:
            while (frame := await frames.received(reader)) is not None:
                if isinstance(frame, CallResult) and (future := self._asked.pop(frame.id, None)) and not future.done():
                    future.set_result(frame)
                elif isinstance(frame, Goodbye):
                    self.goodbye = frame.why
        finally:
            self._writer.close()
            for future in self._asked.values():
                if not future.done():
                    future.set_exception(LineLostError())

    async def ask(self, part: str, method: str, arguments: tuple[object, ...]) -> Any:
        """A call's result. Raises its error, or LineLostError; BadInput for what cannot be sent."""
        if self.is_lost:
            raise LineLostError
        ask = frames.asked(next(self._ids), part, method, arguments)
        frame = frames.framed(ask)
        future = self._asked[ask.id] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(frame)
            return frames.result_of(await future, part, method)
        except asyncio.CancelledError:
            if not self.is_lost:
                self._writer.write(frames.framed(Dropped(ask.id)))
            raise
        finally:
            self._asked.pop(ask.id, None)

    async def gone(self) -> bool:
        """Wait until the other side has closed it; whether it has."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._hearing), GONE_S)
        return self.is_lost

    async def close(self) -> None:
        self._hearing.cancel()
        await asyncio.wait([self._hearing])


async def connected(door: Path, purpose: str, *, passing: bool = False) -> Connection | None:
    """A connection to this door; None where nobody of this user's opens it. `passing`: whoever only looks keeps no
    system up. Raises BadInput where it is of another version."""
    try:
        reader, writer = await asyncio.open_unix_connection(door)
    except OSError:
        return None
    if not _is_ours(door, writer.get_extra_info("socket")):
        writer.close()
        return None
    try:
        writer.write(frames.framed(Hello(frames.VERSION, os.getpid(), purpose, passing)))
        welcome = await asyncio.wait_for(frames.received(reader), ANSWER_S)
    except (TimeoutError, OSError):
        welcome = None
    if not isinstance(welcome, Welcome):
        writer.close()
        return None
    if welcome.refusal:
        writer.close()
        raise BadInput(welcome.refusal)
    return Connection(reader, writer, welcome)


def _is_ours(door: Path, line: socket.socket) -> bool:
    """Whether the door is in a folder of this user's alone, and who answers there is this user: keys go through it."""
    try:
        folder = door.parent.stat()
        if folder.st_uid != os.getuid() or folder.st_mode & 0o077:
            return False
        if hasattr(socket, "SO_PEERCRED"):
            _, uid, _ = struct.unpack(
                "3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            )
            return bool(uid == os.getuid())
    except OSError:
        return False
    return True


Reach = Callable[[], Awaitable[Connection]]
"""Finds the system, or starts it, and joins it."""


class Joined:
    """The parts of a system that another process has."""

    def __init__(self, line: Connection, reach: Reach) -> None:
        self.parts = parts_of({name: _JoinedPart(self, name) for name in PARTS})
        self.notes = line.welcome.notes
        self._current = line
        self._reach = reach
        self._reaching: asyncio.Task[Connection] | None = None
        self._failures = 0
        self._is_over = False

    @property
    def welcome(self) -> Welcome:
        return self._current.welcome

    async def call(self, part: str, method: str, arguments: tuple[object, ...]) -> Any:
        for _ in range(REPEATS):
            try:
                return await (await self._line()).ask(part, method, arguments)
            except LineLostError:
                if waits_s(method, arguments):
                    raise ActorLost("The system is being started anew. Try again.", for_good=False) from None
        raise ActorLost(f"The system ended each time that it was asked this ({part}.{method}). See its system.log.")

    async def _line(self) -> Connection:
        """A connection that holds; all who need one wait for the same. Raises ActorLost after a goodbye, and what kept
        the system from being started again."""
        while self._current.is_lost:
            if self._is_over or self._current.goodbye:
                why = self._current.goodbye or "this program has left it"
                raise ActorLost(f"The system has ended: {why}.")
            if self._reaching is None:
                self._reaching = asyncio.create_task(self._again())
            await self._reached(self._reaching)
        return self._current

    async def _reached(self, reaching: asyncio.Task[Connection]) -> None:
        """Wait for it. Where it failed that may be mended: not for good, until it has failed several times."""
        try:
            await asyncio.shield(reaching)
        except asyncio.CancelledError:
            if not self._is_over:
                raise
        except PalimpsestError as error:
            if self._failures >= FAILURES:
                raise
            raise ActorLost(f"The system has ended, and could not be started again: {error}", for_good=False) from error

    async def _again(self) -> Connection:
        try:
            self._current = await self._reach()
            self._failures = 0
            return self._current
        except PalimpsestError:
            self._failures += 1
            await asyncio.sleep(min(2.0**self._failures, PAUSE_S))
            raise
        finally:
            self._reaching = None

    async def figures(self) -> Figures:
        try:
            found: Figures = await asyncio.wait_for(self.call("host", "figures", ()), ANSWER_S)
        except TimeoutError:
            pid = self.welcome.pid
            raise ActorLost(f"The system (pid {pid}) does not answer. If it is stuck, end that process.") from None
        return found

    async def pids(self) -> dict[str, int]:
        return (await self.figures()).pids

    async def stay(self) -> bool:
        """Let the system go on without anybody who has joined. False: it ends with the program that has it."""
        return bool(await self.call("host", "stay", ()))

    async def end(self) -> bool:
        """Tell the system to end, whoever has joined. False: only the program that has it can end it."""
        return bool(await self.call("host", "stop", ()))

    async def gone(self) -> bool:
        """Wait for the system's end; whether it has come."""
        return await self._current.gone()

    async def stop(self) -> None:
        """Leave. The last who leaves a system that does not stay waits for its end."""
        self._is_over = True
        if self._reaching is not None:
            self._reaching.cancel()
        line = self._current
        with contextlib.suppress(LineLostError, ActorLost, TimeoutError):
            if await asyncio.wait_for(line.ask("host", "leave", ()), ANSWER_S) and await line.gone():
                await _ended(line.welcome.pid)
        await line.close()


async def _ended(pid: int) -> None:
    """Wait for the end of a process that has let go of all that it had."""
    with contextlib.suppress(TimeoutError, ProcessLookupError, PermissionError):
        async with asyncio.timeout(ANSWER_S):
            while pid != os.getpid():
                os.kill(pid, 0)
                await asyncio.sleep(LOOK_S)


class _JoinedPart:
    """A link to a part by a joined system."""

    def __init__(self, joined: Joined, name: str) -> None:
        self._joined = joined
        self._name = name

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        joined, name = self._joined, self._name

        async def call(*arguments: object) -> Any:
            return await joined.call(name, method, arguments)

        self.__dict__[method] = call
        return call
