"""Promise 13: overload is refused at the door, before anything is acknowledged."""

from __future__ import annotations

import pytest

from palimpsest.actors.parts.door import AGAIN_S, LATER_AN_AGENT_MS, NEVER, Backlog
from palimpsest.events.envelope import Draft
from palimpsest.events.kinds import Kind
from palimpsest.events.vocabulary import DraftOutcome, Opens
from palimpsest.store.logs.contract import Append, Appended
from tests.worlds.positions import nth


def an_input(agent: str, key: str) -> Draft:
    return Draft(agent, 0, "UserMessageReceived", 1, key, b"", opens="turn")


def an_end(agent: str, key: str) -> Draft:
    return Draft(agent, 0, "TurnEnded", 1, key, b"", closes=key)


def door(*known: tuple[str, str], **limits: int) -> Backlog:
    return Backlog(lambda agent, key: (agent, key) in known, **limits)


def sent(to: Backlog, agent: str, key: str) -> bool:
    """Whether it is let in."""
    return not to.admit(Append((an_input(agent, key),)))[1]


def noted(to: Backlog, *drafts: Draft, outcome: DraftOutcome = "appended") -> None:
    to.note(drafts, [Appended(outcome, 1, nth(1)) for _ in drafts])


def test_an_agent_has_its_share_and_leaves_the_others_theirs() -> None:
    here = door(max_open_an_agent=2)
    assert [sent(here, "a", key) for key in "123"] == [True, True, False]
    assert sent(here, "b", "1")
    noted(here, an_input("a", "1"), an_end("a", "1"))
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
    here.opened("a", "0", 0)
    assert sent(here, "a", "1")
    noted(here, an_input("a", "1"), outcome="duplicate")
    assert not sent(here, "a", "2")


def test_what_answers_a_request_passes_and_is_counted() -> None:
    here = door(max_open_an_agent=1)
    here.opened("a", "0", 0)
    fired = Draft("a", 0, "TimerFired", 1, "a:alarm", b"", opens="turn", closes="alarm")
    assert here.admit(Append((fired, an_end("a", "0")))) == (Append((fired, an_end("a", "0"))), {})
    noted(here, fired, an_end("a", "0"))
    assert not sent(here, "a", "2")
    noted(here, an_end("a", "a:alarm"))
    assert sent(here, "a", "2")


def test_only_the_streams_that_must_wait_are_left_out() -> None:
    here = door(max_open_an_agent=1)
    here.opened("a", "0", 0)
    append = Append((an_input("a", "1"), an_input("b", "1")), {"a": 1, "b": 1})
    kept, refused = here.admit(append)
    assert kept == Append((an_input("b", "1"),), {"a": 1, "b": 1})
    assert list(refused) == ["a"]
    assert refused["a"] > 0


def test_a_full_queue_of_commits_refuses_too() -> None:
    here = door(max_waiting=10)
    here.waiting = 10
    assert not sent(here, "a", "1")


def test_the_end_of_what_was_never_owed_here_gives_no_room() -> None:
    """The turn of an import, say, which was at rest."""
    here = door(max_open_an_agent=1, max_open=2)
    noted(here, an_end("a", "theirs"))
    assert [sent(here, "a", key) for key in "12"] == [True, False]
    assert [sent(here, agent, "1") for agent in "bc"] == [True, False]


# --- bytes --------------------------------------------------------------------------------------------------------


def a_large_input(agent: str, key: str, size: int) -> Draft:
    return Draft(agent, 0, "UserMessageReceived", 1, key, b"x" * size, opens="turn")


def is_let_in(to: Backlog, agent: str, key: str, size: int) -> bool:
    return not to.admit(Append((a_large_input(agent, key, size),)))[1]


def test_an_agents_inputs_are_bounded_in_bytes_and_the_others_have_theirs() -> None:
    here = door(max_open_bytes_an_agent=100)
    assert [is_let_in(here, "a", key, 40) for key in "123"] == [True, True, False]
    assert is_let_in(here, "a", "4", 20)
    assert is_let_in(here, "b", "1", 100)


def test_all_inputs_together_are_bounded_in_bytes() -> None:
    here = door(max_open_bytes=100)
    assert [is_let_in(here, agent, "1", 40) for agent in "abc"] == [True, True, False]


def test_where_nothing_waits_one_input_comes_in_whatever_its_size() -> None:
    here = door(max_open_bytes_an_agent=100, max_open_bytes=100, max_waiting_bytes=100)
    assert is_let_in(here, "a", "1", 1000)
    assert not is_let_in(here, "a", "2", 1)


def test_bytes_are_given_back_when_a_turn_ends_or_the_log_did_not_take_the_input() -> None:
    here = door(max_open_bytes_an_agent=100)
    here.opened("a", "in:0", 60)  # read from the log at the start
    taken, lost, twice = (a_large_input("a", f"in:{key}", 20) for key in "123")
    assert [not here.admit(Append((each,)))[1] for each in (taken, lost)] == [True, True]
    here.note((taken,), [Appended("appended", 1, nth(1))])
    here.failed((lost,))
    assert not here.admit(Append((twice,)))[1]
    here.note((twice,), [Appended("duplicate", 1, nth(1))])
    assert not is_let_in(here, "a", "4", 21)
    noted(here, an_end("a", "in:0"))
    assert is_let_in(here, "a", "4", 80)
    assert not is_let_in(here, "a", "5", 1)


def test_what_waits_for_a_commit_is_bounded_in_bytes() -> None:
    here = door(max_waiting_bytes=100)
    waiting = (a_large_input("a", "1", 90),)
    here.queued(waiting)
    assert not is_let_in(here, "b", "1", 20)
    here.begun(waiting)
    assert (here.waiting, here.waiting_bytes) == (0, 0)
    assert is_let_in(here, "b", "1", 20)


# --- the retired


def an_event(agent: str, kind: Kind, *, opens: Opens = "", closes: str = "", cause: str = "") -> Draft:
    return Draft(agent, 0, kind, 1, f"{kind}:{closes}", b"", cause=cause, opens=opens, closes=closes)


def refused(to: Backlog, *drafts: Draft) -> dict[str, int]:
    return to.admit(Append(drafts))[1]


def test_a_retired_agent_gets_no_input_until_it_is_taken_back() -> None:
    here = door(("a", "old"))
    noted(here, an_event("a", "AgentRetired", opens="retirement"))
    assert refused(here, an_input("a", "1"), an_input("b", "1")) == {"a": NEVER}
    assert sent(here, "a", "old"), "what was acknowledged gets its old answer"
    noted(here, an_event("a", "AgentReinstated", closes="retire:1"))
    assert sent(here, "a", "2")


def test_who_is_retired_is_known_from_the_start() -> None:
    here = door()
    here.retired("a")
    assert not sent(here, "a", "1")


def test_what_comes_while_an_agent_is_retired_is_not_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would stand behind the retirement, and have no answer."""
    now = [100.0]
    monkeypatch.setattr("palimpsest.actors.parts.door.time.monotonic", lambda: now[0])
    here = door(("a", "old"))
    retirement = an_event("a", "AgentRetired", opens="retirement")
    assert refused(here, retirement) == {}
    assert refused(here, an_input("a", "1"), an_input("b", "1")) == {"a": LATER_AN_AGENT_MS}
    assert sent(here, "a", "old"), "what was acknowledged gets its old answer"
    noted(here, retirement, outcome="conflict")
    assert refused(here, an_input("a", "2")) == {"a": LATER_AN_AGENT_MS}, "it is tried again, and a busy one would win"
    now[0] += AGAIN_S
    assert sent(here, "a", "3"), "it was not tried again"
    assert refused(here, retirement) == {}
    here.failed([retirement])
    now[0] += AGAIN_S
    assert sent(here, "a", "4")
    assert refused(here, retirement) == {}
    noted(here, retirement)
    assert refused(here, an_input("a", "5")) == {"a": NEVER}


def test_a_retired_agent_gets_no_timer_but_with_its_return() -> None:
    here = door()
    here.retired("a")
    timer = an_event("a", "TimerSet", opens="alarm")
    assert refused(here, timer) == {"a": NEVER}
    assert refused(here, an_event("a", "AgentReinstated", closes="retire:1"), timer) == {}
    assert refused(here, an_event("a", "TurnEnded", closes="1")) == {}, "what came before is answered"


def test_what_is_refused_is_not_counted() -> None:
    here = door(max_open=1)
    here.retired("a")
    assert not sent(here, "a", "1")
    assert sent(here, "b", "1")
