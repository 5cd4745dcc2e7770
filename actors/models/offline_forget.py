"""Forgetting at a user's word: what is asked for leaves core memory, and is not said or quoted again.

Rules. (1) The log keeps every message for ever: the answer says which ones still hold what was forgotten. (2) A line of
core memory remembers what is not to be said, by digests alone. (3) What the user says of it later is said again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from actors.models.offline_blocks import block_for, without
from actors.models.offline_facts import facts_in
from actors.models.offline_hush import MARK, Forgotten, about_of, forgotten, forgotten_in, secrets, statements
from actors.models.offline_lines import content, parsed, third
from actors.models.offline_pages import read_page
from actors.models.offline_reply import Call, Part
from actors.models.offline_request import Said, View
from actors.models.offline_unsay import Request
from actors.models.offline_words import alike, sentences, stems, words

_NAMED: Final = 3


def _last(said: Said, earlier: Sequence[str], time: str) -> Forgotten:
    """All that one message told."""
    lines = [fact.line for fact in facts_in(said.text, earlier)]
    alone = [frozenset({each}) for line in lines for each in secrets(line)]
    groups = [content(text) for text in (*lines, *sentences(said.text))]
    return Forgotten.of(time, f"what you said at {said.time or 'last'}", [*groups, *alone])


def forget(view: View, request: Request) -> Part | None:
    """Take what is meant out of core memory, remember not to say it, and tell what the log still holds; None where
    nothing such is known and the request may be none."""
    theirs = [one for one in view.said() if one.who == "user"]
    topics = request.topics
    if not topics and not theirs:
        return Part("Nothing was said yet.", "You have told me nothing yet, so there is nothing to forget.")
    time, block = view.time or "undated", block_for(view)
    lines = block.text.split("\n") if block else []
    meant = forgotten(topics, (), time) if topics else _last(theirs[0], [s.text for s in theirs[1:4]], time)
    done = any(each.time == time and set(meant.groups) <= set(each.groups) for each in forgotten_in(lines))
    query = " ".join(topics).strip("*")
    searched = [d for d in view.done if d.name == "conversation_search" and d.arguments.get("query") == query]
    if query and view.summary and "conversation_search" in view.tools and not (searched or done):
        call = Call("conversation_search", {"query": query, "page": 0})
        return Part("I look for what tells of it.", calls=(call,), waits=True)
    items = [(one.text, one.time) for one in theirs]
    items += [(i.text, i.time) for d in searched if d.ok for i in read_page(d.result).items if i.who == "user"]
    told = {at: stated for text, at in items if meant.covers(" ".join(stated := statements(text)), at)}
    gone = _lines_meant(lines, meant, topics)
    if not (gone or told or done):
        nothing = f"I know nothing of “{meant.label}”, so there is nothing to forget."
        return Part("There is nothing such.", nothing) if request.certain else None
    if topics:
        saying = [[s for s in stated if meant.covers(s)] or stated for stated in told.values()]
        known = [*(_held(lines[at]) for at in gone), *(third(each) for some in saying for each in some)]
        meant = forgotten(topics, known, time)
        told |= {at: stated for text, at in items if meant.covers(" ".join(stated := statements(text)), at)}
        gone = sorted({*gone, *(at for at, line in enumerate(lines) if _gives_away(line, meant))})
    calls = without(view, block, gone, meant.line) if block and not done else []
    return Part("The user wants something forgotten.", _told(meant, sorted(told)), tuple(calls))


def _held(line: str) -> str:
    """What a line of core memory says, or said until some day."""
    return line.partition(": ")[2] if line.startswith("Until ") else line


def _gives_away(line: str, meant: Forgotten) -> bool:
    """Whether a line has a number or a name that is meant."""
    telling = [word for word in words(line) if word[0].isupper() or any(map(str.isdigit, word))]
    return not line.startswith(MARK) and meant.covers(" ".join(telling))


def _lines_meant(lines: list[str], meant: Forgotten, topics: Sequence[str]) -> list[int]:
    """The lines that are meant: where some are about a topic, no others that only mention it."""
    found = [at for at, line in enumerate(lines) if line and not line.startswith(MARK) and meant.covers(line)]
    about = [frozenset(map(alike, about_of(topic))) for topic in topics if topic != "*"]
    own = [
        at
        for at in found
        if (told := parsed(_held(lines[at])))
        and told["who"] != "They"
        and any(each <= frozenset(map(alike, stems(told["who"]))) for each in about)
    ]
    return own or found


def _told(meant: Forgotten, times: list[str]) -> str:
    said = f"Forgotten: “{meant.label}” is out of my core memory, and I will not say or quote it any more."
    if not times:
        return f"{said} The log still holds the messages that told me of it."
    named = ", ".join(times[:_NAMED]) + (f" and {len(times) - _NAMED} more" if len(times) > _NAMED else "")
    return f"{said} The log still holds it: in your message{'s'[: len(times) - 1]} of {named}, and in my replies."
