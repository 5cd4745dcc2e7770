"""How an agent's contexts are rendered: a format is a set of named parts, which can be had one by one.

Rules. (1) What changes a request's bytes, and is no setting, is a part of its own here: an agent has it from its birth
(`AgentCreated`), or from the event that gives it (`FormatChanged`), and never before. (2) A part that is here stays
here: old logs were rendered with it. (3) Parts are listed in the order of `PARTS`, so that equal formats are equal.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from palimpsest.events.errors import BadInput

Format = tuple[str, ...]
"""The names of the parts that contexts are rendered with, in the order of `PARTS`."""


class FormatPart(msgspec.Struct, frozen=True):
    """`what` it does, for people; `newborn`: new agents have it from the start."""

    name: str
    what: str
    newborn: bool = False


TIMED_HEARTBEATS: Final = "timed_heartbeats"
EMPTY_CONTENT: Final = "empty_content"
BRIEF: Final = "brief"
ALTERNATING: Final = "alternating"
NO_SYSTEM: Final = "no_system"
SHORT_IDS: Final = "short_ids"
BARE_CALLS: Final = "bare_calls"
TEXT_CALLS: Final = "text_calls"
OWN_FIELDS: Final = "own_fields"
OWN_REASONING: Final = "own_reasoning"
BLANK_REASONING: Final = "blank_reasoning"
DUMMY_SIGNATURES: Final = "dummy_signatures"
NO_CONTENT: Final = "no_content"
DESCRIBED_BLOCKS: Final = "described_blocks"
ZONED: Final = "zoned"
SEARCH_FILTERS: Final = "search_filters"

PARTS: Final = (
    FormatPart(TIMED_HEARTBEATS, "set_timer offers timed heartbeats", newborn=True),
    FormatPart(EMPTY_CONTENT, 'a message that only calls functions has the content "", not null', newborn=True),
    FormatPart(BRIEF, "short texts of the functions and of the usual instructions, for a small window"),
    FormatPart(ALTERNATING, "user and assistant take turns: messages of one side in a row are joined, the status too"),
    FormatPart(NO_SYSTEM, "no system message: its text stands at the head of the first user message"),
    FormatPart(SHORT_IDS, "every call has an id of nine letters and digits of its own"),
    FormatPart(BARE_CALLS, "a message that calls functions holds no thoughts beside them"),
    FormatPart(NO_CONTENT, "a message that only calls functions has no content at all"),
    FormatPart(
        TEXT_CALLS, "functions are told in the system text; calls and results are text, in the form of Hermes and Qwen"
    ),
    FormatPart(
        OWN_FIELDS, "what a server put beside its calls (a signature) goes back to it, and to no other", newborn=True
    ),
    FormatPart(OWN_REASONING, "a model's reasoning goes back to the server that gave it, and to no other"),
    FormatPart(BLANK_REASONING, "answers without reasoning have a blank one"),
    FormatPart(DUMMY_SIGNATURES, "calls without Gemini's signature have the one that Gemini documents for them"),
    FormatPart(
        DESCRIBED_BLOCKS, "sections of core memory show what they are for, and functions name them", newborn=True
    ),
    FormatPart(ZONED, "times are told, and timers set, in the agent's time zone", newborn=True),
    FormatPart(SEARCH_FILTERS, "conversation_search takes who said it, and from which day to which", newborn=True),
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
