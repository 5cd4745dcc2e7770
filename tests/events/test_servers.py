"""events/servers.py: fail-over to another server, the way back, and a summariser at a server of its own."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from palimpsest.events.addresses import addresses_in
from palimpsest.events.inference import Job, job
from palimpsest.events.replay import replay
from palimpsest.events.servers import all_of, chosen, served, summarizer
from palimpsest.events.settings import flaw
from palimpsest.events.types import (
    EvictionStarted,
    InferenceRequested,
    MessageSent,
    Server,
    ServerSwitched,
    Settings,
    SummaryWritten,
    TurnEnded,
)
from palimpsest.events.vocabulary import NoAnswer
from tests.worlds.story import AGENT, MINUTE_MS, Story, call, say

LOCAL = Server(model="llama3", base_url="http://b/v1", output_parameter="max_tokens", token_margin=1.3)
THIRD = Server(model="offline")


def story(*fallbacks: Server, **changes: Any) -> Story:
    given: dict[str, Any] = {"model": "gpt-4o", "base_url": "http://a/v1", "fallbacks": fallbacks, **changes}
    return Story(**given).marks()


def job_of(told: Story) -> Job:
    return job(told.state, told.log.open_requests_of(AGENT, "inference")[0], told.the(InferenceRequested))


def asked(told: Story) -> tuple[str, str]:
    """The model and the server of the open request, as the LLM processor finds them; the request names that model."""
    found = job_of(told)
    assert msgspec.json.decode(found.request)["model"] == found.model
    return found.model, found.base_url


def proved(told: Story) -> Story:
    """The whole stream replays, and each request is what was sent."""
    proof = replay(AGENT, told.log.read(AGENT))
    assert proof.difference is None
    assert proof.state == told.state
    return told


MENDED = [
    "unreachable",
    "timeout",
    "server_error",
    "rate_limited",
    "wrong_key",
    "unknown_model",
    "bad_request",
    "bad_answer",
]


@pytest.mark.parametrize("error", MENDED)
def test_the_same_turn_asks_the_next_server(error: NoAnswer) -> None:
    told = story(LOCAL).says("Hello?")
    assert asked(told) == ("gpt-4o", "http://a/v1")
    before = told.messages
    told.fails(error, "No connection.")
    assert told.the(ServerSwitched).reason == f"{error}: No connection."
    assert asked(told) == ("llama3", "http://b/v1")
    assert told.messages == before, "the other server gets the same context"
    told.answers(say("Here."))
    assert (told.the(TurnEnded).reason, told.the(MessageSent).text) == ("yielded", "Here.")
    proved(told)


def test_the_request_is_made_for_the_server_that_is_asked() -> None:
    told = story(LOCAL).says("Hello?")
    assert b'"max_completion_tokens":512}' in told.request
    told.fails()
    assert b'"max_tokens":512}' in told.request
    assert told.state.settings.token_margin == 1.3
    assert chosen(told.state).model == "gpt-4o"


def test_the_next_turn_goes_on_with_the_fallback_until_it_is_time_to_try_the_first_again() -> None:
    told = story(LOCAL, return_after_s=600).says("One.")
    told.fails().answers(say())
    for _ in range(9):
        told.says("More.")
        assert asked(told)[0] == "llama3"
        told.answers(say())
    told.says("Ten minutes after.")
    assert told.the(ServerSwitched) == ServerSwitched(server=0, settings=chosen(told.state))
    assert asked(told)[0] == "gpt-4o"
    told.answers(say())
    assert (told.state.chosen, told.state.server, told.state.switched_ms) == (None, 0, 0)
    proved(told)


def test_a_first_server_that_is_still_down_is_left_again_for_as_long() -> None:
    told = story(LOCAL, return_after_s=60).says("One.").fails().answers(say())
    told.says("Two.")
    assert asked(told)[0] == "gpt-4o"
    told.fails()
    assert asked(told)[0] == "llama3"
    told.answers(say())
    told.now_ms -= MINUTE_MS - 1000  # the next message comes a second later
    told.says("Three.")
    assert asked(told)[0] == "llama3"
    proved(told.answers(say()))


def test_no_time_at_all_tries_the_first_with_every_turn() -> None:
    told = story(LOCAL, return_after_s=0).says("One.").fails().answers(say()).says("Two.")
    assert asked(told)[0] == "gpt-4o"


def test_all_servers_down_is_one_line_that_names_each_and_the_next_turn_begins_with_the_first() -> None:
    told = story(LOCAL, THIRD).says("Hello?")
    told.fails("unreachable", "http://a/v1: No connection.")
    told.fails("timeout", "http://b/v1: No answer within 600 s.")
    assert asked(told)[0] == "offline"
    told.fails("bad_answer", "It broke.")
    ended = told.the(TurnEnded)
    assert ended.reason == "inference_failed"
    assert ended.detail == (
        "None of 3 servers answered. 1. unreachable: http://a/v1: No connection. | 2. timeout: http://b/v1: No answer "
        "within 600 s. | 3. bad_answer: It broke."
    )
    told.says("And now?")
    assert asked(told)[0] == "gpt-4o"
    proved(told.answers(say()))


def test_a_fallback_that_fails_later_is_followed_by_those_behind_it_and_then_by_the_first() -> None:
    told = story(LOCAL, THIRD).says("One.").fails().answers(say()).says("Two.")
    assert asked(told)[0] == "llama3"
    told.fails()
    assert asked(told)[0] == "offline"
    told.fails()
    assert asked(told)[0] == "gpt-4o"
    proved(told.answers(say()))


def test_without_fallbacks_the_turn_ends_as_it_did() -> None:
    told = story().says("Hello?").fails("unreachable", "No connection.")
    assert told.the(TurnEnded).detail == "unreachable: No connection."
    assert not told.all(ServerSwitched)
    assert told.state.switched_ms == 0


def test_a_smaller_window_is_made_room_for_first() -> None:
    small = replace(LOCAL, window_tokens=3000)
    told = story(small, THIRD, window_tokens=9000, reserve_tokens=500).chats(40).marks().says("Hello?")
    assert told.phase == "inferring"
    told.fails()
    assert told.kinds[-4:] == ["ServerSwitched", "FormatChanged", "EvictionStarted", "InferenceRequested"]
    assert told.requested("summary")
    assert asked(told)[0] == "llama3", "the fallback's own model sums up"
    told.answers(content="We said much.")
    assert asked(told)[0] == "llama3"
    assert told.the(InferenceRequested).tokens <= 3000 - 500
    proved(told.answers(say()))


def test_a_message_that_does_not_fit_the_fallback_goes_to_one_with_more_room() -> None:
    small, large = replace(LOCAL, window_tokens=2600), replace(THIRD, model="big", base_url="http://c/v1")
    told = story(small, large, window_tokens=12_000, reserve_tokens=500).says("long words " * 900)
    assert not told.all(EvictionStarted)
    told.fails()
    while told.phase == "summarising":
        told.answers(content="We met.")
    assert [event.server for event in told.all(ServerSwitched)] == [1, 2]
    assert told.the(ServerSwitched).reason.startswith("window_too_small: ")
    assert asked(told)[0] == "big"
    proved(told.answers(say()))


def test_a_message_that_fits_no_fallback_says_what_failed_too() -> None:
    told = story(replace(LOCAL, window_tokens=2600), window_tokens=12_000, reserve_tokens=500)
    told.says("long words " * 900).fails("unreachable", "No connection.")
    while told.phase == "summarising":
        told.answers(content="We met.")
    ended = told.the(TurnEnded)
    assert ended.reason == "window_too_small"
    assert "1. unreachable: No connection." in ended.detail
    proved(told)


def test_an_overflow_is_answered_with_an_eviction_before_another_server_is_asked() -> None:
    told = story(LOCAL).chats(6).marks().says("Hello?").fails("overflow", "Too long.")
    assert told.all(EvictionStarted)
    assert not told.all(ServerSwitched)


def test_a_switch_in_the_middle_of_a_turn_keeps_what_was_done() -> None:
    told = story(LOCAL).says("Look for it.")
    told.answers(call("conversation_search", query="it", request_heartbeat=True)).returns("found it").fails()
    assert [m["role"] for m in told.messages][-4:] == ["assistant", "tool", "user", "user"]
    told.answers(say("Found."))
    assert told.the(TurnEnded).steps == 3
    proved(told)


def test_the_llm_processor_knows_whether_another_server_is_left() -> None:
    told = story(LOCAL).says("One.")
    assert job_of(told).elsewhere
    told.fails()
    assert not job_of(told).elsewhere, "the first failed in this turn"
    assert not job_of(story().says("One.")).elsewhere


def test_settings_that_are_chosen_anew_begin_with_their_first_server() -> None:
    told = story(LOCAL).says("One.").fails().answers(say())
    told.changes(page_size=7)
    assert (told.state.server, told.state.chosen) == (0, None)
    told.says("Two.")
    assert asked(told)[0] == "gpt-4o"
    proved(told.answers(say()))


def test_settings_that_change_amid_a_turn_that_failed_over() -> None:
    told = story(LOCAL).says("One.").fails()
    told.changes(fallbacks=(THIRD,))
    told.fails()
    assert asked(told)[0] == "offline", "what failed before the change is not held against the new ones"
    proved(told.answers(say()))


def test_a_stop_ends_a_turn_that_failed_over() -> None:
    told = story(LOCAL).says("One.").fails().stops()
    assert told.the(TurnEnded).reason == "stopped"
    assert told.state.server == 1
    proved(told)


# --- summaries ----------------------------------------------------------------------------------------------------

WRITER = Server(
    model="small", base_url="http://s/v1", window_tokens=2048, reserve_tokens=256, output_parameter="max_tokens"
)


def full(**changes: Any) -> Story:
    """A story in which a summary is asked for."""
    told = story(*changes.pop("fallbacks", ()), **changes)
    number = 0
    while told.phase != "summarising":
        number += 1
        told.says(f"{number}: " + "words " * 40)
        if told.phase == "inferring":
            told.answers(say())
    return told


def test_a_summariser_has_a_server_and_a_window_of_its_own() -> None:
    told = full(summarizer="not asked", summarizer_at=WRITER)
    assert asked(told) == ("small", "http://s/v1")
    assert b'"max_tokens":256}' in told.request
    assert told.requested("summary")[-1].tokens <= 2048 - 256
    told.answers(content="We talked.")
    assert told.the(SummaryWritten).author == "model"
    assert asked(told) == ("gpt-4o", "http://a/v1")
    proved(told.answers(say()))


def test_a_summariser_by_name_is_at_the_agents_own_server() -> None:
    told = full(summarizer="gpt-mini")
    assert asked(told) == ("gpt-mini", "http://a/v1")
    proved(told.answers(content="We talked.").answers(say()))


def test_a_summariser_of_its_own_that_fails_switches_nothing_and_is_named_in_the_note() -> None:
    told = full(fallbacks=(LOCAL,), summarizer_at=WRITER)
    told.fails("unreachable", "The summariser (small): http://s/v1: No connection.")
    told.fails("unreachable", "The summariser (small): http://s/v1: No connection.")
    written = told.the(SummaryWritten)
    assert (written.author, written.note) == (
        "extractive", "unreachable: The summariser (small): http://s/v1: No connection.",
    )  # fmt: skip
    assert asked(told) == ("gpt-4o", "http://a/v1")
    assert not told.all(ServerSwitched)


def test_a_summary_that_the_agents_own_server_cannot_write_is_asked_of_the_fallback() -> None:
    told = full(fallbacks=(LOCAL,), summarizer="gpt-mini").fails("unreachable", "No connection.")
    assert told.the(ServerSwitched).server == 1
    assert asked(told) == ("llama3", "http://b/v1"), "the name of a model at the first server means nothing there"
    told.answers(content="We talked.")
    assert told.the(SummaryWritten).author == "model"
    assert asked(told)[0] == "llama3"
    proved(told.answers(say()))


def test_a_summary_that_is_refused_for_its_own_sake_goes_down_the_ladder() -> None:
    told = full(fallbacks=(LOCAL,), summarizer="gpt-mini").fails("unknown_model", "No such model.")
    assert not told.all(ServerSwitched)
    told.fails("unknown_model", "No such model.")
    assert told.the(SummaryWritten).author == "extractive"


def test_what_fits_no_summariser_is_said() -> None:
    told = story(summarizer_at=replace(WRITER, window_tokens=300, reserve_tokens=200))
    number = 0
    while not told.all(SummaryWritten):
        number += 1
        told.says(f"{number}: " + "words " * 40).answers(say())
    assert told.the(SummaryWritten).note == "what was to be summed up does not fit the summariser's window"
    assert not told.requested("summary")


# --- forks --------------------------------------------------------------------------------------------------------


def test_the_effective_settings_are_those_of_the_chosen_ones_with_the_server_in_their_place() -> None:
    settings = Settings(model="m", base_url="http://a/v1", fallbacks=(LOCAL,), summarizer="s", page_size=9)
    first, second = all_of(settings)
    assert first == settings
    assert (second.model, second.base_url, second.page_size, second.summarizer) == ("llama3", "http://b/v1", 9, "")
    assert served(settings, Server(model="x", window_tokens=1000)).reserve_tokens == 250
    assert served(settings, Server(model="x")).reserve_tokens == settings.reserve_tokens
    assert summarizer(settings).base_url == "http://a/v1"
    called = addresses_in(replace(settings, summarizer_at=WRITER))
    assert sorted(called) == ["http://a/v1", "http://b/v1", "http://s/v1"]
    assert addresses_in(Settings()) == []


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"fallbacks": (Server(model="m", base_url="http://u:p@h/v1"),)}, "credentials"),
        ({"fallbacks": (Server(model="m", window_tokens=100, reserve_tokens=100),)}, "reserve_tokens"),
        ({"fallbacks": (Server(model="m", token_margin=9.0),)}, "token_margin"),
        ({"fallbacks": (Server(model=""),)}, "names no model"),
        ({"fallbacks": (Server(model="m"),) * 9}, "at most 8"),
        ({"summarizer_at": Server(model="m", base_url="http://h/v1?key=x")}, "a secret in its query"),
        ({"summarizer_at": Server(model="m", in_flight=-1)}, "in_flight"),
        ({"return_after_s": -1}, "return_after_s"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], wrong: str) -> None:
    assert flaw(Settings(model="gpt-4o")) == ""
    said = flaw(Settings(model="gpt-4o", **changes))
    assert wrong in said
    if "return_after_s" not in changes and "at most" not in wrong:
        assert ("fallback" in said) or ("summariser" in said), said
