"""`resume`: lets a fork go on with what was under way where it was forked, and ends when it is at rest."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from palimpsest.console.called import typed
from palimpsest.console.fork import print_turn
from palimpsest.console.inspect import reading
from palimpsest.console.joining import at_work
from palimpsest.console.options import address_option, data_folder, index_options, index_settings
from palimpsest.console.show import Page
from palimpsest.events.debug.under_way import under_way
from palimpsest.events.errors import AgentIsRetired
from palimpsest.questions.streams import check_is_owed, state_now
from palimpsest.questions.texts import one_line

if TYPE_CHECKING:
    from palimpsest.actors.client import Client
    from palimpsest.store.index.settings import IndexSettings


@click.command("resume")
@click.argument("agent")
@index_options
@address_option
def command(agent: str, address: str) -> int:
    """Let a fork go on: the turn that was running where it was forked, and the inputs that waited there.

    What the agent says is printed, a line a message; timers that the fork kept are set. It ends when the agent is at
    rest. Exit code 1: a turn failed. (An agent that is no fork goes on by itself whenever a system is started.)
    """
    settings = index_settings()
    if not address:
        with reading() as log:
            state = state_now(log, agent)
            if state.retired:
                raise AgentIsRetired(agent)
            check_is_owed(log, state)
        way = under_way(state)
        if not (way.turn or way.waiting or state.unadopted):
            click.echo(f"{one_line(agent)} is at rest: nothing is under way. Talk with it: {typed('chat', agent)}")
            return 0
        print_turn(Page(), way)
    return asyncio.run(_resume(agent, address, settings))


async def _resume(agent: str, address: str, settings: IndexSettings) -> int:
    async with at_work(data_folder(), f"resume {agent}", address=address, index=settings) as system:
        return await _until_at_rest(system.client(), agent)


async def _until_at_rest(client: Client, agent: str) -> int:
    """What was under way, and whatever comes meanwhile; the exit code."""
    from palimpsest.console.pipe import finish

    code = 0
    while tickets := await client.resume(agent):
        for ticket in tickets:
            code = max(code, finish(await client.wait(ticket), asked=False))
    timers = await client.timers(agent)
    if timers:
        click.echo(f"Timers that are set: {len(timers)}. They fire while a system runs (`chat`).", err=True)
    return code
