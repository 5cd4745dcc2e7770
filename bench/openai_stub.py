"""A stub server that speaks OpenAI's chat-completions protocol over real HTTP, for tests and benchmarks.

Rules. (1) The model's name in a request selects what happens (see `BEHAVIOURS`), so every agent chooses for itself.
(2) Answers are deterministic: the same request gets the same bytes. (3) As little CPU as may be, since it shares the
machine with what is measured: standard library and msgspec, one `asyncio.Protocol` a connection.

    python bench/openai_stub.py --port 0          # prints the port that it chose as its first line

POST …/chat/completions; POST …/embeddings; POST /script (a JSON list of messages, or of {"status", "headers", "body"},
which requests for "stub-script" consume in order); GET /requests (the last headers and bodies); GET /count.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import re
import sys
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

PIECE_CHARS: Final = 7
"""Length of a streamed piece: odd and short, so that escapes and words are cut."""
KEPT_REQUESTS: Final = 100
ONCE_MEMORY: Final = 10_000
JSON: Final = "application/json"
OWN: Final = ("extra_content",)
"""What a message may hold besides: of a server's own."""


class Asked(msgspec.Struct):
    """The parts of a request that an answer depends on."""

    model: str = ""
    messages: list[msgspec.Raw] = []
    tools: msgspec.Raw = msgspec.Raw(b"")
    stream: bool = False


class Embedded(msgspec.Struct):
    """A request for embeddings."""

    model: str
    input: list[str]
    dimensions: int = 32


class Turn(msgspec.Struct):
    role: str = ""
    content: Any = None


class Reply(msgspec.Struct, frozen=True):
    """What goes back. `cut`: the connection closes in the middle; `delay_s` < 0: it never comes."""

    status: int = 200
    body: bytes = b""
    kind: str = JSON
    headers: Mapping[str, str] = {}
    chunks: tuple[bytes, ...] = ()
    delay_s: float = 0.0
    cut: bool = False
    endless: bytes = b""
    """Sent again and again after the chunks, for as long as they are read."""
    stalls: bool = False
    """The chunks are all that ever comes."""


class Received(msgspec.Struct, frozen=True):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def vector_of(text: str, dimensions: int) -> list[float]:
    """A bag of words, each hashed to one of the dimensions."""
    vector = [0.0] * dimensions
    for word in text.lower().split():
        vector[int.from_bytes(hashlib.blake2s(word.encode(), digest_size=4).digest()) % dimensions] += 1.0
    return vector


def last_user_text(asked: Asked) -> str:
    """The last thing a user said; MemGPT packages it as JSON, and some servers get several packages in one message."""
    for raw in reversed(asked.messages):
        turn = msgspec.json.decode(raw, type=Turn)
        if turn.role != "user" or not isinstance(turn.content, str):
            continue
        if not turn.content.rpartition("\n")[2].startswith("{"):
            return turn.content
        for line in reversed(turn.content.split("\n")):
            with contextlib.suppress(msgspec.MsgspecError):
                packaged = msgspec.json.decode(line)
                if isinstance(packaged, dict) and packaged.get("type") == "user_message":
                    return str(packaged["message"])  # not an event of the kernel's; the status line always stands last
    return ""


def tool_call(name: str, arguments: str, body: bytes) -> dict[str, Any]:
    call_id = "call_" + hashlib.blake2s(body, digest_size=8).hexdigest()
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def calling(*calls: dict[str, Any], content: str | None = None) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def spoken(text: str, body: bytes) -> dict[str, Any]:
    arguments = msgspec.json.encode({"message": text}).decode()
    return calling(tool_call("send_message", arguments, body), content="The stub thinks nothing.")


def in_text(name: str, arguments: dict[str, Any]) -> str:
    """A call as Hermes and Qwen models write it."""
    written = msgspec.json.encode({"name": name, "arguments": arguments}).decode()
    return f"The stub thinks nothing.\n<tool_call>\n{written}\n</tool_call>"


def default_message(asked: Asked, body: bytes) -> dict[str, Any]:
    text = last_user_text(asked)[:200]
    if bytes(asked.tools) in (b"", b"null", b"[]"):
        if b"<tool_call>" in bytes(asked.messages[0]):  # the functions are told in the text
            return {"role": "assistant", "content": in_text("send_message", {"message": f'You said: "{text}"'})}
        return {"role": "assistant", "content": f"A summary by the stub. It ended with: {text}"}
    return spoken(f'You said: "{text}"', body)


def completion(
    asked: Asked, body: bytes, message: dict[str, Any], *, finish: str = "", usage: Mapping[str, int] | None = None
) -> Reply:
    """A whole answer, streamed where that was asked for."""
    finish = finish or ("tool_calls" if message.get("tool_calls") else "stop")
    prompt, out = len(body) // 4, 16
    usage = usage or {"prompt_tokens": prompt, "completion_tokens": out, "total_tokens": prompt + out}
    head = {"id": "chatcmpl-stub", "created": 0, "model": asked.model}
    if asked.stream:
        return Reply(kind="text/event-stream", chunks=streamed(head, message, finish, usage))
    choice = {"index": 0, "message": message, "finish_reason": finish}
    whole = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
    return Reply(body=msgspec.json.encode(whole))


def streamed(head: dict[str, Any], message: dict[str, Any], finish: str, usage: Mapping[str, int]) -> tuple[bytes, ...]:
    own = {name: value for name, value in message.items() if name in OWN}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None, **own}]
    deltas += [{"reasoning_content": part} for part in pieces(message.get("reasoning_content") or "")]
    deltas += [{"content": part} for part in pieces(message.get("content") or "")]
    for index, call in enumerate(message.get("tool_calls") or ()):
        named = {**call, "function": {**call["function"], "arguments": ""}}
        deltas.append({"tool_calls": [{"index": index, **named}]})
        for part in pieces(call["function"]["arguments"]):
            deltas.append({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
    choices: list[list[Any]] = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas]
    choices.append([{"index": 0, "delta": {}, "finish_reason": finish}])
    events = [{**head, "object": "chat.completion.chunk", "choices": choice} for choice in choices]
    events.append({**head, "object": "chat.completion.chunk", "choices": [], "usage": usage})
    return (*(b"data: " + msgspec.json.encode(event) + b"\n\n" for event in events), b"data: [DONE]\n\n")


def pieces(text: str) -> list[str]:
    return [text[at : at + PIECE_CHARS] for at in range(0, len(text), PIECE_CHARS)]


def refusal(status: int, message: str, code: str | None, kind: str = "invalid_request_error", **headers: str) -> Reply:
    """An error as OpenAI words it."""
    error = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, msgspec.json.encode(error), headers=named)


class Stub:
    """The server's state, and what it answers. `delay_s` is the delay of "stub-slow"; `backend` "echo" or "offline";
    `more` are behaviours of the caller's own."""

    def __init__(
        self, *, delay_s: float = 0.5, backend: str = "echo", more: Mapping[str, Behaviour] | None = None
    ) -> None:
        self._behaviours = {**BEHAVIOURS, **(more or {})}
        self.delay_s = delay_s
        self.backend = backend
        self.count = 0
        self.connections = 0
        self.requests: deque[Received] = deque(maxlen=KEPT_REQUESTS)
        self.script: deque[dict[str, Any]] = deque()
        self.about: Mapping[str, Any] = {}
        """What it says of itself by path, as `bench.stub_about` has it of the named servers."""
        self._seen: dict[bytes, None] = {}
        self._offline: Any = None
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> int:
        """Listen; the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), host, port, backlog=4096)
        return int(self._server.sockets[0].getsockname()[1])

    async def aclose(self) -> None:
        if self._server is not None:
            self._server.close()

    def answer(self, received: Received) -> Reply:
        """The reply to anything but "stub-offline", which takes time (see `offline`)."""
        path = received.path.partition("?")[0]
        if path.endswith("/chat/completions"):
            return self._complete(received)
        if path.endswith("/embeddings"):
            return self._embed(received)
        if path == "/script" and received.method == "POST":
            self.script = deque(msgspec.json.decode(received.body, type=list[dict[str, Any]]))
            return Reply(body=b"{}")
        if path == "/requests":
            kept = [{"headers": one.headers, "body": one.body.decode()} for one in self.requests]
            return Reply(body=msgspec.json.encode(kept))
        if path in self.about:
            self.requests.append(received)
            said = self.about[path]
            said = said(received) if callable(said) else said
            return said if isinstance(said, Reply) else Reply(body=msgspec.json.encode(said))
        if path == "/count":
            return Reply(body=b'{"count":%d}' % self.count)
        return Reply(404, b"404 page not found", "text/plain")

    def _complete(self, received: Received) -> Reply:
        self.count += 1
        self.requests.append(received)
        try:
            asked = msgspec.json.decode(received.body, type=Asked)
        except msgspec.MsgspecError as error:
            return refusal(400, f"The body is not a chat-completions request: {error}", None)
        name, _, argument = asked.model.partition(":")
        behave = self._behaviours.get(name) or _LISTED.get(name.partition("-")[0], _default)
        return behave(Case(self, asked, received, argument))

    def _embed(self, received: Received) -> Reply:
        """Vectors that hang on the words alone, of "dimensions" or 32. "stub-echo-key" and the failures are as for
        chats; "stub-short:N" takes texts of at most N characters."""
        self.count += 1
        self.requests.append(received)
        wanted = msgspec.json.decode(received.body, type=Embedded)
        name, _, argument = wanted.model.partition(":")
        if name in BEHAVIOURS and name != "stub":
            return BEHAVIOURS[name](Case(self, Asked(model=wanted.model), received, argument))
        if name == "stub-short" and any(len(text) > int(argument) for text in wanted.input):
            return refusal(400, f"This model takes {argument} characters.", None)
        rows = [{"index": n, "embedding": vector_of(text, wanted.dimensions)} for n, text in enumerate(wanted.input)]
        rows.reverse()  # the protocol has an index, and says nothing of the order
        return Reply(body=msgspec.json.encode({"object": "list", "model": wanted.model, "data": rows}))

    def first_time(self, body: bytes) -> bool:
        """Whether this very request was not seen before; the last ten thousand are remembered."""
        digest = hashlib.blake2s(body).digest()
        if digest in self._seen:
            return False
        self._seen[digest] = None
        if len(self._seen) > ONCE_MEMORY:
            self._seen.pop(next(iter(self._seen)))
        return True

    def wants_offline(self, received: Received) -> bool:
        if self.backend != "offline" and b"stub-offline" not in received.body:
            return False
        with contextlib.suppress(msgspec.MsgspecError):
            model = msgspec.json.decode(received.body, type=Asked).model
            return model == "stub-offline" or (self.backend == "offline" and model == "stub")
        return False

    async def offline(self, received: Received) -> Reply:
        """The built-in offline model's answer, over HTTP."""
        if self._offline is None:
            from palimpsest.actors.models.offline.model import OfflineModel

            self._offline = OfflineModel()
        self.count += 1
        self.requests.append(received)
        asked = msgspec.json.decode(received.body, type=Asked)
        answer = await self._offline.complete(received.body)
        calls = [
            tool_call(call.name, call.arguments, b"%d%b" % (n, received.body)) for n, call in enumerate(answer.calls)
        ]
        message = {"role": "assistant", "content": answer.content or None, **({"tool_calls": calls} if calls else {})}
        used = answer.usage
        usage = {"prompt_tokens": used.prompt, "completion_tokens": used.completion}
        return completion(asked, received.body, message, finish=answer.finish, usage=usage)


# --- behaviours ---------------------------------------------------------------------------------------------------


class Case(msgspec.Struct, frozen=True):
    """A request that selected a behaviour; `argument` is what followed the colon in the model's name."""

    stub: Stub
    asked: Asked
    got: Received
    argument: str


Behaviour = Callable[[Case], Reply]


def _default(case: Case) -> Reply:
    return completion(case.asked, case.got.body, default_message(case.asked, case.got.body))


def _slow(case: Case) -> Reply:
    return msgspec.structs.replace(_default(case), delay_s=case.stub.delay_s)


def _cut(case: Case) -> Reply:
    return msgspec.structs.replace(_default(case), cut=True)


def _always(reply: Reply) -> Behaviour:
    return lambda _: reply


def _once(reply: Reply) -> Behaviour:
    """The first time that a request comes."""
    return lambda case: reply if case.stub.first_time(case.got.body) else _default(case)


def _calls(name: str, arguments: str, finish: str = "", **fields: str) -> Behaviour:
    def behave(case: Case) -> Reply:
        call = {**tool_call(name, arguments, case.got.body), **fields}
        return completion(case.asked, case.got.body, calling(call), finish=finish)

    return behave


def _text(text: str) -> Behaviour:
    return lambda case: completion(case.asked, case.got.body, {"role": "assistant", "content": text})


def _ends(case: Case) -> Reply:
    """Half an answer, and the server's word for its end."""
    half = {"role": "assistant", "content": "The password is"}
    return completion(case.asked, case.got.body, half, finish=case.argument)


_SAYS: Final = '{"name": "send_message", "arguments": {"message": "hello"}}'
WRITTEN: Final = {
    # vllm/reasoning/deepseek_r1_reasoning_parser.py: what is there where no parser was chosen
    "think": "<think>\nSECRET: be kind.\n</think>\n\nHello, friend.",
    # the same file: the chat template has written the opening tag
    "unopened": "SECRET: be kind.\n</think>\n\nHello, friend.",
    # vllm/entrypoints/openai/tool_parsers/hermes_tool_parser.py
    "hermes": f"<think>SECRET</think>\n<tool_call>\n{_SAYS}\n</tool_call>",
    # vllm/entrypoints/openai/tool_parsers/qwen3coder_tool_parser.py
    "qwen3-coder": (
        "<tool_call>\n<function=send_message>\n<parameter=message>\nhello\n</parameter>\n</function>\n</tool_call>"
    ),
    # vllm/entrypoints/openai/tool_parsers/llama_tool_parser.py
    "llama": _SAYS.replace("arguments", "parameters"),
    # vllm/entrypoints/openai/tool_parsers/mistral_tool_parser.py
    "mistral": f"[TOOL_CALLS] [{_SAYS}]",
    # sglang/srt/function_call/kimik2_detector.py
    "kimi": (
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.send_message:0<|tool_call_argument_begin|>"
        '{"message": "hello"}<|tool_call_end|><|tool_calls_section_end|>'
    ),
    # openai/harmony docs/format.md
    "harmony": (
        "<|channel|>analysis<|message|>SECRET<|end|><|start|>assistant<|channel|>commentary to=functions.send_message "
        '<|constrain|>json<|message|>{"message": "hello"}<|call|>'
    ),
    "cut": '<tool_call>\n{"name": "send_message", "arguments": {"message": "hel',
}
"""What servers let through as content, and where it was read."""


def _writes(case: Case) -> Reply:
    return completion(case.asked, case.got.body, {"role": "assistant", "content": WRITTEN[case.argument]})


def _overflow(case: Case) -> Reply:
    window, tokens = int(case.argument or 0), len(case.got.body) // 4
    if tokens <= window:
        return _default(case)
    text = (
        f"This model's maximum context length is {window} tokens. However, your messages resulted in {tokens} tokens."
    )
    return refusal(400, text, "context_length_exceeded")


def _echo_key(case: Case) -> Reply:
    echo = msgspec.json.encode(case.got.headers).decode()
    return refusal(401, f"Incorrect API key provided in {echo}.", "invalid_api_key")


def _scripted(case: Case) -> Reply:
    if not case.stub.script:
        return _default(case)
    entry = case.stub.script.popleft()
    if "status" in entry:
        body = entry.get("body", "")
        text = body.encode() if isinstance(body, str) else msgspec.json.encode(body)
        return Reply(entry["status"], text, entry.get("kind", JSON), entry.get("headers", {}))
    message, finish = entry.get("message", entry), entry.get("finish_reason", "")
    return completion(case.asked, case.got.body, message, finish=finish, usage=entry.get("usage"))


LATELY: Final = re.compile(rb"Lately: [^<\\\\]*")
"""What `stub-memory` keeps in core memory, as it stands in a request: one line, replaced in each turn."""


def _memory(case: Case) -> Reply:
    """Three calls of functions a turn. A question: a search and, once there is its result, core memory and the answer.
    Anything else: core memory, archival memory and the answer, at once."""
    asked, body = case.asked, case.got.body
    text = last_user_text(asked)[:100]
    if not bytes(asked.tools):
        return _default(case)
    # Before the status line stands the question, or the heartbeat that a search asked for.
    is_question, is_searched = text.endswith("?"), b"heartbeat" in bytes(asked.messages[-2])
    if is_question and not is_searched:
        calls = [("archival_memory_search", {"query": text, "request_heartbeat": True})]
    else:
        calls = [("archival_memory_insert", {"content": text})] if not is_question else []
        calls = [_kept(asked.messages[0], text), *calls, ("send_message", {"message": f'You said: "{text}"'})]
    made = [
        tool_call(name, msgspec.json.encode(arguments).decode(), b"%d%b" % (n, body))
        for n, (name, arguments) in enumerate(calls)
    ]
    return completion(asked, body, calling(*made))


def _kept(system: msgspec.Raw, text: str) -> tuple[str, dict[str, Any]]:
    """The call that keeps this text in core memory, in the place of the last one."""
    line = "Lately: " + re.sub(r"[^\w .,?']", "", text)
    if last := LATELY.search(bytes(system)):
        old = last.group().decode().strip()
        return "core_memory_replace", {"name": "human", "old_content": old, "new_content": line}
    return "core_memory_append", {"name": "human", "content": line}


def _strict(case: Case) -> Reply:
    """A server that refuses what `bench.refusals` lists under the model's name."""
    from bench.refusals import REFUSALS

    refuses = REFUSALS[case.asked.model]
    words = refuses.objection(msgspec.json.decode(case.got.body))
    if words:
        return Reply(refuses.status, refuses.body(words))
    message = default_message(case.asked, case.got.body)
    if refuses.silent and message.get("tool_calls"):
        message["content"] = None
    if message.get("tool_calls"):
        message["tool_calls"][0] |= refuses.beside_calls
    return completion(case.asked, case.got.body, {**message, **refuses.beside_content})


def _odd(case: Case) -> Reply:
    """An answer that `bench.odd_answers` lists under the model's name."""
    from bench.odd_answers import ODD

    odd, text = ODD[case.asked.model], f'You said: "{last_user_text(case.asked)[:200]}"'
    if case.asked.stream or odd.whole is None:
        chunks = tuple(odd.streamed(text))
        ready = bool(chunks or odd.endless or odd.stalls)
        return Reply(kind=odd.kind, chunks=chunks if ready else (), endless=odd.endless, stalls=odd.stalls)
    return Reply(odd.whole_status, b"".join(odd.whole(text)), odd.whole_kind)


RATE: Final = refusal(429, "Rate limit reached. Please try again later.", "rate_limit_exceeded", retry_after="1")
BROKEN: Final = refusal(500, "The server had an error while processing your request.", None, "server_error")
HTML: Final = Reply(body=b"<!DOCTYPE html><html><body><h1>Welcome to nginx!</h1></body></html>", kind="text/html")

BEHAVIOURS: Final[Mapping[str, Behaviour]] = {
    "stub": _default,
    "stub-memory": _memory,
    "stub-slow": _slow,
    "stub-hang": _always(Reply(delay_s=-1)),
    "stub-cut": _cut,
    "stub-script": _scripted,
    "stub-overflow": _overflow,
    "stub-echo-key": _echo_key,
    "stub-401": _always(refusal(401, "Incorrect API key provided.", "invalid_api_key")),
    "stub-404": _always(refusal(404, "The model `stub-404` does not exist.", "model_not_found")),
    "stub-429": _always(RATE),
    "stub-429-once": _once(RATE),
    "stub-quota": _always(refusal(429, "You exceeded your current quota.", "insufficient_quota", "insufficient_quota")),
    "stub-500": _always(BROKEN),
    "stub-500-once": _once(BROKEN),
    "stub-html": _always(HTML),
    "stub-empty-choices": _always(Reply(body=b'{"id":"x","object":"chat.completion","choices":[]}')),
    "stub-plain": _text("Plain text, no call."),
    "stub-broken-json": _calls("send_message", "{'message': 'so',}"),
    "stub-unknown-function": _calls("launch_rocket", '{"to":"the moon"}'),
    "stub-no-id": _calls("send_message", '{"message":"hello"}', id=""),
    "stub-length": _calls("send_message", '{"message":"cut o', "length"),
    # Models that make one call for ever: earendil-works/pi#6158, PrimeIntellect-ai/prime-agent#1326 (Qwen, llama.cpp).
    "stub-circle": _calls("core_memory_append", '{"name":"human","content":"Likes tea.","request_heartbeat":true}'),
    # As in OpenAI's, Azure's and DeepSeek's API references, and in vllm/v1/engine/__init__.py (FINISH_REASON_STRINGS).
    "stub-ends": _ends,
    "stub-harmony-name": _calls("send_message<|channel|>commentary", '{"message":"hello"}'),  # vllm issue 32587
    "stub-writes": _writes,
}
"""What a model's name selects; what follows a colon is its argument. `bench.refusals` has the strict servers, and
`bench.odd_answers` those that answer oddly."""
_LISTED: Final[Mapping[str, Behaviour]] = {"strict": _strict, "odd": _odd}


# --- HTTP ---------------------------------------------------------------------------------------------------------


TLS_HANDSHAKE: Final = b"\x16"
"""With this a client begins that takes us for an HTTPS server."""


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive; one request at a time, which must carry a Content-Length."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub
        self._buffer = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._room.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._stub.connections += 1

    def connection_lost(self, _: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._buffer[:1] == TLS_HANDSHAKE:
            self._transport.abort()
            return
        while (received := self._take()) is not None:
            if self._stub.wants_offline(received):
                self._task = asyncio.get_running_loop().create_task(self._answer_offline(received))
            else:
                self._send(self._stub.answer(received))

    def _take(self) -> Received | None:
        """The next whole request in the buffer."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        stop = end + 4 + int(headers.get("content-length", 0))
        if len(self._buffer) < stop:
            return None
        body = bytes(self._buffer[end + 4 : stop])
        del self._buffer[:stop]
        method, path, _ = first.split(" ", 2)
        return Received(method, path, headers, body)

    async def _answer_offline(self, received: Received) -> None:
        self._send(await self._stub.offline(received))

    def _send(self, reply: Reply) -> None:
        if reply.delay_s > 0:
            now = msgspec.structs.replace(reply, delay_s=0)
            asyncio.get_running_loop().call_later(reply.delay_s, self._send, now)
        elif reply.delay_s == 0 and not self._transport.is_closing():
            self._transport.write(encoded(reply))
            if reply.cut:
                self._transport.close()
            if reply.endless:
                self._task = asyncio.get_running_loop().create_task(self._send_on(_chunk(reply.endless)))

    async def _send_on(self, data: bytes) -> None:
        while not self._transport.is_closing():
            await self._room.wait()
            self._transport.write(data)
            await asyncio.sleep(0)

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()


def encoded(reply: Reply) -> bytes:
    """A reply's bytes; only the first half of the body where it is to be cut."""
    is_open = reply.stalls or bool(reply.endless)
    length = b"transfer-encoding: chunked" if reply.chunks or is_open else b"content-length: %d" % len(reply.body)
    extra = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items()).encode()
    head = b"HTTP/1.1 %d X\r\ncontent-type: %b\r\n%b\r\n%b\r\n" % (reply.status, reply.kind.encode(), length, extra)
    chunks, body = reply.chunks, reply.body
    if reply.cut:
        return head + b"".join(map(_chunk, chunks[: len(chunks) // 2])) + body[: len(body) // 2]
    if is_open:
        return head + b"".join(map(_chunk, chunks))
    return head + (b"".join(map(_chunk, chunks)) + b"0\r\n\r\n" if chunks else body)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def serve(stub: Stub, host: str, port: int) -> None:
    print(await stub.start(port, host), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="A stub of OpenAI's chat-completions protocol.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free port, which is printed")
    parser.add_argument("--delay-ms", type=float, default=500, help="the delay of model stub-slow")
    parser.add_argument("--backend", choices=("echo", "offline"), default="echo", help="what answers for model stub")
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(Stub(delay_s=options.delay_ms / 1000, backend=options.backend), options.host, options.port))


if __name__ == "__main__":
    main()
