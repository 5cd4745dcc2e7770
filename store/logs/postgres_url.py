"""Where a log in PostgreSQL is: a URL, the schema in its database, and a password that is told to nobody.

Rules: (1) the password is in no message, name and repr; what a database is called is `Database.name`. (2) It is read
anew for each connection (from a file, PGPASSWORD or PGPASSFILE), so that it may be changed without a stop. (3) Two
parameters of the URL are ours, `schema` and `password_file`; the rest are libpq's, those of TLS too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict

from palimpsest.events.errors import BadInput, LogUnavailable

SCHEMES: Final = ("postgresql://", "postgres://")
SCHEMA: Final = "palimpsest"
"""The schema that a log lies in where the URL names none."""

_A_SCHEMA: Final = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
_PATIENCE: Final[Mapping[str, str]] = {
    "application_name": "palimpsest",
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""What libpq is told where the URL says nothing: a server that is away is found out within seconds."""

_UNREADABLE: Final = (
    "The database's URL cannot be read: it goes postgresql://USER@HOST:PORT/DATABASE, with libpq's parameters behind a "
    "?. In a user or a password, write @ : / ? # % as %40 %3A %2F %3F %23 %25; or leave the password out, and give it "
    "by PGPASSWORD, PGPASSFILE or ?password_file=FILE."
)


class Database(msgspec.Struct, frozen=True):
    """A database, and the schema in it. `parameters` are libpq's; they may hold the password, so this is not to be
    shown: `name` is."""

    parameters: Mapping[str, str]
    schema: str = SCHEMA
    schema_named: bool = False
    """Whether the schema was asked for: then the database may hold other things beside it."""
    password_file: str = ""

    def __repr__(self) -> str:
        return f"Database({self.name})"

    @property
    def name(self) -> str:
        """The URL without password and without parameters that are not part of the place."""
        named = self.parameters
        hosts = named.get("host", "localhost").split(",")
        ports = named.get("port", "").split(",")
        ports += ports[-1:] * (len(hosts) - len(ports))
        places = (f"{host}:{port}" if port else host for host, port in zip(hosts, ports, strict=False))
        user = f"{named['user']}@" if "user" in named else ""
        other = f"?schema={self.schema}" if self.schema != SCHEMA else ""
        return f"postgresql://{user}{','.join(places)}/{named.get('dbname', '')}{other}"

    def connection_parameters(self) -> dict[str, str]:
        """What libpq is told, the password as it is now. Raises LogUnavailable where its file cannot be read."""
        found = {**_PATIENCE, **self.parameters}
        if self.password_file:
            found["password"] = _read(Path(self.password_file), self.name)
        return found

    def masked(self, text: str) -> str:
        """A text of libpq's in one line; nothing of it where the password is in it."""
        line = "; ".join(part.strip() for part in text.splitlines() if part.strip())
        secrets = [self.parameters.get("password", ""), *self._of_the_file()]
        return "(its words are left out: they hold the password)" if any(s and s in line for s in secrets) else line

    def _of_the_file(self) -> list[str]:
        path = Path(self.password_file)
        return [_read(path, self.name)] if self.password_file and path.is_file() else []


def database(url: str, schema: str = "") -> Database:
    """The database that a URL names. Raises BadInput where it cannot be read; no part of it is repeated then."""
    start, _, query = url.partition("?")
    ours, theirs = _sorted_out(query)
    whole = _is_whole(start) and "@" not in query
    parameters = _parsed(f"{start}?{theirs}" if theirs else start) if whole else None
    if parameters is None or not all(port.isdigit() or not port for port in parameters.get("port", "").split(",")):
        raise BadInput(_UNREADABLE)
    schema = schema or ours.get("schema", "")
    if schema and not _A_SCHEMA.fullmatch(schema):
        raise BadInput(
            f"'{schema}' is no name for a log's schema: small letters, digits and _, at most 63 of them, no digit and "
            "no pg_ first."
        )
    return Database(parameters, schema or SCHEMA, bool(schema), ours.get("password_file", ""))


@lru_cache(maxsize=1000)
def in_schema(sql: str, schema: str) -> bytes:
    """A statement as it is written here, where tables are `palimpsest.NAME`, for the schema that they lie in."""
    named = re.sub(rf"\b{SCHEMA}\.|(?<=SCHEMA ){SCHEMA}\b", lambda found: found[0].replace(SCHEMA, f'"{schema}"'), sql)
    return named.encode()


def _sorted_out(query: str) -> tuple[dict[str, str], str]:
    """Our parameters, and libpq's as they stand."""
    ours: dict[str, str] = {}
    theirs = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name in ("schema", "password_file"):
            ours[name] = unquote(value)
        elif part:
            theirs.append(part)
    return ours, "&".join(theirs)


def _is_whole(start: str) -> bool:
    """Whether no part of a password can be taken for a host, a port or a database: libpq would name it in errors."""
    place = next((start.removeprefix(scheme) for scheme in SCHEMES if start.startswith(scheme)), None)
    return place is not None and place.count("@") <= 1 and "@" not in place.partition("/")[2]


def _parsed(url: str) -> dict[str, str] | None:
    try:
        return {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except (psycopg.Error, UnicodeError):  # its text may hold the password, and goes no further
        return None


def _read(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise LogUnavailable(f"The password of {name} cannot be read from {path}: {why}. Check that file.") from None
