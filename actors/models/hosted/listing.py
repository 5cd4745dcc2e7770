"""What a server says at its door, before anything is asked of a model there: whether it is up, wants a key, and which
models it lists.

Rules. (1) Pure, but for `listing_of`, which makes one request (GET /models) to the server's own address. (2) Only what
is sure is a problem: a list that need not be whole, or a server that takes any name, denies no model.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

import httpx2
import msgspec

from palimpsest.actors.models.hosted.probe import NO_ACCESS, TIMEOUT_S, beside, headers_of
from palimpsest.actors.models.hosted.probe import read as read_body
from palimpsest.events.addresses import Address, address_of, is_openai, public_url
from palimpsest.store.keys.keys import Access, no_key

NEAR: Final = 4
KEYED: Final = (
    "api.mistral.ai",
    "api.groq.com",
    "openrouter.ai",
    "api.together.xyz",
    "api.deepseek.com",
    "generativelanguage.googleapis.com",
    "api.anthropic.com",
    "api.fireworks.ai",
    "api.x.ai",
    "api.moonshot.ai",
    "api.cerebras.ai",
    "api.perplexity.ai",
    "api.deepinfra.com",
    "api.cohere.ai",
    "router.huggingface.co",
    "integrate.api.nvidia.com",
    "api.sambanova.ai",
    ".openai.azure.com",
)
"""Hosted services that answer nobody without a key; a dot before one: all hosts below it."""
_PARTIAL: Final = (".azure.com", "api.fireworks.ai", "api.together.xyz")
"""Their lists are not of what can be asked for: Azure's deployments have names of their own, the others list a part."""
_ANY_NAME: Final = frozenset({"vllm", "sglang"})
"""Of the servers with one model those that refuse another name, by `owned_by`: the others serve whatever is asked."""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """`status`: the answer's (0: there was none, and `why` says so, if it is known that nobody is there). `models`: the
    ids that were listed. `any_name`: it serves its one model by whatever name."""

    status: int = 0
    why: str = ""
    models: tuple[str, ...] = ()
    any_name: bool = False


class Problem(msgspec.Struct, frozen=True):
    """What will keep a server from answering, and what to do. A missing key is certain, the others may pass."""

    about: Literal["key", "model", "address"]
    text: str


SILENT: Final = Listing()


async def listing_of(base_url: str, access: Access = NO_ACCESS, *, timeout_s: float = TIMEOUT_S) -> Listing:
    """What the server at this address says. One that is slow says nothing."""
    timeout = httpx2.Timeout(timeout_s)
    try:
        async with (
            httpx2.AsyncClient(timeout=timeout, headers=headers_of(access), follow_redirects=False) as client,
            client.stream("GET", beside(base_url, "/models", under=True)) as response,
        ):
            body = await read_body(response) if response.status_code == httpx2.codes.OK else b""
            return listed(response.status_code, body)
    except httpx2.ConnectError as error:
        return Listing(why=_nobody(error))
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError):
        return SILENT


def _nobody(error: BaseException) -> str:
    """Why nobody is there, in a few words; "" where that is not sure."""
    found = [each for each in _causes(error) if isinstance(each, (socket.gaierror, ConnectionRefusedError))]
    if any(isinstance(each, socket.gaierror) for each in found) or "Name or service" in str(error):
        return "no host of this name is known"
    return "the connection was refused" if found or "refused" in str(error) else ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions:
                yield from _causes(each)
        error = error.__cause__ or error.__context__


def listed(status: int, body: bytes) -> Listing:
    """What an answer to GET /models says."""
    try:
        said = msgspec.json.decode(body) if body else None
    except msgspec.DecodeError:
        said = None
    rows: Any = said.get("data") if isinstance(said, dict) else said
    entries = [each for each in rows if isinstance(each, dict)] if isinstance(rows, list) else []
    ids = tuple(each["id"] for each in entries if isinstance(each.get("id"), str) and each["id"])
    one = len(ids) == 1 and entries[0].get("owned_by") not in _ANY_NAME
    return Listing(status=status, models=ids, any_name=one)


# --- what follows -------------------------------------------------------------------------------------------------


def wants_key(address: Address) -> bool:
    """Whether a service is there that is known to answer nobody without a key."""
    return is_openai(address) or _is_at(address, KEYED)


def _is_at(address: Address, hosts: tuple[str, ...]) -> bool:
    host = address.origin.partition("://")[2]
    return any(host.endswith(each) if each.startswith(".") else host == each for each in hosts)


def key_problem(base_url: str, access: Access) -> Problem | None:
    """A key that is missing, by what is known here alone."""
    address = address_of(base_url)
    if address is None or access.has_key or access.headers or not wants_key(address):
        return None
    more = ", or set OPENAI_API_KEY" if is_openai(address) else ""
    return Problem("key", f"{address} answers nobody without a key, and it has none: {no_key(base_url)}{more}.")


def problem(base_url: str, model: str, access: Access, listing: Listing) -> Problem | None:
    """What will keep the server from answering, by what it said; None: nothing that is sure."""
    where = public_url(base_url)
    if listing.why:
        return Problem("address", f"{where} cannot be reached: {listing.why}. Check the address, or start the server.")
    if listing.status == 401 and access.whence:  # (a key that may not list models gets 403, and may well be good)
        return Problem("key", f"{where} refused {access.whence} (401): {no_key(base_url)} replaces it.")
    if listing.status in (401, 403) and not access.whence:
        return Problem("key", f"{where} wants a key ({listing.status}): {no_key(base_url)} keeps one for it.")
    address = address_of(base_url)
    if listing.any_name or _has(listing.models, model) or (address and _is_at(address, _PARTIAL)):
        return None
    return Problem("model", f"{where} has no model '{model}'. {_near(listing.models, model)}")


def _has(models: tuple[str, ...], model: str) -> bool:
    """Whether a list has a model, or is none. Servers add a folder before a name, or a tag behind it; a router may take
    more behind a colon, and lists what it passes on with a star."""
    wanted = {model.lower(), model.lower().rpartition(":")[0] or model.lower()}
    for each in map(str.lower, models):
        names = {each, each.removesuffix(":latest"), each.removeprefix("models/")}
        if names & wanted or ("*" in each and fnmatchcase(model.lower(), each)):
            return True
    return not models


def _near(models: tuple[str, ...], model: str) -> str:
    ends = {each.rpartition("/")[2].lower(): each for each in reversed(models)} | {
        each.lower(): each for each in models
    }
    near = [ends[each] for each in get_close_matches(model.lower(), ends, n=NEAR, cutoff=0.4)]
    part = [each for each in models if model.lower() in each.lower()]
    shown = list(dict.fromkeys((*near, *part)))[:NEAR]
    if shown:
        return f"Did you mean {', '.join(shown)}?"
    more = f" and {len(models) - NEAR} more" if len(models) > NEAR else ""
    return f"It lists {', '.join(models[:NEAR])}{more}."
