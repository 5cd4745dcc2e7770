"""`down`: ends the system of a data folder, whoever has joined it."""

from __future__ import annotations

import asyncio

import click

from palimpsest.console.joining import has_ended, none_runs
from palimpsest.console.options import data_folder
from palimpsest.events.errors import BadInput
from palimpsest.store.folder import PASSING, DataFolder


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
        if not folder.is_free():
            busy = "; it is starting or ending: try again in a moment" * bool(holder and holder.how in PASSING)
            raise BadInput(f"{folder} is in use by {holder or 'another process'}, which this cannot end now{busy}.")
        return False
    who = f"pid {joined.welcome.pid} ({joined.welcome.purpose})"
    try:
        if not await joined.end():
            raise BadInput(f"The system of {folder} belongs to {who}: end that program.")
        if not await joined.gone():
            raise BadInput(f"The system of {folder} is still ending ({who}): look again with `palimpsest status`.")
    finally:
        await joined.stop()
    return True
