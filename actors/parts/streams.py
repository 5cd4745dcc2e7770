"""Agents' states for the actors that fold the log; agents whose streams cannot be read are set aside.

Rules. (1) One agent's damaged stream, or one written by a newer version, holds up no other agent. (2) Only what a
stream holds sets its agent aside; a log that cannot answer now is waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from palimpsest.actors.links.log_client import LogClient
from palimpsest.actors.parts.process import until_taken
from palimpsest.events.envelope import Envelope
from palimpsest.events.state import State

AT_ONCE = 200


class Streams:
    """Loads states. `aside` has the agents that were set aside, with the reasons."""

    def __init__(self, client: LogClient, logger: Any) -> None:
        self.aside: dict[str, str] = {}
        self._more = asyncio.Event()
        self._client = client
        self._logger = logger

    async def states(self, wanted: Mapping[str, int | None]) -> list[State]:
        """The states of these agents at these seqs (None: now), without those that are set aside or do not exist."""
        found: list[State] = []
        left = iter([(agent, seq) for agent, seq in wanted.items() if agent not in self.aside])
        while part := dict(islice(left, AT_ONCE)):
            states, unreadable = await until_taken(lambda: self._client.load(part), self._logger, "states")
            found += states.values()
            self.set_aside(unreadable)
        return found

    def sound(self, envelopes: Iterable[Envelope]) -> list[Envelope]:
        return [envelope for envelope in envelopes if envelope.stream not in self.aside]

    def set_aside(self, broken: Mapping[str, Exception]) -> None:
        """These agents wait until this process is started again, on streams that can be read."""
        for agent, error in broken.items():
            if agent not in self.aside:
                self.aside[agent] = str(error)
                self._logger.error("agent set aside", agent=agent, detail=str(error))
                more, self._more = self._more, asyncio.Event()
                more.set()

    async def asides(self, known: int, wait_s: float) -> dict[str, str]:
        """Those that are set aside; waits up to `wait_s` seconds until there are not `known` of them."""
        if len(self.aside) == known:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._more.wait(), wait_s)
        return self.aside
