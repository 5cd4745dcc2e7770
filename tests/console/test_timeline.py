"""`events` as a story: what it prints, what it is asked for, and how it goes on."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from palimpsest.console.called import PROGRAM
from palimpsest.console.show import took
from palimpsest.console.story import ordinal
from palimpsest.events.codec import draft
from palimpsest.events.types import InferenceFailed
from palimpsest.store.logs.contract import Append
from tests.worlds.command_line import Launch, file_of
from tests.worlds.kernel import START_MS, Kernel

LINE = re.compile(r" *\d+  \d\d:\d\d:\d\d  [a-z0-9 ]{9,}\S.*")
HEADER = re.compile(r"turn \d+, the [\d,]+(st|nd|rd|th): \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC.*")


def blocks(text: str) -> list[list[str]]:
    """The story's blocks, each a turn or what happened between turns."""
    return [block.splitlines() for block in text.split("\n\n")]


def test_the_story_groups_turns(launched: Launch, kernel: Kernel) -> None:
    printed = launched("events", "ada")
    assert printed.code == 0
    first, *told = blocks(printed.text)
    assert first[0] == "2025-11-22"
    assert "created   model offline" in first[1]
    assert len(told) == 25
    assert all(HEADER.fullmatch(block[0]) for block in told)
    assert all(LINE.fullmatch(line) for block in told for line in block[1:])
    assert all(len(line) <= 160 for line in printed.lines), "long texts are clipped"
    assert told[0][0] == "turn 2, the 1st: 2025-11-22 08:26:40 UTC"
    labels = [line[18:27].strip() for line in told[0][1:]]
    assert labels == ["user", "step 1", "thinks", "says", "ended"]
    assert "\x1b" not in printed.text
    assert kernel.log.read("ada")[-1].seq == int(told[-1][-1].split()[0])


def test_a_turn_is_named_by_any_of_its_events_or_by_its_number(launched: Launch, kernel: Kernel) -> None:
    ended = [each.seq for each in kernel.log.read("ada") if each.kind == "TurnEnded"]
    third = launched("events", "ada", "--turn", "3rd").text
    assert third == launched("events", "ada", "--turn", str(ended[2])).text
    assert third == launched("events", "ada", "--turn", third.split(",")[0].removeprefix("turn ")).text
    assert len(blocks(third)) == 1
    assert ", the 3rd: " in third


def test_the_eviction_says_what_left_and_what_stands_for_it(launched: Launch, kernel: Kernel) -> None:
    started = next(each for each in kernel.log.read("ada") if each.kind == "EvictionStarted")
    text = launched("events", "ada", "--turn", str(started.seq), "--full").text
    assert re.search(r"evicts    \d+ messages for pressure, from [\d,]+ tokens to at most 2,048: events [\d, -]+", text)
    assert re.search(r"sums up   request [\d,]+, model ", text)
    assert re.search(r'summary   by the model, \d+ tokens for \d+ messages: "We talked about many things."', text)


def test_filters_keep_the_header_of_what_they_leave(launched: Launch, kernel: Kernel) -> None:
    kept = launched("events", "ada", "--kind", "CoreMemoryAppended")
    wanted = [each.seq for each in kernel.log.read("ada") if each.kind == "CoreMemoryAppended"]
    assert [int(block[1].split()[0]) for block in blocks(kept.text)] == wanted
    assert all(len(block) == 2 and HEADER.fullmatch(block[0]) for block in blocks(kept.text))
    said = launched("events", "ada", "--text", "MESSAGE 7:")
    assert len(blocks(said.text)) == 1
    assert '"Message 7: ' in said.text
    nothing = launched("events", "ada", "--text", "zebra")
    assert (nothing.code, nothing.out) == (0, b"")
    assert "None of events 1 to " in nothing.err


def test_the_last_turns_are_the_last_of_the_whole_story(launched: Launch) -> None:
    whole = blocks(launched("events", "ada").text)
    assert blocks(launched("events", "ada", "--last", "3").text) == whole[-3:]
    assert blocks(launched("events", "ada", "--last", "999").text)[-25:] == whole[-25:]
    kept = blocks(launched("events", "ada", "--kind", "CoreMemoryAppended").text)
    assert blocks(launched("events", "ada", "--kind", "CoreMemoryAppended", "--last", "2").text) == kept[-2:]
    flat = launched("events", "ada", "--flat").lines
    assert launched("events", "ada", "--flat", "--last", "4").lines == flat[-4:]


def test_the_last_turns_of_a_fork_begin_with_their_inputs_too(launched: Launch) -> None:
    last = launched("events", "ada", "--last", "1").lines[1]
    launched("fork", "ada", "--as", "fay")
    assert launched("events", "fay", "--last", "1").lines[1] == last
    assert "  user  " in last


def test_times_bound_the_story(launched: Launch, kernel: Kernel) -> None:
    flat = launched("events", "ada", "--flat")
    spoken = [each for each in kernel.log.read("ada") if each.kind == "UserMessageReceived"]
    time = "2025-11-22T08:27:00"
    since = launched("events", "ada", "--flat", "--since", time, "--kind", "UserMessageReceived")
    wanted = [each.seq for each in spoken if each.time >= START_MS + 20_000]
    assert [int(line.split()[0]) for line in since.lines] == wanted
    until = launched("events", "ada", "--flat", "--until", "2025-11-22")
    assert until.lines == flat.lines, "a day is meant whole"
    assert launched("events", "ada", "--until", "2025-11-21").out == b""
    assert (
        launched("events", "ada", "--flat", "--since", "2025-11-22 09:27:00+01:00", "--kind", "UserMessageReceived")
        == since
    )


REFUSED = [
    (("--since", "yesterday"), "neither a seq nor a time"),
    (("--since", "9", "--until", "3"), "the end lies before the beginning"),
    (("--since", "0"), "events are counted from 1"),
    (("--since", "2025-11-23", "--until", "2025-11-22"), "the end lies before the beginning"),
    (("--turn", "0"), "give the seq of an event of 1 to "),
    (("--turn", "100000"), "give the seq of an event of 1 to "),
    (("--turn", "first"), "give the seq of an event of 1 to "),
    (("--turn", "99th"), ": there is no 99th"),
    (("--turn", "0th"), "has had 25 turns by event "),
    (("--turn", "1"), "(AgentCreated) belongs to no turn"),
    (("--follow", "--until", "9"), "--follow has no end"),
]


def test_what_cannot_be_asked_is_refused_in_one_line(launched: Launch) -> None:
    for arguments, said in REFUSED:
        printed = launched("events", "ada", *arguments)
        assert (printed.code, printed.out) == (2, b""), arguments
        assert said in printed.err
        assert printed.err.count("\n") == 1


def test_an_event_that_cannot_be_read_stands_in_the_story(launched: Launch, kernel: Kernel) -> None:
    with file_of(kernel) as file:
        file.execute("UPDATE events SET kind = 'Sneezed' WHERE seq = 6 AND stream = 1")
    printed = launched("events", "ada")
    assert "Sneezed   Event 6 of agent 'ada' was written by a newer Palimpsest" in printed.text
    assert len(blocks(printed.text)) == 26, "the story goes on"
    assert (printed.code, printed.err.count("\n")) == (2, 1)


def test_following_prints_whole_parts_until_ctrl_c(
    launched: Launch, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = itertools.count()

    def pause() -> None:
        if next(looks):
            raise KeyboardInterrupt
        kernel.talk("ada", ["One more thing."])

    monkeypatch.setattr("palimpsest.console.timeline._pause", pause)
    printed = launched("events", "ada", "--last", "1", "--follow")
    assert printed.code == 130
    assert printed.err == ""
    before, after = blocks(printed.text)
    assert '"Message 24: ' in before[1]
    assert '"One more thing."' in after[1]
    assert "ended     yielded" in after[-1]


def test_a_bundle_cannot_be_followed(launched: Launch, tmp_path: Path) -> None:
    printed = launched("events", "ada", "--follow", "--bundle", str(tmp_path / "a.palimpsest"))
    assert (printed.code, printed.out) == (2, b"")
    assert "A bundle does not change" in printed.err


@pytest.mark.parametrize(
    ("duration_ms", "said"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (2345, "2.3 s"),
        (250_000, "4 min 10 s"),
        (11_100_000, "3 h 5 min"),
        (187_200_000, "2 d 4 h"),
    ],
)
def test_durations_are_short(duration_ms: int, said: str) -> None:
    assert took(duration_ms) == said


def test_ordinals() -> None:
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 102, 1113, 1121)] == (
        ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "1,113th", "1,121st"]
    )


@pytest.mark.parametrize("form", [(), ("--flat",)])
def test_a_failure_names_commands_as_they_can_be_typed_and_a_user_as_he_wrote_them(
    launched: Launch, kernel: Kernel, form: tuple[str, ...]
) -> None:
    failed = InferenceFailed(error="wrong_key", detail="Give the right one by `palimpsest keys add URL`.")
    kernel.create("eve")
    kernel.talk("eve", ["What does `palimpsest keys add URL` do?"])
    kernel.log.append([Append((draft("eve", START_MS, failed, key="failed"),))])
    printed = launched("events", "eve", *form, "--full").text
    assert f"`{PROGRAM} --data {kernel.folder} keys add URL`" in printed
    assert "What does `palimpsest keys add URL` do?" in printed
