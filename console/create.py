"""`create`: one agent by its flags, or a whole fleet from a file. It starts nothing.

Rules. (1) Everything that can be refused is refused before anything is written: of a fleet all wrong entries at once.
(2) A fleet is applied again without harm (`console.fleet_plan`).
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from palimpsest.actors.links.direct import DirectLog
from palimpsest.console.called import as_typed, typed
from palimpsest.console.options import address_option, complain, data_folder, json_option
from palimpsest.console.preflight import fleet_notes, new_notes
from palimpsest.console.served import remember, served, served_for_file
from palimpsest.console.settings import HOW_TO_HOST, Flags, bound_said, window_said
from palimpsest.console.show import many, names_of, print_json
from palimpsest.console.texts import text_of
from palimpsest.console.tokenizers import missing
from palimpsest.console.wishes import Section, Wish, birth
from palimpsest.console.writing import writing
from palimpsest.console.zones import unnamed, zone_said
from palimpsest.events.errors import AgentExists, BadInput, UnknownAgent
from palimpsest.events.types import OFFLINE
from palimpsest.questions.plain import plain
from palimpsest.questions.texts import one_line
from palimpsest.store.config import around
from palimpsest.store.folder import expanded
from palimpsest.store.logs.in_memory import InMemoryLog
from palimpsest.store.tokens.counting import count

if TYPE_CHECKING:
    from palimpsest.actors.models.hosted.window import ServedWindow
    from palimpsest.actors.requests.births import Birth
    from palimpsest.actors.requests.zones import AlarmLog
    from palimpsest.console.fleet import Fleet
    from palimpsest.console.fleet_plan import Done, FleetPlan

SHOWN: Final = 40
"""As many agents of a fleet are told of one by one; --json has all."""
FEW: Final = 3
"""Of as many it is told what was left alone."""
_EITHER: Final = "Give AGENT, or --file FLEET: one of the two."


@click.command("create")
@click.argument("agent", default="")
@click.option("--persona", metavar="TEXT|@FILE", help="Who the agent is.")
@click.option("--human", metavar="TEXT|@FILE", help="What it knows of its user.")
@click.option("--block", "blocks", multiple=True, metavar="LABEL=TEXT|@FILE", help="A section more. Repeatable.")
@click.option("--system", metavar="TEXT|@FILE", help="The system text, in place of the usual one.")
@click.option(
    "--model",
    default="",
    metavar="M",
    help="The model's name. Default: $PALIMPSEST_MODEL, else `config`'s, else offline.",
)
@click.option("--base-url", default="", metavar="URL", help="An OpenAI-compatible server, with --model.")
@click.option("--unchecked", is_flag=True, help="Do not ask a server that is named here whether it has the model.")
@click.option("--window", default=0, type=click.IntRange(min=0), metavar="N", help="The context window in tokens.")
@click.option("--reserve", default=0, type=click.IntRange(min=0), metavar="N", help="Tokens kept for an answer.")
@click.option("--fallback", multiple=True, metavar="SERVER", help="Whom to ask where the server fails. Repeatable.")
@click.option("--summarizer", default="", metavar="SERVER", help="Who writes the summaries.")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Any other setting (`set AGENT` lists them).")
@click.option("--timezone", default="", metavar="ZONE", help="Its time zone, as Europe/Berlin (default: yours).")
@click.option("--attach", "sources", multiple=True, metavar="SOURCE", help="A source that it has. Repeatable.")
@click.option("--title", default="", metavar="TITLE", help="What people call it.")
@click.option(
    "--file", "file", type=click.Path(path_type=Path), metavar="FLEET", help="Many, from a file (TOML, YAML)."
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@address_option
@json_option
def command(agent: str, *, file: Path | None, dry_run: bool, address: str, as_json: bool, **given: Any) -> int:
    """Make AGENT, or the agents of a file. Nothing is started: `chat AGENT` talks with it then.

    \b
    create sam --persona "I am Sam, and I am brief." --human @me.txt --title "Front desk"
    create sam --block rules=@rules.md --attach manuals --set temperature=0.2
    create --file fleet.toml --dry-run

    A fleet has `[defaults]`, and `[agents.NAME]` for each agent, with what the options here are called (blocks, set and
    attach as tables and lists); a NAME like "support-{001..200}" stands for as many. Applied again it makes what is
    missing, changes settings and titles that differ, attaches sources, and leaves alone what an agent may have changed
    itself. OPENAI_API_KEY goes to a --base-url that you type, and to none that stands in a file (`keys add URL`).
    """
    if bool(agent) == (file is not None):
        raise BadInput(_EITHER)
    if file is not None:
        if any(given.values()):
            raise BadInput("With --file, what the agents are like stands in the file, under [defaults].")
        return asyncio.run(_fleet(file, address, dry_run=dry_run, as_json=as_json))
    asyncio.run(_one(agent, address, given, dry_run=dry_run, as_json=as_json))
    return 0


# --- one ----------------------------------------------------------------------------------------------------------


async def _one(agent: str, address: str, given: dict[str, Any], *, dry_run: bool, as_json: bool) -> None:
    wish = _wish(agent, given)
    if not wish.flags.model:
        model = around(os.environ).get("PALIMPSEST_MODEL", "")
        wish = msgspec.structs.replace(wish, flags=msgspec.structs.replace(wish.flags, model=model))
    window = await served(wish.flags)
    made = birth(wish, around(os.environ), count, window)
    for note in await new_notes(made.born.settings, wish.flags):
        click.echo(as_typed(note), err=True)
    if not dry_run:
        await _make(made, address)
        for note in remember(data_folder(), wish.flags):
            click.echo(note, err=True)
    _say(made, wish, window, dry_run=dry_run, as_json=as_json)


def _wish(agent: str, given: dict[str, Any]) -> Wish:
    sections = {label: given.pop(label) for label in ("persona", "human")}
    texts = {label: text_of(value, label) for label, value in sections.items() if value is not None}
    for pair in given.pop("blocks"):
        label, equals, value = pair.partition("=")
        if not equals or not label.strip():
            raise BadInput(f"'{one_line(pair, 60)}' is no section: give LABEL=TEXT, as rules=@rules.md.")
        if label.strip() in texts:
            raise BadInput(f"The section '{one_line(label, 40)}' is given twice.")
        texts[label.strip()] = text_of(value, f"section '{one_line(label, 40)}'")
    system, title, sources = given.pop("system"), given.pop("title"), given.pop("sources")
    return Wish(
        agent=agent,
        flags=Flags(**given),
        sections={label: Section(text=text) for label, text in texts.items()},
        system=None if system is None else text_of(system, "system text"),
        title=title,
        sources=tuple(dict.fromkeys(sources)),
    )


async def _make(made: Birth, address: str) -> None:
    from palimpsest.actors.requests.births import create

    _begin(address)
    async with writing(address, f"create {made.agent}", UnknownAgent(made.agent)) as log:
        try:
            await create(log, [made])
        except AgentExists:
            raise BadInput(
                f"There is an agent '{made.agent}' already; nothing was changed. `palimpsest show {quote(made.agent)}` "
                f"shows it, and `palimpsest set {quote(made.agent)} KEY=VALUE` changes its settings."
            ) from None


def _begin(address: str) -> None:
    """Make the folder and the log, where there are none yet."""
    if not address:
        folder = data_folder().create()
        remember(folder, Flags())
        folder.log().begin()


def _say(made: Birth, wish: Wish, window: ServedWindow, *, dry_run: bool, as_json: bool) -> None:
    settings, born = made.born.settings, made.born
    if as_json:
        row = {"agent": made.agent, "made": not dry_run, "title": made.title, "sources": made.sources}
        print_json({**row, "settings": plain(settings), "blocks": plain(born.blocks)})
        return
    size = window_said(settings, window, asked=bool(wish.flags.window))
    more = bound_said(settings, window) + zone_said(born)
    sources = f", sources: {names_of(made.sources)}" if made.sources else ""
    click.echo(f"{'Would make' if dry_run else 'Made'} agent '{one_line(made.agent)}': model {settings.model}, {size}"
               f"{more}{sources}.")  # fmt: skip
    for note in [*([] if wish.flags.timezone else unnamed()), *missing(settings)]:
        click.echo(note, err=True)
    if settings.model == OFFLINE and not wish.flags.model:
        click.echo(HOW_TO_HOST, err=True)
    if not dry_run:
        click.echo(f"Talk with it: {typed('chat', made.agent)}")


# --- a fleet ------------------------------------------------------------------------------------------------------


async def _fleet(file: Path, address: str, *, dry_run: bool, as_json: bool) -> int:
    from palimpsest.console.fleet import wishes
    from palimpsest.console.fleet_plan import apply

    found, what = wishes(expanded(file)), f"create --file {file.name}"
    if not address and not data_folder().log().is_there():
        plan = await _planned(DirectLog(InMemoryLog()), found, file)
        if not dry_run:
            _begin(address)
            async with writing(address, what, UnknownAgent("")) as log:
                await apply(log, plan)
    else:
        async with writing(address, what, UnknownAgent("")) as log:
            plan = await _planned(log, found, file)
            if not dry_run:
                await apply(log, plan)
    _say_fleet(plan.done, dry_run=dry_run, as_json=as_json)
    return 0


async def _planned(log: AlarmLog, found: Fleet, file: Path) -> FleetPlan:
    """What is to be done. Raises BadInput where anything is wrong with it."""
    from palimpsest.console.fleet_plan import planned

    plan = await planned(log, found.wishes, around(os.environ), count, served_for_file)
    wrong = {**found.wrong, **plan.wrong}
    if wrong:
        for where, why in list(wrong.items())[:SHOWN]:
            complain(f"{where}: {why}")
        entries = "an entry is" if len(wrong) == 1 else f"{len(wrong):,} entries are"
        raise BadInput(f"In {file.name} {entries} wrong: nothing was made or changed. Mend it, and give it again.")
    for note in await fleet_notes(each.born.settings for each in plan.births):
        click.echo(as_typed(note), err=True)
    return plan


def _say_fleet(done: list[Done], *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        agents = [plain(each) for each in done]
        print_json({"dry_run": dry_run, "agents": agents})
        return
    would = "would be " * dry_run
    changed, left = [each for each in done if each.said], [each for each in done if each.left]
    for each in changed[:SHOWN]:
        click.echo(f"{one_line(each.agent)} {would}changed: {'; '.join(each.said)}")
    if len(changed) > SHOWN:
        click.echo(f"… and {many(len(changed) - SHOWN, 'agent')} more.")
    for each in left[:FEW]:
        click.echo(f"{one_line(each.agent)} left: {as_typed('; '.join(each.left))}")
    if len(left) > FEW:
        click.echo(f"… and so {many(len(left) - FEW, 'agent')} more (--json tells all).")
    counts = {did: sum(each.did == did for each in done) for did in ("made", "changed", "unchanged")}
    said = ", ".join(f"{number:,} {would * (did != 'unchanged')}{did}" for did, number in counts.items())
    click.echo(f"{many(len(done), 'agent')}: {said}.")
