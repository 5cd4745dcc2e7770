"""Editing core memory. An edit that cannot be made changes nothing, and its error says how to mend it."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from palimpsest.events.functions.entry import SECTION, Function, Invocation, Parameter
from palimpsest.events.texts import clip
from palimpsest.events.types import Block, CoreMemoryAppended, CoreMemoryReplaced, Event

SHOWN_CHARS: Final = 400
"""An error shows so much of a section."""


def appended(value: str, text: str) -> str:
    """A block's value after an append: old text, newline, new text."""
    return f"{value}\n{text}" if value else text


def _append(asked: Invocation) -> Event:
    block, content = _block(asked), asked.text("content")
    if isinstance(block, str):
        return asked.declined(block)
    if not content:
        return asked.declined("content is empty. Write what is to be remembered.")
    if error := _too_large(asked, block, appended(block.value, content)):
        return asked.declined(error)
    return CoreMemoryAppended(call=asked.id, label=block.label, text=content)


def _replace(asked: Invocation) -> Event:
    block = _block(asked)
    if isinstance(block, str):
        return asked.declined(block)
    old, new = asked.text("old_content"), asked.text("new_content")
    if not old:
        return asked.declined(
            "old_content is empty. To add text call core_memory_append; to replace, give the exact text."
        )
    found = block.value.count(old)
    if found == 0:
        return asked.declined(
            f"old_content was not found in '{block.label}', which was not changed. It must match exactly, with case "
            f"and line breaks. The section reads now:\n{clip(block.value, SHOWN_CHARS)}"
        )
    if found > 1:
        return asked.declined(
            f"old_content was found {found} times in '{block.label}', which was not changed. Give a longer text that "
            "stands there once."
        )
    if error := _too_large(asked, block, block.value.replace(old, new, 1)):
        return asked.declined(error)
    return CoreMemoryReplaced(call=asked.id, label=block.label, old=old, new=new)


def _block(asked: Invocation) -> Block | str:
    """The section that is meant, or why there is none."""
    label, blocks = asked.text("name"), asked.state.blocks
    found = next((block for block in blocks if block.label == label), None)
    labels = ", ".join(block.label for block in blocks)
    return found or f"There is no section '{label[:40]}' in core memory. The sections are: {labels}."


def _too_large(asked: Invocation, block: Block, value: str) -> str:
    """Why the section cannot take this value ("": it can)."""
    if len(value) > block.limit:
        return (
            f"Edit failed: it exceeds the {block.limit} character limit of '{block.label}' (requested {len(value)}), "
            "which was not changed. Condense the section with core_memory_replace, or move text to archival storage "
            "with archival_memory_insert."
        )
    if len(value) <= len(block.value):
        return ""
    blocks = asked.state.blocks
    error = asked.no_room(tuple(replace(each, value=value) if each.label == block.label else each for each in blocks))
    return f"Edit failed: {error} Condense core memory, or use archival_memory_insert." if error else ""


CORE_MEMORY_APPEND: Final = Function(
    name="core_memory_append",
    description="Appends to the contents of core memory.",
    brief="Add to a section of core memory.",
    parameters=(
        Parameter("name", "string", SECTION),
        Parameter("content", "string", "Content to write to the memory."),
    ),
    at_once=_append,
    tells="content",
    remembers=CoreMemoryAppended,
)
CORE_MEMORY_REPLACE: Final = Function(
    name="core_memory_replace",
    description="Replaces the contents of core memory. To delete memories, use an empty string for new_content.",
    brief='Edit core memory; new_content "" deletes.',
    parameters=(
        Parameter("name", "string", SECTION),
        Parameter(
            "old_content",
            "string",
            "String to replace. Must be an exact match, found once.",
            brief="An exact match, found once.",
        ),
        Parameter("new_content", "string", "Content to write in its place."),
    ),
    at_once=_replace,
    tells="new_content",
    remembers=CoreMemoryReplaced,
)
