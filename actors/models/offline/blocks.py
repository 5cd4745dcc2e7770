"""Edits of core memory: the calls that turn the lines of a block into others, and what to do when one fails.

Rules. (1) Text is replaced only where it occurs once. (2) A call that failed is never made again: the next rung is
tried (replace, append, archival).
"""

from __future__ import annotations

from palimpsest.actors.models.offline.lines import MARK, holds
from palimpsest.actors.models.offline.reply import PlannedCall
from palimpsest.actors.models.offline.request import RequestView, ShownBlock
from palimpsest.events.functions import ARCHIVAL_MEMORY_INSERT, CORE_MEMORY_APPEND, CORE_MEMORY_REPLACE


def block_for(view: RequestView, label: str = "human") -> ShownBlock | None:
    """The block that a fact belongs to; without a `human` block, the first that is not the persona."""
    found = view.blocks.get(label)
    if found is None and label == "human":
        found = next((block for block in view.blocks.values() if block.label != "persona"), None)
    return found


def written(view: RequestView, block: ShownBlock | None, lines: list[str], cells: list[list[str]]) -> list[PlannedCall]:
    """The calls that turn the lines of a block into what their cells hold; the last cell holds what is added. What
    cannot be edited (this turn has tried, or there is no room) is added, and what cannot be added is archived."""
    failed = {d.name for d in view.done if not d.ok}
    archived = {d.name for d in view.done if d.name == ARCHIVAL_MEMORY_INSERT.name}
    calls: list[PlannedCall] = []
    text, room = (block.text, block.limit - len(block.text)) if block else ("", 0)
    added = list(cells[-1])
    for at in range(len(lines) - 1, -1, -1):
        if cells[at] == [lines[at]] or block is None:
            continue
        new = "\n".join(cells[at])
        if len(new) - len(lines[at]) > room:
            new = "\n".join(line for line in cells[at] if holds(line))  # rather the fact than what it was before
        if (
            failed & {CORE_MEMORY_REPLACE.name}
            or len(new) - len(lines[at]) > room
            or CORE_MEMORY_REPLACE.name not in view.tools
        ):
            added += [line for line in cells[at] if holds(line) and line != lines[at]]
            continue
        was, now, text = edit(text, at, new)
        room -= len(now) - len(was)
        calls.append(
            PlannedCall(CORE_MEMORY_REPLACE.name, {"name": block.label, "old_content": was, "new_content": now})
        )
    some = fitting(added, room) if block and not failed & {CORE_MEMORY_APPEND.name, ARCHIVAL_MEMORY_INSERT.name} else []
    if some and block and CORE_MEMORY_APPEND.name in view.tools:
        calls.append(PlannedCall(CORE_MEMORY_APPEND.name, {"name": block.label, "content": "\n".join(some)}))
    if ARCHIVAL_MEMORY_INSERT.name in view.tools and not archived:
        calls += [_to_archive(view, line) for line in added if line not in some and not line.startswith(MARK)]
    return calls


def edit(text: str, at: int, new: str) -> tuple[str, str, str]:
    """The exact old and new text of an edit of line `at`, widened until the old text occurs only once, and the text
    after it. Without `new` the line goes."""
    lines = text.split("\n")
    after = "\n".join([*lines[:at], *([new] if new else []), *lines[at + 1 :]])
    first, last = at, at
    while True:
        was = "\n".join(lines[first : last + 1])
        now = "\n".join([*lines[first:at], *([new] if new else []), *lines[at + 1 : last + 1]])
        if text.count(was) == 1 and (new or last > first or len(lines) == 1):
            return was, now, after
        if last + 1 < len(lines):
            last += 1
        elif first > 0:
            first -= 1
        else:
            return text, after, after


def _to_archive(view: RequestView, line: str) -> PlannedCall:
    return PlannedCall(
        ARCHIVAL_MEMORY_INSERT.name, {"content": f"[{view.time[:10] or 'undated'}] About the user: {line}"}
    )


def without(view: RequestView, block: ShownBlock, gone: list[int], mark: str) -> list[PlannedCall]:
    """The calls that take lines out of a block and put a mark in. Where there is no room for it others make it: what
    was before goes, and then the first lines move to archival storage."""
    lines = block.text.split("\n")
    tries = [d for d in view.done if d.name == ARCHIVAL_MEMORY_INSERT.name]
    kept = {d.arguments.get("content") for d in tries if d.ok}
    able = ARCHIVAL_MEMORY_INSERT.name in view.tools and all(d.ok for d in tries)
    need = len(block.text) + len(mark) + 1 - block.limit - sum(len(lines[at]) + 1 for at in gone)
    moved = []
    for at in sorted(set(range(len(lines))) - {*gone}, key=lambda at: (holds(lines[at]), at)):
        if need <= 0 or (not lines[at].startswith("Until ") and not (able and holds(lines[at]))):
            continue
        moved.append(at)
        need -= len(lines[at]) + 1
    moved = moved if need <= 0 else []  # there is no room for it, whatever goes
    saving = [_to_archive(view, lines[at]) for at in sorted(moved) if holds(lines[at])]
    if unsaved := [call for call in saving if call.arguments["content"] not in kept]:
        return unsaved  # what is not known to be stored stays
    out = {*gone, *moved}
    return written(view, block, lines, [[] if at in out else [each] for at, each in enumerate(lines)] + [[mark]])


def fitting(lines: list[str], room: int) -> list[str]:
    chosen = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        chosen.append(line)
    return chosen
