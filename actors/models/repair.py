"""Mends a tool call whose arguments are not a JSON object, where it is sure what object they mean.

Rules. (1) The model's own text is kept in `raw`. (2) What is not sure to the last character is left as it is, and the
model is told what is wrong with it (`events.functions.check`): a call that was cut off, too, whatever its
`finish_reason` says.
"""

from __future__ import annotations

import msgspec

from palimpsest.events.functions import arguments_of
from palimpsest.events.loose_json import read_object
from palimpsest.events.types import ToolCall


def repair(call: ToolCall) -> ToolCall:
    """The call with arguments that are a JSON object; or the very same call, where they are or cannot be made one."""
    text = call.arguments
    if not text.strip():
        return msgspec.structs.replace(call, arguments="{}")
    if isinstance(arguments_of(text), dict):
        return call
    mended = read_object(text)
    if not isinstance(mended, str) or isinstance(arguments_of(mended), str):
        return call
    return msgspec.structs.replace(call, arguments=mended, raw=text)
