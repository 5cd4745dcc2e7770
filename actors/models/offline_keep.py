"""Keeping what a user states: which core-memory calls a fact needs, what to do when one fails, what a warning saves.

Rules. (1) A line that is there already is not written again; a new value of a slot replaces the exact old line. (2) A
call that failed is never made again: the next rung is tried (replace, append, archival). (3) Text is replaced only
where it occurs once.
"""

from __future__ import annotations

from typing import Final

from actors.models.offline_facts import Fact, facts_in
from actors.models.offline_lines import matching, slot_of, spoken
from actors.models.offline_reply import Call, Part
from actors.models.offline_request import Block, Done, Entry, View
from actors.models.offline_summary import extract, take
from actors.models.offline_words import plain

_LADDER: Final = ("core_memory_replace", "core_memory_append", "archival_memory_insert")
_EXTRACT_HEAD: Final = "Extract of our conversation:"
_EXTRACT_CHARS: Final = 800
_SAVED_LINES: Final = 8


def block_for(view: View, fact: Fact) -> Block | None:
    """The block that a fact belongs to; without a `human` block, the first that is not the persona."""
    found = view.blocks.get(fact.block)
    if found is None and fact.block == "human":
        found = next((block for block in view.blocks.values() if block.label != "persona"), None)
    return found


def keep(view: View, facts: tuple[Fact, ...]) -> Part:
    """Store (or remove) what was stated, as far as this turn has not done so yet."""
    calls: list[Call] = []
    said: list[str] = []
    appended: dict[str, list[str]] = {}
    room = {label: block.limit - len(block.text) for label, block in view.blocks.items()}
    for fact in facts:
        if fact.forget:
            removed, words = _forget(view, fact)
            calls += removed
            said.append(words)
            continue
        rung, old = _rung(view, fact, room)
        block = block_for(view, fact)
        words = _kept(view, fact, known=rung == "known")
        if rung == "core_memory_replace" and block is not None:
            was, now = _edit(block, old, fact.line)
            calls.append(Call(rung, {"name": block.label, "old_content": was, "new_content": now}))
            words = f"{words} I replaced: “{old}”"
        elif rung == "core_memory_append" and block is not None:
            appended.setdefault(block.label, []).append(fact.line)
            room[block.label] -= len(fact.line) + 1
        elif rung == "archival_memory_insert":
            calls.append(_to_archive(view, fact))
        said.append(words)
    calls += [Call("core_memory_append", {"name": n, "content": "\n".join(lines)}) for n, lines in appended.items()]
    thought = "The user told me something to keep." if calls else "What the user told me is kept."
    return Part(thought, " ".join(dict.fromkeys(words for words in said if words)), tuple(calls))


def _kept(view: View, fact: Fact, *, known: bool) -> str:
    new = not known or any(fact.line in text for d in view.done for text in _written(d))
    if fact.block == "persona":
        return f"Noted. {fact.line}" if new else f"I have that already. {fact.line}"
    said = spoken(fact.line)
    if not new:
        return f"I have that already: {said[0].lower()}{said[1:]}"
    return f"Noted: {said[0].lower()}{said[1:]}" if said[0].isalpha() else f"Noted: {said}"


def _written(done: Done) -> tuple[str, ...]:
    return tuple(v for k in ("content", "new_content") if isinstance(v := done.arguments.get(k), str))


def _rung(view: View, fact: Fact, room: dict[str, int]) -> tuple[str, str]:
    """How to keep a fact now ("known": it is kept; "": nothing is left to try), and the line it replaces."""
    block = block_for(view, fact)
    tried = {d.name for d in view.done if not d.ok and any(fact.line in text for text in _written(d))}
    if any(d.ok and any(fact.line in text for text in _written(d)) for d in view.done):
        return "known", ""
    lines = block.text.splitlines() if block else []
    if any(plain(line) == plain(fact.line) for line in lines):
        return "known", ""
    old = _superseded(lines, fact)
    for name in _LADDER:
        if name in tried or name not in view.tools:
            continue
        if name == "core_memory_replace":
            fits = bool(old) and len(fact.line) - len(old) <= room.get(block.label if block else "", 0)
        elif name == "core_memory_append":
            fits = block is not None and (not old or bool(tried)) and len(fact.line) + 1 <= room[block.label]
        else:
            fits = True
        if fits and not (name != _LADDER[-1] and _LADDER[-1] in tried):
            return name, old
    return "", old


def _superseded(lines: list[str], fact: Fact) -> str:
    """The line that cannot hold beside a fact; the last, if there are more."""
    slot = slot_of(fact.line)
    same = [line for line in lines if slot and slot_of(line) == slot]
    if not same and fact.corrects:
        head = fact.line.partition(" called ")[0]
        same = [line for line in lines if " called " in fact.line and line.partition(" called ")[0] == head]
    return same[-1] if same else ""


def _edit(block: Block, old: str, new: str) -> tuple[str, str]:
    """The exact old and new text of an edit, widened until the old text occurs only once in the block."""
    text, lines = block.text, block.text.split("\n")
    at = len(lines) - 1 - lines[::-1].index(old) if old in lines else -1
    before = lines[at - 1] if at > 0 else None
    after = lines[at + 1] if 0 <= at < len(lines) - 1 else None
    if not new:
        pairs = [(f"{old}\n", "") if after is not None else (f"\n{old}", "") if before is not None else (old, "")]
    else:
        pairs = [(old, new)]
    if after is not None:
        pairs.append((f"{old}\n{after}", f"{new}\n{after}" if new else after))
    if before is not None:
        pairs.append((f"{before}\n{old}", f"{before}\n{new}" if new else before))
    pairs.append((text, "\n".join([*lines[:at], *([new] if new else []), *lines[at + 1 :]])))
    return next((pair for pair in pairs if text.count(pair[0]) == 1), pairs[0])


def _to_archive(view: View, fact: Fact) -> Call:
    return Call("archival_memory_insert", {"content": f"[{view.time[:10] or 'undated'}] About the user: {fact.line}"})


# --- forgetting -------------------------------------------------------------------------------------------------


def _forget(view: View, fact: Fact) -> tuple[list[Call], str]:
    done = [d for d in view.done if d.name == "core_memory_replace" and d.arguments.get("new_content") in ("", None)]
    if any(d.ok for d in done):
        return [], "Forgotten: I took it out of my core memory. (The conversation itself stays in recall.)"
    block = block_for(view, fact)
    if block is None or done or "core_memory_replace" not in view.tools:
        return [], "I could not take that out of my core memory."
    if plain(fact.line) in ("everything", "everything about me", "all", "me", "all about me") and block.text:
        return [Call("core_memory_replace", _replacing(block, block.text, ""))], (
            "Forgotten: my core memory of you is empty now. (The conversation itself stays in recall.)"
        )
    lines = matching([line for line in block.text.splitlines() if line.strip()], fact.line)
    if not lines:
        return [], f"My core memory holds nothing like “{fact.line}”, so there is nothing to remove."
    was, now = _edit(block, lines[-1], "")
    return [Call("core_memory_replace", _replacing(block, was, now))], (
        f"Forgotten: “{lines[-1]}” is out of my core memory. (The conversation itself stays in recall.)"
    )


def _replacing(block: Block, old: str, new: str) -> dict[str, str | int | float | bool]:
    return {"name": block.label, "old_content": old, "new_content": new}


# --- memory pressure --------------------------------------------------------------------------------------------


def save(view: View) -> tuple[Call, ...]:
    """What a memory-pressure warning makes worth saving: facts that core memory lacks, and an extract with dates."""
    entries = _users_entries(view)
    lines: list[str] = []
    for entry in entries:
        for fact in facts_in(entry.message):
            if fact.block == "human":
                lines = take(lines, fact)
    block = block_for(view, Fact(""))
    kept = block.text.splitlines() if block else []
    known = {plain(line) for line in kept} | {slot_of(line) for line in kept}
    fresh = [line for line in lines if plain(line) not in known and (slot_of(line) or line) not in known]
    room = block.limit - len(block.text) if block else 0
    fitting = _fitting(fresh[-_SAVED_LINES:], room)
    calls = []
    if fitting and block is not None and "core_memory_append" in view.tools:
        calls.append(Call("core_memory_append", {"name": block.label, "content": "\n".join(fitting)}))
    else:
        fitting = []
    telling = extract([e for e in entries if not facts_in(e.message)], _EXTRACT_CHARS)
    rest = [f"About the user: {line}" for line in fresh if line not in fitting]
    if (telling or rest) and "archival_memory_insert" in view.tools:
        content = "\n".join([_EXTRACT_HEAD, *rest, *([telling] if telling else [])])
        calls.append(Call("archival_memory_insert", {"content": content}))
    return tuple(calls)


def _fitting(lines: list[str], room: int) -> list[str]:
    chosen = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        chosen.append(line)
    return chosen


def _users_entries(view: View) -> list[Entry]:
    """What users said since the last extract that is visible, oldest first, the present message included."""
    entries = [view.entry] if view.entry.type == "user_message" else []
    since = view.last_call("archival_memory_insert", _EXTRACT_HEAD)
    for said in view.said():
        if said.at <= since:
            break
        if said.who == "user":
            entries.append(Entry(type="user_message", message=said.text, time=said.time))
    return entries[::-1]
