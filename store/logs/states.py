"""States out of the log: the newest good snapshot, and the events since.

A snapshot is verified, never trusted: its bytes by their digest, its place by the stream's hash chain, its fold by its
version. One that fails is passed over; `replay --verify` folds from the first event and needs none.
"""

from __future__ import annotations

import msgspec

from palimpsest.events.envelope import Envelope
from palimpsest.events.evolve import fold
from palimpsest.events.replay import freeze, thaw
from palimpsest.events.state import FOLD, State
from palimpsest.store.logs.contract import LogReader, Snapshot


class StateBasis(msgspec.Struct, frozen=True, array_like=True):
    """What it takes to have a state: a snapshot (None: from the first event), and the events after it."""

    snapshot: Snapshot | None
    envelopes: list[Envelope]


def stretch(log: LogReader, agent: str, to: int | None = None) -> StateBasis:
    """The stretch of a stream up to seq `to` (None: its end), from the newest snapshot that is good."""
    newest = log.snapshots(agent, to, limit=1)
    while newest:
        snapshot = newest[0]
        if is_good(snapshot, log.hash_at(agent, snapshot.seq)):
            return StateBasis(snapshot, log.read(agent, after=snapshot.seq, to=to))
        newest = log.snapshots(agent, snapshot.seq - 1, limit=1)
    return StateBasis(None, log.read(agent, to=to))


def is_good(snapshot: Snapshot, chain: bytes | None) -> bool:
    """Whether the snapshot belongs to the stream whose hash at its seq is `chain`, and is what was written."""
    return chain == snapshot.chain and _thawed(snapshot) is not None


def _thawed(snapshot: Snapshot) -> State | None:
    return thaw(snapshot.state, snapshot.digest, snapshot.fold, snapshot.stream, snapshot.seq)


def rebuild(part: StateBasis) -> State | None:
    """The state at the end of a stretch; None where the stream is empty."""
    return fold(part.envelopes, _thawed(part.snapshot) if part.snapshot else None)


def load(log: LogReader, agent: str, to: int | None = None) -> State | None:
    """The state of an agent at seq `to` (None: now)."""
    return rebuild(stretch(log, agent, to))


def snapshot_of(state: State, chain: bytes) -> Snapshot:
    """A snapshot of a state; `chain` is the stream's hash at its seq."""
    data, digest = freeze(state)
    return Snapshot(state.agent, state.seq, chain, FOLD, data, digest)
