"""`palimpsest completion SHELL`: what a shell runs to complete commands and options, by click's own scripts."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from palimpsest.console.called import NAME

SHELLS = ("bash", "zsh", "fish")


@click.command(name="completion", help='Print a shell\'s script: `eval "$(palimpsest completion bash)"`.')
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    kind = get_completion_class(shell)
    assert kind is not None, "click has all of these"
    click.echo(kind(context.find_root().command, {}, NAME, f"_{NAME.upper()}_COMPLETE").source())
