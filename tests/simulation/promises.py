"""The promises of the design, as checks over a partition's log. Each failure cites its promise by number."""

from __future__ import annotations

from collections import Counter

import msgspec

from events.codec import decode
from events.envelope import GENESIS, Envelope, chain
from events.eviction import budget_tokens
from events.evolve import evolve
from events.replay import replay
from events.state import State
from events.types import (
    EvictionStarted,
    InferenceRequested,
    MessagesEvicted,
    SummaryWritten,
    TurnEnded,
)
from store.log import LogReader


def check_log(log: LogReader, agents: list[str]) -> None:
    """What must hold after every step, whatever crashed."""
    for agent in agents:
        stream = log.read(agent)
        check_chain(stream)
        check_once(stream)
        check_requests(log, agent, stream)


def check_chain(stream: list[Envelope]) -> None:
    previous = GENESIS
    for number, envelope in enumerate(stream, 1):
        assert envelope.seq == number, f"section 3: gapless seqs; {envelope.seq} stands at {number}"
        previous = chain(previous, number, envelope)
        assert previous == envelope.hash, f"section 3: the chain breaks at {number}"


def check_once(stream: list[Envelope]) -> None:
    keys = Counter(envelope.key for envelope in stream)
    assert not [key for key, times in keys.items() if times > 1], "promise 3: a key stands twice in a stream"
    ended = Counter(event.input for event in map(decode, stream) if isinstance(event, TurnEnded))
    assert not [seq for seq, times in ended.items() if times > 1], "promise 3: an input led to two turns"
    answers = Counter(envelope.closes for envelope in stream if envelope.closes)
    assert not [key for key, times in answers.items() if times > 1], "promise 3: a request was answered twice"


def check_requests(log: LogReader, agent: str, stream: list[Envelope]) -> None:
    inferring = 0
    opened: dict[str, Envelope] = {}
    for envelope in stream:
        if envelope.closes:
            inferring -= opened.pop(envelope.closes).opens == "inference"
        if envelope.opens:
            opened[envelope.key] = envelope
            inferring += envelope.opens == "inference"
        assert inferring <= 1, f"promise 4: two inferences in flight at {agent}/{envelope.seq}"
    kept = {e.key for topic in TOPICS for e in log.open_requests(topic, agent)}
    assert kept == set(opened), f"section 3: the open requests of {agent} are not those of its stream"


TOPICS = ("turn", "inference", "storage", "timer", "alarm")


def check_contexts(agent: str, stream: list[Envelope]) -> State:
    """Every request that was ever made: rendered again, within the window, with calls and results together."""
    proof = replay(agent, stream)
    assert proof.difference is None, f"promise 2: {proof.difference}"
    assert proof.state is not None, "promise 1: the stream is there"
    state: State | None = None
    for envelope in stream:
        event = decode(envelope)
        state = evolve(state, envelope, event)
        if isinstance(event, InferenceRequested):
            assert event.tokens <= budget_tokens(state.settings), (
                f"promise 5: {agent}/{envelope.seq} exceeds the window"
            )
            if event.purpose == "reply":
                check_pairs(state)
                assert state.turn is not None, "a request belongs to a turn"
                seqs = {entry.seq for entry in state.queue}
                assert state.turn.input in seqs, f"promise 5: the input left the window at {envelope.seq}"
    check_evictions(stream)
    return proof.state


def check_pairs(state: State) -> None:
    """Every call has its result right behind it, and no result stands without its call."""
    waiting: list[str] = []
    for entry in state.queue:
        message = msgspec.json.decode(entry.wire)
        if message["role"] == "tool":
            assert waiting, f"promise 5: a result without its call at {entry.seq}"
            assert message["tool_call_id"] == waiting.pop(0), f"promise 5: a result out of order at {entry.seq}"
        else:
            assert not waiting, f"promise 5: calls without results before {entry.seq}"
            waiting = [call["id"] for call in message.get("tool_calls", ())]
    assert not waiting, "promise 5: the last calls have no results"


def check_evictions(stream: list[Envelope]) -> None:
    """Every evicted seq was asked to go, and is named by exactly one summary of an unbroken chain."""
    evicted: list[int] = []
    covered: list[int] = []
    last = 0
    asked: tuple[int, ...] = ()
    for envelope in stream:
        match decode(envelope):
            case EvictionStarted() as event:
                asked = event.seqs
            case MessagesEvicted() as event:
                assert event.seqs == asked, f"promise 6: other seqs were evicted than asked at {envelope.seq}"
                evicted += event.seqs
            case SummaryWritten() as event:
                assert event.previous == last, f"promise 6: the chain of summaries breaks at {envelope.seq}"
                last = envelope.seq
                covered += event.covers
    assert evicted == covered, "promise 6: what was evicted is not what the summaries name"
    assert len(set(evicted)) == len(evicted), "promise 6: a message was evicted twice"


def contexts(stream: list[Envelope]) -> list[bytes]:
    """The fingerprints of all requests of a stream, in order."""
    return [event.fingerprint for event in map(decode, stream) if isinstance(event, InferenceRequested)]
