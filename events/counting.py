"""A request by parts, for a server that counts tokens itself: what it is to count, and its counts in the state.

Until a part is counted by the server, our own count of it stands (`store.tokens.counting`). The LLM processor has the
parts counted before it sends a request, and the answer's event says what they have (`Counted`); a request that turns
out to be too long is not sent, and fails as an overflow.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec
from msgspec.structs import replace

from palimpsest.events.context import PER_CALL, PER_FUNCTION, PER_MESSAGE, head_wires, sent_wires, summary_message
from palimpsest.events.encodings import is_servers
from palimpsest.events.own_fields import own_texts
from palimpsest.events.state import UNCOUNTED, State
from palimpsest.events.types import Counted

HEAD: Final = -1
SUMMARY: Final = -2


class CountedPart(msgspec.Struct, frozen=True):
    """`place` is its entry's in the queue, HEAD or SUMMARY; `texts` are what is to be counted, to which `framing`
    tokens come; `tokens` is what it is held to have by now."""

    place: int
    texts: tuple[str, ...]
    framing: int
    tokens: int


def parts(state: State) -> tuple[CountedPart, ...]:
    """The parts of a reply's request that stay from one to the next; none where the agent's server does not count."""
    if not is_servers(state.settings.encoding):
        return ()
    system, tools = head_wires(state)
    head = CountedPart(HEAD, *_texts((system,)), state.head_tokens)
    if tools:
        head = replace(head, texts=(*head.texts, tools.decode()), framing=head.framing + PER_FUNCTION)
    made = [head]
    if state.summary:
        made.append(CountedPart(SUMMARY, *_texts((summary_message(state.summary),)), state.summary.tokens))
    made += [CountedPart(n, *_texts(sent_wires(state, each)), each.tokens) for n, each in enumerate(state.queue)]
    return tuple(made)


@lru_cache(maxsize=4096)
def _texts(wires: tuple[bytes, ...]) -> tuple[tuple[str, ...], int]:
    """What of messages is to be counted, each one's text as one, and their framing as `events.context` has it."""
    texts, framing = [], 0
    for wire in wires:
        parsed = msgspec.json.decode(wire)
        calls = [call["function"] for call in parsed.get("tool_calls", ())]
        called = [text for function in calls for text in (function["name"], function["arguments"])]
        said = (parsed.get("content") or "", *called, parsed.get("tool_call_id", ""), *own_texts(parsed))
        texts.append("\n".join(filter(None, said)))
        framing += PER_MESSAGE + PER_CALL * len(calls)
    return tuple(filter(None, texts)), framing


def compared(parts: tuple[CountedPart, ...], counts: Sequence[int | None], held_tokens: int) -> Counted | None:
    """What the server's counts of the parts' texts say of a request that was held to have `held_tokens`. A text that it
    did not count leaves its part as it was; None: it counted none."""
    each, found = iter(counts), {}
    for part in parts:
        tokens = [next(each) for _ in part.texts]
        known = [n for n in tokens if n is not None]
        if len(known) == len(tokens):
            found[part.place] = (part.framing + sum(known), part.tokens)
    if not found:
        return None
    other = {place: now for place, (now, before) in found.items() if now != before}
    return Counted(
        tokens=held_tokens + sum(now - before for now, before in found.values()),
        head=other.pop(HEAD, 0),
        summary=other.pop(SUMMARY, 0),
        entries=tuple(other.items()),
    )


def counted(state: State, event: Counted | None) -> State:
    """The state with the server's counts; what has no count (any more) is another than was asked for, and gets none."""
    if event is None:
        return state
    known = dict(event.entries)
    queue = tuple(
        replace(entry, tokens=known[place]) if place in known and entry.tokens != UNCOUNTED else entry
        for place, entry in enumerate(state.queue)
    )
    summary = state.summary
    if summary and event.summary and summary.tokens != UNCOUNTED:
        summary = replace(summary, tokens=event.summary)
    head_tokens = event.head if event.head and state.head_tokens != UNCOUNTED else state.head_tokens
    return replace(state, queue=queue, summary=summary, head_tokens=head_tokens)
