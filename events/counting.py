"""A request by parts, for a server that counts tokens itself: what it is to count, and its counts in the state.

Until a part is counted by the server, our own count of it stands (`store.tokens`). The LLM processor has the parts
counted before it sends a request, and the answer's event says what they have (`Counted`); a request that turns out to
be too long is not sent, and fails as an overflow.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec.structs import replace

from events.context import PER_CALL, PER_FUNCTION, PER_MESSAGE, head_wires, sent_wires, summary_message
from events.encodings import is_servers
from events.own_fields import own_texts
from events.state import State
from events.types import Counted

HEAD: Final = 0
SUMMARY: Final = -1


class Part(msgspec.Struct, frozen=True):
    """`seq` is its entry's, HEAD or SUMMARY; `texts` are what is to be counted, to which `framing` tokens come;
    `tokens` is what it is held to have by now."""

    seq: int
    texts: tuple[str, ...]
    framing: int
    tokens: int


def parts(state: State) -> tuple[Part, ...]:
    """The parts of a reply's request that stay from one to the next; none where the agent's server does not count."""
    if not is_servers(state.settings.encoding):
        return ()
    system, tools = head_wires(state)
    head = _part(HEAD, (system,), state.head_tokens)
    if tools:
        head = replace(head, texts=(*head.texts, tools.decode()), framing=head.framing + PER_FUNCTION)
    summary = [_part(SUMMARY, (summary_message(state.summary),), state.summary.tokens)] if state.summary else []
    return (head, *summary, *(_part(e.seq, sent_wires(state, e), e.tokens) for e in state.queue))


def _part(seq: int, wires: tuple[bytes, ...], tokens: int) -> Part:
    """A part of messages: each with its framing as `events.context.message_tokens` has it, its text counted as one."""
    texts, framing = [], 0
    for wire in wires:
        parsed = msgspec.json.decode(wire)
        calls = [call["function"] for call in parsed.get("tool_calls", ())]
        called = [text for function in calls for text in (function["name"], function["arguments"])]
        said = (parsed.get("content") or "", *called, parsed.get("tool_call_id", ""), *own_texts(parsed))
        texts.append("\n".join(filter(None, said)))
        framing += PER_MESSAGE + PER_CALL * len(calls)
    return Part(seq, tuple(filter(None, texts)), framing, tokens)


def compared(parts: tuple[Part, ...], tokens: list[int], held_tokens: int) -> Counted:
    """What the server's counts of the parts say of a request that was held to have `held_tokens`."""
    found = {part.seq: (part.framing + n, part.tokens) for part, n in zip(parts, tokens, strict=True)}
    other = {seq: now for seq, (now, before) in found.items() if now != before}
    return Counted(
        tokens=held_tokens + sum(now - before for now, before in found.values()),
        head=other.pop(HEAD, 0),
        summary=other.pop(SUMMARY, 0),
        entries=tuple(other.items()),
    )


def counted(state: State, event: Counted | None) -> State:
    """The state with the server's counts."""
    if event is None:
        return state
    known = dict(event.entries)
    queue = tuple(replace(e, tokens=known[e.seq]) if e.seq in known else e for e in state.queue)
    summary = replace(state.summary, tokens=event.summary) if state.summary and event.summary else state.summary
    return replace(state, queue=queue, summary=summary, head_tokens=event.head or state.head_tokens)
