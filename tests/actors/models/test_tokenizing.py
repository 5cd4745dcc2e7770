"""Servers that count tokens: over real HTTP, at the door, and before a request is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
import structlog

from bench.openai_stub import Received, Reply
from bench.stub_about import TOKENIZERS, tokens_of
from palimpsest.actors.models.hosted.tokenizing import KINDS, RETRY_S, ServerTokenizer, asked, kind_of
from palimpsest.actors.models.protocol import USUAL, Answer, OnPiece, Terms, Tokenizer
from palimpsest.actors.parts.inferring import infer
from palimpsest.console.tokenizers import encoding_named
from palimpsest.events.codec import decode
from palimpsest.events.context import PER_MESSAGE, head_wires
from palimpsest.events.counting import parts
from palimpsest.events.errors import BadInput
from palimpsest.events.inference import job
from palimpsest.events.replay import replay
from palimpsest.events.state import UNCOUNTED
from palimpsest.events.types import (
    Counted,
    EvictionStarted,
    InferenceCompleted,
    InferenceFailed,
    InferenceRequested,
    TurnEnded,
    Usage,
)
from palimpsest.store.keys.files import Handed, LiveKeys
from palimpsest.store.keys.keys import Credentials, Keys
from tests.worlds.story import AGENT, Story, say
from tests.worlds.stub_server import Server

KEY = "sk-tokenizer-0123456789"


def tokenizer(*, now: Callable[[], float] = lambda: 0.0, **known: Any) -> ServerTokenizer:
    return ServerTokenizer(LiveKeys(Handed(filed=Keys(**known))), now=now)


def counts(of: ServerTokenizer, kind: str, url: str, *texts: str) -> list[int | None]:
    async def asked() -> list[int | None]:
        try:
            return await of.counts(f"server:{kind}", url, "m", texts)
        finally:
            await of.aclose()  # a loop of its own, each time

    return asyncio.run(asked())


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_server_is_known_by_its_answer_and_counts(server: Server, kind: str) -> None:
    server.stub.about = TOKENIZERS[kind]
    assert asyncio.run(kind_of(server.url, "m")) == kind
    texts = ("a", "naïve 😀 " * 500, "<|im_start|>", '"\\\n')
    assert counts(tokenizer(), kind, server.url, *texts) == [tokens_of(text) for text in texts]


@pytest.mark.parametrize(
    "said",
    [
        Reply(404, b"nothing here"), Reply(500, b'{"count": 3}'), Reply(body=b"<html>"), Reply(body=b"[]"),
        Reply(body=b'{"count": -1, "tokens": 3, "value": null}'), Reply(body=b'{"count": true, "value": "3"}'),
        Reply(body=b'{"count": 4000, "tokens": {}, "value": 1e9}'), Reply(302, b"", headers={"location": "http://h/"}),
        Reply(body=b'{"count": 1}', cut=True), Reply(body=b'{"count": 0, "tokens": [], "value": 0}'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "tgi"])
def test_an_answer_that_is_no_count_says_nothing(server: Server, kind: str, said: Reply) -> None:
    server.stub.about = dict.fromkeys(["/tokenize", "/extras/tokenize/count", "/api/extra/tokencount"], said)
    assert counts(tokenizer(), kind, server.url, "Hello.") == [None]
    assert asyncio.run(kind_of(server.url, "m")) in ("", "tgi")


def test_a_text_is_asked_for_once(server: Server) -> None:
    server.stub.about = TOKENIZERS["vllm"]
    asking = tokenizer()
    assert counts(asking, "vllm", server.url, "one", "two", "one") == [2, 2, 2]
    assert counts(asking, "vllm", server.url, "two", "three") == [2, 3]
    assert sorted(msgspec.json.decode(each.body)["prompt"] for each in server.stub.requests) == ["one", "three", "two"]


def test_a_server_that_did_not_answer_is_left_alone_for_a_while(server: Server) -> None:
    now = [100.0]
    server.stub.about = {"/tokenize": Reply(503, b"{}")}
    asking = tokenizer(now=lambda: now[0])
    for _ in range(3):
        assert counts(asking, "vllm", server.url, "one") == [None]
    assert len(server.stub.requests) == 1
    server.stub.about = TOKENIZERS["vllm"]
    now[0] += RETRY_S
    assert counts(asking, "vllm", server.url, "one") == [2]
    assert counts(asking, "vllm", "http://127.0.0.1:9/v1", "one") == [None]
    assert counts(asking, "vllm", "http://127.0.0.1:bad/v1", "one") == [None]
    assert counts(asking, "unheard-of", server.url, "one more") == [None]


def test_a_server_that_keeps_quiet_is_not_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "__kwdefaults__", {**(asked.__kwdefaults__ or {}), "timeout_s": 0.05})
    server.stub.about = {"/tokenize": Reply(delay_s=-1)}
    assert counts(tokenizer(), "vllm", server.url, "one") == [None]


def test_what_was_counted_is_kept_though_the_rest_was_refused(server: Server) -> None:
    def some(received: Received) -> Reply:
        asked = msgspec.json.decode(received.body)["prompt"]
        return Reply(400, b"{}") if asked == "bad" else Reply(body=b'{"count": %d}' % tokens_of(asked))

    server.stub.about = {"/tokenize": some}
    asking = tokenizer()
    assert counts(asking, "vllm", server.url, "one", "bad", "three") == [2, None, 3]
    server.stub.requests.clear()
    assert counts(asking, "vllm", server.url, "one", "three", "four") == [2, 3, 2]
    assert len(server.stub.requests) == 1


def test_more_texts_than_are_remembered_are_all_told(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palimpsest.actors.models.hosted.tokenizing.REMEMBERED", 5)
    server.stub.about = TOKENIZERS["vllm"]
    asking, texts = tokenizer(), [f"text {number}" for number in range(20)]

    async def at_once() -> list[list[int | None]]:
        halves = (texts[:12], texts[8:], texts)
        try:
            return await asyncio.gather(*(asking.counts("server:vllm", server.url, "m", some) for some in halves))
        finally:
            await asking.aclose()

    assert asyncio.run(at_once()) == [[tokens_of(t) for t in some] for some in (texts[:12], texts[8:], texts)]


def test_the_key_goes_to_its_server_and_nothing_to_an_address_that_an_import_brought(server: Server) -> None:
    server.stub.about = TOKENIZERS["vllm"]
    assert counts(tokenizer(servers=(Credentials(url=server.url, key=KEY),)), "vllm", server.url, "a") == [1]
    assert server.stub.requests[0].headers["authorization"] == f"Bearer {KEY}"
    server.stub.requests.clear()
    assert counts(tokenizer(imported=(server.url,)), "vllm", server.url, "b") == [None]
    assert not server.stub.requests


def test_at_the_door_the_server_is_asked_for_its_kind(server: Server) -> None:
    server.stub.about = TOKENIZERS["llama.cpp"]
    assert encoding_named("server", "m", server.url, server.url) == ("server:llama.cpp", 1.0)
    assert encoding_named("server:vllm", "m", server.url) == ("server:vllm", 1.0), "what is named is not asked for"
    asked = len(server.stub.requests)
    for named, model, url, typed, says in (
        ("server", "no address of this user's", server.url, "", "keys allow"),
        ("server", "offline", "", "", "--base-url"),
        ("server:ollama", "m", server.url, server.url, "server:llama.cpp, server:vllm"),
        ("server", "m", "http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1", "no counts"),
        ("servers", "m", server.url, server.url, "is no tokenizer"),
    ):
        with pytest.raises(BadInput) as caught:
            encoding_named(named, model, url, typed)
        assert says in str(caught.value)
    assert len(server.stub.requests) == asked


# --- before a request is sent -------------------------------------------------------------------------------------


class Model:
    """Calls what is to be done before it is sent, as the real one does, and answers."""

    def __init__(self, prompt: int = 0) -> None:
        self.sent = 0
        self.prompt = prompt

    async def complete(
        self, _request: bytes, *, base_url: str = "", on_piece: OnPiece | None = None, terms: Terms = USUAL
    ) -> Answer:
        assert base_url and on_piece is None
        if terms.before:
            await terms.before()
        self.sent += 1
        return Answer(calls=(say(),), usage=Usage(prompt=self.prompt, completion=5))

    async def aclose(self) -> None: ...


class Each:
    """Counts so many tokens for each character."""

    def __init__(self, each: float | None) -> None:
        self.each = each

    async def counts(self, encoding: str, base_url: str, model: str, texts: Sequence[str]) -> list[int | None]:
        assert (encoding, base_url, model) == ("server:vllm", "http://a/v1", "llama3")
        return [None if self.each is None else int(len(text) * self.each) for text in texts]


def story(**changes: Any) -> Story:
    hosted = {"model": "llama3", "base_url": "http://a/v1", "encoding": "server:vllm", "window_tokens": 6000}
    return Story(**{**hosted, **changes})


def inferred(told: Story, model: Model, counter: Tokenizer | None) -> InferenceCompleted | InferenceFailed:
    """The open inference, carried out as the LLM processor does it."""
    opened = told.log.open_requests_of(AGENT, "inference")[0]
    event = decode(opened)
    assert isinstance(event, InferenceRequested)
    made = asyncio.run(infer(job(told.state, opened, event), model, structlog.get_logger(), tokenizer=counter))
    told._close(made, "inference")
    return made


def test_the_servers_counts_take_the_place_of_ours_and_are_asked_for_again_only_where_they_differ() -> None:
    told = story().says("How many tokens has this?")
    before = told.state
    made = inferred(told, Model(), Each(0.5))
    assert isinstance(made, InferenceCompleted) and made.counted is not None
    system, tools = head_wires(before)
    content = msgspec.json.decode(system)["content"]
    assert told.state.head_tokens == made.counted.head >= (len(content) + len(tools)) // 2
    asked_for = told.state.queue[0]
    assert asked_for.tokens == PER_MESSAGE + len(msgspec.json.decode(asked_for.wire)["content"]) // 2
    assert told.state.queue[-2].tokens == UNCOUNTED, "the answer was in no request yet"
    told.says("And this?")
    again = inferred(told, Model(), Each(0.5))
    assert again.counted is not None
    asked_before = len(told.state.queue) - 5
    places = [place for place, _ in again.counted.entries]
    assert (again.counted.head, places) == (0, [asked_before, asked_before + 1, asked_before + 2])
    assert replay(AGENT, told.log.read(AGENT)).difference is None


def test_the_margin_is_learned_from_the_servers_own_counts() -> None:
    told = story(window_tokens=30_000).says("Hello!")
    total = sum(part.tokens for part in parts(told.state))
    inferred(told, Model(prompt=3 * total), Each(1.5))
    assert told.state.readings[-1].counted > 2 * total
    assert told.state.settings.margin < 1.6


def test_beside_exact_counts_a_margin_has_hardly_anything_to_spare() -> None:
    learned = []
    for encoding in ("server:vllm", "o200k_base"):
        told = story(window_tokens=30_000, encoding=encoding).says("Hello!")
        assert told.state.turn is not None
        made = inferred(told, Model(prompt=int(1.1 * told.state.turn.asked_tokens)), Each(0.25))
        counted = made.counted.tokens if made.counted else told.state.readings[-1].counted
        learned.append(told.state.settings.margin * counted / told.state.readings[-1].prompt)
    assert learned == [pytest.approx(1.02, abs=0.01), pytest.approx(1.08, abs=0.01)]


def test_a_context_that_is_too_long_by_the_servers_count_is_not_sent_but_cut() -> None:
    told, model = story(), Model()
    for number in range(6):
        told.says(f"{number}: " + "many words " * 40)
        inferred(told, model, Each(0.25))
    sent = model.sent
    told.says("And now?")
    failed = inferred(told, model, Each(1.0))
    assert isinstance(failed, InferenceFailed)
    assert (failed.error, failed.sent, model.sent) == ("overflow", b"", sent)
    assert "by the server's own count" in failed.detail.lower()
    assert told.the(EvictionStarted).reason == "overflow"
    assert replay(AGENT, told.log.read(AGENT)).difference is None


def test_a_setting_that_came_meanwhile_makes_the_counts_void() -> None:
    told = story().says("Hello!")
    told.changes(encoding="o200k_base")
    made = inferred(told, Model(), Each(2.0))
    assert isinstance(made, InferenceCompleted)
    assert made.counted is None or told.state.head_tokens == UNCOUNTED


def test_what_counts_at_another_server_counts_nothing_here() -> None:
    told = story().says("Hello!")
    inferred(told, Model(), Each(0.5))
    told.changes(model="qwen", base_url="http://b/v1")
    assert {entry.tokens for entry in told.state.queue} == {UNCOUNTED}
    assert told.state.head_tokens == UNCOUNTED


def test_an_estimate_of_what_the_server_was_to_count_teaches_no_margin() -> None:
    told = story(window_tokens=30_000).says("Hello!")
    assert told.state.turn is not None
    inferred(told, Model(prompt=int(1.4 * told.state.turn.asked_tokens)), None)
    assert told.state.readings == ()
    assert told.state.settings.margin == 1.0


def test_where_nothing_can_be_cut_the_turn_ends_and_says_why() -> None:
    told = story(window_tokens=3000).says("Hello!")
    while told.log.open_requests_of(AGENT, "inference"):
        inferred(told, Model(), Each(4.0))
    assert told.the(TurnEnded).reason in {"inference_failed", "window_too_small"}
    assert "larger window" in told.the(TurnEnded).detail


@pytest.mark.parametrize("counter", [None, Each(None)], ids=["a rerun", "a server that does not say"])
def test_without_the_servers_counts_ours_hold(counter: Tokenizer | None) -> None:
    told = story().says("Hello!")
    made = inferred(told, Model(), counter)
    assert isinstance(made, InferenceCompleted)
    assert made.counted is None


def test_other_encodings_ask_nothing() -> None:
    assert parts(story(encoding="o200k_base").says("Hello!").state) == ()
    assert parts(story().says("Hello!").state)


def test_counts_of_what_is_gone_are_passed_over() -> None:
    told = story().says("Hello!")
    before = told.state
    odd = Counted(tokens=9, summary=7, entries=((999, 3), (-4, 3)))
    told._close(InferenceCompleted(calls=(say(),), sent=told._handed(), counted=odd), "inference")
    assert (told.state.head_tokens, told.state.summary) == (before.head_tokens, None)
