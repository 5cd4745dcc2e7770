"""`fork`: another agent that goes on from any event of one. It writes to the log's file itself, and starts no Ray."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from palimpsest.console.called import typed
from palimpsest.console.options import address_option, json_option
from palimpsest.console.show import Page, many, print_json
from palimpsest.console.writing import writing
from palimpsest.events.debug.under_way import OpenInput, UnderWay, under_way
from palimpsest.events.errors import UnknownAgent
from palimpsest.events.forks import DROPPED, KEPT
from palimpsest.questions.plain import plain
from palimpsest.questions.texts import one_line, utc

if TYPE_CHECKING:
    from palimpsest.actors.requests.forks import Origin
    from palimpsest.console.overrides import Changes

SHOWN: Final = 10

_STEPS: Final = {
    "ready": "The model was about to be asked.",
    "inferring": "The model had been asked, and had not answered: it is asked again, with the same context.",
    "acting": "The model's answer was being carried out: the calls that have no result yet are made here.",
    "summarising": "A summary had been asked for, and had not come: it is asked for again.",
    "evicting": "Messages were leaving the window: the eviction goes on here.",
    "failed": "The model had failed.",
}


@click.command("fork")
@click.argument("agent")
@click.option("--at", type=int, metavar="SEQ", help="The last event that it shares with AGENT (default: the last).")
@click.option("--as", "name", required=True, metavar="NAME", help="The fork's name.")
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="Otherwise from there on: a setting (window, model, warn, evict, evict-to, page-size …), `system` "
    "(a text, or @FILE), or a section of core memory (human=…). May be given again.",
)
@click.option(
    "--timers",
    type=click.Choice(["dropped", "keep"]),
    default="dropped",
    help="What becomes of timers that are set there: they are not set in the fork (default), or are there too.",
)
@click.option("--count", type=click.IntRange(1, 100_000), metavar="N", help="So many at once: NAME-1 to NAME-N.")
@address_option
@json_option
def command(
    agent: str,
    at: int | None,
    *,
    name: str,
    pairs: tuple[str, ...],
    timers: Literal["dropped", "keep"],
    count: int | None,
    address: str,
    as_json: bool,
) -> None:
    """Make an agent NAME whose history up to event SEQ is AGENT's, without a copy.

    Any event will do, also in the middle of a turn, and of a fork. The fork has its own memory from there on; AGENT is
    not touched. What was under way there rests until the fork is given something (`chat NAME`) or resumed
    (`resume NAME`): nothing is run twice.
    """
    names = (name,) if count is None else tuple(f"{name}-{number}" for number in range(1, count + 1))
    place, changed = asyncio.run(_fork(agent, at, names, pairs, keep=timers == "keep", address=address))
    if as_json:
        print_json(_as_object(agent, place, names, changed, timers))
    else:
        _print(agent, place, names, changed, timers)


async def _fork(
    agent: str, at: int | None, names: tuple[str, ...], pairs: tuple[str, ...], *, keep: bool, address: str
) -> tuple[Origin, Changes | None]:
    from palimpsest.actors.requests.forks import Overrides, fork, place

    async with writing(address, f"fork {agent}", UnknownAgent(agent)) as log:
        where = await place(log, agent, at)
        changed = _changed(where, pairs)
        await fork(log, where, names, _overrides(Overrides, changed, keep))
    if changed and changed.typed:
        from palimpsest.console.keys import remember

        remember(changed.typed)
    return where, changed


def _changed(where: Origin, pairs: tuple[str, ...]) -> Changes | None:
    """What `--set` says; with none given, what it takes to count tokens is not imported."""
    if not pairs:
        return None
    from palimpsest.console.overrides import changes
    from palimpsest.store.tokens.counting import count

    return changes(where.state, pairs, count)


def _overrides(make: Any, changed: Changes | None, keep: bool) -> Any:
    if changed is None:
        return make(keep_timers=keep)
    return make(settings=changed.settings, system=changed.system, blocks=changed.blocks, keep_timers=keep)


def _as_object(
    agent: str, place: Origin, names: tuple[str, ...], changed: Changes | None, timers: Literal["dropped", "keep"]
) -> dict[str, object]:
    return {
        "forks": list(names),
        "agent": agent,
        "at": place.state.seq,
        "event": place.event.kind,
        "parent": place.state.agent,
        "under_way": plain(under_way(place.state)),
        "timers": KEPT if timers == "keep" else DROPPED,
        "set": list(changed.said) if changed else [],
    }


# --- what is printed ----------------------------------------------------------------------------------------------


def _print(
    agent: str, place: Origin, names: tuple[str, ...], changed: Changes | None, timers: Literal["dropped", "keep"]
) -> None:
    page = Page()
    state, seq = place.state, place.state.seq
    owner = "" if state.agent == agent else f" (and {one_line(state.agent)}'s, which it goes on from)"
    many_names = f"{one_line(names[0])} … {one_line(names[-1])}, {many(len(names), 'fork')}"
    page.line(
        (one_line(names[0]) if len(names) == 1 else many_names, "bold"),
        f": {one_line(agent)}'s history up to event {seq}{owner}, without a copy. ",
        f"Event {seq} is {place.event.kind}, {utc(place.event.time)[:19]} UTC.",
    )
    way = under_way(state)
    print_turn(page, way)
    _print_timers(page, way, agent, keep=timers == "keep")
    if changed and changed.said:
        page.line(f"Set otherwise from there on: {'; '.join(changed.said)}.")
    if way.turn or way.waiting:
        page.line(("It rests until it is given something, or let go on: ", "dim"), typed("resume", names[0]))
    else:
        page.line(("Talk with it: ", "dim"), typed("chat", names[0]))


def print_turn(page: Page, way: UnderWay) -> None:
    """The turn that is under way, and what waits behind it."""
    if way.turn:
        called = f"{one_line(way.call, 40)} had been called, and had not returned: it is called again."
        step = _STEPS.get(way.step, called)
        page.line(f"A turn was under way there, on {_input(way.turn)}. {step}")
    elif not way.waiting:
        page.line("Nothing was under way there.")
    if way.waiting:
        shown = ", ".join(_input(each) for each in way.waiting[:SHOWN])
        more = f" and {len(way.waiting) - SHOWN} more" if len(way.waiting) > SHOWN else ""
        page.line(f"{many(len(way.waiting), 'input')} waited there for a turn: {shown}{more}.")


def _input(given: OpenInput) -> str:
    text = f' "{one_line(given.text, 50)}"' if given.text else ""
    return f"event {given.seq} ({given.kind}){text}"


def _print_timers(page: Page, way: UnderWay, agent: str, *, keep: bool) -> None:
    if not way.timers:
        return
    shown = ", ".join(f"{one_line(t.id, 40)} (due {utc(t.due_ms)[:16]} UTC)" for t in way.timers[:SHOWN])
    more = f" and {len(way.timers) - SHOWN} more" if len(way.timers) > SHOWN else ""
    if keep:
        page.line(f"Timers are kept: {shown}{more}. They are set here too as soon as it goes on.")
    else:
        page.line(f"Timers are dropped: {shown}{more}. They stay {one_line(agent)}'s; --timers keep takes them along.")
