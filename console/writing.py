"""How a command writes to the log: to its file, where nobody else has the folder, or by the system that has it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from palimpsest.console.joining import at_work
from palimpsest.console.options import data_folder
from palimpsest.events.errors import DataFolderBusy, PalimpsestError
from palimpsest.store.folder import FREE_S, LOOK_S, DataFolder, FolderLock
from palimpsest.store.logs.copying import check_whole

if TYPE_CHECKING:
    from palimpsest.actors.links.direct import DirectLog
    from palimpsest.actors.links.log_client import LogClient


@contextlib.asynccontextmanager
async def writing(address: str, what: str, missing: PalimpsestError) -> AsyncIterator[DirectLog | LogClient]:
    """The log, for `what` (which others are told). Raises `missing` where there is none yet, and DataFolderBusy where a
    program has it that nobody can join: nothing was changed then."""
    folder = data_folder()
    async with contextlib.AsyncExitStack() as stack:
        if not address and not folder.log().is_there():
            raise missing
        lock = None if address else await _free(folder, what)
        if lock is None:
            from palimpsest.actors.links.log_client import LogClient

            system = await stack.enter_async_context(at_work(folder, what, address=address))
            yield LogClient(system.parts.log)
            return
        from palimpsest.actors.links.direct import DirectLog

        stack.enter_context(lock)
        log = stack.enter_context(folder.log().store())
        check_whole(log, str(folder.log()))
        log.open_epoch()
        yield DirectLog(log)


async def _free(folder: DataFolder, what: str) -> FolderLock | None:
    """The folder's lock, once whoever has it briefly has let it go; None where a system has it that can be joined."""
    until = time.monotonic() + FREE_S
    while True:
        try:
            return folder.lock(what)
        except DataFolderBusy as busy:
            if busy.how in ("door", "cluster"):
                return None
            if busy.how == "alone" or time.monotonic() > until:
                raise
        await asyncio.sleep(LOOK_S)
