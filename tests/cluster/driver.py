"""A program that runs a crowd of agents until somebody kills it: `python -m tests.cluster.driver FOLDER ACKS`.

Each message id that was acknowledged is one line in the file ACKS, synced before anything else happens; each answer is
one line on standard output. Run again on the same folder it sends every message again, as a client does that was cut
off: those that were answered get their old answer, and the others theirs.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from palimpsest.actors.system import boot
from palimpsest.events.errors import AgentExists
from palimpsest.events.prompts import newborn
from palimpsest.store.folder import DataFolder
from tests.worlds.crowd import SLOW, SMALL, Crowd


async def drive(folder: Path, acks: Path) -> None:
    system = await boot(DataFolder(folder), "driver", SLOW)
    client = system.client()
    with acks.open("a") as file:

        def on_ack(message: str) -> None:
            file.write(message + "\n")
            file.flush()
            os.fsync(file.fileno())

        crowd = Crowd(on_ack=on_ack)
        try:
            await crowd.create(client)
        except AgentExists:
            present = {head.stream for head in await client.agents()}
            for name in crowd.names:
                if name not in present:
                    await client.create(name, newborn(SMALL))
        talking = asyncio.create_task(crowd.talk(client))
        for count in range(1, len(crowd.names) * 8 + 1):
            await crowd.after(count)
            sys.stdout.write(f"replies {len(crowd.replies)}\n")
            sys.stdout.flush()
        await talking
    await system.stop()


if __name__ == "__main__":
    asyncio.run(drive(Path(sys.argv[1]), Path(sys.argv[2])))
