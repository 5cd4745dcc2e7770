"""Every backend and the oracle, side by side over random histories: all that can be observed is the same."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from palimpsest.events.envelope import Draft
from palimpsest.events.errors import Fenced
from palimpsest.events.types import Parent
from palimpsest.events.vocabulary import Topic
from palimpsest.store.logs.contract import Append, LogStore, Snapshot
from palimpsest.store.logs.postgres_log import PostgresLog
from palimpsest.store.logs.sqlite_log import SqliteLog
from tests.contract.backends import BACKENDS, PARTITION, InPostgres, InSqlite
from tests.contract.oracle import Oracle
from tests.contract.words import assert_sound, event, keys, kinds, nth, outcomes

AGENTS, KEYS, KINDS = ("ada", "bob", "zoë"), tuple("pqrstuvw"), ("Asked", "Told")
TOPICS: tuple[Topic, ...] = ("inference", "timer")
TOLD = kinds(("Told",))
FORKS = ("fay", "gus", "hal")
STREAMS = (*AGENTS, *FORKS)
FEW_HEADS = 2  # so that heads are dropped and read again

drafts = st.builds(
    event,
    st.sampled_from(KEYS),
    st.sampled_from((*AGENTS, *AGENTS, *FORKS)),
    opens=st.sampled_from(("", *TOPICS)),
    closes=st.one_of(st.just(""), st.sampled_from(KEYS)),
    kind=st.sampled_from(KINDS),
    body=st.binary(max_size=8),
)
snapshots = st.builds(
    Snapshot, st.sampled_from((*AGENTS, *FORKS)), st.integers(1, 6), st.binary(), st.just("f"), st.binary(), st.binary()
)
parents = st.builds(Parent, agent=st.sampled_from(STREAMS), seq=st.integers(0, 6))
appends = st.builds(
    Append,
    st.lists(drafts, max_size=5).map(tuple),
    st.dictionaries(st.sampled_from(AGENTS), st.integers(-1, 4), max_size=2),
    st.one_of(st.none(), st.tuples(st.sampled_from(("memory", "index")), st.integers(0, 9).map(nth))),
    st.lists(snapshots, max_size=2).map(tuple),
    st.dictionaries(st.sampled_from(STREAMS), parents, max_size=2),
    together=st.booleans(),
)


class Agreement(RuleBasedStateMachine):
    beside: ClassVar = "sqlite"
    """The backend that is held against memory's, and both against the oracle."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.oracle = Oracle()
        self.backends = {
            name: kind(Path(self.folder.name)) for name, kind in BACKENDS.items() if name in ("memory", self.beside)
        }
        self.logs = {name: self._writer(name) for name in self.backends}

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            for name, log in self.logs.items():
                log.close()
                self.backends[name].remove()
            self.folder.cleanup()

    def _writer(self, name: str) -> LogStore:
        backend = self.backends[name]
        log: LogStore
        match backend:
            case InSqlite():
                log = SqliteLog(backend.path, PARTITION, heads_kept=FEW_HEADS)
            case InPostgres():
                backend.open().close()
                log = PostgresLog(backend.url, PARTITION, heads_kept=FEW_HEADS)
            case _:
                log = backend.open()
        log.open_epoch()
        return log

    @rule(batch=st.lists(appends, min_size=1, max_size=3))
    def append(self, batch: list[Append]) -> None:
        expected = [self.oracle.append(append) for append in batch]
        for name, log in self.logs.items():
            assert log.append(batch) == expected, name

    @rule(draft=drafts)
    def append_as_expected(self, draft: Draft) -> None:
        """What a well-behaved writer sends: the seq that it last saw, and requests that are open."""
        wanted = self.oracle.open_requests(draft.stream)
        closes = draft.closes if draft.closes in wanted else next(iter(wanted), "")
        mended = event(draft.key, draft.stream, opens=draft.opens, closes=closes, kind=draft.kind)
        append = Append((mended,), {draft.stream: self.oracle.seq(draft.stream)})
        answer = self.oracle.append(append)
        assert outcomes(answer)[0] in ("appended", "duplicate")
        for name, log in self.logs.items():
            assert log.append([append]) == [answer], name

    @rule(fork=st.sampled_from(FORKS), parent=st.sampled_from(STREAMS), back=st.integers(0, 5))
    def fork(self, fork: str, parent: str, back: int) -> None:
        """A fork at one of the parent's last events, of what it inherited too."""
        seq = self.oracle.seq(parent) - back
        drafts = (event("begun", fork, opens=TOPICS[0]), event("on", fork))
        append = Append(drafts, {fork: 0}, forks={fork: Parent(agent=parent, seq=seq)})
        answer = self.oracle.append(append)
        for name, log in self.logs.items():
            assert log.append([append]) == [answer], name

    @rule(crashed=st.booleans())
    def replace_the_writer(self, crashed: bool) -> None:
        for name, old in self.logs.items():
            if not crashed:
                old.close()
            self.logs[name] = self._writer(name)
            if crashed:
                with pytest.raises(Fenced):
                    old.append([Append((event("late"),), cursor=("memory", nth(99)))])
                old.close()

    @invariant()
    def all_that_can_be_observed_is_the_same(self) -> None:
        for name, log in getattr(self, "logs", {}).items():
            self._agrees_with_oracle(log)
            assert observed(log) == observed(self.logs["memory"]), name

    def _agrees_with_oracle(self, log: LogStore) -> None:
        assert_sound(log)
        stored = log.tail(nth(0), 999)[0]
        assert [(e.stream, e.key, e.body, e.opens, e.closes) for e in stored] == [
            (d.stream, d.key, d.body, d.opens, d.closes) for d in self.oracle.events
        ]
        for agent in STREAMS:
            mine = [e for topic in TOPICS for e in log.open_requests_of(agent, topic)]
            assert keys(sorted(mine, key=lambda e: e.seq)) == self.oracle.open_requests(agent)
            assert [(e.stream, e.key, e.body) for e in log.read(agent)] == [
                (d.stream, d.key, d.body) for d in self.oracle.whole(agent)
            ]
            if agent not in self.oracle.forks:
                saved = [s for s in self.oracle.snapshots.values() if s.stream == agent]
                assert log.snapshots(agent) == sorted(saved, key=lambda s: -s.seq)
        cursors = {c: log.cursor(c, PARTITION).number for c in ("memory", "index")}
        assert cursors == {"memory": 0, "index": 0} | self.oracle.cursors


class AgreementOverSql(Agreement):
    beside: ClassVar = "postgres"


def observed(log: LogStore) -> list[object]:
    """Whatever a reader can ask, over small ranges of arguments."""
    positions = [nth(number) for number in range(log.position(PARTITION).number + 2)]
    return [
        [log.tail(after, limit, kinds) for after in positions for limit in (1, 3) for kinds in (None, TOLD)],
        [log.read(agent, after, to, 2) for agent in STREAMS for after in (0, 1, 3) for to in (None, 2)],
        [log.heads(after, limit) for after in ("", *STREAMS) for limit in (None, 1)],
        [log.open_requests(topic, PARTITION) for topic in TOPICS],
        [log.find(agent, key) for agent in STREAMS for key in (*KEYS, "begun")],
        [log.snapshots(agent, to, limit) for agent in STREAMS for to in (None, 0, 2, 4) for limit in (None, 1)],
        [log.lineage(agent) for agent in STREAMS],
        [log.hash_at(agent, seq) for agent in STREAMS for seq in range(8)],
        [log.seq_at(agent, position) for agent in STREAMS for position in positions],
    ]


TestAgreement = pytest.mark.slow(Agreement.TestCase)
TestAgreement.settings = settings(
    max_examples=30, stateful_step_count=14, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAgreementOverSql = pytest.mark.slow(AgreementOverSql.TestCase)
TestAgreementOverSql.settings = settings(TestAgreement.settings, max_examples=6)
"""Fewer: each question is a round trip."""
