"""`context`: an agent's context window as it was at any event, its tokens by part, and the very bytes of the request.

Rule: counts that the log has recorded are shown, not made again. What it has no count of is said to be uncounted, or
counted on request: that takes the tokenizer, whose tables are half a second's work.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from typing import Any, Final

import click
import msgspec

from palimpsest.console.describe import call_text
from palimpsest.console.options import bundle_option
from palimpsest.console.show import Page, Part, one_line, printable
from palimpsest.events.codec import decode
from palimpsest.events.context import Count, open_request
from palimpsest.events.debug.window import Share, window, with_recorded
from palimpsest.events.servers import summarizer
from palimpsest.events.state import Phase, State
from palimpsest.events.types import InferenceRequested, Settings
from palimpsest.questions.streams import CHUNK, agent_head, check_event, reading, unprovable
from palimpsest.store.logs.contract import LogReader
from palimpsest.store.logs.states import load


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A context window. `asked` is the seq of the event that asked for it (0: it was not asked for at this seq).

    `total_tokens` has the margin, and is the least where messages are `uncounted`. `proved`: the bytes have the
    fingerprint that the log recorded (None: none to hold them against).
    """

    agent: str
    seq: int
    asked: int
    purpose: str
    settings: Settings
    shares: tuple[Share, ...]
    total_tokens: int
    uncounted: int
    request: bytes
    proved: bool | None
    redacted: bool = False
    """Text in it was masked, so that it cannot have the fingerprint."""

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.request).hexdigest()

    @property
    def free_tokens(self) -> int:
        return self.settings.window_tokens - self.settings.reserve_tokens - self.total_tokens


LOOK_AHEAD: Final = 200
"""So many events after a state are looked through for the counts of its messages."""


def lazy_count(encoding: str, text: str) -> int:
    """`store.tokens.counting.count`, whose tables are loaded (half a second) only where something has to be counted."""
    from palimpsest.store.tokens.counting import count

    return count(encoding, text)


def view(state: State, count: Count | None, asked: tuple[int, InferenceRequested] | None = None) -> View:
    """The window at a state. `asked`: the seq and event of the inference that is open there, if one is; `count`: what
    counts what has no count."""
    request = open_request(state)
    seq, event = asked or (0, None)
    purpose = event.purpose if event else "reply"
    parts = window(state, event, count)
    return View(
        agent=state.agent,
        seq=state.seq,
        asked=seq,
        purpose=purpose,
        settings=summarizer(state.settings) if purpose == "summary" else state.settings,
        shares=parts.shares,
        total_tokens=parts.total_tokens,
        uncounted=parts.uncounted,
        request=request,
        proved=hashlib.sha256(request).digest() == event.fingerprint if event else None,
    )


# --- which window -------------------------------------------------------------------------------------------------


def view_at(log: LogReader, agent: str, at: int | None, count: Count | None = None) -> View:
    """The window at event `at` (None: the last one that the model was asked with; where there is none, the next).

    Raises UnknownAgent, and BadInput where the agent has no such event.
    """
    head = agent_head(log, agent)
    state = state_at(log, agent, at if at is not None else last_asked(log, agent, head.seq) or head.seq, option="--at")
    asked = open_inference(log, state)
    seen = view(state if asked or count else recorded(log, state), count, asked)
    return msgspec.structs.replace(seen, redacted=seen.asked in unprovable(log, agent))


def state_at(log: LogReader, agent: str, seq: int, option: str = "") -> State:
    """An agent's state after event `seq`. Raises UnknownAgent, and BadInput where the agent has no such event."""
    head = agent_head(log, agent)
    check_event(head, seq, option)
    state = load(log, agent, seq)
    assert state is not None, "a stream with a head has events"
    return state


def recorded(log: LogReader, state: State, agent: str = "") -> State:
    """The state, with the counts that the log recorded soon after it."""
    return with_recorded(state, log.read(agent or state.agent, after=state.seq, limit=LOOK_AHEAD))


def last_asked(log: LogReader, agent: str, to: int) -> int:
    """The seq of the last inference that was asked for, up to seq `to` (0: none)."""
    while to > 0:
        after = max(0, to - CHUNK)
        for envelope in reversed(log.read(agent, after=after, to=to)):
            if envelope.kind == "InferenceRequested":
                return envelope.seq
        to = after
    return 0


def open_inference(log: LogReader, state: State) -> tuple[int, InferenceRequested] | None:
    """The inference that is open at a state: its seq, and its event."""
    if state.turn is None or state.turn.phase not in {Phase.INFERRING, Phase.SUMMARISING}:
        return None
    envelope = log.find(state.agent, state.turn.request_key)
    event = decode(envelope) if envelope else None
    return (envelope.seq, event) if envelope and isinstance(event, InferenceRequested) else None


# --- printing -----------------------------------------------------------------------------------------------------


def print_header(page: Page, seen: View) -> None:
    """What the window is, and its tokens by part."""
    settings = seen.settings
    page.line(("agent        ", "dim"), (printable(seen.agent), "bold"))
    page.line(("at event     ", "dim"), f"{seen.seq}; {_when(seen)}")
    page.line(
        ("model        ", "dim"), one_line(settings.model + (f" at {settings.base_url}" * bool(settings.base_url)))
    )
    page.line(("fingerprint  ", "dim"), seen.fingerprint, *_verdict(seen))
    page.line()
    page.table(("part", "messages", "tokens", "of the window"), list(_rows(seen)), right=frozenset({1, 2, 3}))


def _when(seen: View) -> str:
    if seen.asked:
        return f"event {seen.asked} asked the model for a {seen.purpose}, with this"
    return "no inference is open; the model would be asked with this"


def _verdict(seen: View) -> tuple[Part, ...]:
    if seen.proved is None:
        return ()
    if seen.proved:
        return (("  (the one that the log recorded)", "green"),)
    if seen.redacted:
        return (("  (text was masked, so it is not the one that the log recorded, and cannot be proved)", "yellow"),)
    return (("  NOT the one that the log recorded: see `replay --verify`", "bold red"),)


def _rows(seen: View) -> Iterator[tuple[str, str, str, str]]:
    settings = seen.settings

    def row(name: str, messages: int | None, tokens: int, uncounted: int = 0) -> tuple[str, str, str, str]:
        share = f"{100 * tokens / settings.window_tokens:.1f} %"
        return name, "" if messages is None else str(messages), counted(tokens, uncounted), share

    for share in seen.shares:
        yield row(share.name, share.messages, share.tokens, share.uncounted)
    margin = seen.total_tokens - sum(share.tokens for share in seen.shares)
    if margin:
        yield row(f"margin (x {settings.margin:g})", None, margin)
    yield row("total", sum(share.messages for share in seen.shares), seen.total_tokens, seen.uncounted)
    yield row("kept for the answer", None, settings.reserve_tokens)
    yield row("free, at most" if seen.uncounted else "free", None, seen.free_tokens)
    yield row("window", None, settings.window_tokens)


def counted(tokens: int, uncounted: int) -> str:
    """Tokens, and how many messages have no count."""
    if not uncounted:
        return f"{tokens:,}"
    return f"{tokens:,} + {uncounted} uncounted" if tokens else "uncounted"


def print_messages(page: Page, request: bytes) -> None:
    """The request's messages, one after the other, unwrapped."""
    parsed = msgspec.json.decode(request)
    for number, wire in enumerate(parsed["messages"], 1):
        page.line()
        page.line((f"[{number}] {wire['role']}", _ROLES.get(wire["role"], "bold")))
        for line in readable(wire):
            page.line(f"    {line}" if line else "")
    if parsed.get("tools"):
        names = ", ".join(tool["function"]["name"] for tool in parsed["tools"])
        page.line()
        page.line(("functions: ", "dim"), names)


_ROLES: Final = {"system": "bold magenta", "user": "bold cyan", "assistant": "bold green", "tool": "bold blue"}


def readable(wire: dict[str, Any]) -> Iterator[str]:
    """A message's lines: what its package says, and its calls as they would be written."""
    content = wire.get("content") or ""
    if wire["role"] in {"user", "tool"}:
        content = "\n".join(map(_unwrapped, content.split("\n")))  # a line may be a package of its own
    elif wire["role"] == "assistant" and content and wire.get("tool_calls"):
        content = f"(thinks) {content}"
    if content:
        yield from printable(content).split("\n")
    for call in wire.get("tool_calls", ()):
        yield call_text(call["function"]["name"], call["function"]["arguments"], chars=2000)


def _unwrapped(content: str) -> str:
    """A package in words: its type, its time, and its other fields. What is no package stays as it is."""
    try:
        fields = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError):
        return content
    label = " ".join(str(fields.pop(name)) for name in ("type", "status") if name in fields)
    time = f"[{fields.pop('time')}] " if "time" in fields else ""
    message = fields.pop("message", "")
    rest = ", ".join(f"{name}: {value}" for name, value in fields.items())
    return f"{time}{label}: {': '.join(text for text in (rest, str(message)) if text)}"


# --- the command --------------------------------------------------------------------------------------------------


@click.command("context")
@click.argument("agent")
@bundle_option
@click.option("--at", type=int, metavar="SEQ", help="The window after this event (default: the last inference's).")
@click.option("--count", "counting", is_flag=True, help="Count what the log has no count of (takes half a second).")
@click.option("--json", "as_json", is_flag=True, help="Print the very request: its SHA-256 is the fingerprint.")
def command(agent: str, at: int | None, counting: bool, as_json: bool) -> None:
    """Show what an agent had in its context window, byte for byte, at any event.

    Without --at it is the window of the last inference, whose tokens the log has. At other events some messages may
    have no count: --count counts them. `events AGENT --kind InferenceRequested` lists all inferences.
    """
    with reading() as log:
        seen = view_at(log, agent, at, lazy_count if counting else None)
    if as_json:
        sys.stdout.flush()
        sys.stdout.buffer.write(seen.request + b"\n")
        return
    page = Page()
    print_header(page, seen)
    print_messages(page, seen.request)
