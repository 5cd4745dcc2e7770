"""Each function with good calls and bad ones: what it changes, and errors that teach."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.events.answers import MAX_ID_CHARS, named, package_answer
from palimpsest.events.codec import draft
from palimpsest.events.formats import BRIEF, NEWBORN, NUMBERED, SEARCH_FILTERS, Format
from palimpsest.events.functions import BadCall, Call, arguments_of, check, function_named, given_by, schemas, topic
from palimpsest.events.functions.catalogue import FUNCTIONS
from palimpsest.events.functions.timers import MAX_TIMERS
from palimpsest.events.loose_json import MAX_DEPTH
from palimpsest.events.passages import chunks
from palimpsest.events.position import FIRST_PARTITION
from palimpsest.events.types import (
    ArchivalMemoryInserted,
    CoreMemoryAppended,
    CoreMemoryReplaced,
    FunctionCalled,
    FunctionFailed,
    FunctionReturned,
    HeartbeatsPaused,
    MessageSent,
    Timer,
    TimerCancelled,
    TimerSet,
    ToolCall,
    TurnEnded,
)
from tests.worlds.story import AGENT, MINUTE_MS, Story, call, say


def raw(name: str, text: str, id: str = "c1") -> ToolCall:
    """A call as a model writes it when it writes no JSON."""
    return ToolCall(id=id, name=name, arguments=text)


def error_of(*calls: ToolCall, **options: str) -> str:
    """What the model is told of the first call that fails."""
    story = Story().says("Go.").answers(*calls, **options)  # type: ignore[arg-type]
    return story.all(FunctionFailed)[0].error


def parameters(format: Format, *, sources: bool = False) -> dict[str, list[str]]:
    """The functions that an agent of this format is offered, each with its parameters."""
    listed = (each["function"] for each in schemas(given_by(format, sources=sources), format))
    return {each["name"]: list(each["parameters"]["properties"]) for each in listed}


# --- schemas ------------------------------------------------------------------------------------------------------


def test_who_said_it_and_when_are_for_those_whose_format_has_it() -> None:
    def offered(*parts: str) -> list[str]:
        return parameters(parts)["conversation_search"]

    filters = {"who": "user", "start_date": "2026-11-01", "end_date": "2026-11-22"}
    call = ToolCall(id="c", name="conversation_search", arguments=json.dumps({"query": "tea", **filters}))
    assert offered() == offered(BRIEF, SEARCH_FILTERS) == ["query", "page", "request_heartbeat"]
    assert offered(SEARCH_FILTERS) == ["query", "who", "start_date", "end_date", "page", "request_heartbeat"]
    for parts, taken in (((), {}), ((SEARCH_FILTERS,), filters), ((BRIEF, SEARCH_FILTERS), {})):
        checked = check(call, FUNCTIONS, parts)
        assert isinstance(checked, Call)
        assert checked.arguments == {"query": "tea", **taken}


def test_names_and_parameters_are_memgpts() -> None:
    listed = parameters(NEWBORN)
    beat = "request_heartbeat"
    assert {name: listed[name] for name in list(listed)[:8]} == {
        "send_message": ["message"],
        "pause_heartbeats": ["minutes"],
        "core_memory_append": ["name", "content", beat],
        "core_memory_replace": ["name", "old_content", "new_content", beat],
        "conversation_search": ["query", "who", "start_date", "end_date", "page", beat],
        "conversation_search_date": ["start_date", "end_date", "page", beat],
        "archival_memory_insert": ["content", beat],
        "archival_memory_search": ["query", "page", beat],
    }
    assert list(listed)[8:] == ["set_timer", "cancel_timer", "list_timers"]


def test_functions_for_documents_are_offered_only_where_a_source_is_attached() -> None:
    listed = parameters(NEWBORN, sources=True)
    assert list(listed) == [*parameters(NEWBORN), "list_documents", "open_document", "grep_documents"]
    assert listed["list_documents"] == ["page", "request_heartbeat"]
    assert listed["open_document"] == ["document", "page", "place", "request_heartbeat"]
    assert listed["grep_documents"] == ["text", "document", "page", "request_heartbeat"]


def test_every_function_has_its_part() -> None:
    asked = {function.name: topic(function) for function in FUNCTIONS if topic(function)}
    assert asked == {
        "conversation_search": "storage",
        "conversation_search_date": "storage",
        "archival_memory_search": "storage",
        "list_documents": "storage",
        "open_document": "storage",
        "grep_documents": "storage",
        "set_timer": "timer",
    }
    assert topic(function_named("send_message")) == topic(function_named("no_such_function")) == ""


def test_timed_heartbeats_are_offered_from_format_2_on() -> None:
    def offered(format: Format) -> list[str]:
        return parameters(format)["set_timer"]

    assert offered(NUMBERED[2]) == [
        "note",
        "in_minutes",
        "at",
        "every_minutes",
        "cron",
        "heartbeat",
        "request_heartbeat",
    ]
    assert offered(NUMBERED[1]) == ["note", "in_minutes", "at", "every_minutes", "cron", "request_heartbeat"]


@pytest.mark.parametrize(("format", "asked"), [(1, None), (2, True)])
def test_an_agent_of_an_earlier_format_sets_the_timers_that_it_always_set(format: int, asked: bool | None) -> None:
    story = Story(format=format).says("Go.").answers(call("set_timer", note="x", every_minutes=5, heartbeat="true"))
    assert story.the(FunctionCalled).arguments.get("heartbeat") is asked


def test_a_timed_heartbeat_is_listed_as_one() -> None:
    story = Story().sets(Timer(id="t1", due_ms=0, note="look", every_s=300, heartbeat=True))
    story.says("Go.").answers(call("list_timers", request_heartbeat=True))
    assert "every 5 minutes, timed heartbeat)" in story.the(FunctionReturned).result


# --- core memory --------------------------------------------------------------------------------------------------


def test_append_puts_old_text_newline_new_text() -> None:
    story = Story(human="Eve.").says("I like tea.")
    story.answers(call("core_memory_append", name="human", content="Likes tea."), say())
    assert story.the(CoreMemoryAppended) == CoreMemoryAppended(call="c1", label="human", text="Likes tea.")
    assert story.state.blocks[1].value == "Eve.\nLikes tea."
    story.says("And?")
    assert (
        '<human characters="15/2000" description="What the agent knows of the user.">\nEve.\nLikes tea.\n</human>'
        in story.messages[0]["content"]
    )


def test_append_over_the_limit_changes_nothing_and_says_both_sizes() -> None:
    story = Story(human="x" * 1990).says("More.")
    story.answers(call("core_memory_append", name="human", content="y" * 20), say())
    error = story.the(FunctionFailed).error
    assert "exceeds the 2000 character limit of 'human' (requested 2011)" in error
    assert "archival_memory_insert" in error
    assert story.state.blocks[1].value == "x" * 1990


def test_append_up_to_the_limit_is_taken() -> None:
    story = Story(human="x" * 1990).says("More.")
    story.answers(call("core_memory_append", name="human", content="y" * 9), say())
    assert len(story.state.blocks[1].value) == 2000


def test_append_that_would_crowd_the_window_changes_nothing() -> None:
    story = Story(limit=50_000).says("More.")
    story.answers(call("core_memory_append", name="human", content="y" * 12_000), say())
    assert "of the window" in story.the(FunctionFailed).error
    assert story.state.blocks[1].value == ""


@pytest.mark.parametrize("name", ["core_memory_append", "core_memory_replace"])
def test_an_unknown_section_is_answered_with_those_there_are(name: str) -> None:
    error = error_of(call(name, name="pets", content="x", old_content="x", new_content="y"))
    assert error == "There is no section 'pets' in core memory. The sections are: persona, human."


def test_an_empty_append_is_refused() -> None:
    assert "content is empty" in error_of(call("core_memory_append", name="human", content=""))


def test_replace_takes_the_exact_text() -> None:
    story = Story(human="Eve likes tea.").says("Coffee now.")
    story.answers(call("core_memory_replace", name="human", old_content="tea", new_content="coffee"), say())
    assert story.the(CoreMemoryReplaced) == CoreMemoryReplaced(call="c1", label="human", old="tea", new="coffee")
    assert story.state.blocks[1].value == "Eve likes coffee."


def test_replace_by_nothing_deletes() -> None:
    story = Story(human="Eve likes tea.").says("No more.")
    story.answers(call("core_memory_replace", name="human", old_content=" likes tea", new_content=""), say())
    assert story.state.blocks[1].value == "Eve."


@pytest.mark.parametrize(
    ("old", "says"),
    [
        ("coffee", "was not found in 'human', which was not changed"),
        ("TEA", "It must match exactly, with case"),
        ("e", "found 5 times in 'human', which was not changed"),
        ("", "old_content is empty"),
    ],
)
def test_a_replace_that_cannot_be_made_changes_nothing(old: str, says: str) -> None:
    story = Story(human="Eve likes tea, see?").says("Change it.")
    story.answers(call("core_memory_replace", name="human", old_content=old, new_content="x"), say())
    assert says in story.the(FunctionFailed).error
    assert story.state.blocks[1].value == "Eve likes tea, see?"


def test_a_replace_over_the_limit_changes_nothing() -> None:
    error = error_of(call("core_memory_replace", name="persona", old_content="Ada", new_content="x" * 2000))
    assert "exceeds the 2000 character limit of 'persona'" in error


def test_a_giant_section_is_not_read_back_whole() -> None:
    story = Story(human="x" * 1900).says("Change it.")
    story.answers(call("core_memory_replace", name="human", old_content="y", new_content="z"), say())
    assert len(story.the(FunctionFailed).error) < 700


# --- messages, heartbeats, passages -------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_message_is_refused(text: str) -> None:
    assert "The message is empty" in error_of(say(text))


@pytest.mark.parametrize(("asked", "given"), [(30, 30), (360, 360), (9999, 360), (0, 0), ("45", 45), (45.0, 45)])
def test_heartbeats_are_paused_for_at_most_six_hours(asked: object, given: int) -> None:
    story = Story().says("Hush.").answers(call("pause_heartbeats", minutes=asked), say())
    paused = story.the(HeartbeatsPaused)
    assert (paused.minutes, paused.until_ms) == (given, story.now_ms + given * MINUTE_MS)
    assert story.state.heartbeats_paused_until_ms == paused.until_ms


@pytest.mark.parametrize("minutes", [-1, "soon", None, 1.5, True, 1e300, 10**400])
def test_a_pause_of_no_time_is_refused(minutes: object) -> None:
    arguments = f'{{"minutes": {minutes}}}' if isinstance(minutes, int) and minutes > 9 else ""
    bad = raw("pause_heartbeats", arguments) if arguments else call("pause_heartbeats", minutes=minutes)
    assert "minutes" in error_of(bad)


def test_an_insert_is_cut_into_passages() -> None:
    text = "A sentence of some length about things. " * 100
    story = Story().says("Keep this.").answers(call("archival_memory_insert", content=text), say())
    inserted = story.the(ArchivalMemoryInserted)
    assert "".join(chunks(text, inserted.ends)) == text
    assert story.state.archival_passages == len(inserted.ends) == 4


def test_an_empty_insert_is_refused() -> None:
    assert "content is empty" in error_of(call("archival_memory_insert", content=" "))


# --- searches -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("page", "taken"), [(2, 2), ("2", 2), (2.0, 2), (" 2 ", 2), (None, None)])
def test_a_page_may_be_spelled_in_several_ways(page: object, taken: int | None) -> None:
    story = Story().says("Look.").answers(call("conversation_search", query="x", page=page))
    expected = {"query": "x"} if taken is None else {"query": "x", "page": taken}
    assert story.the(FunctionCalled).arguments == expected


@pytest.mark.parametrize("page", ["two", 1.5, [1], {"a": 1}, True, "nan", "inf"])
def test_a_page_that_is_no_number_is_refused(page: object) -> None:
    assert "'page' of conversation_search must be of type integer" in error_of(
        call("conversation_search", query="x", page=page)
    )


def test_a_search_asks_storage_and_its_result_joins_the_queue() -> None:
    story = Story().says("Look.").answers(call("archival_memory_search", query="tea", request_heartbeat=True))
    assert story.phase == "calling"
    after = story.returns("Showing 1 of 1")
    assert story.results[-1] == {"status": "OK", "message": "Showing 1 of 1", "time": "2026-11-22 15:26:15 UTC"}
    assert after.phase == "inferring"


def test_a_part_may_refuse_and_the_model_is_told() -> None:
    story = Story().says("Look.").answers(call("conversation_search_date", start_date="x", end_date="y"))
    story.refuses("start_date 'x' is not a date")
    assert story.results[-1]["status"] == "Failed"
    assert story.phase == "inferring"


def test_the_results_of_many_calls_fit_the_window_together() -> None:
    searches = [call("conversation_search", f"c{n}", query="x", request_heartbeat=True) for n in range(6)]
    story = Story().says("Look.").answers(*searches)
    while story.phase == "calling":
        story.returns("x" * 100_000)
    assert sum(len(event.result) for event in story.all(FunctionReturned)) <= 3584 // 2
    assert story.phase == "inferring"


# --- timers -------------------------------------------------------------------------------------------------------


def set_timer(story: Story, timer: Timer) -> Story:
    """The timer actor's answer: the result, and the timer in the same append."""
    key = f"alarm:{timer.id}:{timer.due_ms}"
    made = draft(AGENT, story.now_ms, TimerSet(timer=timer), key=key, opens="alarm")
    return story.returns(f"Timer {timer.id} is set.", made)


def test_a_timer_is_set_listed_and_cancelled() -> None:
    story = Story().says("Remind me.").answers(call("set_timer", note="tea", in_minutes=5, request_heartbeat=True))
    set_timer(story, Timer(id="t1", due_ms=story.now_ms, note="tea", every_s=300))
    story.answers(call("list_timers", request_heartbeat=True))
    assert story.the(FunctionReturned).result == (
        "Timers that are set:\nt1: tea (next 2026-11-22 15:26:15 UTC, every 5 minutes)"
    )
    story.answers(call("cancel_timer", timer="t1"), say())
    assert story.the(TimerCancelled) == TimerCancelled(timer_id="t1", call="c1")
    assert story.state.alarms == ()
    assert not story.log.open_requests("alarm", FIRST_PARTITION)


def test_a_timer_that_is_not_there_cannot_be_cancelled() -> None:
    assert error_of(call("cancel_timer", timer="t9")) == "There is no timer 't9'. No timers are set."


def test_a_timer_that_fired_is_gone() -> None:
    timer = Timer(id="t1", due_ms=1, note="tea")
    story = Story().sets(timer).fires(timer)
    assert story.state.alarms == ()
    assert story.answers(say()).the(TurnEnded).reason == "yielded"


def test_two_timers_of_one_id_are_two_until_each_has_fired() -> None:
    one, two = Timer(id="t", due_ms=1, note="a"), Timer(id="t", due_ms=2, note="b")
    story = Story().sets(one).sets(two).fires(one).settles()
    assert [alarm.timer.note for alarm in story.state.alarms] == ["b"]
    assert story.fires(two).settles().state.alarms == ()


def test_timers_are_limited() -> None:
    story = Story()
    for number in range(MAX_TIMERS):
        story.sets(Timer(id=f"t{number}", due_ms=number, note="tea"))
    story.says("One more.").answers(call("set_timer", note="x", in_minutes=1), say())
    assert f"{MAX_TIMERS} timers are set" in story.the(FunctionFailed).error


# --- calls that are none ------------------------------------------------------------------------------------------


def test_an_unknown_function_is_answered_with_those_there_are() -> None:
    error = error_of(call("fly_to_the_moon"), say())
    assert "There is no function 'fly_to_the_moon'" in error
    assert all(function.name in error for function in FUNCTIONS if not function.sources)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"message": "cut', "not a JSON object"),
        ("[1, 2]", "they are a list, no object at character 1"),
        ('"hello"', "the object that is written as a text is none"),
        ("hello", "not a JSON object"),
        ("", "needs 'message' (string); given: nothing"),
        ('{"text": "hi"}', "needs 'message' (string); given: text"),
        ('{"message": null}', "needs 'message'"),
        ('{"message": ["hi"]}', "must be of type string"),
        ('{"message": ' + "[" * 5000 + "]" * 5000 + "}", f"nested more than {MAX_DEPTH} deep"),
        ("[" * 100_000, "they are a list"),
        ('{"message": "\\ud800"}', "not a JSON object"),
    ],
)
def test_arguments_that_are_none_get_an_error_that_teaches(text: str, says: str) -> None:
    story = Story().says("Go.").answers(raw("send_message", text))
    error = story.the(FunctionFailed).error
    assert says in error
    assert 'send_message({"message": string})' in error or "type string" in error
    assert story.phase == "inferring"
    calls = story.messages[-4]["tool_calls"]
    assert isinstance(msgspec.json.decode(calls[0]["function"]["arguments"]), dict), "providers take nothing else"


def test_a_call_that_was_cut_off_is_told_so() -> None:
    error = error_of(raw("send_message", '{"message": "a long sto'), finish="length")
    assert "cut off at its length limit: say less at once" in error


def test_numbers_and_booleans_are_taken_as_text() -> None:
    story = Story().says("Go.").answers(raw("send_message", '{"message": 42}'))
    assert story.the(MessageSent).text == "42"


@pytest.mark.parametrize(
    ("spelled", "beats"),
    [(True, True), ("true", True), (" True ", True), (False, False), ("no", False), (1, False), ([], False)],
)
def test_a_heartbeat_may_be_spelled_as_text(spelled: object, beats: bool) -> None:
    checked = check(call("list_timers", request_heartbeat=spelled), FUNCTIONS, NEWBORN)
    assert isinstance(checked, Call)
    assert checked.heartbeat is beats


@given(name=st.sampled_from([*(f.name for f in FUNCTIONS), "other"]), text=st.text(max_size=200))
def test_no_text_whatever_breaks_the_check(name: str, text: str) -> None:
    assert isinstance(check(raw(name, text), FUNCTIONS, NEWBORN), (Call, BadCall))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = sorted({parameter.name for function in FUNCTIONS for parameter in function.parameters})


@given(name=st.sampled_from([f.name for f in FUNCTIONS]), given_=st.dictionaries(st.sampled_from(NAMES), JSON))
def test_a_checked_call_has_what_it_needs_with_its_type(name: str, given_: dict[str, object]) -> None:
    checked = check(raw(name, msgspec.json.encode(given_).decode()), FUNCTIONS, NEWBORN)
    if isinstance(checked, Call):
        types: dict[str, type | tuple[type, ...]] = {"string": str, "integer": int, "number": (int, float)}
        for parameter in checked.function.parameters:
            assert parameter.name in checked.arguments or not parameter.required
            if parameter.name in checked.arguments:
                assert isinstance(checked.arguments[parameter.name], types[parameter.type])


@given(depth=st.integers(1, 100))
def test_nesting_is_bounded_by_rule_whatever_stack_it_stands_on(depth: int) -> None:
    text = '{"a":' * depth + '"[[[ {{{ \\" ["' + "}" * depth
    assert isinstance(arguments_of(text), dict) == (depth <= MAX_DEPTH)


def test_nesting_is_measured_in_time_that_grows_with_the_text() -> None:
    assert isinstance(arguments_of('"' + '\\"[' * 200_000), str)
    assert isinstance(arguments_of('{"a": "' + "{[" * 200_000 + '"}'), dict)


# --- ids ----------------------------------------------------------------------------------------------------------


def test_every_call_gets_an_id_of_its_own() -> None:
    story = Story().says("Go.")
    answered = story.state.seq + 1
    story.answers(
        say("1", ""), say("2", "same"), say("3", "same"), say("4", "x" * 1000), say("5", f"call_{answered}_0")
    )
    ids = [event.call for event in story.all(MessageSent)]
    assert ids == [f"call_{answered}_0", "same", f"call_{answered}_2", f"call_{answered}_3", f"call_{answered}_4"]
    assert [event.text for event in story.all(MessageSent)] == ["1", "2", "3", "4", "5"]


@given(ids=st.lists(st.sampled_from(["", "a", "call_7_0", "call_7_1", "call_7_2", "call_7_1x", "y" * 65])))
def test_ids_are_never_shared(ids: list[str]) -> None:
    calls = tuple(named([ToolCall(id=id, name="f", arguments="{}") for id in ids], 7))
    assert len({each.id for each in calls}) == len(ids)
    assert all(0 < len(each.id) <= MAX_ID_CHARS for each in calls)


@pytest.mark.parametrize(("name", "shown"), [("send message!", "send_message_"), ("", "unnamed"), ("x" * 99, "x" * 64)])
def test_names_go_back_in_a_form_that_providers_take(name: str, shown: str) -> None:
    wire = msgspec.json.decode(package_answer("", (ToolCall(id="a", name=name, arguments="{}"),), NEWBORN))
    assert wire["tool_calls"][0]["function"]["name"] == shown
    assert wire["content"] == ""
