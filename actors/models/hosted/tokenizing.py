"""Token counts by the server that has the model: the endpoints that tokenize a text, by the kind of server.

Rules. (1) Whatever happens is no failure: without counts our own hold. TIMEOUT_S for all texts of a request; a server
that counted none is not asked again for RETRY_S. (2) A server is asked at its own address alone, with what
`store.keys.keys` has for it, and not where that says no. (3) A text is asked for once, as long as it is remembered.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import httpx2
import msgspec

from palimpsest.actors.models.hosted.probe import NO_ACCESS, beside, headers_of, said
from palimpsest.events.encodings import SERVER
from palimpsest.events.errors import BadInput
from palimpsest.store.keys.files import LiveKeys
from palimpsest.store.keys.keys import Access

TIMEOUT_S: Final = 2.0
ASKING_S: Final = 10.0
"""For the first question, which a server of one slot may have to keep waiting."""
RETRY_S: Final = 30.0
AT_ONCE: Final = 8
REMEMBERED: Final = 65_536
"""Texts: some 8 MB."""
_SAMPLE: Final = "Hello, world."


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """How one kind of server counts: `body` makes a question of a model and a text, `read` a count of the answer."""

    path: str
    body: Callable[[str, str], dict[str, Any]]
    read: Callable[[Any], object]
    source: str


def _listed(answer: Any) -> object:
    tokens = answer.get("tokens") if isinstance(answer, dict) else None
    return len(tokens) if isinstance(tokens, list) else None


def _field(name: str) -> Callable[[Any], object]:
    return lambda answer: answer.get(name) if isinstance(answer, dict) else None


KINDS: Final[Mapping[str, Kind]] = {
    "llama.cpp": Kind(
        path="/tokenize",
        body=lambda _model, text: {"content": text, "add_special": False, "parse_special": True},
        read=_listed,
        source="llama.cpp, tools/server/README.md, POST /tokenize; a chat's text is read with its special tokens, too",
    ),
    "vllm": Kind(
        path="/tokenize",
        body=lambda model, text: {"model": model, "prompt": text, "add_special_tokens": False},
        read=_field("count"),
        source="vLLM, vllm/entrypoints/serve/tokenize/protocol.py; SGLang, srt/entrypoints (TokenizeRequest); the "
        "proxy of LiteLLM, docs.litellm.ai/docs/tokenize",
    ),
    "llama-cpp-python": Kind(
        path="/extras/tokenize/count",
        body=lambda model, text: {"model": model, "input": text},
        read=_field("count"),
        source="llama-cpp-python 0.3.36, llama_cpp/server/app.py, count_query_tokens; the token of a text's beginning, "
        "where a model has one, is counted with each",
    ),
    "tgi": Kind(
        path="/tokenize",
        body=lambda _model, text: {"inputs": text},
        read=lambda answer: len(answer) if isinstance(answer, list) else None,
        source="huggingface/text-generation-inference, router/src/server.rs, tokenize; likewise",
    ),
    "koboldcpp": Kind(
        path="/api/extra/tokencount",
        body=lambda _model, text: {"prompt": text},
        read=_field("value"),
        source="KoboldCpp, koboldcpp.py, the extra API",
    ),
}


class ServerTokenizer:
    """Asks servers for counts, with the keys of this process; `now` is there to be replaced in tests."""

    def __init__(self, keys: LiveKeys, *, now: Callable[[], float] = time.monotonic) -> None:
        self._keys = keys
        self._now = now
        self._client: httpx2.AsyncClient | None = None
        self._known: OrderedDict[bytes, int] = OrderedDict()
        self._rests: dict[tuple[str, str], float] = {}

    async def counts(self, encoding: str, base_url: str, model: str, texts: Sequence[str]) -> list[int | None]:
        """How many tokens each text has; None where the server does not say."""
        keys = {text: _digest(encoding, base_url, model, text) for text in texts}
        found = {text: self._known.get(key) for text, key in keys.items()}
        missing = [text for text, tokens in found.items() if tokens is None]
        kind, place = KINDS.get(encoding.removeprefix(SERVER)), (base_url, model)
        if kind and missing and self._now() >= self._rests.get(place, 0.0):
            came = await self._asked(kind, base_url, model, missing)
            found.update(zip(missing, came, strict=True))
            if not any(came):
                self._rests[place] = self._now() + RETRY_S
        self._remember({keys[text]: tokens for text, tokens in found.items() if tokens is not None})
        return [found[text] for text in texts]

    def _remember(self, counts: Mapping[bytes, int]) -> None:
        for key, tokens in counts.items():
            self._known[key] = tokens
            self._known.move_to_end(key)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    async def _asked(self, kind: Kind, base_url: str, model: str, texts: list[str]) -> list[int | None]:
        try:
            access, refusal = self._keys.access(base_url)
        except BadInput:
            refusal = "no keys can be read"  # the request itself will say so
        if refusal:
            return [None] * len(texts)
        if self._client is None:  # making one takes 40 ms
            self._client = httpx2.AsyncClient(follow_redirects=False)
        return await asked(self._client, kind, base_url, model, texts, access=access)

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def _digest(*of: str) -> bytes:
    return hashlib.blake2b(msgspec.json.encode(of), digest_size=16).digest()


async def asked(
    client: httpx2.AsyncClient,
    kind: Kind,
    base_url: str,
    model: str,
    texts: Sequence[str],
    *,
    access: Access = NO_ACCESS,
    timeout_s: float = TIMEOUT_S,
) -> list[int | None]:
    """The counts of texts, from the server; None for what it gave none for in that time."""
    url, headers = beside(base_url, kind.path), headers_of(access)
    some = asyncio.Semaphore(AT_ONCE)
    found: list[int | None] = [None] * len(texts)

    async def count(place: int, text: str) -> None:
        with contextlib.suppress(Exception):  # whatever it is: see rule (1)
            async with some:
                answer = await said(client, "POST", url, msgspec.json.encode(kind.body(model, text)), headers)
            tokens = kind.read(answer)
            if isinstance(tokens, int) and not isinstance(tokens, bool) and 0 < tokens <= len(text.encode()) + 2:
                found[place] = tokens

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as group:
            for place, text in enumerate(texts):
                group.create_task(count(place, text))
    return found


async def kind_of(base_url: str, model: str, access: Access = NO_ACCESS) -> str:
    """Which kind of server counts there, as `KINDS` has it ("": none of them)."""
    async with httpx2.AsyncClient(follow_redirects=False) as client:
        each = (
            asked(client, kind, base_url, model, [_SAMPLE], access=access, timeout_s=ASKING_S)
            for kind in KINDS.values()
        )
        answers = await asyncio.gather(*each)
    return next((name for name, counts in zip(KINDS, answers, strict=True) if counts[0]), "")
