"""How a command works with a system: the one that runs on the data folder, a cluster's, or one that it starts."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from palimpsest.console.called import as_typed
from palimpsest.console.called import typed as command
from palimpsest.console.options import rehomed
from palimpsest.console.show import many, terminal
from palimpsest.store.folder import DataFolder

if TYPE_CHECKING:
    from palimpsest.actors.system import System
    from palimpsest.store.index.settings import IndexSettings

local_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--local",
    is_flag=True,
    help="Without Ray: the whole system in this process. It starts at once, and no other command can join it.",
)


@contextlib.asynccontextmanager
async def at_work(
    folder: DataFolder,
    purpose: str,
    *,
    address: str = "",
    local: bool = False,
    index: IndexSettings | None = None,
    typed: tuple[str, ...] = (),
    quiet: bool = False,
) -> AsyncIterator[System]:
    """The folder's system, for as long as the command works. What its user should know of it is said on standard error.

    `purpose` is what others are told that it is joined for; `typed`: the addresses of model servers that the user named
    just now. Raises DataFolderBusy where a program has the folder that nobody can join.
    """
    folder.check_is_worked_on()
    with contextlib.nullcontext() if quiet else starting(folder, address, local=local):
        from palimpsest.actors.system import Options, join
        from palimpsest.store.index.settings import IndexSettings

        options = Options(address=address, rehome=rehomed(), local=local, index=index or IndexSettings(), typed=typed)
        system = await join(folder, purpose, options)
    try:
        if not quiet:
            say_notes(system)
        yield system
    finally:
        await system.stop()


def say_notes(system: System) -> None:
    """Say what the user should know of a system from the start."""
    for note in system.notes:
        click.echo(as_typed(note), err=True)


def runs(folder: DataFolder) -> bool:
    """Whether there seems to be a system that can be joined at once."""
    holder = folder.holder()
    return holder is not None and holder.how == "door" and not folder.is_free()


@contextlib.contextmanager
def starting(folder: DataFolder, address: str, *, local: bool = False) -> Iterator[None]:
    """Say that Ray starts, which takes some seconds, where it does: with a sign of life on a terminal."""
    if local or (not address and runs(folder)):
        yield
        return
    what = f"Joining Ray at {address} …" if address else "Starting Ray …"
    if not sys.stderr.isatty():
        click.echo(what, err=True)
        yield
        return
    with terminal(sys.stderr).status(what):
        yield


def none_runs(folder: DataFolder) -> str:
    return f"No system runs on {folder}. {command('up')} starts one, and leaves it running."


def has_ended(folder: DataFolder) -> str:
    return f"The system of {folder} has ended."


def ago(then_ms: int) -> str:
    """How long since then, roughly."""
    seconds = max(0, int(time.time() - then_ms / 1000))
    for unit, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= unit:
            return many(seconds // unit, name)
    return many(seconds, "second")
