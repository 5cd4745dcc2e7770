"""Addresses of model servers: which is below which, what in one is a secret, and which an agent's settings name.

Rules. (1) An address is scheme, host, port and path; its query is no part of it. What is given to one (a key, leave to
call it) is for it and for what lies below its path, and for nothing else of that host: on a gateway's host each path
may be another server. (2) An address that two readers could take for two hosts is none: it is below nothing. (3) A
secret in an address stays out of the log: credentials before the host, and values of a query that say or look so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

import msgspec

from palimpsest.events.types import OFFLINE, Settings

OPENAI_URL: Final = "https://api.openai.com/v1"
_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[\w.-]+)(:\d{1,5})?")
_OPENAI_HOST: Final = re.compile(r"https://([a-z0-9-]+\.)?api\.openai\.com")
_SECRET_WORDS: Final = frozenset(
    {
        "auth",
        "authorization",
        "bearer",
        "code",
        "cookie",
        "credential",
        "credentials",
        "jwt",
        "pass",
        "pwd",
        "sas",
        "session",
        "sig",
    }
)
_SECRET_ENDS: Final = ("key", "token", "secret", "password", "passwd", "signature")
_SECRET_VALUE: Final = re.compile(r"sk-.{4,}|eyJ[\w-]{8,}.*|(?=.*\d)(?=.*[A-Za-z])[\w+/=~-]{28,}")
_WORDS: Final = re.compile(r"[^a-z0-9]+|(?<=[a-z])(?=[A-Z])")


class Address(msgspec.Struct, frozen=True):
    """Where a server is: `origin` as https://host, with a port where it is not the scheme's own; `path` without a
    slash at its end."""

    origin: str
    path: str

    def __str__(self) -> str:
        return self.origin + self.path

    def covers(self, other: Address) -> bool:
        """Whether the other one is this one, or lies below it."""
        if self.origin != other.origin or _has_dots(other.path):
            return False
        return other.path == self.path or other.path.startswith(self.path + "/")


NOWHERE: Final = Address("", "")


def address_of(url: str) -> Address | None:
    """The address in a URL; None where it is none that could be asked."""
    parts = _split(url)
    if parts is None or parts.scheme not in _PORTS:
        return None
    found = _HOST.fullmatch(parts.netloc.rpartition("@")[2].lower())
    if found is None or "\\" in url or not url.isprintable():
        return None
    host, port = found[1], int(found[2][1:]) if found[2] else _PORTS[parts.scheme]
    if port > 65_535:
        return None
    return Address(f"{parts.scheme}://{host}" + f":{port}" * (port != _PORTS[parts.scheme]), parts.path.rstrip("/"))


def is_openai(address: Address) -> bool:
    """Whether OpenAI itself is there (also in one of its regions), by a connection that nobody reads."""
    return _OPENAI_HOST.fullmatch(address.origin) is not None


def endpoint(url: str, path: str) -> str:
    """The URL of a request: the path joined to the base URL's, before its query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + path, parts.query, ""))


def public_url(url: str) -> str:
    """A base URL without what may be secret in it."""
    parts = _split(url)
    if parts is None:
        return "(no address)"
    query = "" if secrets_in_query(parts.query) else parts.query
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))


def credentials_in(url: str) -> set[str]:
    """What is secret in a base URL."""
    parts = _split(url)
    if parts is None:
        return set()
    given = (parts.username, parts.password, *(value for _, value in secrets_in_query(parts.query)))
    return {secret for secret in given if secret}


def secrets_in_query(query: str) -> list[tuple[str, str]]:
    """The names and values in a query that are secrets, or look like one; what is no pair is taken for one whole."""
    pairs = parse_qsl(query, keep_blank_values=True)
    return [(name, value) for name, value in pairs if looks_secret(name, value)]


def looks_secret(name: str, value: str) -> bool:
    """Whether a parameter, header or field of this name and value is a secret, or looks like one."""
    return _names_a_secret(name) or _SECRET_VALUE.fullmatch(value) is not None


def addresses_in(settings: Settings) -> list[str]:
    """Every server that an agent with these settings may call, as base URLs: all texts that are one, wherever they
    stand, and OpenAI's own for a hosted model that names none."""
    return list(dict.fromkeys(_addresses(msgspec.to_builtins(settings))))


def _addresses(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        yield value
    elif isinstance(value, dict):
        hosted = {value.get("model", OFFLINE), value.get("summarizer", OFFLINE)} - {OFFLINE, ""}
        if hosted and not value.get("base_url"):
            yield OPENAI_URL
        for each in value.values():
            yield from _addresses(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _addresses(each)


def _names_a_secret(name: str) -> bool:
    words = {word.lower() for word in _WORDS.split(name)} | set(_WORDS.split(name.lower()))
    return bool(words & _SECRET_WORDS) or name.lower().endswith(_SECRET_ENDS)


def _has_dots(path: str) -> bool:
    """Whether a path climbs, or could, once somebody decodes it."""
    return any(part in (".", "..") for part in unquote(path).replace("\\", "/").split("/"))


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - a port that is none is found out only where it is asked for
    except ValueError:
        return None
    return parts
