"""The envelope: what the chain covers, and that it never changes (old logs must verify for ever)."""

from __future__ import annotations

import msgspec
import pytest

from palimpsest.events.envelope import GENESIS, Draft, Envelope, answer_key, chain, place
from tests.worlds.positions import nth

DRAFT = Draft("ada", 1_700_000_000_000, "MessageSent", 1, "t1.0", b"\x81\xa4text\xa2hi", 1, "t1", "inference", "t0")

OTHER = {
    "stream": "bob",
    "time": 1_700_000_000_001,
    "kind": "MessageSeen",
    "version": 2,
    "key": "t1.1",
    "body": b"\x81\xa4text\xa2ho",
    "turn": 2,
    "cause": "t2",
    "opens": "storage",
    "closes": "t3",
}


def test_the_chain_is_pinned() -> None:
    first = chain(GENESIS, 1, DRAFT)
    assert first.hex() == "3d48b74f920fea394be0d6841dd056423b2d3066c97cb07cffc3bc7a49fb0cc8"
    assert chain(first, 2, DRAFT).hex() == "cf2441f21f0d883545af9c71c2190a030ba924a98401beb2f19b1eed8b7462f7"


def test_every_field_of_a_draft_is_listed_here() -> None:
    assert set(OTHER) == set(Draft.__struct_fields__)


@pytest.mark.parametrize("field", sorted(OTHER))
def test_the_chain_covers_every_field(field: str) -> None:
    altered = msgspec.structs.replace(DRAFT, **{field: OTHER[field]})
    assert chain(GENESIS, 1, altered) != chain(GENESIS, 1, DRAFT)


def test_the_chain_covers_the_past_and_the_seq_and_leaves_the_position_out() -> None:
    assert chain(b"\x01" * 32, 1, DRAFT) != chain(GENESIS, 1, DRAFT)
    assert chain(GENESIS, 2, DRAFT) != chain(GENESIS, 1, DRAFT)
    assert place(DRAFT, 1, nth(5), GENESIS).hash == place(DRAFT, 1, nth(6), GENESIS).hash


def test_bytes_cannot_move_from_one_field_to_the_next() -> None:
    moved = msgspec.structs.replace(DRAFT, cause="t1i", opens="nference")
    assert chain(GENESIS, 1, moved) != chain(GENESIS, 1, DRAFT)


def test_place_keeps_the_draft_and_chains_it() -> None:
    envelope = place(DRAFT, 3, nth(7), GENESIS)
    assert {field: getattr(envelope, field) for field in OTHER} == msgspec.structs.asdict(DRAFT)
    assert (envelope.seq, envelope.position) == (3, nth(7))
    assert envelope.hash == chain(GENESIS, 3, DRAFT) == chain(GENESIS, 3, envelope)


def test_envelopes_and_drafts_cross_a_process_whole() -> None:
    envelope = place(DRAFT, 3, nth(7), GENESIS)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(envelope), type=Envelope) == envelope
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(DRAFT), type=Draft) == DRAFT


def test_an_answers_key_follows_from_its_requests() -> None:
    assert answer_key("t1.0") == answer_key("t1.0") != answer_key("t1.1")
    assert answer_key("t1.0") != "t1.0"
