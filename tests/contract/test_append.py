"""Appending: order, idempotency, expectations, requests; what one append and one transaction take, and what not."""

from __future__ import annotations

from typing import cast

import pytest

from palimpsest.events.envelope import Draft
from palimpsest.events.kinds import Kind
from palimpsest.store.logs.contract import MUST_EXIST, Append, Appended, LogStore
from tests.contract.backends import PARTITION, Backend
from tests.contract.words import add, assert_sound, event, events, keys, nth, outcomes, snapshot

# --- append


def test_an_append_answers_each_draft_with_its_place(log: LogStore) -> None:
    answers = add(log, event("1"), event("1", "bob"), event("2"))
    assert answers == [
        Appended("appended", 1, nth(1)),
        Appended("appended", 1, nth(2)),
        Appended("appended", 2, nth(3)),
    ]
    assert_sound(log)


def test_every_field_comes_back(log: LogStore, backend: Backend) -> None:
    draft = Draft(
        "zoë/1", 1_790_000_000_123, cast(Kind, "Kind"), 7, "k\x00ey 'x'", bytes(range(256)), 5, "cause", "inference", ""
    )
    assert outcomes(add(log, draft)) == ["appended"]
    (envelope,) = log.read("zoë/1")
    fields = Draft.__struct_fields__
    assert [getattr(envelope, f) for f in fields] == [getattr(draft, f) for f in fields]
    assert backend.stored() == [("zoë/1", 1, 1, draft.key, draft.body)]


def test_a_transaction_answers_each_append_apart(log: LogStore) -> None:
    answers = log.append([Append((event("1"),)), Append(()), Append((event("2"), event("1", "bob")))])
    assert [outcomes(a) for a in answers] == [["appended"], [], ["appended", "appended"]]
    assert log.append([]) == []
    assert_sound(log)


def test_appends_of_one_transaction_see_one_another_in_order(log: LogStore) -> None:
    answers = log.append(
        [
            Append((event("1"),), {"ada": 0}),
            Append((event("2"),), {"ada": 0}),
            Append((event("3"),), {"ada": 1}),
            Append((event("3"),), {"ada": 1}),
        ]
    )
    assert [outcomes(a) for a in answers] == [["appended"], ["conflict"], ["appended"], ["duplicate"]]
    assert keys(log.read("ada")) == ["1", "3"]


def test_a_draft_that_cannot_be_encoded_spoils_nothing(log: LogStore) -> None:
    add(log, event("1"))
    with pytest.raises(ValueError, match="surrogates"):
        log.append([Append((event("2"),)), Append((event("\ud800"),))])
    assert outcomes(add(log, event("2"), expected={"ada": 1})) == ["appended"]
    assert_sound(log)


# --- idempotency


def test_a_key_that_the_stream_has_is_answered_with_its_place(log: LogStore) -> None:
    add(log, event("x", "bob"), event("1"), event("2"))
    assert add(log, event("2", body=b"other")) == [Appended("duplicate", 2, nth(3))]
    assert log.read("ada")[1].body == b"text"
    assert log.position(PARTITION) == nth(3)


def test_keys_are_a_streams_own(log: LogStore) -> None:
    assert outcomes(add(log, event("1"), event("1", "bob"))) == ["appended", "appended"]


def test_a_key_twice_in_one_append_is_taken_once(log: LogStore) -> None:
    assert add(log, event("1"), event("1"), event("2")) == [
        Appended("appended", 1, nth(1)),
        Appended("duplicate", 1, nth(1)),
        Appended("appended", 2, nth(2)),
    ]


def test_a_key_twice_in_a_refused_append_is_refused_twice(log: LogStore) -> None:
    assert add(log, event("1"), event("1"), expected={"ada": 7}) == [Appended("conflict", 0)] * 2


@pytest.mark.parametrize("expected", [0, 1, 7, MUST_EXIST])
def test_a_retry_is_answered_before_any_expectation(log: LogStore, expected: int) -> None:
    add(log, event("1"), event("2"))
    assert outcomes(add(log, event("1"), event("2"), expected={"ada": expected})) == ["duplicate", "duplicate"]


def test_a_retry_is_answered_before_any_request(log: LogStore) -> None:
    add(log, event("ask", opens="inference"))
    assert outcomes(add(log, event("answer", closes="ask"))) == ["appended"]
    assert outcomes(add(log, event("answer", closes="ask"))) == ["duplicate"]


def test_of_an_append_that_is_partly_there_the_rest_follows_if_the_stream_is_as_expected(log: LogStore) -> None:
    add(log, event("1"))
    assert add(log, event("1"), event("2"), expected={"ada": 1}) == [
        Appended("duplicate", 1, nth(1)),
        Appended("appended", 2, nth(2)),
    ]


def test_of_an_append_that_is_partly_there_the_rest_conflicts_if_the_stream_has_gone_on(log: LogStore) -> None:
    add(log, event("1"))
    answers = add(log, event("1"), event("2"), event("3"), expected={"ada": 0})
    assert answers == [Appended("duplicate", 1, nth(1)), Appended("conflict", 1), Appended("conflict", 1)]
    assert log.position(PARTITION) == nth(1)


# --- expectations


@pytest.mark.parametrize(
    ("before", "expected", "outcome"),
    [
        (0, 0, "appended"),
        (0, 1, "conflict"),
        (0, MUST_EXIST, "conflict"),
        (2, 0, "conflict"),
        (2, 1, "conflict"),
        (2, 2, "appended"),
        (2, 3, "conflict"),
        (2, MUST_EXIST, "appended"),
    ],
)
def test_an_expected_seq(log: LogStore, before: int, expected: int, outcome: str) -> None:
    add(log, *events(before))
    (answer,) = add(log, event("new"), expected={"ada": expected})
    assert answer.outcome == outcome
    assert answer.seq == (before + 1 if outcome == "appended" else before)
    assert_sound(log)


def test_a_conflict_refuses_all_of_its_stream_and_nothing_of_another(log: LogStore) -> None:
    answers = add(log, event("1"), event("1", "bob"), event("2"), expected={"ada": 4, "carol": 9})
    assert outcomes(answers) == ["conflict", "appended", "conflict"]
    assert [head.stream for head in log.heads()] == ["bob"]


def test_a_conflict_comes_before_a_closed_request(log: LogStore) -> None:
    assert outcomes(add(log, event("1", closes="nothing"), expected={"ada": 4})) == ["conflict"]


# --- requests


def test_a_request_is_open_until_it_is_answered(log: LogStore) -> None:
    add(log, event("ask", opens="inference"), event("more", opens="storage"))
    assert keys(log.open_requests("inference", PARTITION)) == ["ask"]
    assert log.open_requests("inference", PARTITION) == log.read("ada", to=1)
    add(log, event("answer", closes="ask"))
    assert log.open_requests("inference", PARTITION) == []
    assert keys(log.open_requests("storage", PARTITION)) == ["more"]


def test_open_requests_stand_by_position_and_can_be_had_for_one_agent(log: LogStore) -> None:
    add(log, *(event(f"{n}", agent, opens="timer") for n, agent in enumerate(["bob", "ada", "bob"])))
    assert [(e.stream, e.key) for e in log.open_requests("timer", PARTITION)] == [
        ("bob", "0"),
        ("ada", "1"),
        ("bob", "2"),
    ]
    assert keys(log.open_requests_of("bob", "timer")) == ["0", "2"]
    assert log.open_requests_of("nobody", "timer") == []


def test_a_second_answer_is_closed_out_with_all_of_its_append(log: LogStore) -> None:
    add(log, event("ask", opens="inference"))
    add(log, event("answer", closes="ask"))
    answers = add(log, event("note"), event("answer-2", closes="ask"), event("1", "bob"))
    assert answers == [Appended("closed", 2), Appended("closed", 2), Appended("appended", 1, nth(3))]
    assert_sound(log)


@pytest.mark.parametrize("closes", ["never-opened", "note", "self"])
def test_what_is_no_request_cannot_be_closed(log: LogStore, closes: str) -> None:
    add(log, event("note"))
    assert outcomes(add(log, event("self", opens="inference", closes=closes))) == ["closed"]
    assert log.open_requests("inference", PARTITION) == []


def test_a_request_of_another_stream_cannot_be_closed(log: LogStore) -> None:
    add(log, event("ask", opens="inference"))
    assert outcomes(add(log, event("answer", "bob", closes="ask"))) == ["closed"]
    assert keys(log.open_requests("inference", PARTITION)) == ["ask"]


def test_a_request_may_be_answered_in_the_append_that_opens_it_but_not_before(log: LogStore) -> None:
    ask, answer = event("ask", opens="inference"), event("answer", closes="ask")
    assert outcomes(add(log, answer, ask)) == ["closed", "closed"]
    assert outcomes(add(log, ask, answer)) == ["appended", "appended"]
    assert log.open_requests("inference", PARTITION) == []
    assert outcomes(add(log, event("again", closes="ask"))) == ["closed"]


def test_two_answers_in_one_append_are_refused_together(log: LogStore) -> None:
    add(log, event("ask", opens="inference"))
    assert outcomes(add(log, event("a", closes="ask"), event("b", closes="ask"))) == ["closed", "closed"]
    assert keys(log.open_requests("inference", PARTITION)) == ["ask"]


def test_requests_are_opened_and_closed_across_the_appends_of_a_transaction(log: LogStore) -> None:
    answers = log.append(
        [
            Append((event("ask", opens="inference"),)),
            Append((event("a", closes="ask"), event("next", opens="inference"))),
            Append((event("b", closes="ask"),)),
        ]
    )
    assert [outcomes(a) for a in answers] == [["appended"], ["appended", "appended"], ["closed"]]
    assert keys(log.open_requests("inference", PARTITION)) == ["next"]


# --- what is committed with it


def test_a_cursor_is_committed_whatever_became_of_the_drafts(log: LogStore) -> None:
    assert log.cursor("memory", PARTITION) == nth(0)
    add(log, event("1"), cursor=("memory", nth(3)))
    assert log.cursor("memory", PARTITION) == nth(3)
    assert outcomes(add(log, event("2"), expected={"ada": 9}, cursor=("memory", nth(5)))) == ["conflict"]
    assert log.cursor("memory", PARTITION) == nth(5)
    add(log, cursor=("memory", nth(6)))
    add(log, cursor=("index", nth(2)))
    assert (log.cursor("memory", PARTITION), log.cursor("index", PARTITION)) == (nth(6), nth(2))
    add(log, cursor=("memory", nth(0)))
    assert log.cursor("memory", PARTITION) == nth(0)


def test_a_snapshot_is_saved_with_what_was_appended(log: LogStore) -> None:
    drafts = [event("1"), event("2")]
    add(log, *drafts, snapshots=[snapshot(2), snapshot(1, "bob")])
    assert log.snapshots("ada") == [snapshot(2)]
    assert log.snapshots("bob") == []


def test_a_snapshot_is_not_saved_with_a_refusal_or_a_retry(log: LogStore) -> None:
    add(log, event("1"))
    add(log, event("2"), expected={"ada": 7}, snapshots=[snapshot(2)])
    add(log, event("2", closes="nothing"), snapshots=[snapshot(2)])
    add(log, event("1"), snapshots=[snapshot(1)])
    assert log.snapshots("ada") == []


def test_a_commit_tells_what_it_wrote_in_its_place(log: LogStore) -> None:
    committed = log.commit([Append((event("a"), event("b", "bob"))), Append((event("a"),)), Append((event("c"),))])
    assert [[each.outcome for each in answers] for answers in committed.answers] == [
        ["appended", "appended"],
        ["duplicate"],
        ["appended"],
    ]
    assert committed.envelopes == log.tail(nth(0), 10)[0]
