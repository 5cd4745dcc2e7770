"""Answers that are odd in the way of some real server, for the stub: a model's name "odd-NAME" selects one.

Rule: each says where the behaviour was read or seen. What is read from an issue names the repository and the number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

SSE: Final = "text/event-stream"
JSON: Final = "application/json"


class Odd(msgspec.Struct, frozen=True):
    """`streamed` and `whole` make the body for the text that is to be said, in chunks; without `whole` a request that
    asks for no stream gets the stream. `endless` is sent again and again after the chunks."""

    seen: str
    streamed: Callable[[str], list[bytes]]
    whole: Callable[[str], list[bytes]] | None = None
    kind: str = SSE
    whole_kind: str = JSON
    whole_status: int = 200
    endless: bytes = b""
    stalls: bool = False


def chunk(delta: Any = None, finish: str | None = None, **more: Any) -> bytes:
    choices = [{"index": 0, "delta": delta or {}, "finish_reason": finish}]
    return b"data: " + json.dumps({"id": "c", "model": "odd", "choices": choices, **more}).encode() + b"\n\n"


def whole(message: dict[str, Any], finish: str = "stop") -> list[bytes]:
    choices = [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}]
    return [json.dumps({"id": "c", "model": "odd", "choices": choices}).encode()]


def call(name: str, arguments: Any, call_id: str | None = None, index: int | None = 0) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
    made |= {} if call_id is None else {"id": call_id}
    return made if index is None else {**made, "index": index}


def say(text: str, call_id: str | None = "call_1", index: int | None = 0) -> dict[str, Any]:
    return call("send_message", {"message": text}, call_id, index)


def calls(*made: dict[str, Any]) -> bytes:
    return chunk({"tool_calls": list(made)})


DONE: Final = b"data: [DONE]\n\n"
END: Final = (chunk({}, "tool_calls"), DONE)


def _both_streamed(text: str) -> list[bytes]:
    arguments = json.dumps({"message": text})
    parts = [arguments[at : at + 5] for at in range(0, len(arguments), 5)]
    made = [
        chunk(
            {
                "role": None,
                "content": None,
                "function_call": {"name": "send_message", "arguments": part},
                "tool_calls": [
                    {
                        "index": 0,
                        "id": "c0",
                        "function": {"name": "send_message", "arguments": part},
                        "type": "function",
                    }
                ],
            }
        )
        for part in parts
    ]
    first = chunk({"role": "assistant", "content": None, "function_call": None, "tool_calls": None})
    return [first, *made, *END]


def _both_whole(text: str) -> list[bytes]:
    function = {"name": "send_message", "arguments": json.dumps({"message": text})}
    message = {"content": None, "tool_calls": [{"id": "c0", "type": "function", "function": function}]}
    return whole({**message, "function_call": function}, "tool_calls")


def _old_first(text: str) -> list[bytes]:
    function = {"name": "send_message", "arguments": json.dumps({"message": text})}
    return [chunk({"function_call": function}), calls(say(text)), *END]


def _refuse_length(_: str) -> list[bytes]:
    said = "This model's maximum context length is 512 tokens, however you requested 900 tokens"
    return [json.dumps({"error": {"message": said, "code": "context_length_exceeded", "param": "messages"}}).encode()]


def _pretty(text: str) -> list[bytes]:
    body = json.dumps({"choices": [{"delta": {"tool_calls": [say(text)]}, "finish_reason": "stop"}]}, indent=1)
    return [b"".join(b"data: %b\n" % line.encode() for line in body.split("\n")) + b"\n", DONE]


LLAMA_PYTHON: Final = "llama-cpp-python[server] 0.3.36, chat format chatml-function-calling, run here"
ODD: Final[Mapping[str, Odd]] = {
    "odd-both": Odd(LLAMA_PYTHON, _both_streamed, _both_whole),
    "odd-old-first": Odd("llama-cpp-python's two forms, one after the other", _old_first),
    "odd-overflow": Odd(
        LLAMA_PYTHON + ": too long a request streams nothing", lambda _: [], _refuse_length, whole_status=400
    ),
    "odd-only-done": Odd(
        "vllm-project/vllm#40986: an error before the first token", lambda _: [DONE], _refuse_length, whole_status=400
    ),
    "odd-only-role": Odd(
        "lmstudio-ai/lmstudio-bug-tracker#2339: too long a request, no deltas",
        lambda _: [chunk({"role": "assistant", "content": ""}), chunk({}, "stop"), DONE],
        _refuse_length,
        whole_status=400,
    ),
    "odd-index-0": Odd(
        "huggingface/smolagents#1958: parallel calls with one index and no ids",
        lambda text: [
            calls(call("core_memory_append", {"name": "human", "content": text})),
            calls(say(text, None)),
            *END,
        ],
    ),
    "odd-same-name": Odd(
        "apache/maka#1976: the second of two calls of one function is glued",
        lambda text: [calls(say(text, None)), calls(say(f"{text}!", None)), *END],
    ),
    "odd-twice": Odd(
        "a last chunk that repeats the whole call, id and all", lambda text: [calls(say(text)), calls(say(text)), *END]
    ),
    "odd-bad-byte": Odd(
        "a byte that is no UTF-8: made up, after servers that cut a token's bytes within a character",
        lambda text: [chunk({"content": "a\x00b"}).replace(b"\\u0000", b"\xff"), calls(say(text)), *END],
    ),
    "odd-emoji": Odd(
        "elie222/rakazo#416: the halves of an emoji in two chunks",
        lambda text: [
            b'data: {"choices":[{"delta":{"content":"so \\ud83d"}}]}\n\n',
            b'data: {"choices":[{"delta":{"content":"\\ude00 it is"}}]}\n\n',
            calls(say(text)),
            *END,
        ],
        lambda text: [whole({"content": "so \U0001f600 it is", "tool_calls": [say(text)]})[0]],
    ),
    "odd-text-plain": Odd(
        "tinyhumansai/tinyagents#56: events as text/plain",
        lambda text: [calls(say(text)), *END],
        kind="text/plain; charset=utf-8",
        whole_kind="application/octet-stream",
    ),
    "odd-lines": Odd("the format itself: data over several lines", _pretty),
    "odd-comments": Odd(
        "mnfst/llm-gateway#2053, OpenRouter: comments, as data too; DeepSeek: blank lines while it waits",
        lambda text: [
            b"\xef\xbb\xbf\n\n: OPENROUTER PROCESSING\r\n\r\n",
            b"data: : OPENROUTER PROCESSING\n\ndata:\n\nevent: ping\nid: 7\nretry: 10\n\n",
            calls(say(text)),
            *END,
        ],
    ),
    "odd-unended": Odd("earendil-works/pi#6225: closed without a finish reason", lambda text: [calls(say(text))]),
    "odd-whole": Odd(
        "servers that know no streaming",
        lambda text: whole({"tool_calls": [say(text)]}),
        lambda text: whole({"tool_calls": [say(text)]}),
        kind="application/octet-stream",
    ),
    "odd-reasoning": Odd(
        "DeepSeek, vLLM and others: reasoning beside the call",
        lambda text: [chunk({"reasoning_content": "Let me see."}), calls(say(text)), *END],
        lambda text: whole({"reasoning": "Let me see.", "reasoning_content": "Let me see.", "tool_calls": [say(text)]}),
    ),
    "odd-only-reasoning": Odd(
        "lmstudio-ai/lmstudio-bug-tracker#1602: nothing but reasoning_content",
        lambda text: [chunk({"reasoning_content": text}), chunk({"content": ""}), chunk({}, "stop"), DONE],
        lambda text: whole({"content": None, "reasoning_content": text}),
    ),
    "odd-eaten": Odd(
        "OpenAI's reasoning models: the limit is reached before the answer begins",
        lambda text: [chunk({"reasoning_content": text}), chunk({}, "length"), DONE],
        lambda _: whole({"content": ""}, "length"),
    ),
    "odd-event-error": Odd(
        "bayesimpact/bayes-platform#669: an event of the kind error",
        lambda _: [chunk({"content": "I am"}), b"event: error\ndata: upstream died\n\n"],
    ),
    "odd-only-comments": Odd(
        "coder/coder#26005: keep-alives and no answer", lambda _: [b": ping\n\n", b": ping\n\n", DONE]
    ),
    "odd-ok-error": Odd(
        "LM Studio, as in zeenie-ai/OpenCompany#114: a wrong path with status 200",
        lambda _: [b'{"error":"Unexpected endpoint or method. (POST /chat/completions)"}'],
        kind=JSON,
    ),
    "odd-ok-detail": Odd(
        "FastAPI's form of an error (fastapi/exception_handlers.py), as gateways pass it on with status 200",
        lambda _: [b'{"detail":"Not authenticated to upstream"}'],
        kind=JSON,
    ),
    "odd-ok-busy": Odd(
        "OpenRouter: an upstream's error in a stream, with its code",
        lambda _: [b'data: {"error":{"code":429,"message":"Provider returned error: busy"},"choices":[]}\n\n', DONE],
    ),
    "odd-stalls": Odd("a server that hangs in the middle", lambda _: [chunk({"content": "Let"})], stalls=True),
    "odd-endless": Odd("a model that never stops", lambda _: [], endless=chunk({"content": "la " * 30_000})),
    "odd-endless-reasoning": Odd("a model that thinks on", lambda _: [], endless=chunk({"reasoning": "hm " * 30_000})),
    "odd-endless-call": Odd(
        "a call that never ends",
        lambda _: [calls(say("a"))],
        endless=calls({"index": 0, "function": {"arguments": " " * 90_000}}),
    ),
    "odd-endless-calls": Odd(
        "calls without an end", lambda _: [], endless=calls(*[say("a", None, None) for _ in range(1000)])
    ),
    "odd-endless-line": Odd("bytes without a line's end", lambda _: [b"data: "], endless=b"x" * 900_000),
    "odd-endless-body": Odd("a document without an end", lambda _: [b"{"], endless=b" " * 900_000, kind=JSON),
}
