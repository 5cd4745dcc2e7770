"""Chats in a terminal, with Ray: what the commands do to agents, what is said at the end, and at the next beginning."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest

from palimpsest.events.codec import decode
from palimpsest.events.position import FIRST_PARTITION
from palimpsest.events.types import TimerCancelled
from palimpsest.store.folder import DataFolder
from palimpsest.store.logs.sqlite_log import SqliteLog
from tests.worlds.positions import nth
from tests.worlds.terminal import ROOT, Terminal, terminal

LAUNCH: Final = str(ROOT / "launch.py")
PROMPT: Final = "you>"
BOOT_S: Final = 120.0

TALKED: Final = (
    ("My name is Sam.", "your name is Sam"),
    ("Remind me in 60 minutes to drink tea.", "drink tea"),
    ("I live in Warsaw.", "ada> "),
    ("/undo", "Timers came along, and ring here alone: timer-"),
    ("Where do I live?", "ada-2> "),
)
LOOKED: Final = (
    ("/why", "events ada-2 --turn"),
    ("/why Warsaw", "NEVER SAID"),
    ("/search Sam", "archival:"),
    ("/search --in recall Sam", "recall:"),
    ("/blame Sam", "core_memory_append"),
    ("/blame --at 9999", "there is no event 9999"),
    ("/fork ben", "ben is made: ada-2's history up to event"),
)
READ: Final = (
    ("How is the red valve opened?", "turning it to the left"),
    ("/why", "archival_memory_search("),
    ("/retry", "turning it to the left"),
    ("/model", "The model is offline."),
    ("/model offline", "asks that model already"),
)
WENT: Final = (
    ("/model offline", "-> offline"),
    ("/switch ben", "You talk with ben now."),
    ("/attach manuals", "Attached manuals to ben."),
    ("/attach nothing", "There is no source 'nothing'"),
    ("/switch nobody", "There is no agent 'nobody'"),
)


def asks(chat: Terminal, lines: Iterable[tuple[str, str]]) -> None:
    """Type each line, and see what is to come of it."""
    for text, answer in lines:
        chat.type(f"{text}\r")
        chat.until(answer)
        chat.until(PROMPT)


@contextlib.contextmanager
def stub() -> Iterator[str]:
    """The address of a model's server."""
    command = [sys.executable, str(ROOT / "bench/openai_stub.py"), "--port", "0"]
    served = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert served.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(served.stdout.readline())}/v1"
    finally:
        served.kill()
        served.wait()


@pytest.mark.cluster
def test_a_chat_from_its_first_word_to_the_next_day(tmp_path: Path) -> None:
    folder, manual = tmp_path / "data", tmp_path / "pump manual.txt"
    manual.write_text("The red valve of pump P-101 is opened by turning it to the left.\n")
    with terminal(LAUNCH, "chat", "ada", "--data", str(folder), limit_s=BOOT_S, size=(50, 200)) as chat:
        chat.until("You talk with ada")
        chat.until(PROMPT)
        asks(chat, [*TALKED, *LOOKED, (f"/load manuals '{manual}'", "Attached to ada-2."), *READ])
        with stub() as url:
            asks(chat, [(f"/model stub@{url}", f"model offline -> stub at {url}"), ("Are you there?", "ada-3> ")])
            asks(chat, [("/retry", "ada-4> "), ("/model other", f"model stub at {url} -> other at {url}")])
        asks(chat, WENT)
        chat.type("exit\r")
        assert chat.end() == 0
    end = chat.text[chat.text.rindex("exit") :]
    assert "1 timer waits: timer-" in end
    assert f"launch.py up --data {folder}" in end
    assert f"launch.py events ben --last 3 --data {folder}" in end
    check_timers(folder)
    with terminal(LAUNCH, "chat", "ada-4", "--data", str(folder), limit_s=BOOT_S, size=(50, 200)) as chat:
        chat.until("/help lists")
        chat.until(" UTC  you> How is the red valve opened?")
        chat.until(" UTC  ada-4> ")
        chat.until("Are you there?")
        chat.until(f"\n{PROMPT}")
        chat.hang_up()
        assert chat.waits() == 129
    left = [each for each in Path("/proc").glob("[0-9]*/cmdline") if _mentions(each, str(folder))]
    assert not left, "nothing goes on that was started for it"


def check_timers(folder: Path) -> None:
    with SqliteLog.open_readonly(DataFolder(folder).log_path()) as log:
        assert [each.stream for each in log.open_requests("alarm", FIRST_PARTITION)] == ["ada-4"]
        events = [(each.stream, decode(each)) for each in log.tail(nth(0), 10_000, frozenset({"TimerCancelled"}))[0]]
    went = [(agent, event.moved_to) for agent, event in events if isinstance(event, TimerCancelled)]
    assert went == [("ada", "ada-2"), ("ada-2", "ada-3"), ("ada-3", "ada-4")]


def _mentions(path: Path, text: str) -> bool:
    try:
        return text.encode() in path.read_bytes()
    except OSError:
        return False
