"""`chat`: boots a system on the data folder, makes the agent where there is none, and talks.

Rule: what can be refused (a name, a window, a folder in use) is refused before Ray is started.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from palimpsest.actors.models.hosted.window import UNKNOWN, ServedWindow
from palimpsest.console.called import as_typed
from palimpsest.console.joining import at_work, local_option
from palimpsest.console.not_text import refuse_at_once
from palimpsest.console.options import (
    address_option,
    data_folder,
    index_options,
    index_settings,
    stdin_is_closed,
)
from palimpsest.console.past import still_set, to_look
from palimpsest.console.preflight import check_model, foresee
from palimpsest.console.served import served
from palimpsest.console.settings import (
    HOW_TO_HOST,
    Flags,
    born,
    bound_said,
    changes_in_words,
    check_change,
    servers_named,
    settings_changed,
    settings_for_new,
    window_said,
)
from palimpsest.console.talk import Talker
from palimpsest.console.tokenizers import missing
from palimpsest.console.zones import moved, unnamed, with_zone, zone_said
from palimpsest.events.errors import AgentIsRetired, BadInput, UnknownAgent
from palimpsest.events.formats import BRIEF
from palimpsest.events.prompts import fitting
from palimpsest.events.servers import chosen
from palimpsest.events.types import OFFLINE
from palimpsest.questions.texts import one_line, utc
from palimpsest.store.config import around
from palimpsest.store.folder import DataFolder
from palimpsest.store.times.zones import named
from palimpsest.store.tokens.counting import count

if TYPE_CHECKING:
    from palimpsest.actors.system import System
    from palimpsest.console.commands import Change
    from palimpsest.console.keyboard import Keyboard
    from palimpsest.events.state import State
    from palimpsest.events.types import Settings

DEFAULT_AGENT: Final = "palimpsest"


@click.command("chat")
@click.argument("agent", default=DEFAULT_AGENT)
@click.option(
    "--model",
    default="",
    metavar="M",
    help="The model's name. Default: $PALIMPSEST_MODEL, else `config`'s, else offline.",
)
@click.option(
    "--base-url", default="", metavar="URL", help="An OpenAI-compatible server, as http://localhost:11434/v1."
)
@click.option(
    "--window",
    default=0,
    type=click.IntRange(min=0),
    metavar="N",
    help="The context window in tokens (offline 8,192; else what the server says that it serves, at most 32,768).",
)
@click.option(
    "--reserve",
    default=0,
    type=click.IntRange(min=0),
    metavar="N",
    help="Tokens of the window that are kept for an answer (a share of it, at most 4,096).",
)
@click.option(
    "--fallback",
    multiple=True,
    metavar="SERVER",
    help="Whom to ask where the model's server fails, as llama3@http://localhost:11434/v1,window=8192 or `offline`. "
    "Repeatable, tried in order; `none` drops them.",
)
@click.option(
    "--summarizer",
    default="",
    metavar="SERVER",
    help="Who writes the summaries: a model at the same server by its name, or one elsewhere, written as a fallback; "
    "`none`: the agent's model.",
)
@click.option(
    "--in-flight",
    default=None,
    type=click.IntRange(min=0),
    metavar="N",
    help="The most requests that the server is to have at once, for all agents (a llama.cpp's slots, else 64).",
)
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help='Any other setting, as seed=7, reasoning-effort=low or headers=\'{"X-Title":"me"}\'. Repeatable; `--set x=` '
    "lists them.",
)
@click.option(
    "--timezone",
    default="",
    metavar="ZONE",
    help="The time zone that the agent's times and timers are in, as Europe/Berlin (a new agent's: yours, by TZ).",
)
@click.option("--unchecked", is_flag=True, help="Do not ask a server that is named here whether it has the model.")
@address_option
@local_option
@index_options
@click.option("--thoughts", is_flag=True, help="Show the agent's inner thoughts.")
def command(agent: str, address: str, local: bool, thoughts: bool, **flags: Any) -> int:
    """Talk with AGENT (default: palimpsest), which is made if there is none.

    On a terminal there is a prompt; /help lists what can be done there. From a pipe each line is a message, and the
    program ends when the lines do (exit code 1: one of them got no answer). A hosted model's key is its server's:
    `keys add URL` keeps it. OPENAI_API_KEY goes to OpenAI, to OPENAI_BASE_URL, and to a --base-url that you type.

    With an agent that there is, --model, --base-url, --window and what follows them here change it for good. --model
    without --base-url means the server in OPENAI_BASE_URL, else OpenAI's own.
    """
    if stdin_is_closed():
        raise BadInput("Standard input is closed, so there is nothing to read: type in a terminal, or pipe lines in.")
    with keyboard_held() as keyboard:
        talking = _chat(
            data_folder(), agent, Flags(**flags), address, local=local, thoughts=thoughts, keyboard=keyboard
        )
        return asyncio.run(talking)


def keyboard_held() -> contextlib.AbstractContextManager[Keyboard | None]:
    """The keyboard, on a terminal; held from the start, so that what is typed while Ray starts is not lost."""
    if not _interactive():
        return contextlib.nullcontext()
    from palimpsest.console.keyboard import held

    return held(sys.stdin.fileno())


async def _chat(
    folder: DataFolder,
    agent: str,
    flags: Flags,
    address: str,
    *,
    local: bool,
    thoughts: bool,
    keyboard: Keyboard | None,
) -> int:
    from palimpsest.actors.requests.checks import check_name

    check_name(agent)
    if flags.timezone:
        named(flags.timezone)
    if not _interactive():
        refuse_at_once()
    settings = index_settings()
    ahead = await foresee(folder, agent, flags)
    for note in ahead.notes:
        click.echo(as_typed(note), err=True)
    work = at_work(folder, f"chat {agent}", address=address, local=local, index=settings, typed=ahead.typed)
    async with _deaf(work, keyboard) as system:
        client = system.client()
        for note in await settle(client, agent, flags, ahead.served):
            click.echo(note, err=True)
        change = partial(_model, system, folder)
        talk = Talk(folder=folder, change=change, thoughts=thoughts, goes_on=system.goes_on)
        return await converse(client, agent, talk, keyboard)


@contextlib.asynccontextmanager
async def _deaf(
    work: contextlib.AbstractAsyncContextManager[System], keyboard: Keyboard | None
) -> AsyncIterator[System]:
    """The same, where what is started meanwhile is deaf to the keyboard's signals."""
    if keyboard is None:
        async with work as system:
            yield system
        return
    from palimpsest.console.keyboard import deaf

    async with contextlib.AsyncExitStack() as stack:
        with deaf():
            system = await stack.enter_async_context(work)
        yield system


async def _model(system: System, folder: DataFolder, agent: str, name: str) -> list[str]:
    """Let an agent ask the model that `/model` names, and hand out the key of its server; what was done, in lines."""
    from palimpsest.actors.parts.process import now_ms
    from palimpsest.store.keys.imported import keys_for

    client = system.client()
    state = await client.state(agent)
    model, _, url = name.rpartition("@") if "@http" in name else (name, "", "")
    same = url or (chosen(state).base_url if model != OFFLINE else "")
    flags = Flags(model=model, base_url=same)
    environ = around(os.environ)
    window = await served(flags)
    changed = settings_changed(chosen(state), flags, environ, window)
    if changed is None:
        return [f"'{agent}' asks that model already."]
    check_change(state, changed, count, window)
    found = await check_model(flags, chosen(state), changed)
    keys, notes = keys_for(folder, os.environ, now_ms(), servers_named(flags, environ, model))
    await system.take_keys(keys)
    settings, said = await _change(client, state, flags, window)
    return [*notes, *found, *said, *missing(settings)]


async def settle(client: Talker, agent: str, flags: Flags, served: ServedWindow = UNKNOWN) -> list[str]:
    """Make the agent, or change it as the flags say; what was done, in lines for the user."""
    try:
        state = await client.state(agent)
    except UnknownAgent:
        environ = around(os.environ)
        zone = flags.timezone or ("" if os.environ.get("TZ") else environ.get("TZ", ""))
        event = with_zone(born(settings_for_new(flags, environ, served), count, served), zone)
        await client.create(agent, event)
        settings = event.settings
        window = window_said(settings, served, asked=bool(flags.window))
        more = bound_said(settings, served) + zone_said(event)
        notes = [f"New agent '{agent}': model {settings.model}, {window}{more}."]
        notes += [] if zone else unnamed()
    else:
        if state.retired:
            raise AgentIsRetired(agent)
        settings, notes = await _change(client, state, flags, served)
    notes += missing(settings)
    return [*notes, HOW_TO_HOST] if settings.model == OFFLINE and not flags.model else notes


async def _change(client: Talker, state: State, flags: Flags, served: ServedWindow) -> tuple[Settings, list[str]]:
    changed = settings_changed(chosen(state), flags, around(os.environ), served)
    settings = changed or chosen(state)
    notes = _elsewhere(state) if changed is None else []
    if changed:
        check_change(state, changed, count, served)
        await client.change_settings(state.agent, changed)
        notes.append(f"Agent '{state.agent}' is changed: {changes_in_words(chosen(state), changed)}.")
    if flags.timezone:
        notes += await moved(client, state.agent, flags.timezone)
    if BRIEF in state.format and BRIEF not in fitting(state.format, settings.window_tokens):
        await client.change_format(state.agent, remove=(BRIEF,))
    if served != UNKNOWN and (changed or settings.window_tokens > served.served > 0):
        notes.append(f"Agent '{state.agent}' has a {window_said(settings, served, asked=True)}.")
    return settings, notes


def _elsewhere(state: State) -> list[str]:
    """Says so where another server than the first is asked."""
    if not state.server:
        return []
    asked, back_ms = state.settings, state.switched_ms + chosen(state).return_after_s * 1000
    place = asked.model + f" at {asked.base_url}" * bool(asked.base_url)
    return [f"The first server of '{state.agent}' failed: {place} answers, until {utc(back_ms)[:16]} UTC at least."]


class Talk(msgspec.Struct, frozen=True, kw_only=True):
    """How a conversation is held. `goes_on`: whether the system stays when it ends."""

    folder: DataFolder
    change: Change
    goes_on: Callable[[], Awaitable[bool]]
    thoughts: bool = False


async def converse(client: Talker, agent: str, talk: Talk, keyboard: Keyboard | None) -> int:
    """Talk until the user ends it; without a keyboard, until the input does. The exit code."""
    if keyboard is None:
        from palimpsest.console import pipe

        code = await pipe.talk(client, agent, pipe.standard_input(), thoughts=talk.thoughts)
        for line in still_set(await client.timers(agent), runs_on=await talk.goes_on()):
            click.echo(line, err=True)
        return code
    from palimpsest.console.repl import Repl, fit

    title = (await client.state(agent)).title
    called = f"{one_line(agent)} (“{one_line(title)}”)" if title else one_line(agent)
    click.echo(f"You talk with {called}. /help lists what you can do; Ctrl-D ends.")
    history = talk.folder.path / "chat-history"
    with fit():
        repl = Repl(client, agent, history, count, thoughts=talk.thoughts, change=talk.change, keyboard=keyboard)
        code = await repl.run()
    if repl.left != signal.SIGHUP:
        goes_on = await talk.goes_on()
        for met in repl.met:
            for line in still_set(await client.timers(met), runs_on=goes_on):
                click.echo(line)
        click.echo(to_look(repl.agent))
    return code


def _interactive() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()
