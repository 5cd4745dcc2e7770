"""Functions told in the text, for models whose server takes no tools: the functions, a call and a result as text.

Rules. (1) The form is the one that Hermes and Qwen models were taught (NousResearch/Hermes-Function-Calling; the chat
template of Qwen2.5-Instruct), and that most others follow when they are shown it. (2) What is written here is read
back by `events.markup.read` to the same call. (3) Whatever the JSON holds, it closes no tag: `</` is `<\\/` in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

_TELLS: Final = """\
# Functions

You call functions to act and to speak. Their signatures, one a line within <tools></tools>:
<tools>
{tools}
</tools>

To call one, write a JSON object with its name and arguments within <tool_call></tool_call>:
<tool_call>
{{"name": "send_message", "arguments": {{"message": "Hello!"}}}}
</tool_call>
You may call several, each within tags of its own, and nothing after the last. The results come back within \
<tool_response></tool_response>: never write one yourself."""


def functions_text(schemas: Sequence[dict[str, Any]]) -> str:
    """What tells a model the functions (`events.functions.schemas`) and how to call one: for the system message."""
    return _TELLS.format(tools="\n".join(_inner(msgspec.json.encode(schema)) for schema in schemas))


def call_text(name: str, arguments: str) -> str:
    """A call as the model writes it; `arguments` is the text of a JSON object."""
    named = _inner(msgspec.json.encode(name))
    return f'<tool_call>\n{{"name": {named}, "arguments": {_inner(arguments)}}}\n</tool_call>'


def result_text(name: str, content: str) -> str:
    """A result as the model reads it, for a user's message; `content` is JSON text."""
    named = _inner(msgspec.json.encode(name))
    return f'<tool_response>\n{{"name": {named}, "content": {_inner(content)}}}\n</tool_response>'


def _inner(json: str | bytes) -> str:
    text = json if isinstance(json, str) else json.decode()
    return text.replace("</", "<\\/")
