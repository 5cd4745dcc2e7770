"""Promise 13: overload is refused at the door, before anything is acknowledged."""

from __future__ import annotations

from actors.door import Door
from events.envelope import Draft, Topic
from store.log import Append, Appended


def an_input(agent: str, key: str) -> Draft:
    return Draft(agent, 0, "UserMessageReceived", 1, key, b"", opens=Topic.TURN)


def an_end(agent: str, key: str) -> Draft:
    return Draft(agent, 0, "TurnEnded", 1, key, b"", closes=f"in:{key}")


def door(*known: tuple[str, str], **limits: int) -> Door:
    return Door(lambda agent, key: (agent, key) in known, **limits)


def sent(to: Door, agent: str, key: str) -> bool:
    """Whether it is let in."""
    return not to.admit(Append((an_input(agent, key),)))[1]


def noted(to: Door, *drafts: Draft, outcome: str = "appended") -> None:
    to.note(drafts, [Appended(outcome, 1, 1) for _ in drafts])


def test_an_agent_has_its_share_and_leaves_the_others_theirs() -> None:
    here = door(max_open_an_agent=2)
    assert [sent(here, "a", key) for key in "123"] == [True, True, False]
    assert sent(here, "b", "1")
    noted(here, an_end("a", "1"))
    assert [sent(here, "a", key) for key in "45"] == [True, False]


def test_the_total_counts_all_agents() -> None:
    here = door(max_open=3)
    assert [sent(here, agent, "1") for agent in "abcd"] == [True, True, True, False]


def test_what_the_log_did_not_take_counts_no_more() -> None:
    here = door(max_open_an_agent=1)
    assert sent(here, "a", "1")
    noted(here, an_input("a", "1"), outcome="conflict")
    assert sent(here, "a", "2")
    here.failed((an_input("a", "2"),))
    assert sent(here, "a", "3")
    assert not sent(here, "a", "4")


def test_what_was_acknowledged_is_let_in_when_it_is_sent_again() -> None:
    here = door(("a", "1"), max_open_an_agent=1)
    here.opened("a")
    assert sent(here, "a", "1")
    noted(here, an_input("a", "1"), outcome="duplicate")
    assert not sent(here, "a", "2")


def test_what_answers_a_request_passes_and_is_counted() -> None:
    here = door(max_open_an_agent=1)
    here.opened("a")
    fired = Draft("a", 0, "TimerFired", 1, "a:alarm", b"", opens=Topic.TURN, closes="alarm")
    assert here.admit(Append((fired, an_end("a", "1")))) == (Append((fired, an_end("a", "1"))), {})
    noted(here, fired, an_end("a", "1"))
    assert not sent(here, "a", "2")
    noted(here, an_end("a", "alarm"))
    assert sent(here, "a", "2")


def test_only_the_streams_that_must_wait_are_left_out() -> None:
    here = door(max_open_an_agent=1)
    here.opened("a")
    append = Append((an_input("a", "1"), an_input("b", "1")), {"a": 1, "b": 1})
    kept, refused = here.admit(append)
    assert kept == Append((an_input("b", "1"),), {"a": 1, "b": 1})
    assert list(refused) == ["a"]
    assert refused["a"] > 0


def test_a_full_queue_of_commits_refuses_too() -> None:
    here = door(max_waiting=10)
    here.waiting = 10
    assert not sent(here, "a", "1")
