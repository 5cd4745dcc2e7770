"""Where the recently written streams stand, as a writer keeps it in memory: what a commit need not look up."""

from __future__ import annotations

import msgspec


class Head(msgspec.Struct, frozen=True, gc=False):
    """What an append must know of a stream."""

    id: int
    seq: int
    hash: bytes


class HeadCache:
    """The recently used streams' heads, at most about `limit`: two generations, of which the older is dropped whole."""

    def __init__(self, limit: int) -> None:
        self._half = max(1, limit // 2)
        self._young: dict[str, Head] = {}
        self._old: dict[str, Head] = {}

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def get(self, agent: str) -> Head | None:
        head = self._young.get(agent)
        if head is None and (head := self._old.get(agent)):
            self.put(agent, head)
        return head

    def put(self, agent: str, head: Head) -> None:
        if len(self._young) >= self._half and agent not in self._young:
            self._old, self._young = self._young, {}
        self._young[agent] = head

    def clear(self) -> None:
        self._young, self._old = {}, {}
