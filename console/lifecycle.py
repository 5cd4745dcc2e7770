"""`rename` and `retire`: what an agent is called, and whether it takes inputs. They start nothing."""

from __future__ import annotations

import asyncio

import click

from palimpsest.actors.requests.lifecycle import Retirement, Return
from palimpsest.console.called import typed
from palimpsest.console.joining import runs
from palimpsest.console.options import address_option, data_folder, json_option
from palimpsest.console.past import timers_said
from palimpsest.console.show import many, print_json
from palimpsest.console.writing import writing
from palimpsest.events.errors import BadInput, UnknownAgent
from palimpsest.questions.plain import plain
from palimpsest.questions.texts import one_line


@click.command("rename")
@click.argument("agent")
@click.argument("title")
@address_option
@json_option
def rename_command(agent: str, title: str, address: str, as_json: bool) -> None:
    """Give AGENT a TITLE, by which people see it; an empty one takes it away.

    The name stays: it is in the agent's history, and in every hash of it. `fork AGENT --as NAME` makes an agent with
    another name that goes on from there.

    \b
    rename sam "Front desk"
    rename sam ""
    """
    from palimpsest.actors.requests.lifecycle import rename

    async def work() -> str:
        async with writing(address, f"rename {agent}", UnknownAgent(agent)) as log:
            return await rename(log, agent, title)

    before, now = asyncio.run(work()), title.strip()
    if as_json:
        print_json({"agent": agent, "title": now, "before": before})
        return
    had = f" (before: “{one_line(before)}”)" if before and before != now else ""
    click.echo(f"{one_line(agent)} is “{one_line(now)}”{had}." if now else f"{one_line(agent)} has no title{had}.")


@click.command("retire")
@click.argument("agents", nargs=-1, required=True)
@click.option("--undo", is_flag=True, help="Take them back: they get inputs again, and their timers are set again.")
@click.option("--reason", default="", metavar="TEXT", help="Why; it stands in the log.")
@address_option
@json_option
def retire_command(agents: tuple[str, ...], *, undo: bool, reason: str, address: str, as_json: bool) -> None:
    """Retire AGENTS: they take no inputs, ring no timers, and are not listed any more.

    Nothing is lost. What they were sent before is answered: a turn under way ends in order, and so do inputs that wait.
    All that looks into the log shows them still; they can be forked and exported. With --undo they go on as before: a
    timer that repeats rings at its next time; one that was to ring once, and is past, rings no more, and is named.

    \b
    retire sam --reason "replaced by sam-2"
    retire --undo sam
    """
    if undo and reason:
        raise BadInput("--reason is for a retirement: leave it out with --undo.")
    if undo:
        _say_returns(asyncio.run(_reinstate(agents, address)), as_json)
    else:
        _say_retirements(asyncio.run(_retire(agents, reason, address)), as_json)


async def _retire(agents: tuple[str, ...], reason: str, address: str) -> list[Retirement]:
    from palimpsest.actors.requests.lifecycle import retire

    async with writing(address, f"retire {agents[0]}", UnknownAgent(agents[0])) as log:
        return await retire(log, agents, reason=reason)


async def _reinstate(agents: tuple[str, ...], address: str) -> list[Return]:
    from palimpsest.actors.requests.lifecycle import reinstate

    async with writing(address, f"retire --undo {agents[0]}", UnknownAgent(agents[0])) as log:
        return await reinstate(log, agents)


def _say_retirements(done: list[Retirement], as_json: bool) -> None:
    if as_json:
        print_json({"retired": plain(done)})
        return
    later = "" if runs(data_folder()) else f", once a system runs ({typed('up')})"
    for each in done:
        name = one_line(each.agent)
        if each.again:
            click.echo(f"{name} is retired already.")
            continue
        timers = f"; timers off: {timers_said(each.timers)}" if each.timers else ""
        owed = (
            f"; {many(each.owed, 'input')} that came before {'is' if each.owed == 1 else 'are'} answered still{later}"
        )
        click.echo(f"{name} is retired{timers}{owed * bool(each.owed)}. Undo: {typed('retire', '--undo', each.agent)}")


def _say_returns(done: list[Return], as_json: bool) -> None:
    if as_json:
        print_json({"reinstated": plain(done)})
        return
    for each in done:
        name = one_line(each.agent)
        if each.again:
            click.echo(f"{name} is not retired.")
            continue
        timers = f"; timers set again: {timers_said(each.timers)}" if each.timers else ""
        passed = f"; past, and not set again: {timers_said(each.passed)}" if each.passed else ""
        click.echo(f"{name} is back{timers}{passed}.")
