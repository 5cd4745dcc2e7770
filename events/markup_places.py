"""Where calls begin and end in a text, and what may still become a tag.

Rule: what is said of a text that still grows holds however it goes on: `may_be_calls` and `is_begun` are true of every
beginning of what they look for.
"""

from __future__ import annotations

import re
from typing import Final

from palimpsest.events.markup_calls import SELF_CLOSED, Functions, Unreadable, calls_in, function_name, json_end
from palimpsest.events.markup_forms import TAGS, Tag

ENDS_TRIED: Final = 16
"""A closing tag may stand in an argument: so many are tried as the end of a call."""
LONGEST: Final = max(len(tag.text) for tag in TAGS)
"""No tag has more characters."""
_BY_FIRST: Final = {char: tuple(t.text for t in TAGS if t.text[0] == char) for char in {t.text[0] for t in TAGS}}
_OBJECT: Final = re.compile(
    r'\{\s*"(?:name|tool_name|function_name|recipient_name|tool|function|type|id|tool_calls|tool_uses|function_call'
    r'|arguments|parameters|args)"\s*:'
)
_NAME: Final = re.compile(
    r'"(?:name|tool_name|tool|function)"\s*:\s*"([\w.:-]+)"|<function=([\w.:-]+)|\bname="([\w.:-]+)"|^\s*([\w.:-]+)'
)
_CALLED: Final = re.compile(r"\s*\[\s*[\w.]+\(")
_KEY_CHARS: Final = 24
"""No key by which a call is known is longer."""


def beginning(text: str, at: int) -> int:
    """How many characters at the end may be the beginning of a tag."""
    for start in range(max(at, len(text) - LONGEST + 1), len(text)):
        if any(tag.startswith(text[start:]) for tag in _BY_FIRST.get(text[start], ())):
            return len(text) - start
    return 0


def is_begun(text: str) -> bool:
    """Whether a text is the beginning of a longer tag."""
    tags = _BY_FIRST.get(text[0], ()) if len(text) < LONGEST else ()
    return any(tag.startswith(text) and len(tag) > len(text) for tag in tags)


def opening(text: str, at: int) -> int:
    """The end of a tag that begins a thought and stands here (0: none does)."""
    start = skip(text, at)
    return next((start + len(t.text) for t in TAGS if t.kind == "thinks" and text.startswith(t.text, start)), 0)


def first_of(texts: tuple[str, ...], text: str, at: int) -> int:
    """Where the first of these texts stands (-1: nowhere)."""
    return min((place for each in texts if (place := text.find(each, at)) >= 0), default=-1)


def skip(text: str, at: int) -> int:
    """Past white space."""
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def named_in(body: str, functions: Functions) -> str:
    """The agent's function that a broken call names ("": none)."""
    found = _NAME.search(body)
    named = next((group for group in found.groups() if group), "") if found else ""
    name = function_name(named, functions)
    return name if name in functions else ""


def are_calls(body: str, functions: Functions) -> bool:
    """Whether a text is calls of the agent's functions, and nothing else."""
    try:
        calls = calls_in(body, functions)
    except Unreadable:
        return False
    return all(call.name in functions for call in calls)


def may_be_calls(text: str, functions: Functions) -> bool:
    """Whether a text that still grows may turn out to be calls without a tag: JSON, or Python."""
    text = text.lstrip().removeprefix("[").lstrip()
    if not text:
        return True
    if text[0] == "{":
        inner = text[1:].lstrip()
        undecided = ":" not in inner and len(inner) < _KEY_CHARS
        return not inner or (inner[0] == '"' and (undecided or _OBJECT.match(text) is not None))
    name = re.match(r"[\w.]+", text)
    if name is None:
        return False
    if name.end() == len(text):
        last = name[0].rpartition(".")[2]
        return any(known.startswith(last) for known in functions)
    return text[name.end()] == "(" and function_name(name[0], functions) in functions


def bare_end(text: str, at: int, functions: Functions) -> int:
    """Where calls without a tag end that begin here; `at`: there are none."""
    end = json_end(text, at)
    if end > at and are_calls(text[at:end], functions):
        return end
    if are_calls(text[at:], functions):
        return len(text)
    return len(text) if end == at and are_broken_calls(text[at:], functions) else at


def are_broken_calls(text: str, functions: Functions) -> bool:
    """Whether a text that cannot be read begins as a call of one of the agent's functions does."""
    begins = _OBJECT.match(text.lstrip("[ \n\t")) or _CALLED.match(text)
    return begins is not None and bool(named_in(text.lstrip("[ \n\t")[:300], functions))


def ends(text: str, tag: Tag, start: int, from_: int) -> list[tuple[int, int]]:
    """Where a call's body may end, and where to go on: behind its JSON, at a closing tag, the next call, or the end."""
    places: list[tuple[int, int]] = []
    if tag.inner and (alone := SELF_CLOSED.match(text, start)):
        places.append((alone.end(), alone.end()))
    begin = skip(text, start)
    after = json_end(text, begin)
    if after > begin:
        close = next((each for each in tag.closes if text.startswith(each, skip(text, after))), "")
        if close or not tag.closes or text.startswith(tag.text, skip(text, after)):
            places.append((after, skip(text, after) + len(close) if close else after))
    closes = re.compile("|".join(re.escape(close) for close in (*tag.closes, tag.text)))
    for found in closes.finditer(text, from_):
        own = found[0] in tag.closes
        places.append((found.end() if own and tag.inner else found.start(), found.end() if own else found.start()))
        if len(places) == ENDS_TRIED:
            break
    return [*places, (len(text), len(text))]
