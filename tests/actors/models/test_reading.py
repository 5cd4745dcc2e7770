"""What servers really send, read over HTTP from `bench.odd_answers`; and what is said where it is no answer."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.odd_answers import ODD, chunk
from bench.openai_stub import Stub
from palimpsest.actors.models.hosted import answers, reading
from palimpsest.actors.models.hosted.failures import Failure, from_error
from palimpsest.actors.models.hosted.openai import OpenAIModel
from palimpsest.actors.models.hosted.reading import BodyReader, whole_answer
from palimpsest.actors.models.protocol import Answer, ModelFailed, Piece, Terms

SAID = 'You said: "hello"'
CALL = ("send_message", {"message": SAID})
both_ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def request(model: str) -> bytes:
    tools = [{"type": "function", "function": {"name": "send_message"}}]
    return msgspec.json.encode({"model": model, "messages": [{"role": "user", "content": "hello"}], "tools": tools})


class Outcome(msgspec.Struct):
    answer: Answer | None
    failed: ModelFailed | None
    pieces: list[Piece]
    asked: int

    def heard(self, kind: str) -> str:
        return "".join(piece.text for piece in self.pieces if piece.kind == kind)

    @property
    def calls(self) -> list[tuple[str, Any]]:
        assert self.answer is not None, self.failed
        return [(call.name, json.loads(call.arguments)) for call in self.answer.calls]


async def outcome(url: str, model: str, stub: Stub, *, stream: bool, terms: Terms, **settings: Any) -> Outcome:
    pieces: list[Piece] = []
    client = OpenAIModel(base_url=url, sleep=lambda _: asyncio.sleep(0), **settings)
    answer, failed = None, None
    try:
        answer = await client.complete(request(model), on_piece=pieces.append if stream else None, terms=terms)
    except ModelFailed as error:
        failed = error
    finally:
        await client.aclose()
    return Outcome(answer, failed, pieces, stub.count)


def ask(model: str, *, stream: bool, terms: Terms | None = None, **settings: Any) -> Outcome:
    async def main() -> Outcome:
        stub = Stub()
        url = f"http://127.0.0.1:{await stub.start()}/v1"
        try:
            return await outcome(url, model, stub, stream=stream, terms=terms or Terms(), **settings)
        finally:
            await stub.aclose()

    return asyncio.run(main())


# --- read all the same --------------------------------------------------------------------------------------------

READ = {
    "odd-both": [CALL],
    "odd-old-first": [CALL],
    "odd-index-0": [("core_memory_append", {"name": "human", "content": SAID}), CALL],
    "odd-same-name": [CALL, ("send_message", {"message": f"{SAID}!"})],
    "odd-twice": [CALL],
    "odd-bad-byte": [CALL],
    "odd-emoji": [CALL],
    "odd-text-plain": [CALL],
    "odd-lines": [CALL],
    "odd-comments": [CALL],
    "odd-unended": [CALL],
    "odd-whole": [CALL],
    "odd-reasoning": [CALL],
}


@both_ways
@pytest.mark.parametrize("model", READ)
def test_it_is_read(model: str, stream: bool) -> None:
    came = ask(model, stream=stream)
    assert came.calls == READ[model]
    assert came.asked == 1
    if stream:
        said = [arguments["message"] for name, arguments in READ[model] if name == "send_message"]
        assert came.heard("message") == "\n".join(said)


@both_ways
def test_broken_characters_are_replaced_and_noted(stream: bool) -> None:
    answer = ask("odd-bad-byte", stream=stream).answer
    assert answer is not None
    assert (answer.content, answer.notes) == ("a\ufffdb", (answers.REPLACED,))


@both_ways
def test_halves_of_an_emoji_are_joined(stream: bool) -> None:
    answer = ask("odd-emoji", stream=stream).answer
    assert answer is not None
    assert (answer.content, answer.notes) == ("so 😀 it is", ())


def test_halves_in_a_calls_arguments_are_joined() -> None:
    head = b'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"'
    parts = (b'{\\"message\\": \\"\\ud83d', b'\\ude00\\"}')
    body = b"".join(head + part + b'"}}]}}]}\n\n' for part in parts)
    read = BodyReader()
    assert read.feed(body + b"data: [DONE]\n\n") is None
    answer = read.end()
    assert isinstance(answer, Answer)
    assert answer.calls[0].arguments == '{"message": "😀"}'


@both_ways
def test_reasoning_is_kept_beside_the_content(stream: bool) -> None:
    came = ask("odd-reasoning", stream=stream)
    assert came.answer is not None
    assert (came.answer.reasoning, came.answer.content) == ("Let me see.", "")
    assert not stream or came.heard("thought") == "Let me see."


def test_parts_of_thinking_are_reasoning() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Yes."}]
    answer = whole_answer(json.dumps({"choices": [{"message": {"content": parts}}]}).encode())
    assert isinstance(answer, Answer)
    assert (answer.reasoning, answer.content) == ("Hm.", "Yes.")


def test_a_stream_cut_after_a_whole_call_is_an_answer_and_one_cut_in_a_call_is_none() -> None:
    whole, half = b'"arguments":"{\\"a\\":1}"', b'"arguments":"{\\"a\\":1"'
    for arguments, is_answer in ((whole, True), (half, False)):
        read = BodyReader()
        read.feed(b'data: {"choices":[{"delta":{"tool_calls":[{"function":{"name":"f",%b}}]}}]}\n\n' % arguments)
        assert isinstance(read.end(), Answer) is is_answer


def test_text_without_an_end_is_cut_off() -> None:
    read = BodyReader()
    read.feed(chunk({"content": "Well"}))
    failure = read.end()
    assert isinstance(failure, Failure)
    assert "cut off in the middle" in failure.detail


# --- as what it is shown --------------------------------------------------------------------------------------------


def shown(*deltas: dict[str, Any], plain: bool) -> list[tuple[str, str]]:
    pieces: list[Piece] = []
    read = BodyReader(pieces.append, plain=plain)
    for delta in deltas:
        read.feed(chunk(delta))
    pieces.append(Piece("end", ""))
    read.feed(chunk({}, "stop"))
    read.end()
    return [(piece.kind, piece.text) for piece in pieces]


def test_plain_text_is_shown_once_and_as_the_message() -> None:
    text = ({"content": "Hel"}, {"content": "lo"})
    assert shown(*text, plain=False) == [("end", ""), ("message", "Hello")]
    assert shown(*text, plain=True) == [("message", "Hel"), ("message", "lo"), ("end", "")]


def test_content_before_a_call_is_a_thought() -> None:
    calling = {"tool_calls": [{"function": {"name": "send_message", "arguments": '{"message":"Hi"}'}}]}
    assert shown({"content": "Hm."}, calling, plain=False) == [("thought", "Hm."), ("message", "Hi"), ("end", "")]


# --- no answer ------------------------------------------------------------------------------------------------------

SAYS = {
    "odd-only-reasoning": ("bad_answer", 1, "Only reasoning came (17 characters)"),
    "odd-eaten": ("bad_answer", 1, "raise the agent's reserve_tokens"),
    "odd-event-error": ("server_error", 1, "It said: upstream died"),
    "odd-only-comments": ("bad_answer", 2, "The server sent nothing"),
    "odd-ok-error": ("bad_request", 1, "does it end in /v1?"),
    "odd-ok-detail": ("server_error", 1, "It said: Not authenticated to upstream"),
    "odd-ok-busy": ("rate_limited", 3, "Provider returned error"),
    "odd-overflow": ("overflow", 2, "maximum context length"),
    "odd-only-done": ("overflow", 2, "maximum context length"),
    "odd-only-role": ("overflow", 2, "maximum context length"),
}


@pytest.mark.parametrize("model", SAYS)
def test_what_is_said_of_a_stream(model: str) -> None:
    error, asked, says = SAYS[model]
    came = ask(model, stream=True, max_retries=2)
    assert came.failed is not None
    assert (came.failed.error, came.asked) == (error, asked)
    assert says in came.failed.detail
    assert "\n" not in came.failed.detail


@pytest.mark.parametrize("model", SAYS)
def test_what_is_said_of_a_whole_answer(model: str) -> None:
    error, asked, says = SAYS[model]
    came = ask(model, stream=False, max_retries=2)
    assert came.failed is not None
    assert (came.failed.error, came.asked) == (error, asked if error == "rate_limited" else 1)
    assert says in came.failed.detail


def test_errors_without_a_status_are_not_asked_again_unless_they_pass() -> None:
    assert not from_error("upstream died").again
    assert from_error({"type": "overloaded_error", "message": "Overloaded"}).again
    assert from_error({"code": "rate_limit_exceeded", "message": "slow down"}).error == "rate_limited"
    assert from_error({"code": "503", "message": "no"}).again
    assert from_error({"message": "the request exceeds the available context size"}).error == "overflow"


ENDLESS = [name for name, odd in ODD.items() if odd.endless]


@both_ways
@pytest.mark.parametrize("model", ENDLESS)
def test_an_answer_without_an_end_is_cut_off(model: str, stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_CHARS", 300_000)
    monkeypatch.setattr(reading, "MOST_DOCUMENT", 2_000_000)
    came = ask(model, stream=stream)
    assert came.failed is not None
    assert (came.failed.error, came.asked) == ("bad_answer", 1)
    assert "has no end" in came.failed.detail


def test_a_stream_that_stalls_ends_and_says_so() -> None:
    came = ask("odd-stalls", stream=True, terms=Terms(idle_s=0.05), max_retries=2)
    assert came.failed is not None
    assert (came.failed.error, came.asked) == ("timeout", 1)
    assert "stopped coming for 0.05 s" in came.failed.detail


def test_who_watches_is_told_that_the_server_is_silent() -> None:
    came = ask("stub-hang", stream=True, terms=Terms(timeout_s=0.2), told_s=0.02, max_retries=0)
    assert came.heard("waiting").startswith("waiting for the model's server, ")


# --- no connection --------------------------------------------------------------------------------------------------


def fails(url: str) -> ModelFailed:
    came = asyncio.run(outcome(url, "stub", Stub(), stream=True, terms=Terms()))
    assert came.failed is not None
    return came.failed


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/v1", "http://127.0.0.1:x/v1", "http://[::1/v1"])
def test_an_address_that_is_none(url: str) -> None:
    failed = fails(url)
    assert (failed.error, failed.attempts) == ("unreachable", 1)
    assert "65,535" in failed.detail


@pytest.mark.parametrize("proxy", ["http://ada:secret@127.0.0.1:9", "http://127.0.0.1:99999", "gopher://127.0.0.1"])
def test_a_proxy_that_is_none_is_named(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    failed = fails("http://model.invalid/v1")
    assert (failed.error, failed.attempts) == ("unreachable", 1)
    assert "(from HTTP_PROXY)" in failed.detail
    assert "NO_PROXY=model.invalid" in failed.detail
    assert "secret" not in failed.detail


def certificate(folder: Path) -> ssl.SSLContext:
    key, made = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", made],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    return context


@pytest.mark.parametrize(
    ("scheme", "tls", "says"),
    [("https", True, "set SSL_CERT_FILE"), ("http", True, "write https://"), ("https", False, "write http://")],
)
def test_a_server_that_is_asked_with_the_wrong_scheme_or_not_trusted(
    scheme: str, tls: bool, says: str, tmp_path: Path
) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.close()

    async def main() -> Outcome:
        server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=certificate(tmp_path) if tls else None)
        url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        try:
            return await outcome(url, "stub", Stub(), stream=True, terms=Terms())
        finally:
            server.close()

    failed = asyncio.run(main()).failed
    assert failed is not None
    assert (failed.error, failed.attempts) == ("unreachable", 1)
    assert says in failed.detail
