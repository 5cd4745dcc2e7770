"""`diff`: what it prints of two events, and which it takes."""

from __future__ import annotations

import re

import msgspec

from palimpsest.events.codec import draft
from palimpsest.events.types import Settings, SettingsChanged, SourceAttached, Timer, TimerSet, UserMessageReceived
from palimpsest.events.vocabulary import Opens
from palimpsest.store.logs.contract import Append
from tests.worlds.command_line import Launch
from tests.worlds.kernel import START_MS, Kernel


def test_an_eviction_is_told_with_where_everything_went(launched: Launch, kernel: Kernel) -> None:
    started = next(each.seq for each in kernel.log.read("ada") if each.kind == "EvictionStarted")
    summary = next(each.seq for each in kernel.log.read("ada") if each.kind == "SummaryWritten")
    printed = launched("diff", "ada", str(started), str(summary))
    assert printed.code == 0
    text = printed.text
    went = f"evicted to recall by event {summary - 1}, and event {summary} wrote the summary that stands for it"
    assert went in text
    assert re.search(r"left +\d+ messages, [\d,]+ tokens\n", text)
    assert "\n  -     2  user      Message 0: the weather" in text
    assert f"summary       none -> event {summary}, for " in text
    assert "    + We talked about many things." in text
    assert re.search(r"recursive summary +0 +\d+ +\+\d+", text)
    assert "entered" not in text

    back = launched("diff", "ada", str(summary), str(started)).text
    assert "had been " + went in back
    assert "    - We talked about many things." in back
    assert "\n  +     2  user " in back


def test_an_edit_of_core_memory_is_told_with_its_event(launched: Launch, kernel: Kernel) -> None:
    edit = next(each.seq for each in kernel.log.read("ada") if each.kind == "CoreMemoryAppended")
    text = launched("diff", "ada", str(edit - 1), str(edit)).text
    assert re.search(rf"core memory +human, \d+ -> \d+ characters, by event {edit}\n(    . .*\n)*    \+ Kind\.\n", text)
    assert re.search(
        rf"core memory +human, .*, without event {edit}\n", launched("diff", "ada", str(edit), str(edit - 1)).text
    )


def test_two_agents_are_compared_as_they_are(launched: Launch) -> None:
    text = launched("diff", "ada", "ben o'neil").text
    assert "between       nothing: the two have no event in common" in text
    assert "only ada has it\n" in text
    assert "My name is \\x1b[31mBen" in text
    assert launched("diff", "ada", "9", "ben o'neil", "9").code == 0


def test_what_else_changed_is_told(launched: Launch, kernel: Kernel) -> None:
    last = kernel.log.read("ada")[-1].seq
    timer = Timer(id="tea", due_ms=START_MS, note="Tea!", every_s=60)
    for number, event in enumerate((
        SettingsChanged(settings=Settings(window_tokens=6000, reserve_tokens=400)),
        SourceAttached(source="manuals"),
        TimerSet(timer=timer),
        UserMessageReceived(text="Wait for me."),
    )):  # fmt: skip
        opens: Opens = "alarm" if isinstance(event, TimerSet) else ""
        opens = "turn" if isinstance(event, UserMessageReceived) else opens
        made = draft("ada", START_MS, event, key=f"given-{number}", opens=opens)
        kernel.log.append([Append((made,))])
    text = launched("diff", "ada", str(last)).text
    assert "settings      window_tokens 4,096 -> 6,000\n" in text
    assert "sources\n    + manuals\n" in text
    assert 'timers\n    + tea "Tea!", due 2025-11-22 08:26:40.000 UTC, every 60 s\n' in text
    assert f"waiting       none -> {last + 4}\n" in text
    state = launched("state", "ada").text
    assert "sources      manuals" in state
    assert 'timers       1 timer\n    tea "Tea!"' in state
    assert "now          about to begin a turn" in state
    story = launched("events", "ada", "--since", str(last + 1)).text
    assert "settings  window_tokens 4,096 -> 6,000" in story
    assert "attached  manuals" in story
    assert 'user      "Wait for me."' in story


def test_as_json_it_is_one_object(launched: Launch, kernel: Kernel) -> None:
    summary = next(each.seq for each in kernel.log.read("ada") if each.kind == "SummaryWritten")
    found = msgspec.json.decode(launched("diff", "ada", "2", str(summary), "--json").out)
    assert found["left"] == []
    assert found["passing"], "what came and went between the two"
    assert found["entered"][0]["text"].startswith("Message ")
    back = msgspec.json.decode(launched("diff", "ada", str(summary), str(summary - 2), "--json").out)
    assert {each["summary"] for each in back["entered"]} == {summary}


def test_what_cannot_be_compared_is_refused(launched: Launch, kernel: Kernel) -> None:
    last = kernel.log.read("ada")[-1].seq
    for arguments, said in (
        (("ada",), "Write `palimpsest diff AGENT SEQ [SEQ]`"),
        (("ada", "3", "ben o'neil"), "Write `palimpsest diff AGENT SEQ [SEQ]`"),
        (("ada", "3", "100000"), f"has events 1 to {last}: there is no event 100000"),
        (("ada", "0", "3"), f"has events 1 to {last}: there is no event 0"),
        (("ada", "3", "3"), "name two different events"),
        (("ada", "nobody"), "There is no agent 'nobody'"),
        (("nobody", "3", "4"), "There is no agent 'nobody'"),
    ):
        printed = launched("diff", *arguments)
        assert (printed.code, printed.out) == (2, b""), arguments
        assert said in printed.said
        assert printed.err.count("\n") == 1
