"""Thoughts and calls in the content, as servers let them through: from HTTP to the answer and the pieces shown."""

from __future__ import annotations

import json

import pytest

from bench.openai_stub import WRITTEN
from palimpsest.actors.parts.inferring import completed
from palimpsest.events.functions import UNREAD
from palimpsest.events.types import InferenceCompleted
from tests.worlds.stub_server import Server, ask, both_ways, complete


@both_ways
@pytest.mark.parametrize("form", [form for form in WRITTEN if form not in {"think", "unopened", "cut"}])
def test_a_call_in_the_content_is_a_call(server: Server, form: str, stream: bool) -> None:
    answer, pieces = complete(server, ask(f"stub-writes:{form}"), stream=stream)
    (call,) = answer.calls
    assert (call.name, json.loads(call.arguments)) == ("send_message", {"message": "hello"})
    assert answer.content == ""
    assert answer.reasoning in {"", "SECRET"}
    assert {piece.kind for piece in pieces} <= {"thought"}
    assert "".join(piece.text for piece in pieces).strip() in {"", "SECRET"}


@both_ways
@pytest.mark.parametrize("form", ["think", "unopened"])
def test_a_thought_in_the_content_is_a_thought(server: Server, form: str, stream: bool) -> None:
    answer, _ = complete(server, ask(f"stub-writes:{form}"), stream=stream)
    assert (answer.content, answer.reasoning, answer.calls) == ("Hello, friend.", "SECRET: be kind.", ())


@both_ways
def test_a_call_that_was_cut_off_is_no_text_and_fails(server: Server, stream: bool) -> None:
    answer, pieces = complete(server, ask("stub-writes:cut"), stream=stream)
    assert answer.content == ""
    assert [call.name for call in answer.calls] == ["send_message"]
    assert not pieces
    assert not completed(answer, b"", 0).calls[0].raw, "it is not repaired"


@both_ways
def test_a_name_with_a_channel_behind_it_is_the_name(server: Server, stream: bool) -> None:
    answer, pieces = complete(server, ask("stub-harmony-name"), stream=stream)
    assert [call.name for call in answer.calls] == ["send_message"]
    if stream:
        assert "".join(piece.text for piece in pieces if piece.kind == "message") == "hello"


@both_ways
def test_calls_in_the_content_beside_calls_are_thoughts(server: Server, stream: bool) -> None:
    native = {"id": "a", "function": {"name": "send_message", "arguments": '{"message":"once"}'}}
    server.script({"message": {"content": WRITTEN["hermes"], "tool_calls": [native]}})
    answer, _ = complete(server, ask("stub-script"), stream=stream)
    assert [call.arguments for call in answer.calls] == ['{"message":"once"}']
    assert answer.content == ""
    assert answer.reasoning == WRITTEN["hermes"]


def test_the_event_has_the_thoughts_beside_the_text(server: Server) -> None:
    answer, _ = complete(server, ask("stub-writes:think"))
    made = completed(answer, b"", 1)
    assert isinstance(made, InferenceCompleted)
    assert (made.content, made.reasoning) == ("Hello, friend.", "SECRET: be kind.")
    assert UNREAD not in {call.name for call in made.calls}
