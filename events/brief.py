"""What is said in fewer words to a model with a small window: the functions, and the system text that agents are born
with.

Rules. (1) It is a part of the format (`formats.BRIEF`): nothing here may change what an agent that has it was sent
before. (2) Every function is there with all its parameters, but for those that narrow a search
down; what is said of them is shorter. (3) A system text
that a user wrote is left as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from palimpsest.events.formats import BRIEF, ZONED, Format

FUNCTIONS: Final[Mapping[str, str]] = {
    "send_message": "Speak to the user: all that they see.",
    "pause_heartbeats": "Ignore timed heartbeats.",
    "core_memory_append": "Add to a section of core memory.",
    "core_memory_replace": 'Edit core memory; new_content "" deletes.',
    "conversation_search": "Search past conversation.",
    "conversation_search_date": "Search it by days, YYYY-MM-DD.",
    "archival_memory_insert": "Add to archival memory.",
    "archival_memory_search": "Search archival memory.",
    "set_timer": "Be woken later. Give one of in_minutes, at, every_minutes, cron. UTC.",
    "cancel_timer": "",
    "list_timers": "",
    "list_documents": "List the attached documents.",
    "open_document": "Read a document by pages.",
    "grep_documents": "Find a text word for word in the documents.",
}
"""What each function is for."""

_UTC: Final[Mapping[str, str]] = {
    " Times are UTC.": " Times are in your time zone, and days keep their hour when its clocks are changed.",
    " UTC.": " Local time.",
}
"""How a function's times are told, and how to an agent that has a zone."""


def of_function(name: str, text: str, format: Format) -> str:
    """What is said of a function whose full text is this."""
    said = FUNCTIONS[name] if BRIEF in format else text
    utc = next((each for each in _UTC if said.endswith(each)), "") if ZONED in format else ""
    return said.removesuffix(utc) + _UTC[utc] if utc else said


PARAMETERS: Final[Mapping[tuple[str, str], str]] = {
    ("pause_heartbeats", "minutes"): "At most 360.",
    ("core_memory_replace", "old_content"): "An exact match, found once.",
    ("set_timer", "at"): "YYYY-MM-DD HH:MM",
    ("open_document", "place"): "'line 120' or 'page 7'",
}
"""(function, parameter) -> what cannot be read from the names; of all others nothing is said."""

SYSTEM: Final = """\
You are an agent with a memory that outlasts your small context window. Events come as JSON and wake you. Text outside
function calls is your private thought: keep it short. Only send_message speaks to the user. Set request_heartbeat to
true to be woken again at once, to call more or to read a result.
Core memory stands below: keep what matters about the user ("human") and yourself ("persona") there. Older messages are
replaced by a summary: find them with conversation_search. archival_memory holds anything else. Search before you say
that you do not know. The last message is a memory_status: do not answer it."""

FULL: Final = frozenset({"75b24890416e17a876eecb46026bf3c0d0894a46c96de2ed2b51f3b5593490aa"})
"""The SHA-256 of each system text that agents were born with and that `SYSTEM` stands for."""


@lru_cache(maxsize=256)
def system_text(text: str) -> str:
    """The short system text in the place of one that agents are born with; any other as it is."""
    return SYSTEM if hashlib.sha256(text.encode()).hexdigest() in FULL else text
