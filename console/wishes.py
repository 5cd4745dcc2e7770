"""What an agent is to be, as the flags of `create` or an entry of a fleet's file say it; and the agent made of it.

Rule: all that `chat` refuses of a new agent is refused here, before anything is written: settings that make no sense, a
section that is too long, texts for which the window has no room.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from palimpsest.actors.models.hosted.window import UNKNOWN, ServedWindow
from palimpsest.actors.requests.births import Birth, check
from palimpsest.actors.requests.zones import zoned
from palimpsest.console.settings import Flags, check_window, settings_for_new
from palimpsest.console.show import many
from palimpsest.events.context import Count
from palimpsest.events.errors import BadInput
from palimpsest.events.prompts import SYSTEM, newborn
from palimpsest.events.types import AgentCreated, Block
from palimpsest.questions.texts import one_line


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A section of core memory; None: as it usually is."""

    text: str | None = None
    limit: int | None = None
    description: str | None = None


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """An agent to be. `sections` are core memory's by label: persona, human, and others; None: nothing is said."""

    agent: str
    flags: Flags = Flags()
    sections: Mapping[str, Section] = {}
    system: str | None = None
    title: str | None = None
    sources: tuple[str, ...] = ()


def birth(wish: Wish, environ: Mapping[str, str], count: Count, served: ServedWindow = UNKNOWN) -> Birth:
    """The agent to be made. Raises BadInput."""
    born = first_event(wish, environ, served)
    check_window(born, count, served)
    born = zoned(born, wish.flags.timezone or None)
    made = Birth(
        agent=wish.agent, born=born, title=(wish.title or "").strip(), sources=wish.sources, zone=wish.flags.timezone
    )
    check([made])
    return made


def first_event(wish: Wish, environ: Mapping[str, str], served: ServedWindow = UNKNOWN) -> AgentCreated:
    settings = settings_for_new(wish.flags, environ, served)
    event = newborn(settings, system=SYSTEM if wish.system is None else wish.system)
    usual = {block.label: block for block in event.blocks}
    more = {label: Block(label=label) for label in wish.sections if label not in usual}
    blocks = (_block(block, wish.sections.get(block.label)) for block in (usual | more).values())
    return replace(event, blocks=tuple(blocks))


def _block(usual: Block, section: Section | None) -> Block:
    """A section as it is wished. Raises BadInput where its text is too long."""
    if section is None:
        return usual
    made = Block(
        label=usual.label,
        value=usual.value if section.text is None else section.text,
        limit=usual.limit if section.limit is None else section.limit,
        description=usual.description if section.description is None else section.description,
    )
    if made.limit < 1 or len(made.value) > made.limit:
        name, size = one_line(made.label, 40), many(len(made.value), "character")
        raise BadInput(f"The section '{name}' holds {made.limit:,} characters; this has {size}. Shorten it.")
    return made
