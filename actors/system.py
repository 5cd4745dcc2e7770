"""The one composition root: boots the parts of a system, or joins one that runs, and hands out clients.

Rules. (1) Whoever has a system has its folder's lock, which says how it is joined. (2) `boot` has the system in this
process and ends it with `stop`; others may join it meanwhile. (3) `join` uses the one that runs on the folder; where
there is none a process of its own is started for it, which ends with the last who leaves. (4) The parts of a cluster
(`Options.address`) are everybody's, and stay.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from palimpsest.actors.client import Client
from palimpsest.actors.joining.door import Door
from palimpsest.actors.joining.frames import Figures, Seat, Welcome
from palimpsest.actors.joining.joined import Connection, Joined, LineLostError, connected
from palimpsest.actors.joining.start import started
from palimpsest.actors.links.protocol import PARTS, Parts
from palimpsest.actors.options import Options, keyed
from palimpsest.actors.parts.process import now_ms
from palimpsest.events.errors import ActorLost, BadInput, DataFolderBusy, LogUnavailable
from palimpsest.store.folder import FREE_S, LOOK_S, DataFolder, FolderLock, Holder
from palimpsest.store.index.settings import IndexSettings
from palimpsest.store.keys.files import Handed

__all__ = ["Options", "System", "boot", "join"]

USUAL_INDEX: Final = IndexSettings()
_SILENT: Final = (
    "The system of {folder} does not answer: {holder} has the folder. See system.log there. If that process is stuck, "
    "end it (`kill`): nothing that was acknowledged is lost."
)
ALONE: Final = "it runs without Ray (--local), so that nobody can join it"


class Runtime(Protocol):
    """Where the parts are: on Ray, in this process, or behind another process's door."""

    parts: Parts
    notes: tuple[str, ...]

    async def pids(self) -> dict[str, int]: ...

    async def stop(self) -> None: ...


class Begun(Runtime, Protocol):
    """Parts that this process has just begun, or found on a cluster."""

    async def give_up(self) -> None:
        """End what was begun just now, and cannot serve."""


class System:
    """A running system, as this process has it or has joined it."""

    def __init__(
        self,
        runtime: Runtime,
        lock: FolderLock | None = None,
        *,
        purpose: str = "",
        index: IndexSettings = USUAL_INDEX,
        log_id: str = "",
        notes: tuple[str, ...] = (),
    ) -> None:
        self.parts = runtime.parts
        self.notes = (*notes, *runtime.notes)
        """What its user should know from the start: what does not work for now."""
        self.runtime = runtime
        self._lock = lock
        self._purpose = purpose
        self._index = index
        self._log_id = log_id
        self._since_ms = now_ms()
        self._door: Door | None = None
        self._stays = True
        self._on_end: Callable[[], None] | None = None
        self._ends_for = ""
        self._clients: weakref.WeakSet[Client] = weakref.WeakSet()
        """Those to be closed at the end: one that was closed before, or has nothing to close, is not held here."""

    def client(self) -> Client:
        """A client of the caller's own, which may close it when done; it is closed with the system at the latest."""
        client = Client(self.parts)
        self._clients.add(client)
        return client

    async def take_keys(self, keys: Handed) -> None:
        """Give model servers these keys too."""
        await self.parts.llm.take_keys(keys)

    async def pids(self) -> dict[str, int]:
        """The process of each part."""
        return await self.runtime.pids()

    async def status(self) -> dict[str, dict[str, Any]]:
        """Each part's figures."""
        found = await asyncio.gather(*(getattr(self.parts, name).status() for name in PARTS))
        return dict(zip(PARTS, found, strict=True))

    async def goes_on(self) -> bool:
        """Whether the system goes on when this process leaves it."""
        if isinstance(self.runtime, Joined):
            found = await self.runtime.figures()
            return found.stays or len(found.joined) > 1
        return self._lock is None

    async def stop(self) -> None:
        """Leave a system that was joined; end one that this process has: storage and log are flushed and closed, and
        what is owed is taken up at the next start.

        A part that has ended has nothing to flush; one that hangs is killed, which loses nothing either.
        """
        try:
            if self._lock is not None:
                with contextlib.suppress(OSError):  # a full disk: others find out by trying
                    self._lock.tell(how="brief")
            if self._door is not None:
                self._door.dismiss(self._ends_for)
            for client in list(self._clients):
                await client.close()
        finally:
            await self._let_go()

    async def _let_go(self) -> None:
        try:
            await self.runtime.stop()
        finally:
            if self._lock is not None:
                self._lock.release()
            if self._door is not None:
                self._door.close()

    # --- for who joins it (`actors.joining.door.Served`); called by the door's thread

    def open_door(self) -> None:
        """Let others join from now on."""
        assert self._lock is not None, "only who has the system opens its door"
        self._door = Door(self)
        self._lock.tell(how="door", door=str(self._door.open()))

    def hosted(self, *, stays: bool, on_end: Callable[[], None]) -> None:
        """This process is there for the system alone: `on_end` is called, by any thread, when it is to stop it."""
        self._stays = stays
        self._on_end = on_end

    def welcome(self) -> Welcome:
        """What whoever joins is told of the system."""
        from palimpsest import __version__

        stays = self._on_end is not None and self._stays
        return Welcome(os.getpid(), self._purpose, __version__, self._index, self._log_id, stays, self.notes)

    async def figures(self, joined: tuple[Seat, ...]) -> Figures:
        """The system in figures, with those who joined it."""
        welcome = self.welcome()
        return Figures(
            pid=welcome.pid,
            purpose=self._purpose,
            version=welcome.version,
            since_ms=self._since_ms,
            stays=self._stays,
            joined=joined,
            pids=await self.pids(),
            parts=await self.status(),
        )

    def stay(self) -> bool:
        """Do not end when the last who joined leaves. False: this process ends the system, when it will."""
        if self._on_end is not None:
            self._stays = True
        return self._on_end is not None

    def look(self) -> None:
        """End it now where it does not stay, and nobody is in."""
        self.left(self._door.count if self._door is not None else 0)

    def left(self, others: int) -> bool:
        """Somebody has left, and so many others are there; whether the system ends now."""
        return not others and not self._stays and self.end("")

    def end(self, why: str) -> bool:
        """Have the process that is there for this system stop it; those who joined are told why ("": nobody is in)."""
        if self._on_end is None:
            return False
        self._ends_for = self._ends_for or why
        self._on_end()
        return True


async def boot(folder: DataFolder, purpose: str, options: Options | None = None) -> System:
    """Start a system on a data folder, ready to serve, in this process; with an address, start or join a cluster's.

    Raises DataFolderBusy if another process has the folder; BadInput if it cannot be made, the cluster not reached, or
    if the cluster has the folder on another node or with another log; NewerFormat or LogUnreadable where its log is not
    for this code; EmbedderChanged where its index is of another embedder.
    """
    options = options or Options()
    folder.log().check()
    if options.address:  # whether there is to be a folder, the cluster knows
        return await _ready(await _begun(folder, options), None, purpose, options)
    options, notes = keyed(folder.create(), options)
    lock = folder.lock(purpose, how="starting")
    try:
        runtime = await _begun(folder, options)
        system = await _ready(runtime, lock, purpose, options, notes=notes, log=folder.log().log_id())
    except BaseException:
        lock.release()
        raise
    try:
        if options.local:
            lock.tell(how="alone", why=ALONE)
        else:
            system.open_door()
    except BaseException:
        await system.stop()
        raise
    return system


async def _begun(folder: DataFolder, options: Options) -> Begun:
    if options.local:
        from palimpsest.actors.local import LocalRuntime

        return LocalRuntime(folder, options)
    from palimpsest.actors.on_ray.runtime import begun

    return await begun(folder, options)


async def _ready(
    runtime: Begun,
    lock: FolderLock | None,
    purpose: str,
    options: Options,
    *,
    notes: tuple[str, ...] = (),
    log: str = "",
) -> System:
    """The system, once every part can tell of itself. Raises what one says is wrong; what was begun is ended then."""
    system = System(runtime, lock, purpose=purpose, index=options.index, log_id=log, notes=notes)
    try:
        await runtime.parts.log.status()  # if anything is wrong with the log, it knows best what
        found = await system.status()
    except BaseException:
        await runtime.give_up()
        raise
    trouble = (f"Storage cannot be searched now. {each['trouble']}" for each in found.values() if each.get("trouble"))
    system.notes = (*system.notes, *trouble)
    return system


# --- joining ------------------------------------------------------------------------------------------------------


async def join(folder: DataFolder, purpose: str, options: Options | None = None, *, stays: bool = False) -> System:
    """Join the system that runs on a data folder; where there is none, start one, which lives until the last who joined
    has left, or if it `stays` until it is ended. If its process ends otherwise it is started again, and calls go on.

    With `Options.local` it is started in this process. Raises as `boot` does; BadInput where the one that runs has
    another index than these options ask for.
    """
    options = options or Options()
    if options.address or options.local:
        return await boot(folder, purpose, options)
    folder.log().check()
    options, notes = keyed(folder.create(), options)

    if (holder := folder.holder()) and holder.how == "cluster" and not folder.is_free():
        return await boot(folder, purpose, msgspec.structs.replace(options, address=holder.address))
    line = await _entered(folder, purpose, options, stays=stays)
    found = line.welcome
    as_found = msgspec.structs.replace(options, index=found.index)

    async def again() -> Connection:
        """As it was, whoever starts it: with its index, and staying where it stayed."""
        if folder.log().log_id() != found.log:
            raise LogUnavailable(
                f"The log that was joined is not in {folder} any more. Nothing was made: put it back, and what was "
                "acknowledged is there again."
            )
        return await _entered(folder, purpose, as_found, stays=found.stays)

    joined = Joined(line, again)
    try:
        check_index(folder, found, options.index)
    except BadInput:
        await joined.stop()
        raise
    return System(joined, purpose=purpose, index=line.welcome.index, notes=notes)


async def _entered(folder: DataFolder, purpose: str, options: Options, *, stays: bool) -> Connection:
    """A line to the folder's system, which has been given this user's keys."""
    until = time.monotonic() + FREE_S
    while True:
        line = await _reached(folder, purpose, options, stays=stays)
        try:
            await line.ask("llm", "take_keys", (options.keys,))
        except LineLostError:  # it ended just then
            if time.monotonic() > until:
                raise ActorLost(f"The system of {folder} ends whenever it is joined. See system.log there.") from None
        except BaseException:
            await line.close()
            raise
        else:
            return line
        await asyncio.sleep(LOOK_S)


async def look(folder: DataFolder, purpose: str) -> Figures | None:
    """The figures of the system that runs on a data folder, or on the cluster that has it; None where there is none, or
    none that can be asked."""
    holder = folder.holder()
    if holder and holder.how == "cluster" and not folder.is_free():
        system = await boot(folder, purpose, Options(address=holder.address))
        try:
            return msgspec.structs.replace(await system.figures(()), pid=holder.pid, purpose=holder.purpose)
        finally:
            await system.stop()
    joined = await find(folder, purpose)
    if joined is None:
        return None
    try:
        return await joined.figures()
    finally:
        await joined.stop()


async def find(folder: DataFolder, purpose: str) -> Joined | None:
    """The system that runs on a data folder, joined; None where there is none, or none that can be joined."""
    holder = folder.holder()
    line = await _at_door(holder, purpose, passing=True) if holder else None
    if line is None:
        return None

    async def again() -> Connection:
        raise ActorLost("The system has ended.")

    return Joined(line, again)


async def _at_door(holder: Holder, purpose: str, *, passing: bool = False) -> Connection | None:
    return await connected(Path(holder.door), purpose, passing=passing) if holder.how == "door" else None


async def _reached(folder: DataFolder, purpose: str, options: Options, *, stays: bool) -> Connection:
    """A line to the folder's system, which is started if need be. Raises DataFolderBusy where nobody can join it."""
    until = time.monotonic() + FREE_S
    while True:
        holder = folder.holder()
        if holder and (line := await _at_door(holder, purpose)):
            return line
        if folder.is_free():
            with contextlib.suppress(DataFolderBusy):  # somebody was faster
                await started(folder, purpose, options, stays=stays)
                continue
        elif holder and holder.how == "alone":
            raise DataFolderBusy(str(folder), str(holder), how=holder.how)
        elif time.monotonic() > until:
            raise BadInput(_SILENT.format(folder=folder, holder=holder or "another process"))
        await asyncio.sleep(LOOK_S)


def check_index(folder: DataFolder, found: Welcome, asked: IndexSettings) -> None:
    """Raises BadInput where the running system's index is not what was asked for; the usual ones ask for nothing."""
    if asked not in (USUAL_INDEX, found.index):
        raise BadInput(
            f"The system that runs on {folder} (pid {found.pid}, {found.purpose}) has its index with "
            f"{_in_words(found.index)}, and this call asks for {_in_words(asked)}. Leave that out (also of the "
            "environment), or end the system with `palimpsest down` and start it so."
        )


def _in_words(index: IndexSettings) -> str:
    place = f" at {index.embedder_url}" * bool(index.embedder_url)
    return f"the embedder {index.embedder}{place}" + f" on {index.qdrant_url}" * bool(index.qdrant_url)
