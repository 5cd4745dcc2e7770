"""What the event log costs in PostgreSQL, against SQLite, in one run: commits of batches, paired by turns.

    python -m bench.log_postgres --rounds 3

Both are fully durable, and on the same disk unless `--url` names a server elsewhere; without it a server of the tests
is started for the run. CPU is this process's, system calls included, and of a server that was started here its own.
"""

from __future__ import annotations

import argparse
import contextlib
import secrets
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil

from bench.figures import add_json_option, show
from bench.log import draft
from palimpsest.store.logs.contract import Append, LogStore
from palimpsest.store.logs.postgres_log import PostgresLog
from palimpsest.store.logs.sqlite_log import SqliteLog
from tests.worlds.postgres_server import PostgresServer, execute, of_the_wheel

BATCHES = (1, 10, 100, 500)
STREAMS = 200
RUN_S = 1.0


class Run(msgspec.Struct, frozen=True):
    events_a_second: float
    client_us: float
    server_us: float


class Runner:
    """One log, which goes on where its last batch ended."""

    def __init__(self, log: LogStore, server_pid: int = 0) -> None:
        self._log = log
        self._server = psutil.Process(server_pid) if server_pid else None
        self._next = 0
        log.open_epoch()

    def run(self, batch: int, seconds: float) -> Run:
        """Each event is an append of its own, as from as many callers; the streams take turns."""
        done, wall, cpu, theirs = 0, time.perf_counter(), time.process_time(), self._servers_cpu()
        while time.perf_counter() - wall < seconds:
            numbers = range(self._next, self._next + batch)
            self._log.append([Append((draft(n % STREAMS, n // STREAMS),)) for n in numbers])
            self._next += batch
            done += batch
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return Run(done / wall, cpu / done * 1e6, (self._servers_cpu() - theirs) / done * 1e6)

    def _servers_cpu(self) -> float:
        if self._server is None:
            return 0
        times = [each.cpu_times() for each in (self._server, *self._server.children())]
        return sum(each.user + each.system for each in times)


@contextlib.contextmanager
def somewhere(url: str) -> Iterator[tuple[str, int]]:
    """The URL of a log that is not there yet, and the server's process where it is ours."""
    schema = f"bench_{secrets.token_hex(4)}"
    if url:
        yield f"{url}{'&' if '?' in url else '?'}schema={schema}", 0
        execute(url, f"DROP SCHEMA {schema} CASCADE")
        return
    server = PostgresServer(of_the_wheel(), on_disk=True)
    try:
        server.start()
        yield f"{server.url()}?schema={schema}", server.pid
    finally:
        server.remove()


@contextlib.contextmanager
def both(url: str) -> Iterator[tuple[LogStore, LogStore]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.sqlite"
        with SqliteLog(path) as file, PostgresLog(url) as database:
            yield file, database


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="", help="a database (default: a server is started, and ended)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (%(default)s)")
    parser.add_argument("--seconds", type=float, default=RUN_S, help="of each turn (%(default)s)")
    add_json_option(parser)
    options = parser.parse_args()
    figures: dict[str, float] = {}
    with somewhere(options.url) as (url, pid), both(url) as (file, database):
        runners = {"SQLite": Runner(file), "PostgreSQL": Runner(database, pid)}
        for runner in runners.values():
            runner.run(100, options.seconds)  # statements are prepared, and plans made
        for batch in BATCHES:
            figures |= compared(runners, batch, options.rounds, options.seconds)
    show(figures, as_json=options.json)


def compared(runners: dict[str, Runner], batch: int, rounds: int, seconds: float) -> dict[str, float]:
    runs: dict[str, list[Run]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, runner in runners.items():
            runs[name].append(runner.run(batch, seconds))
    found: dict[str, float] = {}
    for name, each in runs.items():
        found[f"batches of {batch}, {name}: events/s"] = round(statistics.median(run.events_a_second for run in each))
        found[f"batches of {batch}, {name}: us of client CPU each"] = round(
            statistics.median(run.client_us for run in each), 1
        )
    found[f"batches of {batch}, PostgreSQL: us of server CPU each"] = round(
        statistics.median(run.server_us for run in runs["PostgreSQL"]), 1
    )
    pairs = zip(*runs.values(), strict=True)
    found[f"batches of {batch}: PostgreSQL/SQLite"] = round(
        statistics.median(theirs.events_a_second / ours.events_a_second for ours, theirs in pairs), 2
    )
    return found


if __name__ == "__main__":
    main()
