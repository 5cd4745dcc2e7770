"""The event log's contract: what every backend keeps, whatever bytes it rests on.

One writer a partition. `append` is one durable transaction over many appends; within one append, the drafts of one
stream are taken all or none (and where it is so asked, those of all its streams). A draft whose key the stream already
has is answered as already there, before any expectation is looked at: so everything that writes may write again.
`store.logs.admission` has the rules in full, as code.

LogUnavailable means that nothing was written. A backend that cannot know yet, as the line to it broke in the middle of
a commit, finds out before it answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, NewType, Protocol, Self

import msgspec

from palimpsest.events.envelope import Draft, Envelope
from palimpsest.events.errors import UnknownAgent
from palimpsest.events.kinds import Kind
from palimpsest.events.position import Partition, Position
from palimpsest.events.sources import is_source
from palimpsest.events.types import Parent
from palimpsest.events.vocabulary import DraftOutcome, Opens, Topic
from palimpsest.store.bundles.manifest import Redacted

MUST_EXIST: Final = -1
"""As an expected seq: the stream must exist, whatever its seq."""

DECIDER: Final = "memory"
"""The memory manager as a consumer: its cursor says up to where it has decided."""


Resting = NewType("Resting", str)
"""The topic of a request that rests: no part finds it among those that it owes."""
RESTING: Final = ":resting"


def resting(topic: Opens) -> Resting:
    return Resting(topic + RESTING)


class Append(msgspec.Struct, frozen=True, array_like=True):
    """What one caller appends at once.

    `expected` maps an agent to the seq that its stream must have before this append (0: it must not exist yet;
    MUST_EXIST: any seq from 1). Without an entry anything goes; an entry for an agent without drafts here is not looked
    at. `cursor` is (consumer, position in the partition that is written), committed in the same transaction whatever
    became of the drafts.
    `snapshots` are saved in the same transaction, each only if drafts of its stream were appended: not with a refusal,
    and not with a retry whose drafts are all there. One at the same seq is replaced; those `superseded` are dropped.
    `redactions` say of their streams what was masked in them elsewhere, and are kept with them; the same condition.
    `forks` maps streams that are to be begun here to what they go on from: the first draft of such a one has the seq
    after the parent's, and is chained to it.
    `at_rest`: what the drafts open and close has no effect here, as it had its effect elsewhere (an import, a rerun).
    `together`: the drafts of all streams are taken all or none, for what must never be half done.
    """

    drafts: tuple[Draft, ...]
    expected: Mapping[str, int] = {}
    cursor: tuple[str, Position] | None = None
    snapshots: tuple[Snapshot, ...] = ()
    forks: Mapping[str, Parent] = {}
    at_rest: bool = False
    redactions: tuple[Redacted, ...] = ()
    together: bool = False


class Appended(msgspec.Struct, frozen=True, array_like=True):
    """What became of one draft: where its event is, or else (position None) the seq of its stream.

    `again_ms`: what was refused is to come again in so many milliseconds (0: not again, the agent is retired)."""

    outcome: DraftOutcome
    seq: int
    position: Position | None = None
    again_ms: int = 0


THERE: Final[frozenset[DraftOutcome]] = frozenset({"appended", "duplicate"})
"""The draft's event is in the log, from now on or from before."""


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """A state at a seq, as a cache. It is good only while `chain` is the stream's hash at `seq`, `digest` the SHA-256
    of `state`, and `fold` the version of the fold that made it."""

    stream: str
    seq: int
    chain: bytes
    fold: str
    state: bytes
    digest: bytes


SNAPSHOTS_KEPT: Final = 8
SNAPSHOT_EVENTS: Final = 5_000


def superseded(seqs: Iterable[int]) -> list[int]:
    """Which of a stream's snapshots may go, once others are saved: all but the newest few, and one for every 5,000
    events, from which any state is folded in a few hundredths of a second."""
    older = sorted(seqs)[:-SNAPSHOTS_KEPT]
    return [seq for before, seq in pairwise(older) if before // SNAPSHOT_EVENTS == seq // SNAPSHOT_EVENTS]


class StreamHead(msgspec.Struct, frozen=True, array_like=True):
    """Where a stream stands: its last event's seq, hash, position and time, and its first event's time.

    It is kept beside the events, so that a stream whose last events are missing is found out too."""

    stream: str
    seq: int
    hash: bytes
    position: Position
    created_ms: int
    updated_ms: int

    @property
    def partition(self) -> Partition:
        """The one that has all of the stream."""
        return self.position.partition


def agents_of(heads: Iterable[StreamHead]) -> list[StreamHead]:
    """Those of these streams that are agents', and not sources'."""
    return [head for head in heads if not is_source(head.stream)]


def unknown_agent(agent: str, heads: Iterable[StreamHead]) -> UnknownAgent:
    """The error for an agent that is not among these streams."""
    return UnknownAgent(agent, tuple(head.stream for head in agents_of(heads)))


class Committed(msgspec.Struct, frozen=True):
    """A durable transaction: what became of each append's drafts, and the new events in their places, by position."""

    answers: list[list[Appended]]
    envelopes: list[Envelope]


class StreamPart(msgspec.Struct, frozen=True, array_like=True):
    """What one stream gives to a stream that is read as one: its own events with after < seq <= to."""

    stream: str
    after: int
    to: int


LAST_SEQ: Final = 2**63 - 1


def parts(agent: str, lineage: Sequence[Parent]) -> list[StreamPart]:
    """What a stream is read from, its beginning first; `lineage` as `LogReader.lineage` has it."""
    found: list[StreamPart] = []
    to = LAST_SEQ
    for parent in lineage:
        found.insert(0, StreamPart(agent, parent.seq, to))
        agent, to = parent.agent, parent.seq
    return [StreamPart(agent, 0, to), *found]


class LogReader(Protocol):
    """Reading; any number of readers, also while a writer is at work.

    Streams are found whatever partition has them, and a stream's head says which. What has a position is a partition's:
    what is asked of another partition than the position's raises OtherPartition.

    A fork's stream is read as one: its events up to the fork are its parent's, under the parent's name, and so are
    their hashes and snapshots. Keys and open requests are a stream's own alone.
    """

    @property
    def partitions(self) -> Sequence[Partition]:
        """Those that the log has."""
        ...

    def read(
        self,
        agent: str,
        after: int = 0,
        to: int | None = None,
        limit: int | None = None,
        kinds: frozenset[Kind] | None = None,
    ) -> list[Envelope]:
        """Events of one stream with after < seq <= to, in order, of the wanted kinds. An unknown stream has none."""
        ...

    def tail(
        self, after: Position, limit: int, kinds: frozenset[Kind] | None = None
    ) -> tuple[list[Envelope], Position]:
        """Events of the position's partition after it, in order, at most `limit` of the wanted kinds; and the
        position that has been scanned to (a caller's next cursor; `after` itself if there is nothing new)."""
        ...

    def head(self, agent: str) -> StreamHead | None: ...

    def heads(self, after: str = "", limit: int | None = None) -> list[StreamHead]:
        """All streams by name, those after `after`."""
        ...

    def lineage(self, agent: str) -> list[Parent]:
        """The streams that a fork goes on from, the nearest first, each with the last seq that is its part; [] for a
        stream that is no fork. Their seqs fall: a fork at an event that its parent inherited is one of the grandparent.
        """
        ...

    def position(self, partition: Partition) -> Position:
        """The position of the partition's last event (its beginning: it is empty)."""
        ...

    def open_requests(self, topic: Topic | Resting, partition: Partition) -> list[Envelope]:
        """The events of a partition that opened what is still open, by position."""
        ...

    def open_requests_of(self, agent: str, topic: Topic | Resting) -> list[Envelope]:
        """The events of one stream that opened what is still open, in order."""
        ...

    def cursor(self, consumer: str, partition: Partition) -> Position:
        """How far a consumer has come in the partition (its beginning: it has none)."""
        ...

    def snapshots(self, agent: str, to: int | None = None, limit: int | None = None) -> list[Snapshot]:
        """The snapshots of a stream at seq <= to, newest first, at most `limit` of them, unverified."""
        ...

    def redaction(self, agent: str) -> Redacted | None:
        """What was masked in a stream's own events before they came here (None: nothing, or there is no such one)."""
        ...

    def hash_at(self, agent: str, seq: int) -> bytes | None:
        """The stream's stored hash at seq."""
        ...

    def seq_at(self, agent: str, position: Position) -> int:
        """The seq of the stream's last event at or before a position (0: it has none there). Raises
        OtherPartition where another partition has the stream: there is no "before" between the two."""
        ...

    def find(self, agent: str, key: str) -> Envelope | None:
        """The event of a stream with this key; of a fork's, only its own."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def partition_of(log: LogReader, stream: str) -> Partition:
    """The partition that has a stream, which is there."""
    head = log.head(stream)
    assert head is not None, "a stream that is there has a head"
    return head.partition


def open_everywhere(log: LogReader, topic: Topic | Resting) -> list[Envelope]:
    """What is open in all partitions."""
    return [envelope for partition in log.partitions for envelope in log.open_requests(topic, partition)]


HEADS_AT_ONCE: Final = 2000


def all_heads(log: LogReader) -> Iterator[StreamHead]:
    """Every stream by name, page by page. A head is as new as its page: what is written later is left out."""
    after = ""
    while page := log.heads(after, HEADS_AT_ONCE):
        yield from page
        after = page[-1].stream


class LogStore(LogReader, Protocol):
    """Reading, and writing into one partition."""

    @property
    def partition(self) -> Partition:
        """The one that is written."""
        ...

    def open_epoch(self) -> int:
        """Make this the partition's one writer: every earlier writer is fenced off."""
        ...

    def commit(self, appends: Sequence[Append]) -> Committed:
        """One durable transaction (group commit). Raises Fenced, LogReadOnly where no epoch was opened, or
        LogUnavailable with nothing written; over a network also AcknowledgedLost, for good, and CommitInDoubt where
        the store is closed before it has found out. Each append sees what those before it did."""
        ...

    def append(self, appends: Sequence[Append]) -> list[list[Appended]]:
        """The answers of such a commit."""
        ...

    def limit_pages(self, max_pages: int | None) -> None:
        """Let the log grow to so many pages of 4 KiB (None: as the disk allows), from now on, where the backend can
        hold that; a full one refuses appends."""
        ...
