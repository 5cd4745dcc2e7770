"""Promise 10: an agent that does nothing is a row, and many of them are made at once."""

from __future__ import annotations

import asyncio
import time

import psutil

from palimpsest.actors.system import System
from palimpsest.events.prompts import newborn
from palimpsest.events.types import Settings
from tests.worlds.crowd import run

AGENTS = 2000


def test_two_thousand_idle_agents_cost_next_to_nothing(shared: System) -> None:
    async def make() -> tuple[float, float]:
        client = shared.client()
        names = [f"idle-{number:05}" for number in range(AGENTS)]
        pids = (await shared.pids()).values()
        await client.create("idle", newborn(Settings()))  # whatever is made but once
        before = sum(psutil.Process(pid).memory_info().rss for pid in pids)
        started = time.monotonic()
        await asyncio.gather(*(client.create(name, newborn(Settings())) for name in names))
        took_s = time.monotonic() - started
        after = sum(psutil.Process(pid).memory_info().rss for pid in pids)
        assert {head.stream for head in await client.agents()} >= set(names)
        assert (await client.ask(names[-1], "Hello!")).reason == "yielded", "and each of them is there"
        return took_s, (after - before) / AGENTS

    took_s, bytes_each = run(make())
    assert took_s < 10
    assert bytes_each < 20_000, f"{bytes_each:.0f} bytes an idle agent"


def test_no_other_process_goes_before_the_parts(shared: System) -> None:
    """Ray would give them a niceness of 15, and who loads beside them, or merely runs, would slow every turn."""
    pids = run(shared.pids()).values()
    assert {psutil.Process(pid).nice() for pid in pids} == {psutil.Process().nice()}
