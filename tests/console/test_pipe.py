"""`chat` fed from a pipe: each line is a message; what is no text is named and passed over."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from palimpsest.actors.models.protocol import Piece
from palimpsest.actors.requests.turns import Ending
from palimpsest.console.chat import settle
from palimpsest.console.pipe import Lines, finish, standard_input, talk
from palimpsest.console.settings import HOW_TO_HOST, Flags
from palimpsest.events.errors import BadInput
from palimpsest.events.vocabulary import CutOrNot
from tests.worlds.scripted_client import FakeClient, Script, reply

Captured = pytest.CaptureFixture[str]


async def _chunks(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def told(client: FakeClient, data: bytes, *, size: int = 7, thoughts: bool = False) -> int:
    return asyncio.run(talk(client, "ada", _chunks(data, size), thoughts=thoughts))


@pytest.mark.parametrize("size", [1, 2, 7, 10_000])
def test_lines_come_out_the_same_however_they_are_cut(size: int) -> None:
    data = "\ufefföne\r\n\n  \nthree — drei\nlast".encode()
    lines = Lines()
    found = [line for start in range(0, len(data), size) for line in lines.feed(data[start : start + size])]
    found += lines.end()
    assert [(line.number, line.text) for line in found] == [
        (1, "öne"),
        (2, ""),
        (3, "  "),
        (4, "three — drei"),
        (5, "last"),
    ]


def test_each_line_is_a_message_and_empty_ones_are_skipped(capsys: Captured) -> None:
    client = FakeClient()
    assert told(client, b"Hello\n\n   \nHow are you?") == 0
    assert client.sent == ["Hello", "How are you?"]
    assert capsys.readouterr().out == "Hello\nHow are you?\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"\xff\xfe bad", "line 2 of the input is not UTF-8 text (byte 0xff at 1). It was not sent."),
        (b"nul \0 here", "line 2 of the input holds NUL bytes"),
        (b"\xed\xa0\x80", "line 2 of the input is not UTF-8 text"),
    ],
)
def test_a_line_that_is_no_text_is_named_and_the_rest_goes_on(line: bytes, said: str, capsys: Captured) -> None:
    client = FakeClient()
    assert told(client, b"one\n" + line + b"\nthree\n") == 2
    assert client.sent == ["one", "three"]
    assert said in capsys.readouterr().err


def test_a_megabyte_is_one_message(capsys: Captured) -> None:
    client = FakeClient()
    assert told(client, b"x" * 1_000_000 + b"\n", size=65_536) == 0
    assert len(client.sent[0]) == 1_000_000
    assert len(capsys.readouterr().out) == 1_000_001


def test_a_line_larger_than_a_message_is_not_kept(capsys: Captured) -> None:
    client = FakeClient()
    assert told(client, b"y" * 4_000_002 + b"\nnext\n", size=65_536) == 2
    assert client.sent == ["next"]
    assert "has more than 4,000,000 bytes" in capsys.readouterr().err
    assert told(client, b"z" * 5_000_000, size=65_536) == 2


def test_thoughts_are_printed_only_when_asked_for(capsys: Captured) -> None:
    script: dict[str, Script] = {
        "Hi": [Piece("thought", "A "), Piece("thought", "guest."), Piece("end", ""), reply("Hi!", "Welcome.")]
    }
    assert told(FakeClient(dict(script)), b"Hi\n") == 0
    assert capsys.readouterr().out == "Hi!\nWelcome.\n"
    assert told(FakeClient(dict(script)), b"Hi\n", thoughts=True) == 0
    assert capsys.readouterr().out == "(thinks) A guest.\nHi!\nWelcome.\n"


def test_a_silent_model_is_told_beside_the_replies(capsys: Captured) -> None:
    script: dict[str, Script] = {"Hi": [Piece("waiting", "waiting for the model's server, 10 s"), reply("Hi!")]}
    assert told(FakeClient(script), b"Hi\n") == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("Hi!\n", "(waiting for the model's server, 10 s)\n")


@pytest.mark.parametrize(
    ("reason", "code", "said"),
    [
        ("inference_failed", 1, "The model gave no answer. wrong_key: check OPENAI_API_KEY"),
        ("step_limit", 1, "limit of steps"),
        ("token_limit", 1, "limit of tokens"),
        ("failure_limit", 1, "made no good call"),
        ("window_too_small", 1, "The window is too small."),
        ("repeating", 1, "made the same call again and again"),
        ("stopped", 1, "The turn was stopped."),
        ("yielded", 1, "The agent ended its turn without a message."),
        ("something_new", 1, "The turn ended: something_new."),
    ],
)
def test_a_turn_that_ends_badly_says_why_and_the_chat_goes_on(
    reason: Ending, code: int, said: str, capsys: Captured
) -> None:
    client = FakeClient({"Hi": [reply(reason=reason, detail="wrong_key: check OPENAI_API_KEY")]})
    assert told(client, b"Hi\nStill there?\n") == code
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.out == "Still there?\n"


@pytest.mark.parametrize(
    ("reason", "code"),
    [("yielded", 0), ("step_limit", 0), ("token_limit", 0), ("stopped", 0), ("inference_failed", 1), ("repeating", 1)],
)
def test_a_turn_with_an_answer_failed_only_where_its_end_says_so(reason: Ending, code: int, capsys: Captured) -> None:
    assert told(FakeClient({"Hi": [reply("Well.", reason=reason)]}), b"Hi\n") == code
    printed = capsys.readouterr()
    assert printed.out == "Well.\n"
    assert bool(printed.err) == (reason != "yielded")


@pytest.mark.parametrize(("reason", "code"), [("yielded", 0), ("skipped", 0), ("step_limit", 1), ("stopped", 1)])
def test_where_nobody_asked_a_turn_may_end_without_a_word(reason: Ending, code: int) -> None:
    assert finish(reply(reason=reason), asked=False) == code


@pytest.mark.parametrize(("cut", "by"), [("content_filter", "content filter"), ("length", "length limit")])
def test_half_an_answer_is_said_to_be_one(cut: CutOrNot, by: str, capsys: Captured) -> None:
    assert told(FakeClient({"Hi": [reply("The pass", cut=cut)]}), b"Hi\n") == 0
    printed = capsys.readouterr()
    assert printed.out == "The pass\n"
    assert "not whole" in printed.err and by in printed.err


def test_a_reply_cannot_drive_the_terminal(capsys: Captured) -> None:
    assert told(FakeClient({"Hi": [reply("\x1b[2Jgone")]}), b"Hi\n") == 0
    assert capsys.readouterr().out == "\\x1b[2Jgone\n"


def test_standard_input_is_read_to_its_end() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"one\ntwo")
    os.close(writer)

    async def whole() -> bytes:
        return b"".join([chunk async for chunk in standard_input(reader)])

    assert asyncio.run(whole()) == b"one\ntwo"
    os.close(reader)


def test_standard_input_that_is_closed_says_so() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    os.close(reader)

    async def first() -> bytes:
        return await anext(standard_input(reader))

    with pytest.raises(BadInput, match="Standard input cannot be read"):
        asyncio.run(first())


# --- the agent that is talked with


def test_a_new_agent_is_made_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PALIMPSEST_MODEL", raising=False)
    client = FakeClient()
    notes = asyncio.run(settle(client, "ada", Flags()))
    assert notes == ["New agent 'ada': model offline, window 8,192 tokens.", HOW_TO_HOST]
    assert client.born["ada"].settings.model == "offline"
    assert asyncio.run(settle(client, "ada", Flags())) == [HOW_TO_HOST]
    assert asyncio.run(settle(client, "ada", Flags(model="offline"))) == []


def test_flags_change_an_agent_that_there_is() -> None:
    client = FakeClient()
    asyncio.run(settle(client, "ada", Flags(model="offline")))
    notes = asyncio.run(settle(client, "ada", Flags(window=4096)))
    assert notes[0] == "Agent 'ada' is changed: window 8,192 -> 4,096 tokens."
    assert client.changed[0].window_tokens == 4096


def test_a_window_too_small_makes_no_agent() -> None:
    client = FakeClient()
    with pytest.raises(BadInput, match="too small"):
        asyncio.run(settle(client, "ada", Flags(window=1000)))
    assert client.born == {}
