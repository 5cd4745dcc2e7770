"""`set`: an agent's settings, with what they mean; or a change of them, from its next request on.

Rule: what `chat` refuses of a change is refused here, before anything is written.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Final

import click
import msgspec

from palimpsest.console.called import given_bundle
from palimpsest.console.fields import FIELDS, split, value_of
from palimpsest.console.inspect import reading
from palimpsest.console.meanings import MEANINGS, SettingMeaning, told
from palimpsest.console.options import address_option, bundle_option, data_folder, json_option
from palimpsest.console.preflight import check_model
from palimpsest.console.served import remember, served
from palimpsest.console.servers import NONE
from palimpsest.console.settings import Flags, changes_in_words, check_change, settings_changed, window_said
from palimpsest.console.show import Page, print_json
from palimpsest.console.tokenizers import missing
from palimpsest.console.writing import writing
from palimpsest.console.zones import change_said
from palimpsest.events.errors import BadInput, UnknownAgent
from palimpsest.events.servers import chosen
from palimpsest.questions.plain import plain
from palimpsest.questions.streams import state_now
from palimpsest.questions.texts import one_line
from palimpsest.store.config import around
from palimpsest.store.tokens.counting import count

KEYS: Final = (*MEANINGS, "timezone")
_EXAMPLE: Final = "model=gpt-4o-mini or temperature=0.2"
_ELSEWHERE: Final = {
    "title": "`rename AGENT TITLE` gives it one",
    "system": "the system text is the one that the agent was made with: `fork AGENT --as NAME --set system=@FILE`",
    "persona": "core memory is the agent's own: `fork AGENT --as NAME --set persona=TEXT`",
    "human": "core memory is the agent's own: `fork AGENT --as NAME --set human=TEXT`",
}


class Set(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a change: what changed, in words, and notes for the user."""

    agent: str
    changed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@click.command("set")
@click.argument("agent")
@click.argument("pairs", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--unchecked", is_flag=True, help="Do not ask a server that is named here whether it has the model.")
@address_option
@bundle_option
@json_option
def command(agent: str, pairs: tuple[str, ...], unchecked: bool, address: str, as_json: bool) -> None:
    """Change settings of AGENT, from its next request on; with none given, list them with what each means.

    \b
    set sam
    set sam temperature=0.2 seed=7
    set sam model=llama3 base-url=http://localhost:11434/v1 window=8192
    set sam seed=none timezone=Europe/Berlin
    """
    if not pairs:
        _show(agent, as_json)
        return
    if given_bundle():
        raise BadInput("A bundle is a file that is not changed: leave out --bundle, or `import` it first.")
    flags = msgspec.structs.replace(flags_of(pairs), unchecked=unchecked)
    done = asyncio.run(_change(agent, flags, address))
    if as_json:
        print_json(plain(done))
        return
    name = one_line(agent)
    said = f"Agent '{name}' is changed: {'; '.join(done.changed)}." if done.changed else f"'{name}' has that already."
    click.echo(said)
    for note in done.notes:
        click.echo(note, err=True)


def _show(agent: str, as_json: bool) -> None:
    with reading() as log:
        state = state_now(log, agent)
    rows = told(state)
    if as_json:
        print_json({"agent": agent, "settings": plain(chosen(state)), "told": plain(rows)})
        return
    Page().table(("setting", "value", "what it means"), [_line(each) for each in rows])


def _line(each: SettingMeaning) -> tuple[str, ...]:
    return each.key, each.value if each.usual else f"{each.value} *", each.meaning


# --- a change -----------------------------------------------------------------------------------------------------


def flags_of(pairs: Sequence[str]) -> Flags:
    """What KEY=VALUE … say. Raises BadInput for what is no setting."""
    given: dict[str, str] = {}
    fallbacks: list[str] = []
    for key, value in (split(pair, _EXAMPLE) for pair in pairs):
        known = key.replace("_", "-").lower()
        known = "window" if known == "window-tokens" else known
        if known not in KEYS:
            raise BadInput(_unknown(key))
        if known == "fallback":
            fallbacks += (value.strip() or NONE).split()
        given[known] = value
    if not given.get("model", NONE).strip():
        raise BadInput("model= names no model: give one, as model=offline.")
    return Flags(
        model=given.get("model", "").strip(),
        base_url="" if given.get("base-url", "").strip() == NONE else given.get("base-url", "").strip(),
        window=value_of("window", "window_tokens", given["window"]) if "window" in given else 0,
        fallback=tuple(fallbacks),
        summarizer=(given["summarizer"].strip() or NONE) if "summarizer" in given else "",
        in_flight=value_of("in-flight", "in_flight", given["in-flight"]) if "in-flight" in given else None,
        pairs=tuple(f"{key}={value}" for key, value in given.items() if key in FIELDS),
        timezone=given.get("timezone", "").strip(),
    )


def _unknown(key: str) -> str:
    name = key.lower()
    if name in _ELSEWHERE:
        return f"'{name}' is no setting: {_ELSEWHERE[name]}."
    near = get_close_matches(name.replace("_", "-"), KEYS, n=3)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"There is no setting '{one_line(key, 40)}'.{hint} The settings are: {', '.join(KEYS)}."


async def _change(agent: str, flags: Flags, address: str) -> Set:
    from palimpsest.actors.requests import lifecycle, zones
    from palimpsest.actors.requests import settings as settings_of
    from palimpsest.store.times.zones import named

    if flags.timezone:
        named(flags.timezone)
    window = await served(flags)
    async with writing(address, f"set {agent}", UnknownAgent(agent)) as log:
        state = await lifecycle.known(log, agent)
        settings = settings_changed(chosen(state), flags, around(os.environ), window)
        changed: list[str] = []
        notes: Iterable[str] = ()
        if settings:
            check_change(state, settings, count, window)
            found = await check_model(flags, chosen(state), settings) if flags.model or flags.base_url else []
            await settings_of.change(log, state, settings)
            changed.append(changes_in_words(chosen(state), settings))
            sized = f"It has a {window_said(settings, window, asked=bool(flags.window))}."
            notes = (*found, *((sized,) if settings.base_url and flags.model else ()), *missing(settings))
        if flags.timezone:
            change = await zones.change(log, agent, flags.timezone)
            changed += change_said(agent, change)[:1] if change.before != change.after else []
    notes = (*notes, *remember(data_folder(), flags))
    return Set(agent=agent, changed=tuple(each.rstrip(".") for each in changed), notes=notes)
