"""What can be known before a system is started: that a key is missing, that a server is not there, that it has no such
model, that a window is too small.

Rules. (1) Only servers that the user named (typed, or set as a default) are asked anything; of an agent's own, which
may have come from elsewhere, only what is known here is looked at. (2) What no turn could survive is refused; what may
pass (a server that is down) is refused to a new agent and told to one that there is. (3) Behind a server with fallbacks
nothing is refused: the next one answers.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec.structs import replace

from palimpsest.actors.models.hosted.window import ServedWindow
from palimpsest.console.served import served
from palimpsest.console.settings import Flags, born, check_change, servers_named, settings_changed, settings_for_new
from palimpsest.events.addresses import OPENAI_URL
from palimpsest.events.errors import AgentIsRetired, BadInput
from palimpsest.events.servers import chosen
from palimpsest.events.state import State
from palimpsest.events.types import OFFLINE, Server, Settings
from palimpsest.questions.streams import check_is_owed
from palimpsest.store.config import around
from palimpsest.store.folder import DataFolder
from palimpsest.store.keys.files import LiveKeys, handed
from palimpsest.store.keys.imported import imported
from palimpsest.store.logs.states import load
from palimpsest.store.tokens.counting import count

_UNCHECKED: Final = " (--unchecked takes it as it is)"


class Foreseen(msgspec.Struct, frozen=True):
    """What the agent's server says of its window; the servers that the user named; and what to tell the user."""

    served: ServedWindow
    typed: tuple[str, ...]
    notes: tuple[str, ...] = ()


async def foresee(folder: DataFolder, agent: str, flags: Flags) -> Foreseen:
    """Look ahead for a chat with an agent under these flags. Raises BadInput and AtRest, where it could not go on."""
    environ = around(os.environ)
    state = state_of(folder, agent)
    asked = flags if state else replace(flags, model=flags.model or environ.get("PALIMPSEST_MODEL", "") or OFFLINE)
    typed = servers_named(asked, environ, asked.model or OFFLINE)
    now = chosen(state) if state else None
    wanted = (settings_changed(now, asked, environ) or now) if now else settings_for_new(asked, environ)
    said = await served(asked)
    notes = await notes_on(wanted, now, typed, imported(folder), named=bool(asked.model or asked.base_url), flags=flags)
    if state is None:
        born(settings_for_new(asked, environ, said), count, said)
    elif changed := settings_changed(chosen(state), asked, environ, said):
        check_change(state, changed, count, said)
    return Foreseen(said, typed, tuple(notes))


def state_of(folder: DataFolder, agent: str) -> State | None:
    """The agent as its log has it; None: there is none. Raises AtRest where nobody would go on with what it began."""
    if not folder.log().is_there():
        return None
    with folder.log().reader() as log:
        state = load(log, agent)
        if state is not None and state.retired:
            raise AgentIsRetired(agent)
        if state is not None and state.turn:
            check_is_owed(log, state)
    return state


async def notes_on(
    wanted: Settings,
    now: Settings | None,
    typed: tuple[str, ...],
    came: tuple[str, ...] = (),
    *,
    named: bool,
    flags: Flags,
    refused: str = "Nothing was started",
    unchecked: str = _UNCHECKED,
) -> list[str]:
    """What is wrong with an agent's servers and does not end it, in lines. Raises BadInput for what does.

    `wanted` are the settings that it will have, `now` those that it has (None: it is new); `named`: the user named its
    server just now, so that it may be asked; `came` are the addresses that imports brought. What is raised ends
    with `refused`, and where it can be had so, with `unchecked`.
    """
    from palimpsest.actors.models.hosted.listing import Problem, key_problem, listing_of, problem

    keys = LiveKeys(handed(os.environ, imported=came, typed=typed))

    async def look(place: Server, *, ask: bool) -> Problem | None:
        url = place.base_url or OPENAI_URL
        access, untrusted = keys.access(url)
        if place.model == OFFLINE or untrusted:
            return None
        found = key_problem(url, access)
        if found or not ask or flags.unchecked:
            return found
        return problem(url, place.model, access, await listing_of(url, access))

    others = list(_others(wanted)) if flags.fallback or flags.summarizer else []
    own = look(Server(model=wanted.model, base_url=wanted.base_url), ask=named)
    first, *rest = await asyncio.gather(own, *(look(each, ask=True) for each in others))
    notes = [each.text for each in rest if each]
    if first is None:
        return notes
    moves = now is None or (now.model, now.base_url) != (wanted.model, wanted.base_url)
    if wanted.fallbacks or (first.about != "key" and not moves):
        return [f"{first.text}{' A fallback answers until then.' if wanted.fallbacks else ''}", *notes]
    raise BadInput(f"{first.text} {refused}{'' if first.about == 'key' else unchecked}.")


def _others(settings: Settings) -> Iterator[Server]:
    """The fallbacks, and who writes the summaries."""
    yield from settings.fallbacks
    if settings.summarizer_at:
        yield settings.summarizer_at


async def new_notes(wanted: Settings, flags: Flags) -> list[str]:
    """The same for an agent that is to be made with these settings, by what was typed or is a default."""
    asked = replace(flags, model=wanted.model)
    typed = servers_named(asked, around(os.environ), wanted.model)
    return await notes_on(wanted, None, typed, named=True, flags=flags, refused="Nothing was made")


async def fleet_notes(wanted: Iterable[Settings]) -> list[str]:
    """The same for agents that a file describes: no server is asked, and only the keys that are kept count."""
    notes: list[str] = []
    for settings in {(each.model, each.base_url): each for each in wanted}.values():
        notes += await notes_on(settings, None, (), named=False, flags=Flags(), refused="Nothing was made")
    return notes


async def check_model(flags: Flags, now: Settings, wanted: Settings) -> list[str]:
    """The same for an agent that is to ask another model from now on, by what is typed in a chat."""
    typed = servers_named(flags, around(os.environ), flags.model)
    return await notes_on(wanted, now, typed, named=True, flags=flags, refused="Nothing was changed", unchecked="")


def check_own(folder: DataFolder, state: State) -> list[str]:
    """What is known here of an agent's own server, without asking it. Raises BadInput where its key is missing, or
    nothing may be sent there."""
    from palimpsest.actors.models.hosted.listing import key_problem

    settings = chosen(state)
    if settings.model == OFFLINE:
        return []
    url = settings.base_url or OPENAI_URL
    access, refused = LiveKeys(handed(os.environ, imported=imported(folder))).access(url)
    found = key_problem(url, access)
    text = refused or (found.text if found else "")
    if text and not settings.fallbacks:
        raise BadInput(f"{text} Nothing was sent.")
    return [f"{text} A fallback answers until then."] if text else []
