"""The functions that the model can call: their schemas, and the check of a call's arguments.

Names, parameters and meaning are MemGPT's; the three timer functions are ours. A bad call is answered with an error
that teaches: what was wrong, and what a good call looks like.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from math import isnan
from typing import Any, Final, Literal, TypeAlias

import msgspec

from palimpsest.events import brief
from palimpsest.events.endings import CUT, cut_of
from palimpsest.events.formats import BRIEF, DESCRIBED_BLOCKS, SEARCH_FILTERS, TIMED_HEARTBEATS, Format
from palimpsest.events.loose_json import MAX_DEPTH, Flaw, has_a_key_twice, read_object
from palimpsest.events.types import ToolCall
from palimpsest.events.vocabulary import FinishOrNone, Opens

Scalar = str | int | float | bool
Labels = tuple[str, ...]
"""The labels of the sections of core memory, in order."""
USUAL: Final[Labels] = ("persona", "human")
SECTION: Final = "Section of the memory to be edited (persona or human)."
_LABELS: Final = 20
_LABEL_CHARS: Final = 40


JsonType: TypeAlias = Literal["string", "integer", "number", "boolean"]


class Parameter(msgspec.Struct, frozen=True):
    name: str
    type: JsonType
    description: str
    required: bool = True
    part: str = ""
    """The part of the format (`events.formats`) that offers it: agents without it never hear of it. Empty: all do."""


class Function(msgspec.Struct, frozen=True):
    """`topic` names the part that carries the function out; empty: the memory manager decides it at once."""

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    topic: Opens = ""
    chains: bool = True
    """Whether it takes `request_heartbeat`."""
    documents: bool = False
    """Whether it is offered only to an agent that has a source attached."""


class Call(msgspec.Struct, frozen=True):
    """A checked call: every required argument is there, with its type."""

    function: Function
    arguments: Mapping[str, Scalar]
    heartbeat: bool

    def text(self, name: str) -> str:
        return str(self.arguments.get(name, ""))

    def integer(self, name: str) -> int:
        return int(self.arguments.get(name, 0))


class BadCall(msgspec.Struct, frozen=True):
    """A call that cannot be carried out, with the error for the model."""

    error: str


_HEARTBEAT = Parameter(
    "request_heartbeat",
    "boolean",
    "Request an immediate heartbeat after the function's execution: true to go on thinking or to call another "
    "function, false to yield.",
)
_PAGE = Parameter("page", "integer", "Page of the results, counted from 0.", required=False)

FUNCTIONS: Final = (
    Function(
        "send_message",
        "Sends a message to the human user. It is the only thing that the user sees.",
        (Parameter("message", "string", "Message contents. All unicode (including emojis) is supported."),),
        chains=False,
    ),
    Function(
        "pause_heartbeats",
        "Temporarily ignores timed heartbeats. You may still be reached by messages and other events.",
        (Parameter("minutes", "integer", "Number of minutes to ignore timed heartbeats for, at most 360 (6 hours)."),),
        chains=False,
    ),
    Function(
        "core_memory_append",
        "Appends to the contents of core memory.",
        (
            Parameter("name", "string", SECTION),
            Parameter("content", "string", "Content to write to the memory."),
        ),
    ),
    Function(
        "core_memory_replace",
        "Replaces the contents of core memory. To delete memories, use an empty string for new_content.",
        (
            Parameter("name", "string", SECTION),
            Parameter("old_content", "string", "String to replace. Must be an exact match, found once."),
            Parameter("new_content", "string", "Content to write in its place."),
        ),
    ),
    Function(
        "conversation_search",
        "Searches prior conversation history (recall storage) by words and meaning.",
        (
            Parameter("query", "string", "What to search for."),
            Parameter("who", "string", "Only what was said by: user or assistant.", False, SEARCH_FILTERS),
            Parameter("start_date", "string", "Only from this day on, as YYYY-MM-DD.", False, SEARCH_FILTERS),
            Parameter("end_date", "string", "Only up to this day, as YYYY-MM-DD.", False, SEARCH_FILTERS),
            _PAGE,
        ),
        topic="storage",
    ),
    Function(
        "conversation_search_date",
        "Searches prior conversation history by a range of dates, both inclusive.",
        (
            Parameter("start_date", "string", "The first day, as YYYY-MM-DD."),
            Parameter("end_date", "string", "The last day, as YYYY-MM-DD."),
            _PAGE,
        ),
        topic="storage",
    ),
    Function(
        "archival_memory_insert",
        "Adds to archival memory. Phrase it so that it can be found later.",
        (Parameter("content", "string", "Content to write to the memory."),),
    ),
    Function(
        "archival_memory_search",
        "Searches archival memory by meaning and words.",
        (Parameter("query", "string", "What to search for."), _PAGE),
        topic="storage",
    ),
    Function(
        "set_timer",
        "Sets a timer: when it is due, you get a timer event with its note. Give exactly one of in_minutes, at, "
        "every_minutes and cron. Times are UTC.",
        (
            Parameter("note", "string", "What the timer is to remind you of."),
            Parameter("in_minutes", "number", "Fires once, so many minutes from now.", required=False),
            Parameter("at", "string", "Fires once, at YYYY-MM-DD HH:MM.", required=False),
            Parameter("every_minutes", "number", "Fires again and again, so many minutes apart.", required=False),
            Parameter("cron", "string", "Fires by a cron expression of five fields.", required=False),
            Parameter(
                "heartbeat",
                "boolean",
                "true: a timed heartbeat, which is ignored while pause_heartbeats holds.",
                required=False,
                part=TIMED_HEARTBEATS,
            ),
        ),
        topic="timer",
    ),
    Function(
        "cancel_timer",
        "Cancels a timer.",
        (Parameter("timer", "string", "The timer's id, as list_timers shows it."),),
    ),
    Function("list_timers", "Lists the timers that are set.", ()),
    Function(
        "list_documents",
        "Lists the documents of the attached sources, with their sizes.",
        (_PAGE,),
        topic="storage",
        documents=True,
    ),
    Function(
        "open_document",
        "Opens a document and reads it page by page.",
        (
            Parameter("document", "string", "The document's path or id, as list_documents and searches show it."),
            Parameter("page", "integer", "Page to read, counted from 0: read on with the next one.", required=False),
            Parameter(
                "place",
                "string",
                "Instead of page: where to open it, as 'line 120' or, in a PDF, 'page 7'.",
                required=False,
            ),
        ),
        topic="storage",
        documents=True,
    ),
    Function(
        "grep_documents",
        "Finds every place where a text stands in the attached documents, word for word, in upper or lower case.",
        (
            Parameter("text", "string", "The text to find."),
            Parameter("document", "string", "Only in this document (path or id).", required=False),
            _PAGE,
        ),
        topic="storage",
        documents=True,
    ),
)

_by_name: Final = {function.name: function for function in FUNCTIONS}


@cache
def _accepted(function: Function, format: Format) -> tuple[Parameter, ...]:
    """The parameters that a context of this format offers."""
    offered = tuple(parameter for parameter in function.parameters if _offers(format, parameter))
    return (*offered, _HEARTBEAT) if function.chains else offered


def _offers(format: Format, parameter: Parameter) -> bool:
    """A small window has no room for what narrows a search down."""
    if parameter.part == SEARCH_FILTERS and BRIEF in format:
        return False
    return not parameter.part or parameter.part in format


def schemas(format: Format, *, documents: bool = False, labels: Labels = USUAL) -> list[dict[str, Any]]:
    """The functions as a chat-completions request of this format lists them; `documents`: with those for sources;
    `labels`: of the sections of core memory."""
    return [
        {
            "type": "function",
            "function": {
                "name": function.name,
                "description": brief.of_function(function.name, function.description, format),
                "parameters": {
                    "type": "object",
                    "properties": {
                        parameter.name: _schema(function, parameter, format, labels)
                        for parameter in _accepted(function, format)
                    },
                    "required": [parameter.name for parameter in _accepted(function, format) if parameter.required],
                },
            },
        }
        for function in FUNCTIONS
        if documents or not function.documents
    ]


def _schema(function: Function, parameter: Parameter, format: Format, labels: Labels) -> dict[str, str]:
    said = parameter.description
    if BRIEF in format:
        said = brief.PARAMETERS.get((function.name, parameter.name), "")
    if parameter.description == SECTION and DESCRIBED_BLOCKS in format and labels != USUAL:
        said = SECTION.replace("persona or human", _either(labels))
    return {"type": parameter.type, "description": said} if said else {"type": parameter.type}


def _either(labels: Labels) -> str:
    """The labels in a line that stays short, whatever their number and names."""
    shown = [label[:_LABEL_CHARS] for label in labels[:_LABELS]] + ["…"] * (len(labels) > _LABELS)
    return " or ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:]))) or "there is none"


def topic(name: str) -> Opens:
    """The part that carries out a function ("": the memory manager, or no such function)."""
    function = _by_name.get(name)
    return function.topic if function else ""


UNREAD: Final = "unread_call"
"""The name of a call in the model's text that could not be read (`events.markup`); its arguments are that text."""

_UNREAD_CHARS: Final = 80


@cache
def parameter_types() -> dict[str, dict[str, JsonType]]:
    """Every function's parameters with their types: what the text of an answer is read by."""
    return {f.name: {p.name: p.type for p in (*f.parameters, _HEARTBEAT)} for f in FUNCTIONS}


def check(call: ToolCall, format: Format, *, finish: FinishOrNone = "", documents: bool = True) -> Call | BadCall:
    """The call with its arguments in order, or the error for the model. `finish`: how the answer ended; `documents`:
    whether a source is attached, so that the functions for documents are there."""
    function, ended = _by_name.get(call.name), cut_of(finish)
    if call.name == UNREAD:
        begins = " ".join(call.arguments[: 2 * _UNREAD_CHARS].split())[:_UNREAD_CHARS]
        cut = f"{CUT[ended].capitalize()}. " if ended else ""
        return BadCall(
            f"A call in the text of your answer could not be read, and nothing was done. It begins: {begins}\n{cut}"
            'Write a call whole, as <tool_call>{"name": "…", "arguments": {…}}</tool_call>.'
        )
    if function is None or (function.documents and not documents):
        names = ", ".join(each.name for each in FUNCTIONS if documents or not each.documents)
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
    known = {_HEARTBEAT.name, *(parameter.name for parameter in function.parameters)}
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
        if not _offers(format, parameter):
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
    heartbeat = function.chains and _coerce(given.get("request_heartbeat", False), "boolean") is True
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
        f'"{p.name}": {p.type}'
        for p in (*function.parameters, *([_HEARTBEAT] if function.chains else []))
        if p.required
    )
    return f"{function.name}({{{inner}}})"
