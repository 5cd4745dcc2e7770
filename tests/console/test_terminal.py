"""The chat in a terminal of its own, without a system behind it: what is typed when, and what becomes of it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worlds.terminal import Terminal, terminal

CHAT = ("-m", "tests.worlds.chatting")
END = "\x04"
INTERRUPT = "\x03"
SUSPEND = "\x1a"
SEARCH = "\x12"
PROMPT = "you>"


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Terminal]:
    with terminal(*CHAT, str(tmp_path)) as opened:
        opened.until(PROMPT)
        yield opened


def go(folder: Path) -> None:
    """Let the agent speak."""
    (folder / "go").touch()


def test_what_ctrl_r_finds_is_sent_by_enter(chat: Terminal) -> None:
    for line in ("the first thing", "another"):
        chat.type(f"{line}\r")
        chat.until(f"ada> {line}")
        chat.until(PROMPT)
    chat.type(f"{SEARCH}first")
    chat.until("first")
    chat.type("\r")
    chat.until("ada> the first thing")
    chat.until(PROMPT)
    chat.type("\x1b[A\x1b[A\r")  # up, and up again
    chat.until("ada> another")


def test_lines_typed_while_it_answers_come_next_also_after_ctrl_c(chat: Terminal) -> None:
    chat.type("slowly abc\r")
    chat.until("Well:")
    chat.type("one\rtwo\r")
    chat.type(INTERRUPT)
    chat.until("The turn was stopped.")
    chat.until("ada> one")
    chat.until("ada> two")
    chat.until(PROMPT)


def test_ctrl_c_in_the_same_moment_as_the_message_stops_its_answer(chat: Terminal) -> None:
    chat.type(f"slowly abc\rone\r{INTERRUPT}two\r")
    chat.until("The turn was stopped.")
    chat.until("ada> one")
    chat.until("ada> two")
    chat.until(PROMPT)


@pytest.mark.parametrize("end", [END, "\x1c", "exit\r", "Quit\r", "/quit\r"])
def test_an_end_typed_while_it_answers_comes_after_the_answer(tmp_path: Path, chat: Terminal, end: str) -> None:
    chat.type("slowly abc def\r")
    chat.until("Well:")
    chat.type(end)
    go(tmp_path)
    assert chat.end() == 0
    said = chat.text[chat.text.index("ada> ") :]
    assert "Well: abc def" in said
    assert "ada> exit" not in said.lower()
    assert "palimpsest events ada --last 3" in said


def test_what_is_typed_while_it_starts_is_not_lost(tmp_path: Path) -> None:
    with terminal(*CHAT, str(tmp_path), environ={"boot": "slowly"}) as chat:
        chat.until("begun")
        chat.type(f"early\r{END}")
        go(tmp_path)
        assert chat.end() == 0
        assert "ada> early" in chat.text


@pytest.mark.parametrize("name", ["exit", "quit", "EXIT ", "exit()", ":q", "/exit"])
def test_the_usual_words_end_it(chat: Terminal, name: str) -> None:
    chat.type(f"{name}\r")
    assert chat.end() == 0
    assert "ada> " not in chat.text


def test_a_paste_of_many_lines_is_one_message_also_while_it_answers(tmp_path: Path, chat: Terminal) -> None:
    chat.type("slowly abc\r")
    chat.until("Well:")
    chat.type("\x1b[200~line 1\rline 2\r\r  line 4\x1b[201~")
    go(tmp_path)
    chat.until("abc")
    chat.until("line 4")
    chat.type("\r")
    chat.until("ada> line 1\nline 2\n\n  line 4")


def test_lines_part_between_words_at_the_width_of_the_moment(tmp_path: Path, chat: Terminal) -> None:
    words = " ".join(f"word{number}" for number in range(40))
    chat.resize(40, 50)
    chat.type(f"slowly {words}\r")
    chat.until("Well:")
    chat.resize(40, 30)
    go(tmp_path)
    chat.until("word39")
    answer = chat.text[chat.text.rindex("Well:") :]
    lines = answer[: answer.index("word39") + 6].splitlines()
    assert len(lines) > 8
    assert max(map(len, lines[1:])) <= 30
    assert " ".join(" ".join(lines).split()) == f"Well: {words}"


def test_no_reply_drives_the_terminal(chat: Terminal) -> None:
    chat.type("\x1b[200~bad \x1b]0;title\x07\x1b[2J\x9b31m\x1b[201~\r")
    chat.until("\\x9b31m")
    assert b"\x1b]0;title" not in chat.raw
    assert "bad \\x1b]0;title\\x07\\x1b[2J\\x9b31m" in chat.text


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("/serach x", "There is no command /serach. Did you mean /search?"),
        ("/he", "There is no command /he. Did you mean /heartbeat or /help?"),
        ("/frobnicate", "There is no command /frobnicate. /help lists them"),
        ("/tmp/a picture.png", "ada> /tmp/a picture.png"),
        ("//help", "ada> /help"),
        (
            "data:image/png;base64," + "iVBORw0KGgo" * 9,
            "That is a picture (PNG, as base64, 74 bytes), and was not sent",
        ),
    ],
)
def test_what_is_no_command_and_what_is_no_text_is_said(chat: Terminal, typed: str, said: str) -> None:
    chat.resize(40, 200)
    chat.type(f"{typed}\r")
    chat.until(said)


@pytest.mark.parametrize("data", [b"\xff\xfe\xfd", b"\x89PNG\xff\xff\xff"])
def test_bytes_that_are_no_text_are_refused_and_the_chat_goes_on(chat: Terminal, data: bytes) -> None:
    chat.type(b"\x1b[200~" + data + b"\x1b[201~\r")
    chat.until("picture (PNG" if b"PNG" in data else "bytes that are not UTF-8")
    chat.until(PROMPT)
    chat.type("still there\r")
    chat.until("ada> still there")


def test_tab_completes_commands_and_their_names(chat: Terminal) -> None:
    chat.type("/swi")
    chat.until("talk with another agent")
    chat.type("\t ad")
    chat.until("ada")
    chat.type("\t\r")
    chat.until("You talk with ada now.")


def test_the_terminal_may_go_away(chat: Terminal) -> None:
    chat.hang_up()
    assert chat.waits() == 129


def test_the_terminal_may_go_away_while_it_answers(tmp_path: Path, chat: Terminal) -> None:
    chat.type("slowly abc\r")
    chat.until("Well:")
    chat.hang_up()
    go(tmp_path)
    assert chat.waits() == 129


def test_a_chat_that_is_told_to_end_does_so_in_order(chat: Terminal) -> None:
    chat.type("half a line")
    chat.until("half a line")
    os.kill(chat.pid, signal.SIGTERM)
    assert chat.end() == 128 + signal.SIGTERM
    assert "To look into what happened" in chat.text


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {"NO_COLOR": "1", "TERM": "xterm"}])
def test_a_plain_terminal_gets_no_colours(tmp_path: Path, environ: dict[str, str]) -> None:
    with terminal(*CHAT, str(tmp_path), environ=environ) as chat:
        chat.until(PROMPT)
        chat.type("hello there\r")
        chat.until("ada> hello there")
        chat.until(PROMPT)
        chat.type(END)
        assert chat.end() == 0
        assert not re.search(rb"\x1b\[[0-9;]*(?<![0-9])[349][0-9][0-9;]*m", chat.raw)
        if environ["TERM"] == "dumb":
            assert b"\x1b" not in chat.raw


# --- in a shell


@pytest.fixture
def shell() -> Iterator[Terminal]:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    opened = Terminal([bash, "--norc", "--noprofile", "-i"])
    opened.until("shell>")
    try:
        yield opened
    finally:
        opened.close()


def leaves(shell: Terminal) -> None:
    """Ctrl-Z, and the shell has the terminal as ever."""
    shell.type(SUSPEND)
    shell.until("Stopped")
    shell.until("shell>")
    shell.type("echo $((40+2))\n")
    shell.until("42\n")
    shell.until("shell>")


def test_ctrl_z_leaves_and_fg_comes_back_to_the_line(tmp_path: Path, shell: Terminal) -> None:
    shell.type(f"{sys.executable} {' '.join(CHAT)} {tmp_path}\n")
    shell.until(PROMPT)
    shell.type("half a")
    shell.until("half a")
    leaves(shell)
    shell.type("fg\n")
    shell.until(PROMPT)
    shell.until("half a")
    shell.type(" line\r")
    shell.until("ada> half a line")
    shell.until(PROMPT)
    shell.type(END)
    shell.until("shell>")


def test_ctrl_z_while_it_answers_gives_the_shell_nothing_of_what_was_typed(tmp_path: Path, shell: Terminal) -> None:
    shell.type(f"{sys.executable} {' '.join(CHAT)} {tmp_path}\n")
    shell.until(PROMPT)
    shell.type("slowly abc\r")
    shell.until("Well:")
    shell.type("echo for the agent\r")
    leaves(shell)
    shell.type("fg\n")
    shell.until("chatting")
    go(tmp_path)
    shell.until("abc")
    shell.until("ada> echo for the agent")
    shell.until(PROMPT)
    shell.type(END)
    shell.until("shell>")
    shell.type("stty -a\n")
    modes = set(shell.until("shell>").replace(";", " ").split())
    assert {"icanon", "echo", "isig", "icrnl", "-noflsh"} <= modes, "the terminal is as it was"
