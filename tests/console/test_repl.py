"""`chat` on a terminal: keys through a pipe of prompt_toolkit's own, a client from a script, no screen."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from rich.console import Console

from palimpsest.actors.client import Reply, Ticket
from palimpsest.actors.models.protocol import Piece, PieceKind
from palimpsest.console.heartbeat import heartbeat
from palimpsest.console.repl import Repl
from palimpsest.console.voice import Voice
from palimpsest.events.errors import BadInput, Overloaded
from palimpsest.events.prompts import newborn
from palimpsest.events.types import Settings, Timer
from tests.worlds.kernel import count
from tests.worlds.scripted_client import FakeClient, reply

ENTER = "\r"
END = "\x04"

Captured = pytest.CaptureFixture[str]


def typed(client: FakeClient, folder: Path, keys: str, *, thoughts: bool = False) -> int:
    """A whole chat, from these keys."""
    client.born.setdefault("ada", newborn(Settings()))
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        pipe.send_text(keys)
        repl = Repl(client, "ada", folder / "history", count, thoughts=thoughts)
        return asyncio.run(repl.run())


def test_messages_are_sent_and_answered_until_the_end(tmp_path: Path, capsys: Captured) -> None:
    client = FakeClient()
    assert typed(client, tmp_path, f"Hello{ENTER}{ENTER}  {ENTER}Bye{ENTER}{END}") == 0
    assert client.sent == ["Hello", "Bye"]
    assert "ada> Hello" in capsys.readouterr().out
    assert "+Hello" in (tmp_path / "history").read_text()


@pytest.mark.parametrize("keys", [f"/quit{ENTER}", f"/exit{ENTER}", END])
def test_it_ends_when_told_to(tmp_path: Path, keys: str) -> None:
    client = FakeClient()
    assert typed(client, tmp_path, keys) == 0
    assert client.sent == []


@pytest.mark.parametrize("newline", [f"\\{ENTER}", "\x1b\r"])
def test_a_message_may_have_several_lines(tmp_path: Path, newline: str) -> None:
    client = FakeClient()
    typed(client, tmp_path, f"one{newline}two{ENTER}{END}")
    assert client.sent == ["one\ntwo"]


def test_ctrl_c_at_the_prompt_hints_and_clears(tmp_path: Path, capsys: Captured) -> None:
    client = FakeClient()
    typed(client, tmp_path, f"half\x03Hello{ENTER}{END}")
    assert client.sent == ["Hello"]
    assert "Ctrl-D, exit or quit ends" in capsys.readouterr().out


def test_commands_are_no_messages_and_a_double_slash_is(tmp_path: Path, capsys: Captured) -> None:
    client = FakeClient()
    client.alarms = [Timer(id="timer-9", due_ms=1_763_800_000_000, note="tea", every_s=60)]
    typed(client, tmp_path, "".join(f"{line}{ENTER}" for line in (
        "/help", "/memory", "/context", "/context full", "/timers", "/events 5", "/stop", "/thoughts", "/what", "//etc",
    )) + END)  # fmt: skip
    out = capsys.readouterr().out
    assert client.sent == ["/etc"]
    assert client.stopped == [("ada", 0)]
    for said in (
        "/thoughts",
        "persona  104 of 2,000 characters",
        "system text, core memory, functions",
        "[1] system",
        "timer-9  2025-11-22 08:26:40 UTC  every 60 s  tea",
        "AgentCreated",
        "Inner thoughts are shown.",
        "There is no command /what",
    ):
        assert said in out


def test_what_cannot_be_sent_is_said_and_the_chat_goes_on(tmp_path: Path, capsys: Captured) -> None:
    client = FakeClient()
    client.refused["Now!"] = Overloaded("Too many inputs wait.", 5)
    typed(client, tmp_path, f"Now!{ENTER}Hello{ENTER}{END}")
    assert client.sent == ["Hello"]
    out = capsys.readouterr().out
    assert "Too many inputs wait. Nothing was taken. Send it again in 5 s." in out
    assert "ada> Hello" in out


def test_what_the_agent_says_unasked_is_printed_and_its_own_replies_once(tmp_path: Path, capsys: Captured) -> None:
    client = FakeClient()
    client.meanwhile["Hello"] = [reply("Time for tea.", input=98), reply("Hello", input=2)]
    typed(client, tmp_path, f"Hello{ENTER}/timers{ENTER}{END}")
    out = capsys.readouterr().out
    assert out.count("ada> Time for tea.") == 1
    assert out.count("ada> Hello") == 1


# --- the voice


def spoken(*items: Callable[[Voice], None], thoughts: bool = False) -> str:
    out = io.StringIO()
    voice = Voice(Console(file=out, width=200), "ada", thoughts=thoughts)
    for item in items:
        item(voice)
    return out.getvalue()


def piece(kind: PieceKind, text: str = "") -> Callable[[Voice], None]:
    return lambda voice: voice.piece(Piece(kind, text))


def test_streamed_words_are_not_printed_again() -> None:
    said = spoken(piece("message", "Good "), piece("message", "day."), lambda voice: voice.end(reply("Good day.")))
    assert said == "ada> Good day.\n"


def test_what_was_not_streamed_is_printed() -> None:
    said = spoken(piece("message", "One."), piece("end"), lambda voice: voice.end(reply("One.", "Two.")))
    assert said == "ada> One.\nada> Two.\n"


def test_words_that_were_streamed_and_not_sent_are_marked() -> None:
    said = spoken(piece("message", "Wrong"), lambda voice: voice.end(reply("Right.")))
    assert said == "ada> Wrong\n(the words above were not sent)\nada> Right.\n"


def test_an_answer_that_begins_again_voids_what_was_shown() -> None:
    said = spoken(
        piece("message", "Good d"), piece("again"), piece("message", "Good day."), lambda v: v.end(reply("Good day."))
    )
    assert said == "ada> Good d\n(the words above were not sent)\nada> Good day.\n"


def test_thoughts_are_apart_from_messages_and_from_each_other() -> None:
    items = (piece("thought", "Hm."), piece("end"), piece("thought", "Yes."), piece("message", "Hi."))
    end: Callable[[Voice], None] = lambda voice: voice.end(reply("Hi."))  # noqa: E731
    assert spoken(*items, end, thoughts=True) == "(thinks) Hm.\n(thinks) Yes.\nada> Hi.\n"
    assert spoken(*items, end) == "ada> Hi.\n"


def test_a_silent_model_is_told_on_a_line_of_its_own() -> None:
    waits = piece("waiting", "waiting for the model's server, 10 s")
    said = spoken(piece("message", "Good "), waits, piece("message", "day."), lambda v: v.end(reply("Good day.")))
    assert said == "ada> Good\n(waiting for the model's server, 10 s)\nada> day.\n"


def test_a_failure_is_told_and_markup_is_only_text() -> None:
    failed = reply(reason="inference_failed", detail="wrong_key: set [bold]OPENAI_API_KEY[/bold]")
    assert spoken(lambda voice: voice.end(failed)) == (
        "The model gave no answer. wrong_key: set [bold]OPENAI_API_KEY[/bold]\n"
    )
    assert spoken(piece("message", "\x1b[2J[red]x"), lambda voice: voice.end(reply("\x1b[2J[red]x"))) == (
        "ada> \\x1b[2J[red]x\n"
    )


def test_ctrl_c_stops_the_turn_that_is_being_answered_and_no_later_one(tmp_path: Path) -> None:
    class Interrupted(FakeClient):
        async def stream(self, agent: str, text: str) -> AsyncIterator[Ticket | Piece | Reply]:
            async for item in super().stream(agent, text):
                yield item
                if isinstance(item, Piece) and item.kind == "message":
                    os.kill(os.getpid(), signal.SIGINT)
                    await asyncio.wait_for(self.stop_came.wait(), 10)

        async def stop(self, agent: str, reason: str = "", *, input: int = 0) -> bool:
            self.stop_came.set()
            return await super().stop(agent, reason, input=input)

        stop_came = asyncio.Event()

    client = Interrupted()
    typed(client, tmp_path, f"Hello{ENTER}{END}")
    assert client.stopped == [("ada", 2)]


def test_a_timed_heartbeat_is_set_listed_and_ended(tmp_path: Path, capsys: Captured) -> None:
    client = FakeClient()
    lines = ("/heartbeat every 30m", "/timers", "/heartbeat off", "/heartbeat off", "/heartbeat now and then")
    typed(client, tmp_path, "".join(f"{line}{ENTER}" for line in lines) + END)
    out = " ".join(capsys.readouterr().out.split())
    for said in (
        "and then every 30 minutes",
        "every 1800 s",
        "The timed heartbeat is off.",
        "There is no timed heartbeat",
        "Say how often, as `/heartbeat every 30m`",
    ):
        assert said in out
    assert client.alarms == []


@pytest.mark.parametrize(
    ("text", "every_s"), [("every 30m", 1800), ("2h", 7200), ("every 1 hour", 3600), ("5 minutes", 300)]
)
def test_how_often_is_read_as_it_is_written(text: str, every_s: int) -> None:
    assert heartbeat(text, 1000) == Timer(id="heartbeat", due_ms=1000 + every_s * 1000, every_s=every_s, heartbeat=True)


@pytest.mark.parametrize(("text", "most"), [("every 99999h", "87840h"), ("every 99999 hours", "87840h")])
def test_what_is_too_seldom_is_told_in_the_users_units(text: str, most: str) -> None:
    with pytest.raises(BadInput, match=f"'{text}' is too seldom: give at most {most}, which is ten years"):
        heartbeat(text, 1000)
