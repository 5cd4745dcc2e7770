"""Which parts of a context's format would have a server take the request that it refused, by what it said.

Rules. (1) A remedy is a ladder: the first of its parts that the agent has not is tried, one at a time. (2) Words are
taken for a refusal only where nothing else says them; `docs/servers.md` has whose they are, and where they were read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from palimpsest.events.formats import (
    ALTERNATING,
    BARE_CALLS,
    BLANK_REASONING,
    DUMMY_SIGNATURES,
    EMPTY_CONTENT,
    NO_CONTENT,
    NO_SYSTEM,
    OWN_FIELDS,
    OWN_REASONING,
    SHORT_IDS,
    TEXT_CALLS,
)

REFUSED: Final = frozenset({400, 404, 405, 409, 422, 500, 501})
"""Statuses with which servers refuse what they cannot render: chat templates fail as 500 where nobody catches it."""

_REMEDIES: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    (r"thought[_\ ]?signature", (OWN_FIELDS, OWN_REASONING, DUMMY_SIGNATURES)),
    (
        r"""reasoning(_content|_details)?[`'"]?\ .{0,60}(missing|required|must\ be\ (passed|present|provided|sent))
        | missing\ .{0,20}reasoning | expected\ `?thinking`?\ or\ `?redacted_thinking
        | thinking\ blocks?\ .{0,40}must\ be | reasoning(_content)?[`'"]?\ .{0,40}(non-empty|not\ be\ empty)""",
        (OWN_REASONING, BLANK_REASONING),
    ),
    (
        r"""roles?\ must\ alternate | must\ alternate\ between | (user|assistant)\ roles?\ .{0,60}alternat
        | roles\ .{0,40}alternat | unexpected\ role\ '?(RoleEnum\.)?(user|tool|assistant)'?\ after\ role
        | consecutive\ (user|assistant)\ (messages|roles)""",
        (ALTERNATING, TEXT_CALLS),
    ),
    (
        r"""system\ role\ (is\ )?not\ supported | system\ messages?\ (is|are)\ not\ supported
        | does\ not\ support\ system | developer\ instruction\ is\ not\ enabled
        | no\ support\ for\ system\ (messages|role|prompt)
        | (unsupported|invalid|unknown)\ role:?\ ['"]?system""",
        (NO_SYSTEM,),
    ),
    (
        r"""(?<![\w-])(tools?|tool\ (use|calls?|calling)|functions?|function[\ _]call(s|ing)?)['"]?
            \ (is|are)\ not\ (supported|enabled|available|allowed)
        | (not|n't|without)\ support\ (for\ )?(native\ )?['"]?
            (tools?\b(?!_)|tool\ use|tool[\ _-]?call|functions?\b|function[\ _-]?call)
        | support\ tool\ (use|call) | requires?\ --jinja | requires\ --enable-auto-tool-choice
        | (tool|function)\ role\ (is\ )?not\ supported
        | (unsupported|invalid|unknown|unexpected)\ role:?\ ['"]?(tool|function)
        | unsupported\ tool_call_parser | argument\ supplied:\ (tools|functions)\b | template\ .{0,40}not\ support\ tool
        | \btools\b['"]?\)?.{0,40}extra\ (inputs|fields)\ (are\ )?not\ permitted""",
        (TEXT_CALLS,),
    ),
    (r"only\ user\ and\ assistant\ roles\ are\ supported", (NO_SYSTEM, TEXT_CALLS, ALTERNATING)),
    (
        r"""ids?\ should\ be\ alphanumeric\ strings\ with\ length\ 9 | with\ a\ length\ of\ 9\b
        | duplicate\ tool.{0,8}call.{0,4}\ ids? | (tool_use|tool_call|tool\ call)`?\ ids?\ must\ be\ unique
        | same\ tool.?call.{0,4}\ ids?\ .{0,20}(twice|more\ than\ once)""",
        (SHORT_IDS,),
    ),
    (r"either\ content\ or\ tool_calls,\ but\ not\ both", (BARE_CALLS,)),
    (
        r"""content\ blocks?\ must\ be\ non-empty | empty\ content\ is\ not\ allowed | parts\ must\ not\ be\ empty
        | at\ least\ one\ parts\ field | content\ .{0,80}\b((can(not|'t)|must\ not|should\ not)\ be|is)\ empty""",
        (NO_CONTENT,),
    ),
    (
        r"""expected\ 'content'\ to\ be\ a\ string | type\ must\ be\ (string|array),\ but\ is\ null
        | content'?\ (field\ )?(must\ be|should\ be|is\ not)\ (a\ )?(valid\ )?string
        | content\ type:\ <nil> | missing\ field\ `content` | content.{0,120}(none_type|input_value=None)
        | 'NoneType'\ object | not\ "?NoneType
        | content.{0,80}\b(null|None|NoneType)\b | \b(null|None)\b.{0,40}\ content
        | invalid\ (type|value)\ for\ '?messages\[?\.?\d+\]?\.\[?content""",
        (EMPTY_CONTENT,),
    ),
)
_COMPILED: Final = tuple(
    (re.compile(words, re.VERBOSE | re.IGNORECASE | re.DOTALL), ladder) for words, ladder in _REMEDIES
)


def remedies(status: int, said: str) -> tuple[str, ...]:
    """The ladder of parts that mend this refusal; (): none is known."""
    if status not in REFUSED:
        return ()
    return next((ladder for words, ladder in _COMPILED if words.search(said)), ())


def next_step(ladder: Iterable[str], format: Iterable[str]) -> tuple[str, ...]:
    """The part to try next by an agent of this format; (): it has tried them all."""
    has = frozenset(format)
    return next(((part,) for part in ladder if part not in has), ())
