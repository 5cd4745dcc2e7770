"""`blame`: what the command prints, and what it refuses."""

from __future__ import annotations

import msgspec
import pytest

from palimpsest.store.logs.states import load
from tests.worlds.command_line import Launch
from tests.worlds.kernel import Kernel


def test_it_prints_who_wrote_what(launched: Launch, kernel: Kernel) -> None:
    printed = launched("blame", "ada", "--block", "human")
    assert printed.code == 0
    state = load(kernel.log, "ada")
    assert state is not None
    assert printed.text.count("CoreMemoryAppended") >= 1
    assert "core memory, human" in printed.text
    assert 'call         core_memory_append(name="human", content="Kind.")' in printed.text
    assert f"look         palimpsest context ada --data {kernel.folder} --at" in printed.text
    assert "\x1b" not in launched("blame", "ben o'neil").text


def test_the_summary_is_printed_with_what_it_covers(launched: Launch) -> None:
    text = launched("blame", "ada", "--summary").text
    assert "We talked about many things." in text
    assert "it covers " in text
    assert "There is no summary yet" in launched("blame", "ben o'neil", "--summary").text


def test_as_json_it_is_one_object(launched: Launch) -> None:
    printed = launched("blame", "ada", "--json")
    (line,) = printed.lines
    found = msgspec.json.decode(line)
    assert found["agent"] == "ada"
    assert {each["seq"] for each in found["writers"]} >= {1}


def test_nowhere_points_to_why(launched: Launch) -> None:
    printed = launched("blame", "ben o'neil", "zebra")
    assert printed.code == 0
    assert "why 'ben o'\"'\"'neil' --data " in printed.text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nobody",), "There is no agent 'nobody'"),
        (("ada", "--at", "0"), "has events 1 to"),
        (("ada", "--at", "100000"), "has events 1 to"),
        (("ada", " "), "The text to look for is empty"),
        (("ada", "--block", "nope"), "Its blocks are: persona, human."),
        (("ada", "text", "--summary"), "Give one of these"),
    ],
)
def test_what_cannot_be_blamed_is_refused(launched: Launch, arguments: tuple[str, ...], said: str) -> None:
    printed = launched("blame", *arguments)
    assert (printed.code, printed.out) == (2, b"")
    assert said in printed.err
