"""`timezone`: the zone that an agent's times and timers are in, and a change of it.

Rule: pages that look into the log show times in UTC, whatever their agents' zones: several agents stand on one page.
What an agent itself is shown, and a timer of its own, is in its zone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from palimpsest.console.inspect import reading
from palimpsest.console.options import address_option, bundle_option, json_option
from palimpsest.console.show import print_json
from palimpsest.console.writing import writing
from palimpsest.console.zones import change_said, told_of
from palimpsest.events.errors import UnknownAgent
from palimpsest.events.times import zone_of
from palimpsest.questions.streams import state_now
from palimpsest.store.times import zones

if TYPE_CHECKING:
    from palimpsest.actors.requests.zones import ZoneChange


@click.command("timezone")
@click.argument("agent")
@click.argument("zone", default="")
@address_option
@bundle_option
@json_option
def command(agent: str, zone: str, address: str, as_json: bool) -> None:
    """Show the time zone of AGENT, or move the agent to ZONE, as America/New_York or UTC.

    "Remind me at 17:30" is 17:30 there, and a daily reminder keeps its hour when the clocks are changed. A new agent
    has the zone of whoever makes it (TZ, else the machine's). One that is moved goes by the new clocks from its next
    turn on, and so do its timers that are due at an hour of the day.
    """
    if zone:
        change = asyncio.run(_change(agent, zone, address))
        if as_json:
            timers = [timer.id for timer in change.timers]
            print_json({"agent": agent, "zone": change.after, "before": change.before, "timers": timers})
            return
        for line in change_said(agent, change):
            click.echo(line)
        return
    with reading() as log:
        state = state_now(log, agent)
    if as_json:
        print_json({"agent": agent, "zone": zone_of(state) or "UTC"})
        return
    click.echo(told_of(state))


async def _change(agent: str, zone: str, address: str) -> ZoneChange:
    from palimpsest.actors.requests.zones import change

    zones.named(zone)  # raises before anything is started
    async with writing(address, f"timezone {agent}", UnknownAgent(agent)) as log:
        return await change(log, agent, zone)
