"""Whether a model goes round in a circle: the same call, with the same arguments and the same result, within a turn.

Rules. (1) A call is the same where its arguments say the same: their order and spacing, and the wish for a heartbeat,
are no difference. (2) A result is the same where it differs in figures only (times, counts, ids): no function gives
other figures but by what the agent did itself. (3) Each turn counts anew, and only its last `MOST_ACTS` are known.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from palimpsest.events.functions import HEARTBEAT, arguments_of
from palimpsest.events.state import Act, Turn
from palimpsest.events.types import Settings, ToolCall

MOST_ACTS: Final = 128
_DIGITS: Final = b"0123456789"


def acted(acts: tuple[Act, ...], call: ToolCall, result: str, *, ok: bool) -> tuple[Act, ...]:
    """The turn's acts with this one, which stands last and says how often it was done."""
    made, came = _digest(call.name.encode(), _plain(call.arguments)), _digest(bytes((ok,)), _figureless(result))
    before = next((act for act in acts if (act.call, act.result) == (made, came)), None)
    now = Act(call=made, result=came, times=before.times + 1 if before else 1)
    return (*(act for act in acts if act is not before), now)[-MOST_ACTS:]


def times_done(acts: tuple[Act, ...], call: ToolCall) -> int:
    """How often this call gave one and the same result, where anything was done more than once; else 0."""
    if all(act.times == 1 for act in acts):
        return 0
    made = _digest(call.name.encode(), _plain(call.arguments))
    return max((act.times for act in acts if act.call == made), default=0)


def is_told(turn: Turn, settings: Settings) -> bool:
    """Whether the model is to be told that its last answer only repeats."""
    return 0 < settings.repeats_told <= turn.repeats and turn.noted < turn.steps


def is_ended(turn: Turn, settings: Settings) -> bool:
    """Whether the turn is to be ended: not before an answer in which the model could do as it was told."""
    warned = 0 < turn.noted < turn.steps or not 0 < settings.repeats_told < settings.repeats_ended
    return 0 < settings.repeats_ended <= turn.repeats and warned


def _plain(arguments: str) -> bytes:
    given = arguments_of(arguments or "{}")
    if isinstance(given, str):
        return arguments.encode(errors="surrogatepass")
    given.pop(HEARTBEAT.name, None)
    return msgspec.json.encode(given, order="sorted")


def _figureless(text: str) -> bytes:
    return text.encode(errors="surrogatepass").translate(None, _DIGITS)


def _digest(first: bytes, second: bytes) -> bytes:
    return hashlib.blake2b(first + b"\0" + second, digest_size=8).digest()
