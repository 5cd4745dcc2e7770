"""Agents folded again from their first event, and proved.

Proved are the hash chain, every request's fingerprint (asked and sent), the stream's end, and each snapshot. A snapshot
that differs is no difference of the log: it is a cache, which readers pass over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import msgspec

from palimpsest.events.codec import decode
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import LogDamaged, NewerFormat
from palimpsest.events.replay import Proved, Replayer, freeze
from palimpsest.events.state import FOLD
from palimpsest.questions.streams import stretches, unprovable
from palimpsest.store.logs.contract import LogReader, StreamHead


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What the replay of one agent found. `seq`, `kind` and `difference` name the first difference; `unreadable` says
    why a stream could not be read on (a newer version wrote it); `thrown_away` are the seqs of bad snapshots."""

    agent: str
    events: int
    contexts: int
    snapshots: int = 0
    thrown_away: tuple[int, ...] = ()
    redacted: int = 0
    """So many contexts hold masked text (in a bundle that was redacted): they cannot be proved, and are no damage."""
    seq: int = 0
    kind: str = ""
    difference: str = ""
    unreadable: str = ""


def replay_agent(
    log: LogReader,
    head: StreamHead,
    *,
    verify: bool,
    since: Proved | None = None,
    forks: dict[int, Proved | None] | None = None,
) -> Replayed:
    """Fold one agent's stream up to its head, in chunks; stop at the first difference.

    A fork's begins where its parent's replay stood (`since`; None: at the parent's first event). `forks` has the seqs
    at which others go on from this one, and gets where the replay stood there.
    """
    replayer = Replayer(head.stream, verify=verify, since=since)
    first = replayer.seq + 1
    checks = _Snapshots(log, head.stream, first) if verify else None
    excused, redacted = unprovable(log, head.stream), 0
    for envelope in stretches(log, head.stream, first, head.seq):
        difference = replayer.feed(envelope)
        if difference and difference.context and envelope.seq in excused:
            redacted += 1
        elif difference:
            found = _stopped(replayer, checks, envelope, difference.what)
            return msgspec.structs.replace(found, redacted=redacted)
        if checks:
            checks.look(replayer)
        if forks and envelope.seq in forks:
            forks[envelope.seq] = replayer.here()
    return msgspec.structs.replace(_ended(log, head, replayer, checks), redacted=redacted)


def replay_all(log: LogReader, heads: Iterable[StreamHead], *, verify: bool) -> Iterator[Replayed]:
    """Every stream, a fork behind its parent: so that what they share is folded once."""
    roots: list[StreamHead] = []
    forks: dict[str, list[tuple[int, StreamHead]]] = {}
    for head in heads:
        lineage = log.lineage(head.stream)
        if lineage:
            forks.setdefault(lineage[0].agent, []).append((lineage[0].seq, head))
        else:
            roots.append(head)
    due: list[tuple[StreamHead, Proved | None]] = [(root, None) for root in reversed(roots)]
    while due:
        head, since = due.pop()
        mine = forks.get(head.stream, [])
        stood: dict[int, Proved | None] = dict.fromkeys(seq for seq, _ in mine)
        yield replay_agent(log, head, verify=verify, since=since, forks=stood)
        due += [(fork, stood[seq]) for seq, fork in reversed(mine)]


def _stopped(replayer: Replayer, checks: _Snapshots | None, at: Envelope, what: str) -> Replayed:
    found = _found(replayer, checks)
    try:
        decode(at)
    except NewerFormat as error:
        if str(error) == what:
            return msgspec.structs.replace(found, seq=at.seq, kind=at.kind, unreadable=what)
    except LogDamaged:
        pass  # the difference says so
    return msgspec.structs.replace(found, seq=at.seq, kind=at.kind, difference=what.removeprefix(f"{at.kind}: "))


def _ended(log: LogReader, head: StreamHead, replayer: Replayer, checks: _Snapshots | None) -> Replayed:
    """The end of the stream: it must be where the log says, also where nothing else is verified."""
    found = _found(replayer, checks)
    what = ""
    last = replayer.seq
    if last < head.seq:
        what = f"the log lacks events {last + 1} to {head.seq}: the end of the stream is cut off"
    elif checks and replayer.hash != head.hash:
        what = "the stream's stored end has another hash than its last event: one of them was altered"
    elif checks and _beyond(log, head):
        what = f"there are events after the stream's stored end, {head.seq}"
    return msgspec.structs.replace(found, seq=last, kind="the stream's end", difference=what) if what else found


def _beyond(log: LogReader, head: StreamHead) -> bool:
    """Whether events stand after the end; a writer at work may have moved both since the end was read."""
    extra = log.read(head.stream, after=head.seq, limit=1)
    now = log.head(head.stream)
    return bool(extra) and (now is None or now.seq < extra[0].seq)


def _found(replayer: Replayer, checks: _Snapshots | None) -> Replayed:
    return Replayed(
        agent=replayer.agent,
        events=replayer.events,
        contexts=replayer.contexts,
        snapshots=checks.good if checks else 0,
        thrown_away=tuple(checks.bad) if checks else (),
    )


class _Snapshots:
    """The stored snapshots of a stream, held against the fold as it passes their seqs."""

    def __init__(self, log: LogReader, agent: str, first: int) -> None:
        self.good = 0
        self.bad: list[int] = []
        # The digest stands for the bytes where they are those that were written: so no state is kept here.
        self._due = {
            snapshot.seq: (snapshot.chain, snapshot.digest if _is_whole(snapshot.state, snapshot.digest) else b"")
            for snapshot in log.snapshots(agent)
            if snapshot.fold == FOLD and snapshot.seq >= first
        }

    def look(self, replayer: Replayer) -> None:
        if replayer.state is None or replayer.state.seq not in self._due:
            return
        seq = replayer.state.seq
        if self._due.pop(seq) == (replayer.hash, freeze(replayer.state)[1]):
            self.good += 1
        else:
            self.bad.append(seq)


def _is_whole(state: bytes, digest: bytes) -> bool:
    return hashlib.sha256(state).digest() == digest
