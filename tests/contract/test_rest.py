"""Appends at rest: what was open elsewhere is owed by nobody here, and can still be closed."""

from __future__ import annotations

import pytest

from palimpsest.events.envelope import Draft
from palimpsest.store.logs.contract import Append, Appended, LogStore
from tests.contract.backends import PARTITION
from tests.contract.words import add, assert_sound, event, keys, outcomes


def at_rest(log: LogStore, *drafts: Draft) -> list[Appended]:
    (answers,) = log.append([Append(drafts, at_rest=True)])
    return answers


def test_what_is_opened_at_rest_is_owed_by_nobody(log: LogStore) -> None:
    assert outcomes(at_rest(log, event("in", opens="turn"), event("tea", opens="alarm"))) == ["appended"] * 2
    for topic in ("turn", "alarm"):
        assert log.open_requests(topic, PARTITION) == log.open_requests_of("ada", topic) == []
    assert [each.opens for each in log.read("ada")] == ["turn", "alarm"], "the events are what they were"
    assert_sound(log)


def test_what_is_closed_at_rest_need_not_be_open(log: LogStore) -> None:
    assert outcomes(at_rest(log, event("answer", closes="never-opened"))) == ["appended"]
    at_rest(log, event("in", opens="turn"))
    assert outcomes(at_rest(log, event("end", closes="in"))) == ["appended"]
    assert outcomes(add(log, event("end-2", closes="in"))) == ["closed"]


@pytest.mark.parametrize("reopened", [False, True])
def test_what_rests_can_be_closed_once(log: LogStore, reopened: bool) -> None:
    """A turn that rests is stopped, a timer called off: else whoever tries would try for ever."""
    at_rest(log, event("tea", opens="alarm"))
    if reopened:
        log.open_epoch()
    assert outcomes(add(log, event("off", closes="tea"))) == ["appended"]
    assert outcomes(add(log, event("off-2", closes="tea"))) == ["closed"]
    assert log.open_requests("alarm", PARTITION) == []


def test_what_comes_after_is_open_again(log: LogStore) -> None:
    at_rest(log, event("in", opens="turn"))
    add(log, event("in-2", opens="turn"))
    assert keys(log.open_requests("turn", PARTITION)) == ["in-2"]
