"""A title and a retirement in the pure core: what is answered still, what is skipped, and that no timer can ring."""

from __future__ import annotations

from msgspec.structs import replace

from palimpsest.events.codec import decode, draft
from palimpsest.events.decide import advance
from palimpsest.events.envelope import GENESIS, place
from palimpsest.events.evolve import evolve
from palimpsest.events.forks import DROPPED, KEPT
from palimpsest.events.functions.timers import NO_TIMER
from palimpsest.events.lifecycle import RETIRED, reinstating, retiring
from palimpsest.events.position import FIRST_PARTITION
from palimpsest.events.state import State, from_bytes, to_bytes
from palimpsest.events.types import (
    AgentForked,
    AgentReinstated,
    AgentRetired,
    FunctionFailed,
    FunctionReturned,
    InferenceRequested,
    InputSkipped,
    MessageSent,
    Parent,
    Timer,
    TimerCancelled,
    TimerSet,
    TitleChanged,
    TurnEnded,
    UserMessageReceived,
)
from palimpsest.events.vocabulary import TimersGo
from palimpsest.store.logs.contract import Append
from tests.worlds.positions import nth
from tests.worlds.simulated import count
from tests.worlds.story import AGENT, MINUTE_MS, START_MS, Story, call, say

TEA = Timer(id="tea", due_ms=2_000_000_000_000, note="the tea", every_s=3600)


def test_a_title_is_shown_to_nobody_but_people() -> None:
    plain, titled = Story().says("Hello."), Story().happens(TitleChanged(title="Ada of the desk")).says("Hello.")
    assert titled.state.title == "Ada of the desk"
    assert titled.request == plain.request
    assert titled.happens(TitleChanged()).state.title == ""


def test_what_a_retired_agent_gets_is_skipped_without_an_inference() -> None:
    story = Story().retires("moved on").marks().says("Are you there?").says("Hello?")
    assert [event.reason for event in story.all(InputSkipped)] == [RETIRED, RETIRED]
    assert not story.all(InferenceRequested)
    assert story.state.pending == ()
    assert not story.log.open_requests("turn", FIRST_PARTITION)


def test_what_came_before_the_retirement_is_answered() -> None:
    story = Story().marks().says("One.").says("Two.").retires().says("Three.")
    story.answers(say("1")).answers(say("2"))
    assert [sent.text for sent in story.all(MessageSent)] == ["1", "2"]
    assert [ended.reason for ended in story.all(TurnEnded)] == ["yielded", "yielded"]
    assert len(story.all(InputSkipped)) == 1


def test_an_agent_that_is_taken_back_goes_on() -> None:
    story = Story().retires().says("Lost.").returns_to_work().marks().says("Hello.").answers(say("Hi."))
    assert story.the(MessageSent).text == "Hi."
    assert story.state.retired is None
    assert not story.log.open_requests("retirement", FIRST_PARTITION)


def test_the_log_lists_the_retired_and_no_alarm_of_theirs() -> None:
    story = Story().sets(TEA).retires("on holiday")
    assert [envelope.stream for envelope in story.log.open_requests("retirement", FIRST_PARTITION)] == [AGENT]
    assert not story.log.open_requests("alarm", FIRST_PARTITION)
    assert story.the(AgentRetired) == AgentRetired(reason="on holiday", timers=(TEA,))
    assert story.the(TimerCancelled).timer_id == "tea"
    assert story.state.retired is not None and story.state.retired.timers == (TEA,)


def test_its_timers_are_set_again_when_it_is_taken_back() -> None:
    later = replace(TEA, due_ms=TEA.due_ms + 3_600_000)
    story = Story().sets(TEA).retires().returns_to_work(later).marks()
    assert [alarm.timer for alarm in story.state.alarms] == [later]
    key = story.state.alarms[0].key
    assert [envelope.key for envelope in story.log.open_requests("alarm", FIRST_PARTITION)] == [key]


def test_a_call_that_is_about_to_set_a_timer_fails_and_the_timer_is_refused_with_it() -> None:
    story = Story().says("Remind me.").answers(call("set_timer", note="tea", in_minutes=5, request_heartbeat=True))
    (asked,) = story.log.open_requests("timer", FIRST_PARTITION)
    story.retires()
    assert story.the(FunctionFailed).error == NO_TIMER
    late = [
        draft(AGENT, 1, FunctionReturned(call="c1", result="Set."), key=f"a:{asked.key}", closes=asked.key),
        draft(AGENT, 1, TimerSet(timer=TEA), key="alarm:late", opens="alarm"),
    ]
    assert {answer.outcome for answer in story.log.append([Append(tuple(late))])[0]} == {"closed"}
    story.answers(say("I cannot any more."))
    assert story.the(TurnEnded).reason == "yielded"


def test_no_timer_is_set_by_a_turn_that_goes_on_after_the_retirement() -> None:
    story = Story().says("Remind me.").retires()
    story.answers(call("set_timer", note="tea", in_minutes=5), say("Done.", "c2"))
    assert story.the(FunctionFailed).error == NO_TIMER
    assert not story.all(TimerSet)


def test_ids_that_are_made_of_seqs_leave_titles_and_retirements_out() -> None:
    """So that a rerun, whose fork begins with a retirement of its own, has its recording's bytes."""
    plain = Story()
    other = Story().happens(TitleChanged(title="Ada")).retires().returns_to_work()
    for story in (plain, other):
        story.now_ms = START_MS
        story.says("Look.").answers(call("conversation_search", "", query="words", request_heartbeat=True)).returns("-")
    assert plain.request == other.request


def test_a_retirement_survives_a_snapshot() -> None:
    state = Story().sets(TEA).retires("x").state
    assert from_bytes(to_bytes(state)) == state


# --- forks


def forked(state: State, timers: TimersGo = DROPPED) -> State:
    event = AgentForked(parent=Parent(agent=AGENT, seq=state.seq), hash=b"", timers=timers)
    made = draft("fay", 1, event, key="fork")
    return evolve(state, place(made, state.seq + 1, nth(1), GENESIS), event)


def test_a_fork_of_a_retired_agent_is_not_retired() -> None:
    assert forked(Story().retires().state).retired is None


def test_a_retired_fork_takes_up_nothing_of_its_parent_s_for_an_input_that_comes_late() -> None:
    fork = forked(Story().sets(TEA).says("Think.").state, KEPT)
    for made in retiring(fork, 1, opened=()):
        fork = evolve(fork, place(made, fork.seq + 1, nth(1), GENESIS), decode(made))
    assert fork.retired is not None and fork.retired.timers == (TEA,), "what it kept is remembered"
    late = draft("fay", 1, UserMessageReceived(text="Hello?"), key="in:1", opens="turn")
    fork = evolve(fork, place(late, fork.seq + 1, nth(1), GENESIS), decode(late))
    after, drafts = advance(fork, count, MINUTE_MS)
    assert [made.kind for made in drafts] == ["InputSkipped"]
    assert drafts[0].turn == fork.seq, "it is told of its own input, and not of its parent's turn"
    assert after.unadopted == fork.unadopted
    assert fork.unadopted is not None and fork.unadopted.alarms == ()


def test_taking_back_twice_is_taken_once() -> None:
    story = Story().sets(TEA).retires()
    before = story.state
    story.returns_to_work(TEA)
    assert story.the(AgentReinstated)
    assert before.retired is not None
    again = tuple(reinstating(before, 1, (replace(TEA, due_ms=TEA.due_ms + 1),)))
    assert {answer.outcome for answer in story.log.append([Append(again, {AGENT: before.seq})])[0]} == {"duplicate"}
