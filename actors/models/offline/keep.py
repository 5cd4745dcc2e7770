"""Keeping what a user states: which core-memory calls a fact needs, what to do when one fails, what a warning saves.

Rules. (1) A line that is there already is not written again; what no longer holds is edited where it stands. (2) A
call that failed is never made again: the next rung is tried (replace, append, archival). (3) Text is replaced only
where it occurs once.
"""

from __future__ import annotations

from typing import Final

from palimpsest.actors.models.offline.blocks import block_for, fitting, written
from palimpsest.actors.models.offline.facts import Fact, facts_in, states
from palimpsest.actors.models.offline.fold import fold
from palimpsest.actors.models.offline.hush import hushed
from palimpsest.actors.models.offline.lines import holds, slot_of, spoken
from palimpsest.actors.models.offline.reply import PlannedCall, ReplyPart
from palimpsest.actors.models.offline.request import RequestView, ShownEntry
from palimpsest.actors.models.offline.summary import extract
from palimpsest.actors.models.offline.words import plain
from palimpsest.events.functions import ARCHIVAL_MEMORY_INSERT, CORE_MEMORY_APPEND

_EXTRACT_HEAD: Final = "Extract of our conversation:"
_EXTRACT_CHARS: Final = 800
_SAVED_LINES: Final = 8


def keep(view: RequestView, facts: tuple[Fact, ...]) -> ReplyPart:
    """Store what was stated, as far as this turn has not done so yet."""
    calls: list[PlannedCall] = []
    said: dict[str, list[str]] = {"Noted": [], "I have that already": []}
    mine = [str(d.arguments.get(name) or "") for d in view.done for name in ("content", "new_content")]
    for label in dict.fromkeys(fact.block for fact in facts):
        block = block_for(view, label)
        lines = block.text.split("\n") if block else []
        cells = [[line] for line in lines] + [[]]
        for fact in (each for each in facts if each.block == label):
            line = fold(cells, fact.change, view.time[:10])
            if not line:
                continue
            known = line in lines and not any(line in text for text in mine)
            told = line if label == "persona" else spoken(line)
            said["I have that already" if known else "Noted"].append(told)
        calls += written(view, block, lines, cells)
    thought = "The user told me something to keep." if calls else "What the user told me is kept."
    return ReplyPart(thought, " ".join(f"{head}: {_told(told)}" for head, told in said.items() if told), tuple(calls))


def _told(lines: list[str]) -> str:
    text = " ".join(dict.fromkeys(line for line in lines))
    return f"{text[0].lower()}{text[1:]}" if text.startswith(("You ", "Your ")) else text


def save(view: RequestView) -> tuple[PlannedCall, ...]:
    """What a memory-pressure warning makes worth saving: facts that core memory lacks, and an extract with dates."""
    entries = _users_entries(view)
    block = block_for(view)
    kept = block.text.split("\n") if block else []
    known = {said for line in kept for said in (plain(line), plain(line.partition(": ")[2]), slot_of(line))}
    cells: list[list[str]] = [[]]
    for at, entry in enumerate(entries):
        for fact in facts_in(entry.message, [e.message for e in entries[max(0, at - 3) : at]][::-1]):
            if fact.block == "human":
                fold(cells, fact.change, "")
    new = [line for line in cells[0] if holds(line) and known.isdisjoint({plain(line), slot_of(line) or line})]
    calls = []
    some = fitting(new[-_SAVED_LINES:], block.limit - len(block.text) if block else 0)
    if some and block is not None and CORE_MEMORY_APPEND.name in view.tools:
        calls.append(PlannedCall(CORE_MEMORY_APPEND.name, {"name": block.label, "content": "\n".join(some)}))
    else:
        some = []
    telling = extract([e for e in entries if not states(e.message)], _EXTRACT_CHARS)
    day = view.time[:10] or "undated"
    rest = [f"[{day}] About the user: {line}" for line in new if line not in some]
    if (telling or rest) and ARCHIVAL_MEMORY_INSERT.name in view.tools:
        content = "\n".join([_EXTRACT_HEAD, *rest, *([telling] if telling else [])])
        calls.append(PlannedCall(ARCHIVAL_MEMORY_INSERT.name, {"content": content}))
    return tuple(calls)


def _users_entries(view: RequestView) -> list[ShownEntry]:
    """What users said since the last extract that is visible, oldest first, the present message included; without
    what was asked to be forgotten."""
    entries = [view.entry] if view.entry.type == "user_message" else []
    since = view.last_call(ARCHIVAL_MEMORY_INSERT.name, _EXTRACT_HEAD)
    quiet = hushed(view)
    for said in view.said():
        if said.at <= since:
            break
        if said.who == "user" and not quiet(said.text, said.time):
            entries.append(ShownEntry(type="user_message", message=said.text, time=said.time))
    return entries[::-1]
