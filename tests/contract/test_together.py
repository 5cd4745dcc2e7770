"""Appends that are to be taken together: over all their streams all or none."""

from __future__ import annotations

import pytest

from palimpsest.events.types import Parent
from palimpsest.store.logs.contract import LogStore
from tests.contract.backends import PARTITION
from tests.contract.words import add, assert_sound, event, events, keys, nth, outcomes

FAY = {"fay": Parent(agent="ada", seq=2)}


def test_what_can_be_taken_is_taken(log: LogStore) -> None:
    add(log, event("tea", opens="alarm"), event("more"))
    moved = (event("fork", "fay"), event("tea", "fay", opens="alarm"), event("gone", closes="tea"))
    assert outcomes(add(log, *moved, forks=FAY, expected={"ada": 2}, together=True)) == ["appended"] * 3
    assert [(each.stream, each.key) for each in log.open_requests("alarm", PARTITION)] == [("fay", "tea")]
    assert outcomes(add(log, *moved, forks=FAY, expected={"ada": 2}, together=True)) == ["duplicate"] * 3
    assert_sound(log)


@pytest.mark.parametrize("first", ["ada", "fay"])
@pytest.mark.parametrize(("expected", "closes", "why"), [(1, "", "conflict"), (2, "never-opened", "closed")])
def test_where_one_stream_is_refused_no_other_is_taken(
    log: LogStore, first: str, expected: int, closes: str, why: str
) -> None:
    add(log, *events(2))
    drafts = [event("gone", closes=closes), event("fork", "fay")]
    drafts.sort(key=lambda each: each.stream != first)
    answers = add(log, *drafts, forks=FAY, expected={"ada": expected}, together=True)
    assert {each.stream: answer.outcome for each, answer in zip(drafts, answers, strict=True)} == {
        "ada": why,
        "fay": "withheld",
    }
    assert log.read("fay") == []
    assert log.position(PARTITION) == nth(2)
    assert outcomes(add(log, event("fork", "fay"), forks=FAY)) == ["appended"], "nothing is left of what was not taken"
    assert keys(log.read("fay")) == ["e1", "e2", "fork"]
    assert_sound(log)


def test_what_is_there_of_it_already_is_told_so(log: LogStore) -> None:
    add(log, *events(1), *events(1, "bob"))
    answers = add(log, event("e1"), event("new", "bob"), event("x", "cyd"), expected={"cyd": 7}, together=True)
    assert outcomes(answers) == ["duplicate", "withheld", "conflict"]
    assert log.position(PARTITION) == nth(2)
