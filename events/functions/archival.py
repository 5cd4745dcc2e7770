"""Archival memory: adding to it, and searching it."""

from __future__ import annotations

from typing import Final

from palimpsest.events.functions.entry import PAGE, Function, Invocation, Parameter
from palimpsest.events.passages import PASSAGE_TOKENS, split
from palimpsest.events.types import ArchivalMemoryInserted, Event


def _insert(asked: Invocation) -> Event:
    text = asked.text("content")
    if not text.strip():
        return asked.declined("content is empty. Write what is to be remembered.")
    return ArchivalMemoryInserted(call=asked.id, text=text, ends=split(text, asked.count, PASSAGE_TOKENS))


ARCHIVAL_MEMORY_INSERT: Final = Function(
    name="archival_memory_insert",
    description="Adds to archival memory. Phrase it so that it can be found later.",
    brief="Add to archival memory.",
    parameters=(Parameter("content", "string", "Content to write to the memory."),),
    at_once=_insert,
    tells="content",
    remembers=ArchivalMemoryInserted,
)
ARCHIVAL_MEMORY_SEARCH: Final = Function(
    name="archival_memory_search",
    description="Searches archival memory by meaning and words.",
    brief="Search archival memory.",
    parameters=(Parameter("query", "string", "What to search for."), PAGE),
    carrier="storage",
    label="archival",
    looks_in=frozenset({"archival", "documents"}),
    finds="ranking",
)
