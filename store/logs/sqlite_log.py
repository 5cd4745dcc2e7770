"""The event log in an SQLite file, one a partition: the embedded backend.

Rules: (1) a call that writes is one transaction, which first checks that this is still the partition's writer;
(2) what is kept in memory of the file (heads, last position) follows a commit and never precedes it: after any error
it is dropped, and read again.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import astuple

from palimpsest.events.envelope import GENESIS, Envelope
from palimpsest.events.errors import Fenced, LogReadOnly
from palimpsest.events.position import FIRST_PARTITION, Partition, Position
from palimpsest.events.types import Parent
from palimpsest.store.logs.admission import Admission, OpenRequest
from palimpsest.store.logs.contract import RESTING, Append, Appended, Committed, superseded
from palimpsest.store.logs.heads import Head, HeadCache
from palimpsest.store.logs.sqlite_file import limit_pages, open_reader, open_writer, reported, roll_back
from palimpsest.store.logs.sqlite_reader import SqliteReader

HEADS_KEPT: Final = 8_000

_INSERT_EVENT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_MOVE_STREAM = """INSERT INTO streams VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
    seq = excluded.seq, hash = excluded.hash, position = excluded.position, updated_ms = excluded.updated_ms"""
_INSERT_FORK = "INSERT INTO forks SELECT ?, id, ? FROM streams WHERE agent = ?"
_KEEP_REDACTION = "INSERT OR REPLACE INTO redactions VALUES (?, ?)"
_FORKED = "SELECT p.agent, f.seq FROM forks f JOIN streams p ON p.id = f.parent WHERE f.stream = ?"
_HASH = "SELECT hash FROM events WHERE stream = ? AND seq = ?"
_INSERT_REQUEST = "INSERT INTO requests VALUES (?, ?, ?)"
_DELETE_REQUEST = "DELETE FROM requests WHERE topic = ? AND stream = ? AND position = ?"
_SET_CURSOR = "INSERT OR REPLACE INTO cursors VALUES (?, ?)"
_SAVE_SNAPSHOT = "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?, ?)"
_SNAPSHOT_SEQS = "SELECT seq FROM snapshots WHERE stream = ?"
_DROP_SNAPSHOT = "DELETE FROM snapshots WHERE stream = ? AND seq = ?"
_PLACED = "SELECT seq, position FROM events WHERE stream = ? AND key = ?"
_REQUEST = f"""SELECT r.topic, r.position FROM events e CROSS JOIN requests r
    ON r.topic IN (e.opens, e.opens || '{RESTING}') AND r.stream = e.stream AND r.position = e.position
    WHERE e.stream = ? AND e.key = ?"""


class SqliteLog(SqliteReader):
    """A `LogStore` over one file, which is made where there is none; with an id it is opened where it is that log, and
    nothing is made. Safe to use from several threads: those that write take turns, and those that read do not wait."""

    def __init__(
        self,
        path: Path,
        partition: Partition = FIRST_PARTITION,
        *,
        log_id: str = "",
        max_pages: int | None = None,
        heads_kept: int = HEADS_KEPT,
    ) -> None:
        self._writing = open_writer(path, max_pages, log_id)
        try:
            super().__init__(path, partition, *open_reader(path))
        except BaseException:
            self._writing.close()
            raise
        self._writing_turn = threading.Lock()
        self._epoch = 0
        self._heads = HeadCache(heads_kept)
        self._last: tuple[int, int] | None = None
        """The number of the partition's last event and the last stream's id; None: to be read."""

    def close(self) -> None:
        super().close()  # first the reader: SQLite tidies up when the last connection that may write is closed
        with self._writing_turn:
            self._writing.close()

    def limit_pages(self, max_pages: int | None) -> None:
        """Let the file grow to so many pages of 4 KiB (None: as the disk allows). A full one refuses appends."""
        with self._writing_turn, reported(self.path):
            limit_pages(self._writing, max_pages)

    def open_epoch(self) -> int:
        with self._transaction():
            ((epoch,),) = self._writing.execute("UPDATE writer SET epoch = epoch + 1 RETURNING epoch").fetchall()
            self._forget()  # others may have written since this one last did
            self._writing.execute("COMMIT")
            self._epoch = epoch
            return self._epoch

    def append(self, appends: Sequence[Append]) -> list[list[Appended]]:
        return self.commit(appends).answers

    def commit(self, appends: Sequence[Append]) -> Committed:
        with self._transaction():
            self._check_epoch()
            batch = Admission(self, Position(self.partition, self._ends()[0]))
            answers = [batch.admit(append) for append in appends]
            moved, last_stream = self._write(batch)
            self._writing.execute("COMMIT")
            for agent, head in moved.items():
                self._heads.put(agent, head)
            self._last = batch.position.number, last_stream
            return Committed(answers, batch.envelopes)

    # --- what an admission asks (`store.logs.admission.Facts`), inside the transaction

    def end(self, agent: str) -> tuple[int, bytes]:
        head = self._head(agent)
        return (head.seq, head.hash) if head else (0, GENESIS)

    def root(self, parent: Parent) -> tuple[Parent, bytes] | None:
        head = self._head(parent.agent)
        while head and (above := self._writing.execute(_FORKED, (head.id,)).fetchone()) and parent.seq <= above[1]:
            parent = Parent(agent=above[0], seq=parent.seq)
            head = self._head(parent.agent)
        row = self._writing.execute(_HASH, (head.id, parent.seq)).fetchone() if head else None
        return (parent, row[0]) if row else None

    def placed(self, agent: str, key: str) -> tuple[int, Position] | None:
        head = self._head(agent)
        row = self._writing.execute(_PLACED, (head.id, key)).fetchone() if head else None
        return (row[0], Position(self.partition, row[1])) if row else None

    def request(self, agent: str, key: str) -> OpenRequest | None:
        head = self._head(agent)
        row = self._writing.execute(_REQUEST, (head.id, key)).fetchone() if head else None
        return OpenRequest(agent, key, row[0], Position(self.partition, row[1])) if row else None

    def _head(self, agent: str) -> Head | None:
        head = self._heads.get(agent)
        if head is None:
            row = self._writing.execute("SELECT id, seq, hash FROM streams WHERE agent = ?", (agent,)).fetchone()
            if row:
                head = Head(*row)
                self._heads.put(agent, head)
        return head

    # --- the transaction

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing: whatever ends the block early undoes it, and what was known of the file is forgotten."""
        with self._writing_turn, reported(self.path):
            try:
                self._writing.execute("BEGIN IMMEDIATE")
                yield
                if self._writing.in_transaction:
                    self._writing.execute("COMMIT")
            except BaseException:
                self._forget()
                roll_back(self._writing)
                raise

    def _check_epoch(self) -> None:
        if self._epoch == 0:
            raise LogReadOnly(str(self.path))
        (current,) = self._writing.execute("SELECT epoch FROM writer").fetchone()
        if current != self._epoch:
            raise Fenced(self._epoch, current)

    def _forget(self) -> None:
        self._heads.clear()
        self._last = None

    def _ends(self) -> tuple[int, int]:
        if self._last is None:
            query = "SELECT ifnull((SELECT max(position) FROM events), 0), ifnull((SELECT max(id) FROM streams), 0)"
            number, stream = self._writing.execute(query).fetchone()
            self._last = number, stream
        return self._last

    def _write(self, batch: Admission) -> tuple[dict[str, Head], int]:
        """Write what was admitted; returns the streams' new heads, and the last stream's id."""
        write = self._writing.executemany
        last = {envelope.stream: envelope for envelope in batch.envelopes}
        ids, last_stream = self._stream_ids(last)
        if batch.envelopes:
            first = {envelope.stream: envelope.time for envelope in reversed(batch.envelopes)}
            write(_INSERT_EVENT, [(ids[e.stream], e.seq, e.position.number, *astuple(e)[3:]) for e in batch.envelopes])
            moved = ((ids[a], a, e.seq, e.hash, e.position.number, first[a], e.time) for a, e in last.items())
            write(_MOVE_STREAM, moved)
        if batch.forks:
            write(_INSERT_FORK, [(ids[agent], parent.seq, parent.agent) for agent, parent in batch.forks.items()])
        if batch.redactions:
            encode = msgspec.msgpack.encode
            write(_KEEP_REDACTION, [(ids[each.stream], encode(each)) for each in batch.redactions])
        if batch.opened:
            write(_INSERT_REQUEST, [(r.topic, ids[r.stream], r.position.number) for r in batch.opened.values()])
        if batch.closed:
            write(_DELETE_REQUEST, [(r.topic, ids[r.stream], r.position.number) for r in batch.closed])
        if batch.cursors:
            write(_SET_CURSOR, batch.cursors.items())
        if batch.snapshots:
            rows = [(ids[s.stream], s.seq, s.chain, s.fold, s.state, s.digest) for s in batch.snapshots]
            write(_SAVE_SNAPSHOT, rows)
            write(_DROP_SNAPSHOT, [(stream, seq) for stream in {row[0] for row in rows} for seq in self._spent(stream)])
        return {agent: Head(ids[agent], e.seq, e.hash) for agent, e in last.items()}, last_stream

    def _spent(self, stream: int) -> list[int]:
        return superseded(seq for (seq,) in self._writing.execute(_SNAPSHOT_SEQS, (stream,)))

    def _stream_ids(self, agents: dict[str, Envelope]) -> tuple[dict[str, int], int]:
        """The ids of these streams, the new ones numbered on; and the last id."""
        _, last_stream = self._ends()
        ids = {}
        for agent in agents:
            head = self._head(agent)
            if head is None:
                last_stream += 1
            ids[agent] = head.id if head else last_stream
        return ids, last_stream
