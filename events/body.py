"""What an agent's settings put into the body of a request beside the messages, and into its headers.

Rules. (1) Settings that are not set add nothing. (2) What is for the functions (`tool_choice`, `parallel_tool_calls`)
goes only with functions, and `response_format` only with a reply: a summary is asked for without. (3) Further fields
may be any but those that the kernel or another setting says. (4) Headers stand in the log, so none may be a secret.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from palimpsest.events.addresses import looks_secret
from palimpsest.events.functions import all_functions
from palimpsest.events.types import Settings

CHOICES: Final = ("auto", "required", "none")
_TAKEN: Final = {
    "messages": "the agent's context is the messages",
    "model": "set `model`",
    "tools": "the functions are the kernel's",
    "functions": "the functions are the kernel's",
    "function_call": "set `tool_choice`",
    "stream": "the kernel streams where somebody watches",
    "stream_options": "the kernel streams where somebody watches",
    "n": "one answer is what an agent can act on",
    "max_tokens": "set `reserve`",
    "max_completion_tokens": "set `reserve`",
    **{name: f"set `{name.replace('_', '-')}`" for name in ("temperature", "tool_choice", "parallel_tool_calls")},
    **{name: f"set `{name.replace('_', '-')}`" for name in ("response_format", "seed", "reasoning_effort")},
}
"""Fields that are said elsewhere, and where."""
_CARRIED: Final = frozenset({"host", "content-length", "content-type", "connection", "transfer-encoding", "accept"})
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_MOST_CHARS: Final = 20_000
_json = msgspec.json.encode


def fields(settings: Settings, *, tools: bool, reply: bool) -> bytes:
    """The fields of a request's body, each with a comma before it."""
    made: dict[str, Any] = {}
    if settings.temperature is not None:
        made["temperature"] = settings.temperature
    if tools and settings.tool_choice:
        made["tool_choice"] = _choice(settings.tool_choice)
    if tools and settings.parallel_tool_calls is not None:
        made["parallel_tool_calls"] = settings.parallel_tool_calls
    if reply and settings.response_format:
        made["response_format"] = msgspec.Raw(settings.response_format.encode())
    if settings.seed is not None:
        made["seed"] = settings.seed
    if settings.reasoning_effort:
        made["reasoning_effort"] = settings.reasoning_effort
    text = b"".join(b",%b:%b" % (_json(name), _json(value)) for name, value in made.items())
    inner = settings.extra_body.strip()[1:-1].strip()
    return text + b"," + inner.encode() if inner else text


def _choice(choice: str) -> object:
    return choice if choice in CHOICES else {"type": "function", "function": {"name": choice}}


def headers(settings: Settings) -> dict[str, str]:
    """What is sent beside the body. None of it where the door would not have let it in: an import may bring anything,
    and a header may lead a request, or a key's place in it, elsewhere."""
    if not settings.headers or _flaw_of_headers(settings):
        return {}
    return msgspec.json.decode(settings.headers, type=dict[str, str])


# --- what makes no sense ------------------------------------------------------------------------------------------


def flaw(settings: Settings) -> str:
    """What is wrong with these settings, and how to mend it ("": nothing)."""
    if settings.tool_choice and settings.tool_choice not in {*CHOICES, *(each.name for each in all_functions())}:
        return f"tool_choice is '{settings.tool_choice[:40]}': give {', '.join(CHOICES)}, or a function's name."
    if settings.seed is not None and not -(2**63) <= settings.seed < 2**63:
        return f"seed is {settings.seed}: give a number of 64 bits."
    if len(settings.reasoning_effort) > 40:
        return "reasoning_effort is too long: give a word, as low, medium or high."
    if settings.response_format and "type" not in (_object(settings.response_format) or {}):
        return 'response_format is no JSON object with a type: give one, as {"type":"json_object"}.'
    return _flaw_of_body(settings) or _flaw_of_headers(settings)


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return value if isinstance(value, dict) and len(text) <= _MOST_CHARS else None


def _flaw_of_body(settings: Settings) -> str:
    if not settings.extra_body:
        return ""
    further = _object(settings.extra_body)
    if further is None:
        return 'extra_body is no JSON object: give one, as {"top_p":0.9}.'
    for name, value in further.items():
        if name in _TAKEN:
            return f"extra_body may not hold '{name}': {_TAKEN[name]}."
        if looks_secret(name, value if isinstance(value, str) else ""):
            return f"extra_body has what looks like a secret ('{name[:40]}'), which the log must not keep: {_KEYS}."
    return ""


_KEYS: Final = "put it into `palimpsest keys add URL`, with `--header NAME` where the server wants it so"


def _flaw_of_headers(settings: Settings) -> str:
    if not settings.headers:
        return ""
    given = _object(settings.headers)
    if given is None or not all(isinstance(value, str) for value in given.values()):
        return 'headers is no JSON object of texts: give one, as {"X-Title":"Palimpsest"}.'
    for name, value in given.items():
        if not _HEADER.fullmatch(name) or not (value.isascii() and value.isprintable()):
            return f"headers: '{name[:40]}' is none that HTTP can carry: give names and values of plain letters."
        if name.lower() in _CARRIED:
            return f"headers may not hold '{name}': it is HTTP's own."
        if looks_secret(name, value) or looks_secret("", value.removeprefix("Bearer ")):
            return f"headers has what looks like a secret ('{name}'), which the log must not keep: {_KEYS}."
    return ""
