"""A bar for what takes a while: on a terminal, once it turns out to be slow; in a pipe a line. On standard error."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

import click

from palimpsest.console.show import many, terminal

SLOW_S: Final = 0.5
"""What takes longer shows its progress."""


@contextlib.contextmanager
def bar(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """What is called with the number of events that are done, of `total` (None: nobody knows how many)."""
    if not sys.stderr.isatty():
        yield _said_once(f"{what} {many(total, 'event')} …" if total is not None else f"{what} …")
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what, markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = Progress(*columns, console=terminal(sys.stderr), transient=True)
    task, started = shown.add_task(what, total=total), time.monotonic()

    def step(done: int) -> None:
        shown.advance(task, done)
        if time.monotonic() - started > SLOW_S:
            shown.start()

    try:
        yield step
    finally:
        shown.stop()


def _said_once(text: str) -> Callable[[int], None]:
    """A step that says a line, where it turns out to be slow."""
    started, told = time.monotonic(), False

    def step(_done: int) -> None:
        nonlocal told
        if not told and time.monotonic() - started > SLOW_S:
            told = True
            click.echo(text, err=True)

    return step
