"""The stub server in a thread, and the real client at it: what tests over real HTTP share."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from bench.openai_stub import Stub
from palimpsest.actors.models.hosted.openai import OpenAIModel
from palimpsest.actors.models.protocol import Answer, ModelFailed, Piece
from palimpsest.store.keys.files import Handed, LiveKeys
from palimpsest.store.keys.keys import Credentials, Keys

KEY = "sk-palimpsest-0123456789abcdef"
HEADER = "tenant-secret-42"
TOOLS = [{"type": "function", "function": {"name": "send_message", "parameters": {"type": "object"}}}]


def ask(model: str, text: str = 'Grüß "dich" 😀\n', **fields: Any) -> bytes:
    messages = [{"role": "system", "content": "You are."}, {"role": "user", "content": text}]
    return msgspec.json.encode({"model": model, "messages": messages, "tools": TOOLS, **fields})


class Server:
    """The stub in a thread with a loop of its own."""

    def __init__(self) -> None:
        self.stub = Stub(delay_s=0.05)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self.stub.start(), self.loop).result(10)
        self.url = f"http://127.0.0.1:{self.port}/v1"

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self.stub.aclose(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)

    def script(self, *answers: dict[str, Any]) -> None:
        body = msgspec.json.encode(answers)
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/script", data=body, method="POST")
        urllib.request.urlopen(request).close()

    def requests(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/requests") as response:
            return list(json.load(response))


@contextmanager
def running() -> Iterator[Server]:
    server = Server()
    try:
        yield server
    finally:
        server.close()


class Waits:
    """A sleep that takes no time and remembers how long it was to be."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    async def __call__(self, delay_s: float) -> None:
        self.asked.append(delay_s)


def keys_of(url: str, key: str, headers: dict[str, str] | None) -> LiveKeys:
    """What one server is given."""
    servers = (Credentials(url=url, key=key, headers=headers or {}),) if key or headers else ()
    return LiveKeys(Handed(environment=Keys(servers=servers)))


def run(
    use: Callable[[OpenAIModel], Coroutine[Any, Any, Any]], url: str, waits: Waits | None = None, **settings: Any
) -> Any:
    """Use a model, and close it."""

    async def main() -> Any:
        keys = keys_of(url, settings.pop("api_key", KEY), settings.pop("headers", {"X-Tenant": HEADER}))
        chosen = {"keys": keys, "base_url": url, "jitter": lambda: 0.0, **settings}
        model = OpenAIModel(sleep=waits or Waits(), **chosen)
        try:
            return await use(model)
        finally:
            await model.aclose()

    return asyncio.run(main())


def complete(server: Server, request: bytes, *, stream: bool = False, **settings: Any) -> tuple[Answer, list[Piece]]:
    pieces: list[Piece] = []
    on_piece = pieces.append if stream else None
    answer = run(lambda model: model.complete(request, on_piece=on_piece), server.url, **settings)
    return answer, pieces


def fail(url: str, request: bytes, *, stream: bool = False, **settings: Any) -> ModelFailed:
    on_piece = (lambda _: None) if stream else None
    with pytest.raises(ModelFailed) as caught:
        run(lambda model: model.complete(request, on_piece=on_piece), url, **settings)
    failed = caught.value
    assert KEY not in failed.detail
    assert HEADER not in failed.detail
    assert failed.__context__ is None, "the chain could show a key in a traceback"
    return failed


both_ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
