"""Fields of a server's own that came with an answer: they go back to the server that made them, and to no other.

Rules. (1) What the model is not to be asked without goes back as it came: signatures with the calls, and, for servers
that want it, its reasoning. (2) Where a server refused a
message for want of such a field, and none came, it gets what it takes. (3) Nobody but
that server sees them: they are in no transcript, no summary and no search.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from palimpsest.events.formats import BLANK_REASONING, DUMMY_SIGNATURES, OWN_FIELDS, OWN_REASONING, Format
from palimpsest.events.state import Entry, State
from palimpsest.events.types import OFFLINE, Own

REASONING: Final = ("reasoning_content", "reasoning", "reasoning_details")
"""A message's fields that hold what the model thought. They can be long."""
OTHERS: Final = ("extra_content", "provider_specific_fields", "thinking_blocks")
"""What else servers put on a message or a call and want back: Gemini's, LiteLLM's."""
BLANK: Final = " "
"""Kimi's servers refuse reasoning that is empty, and take a blank."""
DUMMY_SIGNATURE: Final = {"google": {"thought_signature": "skip_thought_signature_validator"}}
"""What Gemini's documentation has for calls that another model made."""

KEPT_ANSWERS: Final = 8

STAND_INS: Final = frozenset({BLANK_REASONING, DUMMY_SIGNATURES})
_PARTS: Final = frozenset({OWN_FIELDS, OWN_REASONING, *STAND_INS})
_KNOWN: Final = frozenset({"role", "content", "tool_calls", "tool_call_id", "id", "type", "function"})


def at_server(state: State) -> Format:
    """The parts that hold for the server that is asked now: what stands for fields that did not come is for those that
    refused a message without."""
    here = state.settings.base_url, state.settings.model
    return tuple(part for part in state.format if part not in STAND_INS or (*here, part) in state.stand_ins)


def wanting(state: State, parts: Format) -> tuple[tuple[str, str, str], ...]:
    """Who wants stand-ins, once the format has these parts: besides the others the server that is asked now, where it
    refused a message without, or where they are new."""
    mended_by = state.turn.mended_by if state.turn else ()
    here = state.settings.base_url, state.settings.model
    new = [part for part in parts if part in STAND_INS and (part not in state.format or part in mended_by)]
    return tuple(dict.fromkeys((*state.stand_ins, *((*here, part) for part in new))))


def with_own(state: State, entry: Entry) -> bytes:
    """An answer on its way to the server that is asked now."""
    settings = state.settings
    if settings.model == OFFLINE or (entry.own is None and STAND_INS.isdisjoint(state.format)):
        return entry.wire
    own = entry.own
    theirs = own if own and (own.server, own.model) == (settings.base_url, settings.model) else None
    wanted = tuple(part for part in at_server(state) if part in _PARTS)
    if theirs is None and STAND_INS.isdisjoint(wanted):
        return entry.wire
    return _with_own(entry.wire, theirs, wanted)


@lru_cache(maxsize=4096)
def _with_own(wire: bytes, own: Own | None, wanted: Format) -> bytes:
    body: dict[str, Any] = msgspec.json.decode(wire)
    if own:
        came = _decoded(own.message)
        fields = (REASONING if OWN_REASONING in wanted else ()) + (OTHERS if OWN_FIELDS in wanted else ())
        body |= {name: came[name] for name in fields if name in came}
        if OWN_FIELDS in wanted:
            for call, theirs in zip(body.get("tool_calls", ()), own.calls, strict=False):
                call.update(_decoded(theirs))
    if BLANK_REASONING in wanted and not any(body.get(name) for name in REASONING):
        body["reasoning_content"] = BLANK
    if DUMMY_SIGNATURES in wanted and body.get("tool_calls") and not any(_extra(body["tool_calls"])):
        body["tool_calls"][0]["extra_content"] = DUMMY_SIGNATURE
    return msgspec.json.encode(body)


def _decoded(text: str) -> dict[str, Any]:
    """The fields; none where the text was masked so that it is no JSON any more."""
    try:
        fields = msgspec.json.decode(text) if text else {}
    except (msgspec.DecodeError, UnicodeError):
        return {}
    return {name: value for name, value in fields.items() if name not in _KNOWN} if isinstance(fields, dict) else {}


def _extra(calls: Iterable[dict[str, Any]]) -> Iterable[bool]:
    return (bool(call.get("extra_content")) for call in calls)


def slimmed(queue: tuple[Entry, ...], format: Format) -> tuple[Entry, ...]:
    """The queue, without the reasoning that no server wants back and that would fill a state. The last answers keep
    theirs: a server that wants it says so as soon as it misses one."""
    if OWN_REASONING in format or not any(entry.own for entry in queue):
        return queue
    answers = [entry.seq for entry in queue if entry.kind == "assistant"]
    late = answers[-KEPT_ANSWERS] if len(answers) >= KEPT_ANSWERS else 0
    return tuple(replace(e, own=_slim(e.own)) if e.own and e.seq < late else e for e in queue)


def _slim(own: Own) -> Own | None:
    others = {name: value for name, value in _decoded(own.message).items() if name not in REASONING}
    slim = replace(own, message=msgspec.json.encode(others).decode() if others else "")
    return slim if slim.message or slim.calls else None


def unseen(state: State) -> State:
    """The state without what is for a server alone: for whoever looks into it for texts."""
    queue = tuple(replace(entry, own=None) if entry.own else entry for entry in state.queue)
    return replace(state, queue=queue, format=tuple(part for part in state.format if part not in _PARTS))


def own_texts(parsed: dict[str, Any]) -> list[str]:
    """The texts in a message on its way that are a server's own, for their count."""
    texts = [_text(value) for name, value in parsed.items() if name not in _KNOWN]
    for call in parsed.get("tool_calls", ()):
        texts += [_text(value) for name, value in call.items() if name not in _KNOWN]
    return texts


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
