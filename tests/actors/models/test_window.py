"""What servers say of their windows: asked over real HTTP, and read by pure parsers."""

from __future__ import annotations

import asyncio

import pytest

from bench.openai_stub import Reply
from bench.stub_about import SERVERS
from palimpsest.actors.models.hosted.probe import address, window_of
from palimpsest.actors.models.hosted.window import (
    QUESTIONS,
    UNKNOWN,
    UNREACHED,
    ServedWindow,
    combined,
    read_lmstudio_1,
    read_models,
    read_ollama_show,
)
from palimpsest.store.keys.keys import Access
from tests.worlds.stub_server import Server, running

KEY = "sk-window-0123456789"

SAYS = {
    "vllm": ServedWindow(served=4096, source="/v1/models"),
    "sglang": ServedWindow(served=4096, source="/v1/models"),
    "llama_cpp": ServedWindow(served=4096, trained=131_072, source="/v1/models", slots=4),
    "llama_cpp_old": ServedWindow(served=4096, trained=131_072, source="llama.cpp's /props", slots=4),
    "llama_cpp_python": UNKNOWN,
    "ollama": ServedWindow(served=4096, trained=131_072, source="Ollama's /api/ps"),
    "ollama_unloaded": ServedWindow(served=4096, trained=131_072, source="Ollama's /api/show"),
    "lm_studio": ServedWindow(served=4096, trained=131_072, source="LM Studio's /api/v0/models"),
    "lm_studio_1": ServedWindow(served=4096, trained=131_072, source="LM Studio's /api/v1/models"),
    "tgi": ServedWindow(served=4096, source="TGI's /info"),
    "openrouter": ServedWindow(served=4096, source="/v1/models"),
    "kobold": ServedWindow(served=4096, source="KoboldCpp's /api/extra/true_max_context_length"),
}


def ask(url: str, model: str = "small", key: str = "", timeout_s: float = 2.0) -> ServedWindow:
    return asyncio.run(window_of(url, model, access=Access(key=key), timeout_s=timeout_s))


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_says_what_it_serves(server: Server, name: str) -> None:
    server.stub.about = SERVERS[name]("small", 4096)
    assert ask(server.url) == SAYS[name]
    assert ask(server.url + "/") == SAYS[name]


def test_a_model_that_is_not_loaded_has_only_the_length_that_it_was_trained_for(server: Server) -> None:
    server.stub.about = SERVERS["ollama_unloaded"]("small", 0)
    assert ask(server.url) == ServedWindow(trained=131_072, source="Ollama's /api/show")


def test_a_server_that_is_not_there_says_nothing() -> None:
    assert ask("http://127.0.0.1:9/v1") == UNREACHED
    assert ask("http://") == UNREACHED
    assert ask("http://[::1/v1") == UNREACHED
    assert ask("http://127.0.0.1:99999/v1") == UNREACHED


@pytest.mark.parametrize("answer", [None, [], "x", 7, {"data": 3}, {"data": [3]}, {"models": {}}, {"value": [1]}, [[]]])
def test_what_is_not_understood_says_nothing(server: Server, answer: object) -> None:
    server.stub.about = dict.fromkeys(
        ("/v1/models", "/props", "/api/ps", "/api/show", "/api/v0/models", "/api/v1/models", "/info"), answer
    )
    assert ask(server.url) == UNKNOWN


@pytest.mark.parametrize("length", [0, -1, True, None, "many", 1e400, 2**60, [4096], {"n": 1}, 0.5])
def test_a_length_that_is_none_says_nothing(length: object) -> None:
    assert read_models({"data": [{"id": "small", "max_model_len": length}]}, "small") == UNKNOWN
    assert read_lmstudio_1({"models": [{"key": "small", "loaded_instances": length}]}, "small") == UNKNOWN


def test_the_length_of_another_model_is_not_taken_for_ones_own() -> None:
    cards = [{"id": "large", "max_model_len": 100_000}, {"id": "tiny", "max_model_len": 512}]
    assert read_models({"data": cards}, "small") == UNKNOWN
    assert read_models({"data": cards[:1]}, "small").served == 100_000, "a server of one model has no other"


def test_the_last_num_ctx_of_a_models_file_holds() -> None:
    parameters = "num_ctx                        2048\ntemperature 0.5\nnum_ctx 8192\nnum_ctxx 3"
    assert read_ollama_show({"parameters": parameters}, "small").served == 8192


def test_of_several_answers_the_least_counts() -> None:
    said = [("a", ServedWindow(served=8192)), ("b", ServedWindow(served=4096)), ("c", ServedWindow(trained=2048))]
    assert combined(said) == ServedWindow(served=4096, trained=2048, source="b")


def test_questions_go_beside_the_servers_address_and_under_it() -> None:
    by_path = {question.path: question for question in QUESTIONS}
    assert address("http://h:1/llm/v1/", by_path["/props"]) == "http://h:1/llm/props"
    assert address("http://h:1/v1?api-version=1", by_path["/models"]) == "http://h:1/v1/models?api-version=1"
    assert len(by_path) == len(QUESTIONS)


def test_a_key_goes_to_the_server_and_does_not_follow_it_elsewhere(server: Server) -> None:
    server.stub.about = SERVERS["vllm"]("small", 4096)
    assert ask(server.url, key=KEY).served == 4096
    assert {one.headers.get("authorization") for one in server.stub.requests} == {f"Bearer {KEY}"}
    server.stub.requests.clear()
    with running() as elsewhere:
        moved = Reply(307, b"", headers={"location": f"{server.url}/models"})
        elsewhere.stub.about = {"/v1/models": moved, "/props": moved}
        assert ask(elsewhere.url, key=KEY) == UNKNOWN
        assert len(elsewhere.stub.requests) == 2
    assert not server.stub.requests


def test_a_key_that_http_cannot_carry_is_not_sent(server: Server) -> None:
    server.stub.about = SERVERS["vllm"]("small", 4096)
    assert ask(server.url, key="schlüssel").served == 4096


def test_a_server_that_hangs_is_not_waited_for(server: Server) -> None:
    server.stub.about = {**SERVERS["vllm"]("small", 4096), "/props": Reply(delay_s=-1), "/info": Reply(status=500)}
    assert ask(server.url, timeout_s=0.2).served == 4096
