"""How an agent's contexts are rendered: a format is a set of named parts, which can be had one by one.

Rules. (1) What changes a request's bytes, and is no setting, is a part of its own here: an agent has it from its birth
(`AgentCreated`), or from the event that gives it (`FormatChanged`), and never before. (2) A part that is here stays
here: old logs were rendered with it. (3) Parts are listed in the order of `PARTS`, so that equal formats are equal.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from events.errors import BadInput

Format = tuple[str, ...]
"""The names of the parts that contexts are rendered with, in the order of `PARTS`."""


class Part(msgspec.Struct, frozen=True):
    """`what` it does, for people; `newborn`: new agents have it from the start."""

    name: str
    what: str
    newborn: bool = False


TIMED_HEARTBEATS: Final = "timed_heartbeats"
EMPTY_CONTENT: Final = "empty_content"
BRIEF: Final = "brief"

PARTS: Final = (
    Part(TIMED_HEARTBEATS, "set_timer offers timed heartbeats", newborn=True),
    Part(EMPTY_CONTENT, 'a message that only calls functions has the content "", not null', newborn=True),
    Part(BRIEF, "short texts of the functions and of the usual instructions, for a small window"),
)

NAMED: Final = 3
"""`AgentCreated.format` of an agent whose parts stand in the event by their names."""
NUMBERED: Final[dict[int, Format]] = {1: (), 2: (TIMED_HEARTBEATS,)}
"""The formats from before parts had names."""

_NAMES: Final = tuple(part.name for part in PARTS)
NEWBORN: Final[Format] = tuple(part.name for part in PARTS if part.newborn)


def unknown_parts(parts: Iterable[str]) -> tuple[str, ...]:
    """Those that this code does not render: a newer one wrote them."""
    return tuple(name for name in parts if name not in _NAMES)


def ordered(parts: Iterable[str]) -> Format:
    """The format of these parts; names that are unknown are left out."""
    wanted = set(parts)
    return tuple(name for name in _NAMES if name in wanted)


def changed(now: Format, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Format:
    """The format with parts added and removed. Raises BadInput for a name that is none."""
    strange = unknown_parts((*add, *remove))
    if strange:
        raise BadInput(f"There is no part '{strange[0][:40]}' of a format. The parts are: {', '.join(_NAMES)}.")
    return ordered((*(set(now) - set(remove)), *add))
