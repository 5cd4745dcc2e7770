"""A turn from its input to its end: heartbeats, rejections, caps, stops, queues, inputs too large for the window."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st

from palimpsest.events.codec import draft
from palimpsest.events.context import message_tokens
from palimpsest.events.decide import advance, decide
from palimpsest.events.envelope import answer_key
from palimpsest.events.eviction import budget_tokens
from palimpsest.events.evolve import fold
from palimpsest.events.inputs import text_of
from palimpsest.events.passages import chunks, input_text
from palimpsest.events.position import FIRST_PARTITION
from palimpsest.events.state import State
from palimpsest.events.types import (
    AlertRaised,
    AnswerRejected,
    EvictionStarted,
    FunctionCalled,
    FunctionFailed,
    FunctionReturned,
    HeartbeatRaised,
    InferenceCancelled,
    InputArchived,
    InputSkipped,
    MessageSent,
    RepetitionNoted,
    StopRequested,
    Timer,
    TimerFired,
    ToolCall,
    TurnEnded,
    TurnStarted,
    UploadFinished,
    Usage,
    UserLoggedIn,
    UserMessageReceived,
)
from palimpsest.events.vocabulary import Cut, NoAnswer
from palimpsest.store.logs.contract import Append
from tests.worlds.story import AGENT, MINUTE_MS, START_MS, Story, call, octets, quarter, say

# --- a plain turn -------------------------------------------------------------------------------------------------


def test_a_message_leads_to_an_answer_and_the_end() -> None:
    story = Story().says("How are you?").answers(say("Well."))
    assert story.kinds == [
        "UserMessageReceived", "TurnStarted", "InferenceRequested", "InferenceCompleted", "MessageSent", "TurnEnded",
    ]  # fmt: skip
    assert story.the(MessageSent) == MessageSent(text="Well.", call="say")
    assert story.the(TurnEnded) == TurnEnded(input=story.mark + 1, steps=1)
    assert not story.log.open_requests("turn", FIRST_PARTITION)


def test_every_event_of_a_turn_names_its_input_and_its_cause() -> None:
    story = Story().says("Look it up.").answers(call("conversation_search", query="it")).returns().settles()
    envelopes = story.log.read(AGENT, after=story.mark)
    said, started, asked, answered, called, returned = envelopes[:6]
    assert {e.turn for e in envelopes[1:]} == {said.seq}
    assert (started.cause, asked.cause, called.cause) == (said.key, said.key, said.key)
    assert (answered.closes, returned.closes, envelopes[-1].closes) == (asked.key, called.key, said.key)
    assert (asked.opens, called.opens) == ("inference", "storage")


def test_plain_text_counts_as_a_message_to_the_user() -> None:
    story = Story().says("Hello?").answers(content="Just text.")
    assert story.the(MessageSent) == MessageSent(text="Just text.")
    assert story.the(TurnEnded).reason == "yielded"


def test_content_beside_a_call_is_private() -> None:
    story = Story().says("Hello?").answers(say("Hi."), content="I should greet.")
    assert [event.text for event in story.all(MessageSent)] == ["Hi."]


def test_several_calls_are_carried_out_in_order() -> None:
    story = Story().says("I am Eve and I like tea.")
    story.answers(
        call("core_memory_append", "c1", name="human", content="Eve."),
        call("core_memory_append", "c2", name="human", content="Likes tea."),
        say("Noted.", "c3"),
    )
    assert story.state.blocks[1].value == "Eve.\nLikes tea."
    assert story.the(TurnEnded).steps == 1


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_an_empty_answer_is_rejected_and_leaves_no_trace_but_a_note(text: str) -> None:
    story = Story().says("Hello?")
    before = story.messages[:-1]
    story.answers(content=text)
    assert "empty" in story.the(AnswerRejected).reason
    assert story.messages[:-1] == before
    assert "empty" in msgspec.json.decode(story.messages[-1]["content"])["note"]
    story.answers(say("Here I am."))
    assert story.the(TurnEnded).reason == "yielded"
    story.says("Again.")
    assert "note" not in msgspec.json.decode(story.messages[-1]["content"])


def test_an_empty_answer_that_was_cut_off_is_told_so() -> None:
    story = Story().says("Hello?").answers(finish="length")
    assert "cut off at its length limit" in story.the(AnswerRejected).reason


def test_a_model_that_is_always_empty_ends_the_turn() -> None:
    story = Story(max_failures=3).says("Hello?")
    while story.phase:
        story.answers(content="")
    assert story.the(TurnEnded).reason == "failure_limit"
    assert len(story.all(AnswerRejected)) == 4


# --- heartbeats ---------------------------------------------------------------------------------------------------


def test_a_requested_heartbeat_gives_control_back() -> None:
    story = Story().says("I am Eve.")
    story.answers(call("core_memory_append", name="human", content="Eve.", request_heartbeat=True))
    assert story.the(HeartbeatRaised).reason == "requested"
    assert story.phase == "inferring"
    story.answers(say())
    assert story.the(TurnEnded).steps == 2


def test_without_a_heartbeat_the_turn_ends() -> None:
    story = Story().says("I am Eve.")
    story.answers(call("core_memory_append", name="human", content="Eve."), say())
    assert not story.all(HeartbeatRaised)


def test_any_call_of_an_answer_may_ask_for_the_heartbeat() -> None:
    story = Story().says("I am Eve.")
    story.answers(call("core_memory_append", name="human", content="Eve.", request_heartbeat="True"), say())
    assert story.the(HeartbeatRaised).reason == "requested"


def test_send_message_takes_no_heartbeat() -> None:
    story = Story().says("Hello?").answers(call("send_message", message="Hi.", request_heartbeat=True))
    assert story.the(TurnEnded).reason == "yielded"


def test_a_failed_call_is_told_at_once_also_without_a_heartbeat() -> None:
    story = Story().says("Fly!").answers(call("fly"), say("Done."))
    assert story.the(HeartbeatRaised).reason == "failed"
    assert [result["status"] for result in story.results[-2:]] == ["Failed", "OK"]


def test_failures_in_a_row_are_capped() -> None:
    story = Story(max_failures=2).says("Fly!")
    for _ in range(3):
        assert story.phase == "inferring"
        story.answers(call("fly"))
    assert story.the(TurnEnded).reason == "failure_limit"
    assert "3 times in a row" in story.the(TurnEnded).detail


def test_a_good_call_ends_the_row_of_failures() -> None:
    story = Story(max_failures=1).says("Fly!")
    for _ in range(4):
        story.answers(call("fly"))
        story.answers(call("list_timers", request_heartbeat=True))
    assert story.phase == "inferring"


def test_a_user_who_gets_no_word_is_brought_to_mind() -> None:
    story = Story().says("I am Eve.").answers(call("core_memory_append", name="human", content="Eve."))
    assert story.the(HeartbeatRaised).reason == "silent"
    assert "send_message" in story.messages[-2]["content"]
    story.answers(say("Noted."))
    assert story.the(TurnEnded).reason == "yielded"


def test_a_model_that_stays_silent_ends_the_turn() -> None:
    story = Story(max_failures=2).says("Hello?")
    while story.phase:
        story.answers(call("list_timers"))
    assert story.the(TurnEnded).reason == "failure_limit"


def test_an_event_that_no_user_sent_may_be_passed_over_in_silence() -> None:
    story = Story().comes(AlertRaised(text="Disk full.")).answers(call("list_timers"))
    assert story.the(TurnEnded).reason == "yielded"


# --- the first message --------------------------------------------------------------------------------------------


def test_a_first_answer_that_only_stores_is_carried_out_and_the_agent_is_asked_to_speak() -> None:
    story = Story(met=False).says("Hi.").answers(call("core_memory_append", name="human", content="Eve."))
    assert not story.all(AnswerRejected)
    assert story.state.blocks[1].value == "Eve."
    assert story.the(HeartbeatRaised).reason == "silent"
    story.answers(say("Hello!"))
    assert story.state.blocks[1].value == "Eve."
    assert (story.the(TurnEnded).reason, story.the(TurnEnded).steps) == ("yielded", 2)


def test_a_first_answer_may_look_something_up_before_it_speaks() -> None:
    story = Story(met=False).says("Hi.").answers(call("list_timers", request_heartbeat=True))
    assert not story.all(AnswerRejected)
    assert story.the(HeartbeatRaised).reason == "requested"


# --- answers that the server cut ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("finish", "by"),
    [("content_filter", "content filter"), ("length", "length limit"), ("interrupted", "server ended the message")],
)
def test_plain_text_that_was_cut_off_is_delivered_as_such_and_the_model_knows(finish: Cut, by: str) -> None:
    story = Story().says("Tell me.").answers(content="The pass", finish=finish)
    assert story.the(MessageSent) == MessageSent(text="The pass", cut=finish)
    assert story.the(TurnEnded).reason == "yielded"
    story.says("And?")
    assert by in story.messages[-3]["content"]
    assert story.messages[-4] == {"role": "assistant", "content": "The pass"}


@pytest.mark.parametrize("finish", ["content_filter", "interrupted"])
def test_a_message_behind_which_the_server_ended_the_answer_may_be_half_of_one(finish: Cut) -> None:
    story = Story().says("Tell me.")
    story.answers(say("First.", "c1"), say("The pass", "c2"), finish=finish)
    assert [event.cut for event in story.all(MessageSent)] == ["", finish]
    assert "as far as it went" in story.results[-1]["message"]


def test_a_message_that_is_closed_was_not_cut_by_the_length_limit() -> None:
    story = Story().says("Tell me.").answers(say("All of it."), finish="length")
    assert story.the(MessageSent).cut == ""


def test_a_call_that_the_filter_cut_off_is_told_so() -> None:
    story = Story().says("Tell me.")
    story.answers(ToolCall(id="c1", name="send_message", arguments='{"message": "The pa'), finish="content_filter")
    assert "content filter" in story.the(FunctionFailed).error


def test_an_answer_that_the_filter_held_back_is_told_so_and_so_is_the_user() -> None:
    story = Story(max_failures=1).says("Tell me.").answers(finish="content_filter")
    assert "content filter" in story.the(AnswerRejected).reason
    story.answers(finish="content_filter")
    assert story.the(TurnEnded).reason == "failure_limit"
    assert "content filter" in story.the(TurnEnded).detail


# --- going round in a circle --------------------------------------------------------------------------------------


def again() -> ToolCall:
    return call("core_memory_append", name="human", content="Likes tea.", request_heartbeat=True)


def note(story: Story) -> str:
    return str(msgspec.json.decode(story.messages[-1]["content"]).get("note", ""))


def test_the_same_call_is_told_at_the_third_and_ended_at_the_fifth() -> None:
    story = Story().says("I like tea.")
    for times in range(1, 5):
        story.answers(again())
        assert ("core_memory_append" in note(story)) == (times >= 3), times
    story.answers(again())
    assert [(event.name, event.times) for event in story.all(RepetitionNoted)] == [
        ("core_memory_append", 3), ("core_memory_append", 4),
    ]  # fmt: skip
    ended = story.the(TurnEnded)
    assert (ended.reason, ended.steps) == ("repeating", 5)
    assert ended.detail.startswith("5 times in this turn, always with the same result: core_memory_append({")
    assert story.state.blocks[1].value.count("tea") == 5


def test_another_turn_counts_anew() -> None:
    story = Story()
    for _ in range(4):
        story.says("I like tea.").answers(again()).answers(again()).answers(say())
    assert not story.all(RepetitionNoted)
    assert {event.reason for event in story.all(TurnEnded)} == {"yielded"}


def test_a_model_that_does_as_it_was_told_goes_on() -> None:
    story = Story().says("I like tea.")
    for _ in range(4):
        story.answers(again())
    story.answers(call("list_timers", request_heartbeat=True))
    assert note(story) == ""
    story.answers(say())
    assert story.the(TurnEnded).reason == "yielded"


def test_what_speaks_and_yields_is_not_ended_however_often_it_was_done() -> None:
    story = Story().says("I like tea.")
    for _ in range(4):
        story.answers(again())
    story.answers(call("core_memory_append", name="human", content="Likes tea."), say())
    assert story.the(TurnEnded).reason == "yielded"


def test_other_arguments_are_another_call_and_another_result_another_one() -> None:
    story = Story().says("Look through it.")
    for page in range(7):
        story.answers(call("conversation_search", query="tea", page=page, request_heartbeat=True))
        story.returns("Nothing.")
    for letter in "abcdefg":
        story.answers(call("conversation_search", query="key", request_heartbeat=True)).returns(f"The key is {letter}.")
    assert not story.all(RepetitionNoted)


@pytest.mark.parametrize("loop", [
    [[("list_timers", {})], [("conversation_search", {"query": "tea"})]],
    [[("list_timers", {}), ("conversation_search", {"query": "tea"})]],
    [[("list_timers", {})], [("list_documents", {})], [("conversation_search", {"query": "tea"})]],
], ids=["in turns", "in batches", "among failures"])  # fmt: skip
def test_a_circle_of_several_calls_is_one(loop: list[list[tuple[str, dict[str, str]]]]) -> None:
    story = Story(max_failures=40).says("Go round.")
    for _ in range(5):
        for answer in loop:
            if story.phase:
                story.answers(*(call(name, f"{name}-1", **given, request_heartbeat=True) for name, given in answer))
            while story.phase == "calling":
                story.returns("Nothing.")
    assert story.all(RepetitionNoted)
    assert story.the(TurnEnded).reason == "repeating"
    assert story.the(TurnEnded).steps == 4 * len(loop) + 1


def test_how_arguments_are_written_and_what_time_a_result_names_are_no_difference() -> None:
    story = Story().says("Wake me.")
    written = ['{"note":"tea","in_minutes":5}', '{"in_minutes": 5, "note": "tea"}', '{ "note":"tea" ,"in_minutes":5}']
    for number in range(5):
        arguments = written[number % 3].replace("}", ', "request_heartbeat": true}')
        story.answers(ToolCall(id="c1", name="set_timer", arguments=arguments))
        story.returns(f"Timer timer-{9 + number} is set for 2026-11-22 15:{29 + number}:15 UTC: tea")
    assert story.the(TurnEnded).reason == "repeating"


def test_a_call_that_fails_in_the_same_way_is_one_too() -> None:
    story = Story(max_failures=40).says("Fly!")
    for _ in range(5):
        story.answers(call("fly", where="moon"))
    assert story.the(TurnEnded).reason == "repeating"


def test_an_answer_of_the_same_call_many_times_over_is_told_before_its_turn_is_ended() -> None:
    story = Story().says("I like tea.")
    for step in range(2):
        story.answers(*(msgspec.structs.replace(again(), id=f"c{step}-{number}") for number in range(12)))
        assert story.state.blocks[1].value.count("tea") == 5
        assert len(story.all(FunctionFailed)) == 7 + 12 * step
    assert story.the(RepetitionNoted).name == "core_memory_append"
    assert (story.the(TurnEnded).reason, story.the(TurnEnded).steps) == ("repeating", 2)


def test_the_same_words_many_times_in_one_answer_are_all_said() -> None:
    story = Story().says("Say it ten times.").answers(*(say("It.", f"c{number}") for number in range(10)))
    assert len(story.all(MessageSent)) == 10
    assert story.the(TurnEnded).reason == "yielded"


@pytest.mark.parametrize(("told", "ended", "steps"), [(2, 3, 3), (0, 4, 4), (3, 0, 12), (0, 0, 12), (6, 4, 4)])
def test_both_limits_are_settings(told: int, ended: int, steps: int) -> None:
    story = Story(repeats_told=told, repeats_ended=ended, max_steps=12).says("I like tea.")
    while story.phase:
        story.answers(again())
    assert story.the(TurnEnded).steps == steps
    assert story.the(TurnEnded).reason == ("repeating" if ended else "step_limit")
    assert bool(story.all(RepetitionNoted)) == (0 < told <= steps)


# --- caps ---------------------------------------------------------------------------------------------------------


def test_steps_are_capped() -> None:
    story = Story(max_steps=3).says("Go on and on.")
    for _ in range(3):
        story.answers(call("list_timers", request_heartbeat=True))
    assert story.the(TurnEnded).reason == "step_limit"
    assert story.the(TurnEnded).steps == 3
    story.says("And now?")
    assert story.phase == "inferring"


def test_tokens_are_capped() -> None:
    story = Story(max_turn_tokens=1000).says("Go on.")
    used = Usage(prompt=400, completion=100)
    story.answers(call("list_timers", request_heartbeat=True), usage=used)
    story.answers(call("list_timers", request_heartbeat=True), usage=used)
    assert story.the(TurnEnded).reason == "token_limit"
    assert story.the(TurnEnded).tokens == 1000


@pytest.mark.parametrize("error", ["wrong_key", "unknown_model", "timeout", "bad_answer"])
def test_a_failed_inference_ends_the_turn_and_says_why(error: NoAnswer) -> None:
    story = Story().says("Hello?").fails(error, "Set OPENAI_API_KEY.")
    assert story.the(TurnEnded).reason == "inference_failed"
    assert story.the(TurnEnded).detail == f"{error}: Set OPENAI_API_KEY."
    assert story.says("Again?").phase == "inferring"


# --- stops --------------------------------------------------------------------------------------------------------


def test_a_stop_cancels_the_open_inference() -> None:
    story = Story().says("Hello?")
    asked = story.log.open_requests("inference", FIRST_PARTITION)[0].key
    story.stops("enough")
    assert story.the(InferenceCancelled).reason == "stopped by the user: enough"
    assert story.the(TurnEnded).reason == "stopped"
    assert story.log.find(AGENT, answer_key(asked)) is not None, "no answer may come after"
    assert story.says("Next.").phase == "inferring"


def test_a_stop_while_a_function_is_open_gives_every_call_a_result() -> None:
    story = Story().says("Search.")
    story.answers(say("Wait.", "c0"), call("conversation_search", "c1", query="x"), call("list_timers", "c2"))
    assert story.phase == "calling"
    story.stops()
    assert [event.call for event in story.all(FunctionFailed)] == ["c1", "c2"]
    assert not story.log.open_requests("storage", FIRST_PARTITION)
    assert story.says("Next.").phase == "inferring"


def test_a_stop_that_comes_with_the_answer_leaves_its_calls_undone() -> None:
    story = Story().says("Remember: Eve.")
    story.answers(call("core_memory_append", "c1", name="human", content="Eve."), say(id="c2"), stopped=True)
    assert [event.call for event in story.all(FunctionFailed)] == ["c1", "c2"]
    assert story.state.blocks[1].value == ""


@pytest.mark.parametrize("text", ["Some text.", ""])
def test_plain_text_that_a_stop_overtakes_was_never_said(text: str) -> None:
    story = Story().says("Hello?").answers(content=text, stopped=True)
    assert not story.all(MessageSent)
    assert [entry.kind for entry in story.state.queue][-1] == "input"
    assert story.the(TurnEnded).reason == "stopped"


def test_a_stop_while_a_summary_is_written_leaves_the_queue_whole() -> None:
    story = _until_summarising()
    queue = story.state.queue
    story.stops()
    assert story.the(InferenceCancelled)
    assert story.state.queue == queue
    assert story.state.eviction is None
    assert story.says("Next.").phase == "summarising"


def test_a_stop_without_a_turn_changes_nothing() -> None:
    story = Story().stops()
    assert story.kinds == ["StopRequested"]
    assert story.says("Next.").phase == "inferring"


def test_a_stop_that_comes_before_the_manager_has_begun_stops_that_turn() -> None:
    story = Story()
    said = draft(AGENT, story.now_ms, UserMessageReceived(text="Oh no"), key="in:1", opens="turn")
    also = draft(AGENT, story.now_ms, UserMessageReceived(text="Next"), key="in:2", opens="turn")
    story.appends(said, also, draft(AGENT, story.now_ms, StopRequested(), key="stop"))
    assert [event.reason for event in story.all(TurnEnded)] == ["stopped"]
    assert story.state.turn is not None and story.state.turn.input_key == "in:2"


def test_a_stop_is_for_one_turn_only() -> None:
    story = Story().says("One.").says("Two.").stops()
    assert [event.reason for event in story.all(TurnEnded)] == ["stopped"]
    assert story.phase == "inferring"


def test_a_stop_that_names_an_ended_turn_changes_nothing() -> None:
    story = Story().says("One.")
    assert story.state.turn is not None
    first = story.state.turn.input
    story.answers(say()).says("Two.").says("Three.").stops(input=first)
    assert [event.reason for event in story.all(TurnEnded)] == ["yielded"]
    assert story.phase == "inferring"
    assert [pending.stop for pending in story.state.pending] == [None]


def test_a_stop_is_for_the_turn_that_it_names_running_or_waiting() -> None:
    story = Story().says("One.").says("Two.").says("Three.")
    assert story.state.turn is not None
    running, (second, third) = story.state.turn.input, [pending.seq for pending in story.state.pending]
    story.stops(input=third).stops(input=running)
    assert [(event.input, event.reason) for event in story.all(TurnEnded)] == [(running, "stopped")]
    story.answers(say())
    assert {event.input: event.reason for event in story.all(TurnEnded)} == {
        running: "stopped",
        second: "yielded",
        third: "stopped",
    }


# --- the queue of inputs ------------------------------------------------------------------------------------------


def test_inputs_wait_in_order_and_one_inference_is_in_flight() -> None:
    story = Story().says("One.").says("Two.").comes(AlertRaised(text="Three."))
    assert len(story.requested()) == 1
    assert [text_of(pending.wire) for pending in story.state.pending] == ["Two.", "Three."]
    story.answers(say("1")).answers(say("2")).answers(say("3"))
    ended = [event.input for event in story.all(TurnEnded)]
    assert ended == sorted(ended) and len(ended) == 3


def test_a_search_hides_the_input_and_those_that_wait() -> None:
    story = Story().says("One.").says("Two.")
    story.answers(call("conversation_search", query="One"))
    assert story.the(FunctionCalled).hidden == (story.mark + 1, story.mark + 4)


def test_timed_heartbeats_are_skipped_while_they_are_paused() -> None:
    story = Story().says("Quiet, please.").answers(call("pause_heartbeats", minutes=30), say())
    beat = Timer(id="t1", due_ms=story.now_ms, note="tick", heartbeat=True)
    story.sets(beat).marks().fires(beat)
    assert story.kinds == ["TimerFired", "InputSkipped"]
    assert "paused" in story.the(InputSkipped).reason
    assert not story.log.open_requests("turn", FIRST_PARTITION)
    story.now_ms += 30 * MINUTE_MS
    late = msgspec.structs.replace(beat, due_ms=story.now_ms)
    assert story.sets(late).fires(late).phase == "inferring"


def test_other_timers_are_not_paused() -> None:
    story = Story().says("Quiet, please.").answers(call("pause_heartbeats", minutes=30), say())
    timer = Timer(id="t1", due_ms=story.now_ms, note="tea")
    assert story.sets(timer).fires(timer).phase == "inferring"


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (UserMessageReceived(text="hi", name="Eve"), {"type": "user_message", "message": "hi", "name": "Eve"}),
        (UserLoggedIn(), {"type": "login", "last_login": "never"}),
        (UploadFinished(source="a.pdf", detail="3 pages"), {"type": "upload", "source": "a.pdf", "detail": "3 pages"}),
        (AlertRaised(text="hot"), {"type": "system_alert", "message": "hot"}),
    ],
)
def test_inputs_are_packaged_as_memgpt_has_them(event: UserMessageReceived, shown: dict[str, str]) -> None:
    story = Story().comes(event)
    packaged = msgspec.json.decode(story.messages[-2]["content"])
    assert packaged == {**shown, "time": "2026-11-22 15:26:15 UTC"}


def test_a_timer_shows_its_note_and_when_it_was_due() -> None:
    timer = Timer(id="t1", due_ms=START_MS, note="tea")
    packaged = msgspec.json.decode(Story().sets(timer).fires(timer).messages[-2]["content"])
    assert packaged["note"] == "tea"
    assert packaged["due"] == "2026-11-22 15:24:15 UTC"


# --- inputs too large for the window ------------------------------------------------------------------------------


def test_an_input_larger_than_the_window_is_archived_and_its_first_page_shown() -> None:
    text = "".join(f"Sentence {number} of a long story. " for number in range(4000))
    story = Story().says(text)
    archived, started = story.the(InputArchived), story.the(TurnStarted)
    assert "".join(chunks(text, archived.ends)) == text
    assert started.first_chars in archived.ends
    packaged = msgspec.json.decode(story.messages[-2]["content"])
    assert packaged["message"] == text[: started.first_chars]
    assert f"of {len(text)} characters" in packaged["truncated"]
    assert story.state.archival_passages == len(archived.ends)
    assert story.answers(say()).the(TurnEnded).reason == "yielded"


PIECES = st.sampled_from(["word ", "\n", '"', "\\", "\x01", "🦊", "\u4e16", "e\u0301", "x" * 300, "One. Two.\n\n"])
TEXTS = st.tuples(st.lists(PIECES, min_size=1, max_size=8), st.integers(1, 1500)).map(lambda t: "".join(t[0]) * t[1])


@runs(max_examples=40, deadline=None)
@given(text=TEXTS, window=st.integers(3000, 12_000), count=st.sampled_from([quarter, octets]), how=st.integers(0, 3))
def test_any_input_in_any_window_leads_to_a_context_that_fits(text: str, window: int, count: object, how: int) -> None:
    size = window if count is quarter else window * 4
    story = Story(count=count, met=False, window_tokens=size, reserve_tokens=size // 8)  # type: ignore[arg-type]
    timer = Timer(id="t", due_ms=START_MS, note=text, heartbeat=how == 3)
    events = (UserMessageReceived(text=text), AlertRaised(text=text), UploadFinished(source=text, detail=text))
    event = (*events, TimerFired(timer=timer))[how]
    if isinstance(event, TimerFired):
        story.sets(timer).fires(timer)
    else:
        story.comes(event)
    assert story.phase == "inferring", story.the(TurnEnded)
    assert story.requested()[-1].tokens <= budget_tokens(story.state.settings)
    archived = story.all(InputArchived)
    if archived:
        assert archived[-1].ends[-1] == len(input_text(event))
        assert 0 < story.the(TurnStarted).first_chars <= len(text)
    assert story.answers(say()).the(TurnEnded).reason == "yielded"


def test_a_window_too_small_for_the_system_text_ends_the_turn_and_says_what_to_do() -> None:
    story = Story(met=False, system="Rules. " * 4000).says("Hi.")
    ended = story.the(TurnEnded)
    assert ended.reason == "window_too_small"
    assert "larger window" in ended.detail
    assert not story.requested()
    story.changes(window_tokens=32_768)
    assert story.says("Hi again.").phase == "inferring"


def test_a_window_that_is_made_too_small_in_the_middle_is_told_too() -> None:
    story = Story().says("Hi.")
    story.changes(window_tokens=600).answers(call("list_timers", request_heartbeat=True))
    assert story.the(TurnEnded).reason == "window_too_small"
    story.changes(window_tokens=4096)
    assert story.says("Hi.").settles().the(TurnEnded).reason == "yielded"


def test_a_memory_edit_never_pushes_the_turns_own_input_out_of_the_window() -> None:
    story = Story(window_tokens=6000, limit=20_000)
    story.says("word " * 1150)
    assert message_tokens(story.state.queue[-1].wire, story.state.settings, quarter) > 1400
    for number in range(20):
        content = f"{number % 10}" * 900
        story.answers(call("core_memory_append", name="human", content=content, request_heartbeat=True))
        while story.phase == "summarising":
            story.answers(content="Short.")
        if story.all(FunctionFailed):
            break
    assert "Condense core memory" in story.the(FunctionFailed).error
    assert story.phase == "inferring", story.the(TurnEnded)


# --- purity -------------------------------------------------------------------------------------------------------


def test_decide_is_asked_again_and_says_the_same() -> None:
    state = _waiting()
    assert decide(state, quarter) == decide(state, quarter) != ()
    assert advance(state, quarter, 1)[1] == advance(state, quarter, 1)[1]


def test_the_clock_of_the_shell_stands_in_no_body() -> None:
    early, late = advance(_waiting(), quarter, 1)[1], advance(_waiting(), quarter, 10**12)[1]
    assert [d.body for d in early] == [d.body for d in late]
    assert [d.time for d in early] != [d.time for d in late]


def test_a_waiting_agent_has_nothing_to_say() -> None:
    story = Story()
    assert decide(story.state, quarter) == ()
    assert decide(story.says("Hi.").state, quarter) == ()
    assert decide(story.answers(call("conversation_search", query="x")).state, quarter) == ()


# --- overflow -----------------------------------------------------------------------------------------------------


def test_a_providers_overflow_is_answered_with_an_eviction_and_another_try() -> None:
    story = Story().chats(5).says("And?").marks().fails("overflow", "too long")
    assert story.the(EvictionStarted).reason == "overflow"
    before = story.the(EvictionStarted).tokens
    story.answers(content="We talked.")
    assert story.phase == "inferring"
    assert story.requested()[-1].tokens < before
    assert story.answers(say()).the(TurnEnded).reason == "yielded"


def test_overflows_without_end_end_the_turn() -> None:
    story = Story().chats(8).says("And?").marks()
    overflows = 0
    while story.phase:
        if story.phase == "summarising":
            story.answers(content="We talked.")
        else:
            overflows += 1
            story.fails("overflow", "too long")
    assert story.the(TurnEnded).reason == "inference_failed"
    assert overflows <= 4


# --- pieces -------------------------------------------------------------------------------------------------------


def _waiting() -> State:
    """An agent with an input that nobody has looked at yet."""
    story = Story()
    said = draft(AGENT, START_MS, UserMessageReceived(text="Hi."), key="in:1", opens="turn")
    story.log.append([Append((said,))])
    return fold(story.log.read(AGENT)) or story.state


def _until_summarising() -> Story:
    story = Story()
    for number in range(60):
        story.says(f"{number}: " + "words " * 60)
        if story.phase == "summarising":
            return story.marks()
        story.answers(say())
    raise AssertionError("the window never filled up")


def test_a_late_return_after_a_stop_is_refused_by_the_log() -> None:
    story = Story().says("Search.").answers(call("conversation_search", query="x"))
    asked = story.log.open_requests("storage", FIRST_PARTITION)[0]
    story.stops()
    late = FunctionReturned(call="c1", result="found")
    made = draft(AGENT, story.now_ms, late, key=answer_key(asked.key), closes=asked.key)
    assert story.log.append([Append((made,))])[0][0].outcome == "closed"
