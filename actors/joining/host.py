"""A process that has a folder's system: for `up`, and for every command that finds none.

It ends when it is told to (`down`, SIGTERM, SIGINT), or, where it does not stay, with the last who leaves.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from palimpsest.actors.joining import frames
from palimpsest.actors.joining.start import Errand
from palimpsest.actors.parts.process import set_up_logging
from palimpsest.actors.system import System, boot
from palimpsest.events.errors import PalimpsestError
from palimpsest.store.folder import DataFolder

FIRST_S = 30.0
"""So long a system that does not stay waits for the first who joins."""


async def host(errand: Errand, on_up: Callable[[System], bool]) -> None:
    """Have the system until it is to end. `on_up` tells who wanted it; False: nobody is there any more.

    Raises as `boot` does.
    """
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    system = await boot(DataFolder(Path(os.fsdecode(errand.folder))), errand.purpose, errand.options)
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, system.end, f"the process was told to end ({number.name})")

        def end() -> None:
            loop.call_soon_threadsafe(ended.set)

        system.hosted(stays=errand.stays, on_end=end)
        loop.call_later(FIRST_S, system.look)
        if not on_up(system):
            system.look()
        await ended.wait()
    finally:
        await system.stop()


def main() -> int:
    signal.signal(signal.SIGTERM, _ended)  # also while Ray starts: whoever wanted the system may be gone by then
    set_up_logging()
    pipe = int(sys.argv[2])
    errand = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Errand)

    try:
        asyncio.run(host(errand, lambda _: _tell(pipe, True)))
    except PalimpsestError as error:
        sys.stderr.write(f"{error}\n")
        _tell(pipe, error)
        return 1
    return 0


def _ended(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _tell(pipe: int, outcome: object) -> bool:
    """Say once, to whoever started this process, what became of it (True, or an error); False where that one is
    gone."""
    try:
        os.write(pipe, frames.framed(frames.told(0, outcome)))
        os.close(pipe)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
