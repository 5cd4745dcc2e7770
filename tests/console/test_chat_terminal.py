"""Chats in a terminal, with Ray: what the commands do to agents, what is said at the end, and at the next beginning."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.codec import decode
from events.types import TimerCancelled, TimerSet
from store.folder import DataFolder
from store.sqlite_log import SqliteLog
from tests.console.terminal import ROOT, Terminal, terminal

LAUNCH = str(ROOT / "launch.py")
PROMPT = "you>"
BOOT_S = 120.0


def asks(chat: Terminal, text: str, answer: str) -> str:
    chat.type(f"{text}\r")
    said = chat.until(answer)
    return said + chat.until(PROMPT)


@pytest.mark.cluster
def test_a_chat_from_its_first_word_to_the_next_day(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    manual = tmp_path / "pump manual.txt"
    manual.write_text("The red valve of pump P-101 is opened by turning it to the left.\n")
    arguments = (LAUNCH, "chat", "ada", "--data", str(folder))
    with terminal(*arguments, limit_s=BOOT_S, size=(50, 200)) as chat:
        chat.until("You talk with ada")
        chat.until(PROMPT)
        asks(chat, "My name is Sam.", "your name is Sam")
        asks(chat, "Remind me in 60 minutes to drink tea.", "drink tea")
        asks(chat, "I live in Warsaw.", "ada> ")
        asks(chat, "/undo", "Timers came along, and ring here alone: timer-")
        asks(chat, "Where do I live?", "ada-2> ")
        why = asks(chat, "/why", "events ada-2 --turn")
        assert "Where do I live?" in why
        assert "window" in why
        asks(chat, "/why Warsaw", "NEVER SAID")
        asks(chat, "/search Sam", "archival:")
        asks(chat, "/search --in recall Sam", "recall:")
        asks(chat, "/search --nonsense Sam", "archival:")
        asks(chat, "/blame Sam", "core_memory_append")
        asks(chat, "/fork ben", "ben is made: ada-2's history up to event")
        asks(chat, f"/load manuals '{manual}'", "Attached to ada-2.")
        asks(chat, "How is the red valve opened?", "turning it to the left")
        asks(chat, "/why", "archival_memory_search(")
        asks(chat, "/retry", "turning it to the left")
        asks(chat, "/model", "The model is offline.")
        asks(chat, "/model offline", "asks that model already")
        asks(chat, "/switch ben", "You talk with ben now.")
        asks(chat, "/attach manuals", "Attached manuals to ben.")
        asks(chat, "/attach nothing", "There is no source 'nothing'")
        asks(chat, "/switch ada-3", "You talk with ada-3 now.")
        chat.type("exit\r")
        assert chat.end() == 0
        end = chat.text[-700:]
        assert "1 timer waits: timer-" in end
        assert f"only while something runs on this folder: python launch.py chat ada-3 --data {folder}" in end
        assert "python launch.py events ada-3 --last 3" in end
    with SqliteLog.open_readonly(DataFolder(folder).log_path()) as log:
        assert [each.agent for each in log.open_requests("alarm")] == ["ada-3"]
        moved = [e for e in map(decode, log.read("ada")) if isinstance(e, TimerCancelled)]
        assert [each.moved_to for each in moved] == ["ada-2"]
        assert [e.agent for e in log.read("ada-3") if isinstance(decode(e), TimerSet) and e.agent == "ada-3"] == [
            "ada-3"
        ]
    with terminal(LAUNCH, "chat", "ada-3", "--data", str(folder), limit_s=BOOT_S, size=(50, 200)) as chat:
        chat.until(" UTC  you> How is the red valve opened?")
        chat.until(" UTC  ada-3> ")
        chat.until(PROMPT)
        chat.hang_up()
        assert chat.waits() == 129
    left = [each for each in Path("/proc").glob("[0-9]*/environ") if _mentions(each, str(folder))]
    assert not left, "nothing goes on that was started for it"


def _mentions(path: Path, text: str) -> bool:
    try:
        return text.encode() in path.with_name("cmdline").read_bytes()
    except OSError:
        return False
