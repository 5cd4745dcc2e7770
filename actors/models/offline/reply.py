"""What the offline model wants to do about one thing in a message (`ReplyPart`), and how parts become one answer.

Two rules. Parts that wait for results hold back the message to the user, unless a message is due at once. Function
calls come before the message that speaks of them; a function that the request does not offer is not called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from palimpsest.actors.models.offline.request import RequestView
from palimpsest.events.functions import HEARTBEAT, LIST_TIMERS, SEND_MESSAGE, function_named

Argument = str | int | float | bool

ONE_MOMENT: Final = "Let me look that up."


class PlannedCall(msgspec.Struct, frozen=True):
    name: str
    arguments: dict[str, Argument]


class ReplyPart(msgspec.Struct, frozen=True):
    """`calls` are to be made now; with `waits` `say`, for the user, needs their results. `thought`: why."""

    thought: str
    say: str = ""
    calls: tuple[PlannedCall, ...] = ()
    waits: bool = False


class DraftReply(msgspec.Struct, frozen=True):
    """An answer before it has ids: inner thoughts, calls, and plain text where no function can carry it."""

    thought: str
    calls: tuple[PlannedCall, ...] = ()
    text: str = ""


def compose(view: RequestView, parts: Sequence[ReplyPart], *, must_send: bool) -> DraftReply:
    """One answer of all parts. `must_send`: it has to hold a message to the user, whatever it waits for."""
    offered = [p for p in parts if p.say or any(c.name in view.tools for c in p.calls)]
    calls = [call for part in offered for call in part.calls if call.name in view.tools]
    waits = any(p.waits and any(c.name in view.tools for c in p.calls) for p in offered)
    thought = " ".join(dict.fromkeys(p.thought for p in offered if p.thought)) or "There is nothing to do."
    say = " ".join(dict.fromkeys(p.say for p in offered if p.say and not (waits and p.waits)))
    speaks = not view.answered and (must_send or not waits)
    if calls:
        calls = [_beating(call, on=waits and at == len(calls) - 1) for at, call in enumerate(calls)]
    if waits and speaks:
        say = f"{say} {ONE_MOMENT}".strip()
    if not speaks and calls:
        return DraftReply(thought, tuple(calls))
    if not say and not speaks:
        return quiet(view)
    return spoken(view, thought, say or "All right.", calls)


def spoken(view: RequestView, thought: str, say: str, calls: Sequence[PlannedCall] = ()) -> DraftReply:
    """A message to the user after the calls."""
    if SEND_MESSAGE.name not in view.tools:
        return DraftReply(thought, tuple(calls), say)
    return DraftReply(thought, (*calls, PlannedCall(SEND_MESSAGE.name, {"message": say})))


def quiet(view: RequestView) -> DraftReply:
    """An answer that changes nothing and says nothing, for a turn that was already answered."""
    if LIST_TIMERS.name in view.tools:
        look = PlannedCall(LIST_TIMERS.name, {HEARTBEAT.name: False})
        return DraftReply("The user has my answer already; I look at my timers and rest.", (look,))
    return spoken(view, "The user has my answer already.", "That is all for now.")


def _beating(call: PlannedCall, *, on: bool) -> PlannedCall:
    function = function_named(call.name)
    beats = {HEARTBEAT.name: on} if function and function.chains else {}
    return PlannedCall(call.name, {**call.arguments, **beats})
