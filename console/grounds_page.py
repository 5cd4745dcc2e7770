"""How `why` without a text prints what an answer stands on."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from palimpsest.console.called import typed
from palimpsest.console.show import Page, many
from palimpsest.events.passages import excerpt
from palimpsest.questions.descriptions import call_text, describe, quoted
from palimpsest.questions.grounds import Grounds, Look
from palimpsest.questions.plain import plain
from palimpsest.questions.texts import one_line, utc

TEXT_CHARS: Final = 600
HINT_CHARS: Final = 160


def as_object(found: Grounds) -> dict[str, Any]:
    """The grounds as plain data, what was looked up in words."""
    looks = [{"seq": look.seq, "call": _call(look), "result": describe(look.result)} for look in found.looks]
    fields: dict[str, Any] = plain(found)
    return {**fields, "looks": looks}


def _call(look: Look) -> str:
    return call_text(look.call.name, msgspec.json.encode(look.call.arguments).decode())


def print_grounds(page: Page, found: Grounds) -> None:
    said, agent = found.writer, found.agent
    _fact(page, "said", f"{said.seq}  {quoted(found.text, TEXT_CHARS)}, {utc(said.time_ms)[:19]} UTC")
    if said.input:
        _fact(page, "asked", f"{said.input.seq}  {said.input.kind} {quoted(said.input.text, HINT_CHARS)}")
    if not said.answer:
        _fact(page, "thought", "no model wrote it")
        return
    _fact(page, "thought", quoted(said.reasons, TEXT_CHARS) if said.reasons.strip() else "the model stated no reasons")
    for look in found.looks:
        _fact(page, "looked up", f"{look.seq}  {_call(look)}: {one_line(describe(look.result), HINT_CHARS)}")
    for hint in found.hints:
        whose = f"{hint.seq}  " * bool(hint.seq) + one_line(hint.what, 60)
        text = quoted(excerpt(hint.text, " ".join(hint.words), HINT_CHARS), HINT_CHARS)
        _fact(page, "may be from", f"{whose}: {text} ({one_line(', '.join(hint.words), 80)})")
    if not found.hints:
        _fact(page, "may be from", "nothing in the window shares its words but the question")
    if said.window:
        window = said.window
        figures = f"{many(window.tokens, 'token')}, {many(window.messages, 'message')} in the queue"
        _fact(page, "window", f"asked by event {window.seq}: {figures}")
        _fact(page, "look", typed("context", agent, "--at", str(window.seq)))
    if said.input:
        _fact(page, "", typed("events", agent, "--turn", str(said.input.seq)))


def _fact(page: Page, name: str, text: str) -> None:
    page.line((f"{name:<12} ", "dim"), text)
