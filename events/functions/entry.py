"""What an entry of the catalogue says of a function: all that the system knows of it, but for the code of another part.

Rules. (1) An entry is plain data; of code it holds what the kernel runs at once, which is pure. (2) Whoever needs to
know something of a function asks its entry, and compares no name. (3) What an entry tells a model stands in requests
for ever: what is new in it is offered by a part of the format (`part`), so that older agents never hear of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from palimpsest.events.state import State
from palimpsest.events.types import Block, Event, FunctionFailed
from palimpsest.events.vocabulary import CutOrNot

Scalar = str | int | float | bool
JsonType: TypeAlias = Literal["string", "integer", "number", "boolean"]
Carrier: TypeAlias = Literal[
    "kernel",  # at once, by the entry's own code: memory alone is needed
    "storage",  # the storage actor, in its index
    "documents",  # the storage actor, in the log alone
    "timer",  # the timer actor
]
"""Who carries a function out. All but the kernel are asked by `FunctionCalled`."""
Store: TypeAlias = Literal["recall", "archival", "documents"]
"""Where something can be looked for."""
SECTION: Final = "Section of the memory to be edited (persona or human)."
"""Of a parameter that names a section of core memory; an agent with other sections is told theirs."""


class Parameter(msgspec.Struct, frozen=True):
    name: str
    type: JsonType
    description: str
    required: bool = True
    part: str = ""
    """The part of the format (`events.formats`) that offers it: agents without it never hear of it. Empty: all do."""
    brief: str = ""
    """What is said of it in a small window: what cannot be read from its name."""


class Function(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """A function of the model. `brief` is its description in a small window."""

    name: str
    description: str
    brief: str
    parameters: tuple[Parameter, ...] = ()
    chains: bool = True
    """Whether it takes `request_heartbeat`."""

    # what gives it to an agent
    part: str = ""
    """The part of the format that gives it (empty: every agent has it)."""
    sources: bool = False
    """Whether it is given only where a source is attached."""

    # who carries it out
    carrier: Carrier = "kernel"
    at_once: Callable[[Invocation], Event] | None = None
    """The kernel's code."""
    refusal: Callable[[State], str] | None = None
    """Why another part is not asked now, for the model ("": it is asked)."""

    # how it is told and judged
    label: str = "call"
    """What a page of the story calls it."""
    tells: str = ""
    """The argument that says something, which the agent knows from then on ("": none does)."""
    speaks: bool = False
    """Whether the user reads what it tells. It is carried out however often it was before."""
    remembers: type[Event] | None = None
    """The event by which it writes memory."""
    looks_in: frozenset[Store] = frozenset()
    finds: Literal["", "hits", "ranking"] = ""
    """What its result is a page of: hits in the order of what was searched, or in one by how good they are."""


class Call(msgspec.Struct, frozen=True):
    """A checked call: every required argument is there, with its type."""

    function: Function
    arguments: Mapping[str, Scalar]
    heartbeat: bool

    def text(self, name: str) -> str:
        return str(self.arguments.get(name, ""))

    def integer(self, name: str) -> int:
        return int(self.arguments.get(name, 0))


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """A checked call that the kernel carries out at once, and what it lends for that. `id` is the call's."""

    state: State
    id: str
    call: Call
    max_chars: int
    """The most that the result may have."""
    cut: CutOrNot
    """How the server ended the answer behind this call, its last one ("": it did not)."""
    count: Callable[[str], int]
    """Tokens of a text, as the agent's model counts."""
    no_room: Callable[[tuple[Block, ...]], str]
    """Why the window has no room for core memory as it would be ("": it has)."""

    def text(self, name: str) -> str:
        return self.call.text(name)

    def declined(self, error: str) -> FunctionFailed:
        """It cannot be carried out as it stands: `error` tells the model why, and what to do."""
        return FunctionFailed(call=self.id, name=self.call.function.name, error=error)


HEARTBEAT: Final = Parameter(
    "request_heartbeat",
    "boolean",
    "Request an immediate heartbeat after the function's execution: true to go on thinking or to call another "
    "function, false to yield.",
)
"""The argument of every function that chains: no part of what is asked for, so pages and repetition leave it out."""
PAGE: Final = Parameter("page", "integer", "Page of the results, counted from 0.", required=False)
"""No part of what is looked for."""
