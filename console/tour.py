"""The command `demo`, whose work is in `console.demo`."""

from __future__ import annotations

import click

from palimpsest.console.options import given_folder


@click.command("demo")
def command() -> int:
    """Show it all in under a minute: several agents, memory pressure, recall, a timer, a crash, and the proof.

    It needs no key and no server. Without --data it works in a new folder, which stays, to be looked into afterwards.
    """
    from palimpsest.console.demo import run

    return run(given_folder())
