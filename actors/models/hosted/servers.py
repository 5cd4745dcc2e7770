"""What goes with a request to a model server, and stays with it: headers, and no redirect to anybody else.

Rule: what OpenAI's client would take from the environment by itself is taken out again: which server gets it is
`store.keys.keys`' to say.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

import httpx2

from palimpsest.actors.models.hosted.failures import Failure
from palimpsest.events.addresses import address_of, is_openai, public_url
from palimpsest.store.keys.keys import Access, custom_headers

_FIRST: Final = "palimpsest.origin"
_OPENAIS: Final = ("OpenAI-Organization", "OpenAI-Project")


class Redirected(httpx2.RequestError):
    """A server sends a request on to another one."""

    def __init__(self, to: str) -> None:
        super().__init__(to)
        self.to = to


async def stay(request: Any) -> None:
    """A request hook of the HTTP client's: it is called for each redirect too, which carries the first's extensions."""
    stay_now(request)


def stay_now(request: Any) -> None:
    """The same for a client that does not await. Raises Moved."""
    url = request.url
    origin = (url.scheme, url.host, url.port)
    if request.extensions.setdefault(_FIRST, origin) != origin:
        raise Redirected(public_url(str(url)))


def arrived_elsewhere(moved: Redirected) -> Failure:
    detail = (
        "It sends requests on to another server, which was asked for nothing: if it is the right one, give its address "
        "as the --base-url."
    )
    return Failure("unreachable", detail, f"moved to {moved.to}")


def headers_for(access: Access, omit: Any) -> dict[str, Any]:
    """The headers of a client: those that go to this server, and `omit` for those that do not."""
    hushed = dict.fromkeys((*_OPENAIS, *custom_headers(os.environ)), omit)
    own = {name: value for name, value in access.headers.items() if name.lower() != "authorization"}
    said = {"Authorization": access.authorization} if access.authorization else {}
    return {**hushed, **own, **said}


def options_for(access: Access, omit: Any, headers: Mapping[str, str] | None = None) -> Any:
    """The options of a request: its agent's headers, where the server's keys have none of that name. The client insists
    on an Authorization header, unless each request leaves it out."""
    taken = {name.lower() for name in access.headers}
    said: dict[str, Any] = {name: value for name, value in (headers or {}).items() if name.lower() not in taken}
    if not access.authorization:
        said["Authorization"] = omit
    return {"headers": said} if said else {}


def wrong_key(url: str, access: Access, *, quote: str = "", asked: bool = True) -> Failure:
    """A key that was refused, or is wanted and not there, and where the right one is to be put."""
    address = address_of(url)
    by_name = f"`palimpsest keys add {address}`"
    own = address is not None and is_openai(address)
    if not asked:
        what = f"There is no key: set OPENAI_API_KEY, or {by_name}; or give the base_url of a server that needs none."
    elif access.whence == "OPENAI_API_KEY":
        what = f"The key was refused: set OPENAI_API_KEY to one that this server takes, or give it its own: {by_name}."
    elif access.whence:
        what = f"The key was refused ({access.whence}): give the right one by {by_name}."
    else:
        what = f"A key is wanted, and none is known for this server: {by_name}."
    held = bool(own and os.environ.get("OPENAI_API_KEY") and os.environ.get("OPENAI_BASE_URL") and not access.whence)
    why = " (OPENAI_API_KEY is that of OPENAI_BASE_URL's server.)" if held else ""
    return Failure("wrong_key", what + why, quote)
