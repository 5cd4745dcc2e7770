"""The stream of a rerun's fork while it is written: folded at once, committed in stretches.

Rules. (1) It is written at rest: no actor takes up what stands open in it. (2) Nobody else writes to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from palimpsest.events.envelope import Draft, Envelope
from palimpsest.events.state import State
from palimpsest.store.logs.contract import DECIDER, Append, LogStore, Snapshot
from palimpsest.store.logs.states import snapshot_of

SNAPSHOT_EVENTS: Final = 500


class Ledger:
    """A fork that is being written: its state after all that was put, the events that are not committed yet, and the
    append that begins it, which waits for the first commit."""

    def __init__(self, log: LogStore, state: State, begin: Append) -> None:
        """`state`: after the fork's first event, which `begin` appends."""
        self.state = state
        self._log = log
        self._begin: Append | None = begin
        self._drafts: list[Draft] = []
        self._snapshots: tuple[Snapshot, ...] = ()
        self._written = self._snapshot_at = state.seq

    @property
    def waiting(self) -> int:
        """How many events are not written yet."""
        return len(self._drafts)

    @property
    def begun(self) -> bool:
        """Whether anything is written."""
        return self._begin is None

    def put(self, drafts: Sequence[Draft], state: State) -> None:
        """Take the stream's next events, and the state after them."""
        self._drafts += drafts
        self.state = state

    def commit(self) -> None:
        """Make all of it durable: the fork begins in one transaction with what it took up."""
        agent = self.state.agent
        appends = [self._begin] if self._begin is not None else []
        if self._drafts:
            at_rest = Append(tuple(self._drafts), {agent: self._written}, snapshots=self._snapshots, at_rest=True)
            appends.append(at_rest)
        if not appends:
            return
        self._append(appends)
        self._begin, self._drafts, self._snapshots, self._written = None, [], (), self.state.seq
        if self._written - self._snapshot_at >= SNAPSHOT_EVENTS:
            hash = self._log.hash_at(agent, self._written)
            assert hash is not None, "the stream's end was just written"
            self._snapshots, self._snapshot_at = (snapshot_of(self.state, hash),), self._written

    def _append(self, appends: Sequence[Append]) -> None:
        """The memory manager's cursor goes past them: it has nothing to decide here."""
        position = self._log.position(self._log.partition).moved(sum(len(append.drafts) for append in appends))
        last = replace(appends[-1], cursor=(DECIDER, position))
        for each in (one for answers in self._log.append([*appends[:-1], last]) for one in answers):
            assert each.outcome == "appended", f"nobody else writes to a rerun's fork, and yet: {each.outcome}"

    def end(self) -> Envelope:
        """The stream's last event, as it stands in the log."""
        return self._log.read(self.state.agent, self.state.seq - 1, self.state.seq)[0]
