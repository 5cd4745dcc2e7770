"""`context`: an agent's context window as it was at any event, its tokens by part, and the very bytes of the request.

Rule: counts that the log has recorded are shown, not made again. What it has no count of is said to be uncounted, or
counted on request: that takes the tokenizer, whose tables are half a second's work.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Final

import click
import msgspec

from palimpsest.console.inspect import reading
from palimpsest.console.options import bundle_option
from palimpsest.console.show import Page, Part
from palimpsest.questions.descriptions import call_text
from palimpsest.questions.texts import one_line, printable
from palimpsest.questions.windows import ContextView, lazy_count, view_at


def print_header(page: Page, seen: ContextView) -> None:
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


def _when(seen: ContextView) -> str:
    if seen.asked:
        return f"event {seen.asked} asked the model for a {seen.purpose}, with this"
    return "no inference is open; the model would be asked with this"


def _verdict(seen: ContextView) -> tuple[Part, ...]:
    if seen.proved is None:
        return ()
    if seen.proved:
        return (("  (the one that the log recorded)", "green"),)
    if seen.redacted:
        return (("  (text was masked, so it is not the one that the log recorded, and cannot be proved)", "yellow"),)
    return (("  NOT the one that the log recorded: see `replay --verify`", "bold red"),)


def _rows(seen: ContextView) -> Iterator[tuple[str, str, str, str]]:
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
