"""The log actor as a reader for threads: calls that wait."""

from __future__ import annotations

from typing import Any

import ray

from palimpsest.actors.links import wire
from palimpsest.events.envelope import Envelope
from palimpsest.events.kinds import Kind
from palimpsest.events.types import Parent


class RemoteLog:
    """What `store.library.functions.SourceLog` asks for, of a log actor."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def read(
        self,
        agent: str,
        after: int = 0,
        to: int | None = None,
        limit: int | None = None,
        kinds: frozenset[Kind] | None = None,
    ) -> list[Envelope]:
        return wire.unpack_envelopes(ray.get(self._actor.read.remote(agent, after, to, limit, kinds)))

    def lineage(self, agent: str) -> list[Parent]:
        return wire.unpack_lineage(ray.get(self._actor.lineage.remote(agent)))

    def seq_at(self, agent: str, position: int) -> int:
        return int(ray.get(self._actor.seq_at.remote(agent, position)))

    def position(self) -> int:
        return int(ray.get(self._actor.status.remote())["position"])
