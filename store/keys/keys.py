"""Keys, each of a server: what goes along with a request to an address, and which addresses may be asked at all.

Rules. (1) A key belongs to an address and what lies below it (`events.addresses`). What is known of a server by name is
all that goes there; OPENAI_API_KEY, with the other headers that OpenAI's client reads from the environment, goes to
OpenAI, to OPENAI_BASE_URL, and to an address that this user typed. While OPENAI_BASE_URL names another server, the key
is that server's and not OpenAI's. (2) An address that came with an import is asked for nothing until this user has
typed or allowed it. (3) Nothing here shows a secret when it is printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from palimpsest.events.addresses import OPENAI_URL, Address, address_of, is_openai
from palimpsest.events.errors import BadInput

NAMED: Final = "PALIMPSEST_KEY_"
"""The environment's variables that give a server its key, as PALIMPSEST_KEY_MISTRAL="https://api.mistral.ai/v1 KEY"."""
API_KEY: Final = "api-key"
_AZURE: Final = ".azure.com"
_AUTHORIZATION: Final = "authorization"


class Credentials(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is sent to one server: a key, headers that are secret, or both."""

    url: str
    key: str = ""
    headers: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"Server({self.url!r}, …)"


class OpenAI(msgspec.Struct, frozen=True, kw_only=True):
    """What OpenAI's client reads from the environment: OPENAI_API_KEY, OPENAI_BASE_URL, and as headers OPENAI_ORG_ID,
    OPENAI_PROJECT_ID and OPENAI_CUSTOM_HEADERS."""

    key: str = ""
    url: str = ""
    headers: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return "OpenAI(…)"


class Trusted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The addresses that this user typed as a --base-url, and those that were allowed where an import brought them.
    `since_ms`: when these were first kept."""

    since_ms: int = 0
    typed: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """What goes along with a request. `whence` says in words which key it is ("": there is none)."""

    key: str = ""
    headers: Mapping[str, str] = {}
    whence: str = ""

    def __repr__(self) -> str:
        return f"Access({self.whence!r})"

    @property
    def authorization(self) -> str | None:
        """The Authorization header: also where there is no key, unless other headers say who asks (None)."""
        said = [value for name, value in self.headers.items() if name.lower() == _AUTHORIZATION]
        if said or (self.headers and not self.key):
            return said[-1] if said else None
        return f"Bearer {self.key or 'none'}"

    @property
    def has_key(self) -> bool:
        """Whether anything in it could be a key of OpenAI's."""
        return bool(self.key) or any(name.lower() in (API_KEY, _AUTHORIZATION) for name in self.headers)

    def secrets(self) -> set[str]:
        return {secret for secret in (self.key, *self.headers.values()) if secret}


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known at one moment. `imported` are the addresses that imports brought into the data folder."""

    servers: tuple[Credentials, ...] = ()
    """Of two for the same address the later one counts."""
    openai: OpenAI = OpenAI()
    trusted: Trusted = Trusted()
    imported: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Keys({len(self.servers)} servers)"

    def access(self, url: str) -> Access:
        """What goes along with a request to this base URL."""
        address = address_of(url)
        if address is None:
            return Access()
        server = self._server(address)
        if server is not None:
            found = Access(key=server.key, headers=server.headers, whence=f"what is kept for {server.url}")
        elif (self.openai.key or self.openai.headers) and self._is_openais(address):
            found = Access(key=self.openai.key, headers=self.openai.headers, whence="OPENAI_API_KEY")
        else:
            return Access()
        return _as_azure_wants_it(found) if found.key and _wants_api_key(url, address) else found

    def refusal(self, url: str) -> str:
        """Why nothing may be sent there ("": it may)."""
        address = address_of(url)
        if address is None or not _covered(address, self.imported) or self.is_trusted(address):
            return ""
        return (
            "This address came with an import, so nothing was sent there. If it may have this agent's conversations: "
            f"`palimpsest keys allow {address}`, or with a key `palimpsest keys add {address}`."
        )

    def is_trusted(self, address: Address) -> bool:
        """Whether this user has typed or allowed it, or given it a key."""
        named = (*self.trusted.typed, *self.trusted.allowed, self.openai.url, *(each.url for each in self.servers))
        return _covered(address, named)

    def secrets(self) -> set[str]:
        """All of them, of all servers: none may be in a text that is shown."""
        holders: list[Credentials | OpenAI] = [*self.servers, self.openai]
        headers = [value for each in holders for value in each.headers.values()]
        bare = [value.partition(" ")[2] for value in headers]  # a key behind "Bearer "
        return {secret for secret in (*(each.key for each in holders), *headers, *bare) if secret}

    def _server(self, address: Address) -> Credentials | None:
        covering = [(len(at.path), n) for n, each in enumerate(self.servers)
                    if (at := address_of(each.url)) and at.covers(address)]  # fmt: skip
        return self.servers[max(covering)[1]] if covering else None

    def _is_openais(self, address: Address) -> bool:
        base = address_of(self.openai.url or OPENAI_URL)
        if base is not None and base.covers(address):
            return True
        if is_openai(address):
            return base is not None and is_openai(base)
        return _covered(address, self.trusted.typed)


def keys_in(environ: Mapping[str, str]) -> Keys:
    """What the environment says. Raises BadInput for a variable that says nothing."""
    return Keys(servers=_named(environ), openai=_openai(environ))


def no_key(url: str) -> str:
    """What to do where a server wants a key, and there is none for it."""
    return f"`palimpsest keys add {address_of(url) or 'URL'}`"


def merged(first: Keys, second: Keys) -> Keys:
    """What either knows; of two for one thing, what the second says."""
    return Keys(
        servers=(*first.servers, *second.servers),
        openai=second.openai if second.openai != OpenAI() else first.openai,
        trusted=Trusted(
            typed=_unique((*first.trusted.typed, *second.trusted.typed)),
            allowed=_unique((*first.trusted.allowed, *second.trusted.allowed)),
        ),
        imported=_unique((*first.imported, *second.imported)),
    )


def checked(server: Credentials) -> Credentials:
    """The same, if it can be sent. Raises BadInput, which says of the secret only what is wrong with it."""
    if address_of(server.url) is None:
        raise BadInput(f"'{server.url}' is no server's address: it begins with http:// or https:// and names a host.")
    for secret in (server.key, *server.headers.values()):
        if not (secret.isascii() and secret.isprintable()) or secret != secret.strip():
            raise BadInput(f"The secret for {server.url} holds characters that HTTP cannot carry: give it anew.")
    if " " in server.key:
        raise BadInput(f"The key for {server.url} has a blank in it: give the key alone.")
    if not all(name.isascii() and name.replace("-", "").replace("_", "").isalnum() for name in server.headers):
        raise BadInput(f"A header's name for {server.url} can have letters, digits and hyphens alone.")
    if not server.key and not server.headers:
        raise BadInput(f"There is no key for {server.url}: nothing came.")
    return server


def _named(environ: Mapping[str, str]) -> tuple[Credentials, ...]:
    found = []
    for name in sorted(environ):
        if not name.startswith(NAMED) or not environ[name].strip():
            continue
        url, _, rest = environ[name].strip().partition(" ")
        header, colon, value = rest.strip().partition(": ")
        if address_of(url) is None or not rest.strip():
            raise BadInput(
                f'{name} does not name a server and its key: set it to "https://HOST/v1 KEY", or "URL NAME: VALUE".'
            )
        server = (
            Credentials(url=url, headers={header: value.strip()}) if colon else Credentials(url=url, key=rest.strip())
        )
        found.append(checked(server))
    return tuple(found)


def _openai(environ: Mapping[str, str]) -> OpenAI:
    headers = {
        name: environ[variable].strip()
        for name, variable in (("OpenAI-Organization", "OPENAI_ORG_ID"), ("OpenAI-Project", "OPENAI_PROJECT_ID"))
        if environ.get(variable, "").strip()
    }
    key, url = environ.get("OPENAI_API_KEY", "").strip(), environ.get("OPENAI_BASE_URL", "").strip()
    return OpenAI(key=key, url=url, headers=headers | custom_headers(environ))


def custom_headers(environ: Mapping[str, str]) -> dict[str, str]:
    """OPENAI_CUSTOM_HEADERS as OpenAI's client reads it: a header a line."""
    pairs = (line.partition(":") for line in environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n"))
    return {name.strip(): value.strip() for name, colon, value in pairs if colon and name.strip()}


def _wants_api_key(url: str, address: Address) -> bool:
    """Azure's older addresses have an api-version in their query, and want the key in a header of their own."""
    host = address.origin.partition("://")[2].partition(":")[0]
    return host.endswith(_AZURE) or "api-version=" in url.partition("?")[2]


def _as_azure_wants_it(found: Access) -> Access:
    if replace(found, key="").has_key:
        return found
    return replace(found, key="", headers={**found.headers, API_KEY: found.key})


def _covered(address: Address, urls: Iterable[str]) -> bool:
    known = (address_of(url) for url in urls)
    return any(each.covers(address) for each in known if each)


def _unique(urls: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(urls))
