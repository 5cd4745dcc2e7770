"""A database's URL as a user gives it: told from a path, and shown without its password."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from palimpsest.events.errors import BadInput

_A_DATABASE: Final = re.compile(r"postgres(?:ql)?://", re.IGNORECASE)
_ANY: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|(?:^|\s)password\s*=", re.IGNORECASE)
_IN_USER: Final = re.compile(r"(?<=://)([^/?@:]*):.*@", re.DOTALL)
_SHOWN: Final = frozenset(
    ("schema", "password_file", "host", "hostaddr", "port", "dbname", "user", "service", "sslmode", "sslrootcert",
     "connect_timeout", "target_session_attrs")
)  # fmt: skip
"""Parameters of a URL that are shown: any other may be a secret."""


def is_url(text: str) -> bool:
    """Whether it is a database's URL, and no path."""
    return _A_DATABASE.match(text.strip()) is not None


def checked(text: str) -> str:
    """A URL as it is used, or a path as it is. Raises BadInput for what is neither, and may hold a password: it is not
    repeated."""
    if is_url(text):
        scheme, _, rest = text.strip().partition("://")
        return f"{scheme.lower()}://{rest}"
    if _ANY.search(text):
        raise BadInput("What is given as the data is no folder, and no URL of a database: that begins postgresql://.")
    return text


def public(url: str) -> str:
    """The URL without a password, and else as it was typed."""
    place, _, query = _IN_USER.sub(r"\1@", url.strip()).partition("?")
    safe = [part for part in query.split("&") if unquote(part.partition("=")[0]) in _SHOWN]
    return f"{place}?{'&'.join(safe)}" if safe else place


def shown(text: str) -> str:
    """What was given as the data, without a password."""
    return public(text) if is_url(text) else "…" if _ANY.search(text) else text
