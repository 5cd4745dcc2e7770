"""All functions of the model, in the order in which they are offered, and the tables that follow from their entries.

Rules. (1) `FUNCTIONS` is read where a table is asked for, and kept by nobody: so one entry more is all that a function
needs. (2) What an agent has is said by its state alone (`functions_of`): rendering, the check of its calls and who is
asked go by that. (3) Whoever reads a log goes by all that are known (`function_named`), since who had them is past.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from palimpsest.events.formats import Format
from palimpsest.events.functions.archival import ARCHIVAL_MEMORY_INSERT, ARCHIVAL_MEMORY_SEARCH
from palimpsest.events.functions.control import PAUSE_HEARTBEATS, SEND_MESSAGE
from palimpsest.events.functions.core_memory import CORE_MEMORY_APPEND, CORE_MEMORY_REPLACE
from palimpsest.events.functions.documents import GREP_DOCUMENTS, LIST_DOCUMENTS, OPEN_DOCUMENT
from palimpsest.events.functions.entry import HEARTBEAT, Carrier, Function, JsonType
from palimpsest.events.functions.recall import CONVERSATION_SEARCH, CONVERSATION_SEARCH_DATE
from palimpsest.events.functions.timers import CANCEL_TIMER, LIST_TIMERS, SET_TIMER
from palimpsest.events.state import State
from palimpsest.events.vocabulary import Opens

Functions = tuple[Function, ...]

FUNCTIONS: Final[Functions] = (
    SEND_MESSAGE,
    PAUSE_HEARTBEATS,
    CORE_MEMORY_APPEND,
    CORE_MEMORY_REPLACE,
    CONVERSATION_SEARCH,
    CONVERSATION_SEARCH_DATE,
    ARCHIVAL_MEMORY_INSERT,
    ARCHIVAL_MEMORY_SEARCH,
    SET_TIMER,
    CANCEL_TIMER,
    LIST_TIMERS,
    LIST_DOCUMENTS,
    OPEN_DOCUMENT,
    GREP_DOCUMENTS,
)
"""Names, parameters and meaning of the first eight are MemGPT's."""

_TOPICS: Final[Mapping[Carrier, Opens]] = {
    "kernel": "",
    "storage": "storage",
    "documents": "storage",
    "timer": "timer",
}


# --- what an agent has --------------------------------------------------------------------------------------------


def functions_of(state: State) -> Functions:
    """The functions that an agent has."""
    return given_by(state.format, sources=bool(state.sources))


def given_by(format: Format, *, sources: bool = False) -> Functions:
    """The functions of an agent that has this format; `sources`: and a source attached."""
    return _given(FUNCTIONS, format, sources)


@lru_cache(maxsize=256)
def _given(functions: Functions, format: Format, sources: bool) -> Functions:
    return tuple(f for f in functions if (sources or not f.sources) and (not f.part or f.part in format))


def named(functions: Functions, name: str) -> Function | None:
    """The one of this name."""
    return _by_name(functions).get(name)


@lru_cache(maxsize=256)
def _by_name(functions: Functions) -> Mapping[str, Function]:
    return {function.name: function for function in functions}


def topic(function: Function | None) -> Opens:
    """The part that is asked to carry a function out ("": none is)."""
    return _TOPICS[function.carrier] if function else ""


# --- what is known ------------------------------------------------------------------------------------------------


def all_functions() -> Functions:
    return FUNCTIONS


def function_named(name: str) -> Function | None:
    """What is known of a function, whoever has it (None: it is none, or a later Palimpsest's)."""
    return named(FUNCTIONS, name)


def parameter_types() -> Mapping[str, Mapping[str, JsonType]]:
    """Every function's parameters with their types: what the text of an answer is read by."""
    return _types(FUNCTIONS)


@lru_cache(maxsize=8)
def _types(functions: Functions) -> Mapping[str, Mapping[str, JsonType]]:
    return {f.name: {p.name: p.type for p in (*f.parameters, HEARTBEAT)} for f in functions}


def longest_name() -> str:
    """Stands for the name of a function whose call is not there: where a result is counted alone."""
    return _longest(FUNCTIONS)


@lru_cache(maxsize=8)
def _longest(functions: Functions) -> str:
    return max((function.name for function in functions), key=len)
