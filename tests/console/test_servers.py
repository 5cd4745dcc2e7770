"""Servers on the command line: fallbacks, a summariser of its own, and the bound of what is asked at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from palimpsest.actors.models.hosted.window import ServedWindow
from palimpsest.actors.requests.turns import Reply
from palimpsest.console.overrides import changes
from palimpsest.console.pipe import finish
from palimpsest.console.servers import server, with_fallbacks, with_summarizer
from palimpsest.console.settings import (
    Flags,
    born,
    bound_said,
    check_change,
    differences,
    settings_changed,
    settings_for_new,
)
from palimpsest.events.envelope import Draft
from palimpsest.events.errors import BadInput
from palimpsest.events.prompts import SYSTEM
from palimpsest.events.servers import chosen, summarizer
from palimpsest.events.types import Server, ServerSwitched, Settings, SummaryWritten
from palimpsest.questions.descriptions import describe, server_text, value_text
from palimpsest.store.folder import DataFolder
from palimpsest.store.logs.contract import Append
from palimpsest.store.logs.sqlite_log import SqliteLog
from palimpsest.store.tokens.counting import count
from tests.store.tokens.test_tokenizer_file import LLAMA
from tests.worlds.command_line import Launch
from tests.worlds.story import AGENT, Story, say

OLLAMA = "http://localhost:11434/v1"
HOSTED = Settings(model="gpt-4o", window_tokens=32_768, reserve_tokens=4096)


UNKNOWN: Any = {"encoding": "o200k_base+scripts", "token_margin": 1.3}
LOCAL: Any = {"output_parameter": "max_tokens", **UNKNOWN}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("gpt-4o-mini", Server(model="gpt-4o-mini")),
        (f"llama3@{OLLAMA}", Server(model="llama3", base_url=OLLAMA, **LOCAL)),
        (
            f"@cf/meta/llama-3@{OLLAMA},window=8192,in-flight=1",
            Server(
                model="@cf/meta/llama-3", base_url=OLLAMA, **LOCAL,
                window_tokens=8192, reserve_tokens=2048, in_flight=1,
            ),
        ),
        ("offline,window=4096,reserve=300", Server(model="offline", window_tokens=4096, reserve_tokens=300)),
        (
            f"llama3@{OLLAMA},window=4096,tokenizer={LLAMA}",
            Server(
                model="llama3", base_url=OLLAMA, output_parameter="max_tokens", encoding=LLAMA,
                window_tokens=4096, reserve_tokens=512,
            ),
        ),
        (
            f"llama3@{OLLAMA},tokenizer=server:llama.cpp",
            Server(model="llama3", base_url=OLLAMA, output_parameter="max_tokens", encoding="server:llama.cpp"),
        ),
        ("claude@20240229", Server(model="claude@20240229", **UNKNOWN)),
    ],
)  # fmt: skip
def test_a_server_is_read_as_it_is_shown(text: str, wanted: Server) -> None:
    assert server(text) == wanted
    assert server(server_text(wanted)) == wanted


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no server"),
        (f"@{OLLAMA}", "names no server"),
        (OLLAMA, "the model's name stands first"),
        (f"offline@{OLLAMA}", "built in"),
        (f"llama3@{OLLAMA},windows=9", "there is no 'windows'"),
        (f"llama3@{OLLAMA},window=", "a whole number from 1 up"),
        (f"llama3@{OLLAMA},window=-5", "a whole number from 1 up"),
    ],
)
def test_what_is_no_server_is_refused_with_how_it_is_written(text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        server(text)


def test_fallbacks_are_given_and_dropped() -> None:
    flags = Flags(model="gpt-4o", fallback=(f"llama3@{OLLAMA},window=8192", "offline"))
    settings = settings_for_new(flags, {})
    assert [each.model for each in settings.fallbacks] == ["llama3", "offline"]
    dropped = settings_changed(settings, Flags(fallback=("none",)))
    assert dropped == replace(settings, fallbacks=())
    assert differences(settings, dropped) == f"fallbacks llama3@{OLLAMA},window=8192, offline -> none"
    assert settings_changed(settings, Flags()) is None


def test_a_fallback_by_its_name_is_another_model_at_the_agents_own_server() -> None:
    settings = settings_for_new(Flags(model="llama3", base_url=OLLAMA, fallback=("phi3", "gpt-4o@https://h/v1")), {})
    assert [(each.base_url, each.output_parameter) for each in settings.fallbacks] == [
        (OLLAMA, "max_tokens"),
        ("https://h/v1", "max_tokens"),
    ]
    assert settings_for_new(Flags(model="gpt-4o", fallback=("gpt-4o-mini",)), {}).fallbacks[0].base_url == ""


def test_a_key_in_a_fallbacks_address_is_refused() -> None:
    with pytest.raises(BadInput, match="credentials"):
        settings_for_new(Flags(fallback=("m@https://user:secret@h/v1",)), {})


def test_a_fallback_whose_window_is_too_small_is_refused_by_its_number() -> None:
    settings = settings_for_new(Flags(model="gpt-4o", fallback=(f"tiny@{OLLAMA},window=1500",)), {})
    with pytest.raises(BadInput, match=r"of fallback 1 \(tiny at http://localhost:11434/v1\) is too small") as said:
        born(settings, count)
    least = int(str(said.value).rpartition("window=")[2].split()[0])
    assert born(settings_for_new(Flags(model="gpt-4o", fallback=(f"tiny@{OLLAMA},window={least}",)), {}), count)
    with pytest.raises(BadInput, match="of fallback 1"):
        check_change(Story(system=SYSTEM).state, settings, count)


def test_a_summariser_by_its_name_is_at_the_agents_server_and_one_with_an_address_at_its_own() -> None:
    local = replace(HOSTED, model="llama3", base_url=OLLAMA, output_parameter="max_tokens")
    by_name = with_summarizer(local, "phi3")
    assert (by_name.summarizer, by_name.summarizer_at) == ("phi3", None)
    elsewhere = with_summarizer(by_name, "gpt-4o-mini@https://api.openai.com/v1")
    assert (elsewhere.summarizer, summarizer(elsewhere).base_url) == ("", "https://api.openai.com/v1")
    smaller = summarizer(with_summarizer(local, "phi3,window=4096"))
    assert (smaller.model, smaller.base_url, smaller.window_tokens) == ("phi3", OLLAMA, 4096)
    assert summarizer(with_summarizer(local, "offline")).model == "offline"
    assert with_summarizer(elsewhere, "none") == local
    assert with_summarizer(elsewhere, "") == elsewhere


def test_a_summariser_moves_along_when_the_agents_model_moves() -> None:
    """`rerun --model offline` of an agent with a hosted summariser asks nobody for a key."""
    by_name = replace(HOSTED, summarizer="gpt-4o-mini")
    offline = settings_changed(by_name, Flags(model="offline"))
    assert offline is not None
    assert summarizer(offline).model == "offline"
    assert differences(by_name, offline).endswith("summaries by gpt-4o-mini -> its own model")
    local = settings_changed(by_name, Flags(model="llama3", base_url=OLLAMA))
    assert local is not None
    assert (summarizer(local).model, summarizer(local).base_url) == ("llama3", OLLAMA)
    other = settings_changed(by_name, Flags(model="gpt-4.1"))
    assert other is not None
    assert summarizer(other).model == "gpt-4o-mini", "it is still at the same server"


def test_an_agent_that_goes_offline_asks_no_other_server_either() -> None:
    hosted = with_summarizer(with_fallbacks(HOSTED, (f"llama3@{OLLAMA}",)), f"phi3@{OLLAMA}")
    offline = settings_changed(hosted, Flags(model="offline"))
    assert offline is not None
    assert (offline.fallbacks, offline.summarizer_at) == ((), None)
    kept = settings_changed(hosted, Flags(model="gpt-4.1"))
    assert kept is not None
    assert (kept.fallbacks, kept.summarizer_at) == (hosted.fallbacks, hosted.summarizer_at)
    moved = settings_changed(hosted, Flags(model="llama3", base_url=OLLAMA))
    assert moved is not None
    assert moved.fallbacks == (), "it is the agent's own server now"


def test_the_bound_is_given_and_taken_back() -> None:
    bound = settings_changed(HOSTED, Flags(in_flight=2))
    assert bound is not None
    assert (bound.in_flight, differences(HOSTED, bound)) == (2, "requests at once as usual -> 2")
    assert settings_changed(bound, Flags(in_flight=0)) == HOSTED
    assert settings_changed(bound, Flags()) is None


def test_a_server_that_says_how_many_slots_it_has_gets_no_more_at_once() -> None:
    served = ServedWindow(served=8192, source="llama.cpp's /props", slots=1)
    flags = Flags(model="llama3", base_url=OLLAMA)
    made = settings_for_new(flags, {}, served)
    assert (made.in_flight, bound_said(made, served)) == (1, ", requests at once: 1 (the server's slots)")
    given = settings_for_new(replace(flags, in_flight=3), {}, served)
    assert (given.in_flight, bound_said(given, served)) == (3, ", requests at once: 3")
    moved = settings_changed(given, Flags(model="gpt-4o"))
    assert moved is not None
    assert (moved.in_flight, bound_said(moved, ServedWindow())) == (0, ""), "it was the other server's"
    other = settings_changed(given, replace(flags, model="phi3"))
    assert other is not None
    assert other.in_flight == 3


def test_set_takes_servers_too() -> None:
    state = Story(model="gpt-4o").state
    made = changes(
        state, [f"fallback=llama3@{OLLAMA}", "fallback=offline", f"summarizer=phi3@{OLLAMA}", "in-flight=3"], count
    )
    assert made.settings is not None
    assert [each.model for each in made.settings.fallbacks] == ["llama3", "offline"]
    assert made.settings.summarizer_at == server(f"phi3@{OLLAMA}")
    assert made.settings.in_flight == 3
    assert any(f"fallbacks none -> llama3@{OLLAMA}, offline" in said for said in made.said)
    after = changes(state, ["return-after=60"], count).settings
    assert after is not None
    assert after.return_after_s == 60


def test_what_is_changed_while_a_fallback_answers_is_what_was_chosen() -> None:
    told = Story(model="gpt-4o", fallbacks=(Server(model="llama3", base_url=OLLAMA),)).says("Hi.").fails()
    assert told.state.settings.model == "llama3"
    made = changes(told.state, ["page-size=9"], count).settings
    assert made == replace(chosen(told.state), page_size=9)
    assert made.model == "gpt-4o"
    assert changes(told.state, ["model=gpt-4o"], count).settings is None


def test_the_switch_and_the_way_back_are_told() -> None:
    told = (
        Story(model="gpt-4o", fallbacks=(server(f"llama3@{OLLAMA}"),))
        .marks()
        .says("Hi.")
        .fails("timeout", "No answer.")
    )
    assert describe(told.the(ServerSwitched)) == (
        "to fallback 1, since the one before failed (timeout: No answer.): "
        f"model llama3 at {OLLAMA}, window 4,096 tokens"
    )
    back = ServerSwitched(server=0, settings=replace(HOSTED, summarizer="gpt-4o-mini"))
    assert describe(back) == (
        "to the first server, tried again: model gpt-4o, window 32,768 tokens, summaries by gpt-4o-mini"
    )
    assert value_text(()) == "none"


# --- what the commands show ---------------------------------------------------------------------------------------


def kept(told: Story, folder: Path) -> str:
    """The story's log in a data folder, at rest."""
    with SqliteLog(DataFolder(folder).create().log_path()) as log:
        log.open_epoch()
        for each in told.log.read(AGENT):
            made = Draft(
                each.stream, each.time, each.kind, each.version, each.key, each.body, each.turn, each.cause,
                each.opens, each.closes,
            )  # fmt: skip
            log.append([Append((made,))])
    return str(folder)


def test_state_and_events_show_who_answers_and_until_when(tmp_path: Path, call: Launch) -> None:
    told = Story(model="gpt-4o", fallbacks=(server(f"llama3@{OLLAMA}"),), return_after_s=600).says("Hi.")
    told.fails("unreachable", "https://api.openai.com/v1: No connection.").answers(say())
    data = kept(told, tmp_path)
    text = call("--data", data, "state", AGENT).text
    assert (
        f"asks         fallback 1, llama3 at {OLLAMA}; the first is tried again from 2026-11-22 15:36:15 UTC on" in text
    )
    assert "model gpt-4o (else offline)" in text
    assert f"fallbacks llama3@{OLLAMA}" in text
    events = call("--data", data, "events", AGENT, "--kind", "ServerSwitched").text
    assert (
        "to fallback 1, since the one before failed (unreachable: https://api.openai.com/v1: No connection.)" in events
    )
    assert call("--data", data, "replay", AGENT, "--verify").code == 0
    seen = msgspec.json.decode(call("--data", data, "state", AGENT, "--json").out)
    assert (seen["server"], seen["model"], seen["base_url"]) == (1, "llama3", OLLAMA)


def _summed_up(**changes: Any) -> Story:
    told = Story(model="gpt-4o", window_tokens=6000, **changes)
    number = 0
    while not told.all(SummaryWritten):
        number += 1
        told.says(f"{number}: " + "We talked about the garden and the weather. " * 8).settles()
    return told.says("Goodbye.").settles()


@pytest.mark.parametrize(
    "changes",
    [
        {"summarizer": "gpt-4o-mini"},
        {"summarizer_at": Server(model="gpt-4o-mini")},
        {"fallbacks": (Server(model="x"),)},
    ],
    ids=["by name", "at a server", "with a fallback"],
)
def test_a_rerun_offline_asks_no_server_at_all(
    tmp_path: Path, call: Launch, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    data = kept(_summed_up(**changes), tmp_path)
    printed = call("--data", data, "rerun", AGENT, "--model", "offline", "--as", "off")
    assert printed.code == 0, printed.err
    if "fallbacks" not in changes:
        assert "summaries by gpt-4o-mini -> its own model" in printed.text
    assert call("--data", data, "replay", "off", "--verify").code == 0


def test_a_run_that_failed_over_is_run_again_in_step_with_the_recorded_answers(tmp_path: Path, call: Launch) -> None:
    told = Story(model="gpt-4o", count=count, fallbacks=(server(f"llama3@{OLLAMA}"),), return_after_s=120)
    told.says("Hi.").fails("unreachable", "No connection.").answers(say())
    for text in ("And?", "Now?", "Well?"):
        told.says(text).answers(say())
    assert [event.server for event in told.all(ServerSwitched)] == [1, 0]
    data = kept(told, tmp_path)
    printed = call("--data", data, "rerun", AGENT, "--recorded", "--json", "--as", "again")
    assert printed.code == 0, printed.err
    assert msgspec.json.decode(printed.out)["outcome"]["divergence"] is None
    assert call("--data", data, "replay", "again", "--verify").code == 0


def test_a_rerun_whose_summariser_cannot_be_had_names_it(
    tmp_path: Path, call: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    data = kept(_summed_up(), tmp_path)
    given = ("--model", "offline", "--set", "summarizer=gpt-4o-mini@https://api.openai.com/v1")
    printed = call("--data", data, "rerun", AGENT, *given, "--as", "off")
    assert (
        "wrong_key: The summariser (gpt-4o-mini): https://api.openai.com/v1: There is no key"
        in printed.text + printed.err
    )


def test_an_answer_of_a_fallback_is_said_beside_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    why = "llama3 was asked, since the server before failed (timeout: No answer.)."
    reply = Reply(agent=AGENT, input=1, messages=("Hello.",), reason="yielded", notes=(why,))
    assert finish(reply) == 0
    assert capsys.readouterr() == ("Hello.\n", f"{why}\n")
    failed = msgspec.structs.replace(
        reply, messages=(), reason="inference_failed", detail="None of 2 servers answered."
    )
    assert finish(failed) == 1
    assert why not in capsys.readouterr().err
