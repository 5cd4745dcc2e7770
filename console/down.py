"""`down`: ends the system of a data folder, whoever has joined it."""

from __future__ import annotations

import asyncio

import click

from palimpsest.console.joining import has_ended, none_runs
from palimpsest.console.options import data_folder
from palimpsest.events.errors import BadInput
from palimpsest.store.folder import DataFolder, is_alive


@click.command("down")
def command() -> None:
    """End the system of the data folder in order: what is owed is taken up at the next start. Who has joined is told,
    and does not start it again.
    """
    folder = data_folder()
    click.echo(has_ended(folder) if asyncio.run(_down(folder)) else none_runs(folder))


async def _down(folder: DataFolder) -> bool:
    """Whether there was one, and has ended. Raises BadInput where it is another program's."""
    from palimpsest.actors.system import find

    joined = await find(folder, "down")
    if joined is None:
        holder = folder.holder()
        if holder and holder.how != "free" and is_alive(holder.pid):
            raise BadInput(f"{folder} is in use by {holder}, which this cannot end: end that program.")
        return False
    welcome = joined.welcome
    try:
        if not await joined.end():
            raise BadInput(
                f"The system of {folder} belongs to pid {welcome.pid} ({welcome.purpose}): end that program."
            )
    finally:
        await joined.stop()
    return True
