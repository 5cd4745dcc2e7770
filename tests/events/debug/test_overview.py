"""The overview of a state, and the counts of a window, agree with the log wherever one looks."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from palimpsest.events.codec import decode
from palimpsest.events.context import entry_tokens, measure, with_margin
from palimpsest.events.debug.overview import overview
from palimpsest.events.debug.window import gist, window, with_recorded
from palimpsest.events.encodings import is_servers
from palimpsest.events.state import UNCOUNTED, State
from palimpsest.events.types import Event, InferenceRequested, MessagesEvicted
from palimpsest.questions.overviews import ARCHIVAL, RECALL, events_of, kept, open_request
from palimpsest.store.logs.contract import LogReader
from palimpsest.store.logs.states import load
from tests.worlds.sessions import SEEDS, session
from tests.worlds.simulated import count

SEED = st.sampled_from(SEEDS)


def drawn(seed: int, data: st.DataObject) -> tuple[LogReader, State]:
    log, agent = session(seed)
    state = load(log, agent, data.draw(st.integers(1, len(log.read(agent)))))
    assert state is not None
    return log, state


def evicted(log: LogReader, state: State) -> list[int]:
    events: list[Event] = [decode(each) for each in log.read(state.agent, to=state.seq)]
    return sorted(seq for event in events if isinstance(event, MessagesEvicted) for seq in event.seqs)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(SEED, st.data())
def test_the_overview_says_what_the_log_says(seed: int, data: st.DataObject) -> None:
    log, state = drawn(seed, data)
    opened = open_request(log, state.agent, state)
    seen = overview(state, events_of(log, state.agent), opened)
    assert len(list(kept(log, state.agent, state.seq, RECALL))) == seen.recall_messages
    assert sum(each.passages for each in kept(log, state.agent, state.seq, ARCHIVAL)) == seen.archival_passages
    assert [each.seq for each in seen.queue] == [entry.seq for entry in state.queue]
    if seen.summary and state.eviction is None:
        assert list(seen.summary.seqs) == evicted(log, state)
        assert seen.summary.messages == len(seen.summary.seqs)
    if state.turn and state.turn.phase in {"inferring", "summarising", "calling"}:
        assert seen.running is not None
        assert opened is not None
        assert seen.running.asked == opened.seq


@settings(max_examples=80, deadline=None)
@given(SEED, st.data())
def test_counts_that_are_recorded_later_are_those_of_a_tokenizer(seed: int, data: st.DataObject) -> None:
    log, state = drawn(seed, data)
    assume(not is_servers(state.settings.encoding))  # its counts are another tokenizer's
    known = with_recorded(state, log.read(state.agent, after=state.seq))
    assert known.head_tokens in {UNCOUNTED, measure(state, count).head}
    for before, entry in zip(state.queue, known.queue, strict=True):
        assert (entry.seq, entry.wire) == (before.seq, before.wire)
        assert entry.tokens in {UNCOUNTED, entry_tokens(state, entry, count)}
    least, exact = window(known), window(known, count=count)
    assert exact.uncounted == 0
    assert exact.total_tokens == with_margin(measure(state, count).total, state.settings)
    assert least.total_tokens <= exact.total_tokens


@pytest.mark.parametrize("seed", SEEDS[:10])
def test_an_open_request_is_shown_with_its_own_count(seed: int) -> None:
    log, agent = session(seed)
    for envelope in log.read(agent):
        event = decode(envelope)
        if isinstance(event, InferenceRequested):
            state = load(log, agent, envelope.seq)
            assert state is not None
            seen = window(state, event)
            assert (seen.total_tokens, seen.uncounted) == (event.tokens, 0)
            assert all(share.tokens > 0 for share in seen.shares)


@pytest.mark.parametrize("seed", SEEDS[:10])
def test_every_message_has_its_words(seed: int) -> None:
    log, agent = session(seed)
    state = load(log, agent)
    assert state is not None
    for entry in state.queue:
        who, text = gist(entry)
        assert who
        assert text
        if entry.kind == "assistant":
            assert who == "agent"
        if entry.kind == "tool":
            assert who == "result"
