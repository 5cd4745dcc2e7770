"""What a server says before it is asked anything: over real HTTP, and what follows of it."""

from __future__ import annotations

import asyncio
import socket

import pytest

from bench.openai_stub import Reply
from palimpsest.actors.models.hosted.listing import Listing, key_problem, listed, listing_of, problem
from palimpsest.store.keys.keys import Access
from tests.worlds.stub_server import Server

URL = "http://host/v1"
KEYED = Access(key="sk-1", whence="what is kept for https://host")
NOBODY = Access()


def of(*ids: str, owned_by: str = "") -> dict[str, object]:
    return {"object": "list", "data": [{"id": each, "owned_by": owned_by} for each in ids]}


def ask(url: str, access: Access = NOBODY) -> Listing:
    return asyncio.run(listing_of(url, access))


def about(model: str, *ids: str, url: str = URL) -> str:
    found = problem(url, model, NOBODY, Listing(status=200, models=ids))
    return found.text if found else ""


def test_a_server_lists_its_models(server: Server) -> None:
    server.stub.about = {"/v1/models": of("llama3:latest", "qwen3")}
    assert ask(server.url) == Listing(status=200, models=("llama3:latest", "qwen3"))
    assert len(server.stub.requests) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_server_that_says_no_lists_nothing(server: Server, status: int) -> None:
    server.stub.about = {"/v1/models": Reply(status, b"{}")}
    assert ask(server.url) == Listing(status=status)


def test_nobody_there_is_told_apart_from_somebody_who_is_slow() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert ask(f"http://127.0.0.1:{port}/v1").why == "the connection was refused"
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        slow = asyncio.run(listing_of(f"http://127.0.0.1:{silent.getsockname()[1]}/v1", timeout_s=0.2))
    assert slow == Listing()
    assert ask("http://nowhere.invalid/v1").why == "no host of this name is known"


@pytest.mark.parametrize("body", [b"", b"hm", b"[]", b'{"data": 3}', b'{"data": [{"id": 3}, {"id": ""}, 4]}'])
def test_what_is_no_list_lists_nothing(body: bytes) -> None:
    assert listed(200, body) == Listing(status=200)


@pytest.mark.parametrize(
    ("model", "ids"),
    [
        ("llama3", ("llama3:latest", "b")),
        ("LLaMA3", ("llama3", "b")),
        ("gemini-2.0-flash", ("models/gemini-2.0-flash", "models/b")),
        ("openai/gpt-4o:online", ("openai/gpt-4o", "b")),
        ("anthropic/x", ("anthropic/*", "b")),
        ("anything", ()),
    ],
)
def test_a_list_that_has_it_in_another_form_has_it(model: str, ids: tuple[str, ...]) -> None:
    assert about(model, *ids) == ""


def test_a_model_that_is_not_listed_is_named_with_what_is_near() -> None:
    said = about("gpt-4o-mnii", "gpt-4o-mini", "gpt-4o", "whisper-1")
    assert said.startswith(f"{URL} has no model 'gpt-4o-mnii'. Did you mean gpt-4o-mini")
    assert "whisper" not in said
    assert about("zzz", "a", "b", "c", "d", "e") == f"{URL} has no model 'zzz'. It lists a, b, c, d and 1 more."


def test_a_server_of_one_model_that_serves_any_name_denies_none() -> None:
    anything, strict = (listed(200, body) for body in (
        b'{"data":[{"id":"a.gguf","owned_by":"llamacpp"}]}', b'{"data":[{"id":"a","owned_by":"vllm"}]}',
    ))  # fmt: skip
    assert problem(URL, "b", NOBODY, anything) is None
    assert problem(URL, "b", NOBODY, strict) is not None


def test_azures_names_are_its_deployments() -> None:
    assert about("my-deployment", "gpt-4o", "b", url="https://me.openai.azure.com/openai/v1") == ""


@pytest.mark.parametrize(
    ("status", "access", "said"),
    [
        (401, NOBODY, "wants a key (401): `palimpsest keys add http://host/v1` keeps one"),
        (403, NOBODY, "wants a key (403)"),
        (401, KEYED, "refused what is kept for https://host (401): `palimpsest keys add http://host/v1` replaces it"),
        (403, KEYED, ""),
        (500, NOBODY, ""),
    ],
)
def test_a_refusal_is_about_the_key(status: int, access: Access, said: str) -> None:
    found = problem(URL, "a", access, Listing(status=status))
    assert (found is None) == (not said)
    if found:
        assert found.about == "key"
        assert said in found.text


def test_services_that_are_known_to_want_a_key_are_known_without_asking() -> None:
    found = key_problem("https://api.openai.com/v1", NOBODY)
    assert found is not None
    assert "`palimpsest keys add https://api.openai.com/v1`, or set OPENAI_API_KEY" in found.text
    assert key_problem("https://api.mistral.ai/v1", NOBODY) is not None
    assert key_problem("https://my.openai.azure.com/openai/v1", NOBODY) is not None
    assert key_problem("https://api.openai.com/v1", Access(key="sk")) is None
    assert key_problem("https://evil.example/api.openai.com/v1", NOBODY) is None
    assert key_problem("http://localhost:11434/v1", NOBODY) is None
