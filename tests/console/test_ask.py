"""`ask`: what is taken as a message, what is printed, and how it ends; with a client that answers from a script."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import click
import pytest

from palimpsest.actors.client import Reply, Ticket
from palimpsest.actors.models.protocol import Piece
from palimpsest.actors.requests.checks import MAX_MESSAGE_BYTES
from palimpsest.console.ask import Asking, InputSeen, Inquiry, ready, shown
from palimpsest.console.main import main
from palimpsest.console.message import message_of, text_in
from palimpsest.events.errors import BadInput
from palimpsest.questions.asked import TurnPlaces, places, text_at
from palimpsest.store.folder import DataFolder
from tests.worlds.command_line import Launch
from tests.worlds.kernel import Kernel
from tests.worlds.scripted_client import Script, reply

Captured = pytest.CaptureFixture[str]


class Scripted:
    """Answers from a script; `waits`: only once it was stopped (None: never)."""

    def __init__(self, script: Script, *, again: bool = False, waits: bool = False) -> None:
        self.script = script
        self.again = again
        self.asked: list[tuple[str, str]] = []
        self.stopped: list[int] = []
        self._waits = waits
        self._free = asyncio.Event()

    async def stream(self, agent: str, text: str, *, message_id: str = "") -> AsyncIterator[Ticket | Piece | Reply]:
        self.asked.append((text, message_id))
        yield Ticket(agent, 2, message_id, again=self.again)
        if self._waits:
            os.kill(os.getpid(), signal.SIGINT) if self.script else None
            await self._free.wait()
        for item in self.script:
            yield item

    async def stop(self, agent: str, reason: str = "", *, input: int = 0) -> bool:  # noqa: ARG002
        self.stopped.append(input)
        self._free.set()
        return True


def asked(client: Scripted, *, text: str = "Hi", **fields: Any) -> int:
    inquiry = Inquiry(agent="ada", text=text, message_id="m1", **fields)
    seen = InputSeen(TurnPlaces(input=2, requests=(4, 7), answers=(9,), ended=10), "Hi")

    async def look(_seq: int) -> InputSeen:
        return seen

    async def run() -> int:
        return await Asking(client, inquiry, look).run(stays=False)

    with click.Context(click.Command("ask")):
        return asyncio.run(run())


def test_the_answer_alone_is_on_standard_output(capsys: Captured) -> None:
    client = Scripted([Piece("thought", "hm"), Piece("message", "Hel"), Piece("end", ""), reply("Hello.", "And?")])
    assert asked(client) == 0
    printed = capsys.readouterr()
    assert printed.out == "Hello.\nAnd?\n"
    assert printed.err == "To look: palimpsest context ada --at 7 ; palimpsest events ada --turn 2\n"
    assert client.asked == [("Hi", "m1")]
    assert asked(client, quiet=True) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (reply(reason="inference_failed", detail="No key."), "The model gave no answer. No key."),
        (reply(), "without a message"),
        (reply("A", reason="repeating"), "again and again"),
    ],
)
def test_a_turn_that_failed_is_exit_code_1(capsys: Captured, end: Reply, said: str) -> None:
    assert asked(Scripted([end]), quiet=True) == 1
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.out == "".join(f"{each}\n" for each in end.messages)


def test_json_is_one_object(capsys: Captured) -> None:
    assert asked(Scripted([Piece("message", "x"), reply("Hello.")]), written="json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert found["messages"] == ["Hello."]
    assert found["message_id"] == "m1"
    assert found["seqs"] == {"input": 2, "requests": [4, 7], "answers": [9], "ended": 10}
    assert {"agent", "input", "reason", "detail", "steps", "tokens"} <= set(found)


def test_streamed_json_is_an_object_a_line_and_the_reply_is_the_last(capsys: Captured) -> None:
    client = Scripted([Piece("message", "Hel\n"), Piece("message", "lo."), reply("Hel\nlo.")], again=True)
    assert asked(client, written="stream-json", text="other") == 0
    printed = capsys.readouterr()
    lines = [json.loads(line) for line in printed.out.splitlines()]
    assert [each["type"] for each in lines] == ["sent", "piece", "piece", "reply"]
    assert lines[0] == {"type": "sent", "agent": "ada", "input": 2, "message_id": "m1", "again": True}
    assert "".join(each["text"] for each in lines if each["type"] == "piece") == lines[-1]["messages"][0]
    assert "sent before, as event 2, with another text" in printed.err


def test_ctrl_c_stops_the_turn(capsys: Captured) -> None:
    client = Scripted([reply(reason="stopped")], waits=True)
    assert asked(client) == 130
    assert client.stopped == [2]
    assert "The turn was stopped." in capsys.readouterr().err


def test_when_the_time_is_over_the_turn_goes_on_and_it_says_how_to_look(capsys: Captured) -> None:
    client = Scripted([], waits=True)
    assert asked(client, timeout_s=0.05, written="json") == 124
    printed = capsys.readouterr()
    assert client.stopped == []
    assert json.loads(printed.out)["reason"] == "timeout"
    assert "no answer within 0.05 s" in printed.err
    assert "--message-id m1" in printed.err
    assert "palimpsest events ada --turn 2" in printed.err


def test_what_drives_a_terminal_is_shown_and_tabs_stay_in_a_pipe() -> None:
    assert shown("all:\n\tmake \x1b[31m") == "all:\n\tmake \\x1b[31m"


# --- the message --------------------------------------------------------------------------------------------------


def test_a_whole_file_is_one_message(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_bytes("\ufeffone\n\ntwo ä\r\n".encode())
    assert message_of(None, str(file)) == "one\n\ntwo ä"
    with pytest.raises(BadInput, match="Give one message"):
        message_of("x", "-")
    with pytest.raises(BadInput, match="Give one message"):
        message_of(None, None)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff\xfe", "is not UTF-8 text (byte 0xff at 1)"),
        (b"a\0b", "NUL"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 20, "a picture (PNG)"),
        (b"a" * (MAX_MESSAGE_BYTES + 1), "the most of a message"),
        (b"a" * (MAX_MESSAGE_BYTES + 100), "the most of a message"),
    ],
)
def test_what_is_no_message_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(BadInput, match="nothing was sent") as error:
        text_in(data, "it")
    assert said in str(error.value)


def test_the_largest_message_is_one() -> None:
    assert len(text_in(b"\xef\xbb\xbf" + b"a" * MAX_MESSAGE_BYTES + b"\r\n", "it")) == MAX_MESSAGE_BYTES


@pytest.mark.parametrize(
    "arguments", [("ada", " "), ("ada", "--file", "/none"), ("ada", "x", "--json", "--stream-json")]
)
def test_what_cannot_be_sent_ends_before_anything_is_started(launched: Launch, arguments: tuple[str, ...]) -> None:
    printed = launched("ask", *arguments)
    assert (printed.code, printed.out) == (2, b"")
    assert "Starting Ray" not in printed.err


def test_an_agent_that_there_is_not_is_named_with_those_near(launched: Launch, tmp_path: Path) -> None:
    printed = launched("ask", "adda", "Hi")
    assert printed.code == 2
    assert "There is no agent 'adda'. Did you mean ada? `" in printed.err
    assert f"--data {tmp_path / 'data'} create adda` makes one of this name." in printed.err
    with pytest.raises(BadInput, match="`create bob`"):
        ready(DataFolder(tmp_path / "none"), "bob")


# --- where to look ------------------------------------------------------------------------------------------------


def test_the_places_of_a_turn_are_the_logs(kernel: Kernel) -> None:
    log = kernel.log.read("ada")
    inputs = [each.seq for each in log if each.kind == "UserMessageReceived"]
    started = next(each for each in log if each.kind == "EvictionStarted")
    for input in (inputs[0], started.turn, inputs[-1]):
        found = places(kernel.log, "ada", input)
        of = [each for each in log if each.turn == input]
        assert found.answers == tuple(each.seq for each in of if each.kind == "MessageSent")
        assert found.ended == of[-1].seq
        assert len(found.requests) == 1, "a summary's request is none for an answer"
    kernel.ask("ada", "Still there?")
    open_ = places(kernel.log, "ada", kernel.log.read("ada")[-3].seq)
    assert (open_.ended, len(open_.requests)) == (0, 1)
    assert text_at(kernel.log, "ada", open_.input) == "Still there?"
    assert text_at(kernel.log, "ada", 1) is None


@pytest.mark.cluster
def test_a_question_end_to_end_and_again_by_its_id(tmp_path: Path, capsys: Captured) -> None:
    data = ("--data", str(tmp_path / "data"))
    kernel = Kernel(tmp_path / "data")
    kernel.create("ada", window=8192)
    kernel.close()
    assert main(("ask", "ada", "My name is Sam.", *data)) == 0
    said = capsys.readouterr()
    assert "your name is Sam" in said.out
    assert len(said.out.splitlines()) == 1
    first = (main(("ask", "ada", "What is my name?", "--json", "--message-id", "q1", *data)), capsys.readouterr())
    again = (main(("ask", "ada", "What is my name?", "--json", "--message-id", "q1", *data)), capsys.readouterr())
    assert first[0] == again[0] == 0
    assert first[1].out == again[1].out
    assert "was sent before" in again[1].err
    seqs = json.loads(first[1].out)["seqs"]
    assert main(("context", "ada", "--at", str(seqs["requests"][0]), *data)) == 0
    assert "What is my name?" in capsys.readouterr().out


def test_of_a_clusters_agents_the_cluster_is_asked(
    call: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)  # this process may have one
    printed = call("--data", str(tmp_path / "none"), "ask", "ada", "Hi", "--address", "127.0.0.1:9")
    assert printed.code == 2
    assert "No Ray cluster answers at 127.0.0.1:9: Connection refused." in printed.err
    assert not (tmp_path / "none").exists()
