"""Token counts by the server that has the model: the endpoints that tokenize a text, by the kind of server.

Rules. (1) Whatever happens is no failure: without counts our own hold. TIMEOUT_S for all texts of a request; a server
that did not answer is not asked again for RETRY_S. (2) A server is asked at its own address alone, with what
`store.keys` has for it, and not where that says no. (3) A text is asked for once, as long as it is remembered.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import httpx2
import msgspec

from actors.models.probe import NO_ACCESS, beside, headers_of, said
from events.encodings import SERVER
from events.errors import BadInput
from store.key_files import LiveKeys
from store.keys import Access

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
        self._known: OrderedDict[bytes, int] = OrderedDict()
        self._rests: dict[tuple[str, str], float] = {}

    async def counts(self, encoding: str, base_url: str, model: str, texts: Sequence[str]) -> list[int] | None:
        """How many tokens each text has; None: the server does not say."""
        kind = KINDS.get(encoding.removeprefix(SERVER))
        keys = {text: _digest(encoding, base_url, model, text) for text in texts}
        missing = [text for text, key in keys.items() if key not in self._known]
        if missing:
            place = (base_url, model)
            if kind is None or self._now() < self._rests.get(place, 0.0):
                return None
            found = await self._asked(kind, base_url, model, missing)
            if found is None:
                self._rests[place] = self._now() + RETRY_S
                return None
            self._known.update((keys[text], tokens) for text, tokens in zip(missing, found, strict=True))
        counts = [self._known[keys[text]] for text in texts]
        for key in keys.values():
            self._known.move_to_end(key)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return counts

    async def _asked(self, kind: Kind, base_url: str, model: str, texts: list[str]) -> list[int] | None:
        try:
            access, refusal = self._keys.access(base_url)
        except BadInput:
            return None  # the request itself will say so
        return None if refusal else await asked(kind, base_url, model, texts, access)


def _digest(*of: str) -> bytes:
    return hashlib.blake2b(msgspec.json.encode(of), digest_size=16).digest()


async def asked(
    kind: Kind,
    base_url: str,
    model: str,
    texts: Sequence[str],
    access: Access = NO_ACCESS,
    *,
    timeout_s: float = TIMEOUT_S,
) -> list[int] | None:
    """The counts of all texts, from the server; None: it did not give them all."""
    url = beside(base_url, kind.path)
    some = asyncio.Semaphore(AT_ONCE)

    async def count(text: str) -> int:
        async with some:
            answer = await said(client, "POST", url, msgspec.json.encode(kind.body(model, text)))
        tokens = kind.read(answer)
        if not isinstance(tokens, int) or isinstance(tokens, bool) or not 0 <= tokens <= len(text.encode()) + 2:
            raise ValueError("no count, or one that cannot be")
        return tokens

    tasks: list[asyncio.Task[int]] = []
    failed = False
    try:
        async with (
            asyncio.timeout(timeout_s),
            httpx2.AsyncClient(timeout=timeout_s, headers=headers_of(access), follow_redirects=False) as client,
            asyncio.TaskGroup() as group,
        ):
            tasks += [group.create_task(count(text)) for text in texts]
    except* (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, RecursionError, msgspec.MsgspecError):
        failed = True
    return None if failed else [task.result() for task in tasks]


async def kind_of(base_url: str, model: str, access: Access = NO_ACCESS) -> str:
    """Which kind of server counts there, as `KINDS` has it ("": none of them)."""
    each = (asked(kind, base_url, model, [_SAMPLE], access, timeout_s=ASKING_S) for kind in KINDS.values())
    answers = await asyncio.gather(*each)
    return next((name for name, counts in zip(KINDS, answers, strict=True) if counts and counts[0]), "")
