"""A process that appends until it is killed, and prints each batch's name once it was acknowledged.

python -m tests.contract.writer BACKEND FOLDER ROUND
"""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

from palimpsest.events.envelope import Draft
from palimpsest.store.logs.contract import Append
from tests.contract.backends import BACKENDS
from tests.contract.words import event

AGENTS = ("ada", "bob", "carol")


def batch(name: str) -> tuple[Draft, ...]:
    """An event for each agent, and a request that is opened and never answered."""
    return (*(event(name, agent) for agent in AGENTS), event(f"{name}-ask", opens="inference"))


def main(backend: str, folder: str, round_: str) -> None:
    log = BACKENDS[backend](Path(folder)).open()
    log.open_epoch()
    for n in itertools.count():
        names = [f"{round_}.{n}.{part}" for part in "xy"]
        log.append([Append(batch(name)) for name in names])
        os.write(1, "".join(f"{name}\n" for name in names).encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
