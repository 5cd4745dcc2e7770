"""actors/models/hosted/openai.py: the real openai client, over real HTTP, against the stub server."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.openai_stub import Case, Reply, completion
from palimpsest.actors.models.hosted.answers import AnswerBuilder
from palimpsest.actors.models.hosted.completions import MAX_TOKENS
from palimpsest.actors.models.hosted.failures import Failure
from palimpsest.actors.models.hosted.openai import STREAM_OPTIONS, OpenAIModel
from palimpsest.actors.models.hosted.pieces import EventLines
from palimpsest.actors.models.hosted.reading import whole_answer
from palimpsest.actors.models.offline.model import OfflineModel
from palimpsest.actors.models.protocol import Answer, ModelFailed, Piece, Terms
from palimpsest.events.types import ToolCall, Usage
from tests.worlds.stub_server import HEADER, KEY, Server, Waits, ask, both_ways, complete, fail, run

ROOT = Path(__file__).parents[3]
ENDS = {
    "length": "length", "model_length": "length", "MAX_TOKENS": "length", "content_filter": "content_filter",
    "SAFETY": "content_filter", "sensitive": "content_filter", "insufficient_system_resource": "interrupted",
    "abort": "interrupted", "error": "interrupted", "stop": "stop", "end_turn": "stop", "eos": "stop",
}  # fmt: skip
"""What servers call the end of an answer, and what it is."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture(autouse=True)
def _fresh(server: Server) -> None:
    server.stub.requests.clear()
    server.stub.script.clear()
    server.stub._seen.clear()


# --- what is sent -------------------------------------------------------------------------------------------------


@both_ways
def test_the_bytes_asked_for_are_the_bytes_sent(server: Server, stream: bool) -> None:
    request = ask("stub", "ünïcödé 😀 \u2028 </script> \x7f", temperature=0.1, seed=2**53, z=1, a=[1.0, None, 1e-7])
    complete(server, request, stream=stream)
    body = server.requests()[-1]["body"].encode()
    sent = msgspec.json.decode(body)
    assert body == (request[:-1] + STREAM_OPTIONS if stream else request)
    assert sent.pop("stream", False) is stream
    assert sent.pop("stream_options", None) == ({"include_usage": True} if stream else None)
    assert msgspec.json.encode(sent) == request


def test_key_and_headers_are_sent(server: Server) -> None:
    complete(server, ask("stub"))
    headers = server.requests()[-1]["headers"]
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["x-tenant"] == HEADER
    assert headers["content-type"] == "application/json"


def test_the_connection_is_kept(server: Server) -> None:
    """Streamed calls too: the response is read to its very end."""

    async def use(model: OpenAIModel) -> int:
        before = server.stub.connections
        for _ in range(3):
            await model.complete(ask("stub"))
            await model.complete(ask("stub"), on_piece=lambda _: None)
        return server.stub.connections - before

    assert run(use, server.url) == 1
    assert run(use, f"{server.url}/") == 1


def test_two_hundred_at_once_get_a_connection_each(server: Server) -> None:
    async def use(model: OpenAIModel) -> list[Answer]:
        return list(await asyncio.gather(*(model.complete(ask("stub-slow")) for _ in range(200))))

    before = server.stub.connections
    assert len(run(use, server.url, max_in_flight=200)) == 200
    assert server.stub.connections - before == 200


def test_only_the_body_differs_from_request_to_request(server: Server) -> None:
    """What goes along with a body is made once; it is what it was, and the length is the body's own."""

    async def use(model: OpenAIModel) -> None:
        for text in ("short", "longer " * 20, "short"):
            await model.complete(ask("stub", text))

    run(use, server.url)
    first, second, third = server.requests()[-3:]
    assert first == third
    assert first["headers"].pop("content-length") != second["headers"].pop("content-length")
    assert first["headers"] == second["headers"]


@both_ways
def test_an_answer_may_come_compressed(server: Server, monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    def behave(case: Case) -> Reply:
        plain = completion(case.asked, case.got.body, {"content": "packed"})
        body = gzip.compress(b"".join(plain.chunks) or plain.body)
        return Reply(body=body, kind=plain.kind, headers={"content-encoding": "gzip"})

    monkeypatch.setitem(server.stub._behaviours, "stub-gzip", behave)
    assert complete(server, ask("stub-gzip"), stream=stream)[0].content == "packed"
    assert "gzip" in server.requests()[-1]["headers"]["accept-encoding"]


@both_ways
def test_a_proxy_of_the_environment_is_used(server: Server, monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    """The stub takes the place of the proxy: it is asked for the address of a server that is not there."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    away = "http://model.invalid/v1"
    seen = len(server.stub.requests)
    assert run(lambda model: model.complete(ask("stub"), on_piece=(lambda _: None) if stream else None), away).calls
    assert server.stub.requests[seen].path == f"{away}/chat/completions"
    monkeypatch.setenv("NO_PROXY", "model.invalid")
    assert fail(away, ask("stub"), stream=stream, max_retries=0).error == "unreachable"


def test_each_call_may_have_its_own_server(server: Server) -> None:
    other = Server()
    try:
        run(lambda model: model.complete(ask("stub"), base_url=other.url), server.url)
        assert (len(other.requests()), len(server.requests())) == (1, 0)
    finally:
        other.close()


# --- what comes back ----------------------------------------------------------------------------------------------


@both_ways
def test_a_call(server: Server, stream: bool) -> None:
    answer, pieces = complete(server, ask("stub", "hello"), stream=stream)
    (call,) = answer.calls
    assert (call.name, json.loads(call.arguments)) == ("send_message", {"message": 'You said: "hello"'})
    assert call.id.startswith("call_")
    assert (answer.finish, answer.model, answer.content) == ("tool_calls", "stub", "The stub thinks nothing.")
    assert answer.usage.prompt > 0
    if stream:
        assert "".join(piece.text for piece in pieces if piece.kind == "message") == 'You said: "hello"'
        assert "".join(piece.text for piece in pieces if piece.kind == "thought") == answer.content
        assert len(pieces) > 4


def spoken(arguments: str) -> dict[str, Any]:
    return {"id": "a", "function": {"name": "send_message", "arguments": arguments}}


MESSAGES: list[dict[str, Any]] = [
    {"content": "plain"},
    {"content": "", "refusal": "I will not."},
    {"content": [{"type": "text", "text": "in "}, {"type": "text", "text": "parts"}]},
    {"content": "plain", "reasoning_content": "a thought"},
    {"tool_calls": [spoken('{"message":"h\\u00e9 \\ud83d\\ude00"}')]},
    {
        "content": "two",
        "tool_calls": [
            {"id": "b", "function": {"name": "core_memory_append", "arguments": '{"name":"human","content":"x"}'}},
            spoken('{ "request": {"message": 1}, "message":"y"}'),
        ],
    },
    {"tool_calls": [{**spoken("{'message': broken"), "id": ""}]},
    {"tool_calls": [{"id": "a", "function": {"name": "pause_heartbeats", "arguments": ""}}]},
]


@pytest.mark.parametrize("message", MESSAGES, ids=range(len(MESSAGES)))
@pytest.mark.parametrize("finish", ["stop", "length", "content_filter", "tool_calls", "eos"])
def test_streamed_and_whole_answers_are_equal(server: Server, message: dict[str, Any], finish: str) -> None:
    streamable = {**message, "content": _joined(message.get("content")) or message.get("refusal", "")}
    entry = {"message": message, "finish_reason": finish, "usage": {"prompt_tokens": 5, "completion_tokens": 7}}
    server.script(entry, {**entry, "message": streamable})
    whole, _ = complete(server, ask("stub-script"))
    streamed, pieces = complete(server, ask("stub-script"), stream=True)
    assert streamed == whole
    assert whole.usage == Usage(prompt=5, completion=7)
    assert whole.finish == ("stop" if finish == "eos" else finish)
    kind = "thought" if whole.calls else "message"
    assert whole.content in "".join(piece.text for piece in pieces if piece.kind == kind)
    assert whole.reasoning == message.get("reasoning_content", "")


def _joined(content: Any) -> str:
    return "".join(part["text"] for part in content) if isinstance(content, list) else content or ""


def test_an_answer_cut_at_every_byte_of_its_stream() -> None:
    calls = [
        spoken('{"x":[1],"message":"\\"h\\u00e9\\n\\ud83d\\ude00"}'),
        {"id": "b", "function": {"name": "archival_memory_insert", "arguments": '{"content":"é"}'}},
    ]
    stream = stream_of({"content": "thïnk", "tool_calls": calls})
    whole = {
        "model": "m",
        "choices": [{"message": {"content": "thïnk", "tool_calls": calls}, "finish_reason": "tool_calls"}],
    }
    expected = whole_answer(json.dumps(whole).encode())
    assert isinstance(expected, Answer)
    for at in range(len(stream) + 1):
        pieces: list[Piece] = []
        builder, lines = AnswerBuilder(pieces.append), EventLines()
        for payload in itertools.chain(lines.feed(stream[:at]), lines.feed(stream[at:]), lines.end()):
            assert builder.add_chunk(payload) is None
        assert builder.answer() == expected
        assert "".join(piece.text for piece in pieces if piece.kind == "message") == '"hé\n😀'


def stream_of(message: dict[str, Any]) -> bytes:
    from bench.openai_stub import streamed

    return b"".join(streamed({"model": "m"}, message, "tool_calls", {}))


def whole(**message: Any) -> Answer:
    usage, finish = message.pop("usage", None), message.pop("finish_reason", None)
    body = {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}
    answer = whole_answer(json.dumps(body).encode())
    assert isinstance(answer, Answer)
    return answer


def test_lenient_reading() -> None:
    function = {"name": "f", "arguments": {"a": [1, "x"]}}
    assert whole(tool_calls=[{"function": function}]).calls == (ToolCall(id="", name="f", arguments='{"a": [1, "x"]}'),)
    assert whole(tool_calls=[{"id": 7, "function": {"name": "f", "arguments": None}}]).calls[0].id == "7"
    assert whole(function_call={"name": "f", "arguments": "{}"}, finish_reason="function_call").finish == "tool_calls"
    assert whole(function_call={"name": "f", "arguments": "{}"}).calls == (ToolCall(id="", name="f", arguments="{}"),)
    assert whole(content=None, refusal="no").content == "no"
    assert whole(content=["a", {"text": "b"}, {"type": "image"}]).content == "ab"
    assert whole(content="x").usage == Usage()
    details = {"prompt_tokens": 9, "completion_tokens": 2.0, "prompt_tokens_details": {"cached_tokens": 8}}
    assert whole(content="x", usage=details).usage == Usage(prompt=9, completion=2, cached=8)
    assert whole(content="x", usage={"prompt_tokens": None, "prompt_tokens_details": None}).usage == Usage()
    absurd = {"prompt_tokens": 10**30, "completion_tokens": -5, "prompt_tokens_details": {"cached_tokens": "many"}}
    assert whole(content="x", usage=absurd).usage == Usage(prompt=MAX_TOKENS)
    assert whole(content="x", usage={"prompt_tokens": 1e300, "completion_tokens": 2.5}).usage == Usage(
        prompt=MAX_TOKENS, completion=2
    )


@pytest.mark.parametrize("indices", [(0, 1), (None, None), (0, 0)], ids=["indexed", "no index", "always 0"])
def test_streamed_calls_are_told_apart(indices: tuple[int | None, int | None]) -> None:
    builder = AnswerBuilder()
    for index, call_id in zip(indices, ("a", "b"), strict=True):
        for part in ({"id": call_id, "function": {"name": "f", "arguments": "{"}}, {"function": {"arguments": "}"}}):
            delta = {"tool_calls": [part if index is None else {**part, "index": index}]}
            builder.add_chunk(json.dumps({"choices": [{"delta": delta}]}).encode())
    assert [(call.id, call.name, call.arguments) for call in builder.answer().calls] == [
        ("a", "f", "{}"),
        ("b", "f", "{}"),
    ]


def test_a_streamed_function_call_of_the_older_form() -> None:
    builder = AnswerBuilder()
    for part in ({"name": "f", "arguments": ""}, {"arguments": '{"a"'}, {"arguments": ":1}"}):
        builder.add_chunk(json.dumps({"choices": [{"delta": {"function_call": part}}]}).encode())
    assert builder.answer().calls == (ToolCall(id="", name="f", arguments='{"a":1}'),)


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"x"', b'{"choices":5}', b"\xff\xfe", b"[" * 5000, b"{}"])
def test_what_is_no_answer_is_a_failure(body: bytes) -> None:
    failure = whole_answer(body)
    assert isinstance(failure, Failure)
    assert failure.error == "bad_answer"


@both_ways
@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("stub-plain", {"content": "Plain text, no call.", "calls": 0, "finish": "stop"}),
        ("stub-broken-json", {"arguments": "{'message': 'so',}", "calls": 1, "finish": "tool_calls"}),
        ("stub-unknown-function", {"name": "launch_rocket", "calls": 1, "finish": "tool_calls"}),
        ("stub-no-id", {"id": "", "calls": 1, "finish": "tool_calls"}),
        ("stub-length", {"arguments": '{"message":"cut o', "calls": 1, "finish": "length"}),
        ("stub-circle", {"name": "core_memory_append", "calls": 1, "finish": "tool_calls"}),
        *((f"stub-ends:{word}", {"content": "The password is", "finish": finish}) for word, finish in ENDS.items()),
        ("stub-slow", {"name": "send_message", "calls": 1, "finish": "tool_calls"}),
        ("stub-overflow:100000", {"name": "send_message", "calls": 1, "finish": "tool_calls"}),
        ("any-other-model", {"name": "send_message", "calls": 1, "finish": "tool_calls"}),
    ],
)
def test_odd_answers_come_through(server: Server, model: str, expected: dict[str, Any], stream: bool) -> None:
    answer, _ = complete(server, ask(model), stream=stream)
    shown = {"content": answer.content, "finish": answer.finish, "calls": len(answer.calls)}
    if answer.calls:
        shown |= msgspec.structs.asdict(answer.calls[0])
    assert {name: shown[name] for name in expected} == expected


@both_ways
def test_a_summary_request_gets_plain_text(server: Server, stream: bool) -> None:
    packaged = json.dumps({"type": "user_message", "message": "the end"})
    request = msgspec.json.encode({"model": "stub", "messages": [{"role": "user", "content": packaged}]})
    answer, _ = complete(server, request, stream=stream)
    assert (answer.calls, answer.content) == ((), "A summary by the stub. It ended with: the end")


# --- what goes wrong ----------------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize(
    ("model", "expected", "says"),
    [
        ("stub-401", ("wrong_key", 1), "palimpsest keys add"),
        ("stub-echo-key", ("wrong_key", 1), "[removed]"),
        ("stub-404", ("unknown_model", 1), "stub-404"),
        ("stub-429", ("rate_limited", 4), "come back in 1 s"),
        ("stub-quota", ("rate_limited", 1), "billing"),
        ("stub-500", ("server_error", 4), "The server failed"),
        ("stub-overflow:9", ("overflow", 1), "maximum context length"),
        ("stub-html", ("bad_answer", 1), "HTML page"),
        ("stub-empty-choices", ("bad_answer", 4), "no choices"),
    ],
)
def test_each_fault(server: Server, model: str, expected: tuple[str, int], says: str, stream: bool) -> None:
    failed = fail(server.url, ask(model), stream=stream, max_retries=3)
    assert (failed.error, failed.attempts) == expected
    assert says in failed.detail
    assert f"127.0.0.1:{server.port}" in failed.detail
    assert len(server.requests()) == failed.attempts


@both_ways
@pytest.mark.parametrize(("model", "waits_s"), [("stub-429-once", [1.0]), ("stub-500-once", [0.5])])
def test_what_passes_is_tried_again(server: Server, model: str, waits_s: list[float], stream: bool) -> None:
    waits = Waits()
    answer, _ = complete(server, ask(model), stream=stream, waits=waits)
    assert answer.calls[0].name == "send_message"
    assert waits.asked == waits_s


def test_waits_grow_and_are_jittered(server: Server) -> None:
    waits = Waits()
    fail(server.url, ask("stub-500"), waits=waits, max_retries=6)
    assert waits.asked == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    jittered = Waits()
    fail(server.url, ask("stub-500"), waits=jittered, max_retries=2, jitter=lambda: 1.0)
    assert jittered.asked == [0.375, 0.75]


@pytest.mark.parametrize(("headers", "waits_s"), [({"retry-after-ms": "40"}, [0.04]), ({"retry-after": "3"}, [3.0])])
def test_a_server_says_when_to_come_back(server: Server, headers: dict[str, str], waits_s: list[float]) -> None:
    waits = Waits()
    server.script({"status": 429, "headers": headers, "body": "{}"}, {"content": "ok"})
    answer, _ = complete(server, ask("stub-script"), waits=waits)
    assert (answer.content, waits.asked) == ("ok", waits_s)


def test_a_server_that_asks_for_a_long_pause_is_not_waited_for(server: Server) -> None:
    server.script({"status": 429, "headers": {"retry-after": "3600"}, "body": "{}"})
    failed = fail(server.url, ask("stub-script"))
    assert (failed.error, failed.attempts) == ("rate_limited", 1)
    assert "come back in 3600 s" in failed.detail


def test_a_wrong_path_says_so(server: Server) -> None:
    server.script({"status": 404, "body": {"detail": "Not Found"}})
    failed = fail(server.url, ask("stub-script"))
    assert failed.error == "bad_request"
    assert "base_url" in failed.detail


@both_ways
def test_an_error_with_status_200(server: Server, stream: bool) -> None:
    kind = "text/event-stream" if stream else "application/json"
    body = json.dumps({"error": {"code": 400, "message": "maximum context length is 5 tokens"}})
    server.script({"status": 200, "kind": kind, "body": f"data: {body}\n\n" if stream else body})
    assert fail(server.url, ask("stub-script"), stream=stream).error == "overflow"


def test_a_server_that_does_not_stream_is_understood(server: Server) -> None:
    body = {"choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}]}
    server.script({"status": 200, "body": body})
    answer, pieces = complete(server, ask("stub-script"), stream=True)
    assert (answer.content, pieces) == ("whole", [Piece("message", "whole")])


def test_a_server_that_knows_no_stream_options_is_asked_without(server: Server) -> None:
    refusal = {"status": 400, "body": {"error": {"message": "Unrecognized request argument: stream_options"}}}
    server.script(refusal, {"content": "ok"})
    answer, _ = complete(server, ask("stub-script"), stream=True)
    assert answer.content == "ok"
    assert "stream_options" not in server.requests()[-1]["body"]


def test_an_answer_cut_off_whole(server: Server) -> None:
    failed = fail(server.url, ask("stub-cut"), max_retries=2)
    assert (failed.error, failed.attempts) == ("bad_answer", 3)
    assert "cut off" in failed.detail


def test_an_answer_cut_off_while_it_streams_is_not_asked_for_again(server: Server) -> None:
    failed = fail(server.url, ask("stub-cut"), stream=True, max_retries=2)
    assert (failed.error, failed.attempts) == ("bad_answer", 1)
    assert "cut off" in failed.detail


@both_ways
@pytest.mark.parametrize(
    ("sent", "says"),
    [(b"", "disconnected"), (b"no HTTP at all\r\n\r\n", ""), (b"HTTP/1.1 200 OK\r\ncontent-le", "disconnected")],
    ids=["nothing", "no HTTP", "half a head"],
)
def test_a_server_that_breaks_off(sent: bytes, says: str, stream: bool) -> None:
    """It is no time-out: nobody waited."""

    async def main() -> tuple[ModelFailed, int]:
        asked = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal asked
            said = await reader.read(65536)
            asked += said.startswith(b"POST")  # the others look whether there is TLS
            writer.write(sent)
            await writer.drain()
            writer.close()

        listening = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        model = OpenAIModel(max_retries=1, sleep=Waits(), base_url=url)
        with pytest.raises(ModelFailed) as caught:
            await model.complete(ask("stub"), on_piece=(lambda _: None) if stream else None)
        await model.aclose()
        listening.close()
        return caught.value, asked

    failed, asked = asyncio.run(main())
    assert (failed.error, failed.attempts, asked) == ("unreachable", 2, 2)
    assert says in failed.detail


@both_ways
def test_a_server_that_hangs(server: Server, stream: bool) -> None:
    failed = fail(server.url, ask("stub-hang"), stream=stream, timeout_s=0.1, max_retries=1)
    assert (failed.error, failed.attempts) == ("timeout", 2)
    assert "0.1 s" in failed.detail


def test_no_server() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://user:pass%20word@127.0.0.1:{free.getsockname()[1]}/v1"
    failed = fail(url, ask("stub"), max_retries=1)
    assert (failed.error, failed.attempts) == ("unreachable", 2)
    assert "check that the model server runs" in failed.detail
    assert "pass" not in failed.detail


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://x/v1", "http:///v1", "not a url"])
def test_a_url_that_is_none(url: str) -> None:
    failed = fail(url, ask("stub"))
    assert (failed.error, failed.attempts) == ("unreachable", 1)
    assert "http://" in failed.detail


def test_no_key_for_openai() -> None:
    for url in ("", "https://api.openai.com/v1", "https://eu.api.openai.com/v1"):
        failed = fail(url, ask("gpt-4o"), api_key="")
        assert failed.error == "wrong_key"
        assert "set OPENAI_API_KEY" in failed.detail


def test_a_server_of_ones_own_needs_no_key(server: Server) -> None:
    answer, _ = complete(server, ask("stub"), api_key="", headers=None)
    assert answer.calls
    assert server.requests()[-1]["headers"]["authorization"] == "Bearer none"


@pytest.mark.parametrize("key", ["sk-a\nb", "sk-ключ"])
def test_a_key_that_http_cannot_carry(server: Server, key: str) -> None:
    failed = fail(server.url, ask("stub"), api_key=key)
    assert failed.error == "wrong_key"
    assert key not in failed.detail


def test_no_more_in_flight_than_allowed(server: Server) -> None:
    async def use(model: OpenAIModel) -> None:
        hanging = [asyncio.create_task(model.complete(ask("stub-hang"))) for _ in range(2)]
        await asyncio.sleep(0)  # both take their places
        third = asyncio.create_task(model.complete(ask("stub")))
        done, _ = await asyncio.wait([third], timeout=0.05)
        assert not done
        hanging[0].cancel()
        assert (await third).calls
        hanging[1].cancel()
        results = await asyncio.gather(*hanging, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)

    run(use, server.url, max_in_flight=2)


def test_many_at_once(server: Server) -> None:
    async def use(model: OpenAIModel) -> list[Answer]:
        asked = [ask("stub", f"number {n}") for n in range(60)]
        return list(await asyncio.gather(*(model.complete(one) for one in asked)))

    answers = run(use, server.url)
    said = [json.loads(answer.calls[0].arguments)["message"] for answer in answers]
    assert said == [f'You said: "number {n}"' for n in range(60)]


# --- the stub itself ----------------------------------------------------------------------------------------------


@contextmanager
def stub_process(*arguments: str) -> Iterator[str]:
    command = [sys.executable, "bench/openai_stub.py", "--port", "0", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()
        process.communicate()


def test_the_stub_runs_as_a_program() -> None:
    with stub_process("--delay-ms", "1") as url:
        answer = run(lambda model: model.complete(ask("stub-slow", "hi")), url)
        assert json.loads(answer.calls[0].arguments) == {"message": 'You said: "hi"'}
        with urllib.request.urlopen(url.replace("/v1", "/count")) as response:
            assert json.load(response) == {"count": 1}


@both_ways
def test_the_stub_speaks_for_the_offline_model(server: Server, stream: bool) -> None:
    request = ask("stub-offline", json.dumps({"type": "user_message", "message": "My name is Ada."}))
    over_http, _ = complete(server, request, stream=stream)
    direct = asyncio.run(OfflineModel().complete(request))
    assert [(call.name, call.arguments) for call in over_http.calls] == [(c.name, c.arguments) for c in direct.calls]
    assert (over_http.content, over_http.finish) == (direct.content, direct.finish)
    assert stream or over_http.usage == direct.usage  # streaming's options are part of the prompt that it counts
    assert len({call.id for call in over_http.calls}) == len(over_http.calls)


def test_the_stub_is_deterministic(server: Server) -> None:
    assert complete(server, ask("stub"))[0] == complete(server, ask("stub"))[0]
    assert complete(server, ask("stub", "other"))[0] != complete(server, ask("stub"))[0]


def test_the_stub_refuses_what_is_no_request(server: Server) -> None:
    failed = fail(server.url, b'{"model":5}')
    assert (failed.error, failed.attempts) == ("bad_request", 1)


def test_an_agents_headers_go_along_and_never_in_the_place_of_a_keys(server: Server) -> None:
    terms = Terms(headers={"X-Title": "Palimpsest", "X-Tenant": "of the agent"})
    run(lambda model: model.complete(ask("stub"), terms=terms), server.url)
    sent = server.requests()[-1]["headers"]
    assert (sent["x-title"], sent["x-tenant"]) == ("Palimpsest", HEADER)
    assert sent["authorization"] == f"Bearer {KEY}"
