"""What a bench reads off the machine: CPU, memory, bytes and latencies, over all processes of a system."""

from __future__ import annotations

import asyncio
import os
import platform
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import psutil

REST_S: Final = 2.0
REST_BYTES: Final = 1_000_000
MOST_READINGS: Final = 10


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """CPU seconds used so far by each process of the tree, resident bytes, and bytes of the log."""

    cpu_s: dict[int, float]
    rss_bytes: dict[int, int]
    log_bytes: int


def read(log: Path, *, without: Sequence[int] = ()) -> Reading:
    """Read this process and all its children, but for the processes `without` and their children."""
    me = psutil.Process()
    left_out = set(without)
    cpu_s: dict[int, float] = {}
    rss_bytes: dict[int, int] = {}
    for process in [me, *me.children(recursive=True)]:
        try:
            if process.pid in left_out or left_out & {parent.pid for parent in process.parents()}:
                continue
            times = process.cpu_times()
            cpu_s[process.pid] = times.user + times.system
            rss_bytes[process.pid] = process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return Reading(cpu_s=cpu_s, rss_bytes=rss_bytes, log_bytes=log_bytes(log))


async def at_rest(log: Path, *, without: Sequence[int] = ()) -> Reading:
    """A reading once memory moves no more, or will not come to rest: Ray's own processes come up for some seconds."""
    reading = read(log, without=without)
    for _ in range(MOST_READINGS):
        await asyncio.sleep(REST_S)
        last, reading = reading, read(log, without=without)
        if abs(sum(reading.rss_bytes.values()) - sum(last.rss_bytes.values())) < REST_BYTES:
            break
    return reading


def log_bytes(log: Path) -> int:
    """The size of the log's file as SQLite sees it, its write-ahead log applied."""
    with sqlite3.connect(f"file:{log}?mode=ro", uri=True) as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        return int(pages) * int(connection.execute("PRAGMA page_size").fetchone()[0])


def cpu_between_s(before: Reading, after: Reading) -> float:
    """CPU seconds that the tree used between two readings; a process that came meanwhile counts whole."""
    return sum(used - before.cpu_s.get(pid, 0.0) for pid, used in after.cpu_s.items())


def by_part(before: Reading, after: Reading, names: Mapping[int, str], turns: int) -> dict[str, float]:
    """CPU milliseconds a turn of each named process; all the others (Ray's own) together as "ray"."""
    used_ms: dict[str, float] = {}
    for pid, used_s in after.cpu_s.items():
        name = names.get(pid, "ray")
        used_ms[name] = used_ms.get(name, 0.0) + (used_s - before.cpu_s.get(pid, 0.0)) * 1000 / turns
    return {name: round(ms, 3) for name, ms in used_ms.items()}


def grown_bytes(before: Reading, after: Reading, names: Mapping[int, str]) -> dict[str, int]:
    """By how much each named process's resident memory grew; all the others together as "ray"."""
    grown: dict[str, int] = {}
    for pid, size in after.rss_bytes.items():
        name = names.get(pid, "ray")
        grown[name] = grown.get(name, 0) + size - before.rss_bytes.get(pid, 0)
    return grown


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """The value below which `share` of the sorted values lie."""
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]


def machine() -> str:
    """The machine in a few words."""
    memory_gib = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} cores, {memory_gib:.0f} GiB, {platform.system()} {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}"
    )
