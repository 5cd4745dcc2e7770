"""A log copied to another place: the same streams, hashes and positions, and the same requests open.

Rules. (1) What is there already must be the source's beginning: so a copy that was cut off goes on, and nothing of
another log is ever mixed in. (2) Each event is proved by its hash before it is taken, and at the end the two logs are
compared. (3) What has effect in the source has it in the copy: whoever copies sees to it that only one of the two is
worked on from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, zip_longest
from typing import Final

import msgspec

from palimpsest.events.envelope import GENESIS, Envelope, chain, draft_of
from palimpsest.events.errors import BadInput, LogDamaged, LogUnreadable
from palimpsest.events.position import Partition, Position, beginning
from palimpsest.events.types import Parent
from palimpsest.events.vocabulary import TOPICS
from palimpsest.store.bundles.manifest import Redacted
from palimpsest.store.logs.contract import DECIDER, Append, LogReader, LogStore, Snapshot, all_heads, resting

EVENTS_AT_ONCE: Final = 200
COPYING: Final = "copying"
"""A consumer whose cursor is not at the beginning while a log is an unfinished copy."""


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy did: of so many `events` of all streams so many were `there` before."""

    streams: int
    events: int
    there: int


def copy(
    source: LogReader,
    target: LogStore,
    progress: Callable[[int], None] = lambda _: None,
    *,
    at_once: int = EVENTS_AT_ONCE,
) -> Copied:
    """Copy the one partition of a log into another log, whose writer this is. Raises BadInput where that holds anything
    else than the source's beginning; LogDamaged where the source's events are not what their hashes say."""
    partition = target.partition
    there = target.position(partition)
    check_beginning(source, target)
    after = there
    while after < (end := source.position(partition)):
        copying = _Copying(source, target)
        while after < end:
            envelopes, after = source.tail(after, at_once)
            copying.take(envelopes)
            progress(len(envelopes))
    cursor = min(source.cursor(DECIDER, partition), after)
    target.append([Append((), cursor=(DECIDER, cursor))])
    streams = _compare(source, target)
    target.append([Append((), cursor=(COPYING, beginning(partition)))])
    return Copied(streams=streams, events=after.number, there=there.number)


def check_whole(log: LogReader, place: str) -> None:
    """Raises LogUnreadable where the log, which is at this place, is a copy that was cut off."""
    for partition in log.partitions:
        if log.cursor(COPYING, partition).number:
            raise LogUnreadable(place, "it is a copy that was cut off: copy it once more, which goes on")


class _Copying:
    def __init__(self, source: LogReader, target: LogStore) -> None:
        self._source = source
        self._target = target
        self._ends: dict[str, bytes] = {}
        self._open = {
            each.position.number for topic in TOPICS for each in source.open_requests(topic, target.partition)
        }

    def take(self, envelopes: list[Envelope]) -> None:
        """Append the next events. Raises LogDamaged where one is not what its hash says (with none of them taken), or
        is not taken."""
        for at in envelopes:
            self._prove(at)
        first = {each.stream: each for each in reversed(envelopes)}
        begun = {stream: at for stream, at in first.items() if self._target.head(stream) is None}
        appends = [*self._appends(envelopes, begun), Append((), cursor=(COPYING, envelopes[-1].position))]
        taken = self._target.commit(appends).envelopes
        for ours, theirs in zip_longest(envelopes, taken):
            if ours != theirs:
                raise LogDamaged(
                    ours.stream, ours.seq, "it has the key of an earlier event, or answers what is not open"
                )

    def _prove(self, at: Envelope) -> None:
        before = self._ends.get(at.stream) or self._source.hash_at(at.stream, at.seq - 1) or GENESIS
        if chain(before, at.seq, at) != at.hash:
            raise LogDamaged(at.stream, at.seq, "its hash is not that of its bytes")
        self._ends[at.stream] = at.hash

    def _appends(self, envelopes: list[Envelope], begun: dict[str, Envelope]) -> Iterator[Append]:
        """The events in their order; a fork's first one in an append of its own, which sees its parent in those
        before."""
        parents = {stream: self._parent(stream) for stream in begun}
        redactions = dict(self._redactions(envelopes))

        def kind(at: Envelope) -> tuple[bool, str]:
            starts_fork = begun.get(at.stream) is at and parents[at.stream] is not None
            return self._rests(at), at.stream if starts_fork else ""

        for (rests, fork), group in groupby(envelopes, kind):
            run = list(group)
            yield Append(
                tuple(map(draft_of, run)),
                snapshots=tuple(self._snapshots(run)),
                forks={fork: parent} if (parent := parents.get(fork)) else {},
                at_rest=rests,
                redactions=tuple(_of(run, redactions)),
            )

    def _rests(self, at: Envelope) -> bool:
        """Whether it is taken without effect: all but what is open in the source for a part that owes an answer."""
        return not (at.opens and at.position.number in self._open)

    def _parent(self, stream: str) -> Parent | None:
        return next(iter(self._source.lineage(stream)), None)

    def _redactions(self, envelopes: list[Envelope]) -> Iterator[tuple[str, Redacted]]:
        """What was masked in these events' streams, where the copy does not say so yet."""
        for stream in {at.stream for at in envelopes}:
            redacted = self._source.redaction(stream)
            if redacted is not None and redacted != self._target.redaction(stream):
                yield stream, redacted

    def _snapshots(self, run: list[Envelope]) -> Iterator[Snapshot]:
        """The snapshots that the source has at these events."""
        last = {at.stream: at.seq for at in run}
        first = {at.stream: at.seq for at in reversed(run)}
        for stream, seq in last.items():
            yield from (
                each
                for each in self._source.snapshots(stream, seq)
                if each.stream == stream and each.seq >= first[stream]
            )


def _of(run: list[Envelope], redactions: dict[str, Redacted]) -> Iterator[Redacted]:
    """What was masked in the streams of this run, once each."""
    for stream in dict.fromkeys(at.stream for at in run):
        if stream in redactions:
            yield redactions.pop(stream)


# --- comparing ----------------------------------------------------------------------------------------------------


def check_beginning(source: LogReader, target: LogReader) -> None:
    """Raises BadInput where the target is not the source's beginning."""
    (partition,) = target.partitions
    if target.position(partition) > source.position(partition):
        raise BadInput("The copy's place has events that its source has not: name an empty place.")
    for head in all_heads(target):
        there = source.read(head.stream, head.seq - 1, head.seq)
        if [(at.hash, at.position) for at in there] != [(head.hash, head.position)]:
            raise BadInput(
                f"The copy's place has another log already (its stream '{head.stream}' is another one): name an empty "
                "place."
            )


def _compare(source: LogReader, target: LogStore) -> int:
    """Hold the copy to its source; how many streams there are. Raises BadInput."""
    streams = 0
    for ours, theirs in zip_longest(all_heads(source), all_heads(target)):
        if ours != theirs or _about(source, ours.stream) != _about(target, ours.stream):
            raise BadInput(_OTHERWISE)
        streams += 1
    if list(_still_open(source, target.partition)) != list(_still_open(target, target.partition)):
        raise BadInput(_OTHERWISE)
    return streams


_OTHERWISE: Final = (
    "The copy is not as its source: one of the two was worked on meanwhile. Copy it once more, which goes on; or into "
    "an empty place."
)


def _about(log: LogReader, stream: str) -> tuple[list[Parent], Redacted | None]:
    return log.lineage(stream), log.redaction(stream)


def _still_open(log: LogReader, partition: Partition) -> Iterable[tuple[str, Position]]:
    for topic in TOPICS:
        yield from ((topic, each.position) for each in log.open_requests(topic, partition))
        yield from ((resting(topic), each.position) for each in log.open_requests(resting(topic), partition))
