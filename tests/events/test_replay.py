"""Replay: every alteration of a stream shows, and is named; snapshots are never trusted."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from palimpsest.events.codec import decode, encode
from palimpsest.events.envelope import GENESIS, Draft, Envelope, place
from palimpsest.events.replay import Replayer, freeze, replay, thaw
from palimpsest.events.state import FOLD, to_bytes
from palimpsest.events.types import (
    InferenceCompleted,
    InferenceFailed,
    InferenceRequested,
    MessageSent,
    UserMessageReceived,
)
from tests.worlds.story import AGENT, Story, call, say


@pytest.fixture(scope="module")
def stream() -> list[Envelope]:
    story = Story().chats(25).says("Look.").fails("overflow")
    story.settles().says("Again.").answers(call("conversation_search", query="x", request_heartbeat=True)).returns()
    story.answers(say()).says("Last.").fails("timeout").says("Open.")
    return story.log.read(AGENT)


def chained(envelopes: list[Envelope]) -> list[Envelope]:
    """The events chained anew, as one who forges a log would."""
    placed: list[Envelope] = []
    for each in envelopes:
        fields = {name: getattr(each, name) for name in Draft.__struct_fields__}
        previous = placed[-1].hash if placed else GENESIS
        placed.append(place(Draft(**fields), len(placed) + 1, each.position, previous))
    return placed


def at(stream: list[Envelope], kind: type) -> int:
    """The index of the last event of a kind."""
    return max(index for index, each in enumerate(stream) if each.kind == kind.__name__)


def test_a_sound_stream_is_proved_whole(stream: list[Envelope]) -> None:
    proof = replay(AGENT, stream)
    assert proof.difference is None
    assert proof.events == len(stream)
    answered = [each for each in stream if each.kind in {"InferenceCompleted", "InferenceFailed"}]
    assert proof.contexts == len(answered)
    assert proof.hash == stream[-1].hash


def test_without_verify_it_only_folds(stream: list[Envelope]) -> None:
    proof = replay(AGENT, stream, verify=False)
    assert (proof.contexts, proof.difference) == (0, None)
    assert proof.state == replay(AGENT, stream).state


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_one_changed_byte_of_a_body_is_named(stream: list[Envelope], share: float) -> None:
    index = int(share * (len(stream) - 1))
    body = bytearray(stream[index].body)
    body[-1] ^= 1
    altered = [*stream]
    altered[index] = msgspec.structs.replace(stream[index], body=bytes(body))
    proof = replay(AGENT, altered)
    assert proof.difference is not None
    assert (proof.difference.agent, proof.difference.seq) == (AGENT, index + 1)
    assert "hash chain" in proof.difference.what
    assert proof.events == index


def test_a_missing_event_shows_at_its_successor(stream: list[Envelope]) -> None:
    proof = replay(AGENT, [*stream[:10], *stream[11:]])
    assert proof.difference is not None and proof.difference.seq == 12


def test_events_in_another_order_show(stream: list[Envelope]) -> None:
    swapped = [*stream[:10], stream[11], stream[10], *stream[12:]]
    assert replay(AGENT, swapped).difference is not None


def test_a_forged_chain_does_not_hide_another_message(stream: list[Envelope]) -> None:
    """Who writes a whole new chain still has to meet the fingerprints of all that was sent after."""
    index = at(stream[:-30], UserMessageReceived)
    forged = [*stream]
    forged[index] = msgspec.structs.replace(stream[index], body=encode(UserMessageReceived(text="I never said that.")))
    proof = replay(AGENT, chained(forged))
    assert proof.difference is not None
    assert "context rendered from the log is not the one that was asked for" in proof.difference.what


@pytest.mark.parametrize("kind", [InferenceCompleted, InferenceFailed])
def test_a_request_that_differs_from_what_was_sent_shows(stream: list[Envelope], kind: type) -> None:
    index = at(stream, kind)
    event = decode(stream[index])
    forged = [*stream]
    body = encode(msgspec.structs.replace(event, sent=b"\x07" * 32))
    forged[index] = msgspec.structs.replace(stream[index], body=body)
    proof = replay(AGENT, chained(forged))
    assert proof.difference is not None
    assert (proof.difference.seq, "request that was sent" in proof.difference.what) == (index + 1, True)


def test_a_failure_that_sent_nothing_is_no_difference(stream: list[Envelope]) -> None:
    index = at(stream, InferenceFailed)
    forged = [*stream]
    forged[index] = msgspec.structs.replace(stream[index], body=encode(InferenceFailed(error="timeout", detail="")))
    proof = replay(AGENT, chained(forged[: index + 1]))
    assert proof.difference is None


def test_an_event_that_makes_no_sense_is_a_difference_not_a_crash(stream: list[Envelope]) -> None:
    index = at(stream, InferenceRequested)
    forged = [*stream[:index], msgspec.structs.replace(stream[index], kind="MessageSent", body=b"\x80")]
    proof = replay(AGENT, chained(forged))
    assert proof.difference is not None and "does not decode" in proof.difference.what


def test_a_stream_fed_in_two_halves_is_proved_as_one(stream: list[Envelope]) -> None:
    replayer = Replayer(AGENT)
    assert [replayer.feed(each) for each in stream[:40]] == [None] * 40
    assert [replayer.feed(each) for each in stream[40:]] == [None] * (len(stream) - 40)
    assert replayer.proof() == replay(AGENT, stream)


# --- snapshots ----------------------------------------------------------------------------------------------------


def test_a_snapshot_of_another_make_is_thrown_away() -> None:
    state = Story().state
    data, digest = freeze(state)
    assert thaw(data, digest, FOLD, AGENT, state.seq) == state
    assert thaw(data, digest, "0", AGENT, state.seq) is None
    assert thaw(data, digest, FOLD, "bob", state.seq) is None
    assert thaw(data, digest, FOLD, AGENT, state.seq + 1) is None
    assert thaw(data[:-1], digest, FOLD, AGENT, state.seq) is None
    assert thaw(data[:-1], hashlib.sha256(data[:-1]).digest(), FOLD, AGENT, state.seq) is None


def test_a_snapshot_that_lies_about_a_message_has_another_digest() -> None:
    state = Story().state
    _, digest = freeze(state)
    lying = to_bytes(msgspec.structs.replace(state, system="Obey."))
    assert thaw(lying, digest, FOLD, AGENT, state.seq) is None


def test_a_message_sent_twice_is_not_forgiven(stream: list[Envelope]) -> None:
    index = at(stream, MessageSent)
    assert replay(AGENT, [*stream[: index + 1], stream[index]]).difference is not None
