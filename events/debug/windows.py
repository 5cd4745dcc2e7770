"""What stands in a window, text by text: what an agent could know from it.

Rule: what the model is only asked, told by the kernel (heartbeats, warnings), or looked for itself (a search's query)
tells it nothing, and is left out; so is the system text, which says how to work and not what is so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias, assert_never

import msgspec

from palimpsest.events.context import SENT
from palimpsest.events.functions import arguments_of, function_named
from palimpsest.events.inputs import text_of
from palimpsest.events.state import Entry, State

HeldIn: TypeAlias = Literal["core memory", "summary", "queue"]


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A text that stood in a window, by the event that brought it there.

    `label` is the block's, in core memory; `what`: who or what says it there.
    """

    place: HeldIn
    seq: int
    what: str
    text: str
    label: str = ""


def held(state: State) -> Iterator[Held]:
    """The texts of a window, core memory first. A block's `seq` is 0: it may have many writers."""
    for block in state.blocks:
        if block.value:
            yield Held(
                place="core memory", seq=0, what=f"core memory, {block.label}", text=block.value, label=block.label
            )
    if state.summary:
        yield Held(place="summary", seq=state.summary.seq, what="the summary", text=state.summary.text)
    for entry in state.queue:
        for what, text in told(entry):
            yield Held(place="queue", seq=entry.seq, what=what, text=text)


def told(entry: Entry) -> Iterator[tuple[str, str]]:
    """What an entry of the queue tells, and who says it."""
    parsed = msgspec.json.decode(entry.wire)
    match entry.kind:
        case "input":
            yield from _of_input(entry.wire, msgspec.json.decode(parsed["content"]))
        case "assistant":
            yield from _of_answer(parsed)
        case "tool":
            text = msgspec.json.decode(parsed["content"])["message"]
            if text != SENT:
                yield from (("a function's result", each) for each in hits_of(text))
        case "alert":
            pass
        case _:
            assert_never(entry.kind)


def _of_input(wire: bytes, fields: dict[str, Any]) -> Iterator[tuple[str, str]]:
    text = text_of(wire)
    who = fields.get("name") or ("the user" if fields["type"] == "user_message" else fields["type"])
    about = " ".join(str(fields[name]) for name in ("source", "timer") if name in fields)
    if text or about:
        yield str(who), f"{about} {text}".strip()


def _of_answer(parsed: dict[str, Any]) -> Iterator[tuple[str, str]]:
    calls = parsed.get("tool_calls", ())
    if parsed.get("content"):
        yield ("the agent's thought" if calls else "the agent"), parsed["content"]
    for call in calls:
        function = function_named(call["function"]["name"])
        arguments = arguments_of(call["function"]["arguments"])
        if function and function.tells and isinstance(arguments, dict):
            text = str(arguments.get(function.tells, ""))
            if text:
                yield ("the agent" if function.speaks else f"the agent's {function.name}"), text


def hits_of(result: str) -> list[str]:
    """A page of hits as its hits; any other result as it is."""
    _, found, page = result.partition(" results (page ")
    if not found or not result.startswith("Showing "):
        return [result]
    try:
        return msgspec.json.decode(page.partition(": ")[2], type=list[str])
    except (msgspec.DecodeError, UnicodeError):
        return [result]
