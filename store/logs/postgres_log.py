"""The event log in PostgreSQL: one partition's writer, whichever machine it runs on.

Rules: (1) a call that writes is one transaction, sent whole in one round trip, which begins with the fence: the
partition's row has this writer's epoch and is at the position where it left it, or nothing is written. (2) Where the
connection is lost while a transaction is under way, its outcome is found out before anything is answered: in a new
session the writer ends the old one, raises its own epoch (so that what may still be on its way there is refused), and
reads the position. That is a commit of its own: once it is confirmed, by a standby too where one is waited for, so is
all before it. (3) What is kept in memory of the log (heads, position) follows a commit and never precedes it.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Sequence
from typing import Final

import psycopg

from palimpsest.events.errors import (
    AcknowledgedLost,
    BadInput,
    CommitInDoubt,
    Fenced,
    LogReadOnly,
    LogUnavailable,
    LogUnreadable,
    PalimpsestError,
)
from palimpsest.events.position import FIRST_PARTITION, Partition, Position
from palimpsest.store.logs.admission import Admission
from palimpsest.store.logs.contract import Append, Appended, Committed
from palimpsest.store.logs.heads import HeadCache
from palimpsest.store.logs.postgres_errors import FENCED, MOVED, is_lost, meaning, reported
from palimpsest.store.logs.postgres_facts import BatchFacts
from palimpsest.store.logs.postgres_reader import PostgresReader
from palimpsest.store.logs.postgres_rows import Writing
from palimpsest.store.logs.postgres_schema import opened
from palimpsest.store.logs.postgres_session import WriterSession
from palimpsest.store.logs.postgres_url import database

HEADS_KEPT: Final = 8_000
TRIES: Final = 3
"""So often a batch is sent whose connection is lost each time before it is taken."""
CLOSING_S: Final = 5.0
PAUSES_S: Final = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Between the tries to find out about a commit; the last one goes on."""

_END_OLD: Final = """SELECT pg_terminate_backend(a.pid) FROM palimpsest.partitions p
    JOIN pg_stat_activity a ON a.pid = p.backend AND a.backend_start = p.backend_start
    WHERE p.id = %b {mine} AND a.pid <> pg_backend_pid() AND pg_has_role(a.usesysid, 'USAGE')"""
_TAKE: Final = """UPDATE palimpsest.partitions
    SET epoch = greatest(epoch, %b) + 1, writer = %b, owner = %b, backend = pg_backend_pid(),
    backend_start = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()), seen = now()
    WHERE id = %b {mine} RETURNING epoch, position, streams"""
_EPOCH: Final = "SELECT epoch, position FROM palimpsest.partitions WHERE id = %b"
_ADVANCE: Final = "SELECT palimpsest.advance(%b::integer, %b, %b, %b, %b)"


class PostgresLog(PostgresReader):
    """A `LogStore` over one partition of a log, which is made where there is none; with an id it is opened where it is
    that log, and nothing is made. `owner` says in the partition's row whose writer this is.

    Safe to use from several threads: those that write take turns, and those that read do not wait for them. `waits_for`
    says what a commit is held up by ("": nothing).
    """

    def __init__(
        self,
        url: str,
        partition: Partition = FIRST_PARTITION,
        *,
        schema: str = "",
        log_id: str = "",
        owner: str = "",
        heads_kept: int = HEADS_KEPT,
    ) -> None:
        super().__init__(database(url, schema), partition)
        self.waits_for = ""
        self._owner = owner
        self._writer = uuid.uuid4()
        self._writing_turn = threading.Lock()
        self._closing = threading.Event()
        self._heads = HeadCache(heads_kept)
        self._epoch = self._position = self._streams = 0
        self._adrift = 0
        """Where the log is if a transaction was committed that was left before its answer."""
        self._ended: PalimpsestError | None = None
        self._read_from = "primary"  # where there are standbys too, they may lack what this one has just written
        self._session: WriterSession | None = WriterSession(self.database)
        try:
            opened(self._session, self.database, partition, log_id)
        except BaseException:
            self._session.close()
            raise

    def close(self) -> None:
        """What is being committed has a while to end; then its connection is cut, and it ends in doubt."""
        self._closing.set()
        super().close()
        if not self._writing_turn.acquire(timeout=CLOSING_S):
            if session := self._session:
                session.hang_up()
            self._writing_turn.acquire()
        self._let_session_go()
        self._writing_turn.release()

    def limit_pages(self, max_pages: int | None) -> None:
        """None is what a database has; with a number it raises BadInput: PostgreSQL holds no such limit."""
        if max_pages is not None:
            raise BadInput(
                f"{self.database.name} cannot hold its log to {max_pages} pages: PostgreSQL has no such limit. Give "
                "the database a volume of the size that is wanted."
            )

    # --- writing

    def open_epoch(self) -> int:
        with self._writing_turn:
            self._check_not_ended()
            for _ in range(TRIES):
                with contextlib.suppress(_SessionLost):
                    self._take()
                    return self._epoch
            raise self._lost_too_often()

    def append(self, appends: Sequence[Append]) -> list[list[Appended]]:
        return self.commit(appends).answers

    def commit(self, appends: Sequence[Append]) -> Committed:
        with self._writing_turn:
            self._check_not_ended()
            if self._epoch == 0:
                raise LogReadOnly(self.database.name)
            try:
                return self._commit(appends)
            except BaseException:
                self._heads.clear()
                raise

    def _commit(self, appends: Sequence[Append]) -> Committed:
        facts = self._facts(appends)
        with reported(self.database):
            batch = Admission(facts, Position(self.partition, self._position))
            answers = [batch.admit(append) for append in appends]
        writing = Writing(batch, facts, self.partition, self._streams)
        if writing:
            self._write(writing)
            for agent, head in writing.heads.items():
                self._heads.put(agent, head)
        return Committed(answers, batch.envelopes)

    def _facts(self, appends: Sequence[Append]) -> BatchFacts:
        """What the batch must know. Nothing is written yet: a lost connection is made anew."""
        for _ in range(TRIES):
            try:
                facts = self._look_up(self._session or self._resumed(), appends)
            except psycopg.Error as error:
                if not is_lost(error):
                    raise meaning(error, self.database) or error from error
                self._let_session_go()
            except BaseException:
                self._let_session_go()
                raise
            else:
                self._check_place(*facts.partition)
                return facts
        raise self._lost_too_often()

    def _look_up(self, session: WriterSession, appends: Sequence[Append]) -> BatchFacts:
        facts = BatchFacts(session, self._heads)
        facts.look_up(appends, self.partition)
        return facts

    def _write(self, writing: Writing) -> None:
        """Have it written, once."""
        for _ in range(TRIES):
            try:
                confirmed = self._sent(writing)
            except psycopg.Error as error:
                if not is_lost(error):
                    self._undo()
                    self._raise(error)
                confirmed = False
            except BaseException:  # Ctrl-C, say: what became of it is found out with the next call
                self._let_session_go()
                self._adrift = writing.position
                raise
            if confirmed or self._is_there(writing):
                self._position, self._streams = writing.position, writing.last_stream
                return
        raise self._lost_too_often()

    def _lost_too_often(self) -> LogUnavailable:
        return LogUnavailable(
            f"The connection to {self.database.name} was lost {TRIES} times in the middle of this: nothing of it was "
            "written. See the server's log, and send it again."
        )

    def _is_there(self, writing: Writing) -> bool:
        """Find out whether it was written. What has no place in the log (a cursor) may as well be written again."""
        left, found = self._position, self._found_out()
        if found not in (left, writing.position):
            self._check_place(self._epoch, found)
        return left < found

    def _sent(self, writing: Writing) -> bool:
        """Send a transaction whole; whether it is committed where it is to be, or that must be found out."""
        session = self._session or self._resumed()
        session.warned = False
        fence = self.partition, self._epoch, self._position, writing.position, writing.last_stream
        with session.connection.pipeline():
            session.connection.execute(b"BEGIN", prepare=False)
            session.execute(_ADVANCE, fence)
            for statement, values in writing.statements:
                session.execute(statement, values)
            session.connection.execute(b"COMMIT", prepare=False)
        return not session.warned

    def _undo(self) -> None:
        """End a transaction that failed; where that cannot be, end its session, which does it too."""
        session = self._session
        try:
            if session is not None:
                session.connection.execute(b"ROLLBACK")
        except psycopg.Error:
            self._let_session_go()

    def _raise(self, error: psycopg.Error) -> None:
        if error.sqlstate == FENCED:
            self._check_place(int(error.diag.message_detail or 0), self._position)
        if error.sqlstate == MOVED:
            self._check_place(self._epoch, int(error.diag.message_detail or 0))
        raise meaning(error, self.database) or error from error

    # --- being the writer

    def _take(self, *, only_if_mine: bool = False) -> bool:
        """Make a session of this writer the partition's, and end the one that has it. False where it is to be this
        writer's already, and is not: then nothing was done."""
        session = self._session = self._session or WriterSession(self.database)
        mine, me = ("AND writer = %b", (self._writer,)) if only_if_mine else ("", ())
        try:
            session.rows(_END_OLD.format(mine=mine), (self.partition, *me))
            session.warned = False  # that the old one had ended already is no news
            values = self._epoch, self._writer, self._owner, self.partition, *me
            rows = session.rows(_TAKE.format(mine=mine), values)
        except psycopg.Error as error:
            self._let_session_go()  # it has not taken the partition, and is not to write as if it had
            if is_lost(error):
                raise _SessionLost(self.database.name) from error
            raise meaning(error, self.database) or error from error
        if rows and session.warned:  # it is committed, and not confirmed by the standby that is waited for
            self._let_session_go()
            raise _SessionLost(self.database.name)
        for epoch, position, streams in rows:
            self._check_not_behind(position)
            self._heads.clear()  # others may have written since this one last did
            self._epoch, self._position, self._streams = epoch, position, streams
        return bool(rows)

    def _resumed(self) -> WriterSession:
        """A new session for this writer, where its last one ended with nothing under way. Raises Fenced,
        LogUnavailable."""
        self._let_session_go()
        found = self._resume()
        if found == self._adrift:
            self._position = found
        self._check_place(self._epoch, found)
        assert self._session is not None
        return self._session

    def _resume(self) -> int:
        """Take the partition on with a new session, if it still is this writer's; its position."""
        left = self._position
        if not self._take(only_if_mine=True):
            assert self._session is not None
            with reported(self.database):
                ((epoch, position),) = self._session.rows(_EPOCH, (self.partition,))
            self._check_place(epoch, min(position, left - 1))
        found, self._position = self._position, left
        return found

    def _found_out(self) -> int:
        """The position after what may have been written, once it is known. It is asked until it is: nothing may be
        answered before. Raises Fenced, AcknowledgedLost; CommitInDoubt where this is closed before."""
        for turn in range(10**9):
            self._let_session_go()
            if self._closing.wait(PAUSES_S[min(turn, len(PAUSES_S) - 1)]):
                break
            try:
                found = self._resume()
            except (LogUnavailable, BadInput) as error:
                self.waits_for = str(error)
            else:
                self.waits_for = ""
                return found
        raise CommitInDoubt(self.database.name)

    def _check_not_ended(self) -> None:
        if self._closing.is_set():
            raise LogUnavailable(f"The log in {self.database.name} is closed: nothing of this was written.")
        if self._ended is not None:
            raise self._ended

    def _check_place(self, epoch: int, position: int) -> None:
        """Whether the partition is this writer's, and where it left it. Raises Fenced, AcknowledgedLost."""
        if epoch > self._epoch:
            raise Fenced(self._epoch, epoch)
        self._check_not_behind(position if epoch == self._epoch else min(position, self._position - 1))
        if position > self._position:
            self._ended = LogUnreadable(
                self.database.name, f"its position is {position}, where this writer left it at {self._position}"
            )
            raise self._ended

    def _check_not_behind(self, position: int) -> None:
        if position < self._position:
            self._ended = AcknowledgedLost(self.database.name, self._position, position)
            raise self._ended

    def _let_session_go(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()


class _SessionLost(LogUnavailable):
    """A session ended while it took the partition; it is taken again."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The connection to {name} was lost: nothing was written. It is tried again with the next call."
        )
