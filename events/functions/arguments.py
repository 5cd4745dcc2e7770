"""The check of a call's arguments. A bad call is answered with an error that teaches: what was wrong, and what a good
call looks like.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isnan
from typing import Any, Final

import msgspec

from palimpsest.events.endings import CUT, cut_of
from palimpsest.events.formats import Format
from palimpsest.events.functions.catalogue import Functions, named
from palimpsest.events.functions.entry import HEARTBEAT, Call, Function, JsonType, Scalar
from palimpsest.events.functions.schema import offers
from palimpsest.events.loose_json import MAX_DEPTH, Flaw, has_a_key_twice, read_object
from palimpsest.events.types import ToolCall
from palimpsest.events.vocabulary import FinishOrNone


class BadCall(msgspec.Struct, frozen=True):
    """A call that cannot be carried out, with the error for the model."""

    error: str


UNREAD: Final = "unread_call"
"""The name of a call in the model's text that could not be read (`events.markup`); its arguments are that text."""

_UNREAD_CHARS: Final = 80


def check(call: ToolCall, functions: Functions, format: Format, *, finish: FinishOrNone = "") -> Call | BadCall:
    """The call with its arguments in order, or the error for the model. `functions`: those that the agent has;
    `finish`: how the answer ended."""
    function, ended = named(functions, call.name), cut_of(finish)
    if call.name == UNREAD:
        begins = " ".join(call.arguments[: 2 * _UNREAD_CHARS].split())[:_UNREAD_CHARS]
        cut = f"{CUT[ended].capitalize()}. " if ended else ""
        return BadCall(
            f"A call in the text of your answer could not be read, and nothing was done. It begins: {begins}\n{cut}"
            'Write a call whole, as <tool_call>{"name": "…", "arguments": {…}}</tool_call>.'
        )
    if function is None:
        names = ", ".join(each.name for each in functions)
        return BadCall(f"There is no function '{call.name[:80]}'. The functions are: {names}.")
    given = arguments_of(call.arguments or "{}")
    if isinstance(given, str) or has_a_key_twice(call.arguments):
        flaw = read_object(call.arguments)
        why = str(flaw) if isinstance(flaw, Flaw) else str(given)
        if ended:
            why = f"{CUT[ended]}; {why}"
        return BadCall(
            f"The arguments of {call.name} are not a JSON object ({why}). Nothing was done. "
            f"Give one JSON object: {_usage(function)}."
        )
    if call.raw and (unknown := _unknown(function, given)):
        return BadCall(
            f"The arguments of {call.name} are not JSON, and read as they seem to be meant they have '{unknown[:40]}', "
            f"which is none of its parameters. Nothing was done. Give one JSON object: {_usage(function)}."
        )
    return _checked(function, given, format)


def _unknown(function: Function, given: Mapping[str, Any]) -> str:
    """The first argument that is none of the function's ("": there is none)."""
    known = {HEARTBEAT.name, *(parameter.name for parameter in function.parameters)}
    return next((name for name in given if name not in known), "")


_NESTING: Final = re.compile(r'"(?:[^"\\]+|\\.)*+"?|[\[\]{}]', re.DOTALL)


def arguments_of(text: str) -> dict[str, Any] | str:
    """A call's arguments, or why they are no JSON object.

    Nesting is bounded by rule: how deep a decoder can go hangs on the stack that it stands on, and a fold must not.
    """
    if _is_too_deep(text):
        return f"they are nested more than {MAX_DEPTH} deep"
    try:
        given = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        return str(error)
    return given if isinstance(given, dict) else "they are no object"


def _is_too_deep(text: str) -> bool:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    depth = 0
    for found in _NESTING.finditer(text):
        depth += found[0] in "[{"
        depth -= found[0] in "]}"
        if depth > MAX_DEPTH:
            return True
    return False


def _checked(function: Function, given: Mapping[str, Any], format: Format) -> Call | BadCall:
    arguments: dict[str, Scalar] = {}
    for parameter in function.parameters:
        if not offers(format, parameter):
            continue
        value = given.get(parameter.name)
        if value is None:
            if parameter.required:
                return BadCall(
                    f"{function.name} needs '{parameter.name}' ({parameter.type}); given: {_names(given)}. "
                    f"Call it as {_usage(function)}."
                )
            continue
        taken = _coerce(value, parameter.type)
        if taken is None:
            return BadCall(f"'{parameter.name}' of {function.name} must be of type {parameter.type}.")
        arguments[parameter.name] = taken
    heartbeat = function.chains and _coerce(given.get(HEARTBEAT.name, False), "boolean") is True
    return Call(function, arguments, heartbeat)


def _coerce(value: object, type: JsonType) -> Scalar | None:
    """`value` as the type, also from the spellings that weak models use ("0", "true", 1.0); None if it is not one."""
    if type == "string":
        return value if isinstance(value, str) else None if isinstance(value, (dict, list)) else str(value)
    if type == "boolean":
        return value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value).strip().lower())
    try:
        number = float(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        return None
    if number is None or isnan(number) or abs(number) > 1e9:
        return None
    if type == "integer":
        return int(number) if number == int(number) else None
    return number


def _names(given: Mapping[str, Any]) -> str:
    return ", ".join(str(name)[:40] for name in list(given)[:8]) or "nothing"


def _usage(function: Function) -> str:
    inner = ", ".join(
        f'"{p.name}": {p.type}' for p in (*function.parameters, *([HEARTBEAT] if function.chains else [])) if p.required
    )
    return f"{function.name}({{{inner}}})"
