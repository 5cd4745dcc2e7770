"""Agents that are made many at once: over a log actor, or over a log's file that nobody else has.

Rules. (1) Everything is looked at before anything is written: names, settings, texts, sources, windows. (2) An agent,
its title and its sources are one append, taken together or not at all. (3) An agent that is there already is never
touched: its stream is expected to be empty.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

import msgspec

from palimpsest.actors.links.calls import StreamLog
from palimpsest.actors.parts.process import now_ms
from palimpsest.actors.requests.checks import check_born, check_name
from palimpsest.actors.requests.forks import check_free
from palimpsest.actors.requests.lifecycle import check_title, titling
from palimpsest.actors.requests.sources import check_window, known
from palimpsest.actors.requests.zones import zoned
from palimpsest.events.codec import draft
from palimpsest.events.envelope import Draft
from palimpsest.events.errors import AgentExists, BadInput
from palimpsest.events.prompts import unborn
from palimpsest.events.sources import stream_of
from palimpsest.events.types import AgentAttached, AgentCreated, SourceAttached
from palimpsest.store.logs.contract import Append, Appended

AT_ONCE: Final = 200
"""So many agents are made by one transaction."""


class Birth(msgspec.Struct, frozen=True, kw_only=True):
    """An agent to be: its first event, what people call it, and the sources that it has from the start. `zone`: as in
    `zones.zoned`."""

    agent: str
    born: AgentCreated
    title: str = ""
    sources: tuple[str, ...] = ()
    zone: str = ""


async def create(log: StreamLog, births: Sequence[Birth]) -> None:
    """Make these agents. Raises BadInput, UnknownSource, WindowTooSmall and AgentExists with none of them made; or
    AgentExists where another made one of them meanwhile: then those of its transaction are not made, nor those behind.
    """
    made = [msgspec.structs.replace(each, born=zoned(each.born, each.zone or None)) for each in births]
    check(made)
    await check_sources(log, made)
    await check_free(log, [each.agent for each in made])
    left = iter(made)
    while part := list(islice(left, AT_ONCE)):
        drafts = tuple(each for birth in part for each in _drafts(birth))
        expected = {birth.agent: 0 for birth in part}
        answers = await log.append(Append(drafts, expected, together=True))
        _raise_for_taken(drafts, answers)


def check(births: Iterable[Birth]) -> None:
    """Raises BadInput for what makes no sense, whatever the log holds."""
    names: set[str] = set()
    for each in births:
        check_name(each.agent)
        check_born(each.born)
        check_title(each.title)
        if each.agent in names:
            raise BadInput(f"'{each.agent}' is to be made twice: give each agent a name of its own.")
        names.add(each.agent)


async def check_sources(log: StreamLog, births: Iterable[Birth]) -> None:
    """Raises UnknownSource, or WindowTooSmall for the first agent whose window cannot hold the functions on them."""
    fitting: set[AgentCreated] = set()
    there: set[str] = set()
    for each in births:
        for name in each.sources:
            if name not in there:
                await known(log, name)
                there.add(name)
        if each.sources and each.born not in fitting:
            check_window(msgspec.structs.replace(unborn(each.born), agent=each.agent), each.sources[0])
            fitting.add(each.born)


def _drafts(birth: Birth) -> list[Draft]:
    agent, now = birth.agent, now_ms()
    # Keys of this call's own: made again after the log's process died, they are known for what they are.
    key = uuid.uuid4().hex
    drafts = [draft(agent, now, birth.born, key=f"create:{key}")]
    if birth.title:
        drafts.append(titling(agent, birth.title))
    for name in dict.fromkeys(birth.sources):
        drafts.append(draft(agent, now, SourceAttached(source=name), key=f"attach:{key}:{name}"))
        drafts.append(draft(stream_of(name), now, AgentAttached(agent=agent), key=f"attach:{key}"))
    return drafts


def _raise_for_taken(drafts: Sequence[Draft], answers: Sequence[Appended]) -> None:
    for made, answer in zip(drafts, answers, strict=True):
        if answer.outcome == "conflict":
            raise AgentExists(made.stream)
