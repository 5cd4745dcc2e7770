"""Starting a process that has a folder's system, and nothing else to do (`actors.joining.host`).

It is told what to do by its standard input, says by a pipe whether the system is up, and writes what it has to say else
into `system.log` in the folder. It belongs to no terminal: neither Ctrl-C nor the end of one reaches it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import msgspec

import palimpsest
from palimpsest.actors.joining import frames
from palimpsest.actors.joining.frames import CallResult
from palimpsest.actors.options import LOG, Options
from palimpsest.events.errors import BadInput
from palimpsest.store.folder import DataFolder

LOG_BYTES: Final = 1_000_000


class Errand(msgspec.Struct, frozen=True):
    """What the process is to do. `stays`: it does not end when the last who joined leaves."""

    folder: bytes
    purpose: str
    stays: bool
    options: Options


async def started(folder: DataFolder, purpose: str, options: Options, *, stays: bool) -> None:
    """Have the system of a folder started by a process of its own; it is up when this returns. Raises what kept it from
    that, as `boot` does: DataFolderBusy where somebody was faster."""
    path = os.fsencode(folder.create().path.absolute())  # it may be no UTF-8
    errand = Errand(path, purpose, stays, msgspec.structs.replace(options, keys=None))
    ours, its = os.pipe()
    process = _process(folder, errand, its)
    os.close(its)
    threading.Thread(target=process.wait, name="reaper", daemon=True).start()
    try:
        told = await _told(ours)
    except BaseException:
        process.terminate()
        raise
    if not isinstance(told, CallResult):
        code = await asyncio.to_thread(process.wait)
        raise BadInput(
            f"The process that was to have the system ended at once (exit code {code}). Its last words are in "
            f"{folder.path / LOG}."
        )
    frames.check(told)


def _log(folder: DataFolder) -> int:
    """Its log, to be written on at its end: another process may be writing to it. A long one begins anew. Raises
    BadInput."""
    path = folder.path / LOG
    try:
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise BadInput(
            f"{path} cannot be written to: {error.strerror}. Remove what is there, or mend its rights."
        ) from None


def _process(folder: DataFolder, errand: Errand, pipe: int) -> subprocess.Popen[bytes]:
    home = str(Path(palimpsest.__path__[0]).absolute().parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH", "")]))}
    # -P: what lies in the user's folder is no module of ours.
    descriptor = _log(folder)
    command = [sys.executable, "-P", "-m", "palimpsest.actors.joining.host", str(folder.path), str(pipe)]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=descriptor,
            stderr=descriptor,
            pass_fds=[pipe],
            start_new_session=True,
            env=environment,
        )
    finally:
        os.close(descriptor)
    assert process.stdin is not None, "it is a pipe"
    with contextlib.suppress(BrokenPipeError), process.stdin as errands:
        errands.write(msgspec.msgpack.encode(errand))
    return process


async def _told(pipe: int) -> frames.Frame | None:
    """The frame that comes through a pipe; None where its other end is closed before."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb", buffering=0)
    )
    try:
        return await frames.received(reader)
    finally:
        transport.close()
