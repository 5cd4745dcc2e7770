"""How a log is opened: the one place that knows which backend keeps it. Today each is an SQLite file, by its path,
which holds one partition; whoever opens it says which."""

from __future__ import annotations

from pathlib import Path

from palimpsest.events.position import FIRST_PARTITION, Partition
from palimpsest.store.logs.contract import LogReader, LogStore
from palimpsest.store.logs.sqlite_file import begin, check, log_id
from palimpsest.store.logs.sqlite_log import SqliteLog
from palimpsest.store.logs.sqlite_reader import SqliteReader

__all__ = ["begin", "check", "log_id", "reader", "store"]


def reader(log: Path, partition: Partition = FIRST_PARTITION) -> LogReader:
    """A log for reading, its writer alive or not. Raises NoLog where there is none, NewerFormat, LogUnreadable."""
    return SqliteReader.open_readonly(log, partition)


def store(
    log: Path, partition: Partition = FIRST_PARTITION, *, log_id: str = "", max_pages: int | None = None
) -> LogStore:
    """A log for writing, which is made where there is none; with an id only that one is opened, and nothing is made.
    `max_pages`: it may grow to so many pages of 4 KiB (None: as the disk allows). Raises as `reader`, and
    LogUnavailable."""
    return SqliteLog(log, partition, log_id=log_id, max_pages=max_pages)
