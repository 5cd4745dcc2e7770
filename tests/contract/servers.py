"""Servers of PostgreSQL that a test may stop, cut off and set, and places in them that nobody else has."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Iterator

import pytest

from palimpsest.events.position import FIRST_PARTITION, Position
from palimpsest.store.logs.contract import LogReader
from tests.worlds.cut_line import CutLine
from tests.worlds.postgres_server import DEBIAN_15, PostgresServer, of_the_wheel, server

PATIENCE_S = 30


@pytest.fixture(params=["18", "15"])
def own(request: pytest.FixtureRequest) -> PostgresServer:
    """A server of ours: the newest, and the oldest that is supported."""
    if request.param == "18":
        return server(of_the_wheel())
    if not DEBIAN_15.is_dir() and not os.environ.get("CI"):
        pytest.skip(f"PostgreSQL 15 is not installed here ({DEBIAN_15})")
    return server(DEBIAN_15)


class Place:
    """A schema of its own on a server, and the line to it that can be cut."""

    def __init__(self, own: PostgresServer, schema: str, line: CutLine) -> None:
        self.server = own
        self.schema = schema
        self.line = line
        self.url = f"{own.url()}?schema={schema}"
        self.url_by_line = f"{own.url(port=line.port)}?schema={schema}"

    def ask(self, query: str) -> list[tuple[object, ...]]:
        """As the superuser; `log.` stands for the schema."""
        return self.server.execute(query.replace("log.", f"{self.schema}."))

    def backends(self, condition: str = "true") -> list[object]:
        """The server processes of sessions by which logs are read and written."""
        query = f"SELECT pid FROM pg_stat_activity WHERE application_name = 'palimpsest' AND {condition} ORDER BY 1"
        return [pid for (pid,) in self.ask(query)]

    def keys(self) -> list[str]:
        rows = self.ask("SELECT key FROM log.events ORDER BY position")
        return [key.decode() for (key,) in rows if isinstance(key, bytes)]


@pytest.fixture
def place(own: PostgresServer) -> Iterator[Place]:
    schema = f"t{secrets.token_hex(8)}"
    line = CutLine(own.port)
    yield Place(own, schema, line)
    line.close()
    if not own.is_running:
        own.start()
    own.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def at(number: int) -> Position:
    """A place in the partition that a log has when it is made."""
    return Position(FIRST_PARTITION, number)


def end(log: LogReader) -> int:
    return log.position(FIRST_PARTITION).number


def until(so: Callable[[], object]) -> None:
    """Wait for it."""
    pause = threading.Event()
    for _ in range(PATIENCE_S * 100):
        if so():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come about")
