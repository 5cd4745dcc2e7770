"""Dense vectors from any server that speaks OpenAI's embeddings protocol. Beside `openai`, the module that imports it.

Rules. (1) What goes wrong is StorageAway, which storage waits out, or BadInput where only another setting helps; no
message holds a key. (2) A text too long for the model is embedded by its beginning. (3) A server's vectors may differ
in their last bits from one time to the next: an index built again ranks alike, but its bytes are not the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import httpx2
import msgspec
import numpy as np
import openai

from palimpsest.actors.models.hosted.failures import Scrubber, from_response
from palimpsest.actors.models.hosted.servers import Redirected, headers_for, options_for, stay_now, wrong_key
from palimpsest.events.addresses import OPENAI_URL, address_of, credentials_in, endpoint, is_openai, public_url
from palimpsest.events.errors import BadInput, StorageAway
from palimpsest.store.index.embeddings import TEXT_CHARS, Vectors
from palimpsest.store.index.settings import OPENAI
from palimpsest.store.keys.files import Handed, LiveKeys
from palimpsest.store.keys.keys import Access

BATCH_TEXTS: Final = 128
BATCH_CHARS: Final = 200_000
"""OpenAI takes 300,000 tokens a request; a character is seldom more than one."""
LEAST_CHARS: Final = 250
"""A text that a server finds too long is cut down as far as this."""


class _Embedding(msgspec.Struct):
    embedding: list[float]
    index: int = -1


class _EmbeddingList(msgspec.Struct):
    data: list[_Embedding]


class OpenAIEmbedder:
    """`setting` is openai:MODEL, or openai:MODEL@DIMENSION where the server is to shorten its vectors."""

    def __init__(
        self,
        setting: str,
        *,
        keys: LiveKeys | None = None,
        base_url: str = "",
        timeout_s: float = 60.0,
        connect_timeout_s: float = 10.0,
        max_retries: int = 2,
    ) -> None:
        """Asks nothing yet. Raises BadInput where there is no key, or what is given can be none."""
        self.name = setting
        model, _, dimension = setting.removeprefix(OPENAI).rpartition("@")
        shortened = bool(model) and dimension.isdecimal()
        self._model = model if shortened else setting.removeprefix(OPENAI)
        self._wanted = {"dimensions": int(dimension)} if shortened else {}
        self._url = base_url or OPENAI_URL
        self._keys = keys or LiveKeys(Handed())
        self._access, _ = self._keys.access(self._url)
        _check(self._url, self._access)
        self._dimension = 0
        self._timeout = httpx2.Timeout(timeout_s, connect=connect_timeout_s)
        self._max_retries = max_retries
        self._http = openai.DefaultHttpxClient(event_hooks={"request": [stay_now]}, timeout=self._timeout)
        self._client = self._made()

    def _made(self) -> openai.OpenAI:
        return openai.OpenAI(
            api_key=self._access.key or "none",
            admin_api_key="",
            base_url=public_url(self._url),
            default_headers=headers_for(self._access, openai.omit),
            timeout=self._timeout,
            max_retries=self._max_retries,
            http_client=self._http,
        )

    @property
    def dimension(self) -> int:
        """Learned from the server when it is first asked for."""
        if not self._dimension:
            self._dimension = len(self._asked(["dimension"])[0])
        return self._dimension

    def embed(self, texts: Sequence[str]) -> Vectors:
        rows = np.zeros((len(texts), self.dimension), np.float32)
        said = [number for number, text in enumerate(texts) if text.strip()]
        for batch in _batches([texts[number][:TEXT_CHARS] for number in said]):
            vectors = self._asked([texts[said[at]][:TEXT_CHARS] for at in batch])
            if any(len(vector) != self._dimension for vector in vectors):
                raise self._away(f"It gave vectors that have not {self._dimension} dimensions, as its first had.")
            rows[[said[at] for at in batch]] = np.asarray(vectors, np.float32)
        return rows

    def _asked(self, texts: list[str]) -> list[list[float]]:
        """The vectors of some texts. What the server will not take together is asked for in halves, and a text that it
        will not take at all, by its first half."""
        try:
            answer = self._post(texts)
        except openai.APIStatusError as error:
            if error.status_code not in (400, 413, 422):
                raise self._refused(error) from None
            if len(texts) > 1:
                half = len(texts) // 2
                return [*self._asked(texts[:half]), *self._asked(texts[half:])]
            if len(texts[0]) < 2 * LEAST_CHARS:
                raise self._refused(error) from None
            return self._asked([texts[0][: len(texts[0]) // 2]])
        except openai.APITimeoutError:
            raise self._away("It gave no answer in time.") from None
        except openai.APIConnectionError as error:
            if isinstance(error.__cause__, Redirected):
                raise self._away(
                    f"It sends requests on to {error.__cause__.to}, which was asked for nothing."
                ) from None
            raise self._away(f"No connection ({type(error.__cause__ or error).__name__}).") from None
        if len(answer) != len(texts) or not all(answer):
            raise self._away(f"It gave {len(answer)} vectors for {len(texts)} texts.")
        return answer

    def _post(self, texts: list[str]) -> list[list[float]]:
        body: Mapping[str, object] = {
            "model": self._model,
            "input": texts,
            "encoding_format": "float",  # base64, the client's own choice, is not every server's
            **self._wanted,
        }
        try:
            access, _ = self._keys.access(self._url)
        except BadInput as error:
            raise self._away(f"{error}") from None
        if access != self._access:
            self._access = access
            self._client = self._made()
        where, how = endpoint(self._url, "/embeddings"), options_for(self._access, openai.omit)
        response = self._client.post(where, cast_to=httpx2.Response, body=body, options=how)
        try:
            rows = msgspec.json.decode(response.content, type=_EmbeddingList).data
        except msgspec.MsgspecError:
            raise self._away("It gave an answer that is none of the embeddings protocol.") from None
        return [row.embedding for row in sorted(rows, key=lambda row: row.index)]

    def _refused(self, error: openai.APIStatusError) -> StorageAway:
        failure = from_response(error.status_code, error.response.headers, error.response.content, now_s=time.time())
        if failure.error == "wrong_key":
            failure = wrong_key(self._url, self._access, quote=failure.quote)
        said = Scrubber(self._keys.secrets() | credentials_in(self._url)).clean(failure.quote)
        return self._away(f"{failure.detail} It said: {said}")

    def _away(self, why: str) -> StorageAway:
        return StorageAway(
            f"The embeddings of {self._model} cannot be had from {public_url(self._url)}: {why} Nothing is lost, and "
            "it is tried again by itself; or set another --embedder."
        )


def _check(url: str, access: Access) -> None:
    address = address_of(url)
    if address is None:
        raise BadInput("OPENAI_BASE_URL must begin with http:// or https:// and name a host.")
    if not access.has_key and is_openai(address):
        raise BadInput(
            "Embeddings of OpenAI's need a key: put OPENAI_API_KEY=… before the command, or `palimpsest keys add "
            f"{address}`; or name a server that needs none by OPENAI_BASE_URL=http://…/v1."
        )
    if not all(secret.isascii() and secret.isprintable() for secret in access.secrets()):
        raise BadInput(f"{access.whence} holds characters that HTTP cannot carry: set it anew.")


def _batches(texts: Sequence[str]) -> Iterator[list[int]]:
    """Their numbers, in batches that one request takes."""
    batch: list[int] = []
    chars = 0
    for number, text in enumerate(texts):
        if batch and (len(batch) == BATCH_TEXTS or chars + len(text) > BATCH_CHARS):
            yield batch
            batch, chars = [], 0
        batch.append(number)
        chars += len(text)
    if batch:
        yield batch
