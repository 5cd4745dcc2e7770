"""`why` without a text, and the words that follow a command of the chat."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec
import pytest

from palimpsest.console.blame import command as blame
from palimpsest.console.commands import arguments, is_command
from palimpsest.console.search import search_command as search
from palimpsest.console.why import command as why
from tests.worlds.command_line import Launch
from tests.worlds.kernel import Kernel

CASE = Path(__file__).resolve().parents[2] / "docs/cases/sister.palimpsest"


def test_it_names_the_answer_its_question_and_where_the_words_may_be_from(call: Launch) -> None:
    printed = call("why", "ines", "--bundle", str(CASE))
    assert printed.code == 0
    said, asked, thought, may_be, window, look, turn = printed.lines
    assert said.startswith('said         94  "My summary of earlier messages says')
    assert asked == 'asked        85  UserMessageReceived "Where does my sister live?"'
    assert thought == 'thought      "The visible conversation answers this."'
    assert "56  the summary" in may_be
    assert "(2026-11-22, user, sister, lives, Lisbon)" in may_be
    assert "asked by event 92" in window
    assert "context ines --at 92 --bundle" in look
    assert "events ines --turn 85 --bundle" in turn


@pytest.mark.parametrize(("at", "answer"), [("85", 94), ("90", 94), ("94", 94), ("95", 94), ("21", 25), ("84", 83)])
def test_any_event_of_a_turn_names_its_answer(call: Launch, at: str, answer: int) -> None:
    row = msgspec.json.decode(call("why", "ines", "--at", at, "--json", "--bundle", str(CASE)).out)
    assert row["writer"]["seq"] == answer


def test_who_said_nothing_is_said_so(kernel: Kernel, launched: Launch) -> None:
    kernel.create("eve")
    printed = launched("why", "eve")
    assert (printed.code, printed.err) == (2, "Error: Agent 'eve' has said nothing yet.\n")


# --- words behind a command


@pytest.mark.parametrize(
    ("command", "text", "given"),
    [
        (why, "sister Porto", ["--", "ada", "sister Porto"]),
        (why, "", ["--", "ada"]),
        (why, "--at 93", ["--at", "93", "--", "ada"]),
        (why, "sister --exact  Porto --at=9", ["--exact", "--at=9", "--", "ada", "sister Porto"]),
        (why, "what's up -- really?", ["--", "ada", "what's up -- really?"]),
        (why, '"sister Porto"', ["--", "ada", '"sister Porto"']),
        (search, "--in recall red valve", ["--in", "recall", "--", "ada", "red valve"]),
        (blame, "--summary", ["--summary", "--", "ada"]),
        (blame, "--block", ["--block", "--", "ada"]),
        (blame, "--help", ["--help", "--", "ada"]),
    ],
)
def test_options_are_told_from_text(command: click.Command, text: str, given: list[str]) -> None:
    assert arguments(command, "ada", text) == given


@pytest.mark.parametrize(
    ("line", "is_one"),
    [
        ("/why", True),
        ("  /why x", True),
        ("//why", False),
        ("/tmp/x.pdf", False),
        ("a /b", False),
        ("/", True),
        ("", False),
    ],
)
def test_a_command_is_told_from_a_path(line: str, is_one: bool) -> None:
    assert is_command(line) is is_one
