"""`format`: which parts an agent's contexts are rendered with, and a change of them.

A change takes effect with the agent's next request: what it was asked before replays as it was.
"""

from __future__ import annotations

import asyncio

import click

from palimpsest.console.inspect import reading
from palimpsest.console.options import address_option, bundle_option, json_option
from palimpsest.console.show import Page, print_json
from palimpsest.console.writing import writing
from palimpsest.events.errors import UnknownAgent
from palimpsest.events.formats import PARTS, Format
from palimpsest.questions.streams import state_now
from palimpsest.questions.texts import one_line


@click.command("format")
@click.argument("agent")
@click.option("--add", multiple=True, metavar="PART", help="Render the agent's contexts with this part. Repeatable.")
@click.option("--remove", multiple=True, metavar="PART", help="Render them without it. Repeatable.")
@address_option
@bundle_option
@json_option
def command(agent: str, add: tuple[str, ...], remove: tuple[str, ...], address: str, as_json: bool) -> None:
    """Show the parts that AGENT's contexts are rendered with, or change them with --add and --remove.

    New agents have what most servers take; an agent gets a part by itself when its server refuses a request that the
    part mends. `events AGENT --kind FormatChanged` shows when, and why.
    """
    if add or remove:
        format = asyncio.run(_change(agent, add, remove, address))
    else:
        with reading() as log:
            format = state_now(log, agent).format
    if as_json:
        print_json({"agent": agent, "parts": format})
        return
    _show(agent, format)


async def _change(agent: str, add: tuple[str, ...], remove: tuple[str, ...], address: str) -> Format:
    from palimpsest.actors.requests.formats import change

    async with writing(address, f"format {agent}", UnknownAgent(agent)) as log:
        return await change(log, agent, add=add, remove=remove)


def _show(agent: str, format: Format) -> None:
    click.echo(f"The contexts of {one_line(agent)} are rendered with:")
    Page().table(("part", "", "what it does"), [(p.name, "yes" if p.name in format else "-", p.what) for p in PARTS])
