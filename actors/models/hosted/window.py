"""How long a context a server serves, as it says itself: what to ask, and how each kind of server's answer is read.

Rules. (1) Pure: `actors.models.hosted.probe` does the asking. (2) What a server *serves* is told apart from what a
model was trained for, which only bounds it. (3) What is not understood says nothing; no answer is ever a fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

LONGEST: Final = 100_000_000
"""No context is longer: what says so means something else."""


class ServedWindow(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one request with its answer; 0: not said. `served` is what the server takes, `trained` what the model
    could; `source` says who said it. `slots`: how many requests it serves at once."""

    served: int = 0
    trained: int = 0
    source: str = ""
    slots: int = 0
    reached: bool = True
    """Whether it answered anything at all."""


UNKNOWN: Final = ServedWindow()
UNREACHED: Final = ServedWindow(reached=False)


class ServerQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """A request to a server. `path` is put behind the server's address without its /v1, or with it where `under_base`;
    `asks`: what is posted (nothing: it is a GET). `read` makes of the answer what it says of a model."""

    server: str
    path: str
    read: Callable[[Any, str], ServedWindow]
    source: str
    under_base: bool = False
    asks: bool = False


def _tokens(value: object) -> int:
    """A length in tokens, from a number or its digits; 0: none."""
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 12:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LONGEST else 0


def _least(values: Iterable[object]) -> int:
    return min(filter(None, map(_tokens, values)), default=0)


def _fields(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _listed(answer: object, key: str) -> list[Mapping[str, Any]]:
    """The entries of a list of models, which stands under `key` or is the answer itself."""
    entries = answer if isinstance(answer, list) else _fields(answer).get(key)
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _entry(entries: list[Mapping[str, Any]], model: str, *names: str) -> Mapping[str, Any]:
    """The model's own entry; where a server has but one model, it answers to any name."""
    wanted = {model, f"{model}:latest"}
    for entry in entries:
        if any(entry.get(name) in wanted for name in names):
            return entry
    return entries[0] if len(entries) == 1 else {}


def read_models(answer: object, model: str) -> ServedWindow:
    """`/v1/models` with the fields that servers add to OpenAI's."""
    entry = _entry(_listed(answer, "data"), model, "id", "root")
    meta, top, more = _fields(entry.get("meta")), _fields(entry.get("top_provider")), _fields(entry.get("metadata"))
    said = ("max_model_len", "loaded_context_length", "context_window", "context_length", "max_context_length")
    served = _least((*(entry.get(name) for name in said), meta.get("n_ctx"), top.get("context_length")))
    return ServedWindow(served=served, trained=_least((meta.get("n_ctx_train"), more.get("context_length"))))


def read_props(answer: object, _model: str) -> ServedWindow:
    """llama.cpp's `/props`: `n_ctx` there is a slot's, which is what one request has; `total_slots`: served at once."""
    said = _fields(answer)
    served = _tokens(_fields(said.get("default_generation_settings")).get("n_ctx"))
    return ServedWindow(served=served, slots=_tokens(said.get("total_slots")))


def read_ollama_ps(answer: object, model: str) -> ServedWindow:
    """The models that are loaded. One that is not says nothing: others are no measure for it."""
    wanted = {model, f"{model}:latest"}
    loaded = [e for e in _listed(answer, "models") if e.get("name") in wanted or e.get("model") in wanted]
    return ServedWindow(served=_least(entry.get("context_length") for entry in loaded))


_NUM_CTX: Final = re.compile(r"^\s*num_ctx\s+(\d{1,9})\s*$", re.MULTILINE)


def read_ollama_show(answer: object, _model: str) -> ServedWindow:
    """`num_ctx` of the model's file is served; `context_length` among the model's facts is what it was trained for."""
    parameters = _fields(answer).get("parameters")
    served = _NUM_CTX.findall(parameters) if isinstance(parameters, str) else []
    facts = _fields(_fields(answer).get("model_info"))
    return ServedWindow(
        served=_least(served[-1:]), trained=_least(v for name, v in facts.items() if name.endswith(".context_length"))
    )


def read_lmstudio(answer: object, model: str) -> ServedWindow:
    """Version 0: one entry a model, with the length that it was loaded with, if it is."""
    entry = _entry(_listed(answer, "data"), model, "id")
    return ServedWindow(
        served=_tokens(entry.get("loaded_context_length")), trained=_tokens(entry.get("max_context_length"))
    )


def read_lmstudio_1(answer: object, model: str) -> ServedWindow:
    """Version 1: the instances of a model that are loaded, each with its own length."""
    entry = _entry(_listed(answer, "models"), model, "key", "id")
    loaded = _listed(entry.get("loaded_instances"), "")
    served = _least(_fields(instance.get("config")).get("context_length") for instance in loaded)
    return ServedWindow(served=served, trained=_tokens(entry.get("max_context_length")))


def read_tgi(answer: object, _model: str) -> ServedWindow:
    """Text Generation Inference: `max_total_tokens` is prompt and answer together."""
    return ServedWindow(served=_tokens(_fields(answer).get("max_total_tokens")))


def read_sglang(answer: object, _model: str) -> ServedWindow:
    """SGLang's server: the length that it was started with, and the room that it has for all requests together."""
    said = _fields(answer)
    length = said.get("context_length") or said.get("context_len")
    return ServedWindow(served=_least((length, said.get("max_total_num_tokens"))) if _tokens(length) else 0)


def read_kobold(answer: object, _model: str) -> ServedWindow:
    return ServedWindow(served=_tokens(_fields(answer).get("value")))


def read_litellm(answer: object, model: str) -> ServedWindow:
    """LiteLLM's proxy: what its table says of the model behind, which need not be what is served there."""
    entry = _entry(_listed(answer, "data"), model, "model_name")
    return ServedWindow(trained=_tokens(_fields(entry.get("model_info")).get("max_input_tokens")))


QUESTIONS: Final = (
    ServerQuestion(
        server="/v1/models",
        path="/models",
        under_base=True,
        read=read_models,
        source="max_model_len: vLLM (vllm/entrypoints/openai/protocol.py, ModelCard) and SGLang (srt/entrypoints/"
        "openai/protocol.py, ModelCard); meta.n_ctx (a slot's) and meta.n_ctx_train: llama.cpp (tools/server, "
        "get_model_info); context_length and top_provider.context_length: OpenRouter (its list of models); "
        "context_length: Together; context_window: Groq; max_context_length: Mistral",
    ),
    ServerQuestion(
        server="llama.cpp's /props",
        path="/props",
        read=read_props,
        source="llama.cpp, tools/server/README.md, GET /props and GET /slots",
    ),
    ServerQuestion(
        server="Ollama's /api/ps",
        path="/api/ps",
        read=read_ollama_ps,
        source="Ollama, api/types.go, ProcessModelResponse; per request also with OLLAMA_NUM_PARALLEL",
    ),
    ServerQuestion(
        server="Ollama's /api/show",
        path="/api/show",
        asks=True,
        read=read_ollama_show,
        source="Ollama, docs/api.md, show model information (parameters, model_info)",
    ),
    ServerQuestion(
        server="LM Studio's /api/v0/models",
        path="/api/v0/models",
        read=read_lmstudio,
        source="lmstudio-ai/docs, 1_developer/2_rest/endpoints.mdx; loaded_context_length: zed-industries/zed#33938",
    ),
    ServerQuestion(
        server="LM Studio's /api/v1/models",
        path="/api/v1/models",
        read=read_lmstudio_1,
        source="lmstudio-ai/docs, 1_developer/2_rest (v1, from 0.4.0): loaded_instances[].config.context_length",
    ),
    ServerQuestion(
        server="TGI's /info",
        path="/info",
        read=read_tgi,
        source="huggingface/text-generation-inference, router/src/lib.rs, Info.max_total_tokens",
    ),
    ServerQuestion(
        server="SGLang's /get_server_info",
        path="/get_server_info",
        read=read_sglang,
        source="SGLang, srt/entrypoints/http_server.py: the server's arguments and max_total_num_tokens",
    ),
    ServerQuestion(
        server="KoboldCpp's /api/extra/true_max_context_length",
        path="/api/extra/true_max_context_length",
        read=read_kobold,
        source="KoboldCpp, koboldcpp.py, the extra API",
    ),
    ServerQuestion(
        server="LiteLLM's /model/info",
        path="/model/info",
        read=read_litellm,
        source="LiteLLM, docs of the proxy, GET /model/info: data[].model_info.max_input_tokens",
    ),
)
"""What each kind of server is asked, and where its answer was read about. All are asked: a server knows its own."""


def combined(said: Iterable[tuple[str, ServedWindow]]) -> ServedWindow:
    """What several answers of one server come to: the least of what it says to serve, and who said that."""
    answers = list(said)
    served = min(((w.served, who) for who, w in answers if w.served), default=(0, ""))
    trained = min(((w.trained, who) for who, w in answers if w.trained), default=(0, ""))
    slots = min((w.slots for _, w in answers if w.slots), default=0)
    return ServedWindow(served=served[0], trained=trained[0], source=served[1] or trained[1], slots=slots)
