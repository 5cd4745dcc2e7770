"""What the event log costs: commits of one event, commits of a batch over many streams, and reading it all again.

Wall time is the disk's as well; CPU time is what this code and SQLite take, system calls included.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from palimpsest.events.envelope import Draft, answer_key
from palimpsest.events.position import beginning
from palimpsest.store.logs.contract import Append, LogStore
from palimpsest.store.logs.in_memory import InMemoryLog
from palimpsest.store.logs.sqlite_log import SqliteLog

BODY = b"\x82\xa7content\xd9\xc8" + b"x" * 200


def draft(agent: int, n: int) -> Draft:
    """Every second event is a request, and the one after it the answer that closes it."""
    name, key = f"agent-{agent:06d}", f"t{n // 2}.inference.{n // 2}"
    if n % 2 == 0:
        return Draft(name, 1_700_000_000_000 + n, "InferenceRequested", 1, key, BODY, 1, "", "inference")
    answer = answer_key(key)
    return Draft(name, 1_700_000_000_000 + n, "InferenceCompleted", 1, answer, BODY, 1, key, "", key)


def measured(what: str, count: int, unit: str, work: Callable[[], None]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{what:<44} {count / wall:>10,.0f} {unit}/s {cpu / count * 1e6:>8.1f} us CPU each")


def append_singly(log: LogStore, count: int) -> None:
    for n in range(count):
        log.append([Append((draft(0, n),))])


def append_batches(log: LogStore, first_agent: int, streams: int, batch: int, count: int) -> None:
    """Each event is an append of its own, as from as many callers; the streams take turns."""
    for start in range(0, count, batch):
        numbers = range(start, start + batch)
        log.append([Append((draft(first_agent + i % streams, i // streams),)) for i in numbers])


def run(log: LogStore, options: argparse.Namespace) -> None:
    log.open_epoch()
    batch, streams = options.batch, options.streams
    measured("single-event commits", options.singles, "events", lambda: append_singly(log, options.singles))
    count = options.events // batch * batch
    what = f"batches of {batch} over {streams:,} streams"
    measured(what, count, "events", lambda: append_batches(log, 1, streams, batch, count))
    first = 1 + streams
    measured("batches of 100, one stream", 10_000, "events", lambda: append_batches(log, first, 1, 100, 10_000))
    measured("read one stream", 10_000, "envelopes", lambda: consume(len(log.read(f"agent-{first:06d}"))))
    total = log.position(log.partition).number
    measured("tail everything by 1,000", total, "envelopes", lambda: tail_all(log))
    names = [head.stream for head in log.heads()]
    measured("read every stream", total, "envelopes", lambda: consume(sum(len(log.read(name)) for name in names)))


def tail_all(log: LogStore) -> None:
    cursor, end = beginning(log.partition), log.position(log.partition)
    while cursor < end:
        _, cursor = log.tail(cursor, 1000)


def consume(count: int) -> None:
    assert count > 0, "nothing was read"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--singles", type=int, default=1000, help="single-event commits (%(default)s)")
    parser.add_argument("--events", type=int, default=100_000, help="events in batches (%(default)s)")
    parser.add_argument("--batch", type=int, default=100, help="events a batch (%(default)s)")
    parser.add_argument("--streams", type=int, default=200, help="streams that take turns (%(default)s)")
    parser.add_argument("--data", type=Path, default=None, help="folder for the file (default: a temporary one)")
    parser.add_argument("--memory", action="store_true", help="measure the in-process twin instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.data) as folder:
        path = Path(folder) / "log.sqlite"
        log: LogStore = InMemoryLog() if options.memory else SqliteLog(path)
        run(log, options)
        events = log.position(log.partition).number
        log.close()
        if path.exists():
            print(f"{path.stat().st_size / events:,.0f} bytes an event, of which {len(BODY)} are its body")


if __name__ == "__main__":
    main()
