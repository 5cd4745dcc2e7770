"""Promise 9, without a clock: what a turn costs in work and in bytes does not grow with the agent's history."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from palimpsest.events import cache, decide
from palimpsest.events.prompts import newborn
from palimpsest.events.types import Settings
from tests.worlds.one_process import Parts, parts, run
from tests.worlds.story import say

EARLY, LATE, TURNS = 40, 240, 60
"""Two stretches of so many turns, each over some evictions."""
SCRIPT = {'"user_message"': (say("How nice. " * 8),)}


class CountingReader:
    """The log actor's reader, with the rows that it read."""

    def __init__(self, reader: Any, counts: Counter[str]) -> None:
        self._reader = reader
        self._counts = counts

    def __getattr__(self, name: str) -> Any:
        read = getattr(self._reader, name)

        def counted(*args: Any, **options: Any) -> Any:
            found = read(*args, **options)
            rows = found[0] if name == "tail" else found
            self._counts[f"rows read by {name}"] += len(rows) if isinstance(rows, list) else 1
            return found

        return counted


def count_folds(counts: Counter[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Count the events that the memory manager and the LLM processor fold."""
    for module in (cache, decide):
        evolve = module.evolve

        def counted(*args: Any, evolve: Any = evolve) -> Any:
            counts["events folded"] += 1
            return evolve(*args)

        monkeypatch.setattr(module, "evolve", counted)


async def cost(here: Parts, counts: Counter[str], agents: tuple[str, ...]) -> Counter[str]:
    """What so many turns of the first agent, and of each other between them, cost."""
    counts.clear()
    before = (await here.client.state("ada")).seq
    asked = len(here.model.requests)
    counts.clear()
    for _ in range(TURNS):
        here.now_ms += 60_000
        for agent in agents:
            reply = await here.says(agent, "I went for a walk and thought of many things. " * 6)
            assert reply.reason == "yielded"
    spent = Counter(counts)
    new = await here.log.read("ada", after=before)
    spent["events appended"] = len(new)
    spent["bytes appended"] = sum(len(envelope.body) for envelope in new)
    spent["requests"] = len(here.model.requests) - asked
    spent["bytes rendered"] = sum(map(len, here.model.requests[asked:]))
    spent["summaries"] = sum(envelope.kind == "SummaryWritten" for envelope in new)
    return spent


async def lived(here: Parts, agents: tuple[str, ...], turns: int) -> None:
    for _ in range(turns):
        for agent in agents:
            await here.says(agent, "Hello. " * 40)


@pytest.mark.parametrize("agents", [("ada",), ("ada", "bob")], ids=["held", "read again for each turn"])
def test_a_late_turn_costs_what_an_early_one_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agents: tuple[str, ...]
) -> None:
    """With two agents and room for one, the memory manager must read each state anew at each turn."""
    counts: Counter[str] = Counter()
    count_folds(counts, monkeypatch)

    async def live() -> tuple[Counter[str], Counter[str]]:
        async with parts(tmp_path, SCRIPT, capacity=1, snapshot_every=40) as here:
            for agent in agents:
                await here.client.create(agent, newborn(Settings(window_tokens=4096, reserve_tokens=400)))
                await here.says(agent, "Hi.")
            here.log_actor._reader = CountingReader(here.log_actor._reader, counts)
            await lived(here, agents, EARLY)
            early = await cost(here, counts, agents)
            await lived(here, agents, LATE - EARLY - TURNS)
            return early, await cost(here, counts, agents)

    early, late = run(live())
    assert early["summaries"] > 3, "the window fills up again and again"
    read = sum(early[what] for what in early if what.startswith("rows read"))
    assert (read > TURNS) == (len(agents) > 1)
    assert early["events folded"] > early["events appended"] > TURNS
    grown = {what: (early[what], late[what]) for what in early | late if late[what] > early[what] * 1.1 + 5}
    assert not grown, f"promise 9: of {TURNS} turns, early and late: {grown}"
