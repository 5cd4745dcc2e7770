"""A context window by its parts: tokens as the log has counted them, and its messages in words.

Rule: what the log has no count of is not counted here (that takes a tokenizer): it is said to be uncounted, unless the
events that follow the state have the count.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from palimpsest.events.codec import decode
from palimpsest.events.context import PRIMING, Count, measure, system_message, with_margin, without_margin
from palimpsest.events.envelope import Envelope
from palimpsest.events.evolve import evolve
from palimpsest.events.servers import summarizer
from palimpsest.events.state import UNCOUNTED, Entry, State
from palimpsest.events.types import InferenceRequested

KINDS: Final = {"input": "inputs", "alert": "alerts", "assistant": "agent's own", "tool": "function results"}
HEAD: Final = "system text, core memory, functions"
SUMMARY: Final = "recursive summary"
STATUS: Final = "memory status"
FRAMING: Final = "framing"
REQUEST: Final = "a summary's request"
PARTS: Final = (REQUEST, HEAD, SUMMARY, *(f"queue: {name}" for name in KINDS.values()), STATUS, FRAMING)
"""The names of a window's parts, in the order of its messages."""


class Share(msgspec.Struct, frozen=True):
    """A part of a window: its messages and their tokens, without the margin, and how many of them have no count."""

    name: str
    messages: int
    tokens: int
    uncounted: int = 0


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A window by its parts. `total_tokens` has the margin; where something is uncounted, it is the least."""

    shares: tuple[Share, ...]
    total_tokens: int

    @property
    def uncounted(self) -> int:
        return sum(share.uncounted for share in self.shares)


def window(state: State, asked: InferenceRequested | None = None, count: Count | None = None) -> Window:
    """The window at a state. `asked`: the inference that is open there, whose count it then is; `count`: a tokenizer
    for what the log has no count of."""
    if asked and asked.purpose == "summary":
        tokens = without_margin(asked.tokens, summarizer(state.settings))
        return Window(shares=(Share(REQUEST, 2, tokens),), total_tokens=asked.tokens)
    entries = tuple(entry.tokens for entry in state.queue)
    summary = state.summary.tokens if state.summary else 0
    if asked:
        recorded = without_margin(asked.tokens, state.settings)
        status = recorded - PRIMING - state.head_tokens - summary - sum(entries)
        return Window(shares=_parts(state, state.head_tokens, summary, entries, status), total_tokens=asked.tokens)
    if count:
        counted = measure(state, count)
        shares = _parts(state, counted.head, counted.summary, counted.entries, counted.status)
        return Window(shares=shares, total_tokens=with_margin(counted.total, state.settings))
    shares = _parts(state, state.head_tokens, summary, entries, UNCOUNTED)
    return Window(shares=shares, total_tokens=with_margin(sum(share.tokens for share in shares), state.settings))


def _parts(state: State, head: int, summary: int, entries: tuple[int, ...], status: int) -> tuple[Share, ...]:
    shares = [_share(HEAD, (head,))]
    if state.summary:
        shares.append(_share(SUMMARY, (summary,)))
    for kind, name in KINDS.items():
        tokens = tuple(n for entry, n in zip(state.queue, entries, strict=True) if entry.kind == kind)
        if tokens:
            shares.append(_share(f"queue: {name}", tokens))
    return (*shares, _share(STATUS, (status,)), Share(FRAMING, 0, PRIMING))


def _share(name: str, tokens: tuple[int, ...]) -> Share:
    known = [n for n in tokens if n != UNCOUNTED]
    return Share(name, len(tokens), sum(known), len(tokens) - len(known))


def with_recorded(state: State, later: Iterable[Envelope]) -> State:
    """The state with the counts that its own entries got afterwards: the next request for a reply records them.

    `later` are the events that follow it; none is read beyond that request. A context does not hang on counts.
    """
    ahead = state
    for envelope in later:
        event = decode(envelope)
        ahead = evolve(ahead, envelope, event)
        if _counts_hang_on(ahead) != _counts_hang_on(state):
            return state
        if isinstance(event, InferenceRequested) and event.purpose == "reply":
            return _filled(state, ahead)
    return state


def _counts_hang_on(state: State) -> tuple[object, ...]:
    settings = state.settings
    return settings.encoding, settings.model, settings.base_url, state.format


def _filled(state: State, ahead: State) -> State:
    tokens = {(entry.seq, entry.wire): entry.tokens for entry in ahead.queue}
    queue = tuple(
        replace(each, tokens=tokens.get((each.seq, each.wire), UNCOUNTED)) if each.tokens == UNCOUNTED else each
        for each in state.queue
    )
    same = system_message(state) == system_message(ahead) and bool(state.sources) == bool(ahead.sources)
    head = ahead.head_tokens if state.head_tokens == UNCOUNTED and same else state.head_tokens
    return replace(state, queue=queue, head_tokens=head)


# --- messages in words --------------------------------------------------------------------------------------------


def gist(entry: Entry) -> tuple[str, str]:
    """A queue's message in words: whose it is, and what it says, whole."""
    parsed = msgspec.json.decode(entry.wire, type=dict[str, Any])
    content = parsed.get("content") or ""
    if parsed["role"] == "assistant":
        calls = [
            f"{call['function']['name']}({call['function']['arguments']})" for call in parsed.get("tool_calls", ())
        ]
        return "agent", " | ".join([*calls, *([content] if content else [])])
    return in_words(content)


def in_words(package: str) -> tuple[str, str]:
    """The same of a package, an input's or a result's."""
    try:
        fields = msgspec.json.decode(package, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError):
        return "user", package
    if "status" in fields:
        return "result", f"{fields['status']}: {fields.get('message', '')}"
    kind = str(fields.pop("type", "user"))
    fields.pop("time", None)
    message = fields.pop("message", None)
    who = str(fields.pop("name", "user")) if kind == "user_message" else _WHO.get(kind, kind)
    rest = ", ".join(f"{name}: {value}" for name, value in fields.items() if value)
    return who, ", ".join(str(text) for text in (message, rest) if text)


_WHO: Final = {"system_alert": "alert"}
