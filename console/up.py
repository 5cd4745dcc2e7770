"""`up`: starts the system of a data folder in a process of its own, and leaves it running; or has it in this one."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import click

from palimpsest.console.called import typed
from palimpsest.console.joining import ago, has_ended, say_notes, starting
from palimpsest.console.options import data_folder, index_options, index_settings
from palimpsest.store.folder import DataFolder

if TYPE_CHECKING:
    from palimpsest.actors.joining.frames import Figures
    from palimpsest.actors.system import System
    from palimpsest.store.index.settings import IndexSettings

PURPOSE = "up"


@click.command("up")
@click.option("--foreground", is_flag=True, help="Have it in this process, until Ctrl-C or SIGTERM: for a supervisor.")
@index_options
def command(foreground: bool) -> None:
    """Start the system of the data folder, and leave it running: timers ring, loads go on, and every command on the
    folder joins it. `down` ends it, `status` says how it is. Where one runs already, it stays from now on.
    """
    folder, settings = data_folder(), index_settings()
    asyncio.run(_in_front(folder, settings) if foreground else _behind(folder, settings))


async def _behind(folder: DataFolder, settings: IndexSettings) -> None:
    with starting(folder, ""):
        from palimpsest.actors.joining.joined import Joined
        from palimpsest.actors.system import Options, join

        system = await join(folder, PURPOSE, Options(index=settings), stays=True)
    try:
        say_notes(system)
        joined = system.runtime
        if not isinstance(joined, Joined):
            click.echo(f"The system of {folder} runs on a Ray cluster, and stays there whoever leaves.")
            return
        stays = await joined.stay()
        figures = await joined.figures()
    finally:
        await system.stop()
    click.echo(_up(folder, figures))
    if not stays:
        click.echo(f"It belongs to pid {figures.pid} ({figures.purpose}), and ends with that.", err=True)


def _up(folder: DataFolder, figures: Figures) -> str:
    began = f"pid {figures.pid}, up {ago(figures.since_ms)}"
    return f"The system of {folder} runs ({began}). {typed('status')} says how it is; {typed('down')} ends it."


async def _in_front(folder: DataFolder, settings: IndexSettings) -> None:
    with starting(folder, ""):
        from palimpsest.actors.joining.host import host
        from palimpsest.actors.joining.start import Errand
        from palimpsest.actors.system import Options

    def up(system: System) -> bool:
        say_notes(system)
        click.echo(f"The system of {folder} runs in this process (pid {os.getpid()}). Ctrl-C ends it.")
        return True

    errand = Errand(os.fsencode(folder.path), PURPOSE, True, Options(index=settings))
    await host(errand, up)
    click.echo(has_ended(folder))
