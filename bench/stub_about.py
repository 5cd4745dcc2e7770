"""What the named servers say of themselves, for the stub (`Stub.about`): a table of bodies by path.

Rule: each is cut down from what the server's own source or documentation shows, and says where that is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from bench.openai_stub import Received, Reply

About = Mapping[str, Any]
"""Path -> the JSON that is answered there, or what makes a reply of a request; every other path is not found."""


def vllm(model: str, served: int) -> About:
    """vllm/entrypoints/openai/protocol.py, ModelCard."""
    card = {"id": model, "object": "model", "created": 0, "owned_by": "vllm", "root": model, "parent": None}
    return {"/v1/models": {"object": "list", "data": [{**card, "max_model_len": served, "permission": []}]}}


def sglang(model: str, served: int) -> About:
    """srt/entrypoints/openai/protocol.py, ModelCard; the server's arguments with what the scheduler has."""
    card = {"id": model, "object": "model", "created": 0, "owned_by": "sglang", "max_model_len": served}
    return {
        "/v1/models": {"object": "list", "data": [card]},
        "/get_server_info": {"model_path": model, "context_length": None, "max_total_num_tokens": 8 * served},
    }


def llama_cpp(model: str, served: int) -> About:
    """tools/server/README.md, GET /props (`n_ctx` is a slot's) and GET /v1/models."""
    meta = {"vocab_type": 2, "n_vocab": 49152, "n_ctx": served, "n_ctx_train": 131_072, "n_embd": 576}
    settings = {"id": 0, "id_task": -1, "n_ctx": served, "is_processing": False, "params": {"n_predict": -1}}
    return {
        "/v1/models": {"object": "list", "data": [{"id": model, "object": "model", "meta": meta}]},
        "/props": {"default_generation_settings": settings, "total_slots": 4, "model_path": f"/models/{model}.gguf"},
    }


def llama_cpp_old(model: str, served: int) -> About:
    """Before `meta.n_ctx`: only the trained length in the list, as examples/server had it."""
    about = dict(llama_cpp(model, served))
    about["/v1/models"] = {"object": "list", "data": [{"id": model, "meta": {"n_ctx_train": 131_072}}]}
    return about


def llama_cpp_python(model: str, _served: int) -> About:
    """As seen of 0.3.36: no length anywhere."""
    entry = {"id": f"/models/{model}.gguf", "object": "model", "owned_by": "me", "permissions": []}
    return {"/v1/models": {"object": "list", "data": [entry]}}


def ollama(model: str, served: int) -> About:
    """api/types.go, ProcessModelResponse: the model is loaded. `/api/show` has the trained length."""
    return {**ollama_unloaded(model, 0), "/api/ps": {"models": [{"name": f"{model}:latest", "context_length": served}]}}


def ollama_unloaded(model: str, num_ctx: int) -> About:
    """docs/api.md, show model information: `parameters` is text, with `num_ctx` only where the Modelfile has it."""
    parameters = 'stop                           "<|eot_id|>"\n'
    if num_ctx:
        parameters += f"num_ctx                        {num_ctx}\n"
    show = {"parameters": parameters, "model_info": {"general.architecture": "llama", "llama.context_length": 131_072}}
    return {
        "/v1/models": {"object": "list", "data": [{"id": f"{model}:latest", "object": "model", "owned_by": "library"}]},
        "/api/ps": {"models": [{"name": "another:latest", "context_length": 512}]},
        "/api/show": show,
    }


def lm_studio(model: str, served: int) -> About:
    """docs, REST API v0: `loaded_context_length` only of a model that is loaded."""
    entries: list[dict[str, Any]] = [
        {"id": "another", "state": "not-loaded", "max_context_length": 32_768},
        {"id": model, "state": "loaded", "max_context_length": 131_072, "loaded_context_length": served},
    ]
    return {"/v1/models": {"data": [{"id": entry["id"]} for entry in entries]}, "/api/v0/models": {"data": entries}}


def lm_studio_1(model: str, served: int) -> About:
    """docs, REST API v1 (0.4.0): a model's instances."""
    loaded = [{"id": model, "config": {"context_length": served, "flash_attention": True}}]
    entry = {"type": "llm", "key": model, "loaded_instances": loaded, "max_context_length": 131_072}
    return {"/api/v1/models": {"models": [{"type": "embedding", "key": "e", "loaded_instances": []}, entry]}}


def tgi(model: str, served: int) -> About:
    """router/src/lib.rs, Info."""
    return {"/info": {"model_id": model, "max_input_tokens": served - 1, "max_total_tokens": served}}


def openrouter(model: str, served: int) -> About:
    """Its list of models: the longest of all providers, and that of the one that is asked first."""
    top = {"context_length": served, "max_completion_tokens": None}
    other = {"id": "other/model", "context_length": 1024, "top_provider": {"context_length": 1024}}
    return {"/v1/models": {"data": [other, {"id": model, "context_length": 2 * served, "top_provider": top}]}}


def kobold(_model: str, served: int) -> About:
    """koboldcpp.py, the extra API."""
    return {"/api/extra/true_max_context_length": {"value": served}}


SERVERS: Final[Mapping[str, Callable[[str, int], About]]] = {
    each.__name__: each
    for each in (
        vllm,
        sglang,
        llama_cpp,
        llama_cpp_old,
        llama_cpp_python,
        ollama,
        ollama_unloaded,
        lm_studio,
        lm_studio_1,
        tgi,
        openrouter,
        kobold,
    )
}
"""By name: (model, tokens that it serves) -> what such a server says."""


def tokens_of(text: str) -> int:
    """The tokenizer of all servers here: a token for each two characters begun."""
    return (len(text) + 1) // 2


def _tokenizing(field: str, *needed: str, answer: Callable[[int], Any]) -> Callable[[Received], Reply]:
    """An endpoint whose question has the text in `field`, and these others."""

    def reply(received: Received) -> Reply:
        try:
            asked = msgspec.json.decode(received.body, type=dict[str, Any])
        except msgspec.DecodeError:
            return Reply(400, b'{"error": "no JSON"}')
        if received.method != "POST" or not isinstance(asked.get(field), str) or not set(needed) <= set(asked):
            return Reply(422, b'{"detail": "Field required"}')
        return Reply(body=msgspec.json.encode(answer(tokens_of(asked[field]))))

    return reply


def _ids(count: int) -> list[int]:
    return list(range(1, count + 1))


def _llama_cpp_tokenize(received: Received) -> Reply:
    """Without `content` it answers with no tokens, whatever else was said."""
    content = msgspec.json.decode(received.body, type=dict[str, Any]).get("content", "")
    return Reply(body=msgspec.json.encode({"tokens": _ids(tokens_of(content))}))


TOKENIZERS: Final[Mapping[str, About]] = {
    "llama.cpp": {"/tokenize": _llama_cpp_tokenize},
    "vllm": {
        "/tokenize": _tokenizing(
            "prompt",
            "model",
            answer=lambda n: {"count": n, "max_model_len": 4096, "tokens": _ids(n), "token_strs": None},
        )
    },
    "llama-cpp-python": {"/extras/tokenize/count": _tokenizing("input", answer=lambda n: {"count": n})},
    "tgi": {"/tokenize": _tokenizing("inputs", answer=lambda n: [{"id": i, "text": "", "start": 0} for i in _ids(n)])},
    "koboldcpp": {"/api/extra/tokencount": _tokenizing("prompt", answer=lambda n: {"value": n, "ids": _ids(n)})},
}
"""What counts tokens, by the kinds of `actors.models.hosted.tokenizing`, which says where each was read about."""
