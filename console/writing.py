"""How a command writes to the log: to its file, where nobody else has the folder, or by the cluster that has it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from palimpsest.console.chat import starting
from palimpsest.console.options import data_folder, rehomed
from palimpsest.events.errors import PalimpsestError
from palimpsest.store.logs.sqlite_log import SqliteLog

if TYPE_CHECKING:
    from palimpsest.actors.links.direct import DirectLog
    from palimpsest.actors.links.log_client import LogClient


@contextlib.asynccontextmanager
async def writing(address: str, what: str, missing: PalimpsestError) -> AsyncIterator[DirectLog | LogClient]:
    """The log, for `what` (which whoever meets the lock is told). Raises `missing` where there is none yet, and
    DataFolderBusy where another process has it: nothing was changed then."""
    folder = data_folder()
    if address:
        with starting(address):
            from palimpsest.actors.links.log_client import LogClient
            from palimpsest.actors.system import Options, boot

            system = await boot(folder, what, Options(address=address, rehome=rehomed()))
        try:
            yield LogClient(system.parts["log"])
        finally:
            await system.stop()
        return
    from palimpsest.actors.links.direct import DirectLog

    if not folder.log_path().exists():
        raise missing
    with folder.lock(what), SqliteLog(folder.log_path()) as log:
        log.open_epoch()
        yield DirectLog(log)
