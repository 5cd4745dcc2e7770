"""Forgetting at a user's word: what is asked for leaves core memory, and is not said or quoted again.

Rules. (1) The log keeps every message for ever: the answer says which ones still hold what was forgotten. (2) A line of
core memory remembers what is not to be said, by digests alone. (3) What the user says of it later is said again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from palimpsest.actors.models.offline.blocks import block_for, without
from palimpsest.actors.models.offline.facts import facts_in
from palimpsest.actors.models.offline.hush import Forgotten, about_of, forgotten, forgotten_in, secrets, statements
from palimpsest.actors.models.offline.lines import MARK, content, parsed, third
from palimpsest.actors.models.offline.pages import read_page
from palimpsest.actors.models.offline.reply import PlannedCall, ReplyPart
from palimpsest.actors.models.offline.request import RequestView, ShownMessage
from palimpsest.actors.models.offline.unsay import ForgetRequest
from palimpsest.actors.models.offline.words import alike, sentences, stems, words
from palimpsest.events.functions import ARCHIVAL_MEMORY_INSERT, CONVERSATION_SEARCH, CORE_MEMORY_REPLACE

_NAMED: Final = 3
_LONG: Final = 4
"""A number of more characters is one by itself."""
_GROUPS: Final = 8
"""So much of one message is known again."""


def _last(said: ShownMessage, earlier: Sequence[str], time: str) -> Forgotten:
    """All that one message told."""
    lines = [fact.line for fact in facts_in(said.text, earlier)]
    alone = [frozenset({each}) for line in lines for each in secrets(line)]
    groups = [told for text in (*lines, *sentences(said.text)) if len(told := content(text)) > 1][:_GROUPS]
    return Forgotten.of(time, f"what you said at {said.time or 'last'}", [*groups, *alone[:_GROUPS]])


def forget(view: RequestView, request: ForgetRequest) -> ReplyPart | None:
    """Take what is meant out of core memory, remember not to say it, and tell what the log still holds; None where
    nothing such is known and the request may be none."""
    theirs = [one for one in view.said() if one.who == "user"]
    topics = request.topics
    if not topics and not theirs:
        return ReplyPart("Nothing was said yet.", "You have told me nothing yet, so there is nothing to forget.")
    time, block = view.time or "undated", block_for(view)
    lines = block.text.split("\n") if block else []
    meant = forgotten(topics, (), time) if topics else _last(theirs[0], [s.text for s in theirs[1:4]], time)
    gone = _lines_meant(lines, meant, topics)
    done = not gone and any(each.time == time and {*meant.groups} <= {*each.groups} for each in forgotten_in(lines))
    query = " ".join(topics).strip("*")
    searched = [d for d in view.done if d.name == CONVERSATION_SEARCH.name and d.arguments.get("query") == query]
    if query and view.summary and CONVERSATION_SEARCH.name in view.tools and not (searched or done):
        call = PlannedCall(CONVERSATION_SEARCH.name, {"query": query, "page": 0})
        return ReplyPart("I look for what tells of it.", calls=(call,), waits=True)
    items = [(one.text, one.time) for one in theirs]
    items += [(i.text, i.time) for d in searched if d.ok for i in read_page(d.result).items if i.who == "user"]
    told = {at: stated for text, at in items if meant.covers(" ".join(stated := statements(text)), at)}
    if not (gone or told or done):
        nothing = f"I know nothing of “{meant.label}”, so there is nothing to forget."
        return ReplyPart("There is nothing such.", nothing) if request.certain else None
    if topics:
        saying = [[s for s in stated if meant.covers(s)] or stated for stated in told.values()]
        known = [*(_held(lines[at]) for at in gone), *(third(each) for some in saying for each in some)]
        meant = forgotten(topics, known, time)
        told |= {at: stated for text, at in items if meant.covers(" ".join(stated := statements(text)), at)}
        gone = sorted({*gone, *(at for at, line in enumerate(lines) if _gives_away(line, meant))})
    if gone and (
        CORE_MEMORY_REPLACE.name not in view.tools or any(d.name == CORE_MEMORY_REPLACE.name for d in view.failures)
    ):
        return ReplyPart(
            "I cannot edit core memory.", f"I cannot take “{meant.label}” out of my core memory: no edit is possible."
        )
    calls = without(view, block, gone, meant.line) if block and not done else []
    if calls and all(call.name == ARCHIVAL_MEMORY_INSERT.name for call in calls):
        return ReplyPart("I make room for what I am not to say.", calls=tuple(calls), waits=True)
    marked = done or any(
        MARK in str(call.arguments.get("content", call.arguments.get("new_content"))) for call in calls
    )
    return ReplyPart("The user wants something forgotten.", _told(meant, sorted(told), marked=marked), tuple(calls))


def _held(line: str) -> str:
    """What a line of core memory says, or said until some day."""
    return line.partition(": ")[2] if line.startswith("Until ") else line


def _gives_away(line: str, meant: Forgotten) -> bool:
    """Whether a line has a long number that is meant, or is about whom a name means."""
    telling = [w for w in words(line) if len(w) > _LONG and any(map(str.isdigit, w))]
    about = words(line.partition(" ")[0])
    return not line.startswith(MARK) and meant.covers(" ".join([*telling, *about]))


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


def _told(meant: Forgotten, times: list[str], *, marked: bool) -> str:
    kept = "and I will not say or quote it any more" if marked else "but there is no room to remember not to say it"
    said = f"Forgotten: “{meant.label}” is out of my core memory, {kept}."
    if not times:
        return f"{said} The log still holds the messages that told me of it."
    named = ", ".join(times[:_NAMED]) + (f" and {len(times) - _NAMED} more" if len(times) > _NAMED else "")
    return f"{said} The log still holds it: in your message{'s'[: len(times) - 1]} of {named}, and in my replies."
