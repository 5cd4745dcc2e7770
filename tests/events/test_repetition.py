"""events/repetition.py: what counts as the same call with the same result, and how often it was done."""

from __future__ import annotations

import pytest

from palimpsest.events.repetition import MOST_ACTS, acted, times_done
from palimpsest.events.state import Act
from palimpsest.events.types import ToolCall


def search(arguments: str, name: str = "archival_memory_search") -> ToolCall:
    return ToolCall(id="c1", name=name, arguments=arguments)


def done(*acts: tuple[ToolCall, str], ok: bool = True) -> tuple[Act, ...]:
    had: tuple[Act, ...] = ()
    for call, result in acts:
        had = acted(had, call, result, ok=ok)
    return had


FIRST = search('{"query": "red", "page": 0}')


@pytest.mark.parametrize(
    "again",
    [
        search('{"page":0,"query":"red"}'),
        search('{"query": "red", "page": 0, "request_heartbeat": true}'),
    ],
)
def test_order_spacing_and_the_wish_for_a_heartbeat_are_no_difference(again: ToolCall) -> None:
    acts = done((FIRST, "3 hits"), (again, "4 hits"))
    assert [act.times for act in acts] == [2], "nor are figures in the result"
    assert times_done(acts, FIRST) == 2


@pytest.mark.parametrize(
    ("again", "result"),
    [
        (search('{"query": "blue", "page": 0}'), "no hits"),
        (search('{"query": "red", "page": 0}', "conversation_search"), "no hits"),
        (FIRST, "other hits"),
        (search("no JSON at all"), "no hits"),
    ],
)
def test_another_call_or_another_result_is_another_act(again: ToolCall, result: str) -> None:
    acts = done((FIRST, "no hits"), (again, result))
    assert [act.times for act in acts] == [1, 1]
    assert times_done(acts, FIRST) == times_done(acts, again) == 0


def test_a_failure_is_not_the_success_that_reads_alike() -> None:
    acts = acted(done((FIRST, "no hits")), FIRST, "no hits", ok=False)
    assert [act.times for act in acts] == [1, 1]


def test_what_was_done_last_stands_last_and_the_oldest_are_forgotten() -> None:
    others = [(search(f'{{"query": "{"x" * number}"}}'), "no hits") for number in range(MOST_ACTS)]
    acts = done((FIRST, "no hits"), *others[:-1], (FIRST, "no hits"), others[-1])
    assert len(acts) == MOST_ACTS
    assert (acts[-2].times, times_done(acts, FIRST)) == (2, 2), "it was done again, and is not the oldest any more"
    assert times_done(done((FIRST, "no hits"), (FIRST, "no hits"), *others), FIRST) == 0
