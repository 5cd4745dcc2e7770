"""Promises 1, 2, 3 and 8 when all processes of a system are killed at once, over and over, and its client retries."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from palimpsest.events.position import FIRST_PARTITION
from palimpsest.store.folder import DataFolder
from tests.worlds.crowd import (
    HOME,
    SLOW,
    Crowd,
    all_contexts,
    check_answered_once,
    check_promises,
    log_of,
    run,
    running,
)

ROUNDS = 2


def kill_tree(root: psutil.Process) -> None:
    """All of it, as a power cut does; and wait until it is gone."""
    victims = [root, *root.children(recursive=True)]
    for victim in victims:
        victim.kill()
    psutil.wait_procs(victims, timeout=20)


def kill_root(root: psutil.Process) -> None:
    """Only the driver: Ray ends the others in its own time, while the next system starts already."""
    root.kill()
    root.wait(20)


def drive_until(folder: DataFolder, acks: Path, replies: int, kill: Callable[[psutil.Process], None]) -> None:
    """Run the driver until it has printed so many replies, then kill it."""
    command = [sys.executable, "-m", "tests.cluster.driver", str(folder), str(acks)]
    with subprocess.Popen(command, cwd=HOME, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None, "it was piped"
        for line in driver.stdout:
            if line.startswith("replies") and int(line.split()[1]) >= replies:
                break
        else:
            pytest.fail("the driver ended by itself")
        kill(psutil.Process(driver.pid))


def test_every_message_is_answered_once_whatever_died(
    folder: DataFolder,
    tmp_path: Path,
    calm: tuple[Crowd, dict[str, list[str]]],
    record_property: Callable[[str, object], None],
) -> None:
    acks = tmp_path / "acks"
    dice = random.Random(7)
    for number in range(ROUNDS):
        replies = 40 * number + dice.randrange(20, 40)
        drive_until(folder, acks, replies, kill_root if number == ROUNDS - 1 else kill_tree)
    acknowledged = {(message.partition("/")[0], message) for message in acks.read_text().split()}
    owed = unanswered(folder)

    async def again() -> tuple[Crowd, float, float]:
        crowd = Crowd()
        started = time.monotonic()
        async with running(folder, SLOW) as system:
            booted_s = time.monotonic() - started
            client = system.client()
            tickets = await asyncio.gather(*(client.send(agent, "?", message_id=message) for agent, message in owed))
            assert all(ticket.again for ticket in tickets), "promise 1: what was in flight is in the log"
            await asyncio.gather(*(client.wait(ticket) for ticket in tickets))
            recovered_s = time.monotonic() - started
            await crowd.talk(client)
        return crowd, booted_s, recovered_s

    crowd, booted_s, recovered_s = run(again())
    record_property("owed", len(owed))
    record_property("booted_s", round(booted_s, 2))
    record_property("recovered_s", round(recovered_s, 2))
    check_promises(folder)
    check_answered_once(folder, acknowledged | {(name, f"{name}/{turn}") for name, turn in crowd.replies})
    quiet, contexts = calm
    assert crowd.texts() == quiet.texts(), "promise 8: another answer than in a run without crashes"
    assert all_contexts(folder, crowd.names) == contexts, "promise 8: another context than in a run without crashes"


def unanswered(folder: DataFolder) -> list[tuple[str, str]]:
    """The (agent, message id) of every turn that the log owes."""
    with log_of(folder) as log:
        return [
            (envelope.stream, envelope.key.removeprefix("in:"))
            for envelope in log.open_requests("turn", FIRST_PARTITION)
        ]
