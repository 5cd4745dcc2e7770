"""Forgetting at a user's word: what is asked for leaves core memory, and is not said or quoted again.

Rules. (1) The log keeps every message for ever: the answer says which ones still hold what was forgotten. (2) A line of
core memory remembers what is not to be said, by digests alone. (3) What the user says of it later is said again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from actors.models.offline_asks import is_question
from actors.models.offline_blocks import block_for, without
from actors.models.offline_facts import facts_in
from actors.models.offline_hush import Forgotten, about_of, forgotten, forgotten_in, secrets, topic_of
from actors.models.offline_lines import content, parsed, third
from actors.models.offline_pages import read_page
from actors.models.offline_reply import Call, Part
from actors.models.offline_request import Said, View
from actors.models.offline_words import alike, sentences, stems

_NAMED: Final = 3


def _last(said: Said, earlier: Sequence[str], time: str) -> Forgotten:
    """All that one message told."""
    lines = [fact.line for fact in facts_in(said.text, earlier)]
    alone = [frozenset({each}) for line in lines for each in secrets(line)]
    groups = [content(text) for text in (*lines, *sentences(said.text))]
    return Forgotten.of(time, f"what you said at {said.time or 'last'}", [*groups, *alone])


def forget(view: View, topic: str) -> Part:
    """Take what is meant out of core memory, remember not to say it, and tell what the log still holds."""
    theirs = [one for one in view.said() if one.who == "user"]
    if not topic and not theirs:
        return Part("Nothing was said yet.", "You have told me nothing yet, so there is nothing to forget.")
    time, block = view.time or "undated", block_for(view)
    lines = block.text.split("\n") if block else []
    meant = forgotten(topic, (), time) if topic else _last(theirs[0], [s.text for s in theirs[1:4]], time)
    done = any(each.time == time and meant.groups[0] in each.groups for each in forgotten_in(lines))
    searched = [d for d in view.done if d.name == "conversation_search" and d.arguments.get("query") == topic]
    if not (searched or done) and topic.strip("*") and view.summary and "conversation_search" in view.tools:
        call = Call("conversation_search", {"query": topic, "page": 0})
        return Part("I look for what tells of it.", calls=(call,), waits=True)
    items = [(one.text, one.time) for one in theirs]
    items += [(i.text, i.time) for d in searched if d.ok for i in read_page(d.result).items if i.who == "user"]
    told = {
        at: text for text, at in items if not is_question(text) and topic_of(text) is None and meant.covers(text, at)
    }
    gone = _lines_meant(lines, meant, topic)
    if not (gone or told or done):
        return Part("There is nothing such.", f"I know nothing of “{meant.label}”, so there is nothing to forget.")
    if topic:
        meant = forgotten(topic, [*(lines[at] for at in gone), *map(third, told.values())], time)
        told |= {at: text for text, at in items if meant.covers(text, at) and topic_of(text) is None}
    calls = without(view, block, gone, meant.line) if block and not done else []
    return Part("The user wants something forgotten.", _told(meant, sorted(told)), tuple(calls))


def _lines_meant(lines: list[str], meant: Forgotten, topic: str) -> list[int]:
    """The lines that a topic means: where some are about it, no others that only mention it."""
    found = [
        at for at, line in enumerate(lines) if line and not line.startswith("Asked to forget") and meant.covers(line)
    ]
    about = frozenset(map(alike, about_of(topic)))
    own = [
        at
        for at in found
        if (told := parsed(lines[at])) and told["who"] != "They" and about <= frozenset(map(alike, stems(told["who"])))
    ]
    return own if own and about else found


def _told(meant: Forgotten, times: list[str]) -> str:
    said = f"Forgotten: “{meant.label}” is out of my core memory, and I will not say or quote it any more."
    if not times:
        return f"{said} The log still holds the messages that told me of it."
    named = ", ".join(times[:_NAMED]) + (f" and {len(times) - _NAMED} more" if len(times) > _NAMED else "")
    return f"{said} The log still holds it: in your message{'s'[: len(times) - 1]} of {named}, and in my replies."
