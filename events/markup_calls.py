"""Reads calls out of the body of a tag, or where a text begins like one: JSON, XML, Python, and the mixtures.

Rules. (1) A body is read whole or not at all. (2) JSON is read by `json`, and where it is none, as arguments are
(`events.loose_json`); the call then has the model's own text in `raw`. (3) A name is a function's own, or is left as it
stands.
"""

from __future__ import annotations

import ast
import html
import json
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from palimpsest.events.loose_json import read_object
from palimpsest.events.types import ToolCall

Functions = Mapping[str, Mapping[str, str]]
"""The agent's functions by name: each parameter's type."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_pairs)
_NAMES: Final = ("name", "tool_name", "function_name", "recipient_name", "tool", "function")
_ARGUMENTS: Final = ("arguments", "parameters", "args", "params", "input", "tool_input", "action_input")
_BESIDE: Final = frozenset({"id", "type", "index", "tool_call_id", "call_id"})
_AFFIX: Final = re.compile(
    r"(?:functions?[.:]|tools?\.|default_api\.)?(?P<name>[\w-]+?)"
    r"(?::\d+|\.call|<\|(?:channel|constrain|message)\|>.*|\s*<\|constrain\|>.*)?",
    re.DOTALL,
)
_NAMED: Final = re.compile(
    r"\s*(?:function\s*<[\uff5c|]tool[\u2581_]sep[\uff5c|]>\s*)?(?P<name>[\w.:-]+)\s*"
    r"(?:\[CALL_ID\][\w-]+)?"
    r"(?:\[ARGS\]|<\|tool_call_argument_begin\|>|<[\uff5c|]tool[\u2581_]sep[\uff5c|]>|\u273fARGS\u273f\s*:?|<\|message\|>)?"
    r"\s*(?P<fence>```(?:json)?\s*)?(?=\{)"
)
_FUNCTION: Final = re.compile(r"\s*<function=(?P<name>[^>\s]+)>")
_PARAMETER: Final = re.compile(r"\s*<parameter=(?P<key>[^>\s]+)>")
_PARAMETER_LINE: Final = re.compile(r"^\s*<parameter=", re.MULTILINE)  # the one before it was never closed
_PARAMETER_END: Final = re.compile(r"</parameter>(?=\s*(?:<parameter=|</function>|$))")
_MARK: Final = r"(?:\uff5cDSML\uff5c ?|antml:|steptml:)?"
_INVOKE: Final = re.compile(rf'\s*<{_MARK}invoke\s+name="(?P<name>[^"]+)"\s*>')
SELF_CLOSED: Final = re.compile(rf'\s*<{_MARK}invoke\s+name="(?P<name>[^"]+)"\s*/>')
"""A call without arguments."""
_INVOKE_CLOSE: Final = re.compile(rf"</{_MARK}invoke>")
_ATTRIBUTED: Final = re.compile(rf'\s*<{_MARK}parameter\s+name="(?P<key>[^"]+)"(?:\s+string="(?P<string>\w+)")?\s*>')
_ATTRIBUTED_END: Final = re.compile(rf"</{_MARK}parameter>(?=\s*(?:<{_MARK}parameter\s|</{_MARK}invoke>|$))")
_GLM: Final = re.compile(r"\s*(?P<name>[\w.:-]+)\s*(?=<arg_key>|$)")
_GLM_PAIR: Final = re.compile(
    r"\s*<arg_key>(?P<key>.*?)</arg_key>\s*<arg_value>(?P<value>.*?)</arg_value>(?=\s*(?:<arg_key>|$))", re.DOTALL
)
_K3_CALL: Final = re.compile(r'\s*<\|open\|>call tool="(?P<name>[^"]+)"[^<]*<\|sep\|>')
_K3_ARGUMENT: Final = re.compile(
    r'\s*<\|open\|>argument key="(?P<key>[^"]*)"(?: type="(?P<type>\w+)")?[^<]*<\|sep\|>(?P<value>.*?)'
    r"<\|close\|>argument<\|sep\|>(?=\s*<\|(?:open\|>argument |close\|>call))",
    re.DOTALL,
)
_K3_END: Final = re.compile(r"\s*<\|close\|>call<\|sep\|>")
_GEMMA: Final = re.compile(r"\s*call:(?P<name>[\w.-]+)\s*(?=\{)")
_GEMMA_QUOTES: Final = re.compile(r'<\|"\|>|<escape>')
_GEMMA_KEY: Final = re.compile(r'([{,]\s*)([^{}\[\],:"]+):')
_BETWEEN: Final = " \t\r\n,;"


class Unreadable(Exception):
    """The body is no call that could be read."""


def function_name(name: str, functions: Functions) -> str:
    """The function that a name means, without what servers and models leave around it; else the name as it is."""
    if name in functions:
        return name
    found = _AFFIX.fullmatch(name.strip())
    return found["name"] if found and found["name"] in functions else name


def calls_in(body: str, functions: Functions, *, closed: bool = True) -> list[ToolCall]:
    """The calls that a body holds. Raises Unreadable where it is anything else, or more; or where it is not `closed` by
    a tag, and nothing in it says that it is whole."""
    body = body.strip().removeprefix("functools").strip()
    if body.startswith("```") and body.endswith("```") and len(body) > 6:
        body = body[3:-3].removeprefix("json").strip()
    for read in (_json, _functions, _invokes, _k3, _gemma, _named, _glm, _python):
        if read is _glm and not closed:
            continue
        try:
            calls = read(body, functions)
        except (Unreadable, RecursionError):
            continue
        if calls:
            return calls
    raise Unreadable(body)


# --- JSON -------------------------------------------------------------------------------------------------------------


def json_end(text: str, at: int) -> int:
    """Where the JSON values that begin at `at` end; `at` itself where there is none."""
    end = at
    try:
        while text[at : at + 1] in ("{", "[") and text[at : at + 1]:
            _, end = _DECODER.raw_decode(text, at)
            at = end
            while text[at : at + 1] and text[at] in _BETWEEN:
                at += 1
    except (ValueError, RecursionError):
        pass
    return end


def _json(body: str, functions: Functions) -> list[ToolCall]:
    if not body.startswith(("{", "[")):
        raise Unreadable(body)
    values, at = [], 0
    try:
        while at < len(body):
            value, at = _DECODER.raw_decode(body, at)
            values += value if isinstance(value, list) else [value]
            while at < len(body) and body[at] in _BETWEEN:
                at += 1
        return [call for value in values for call in _objects(value, functions, "")]
    except ValueError:
        pass
    loose = read_object(body, lists=True)
    if not isinstance(loose, str):
        raise Unreadable(body)
    value = json.loads(loose)
    return [
        call for each in (value if isinstance(value, list) else [value]) for call in _objects(each, functions, body)
    ]


def _objects(value: Any, functions: Functions, raw: str) -> list[ToolCall]:
    """The call that an object is, in one of the shapes that APIs and models give it."""
    if not isinstance(value, dict):
        raise Unreadable(str(value)[:80])
    inner = value.get("tool_calls", value.get("function_call", value.get("tool_uses")))
    if inner is not None and len(value) <= 2:
        return [
            call for each in (inner if isinstance(inner, list) else [inner]) for call in _objects(each, functions, raw)
        ]
    if isinstance(value.get("function"), dict):
        return _objects(value["function"], functions, raw)
    named = [key for key in _NAMES if isinstance(value.get(key), str)]
    given = [key for key in _ARGUMENTS if key in value]
    if not named or len(given) > 1 or set(value) - {named[0], *given} - _BESIDE:
        return [_apertus(value, functions, raw)]
    arguments = value[given[0]] if given else {}
    return [_call(value[named[0]], arguments, functions, raw, id=value.get("id"))]


def _apertus(value: dict[str, Any], functions: Functions, raw: str) -> ToolCall:
    """`{"name": {arguments}}`, of a function of the agent's."""
    if len(value) == 1:
        ((name, arguments),) = value.items()
        if function_name(name, functions) in functions and isinstance(arguments, dict):
            return _call(name, arguments, functions, raw)
    raise Unreadable(str(value)[:80])


def _call(name: str, arguments: object, functions: Functions, raw: str = "", *, id: object = "") -> ToolCall:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        text = json.dumps(arguments)
    return ToolCall(
        id=id if isinstance(id, str) else "", name=function_name(name, functions), arguments=text or "{}", raw=raw
    )


# --- a name and an object ---------------------------------------------------------------------------------------------


def _named(body: str, functions: Functions) -> list[ToolCall]:
    """`name{…}` with what Mistral, Kimi K2, DeepSeek and harmony put between the two."""
    found = _NAMED.match(body)
    if found is None:
        raise Unreadable(body)
    rest = body[found.end() :]
    if found["fence"]:
        if not rest.rstrip().endswith("```"):
            raise Unreadable(body)
        rest = rest.rstrip().removesuffix("```")
    return [_of_text(found["name"], rest, functions)]


def _of_text(name: str, arguments: str, functions: Functions) -> ToolCall:
    """A call whose arguments are a JSON object, as text."""
    try:
        value, end = _DECODER.raw_decode(arguments.strip())
        if isinstance(value, dict) and end == len(arguments.strip()):
            return ToolCall(id="", name=function_name(name, functions), arguments=arguments.strip())
    except ValueError:
        pass
    loose = read_object(arguments)
    if not isinstance(loose, str):
        raise Unreadable(arguments)
    return ToolCall(id="", name=function_name(name, functions), arguments=loose, raw=arguments)


def _gemma(body: str, functions: Functions) -> list[ToolCall]:
    """`call:name{key:<|"|>text<|"|>,key:5}`."""
    found = _GEMMA.match(body)
    if found is None:
        raise Unreadable(body)
    parts = _GEMMA_QUOTES.split(body[found.end() :])
    if len(parts) % 2 == 0:
        raise Unreadable(body)
    text = "".join(
        json.dumps(part) if index % 2 else _GEMMA_KEY.sub(r'\1"\2":', part) for index, part in enumerate(parts)
    )
    loose = read_object(text)
    if not isinstance(loose, str):
        raise Unreadable(body)
    return [ToolCall(id="", name=function_name(found["name"], functions), arguments=loose)]


# --- XML --------------------------------------------------------------------------------------------------------------


def _value(text: str, type: str) -> Any:
    """A parameter's value: a text as it stands, anything else as JSON where it is JSON."""
    if type == "string":
        return text
    try:
        return json.loads(text.strip())
    except (ValueError, RecursionError):
        return {"True": True, "False": False, "None": None}.get(text.strip(), text)


def _trimmed(text: str) -> str:
    """Without the line breaks that belong to the tags."""
    return text.removeprefix("\n").removesuffix("\n")


def _functions(body: str, functions: Functions) -> list[ToolCall]:
    """`<function=name>` with `<parameter=key>value</parameter>`, or with a JSON object (Llama 3.1)."""
    calls, at = [], 0
    while at < len(body.rstrip()):
        found = _FUNCTION.match(body, at)
        if found is None:
            raise Unreadable(body)
        types = functions.get(function_name(found["name"], functions), {})
        arguments: dict[str, Any] = {}
        at = found.end()
        while parameter := _PARAMETER.match(body, at):
            end = _PARAMETER_END.search(body, parameter.end())
            value = body[parameter.end() : end.start()] if end else ""
            if end is None or parameter["key"] in arguments or _PARAMETER_LINE.search(value):
                raise Unreadable(body)
            arguments[parameter["key"]] = _value(_trimmed(value), types.get(parameter["key"], ""))
            at = end.end()
        close = body.find("</function>", at)
        inner = body[at : close if close >= 0 else len(body)].strip()
        if inner and not arguments:
            calls.append(_of_text(found["name"], inner, functions))
        elif inner or close < 0:
            raise Unreadable(body)
        else:
            calls.append(_call(found["name"], arguments, functions))
        at = close + len("</function>") if close >= 0 else len(body)
    return calls


def _invokes(body: str, functions: Functions) -> list[ToolCall]:
    """`<invoke name="f">` with `<parameter name="key">value</parameter>`, or with a JSON object."""
    calls, at = [], 0
    while at < len(body.rstrip()):
        if alone := SELF_CLOSED.match(body, at):
            calls.append(_call(alone["name"], {}, functions))
            at = alone.end()
            continue
        found = _INVOKE.match(body, at)
        if found is None:
            raise Unreadable(body)
        types = functions.get(function_name(found["name"], functions), {})
        arguments: dict[str, Any] = {}
        at = found.end()
        while parameter := _ATTRIBUTED.match(body, at):
            end = _ATTRIBUTED_END.search(body, parameter.end())
            if end is None or parameter["key"] in arguments:
                raise Unreadable(body)
            type = {"true": "string", "false": "other"}.get(parameter["string"] or "", types.get(parameter["key"], ""))
            value = body[parameter.end() : end.start()]
            arguments[parameter["key"]] = _value(value if parameter["string"] else _trimmed(value), type)
            at = end.end()
        close = _INVOKE_CLOSE.search(body, at)
        if close is None or (arguments and body[at : close.start()].strip()):
            raise Unreadable(body)
        inner = body[at : close.start()].strip()
        name = found["name"]
        calls.append(_of_text(name, inner, functions) if inner else _call(name, arguments, functions))
        at = close.end()
    return calls


def _glm(body: str, functions: Functions) -> list[ToolCall]:
    """`name` with pairs of `<arg_key>` and `<arg_value>`."""
    found = _GLM.match(body)
    if found is None or function_name(found["name"], functions) not in functions:
        raise Unreadable(body)
    types = functions[function_name(found["name"], functions)]
    arguments: dict[str, Any] = {}
    at = found.end()
    while pair := _GLM_PAIR.match(body, at):
        key = pair["key"].strip()
        if key in arguments:
            raise Unreadable(body)
        arguments[key] = _value(pair["value"], types.get(key, ""))
        at = pair.end()
    if body[at:].strip():
        raise Unreadable(body)
    return [_call(found["name"], arguments, functions)]


def _k3(body: str, functions: Functions) -> list[ToolCall]:
    """Kimi K3: `<|open|>call tool="f" index="1"<|sep|>` with arguments in the same way."""
    calls, at = [], 0
    while found := _K3_CALL.match(body, at):
        arguments: dict[str, Any] = {}
        at = found.end()
        while pair := _K3_ARGUMENT.match(body, at):
            arguments[html.unescape(pair["key"])] = _value(pair["value"], pair["type"] or "")
            at = pair.end()
        end = _K3_END.match(body, at)
        if end is None:
            raise Unreadable(body)
        calls.append(_call(found["name"], arguments, functions))
        at = end.end()
    if body[at:].strip():
        raise Unreadable(body)
    return calls


# --- Python -----------------------------------------------------------------------------------------------------------


def _python(body: str, functions: Functions) -> list[ToolCall]:
    """`[f(key=value), g()]`, of the agent's functions; values are literals."""
    try:
        tree = ast.parse(body, mode="eval").body
    except (SyntaxError, ValueError, MemoryError):
        raise Unreadable(body) from None
    nodes = tree.elts if isinstance(tree, ast.List) else [tree]
    return [_python_call(node, functions) for node in nodes]


def _python_call(node: ast.expr, functions: Functions) -> ToolCall:
    if not isinstance(node, ast.Call) or node.args:
        raise Unreadable("")
    name = function_name(ast.unparse(node.func), functions)
    if name not in functions:
        raise Unreadable(name)
    arguments: dict[str, Any] = {}
    try:
        for keyword in node.keywords:
            if keyword.arg is None or keyword.arg in arguments:
                raise Unreadable(name)
            arguments[keyword.arg] = ast.literal_eval(keyword.value)
        text = msgspec.json.encode(arguments).decode()
    except (ValueError, TypeError, msgspec.MsgspecError):
        raise Unreadable(name) from None
    return ToolCall(id="", name=name, arguments=text)
