"""The functions as a request lists them: JSON schemas, worded as the agent's format has it.

Rule: names, order and texts stand in requests whose bytes the log holds by their fingerprint; none may change but by a
part of the format.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

from palimpsest.events.formats import BRIEF, DESCRIBED_BLOCKS, SEARCH_FILTERS, ZONED, Format
from palimpsest.events.functions.entry import HEARTBEAT, SECTION, Function, Parameter

Labels = tuple[str, ...]
"""The labels of the sections of core memory, in order."""
USUAL: Final[Labels] = ("persona", "human")
_LABELS: Final = 20
_LABEL_CHARS: Final = 40
_UTC: Final[Mapping[str, str]] = {
    " Times are UTC.": " Times are in your time zone, and days keep their hour when its clocks are changed.",
    " UTC.": " Local time.",
}
"""How a function's times are told, and how to an agent that has a zone."""


def schemas(functions: Iterable[Function], format: Format, labels: Labels = USUAL) -> list[dict[str, Any]]:
    """The functions as a chat-completions request of this format lists them; `labels`: of the sections of core
    memory."""
    return [
        {
            "type": "function",
            "function": {
                "name": function.name,
                "description": _description(function, format),
                "parameters": {
                    "type": "object",
                    "properties": {
                        parameter.name: _schema(parameter, format, labels) for parameter in _accepted(function, format)
                    },
                    "required": [parameter.name for parameter in _accepted(function, format) if parameter.required],
                },
            },
        }
        for function in functions
    ]


def offers(format: Format, parameter: Parameter) -> bool:
    """Whether a context of this format offers a parameter: a small window has no room for what narrows a search
    down."""
    if parameter.part == SEARCH_FILTERS and BRIEF in format:
        return False
    return not parameter.part or parameter.part in format


@cache
def _accepted(function: Function, format: Format) -> tuple[Parameter, ...]:
    """The parameters that a context of this format offers."""
    offered = tuple(parameter for parameter in function.parameters if offers(format, parameter))
    return (*offered, HEARTBEAT) if function.chains else offered


def _description(function: Function, format: Format) -> str:
    said = function.brief if BRIEF in format else function.description
    utc = next((each for each in _UTC if said.endswith(each)), "") if ZONED in format else ""
    return said.removesuffix(utc) + _UTC[utc] if utc else said


def _schema(parameter: Parameter, format: Format, labels: Labels) -> dict[str, str]:
    said = parameter.brief if BRIEF in format else parameter.description
    if parameter.description == SECTION and DESCRIBED_BLOCKS in format and labels != USUAL:
        said = SECTION.replace("persona or human", _either(labels))
    return {"type": parameter.type, "description": said} if said else {"type": parameter.type}


def _either(labels: Labels) -> str:
    """The labels in a line that stays short, whatever their number and names."""
    shown = [label[:_LABEL_CHARS] for label in labels[:_LABELS]] + ["…"] * (len(labels) > _LABELS)
    return " or ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:]))) or "there is none"
