"""Asking a server how long a context it serves (`actors.models.hosted.window`).

Rules. (1) All questions at once, in two seconds at most, and whatever happens is no failure. (2) Nothing goes anywhere
but to the server's own address: redirects are not followed, so a key stays where it was meant to go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import httpx2
import msgspec

from palimpsest.actors.models.hosted.window import QUESTIONS, UNKNOWN, UNREACHED, ServedWindow, ServerQuestion, combined
from palimpsest.store.keys.keys import Access

TIMEOUT_S: Final = 2.0
_CONNECT_S: Final = 1.0
NO_ACCESS: Final = Access()
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_MOST_BYTES: Final = 16 * 1024 * 1024
"""A router's list of models has about one."""


async def window_of(
    base_url: str, model: str, *, access: Access = NO_ACCESS, timeout_s: float = TIMEOUT_S
) -> ServedWindow:
    """What the server at this address says of the model's window. `access` is what it is given."""
    if not _is_an_address(base_url):
        return UNREACHED
    timeout = httpx2.Timeout(timeout_s, connect=min(_CONNECT_S, timeout_s))
    try:
        async with httpx2.AsyncClient(timeout=timeout, headers=headers_of(access), follow_redirects=False) as client:
            asked = (_ask(client, question, base_url, model, timeout_s) for question in QUESTIONS)
            answers = await asyncio.gather(*asked)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError):
        return UNREACHED  # no such address, or a proxy's that is none: the first request will say so
    if set(answers) == {UNREACHED}:
        return UNREACHED
    return combined(zip((question.server for question in QUESTIONS), answers, strict=True))


def headers_of(access: Access) -> dict[str, str]:
    """What goes along; nothing, where HTTP cannot carry it: the first request for an answer will say so."""
    if not all(secret.isascii() and secret.isprintable() for secret in access.secrets()):
        return {}
    return {**access.headers, **({"Authorization": access.authorization or ""} if access.key else {})}


def _is_an_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


async def _ask(
    client: httpx2.AsyncClient, question: ServerQuestion, base_url: str, model: str, timeout_s: float
) -> ServedWindow:
    """What one question brings; nothing, where this is another kind of server."""
    url = address(base_url, question)
    body = msgspec.json.encode({"model": model}) if question.asks else b""
    try:
        async with asyncio.timeout(timeout_s):
            return question.read(await said(client, "POST" if body else "GET", url, body), model)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError):
        return UNREACHED
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return UNKNOWN


async def said(
    client: httpx2.AsyncClient, method: str, url: str, body: bytes, headers: Mapping[str, str] = NOTHING
) -> Any:
    """A server's JSON. Raises ValueError and what httpx2 and msgspec raise where it is none, or says no."""
    about = {"Content-Type": "application/json"} if body else {}
    async with client.stream(method, url, content=body, headers={**headers, **about}) as response:
        if response.status_code != httpx2.codes.OK:
            raise ValueError(f"status {response.status_code}")
        return msgspec.json.decode(await read(response))


async def read(response: httpx2.Response) -> bytes:
    """The answer's body. Raises ValueError where it is longer than any that is read here."""
    data = bytearray()
    async for received in response.aiter_bytes():
        data += received
        if len(data) > _MOST_BYTES:
            raise ValueError("more than any list of models has")
    return bytes(data)


def address(base_url: str, question: ServerQuestion) -> str:
    """Where a question goes."""
    return beside(base_url, question.path, under=question.under_base)


def beside(base_url: str, path: str, *, under: bool = False) -> str:
    """A path beside the server's /v1, or under it. What stands behind a question mark stays."""
    parts = urlsplit(base_url)
    base = parts.path.rstrip("/")
    if not under:
        base = base.removesuffix("/v1")
    return urlunsplit((parts.scheme, parts.netloc, base + path, parts.query, ""))
