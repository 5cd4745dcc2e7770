"""The LLM processor without its shell: which inferences it runs, on which bytes, and how its answers enter the log."""

from __future__ import annotations

from msgspec.structs import replace

from palimpsest.events.codec import answer, draft
from palimpsest.events.envelope import answer_key
from palimpsest.events.inference import InferenceDesk, Job, job, sent
from palimpsest.events.position import FIRST_PARTITION
from palimpsest.events.types import InferenceCompleted, InferenceFailed, InferenceRequested, UserMessageReceived
from palimpsest.store.logs.contract import Append
from tests.worlds.story import AGENT, Story, call, say


def desk_on(story: Story) -> tuple[list[Job], list[tuple[str, str]]]:
    return InferenceDesk().take(story.log.read(AGENT))


def test_a_request_becomes_a_job_with_the_very_bytes_that_were_asked_for() -> None:
    story = Story(model="gpt-x", base_url="http://localhost:1").says("Hi.")
    jobs, cancelled = desk_on(story)
    asked = story.log.open_requests("inference", FIRST_PARTITION)[0]
    last = jobs[-1]
    assert cancelled == []
    assert (last.agent, last.key, last.turn, last.purpose) == (AGENT, asked.key, asked.turn, "reply")
    assert (last.model, last.base_url) == ("gpt-x", "http://localhost:1")
    assert last.request == story.request
    assert sent(last) == last.asked == story.the(InferenceRequested).fingerprint


def test_a_job_knows_its_count_and_whether_the_model_spoke_in_plain_text() -> None:
    story = Story().says("Hi.")
    first = desk_on(story)[0][-1]
    assert (first.tokens, first.plain) == (story.the(InferenceRequested).tokens, False)
    story.answers(content="Hello in plain text.").says("And now?")
    assert desk_on(story)[0][-1].plain
    story.answers(say()).says("And now?")
    assert not desk_on(story)[0][-1].plain


def test_a_summary_goes_to_its_own_model() -> None:
    story = Story(model="big", summarizer="small")
    while story.phase != "summarising":
        story.says("words " * 60)
        if story.phase == "inferring":
            story.answers(say())
    jobs, _ = desk_on(story)
    assert (jobs[-1].purpose, jobs[-1].model, jobs[0].model) == ("summary", "small", "big")
    assert b'"model":"small"' in jobs[-1].request


def test_an_answer_closes_its_request_and_a_second_one_is_dropped() -> None:
    story = Story().says("Hi.")
    done = desk_on(story)[0][-1]
    made = answer(done, InferenceCompleted(calls=(say(),), sent=sent(done)), 7)
    assert (made.key, made.closes, made.cause, made.turn, made.time) == (
        answer_key(done.key), done.key, done.key, done.turn, 7,
    )  # fmt: skip
    late = answer(done, InferenceFailed(error="timeout", detail="", sent=sent(done)), 8)
    outcomes = [story.log.append([Append((each,))])[0][0].outcome for each in (made, late, made)]
    assert outcomes == ["appended", "duplicate", "duplicate"]


def test_a_cancelled_inference_is_named() -> None:
    story = Story().says("Hi.")
    key = story.log.open_requests("inference", FIRST_PARTITION)[0].key
    assert desk_on(story.stops())[1] == [(AGENT, key)]


def test_an_answer_after_a_cancel_is_dropped() -> None:
    story = Story().says("Hi.")
    done = desk_on(story)[0][-1]
    story.stops()
    late = answer(done, InferenceCompleted(calls=(say(),), sent=sent(done)), 7)
    assert story.log.append([Append((late,))])[0][0].outcome == "duplicate"


def test_a_gap_is_for_the_caller_to_fill() -> None:
    story = Story().says("Hi.")
    envelopes = story.log.read(AGENT)
    desk = InferenceDesk()
    desk.take(envelopes[:2])
    behind = envelopes[4:]
    assert desk.missing(behind) == {AGENT: 4}
    assert desk.missing(envelopes[2:]) == {}


def test_events_that_were_taken_are_taken_once() -> None:
    story = Story().says("Hi.")
    desk = InferenceDesk()
    envelopes = story.log.read(AGENT)
    first, _ = desk.take(envelopes)
    again, _ = desk.take(envelopes)
    assert (len(first), again) == (2, [])


def test_an_agent_that_cannot_be_folded_is_set_down_and_the_others_are_served() -> None:
    good, bad = Story().says("Hi."), Story().says("Hi.")
    torn = [replace(each, stream="bob") for each in bad.log.read(AGENT)]
    torn[3] = replace(torn[3], body=b"\xc1")
    desk = InferenceDesk()
    jobs, _ = desk.take([*torn, *good.log.read(AGENT)])
    assert {each.agent for each in jobs} == {AGENT}
    assert set(desk.broken) == {"bob"}


def test_a_job_is_rendered_from_the_fold_up_to_its_request() -> None:
    """What comes after (another input, other settings) does not change what is sent."""
    story = Story().says("Hi.")
    before = desk_on(story)[0][-1]
    story.says("Another.").changes(model="other")
    asked = story.log.open_requests("inference", FIRST_PARTITION)[0]
    desk = InferenceDesk()
    desk.take(story.log.read(AGENT, to=asked.seq))
    state = desk.states.get(AGENT)
    assert state is not None
    assert job(state, asked, story.the(InferenceRequested)) == before


def test_an_input_alone_asks_for_nothing() -> None:
    story = Story()
    made = draft(AGENT, story.now_ms, UserMessageReceived(text="Hi."), key="in:9", opens="turn")
    story.log.append([Append((made,))])
    desk = InferenceDesk()
    desk.take(story.log.read(AGENT, to=story.mark))
    assert desk.take(story.log.read(AGENT, after=story.mark)) == ([], [])


# --- what follows from an answer ----------------------------------------------------------------------------------


def desk_and_job(story: Story) -> tuple[InferenceDesk, Job]:
    desk = InferenceDesk()
    jobs, _ = desk.take(story.log.read(AGENT))
    return desk, jobs[-1]


def test_what_ends_a_turn_comes_with_its_answer_as_the_memory_manager_would_decide_it() -> None:
    story = Story().says("Hi.")
    desk, done = desk_and_job(story)
    event = InferenceCompleted(calls=(say(),), sent=sent(done))
    drafts, expected = desk.followed(answer(done, event, story.now_ms), event, story.now_ms)
    assert [draft.kind for draft in drafts] == ["InferenceCompleted", "MessageSent", "TurnEnded"]
    assert expected == story.state.seq
    story.answers(say())
    assert [draft.key for draft in drafts[1:]] == [e.key for e in story.log.read(AGENT)[-2:]]
    assert [draft.body for draft in drafts[1:]] == [e.body for e in story.log.read(AGENT)[-2:]]


def test_a_search_is_asked_for_with_the_answer_that_calls_it() -> None:
    story = Story().says("Hi.")
    desk, done = desk_and_job(story)
    event = InferenceCompleted(calls=(call("conversation_search", query="x"),), sent=sent(done))
    drafts, expected = desk.followed(answer(done, event, 7), event, 7)
    assert [(draft.kind, draft.opens) for draft in drafts[1:]] == [("FunctionCalled", "storage")]
    assert expected is not None


def test_where_something_must_be_counted_the_answer_stands_alone() -> None:
    story = Story().says("Hi.")
    desk, done = desk_and_job(story)
    for made in (call("core_memory_append", name="human", content="x"), call("unheard_of")):
        event = InferenceCompleted(calls=(made,), sent=sent(done))
        drafts, expected = desk.followed(answer(done, event, 7), event, 7)
        assert ([draft.kind for draft in drafts], expected) == (["InferenceCompleted"], None)


def test_an_answer_to_a_request_that_is_not_open_any_more_stands_alone() -> None:
    story = Story().says("Hi.")
    desk, done = desk_and_job(story)
    event = InferenceCompleted(calls=(say(),), sent=sent(done))
    late = answer(replace(done, key="m1"), event, 7)
    assert desk.followed(late, event, 7) == ((late,), None)
    assert InferenceDesk().followed(late, event, 7) == ((late,), None), "of an agent that it does not hold"
