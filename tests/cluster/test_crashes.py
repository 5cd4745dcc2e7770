"""Promises 1, 2, 3 and 8 on real processes: whoever is killed, whenever, the agents' lives are those of a calm run."""

from __future__ import annotations

import asyncio
import random

import pytest

from palimpsest.actors.links.protocol import PARTS
from palimpsest.store.folder import DataFolder
from tests.worlds.crowd import (
    SLOW,
    Crowd,
    all_contexts,
    check_answered_once,
    check_promises,
    kill,
    run,
    running,
)

KILLS = 2
"""How often each part is killed in one run."""


@pytest.mark.parametrize("seed", [1])
def test_any_part_is_killed_again_and_again(
    seed: int, folder: DataFolder, calm: tuple[Crowd, dict[str, list[str]]]
) -> None:
    async def live() -> Crowd:
        crowd = Crowd()
        dice = random.Random(seed)
        victims = [part for part in PARTS for _ in range(KILLS)]
        dice.shuffle(victims)
        async with running(folder, SLOW) as system:
            client = system.client()
            await crowd.create(client)
            talking = asyncio.create_task(crowd.talk(client))
            total = len(crowd.names) * 8
            for number, victim in enumerate(victims):
                await crowd.after(dice.randrange(number * total // len(victims), (number + 1) * total // len(victims)))
                await kill(system, victim)
            await talking
        return crowd

    crowd = run(live(), limit_s=120)
    check_promises(folder)
    check_answered_once(folder, {(name, f"{name}/{turn}") for name, turn in crowd.replies})
    quiet, contexts = calm
    assert crowd.texts() == quiet.texts(), "promise 8: another answer than in a run without crashes"
    assert all_contexts(folder, crowd.names) == contexts, "promise 8: another context than in a run without crashes"
