"""A database's URL as a user gives it: told from a path, and shown without its password."""

from __future__ import annotations

import re
from typing import Final

SCHEMES: Final = ("postgresql://", "postgres://")
_IN_USER: Final = re.compile(r"(?<=://)([^/?@:]*):[^/?]*@")
_IN_QUERY: Final = re.compile(r"(?<=[?&])(?:password|sslpassword|passfile)=[^&]*&?")


def is_url(text: str) -> bool:
    """Whether it is a database's URL, and no path."""
    return text.startswith(SCHEMES)


def public(url: str) -> str:
    """The URL without a password, and else as it was typed."""
    return _IN_QUERY.sub("", _IN_USER.sub(r"\1@", url)).rstrip("?&")
