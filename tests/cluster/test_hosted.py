"""Agents on a hosted model, over real HTTP: what a server answers, well or badly, and what never gets out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import urllib.request
from pathlib import Path

import pytest
import ray

from palimpsest.actors.system import System
from palimpsest.events.types import (
    AnswerRejected,
    EvictionStarted,
    FunctionFailed,
    InferenceCompleted,
    InferenceFailed,
    InferenceRequested,
    MessageSent,
    MessagesEvicted,
    Settings,
)
from palimpsest.store.folder import DataFolder
from palimpsest.store.keys.files import key_files
from palimpsest.store.keys.keys import Credentials
from tests.worlds.crowd import KEY, OWN_KEY, born, run, stream_of


def test_a_turn_on_a_hosted_model(shared: System, stub_url: str) -> None:
    async def talk() -> None:
        client = await born(shared, "hosted", Settings(model="stub", base_url=stub_url))
        assert (await client.ask("hosted", "Good morning!")).text.startswith("You said: ")
        (done,) = [e for e in await stream_of(shared, "hosted") if isinstance(e, InferenceCompleted)]
        assert done.usage.prompt > 1000
        assert done.finish == "tool_calls"

    run(talk())


def test_the_stub_calls_three_functions_a_turn(shared: System, stub_url: str) -> None:
    """What `bench --model stub --mix memory` measures."""

    async def talk() -> None:
        client = await born(shared, "three", Settings(model="stub-memory", base_url=stub_url))
        for text in ("I live in Oslo.", "It rains here.", "Where do I live?"):
            assert (await client.ask("three", text)).text == f'You said: "{text}"'
        events = await stream_of(shared, "three")
        calls = [[call.name for call in e.calls] for e in events if isinstance(e, InferenceCompleted)]
        assert calls == [
            ["core_memory_append", "archival_memory_insert", "send_message"],
            ["core_memory_replace", "archival_memory_insert", "send_message"],
            ["archival_memory_search"],
            ["core_memory_replace", "send_message"],
        ]
        assert not any(isinstance(event, FunctionFailed) for event in events)

    run(talk())


@pytest.mark.parametrize("model", ["stub-plain", "stub-no-id", "stub-429-once", "stub-500-once"])
def test_what_is_a_little_wrong_is_put_right(shared: System, stub_url: str, model: str) -> None:
    async def talk() -> None:
        client = await born(shared, model, Settings(model=model, base_url=stub_url))
        reply = await client.ask(model, "Hello!")
        assert reply.reason == "yielded"
        assert reply.text
        events = await stream_of(shared, model)
        assert len([event for event in events if isinstance(event, MessageSent)]) == 1
        assert not any(isinstance(event, (InferenceFailed, FunctionFailed)) for event in events)

    run(talk())


def test_broken_json_is_repaired(shared: System, stub_url: str) -> None:
    async def talk() -> None:
        client = await born(shared, "json", Settings(model="stub-broken-json", base_url=stub_url))
        assert (await client.ask("json", "Hello!")).text == "so"
        (done,) = [e for e in await stream_of(shared, "json") if isinstance(e, InferenceCompleted)]
        assert done.calls[0].raw, "the model's own text is kept beside the repaired one"

    run(talk())


@pytest.mark.parametrize("model", ["stub-unknown-function", "stub-length"])
def test_a_model_that_only_makes_bad_calls_is_told_and_then_stopped(shared: System, stub_url: str, model: str) -> None:
    async def talk() -> None:
        settings = Settings(model=model, base_url=stub_url, max_failures=2)
        client = await born(shared, model, settings)
        reply = await client.ask(model, "Hello!")
        events = await stream_of(shared, model)
        told = [event for event in events if isinstance(event, (FunctionFailed, AnswerRejected))]
        assert (reply.reason, bool(told)) == ("failure_limit", True)
        assert reply.steps <= 6

    run(talk())


FAILURES = {
    "stub-401": "wrong_key",
    "stub-echo-key": "wrong_key",
    "stub-404": "unknown_model",
    "stub-quota": "rate_limited",
    "stub-html": "bad_answer",
    "stub-empty-choices": "bad_answer",
    "stub-hang": "timeout",
}


def test_a_server_that_refuses_ends_the_turn_and_not_the_agent(shared: System, stub_url: str) -> None:
    """All at once: each turn ends with what is wrong, with no loop; then the agents go on with another model."""

    async def refused(agent: str, settings: Settings, error: str) -> None:
        client = await born(shared, agent, settings)
        reply = await client.ask(agent, "Hello!")
        assert reply.reason == "inference_failed", agent
        assert reply.detail.startswith(f"{error}: "), agent
        events = await stream_of(shared, agent)
        assert len([event for event in events if isinstance(event, InferenceRequested)]) == 1, "no loop"
        assert [event.error for event in events if isinstance(event, InferenceFailed)] == [error]
        await client.change_settings(agent, Settings(model="stub", base_url=stub_url))
        assert (await client.ask(agent, "And now?")).text.startswith("You said: ")

    async def talk() -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            nobody = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        cases = [(name, Settings(model=name, base_url=stub_url), error) for name, error in FAILURES.items()]
        cases.append(("nobody-there", Settings(model="stub", base_url=nobody), "unreachable"))
        await asyncio.gather(*(refused(*case) for case in cases))

    run(talk())


def test_a_window_smaller_than_was_said_is_answered_with_an_eviction(shared: System, stub_url: str) -> None:
    async def talk() -> None:
        client = await born(shared, "overflow", Settings(model="stub", base_url=stub_url))
        for number in range(12):
            await client.ask("overflow", f"Number {number}: " + "we talked about the weather and the garden. " * 10)
        await client.change_settings("overflow", Settings(model="stub-overflow:3600", base_url=stub_url))
        reply = await client.ask("overflow", "Do you still follow?")
        assert reply.reason == "yielded"
        events = await stream_of(shared, "overflow")
        assert next(event for event in events if isinstance(event, InferenceFailed)).error == "overflow"
        assert next(event for event in events if isinstance(event, EvictionStarted)).reason == "overflow"
        assert any(isinstance(event, MessagesEvicted) for event in events)

    run(talk())


def test_the_key_is_sent_to_the_server_and_turns_up_nowhere_else(
    shared: System, shared_folder: DataFolder, stub_url: str
) -> None:
    """Promise 12: not in the log, not in a worker's lines, not in an error; not even if the server says it aloud."""

    async def talk() -> str:
        client = await born(shared, "secret", Settings(model="stub-echo-key", base_url=stub_url))
        return (await client.ask("secret", "Hello!")).detail

    detail = run(talk())
    assert "wrong_key" in detail
    assert "[removed]" in detail, "the server did quote the key"
    with urllib.request.urlopen(stub_url.replace("/v1", "/requests")) as response:
        received = response.read()
    assert OWN_KEY.encode() in received
    assert KEY.encode() not in received, "OPENAI_API_KEY is no key of this server's"
    logs = files_below(Path(ray.worker.global_worker.node.get_logs_dir_path()))
    assert any(b"inference failed" in text for text in logs.values()), "the workers' own lines are among them"
    listed = {Path("Ray's actors"): repr(ray._private.state.actors()).encode(), **command_lines()}
    for path, text in {**logs, **files_below(shared_folder.path), **listed}.items():
        for secret in (KEY, KEY[:12], OWN_KEY, OWN_KEY[:12]):
            assert secret.encode() not in text, f"promise 12: {path} holds the key"


def test_a_key_that_changes_is_used_without_a_restart(shared: System, stub_url: str) -> None:
    """Promise 12 holds for it too: what the server quotes of the new one is taken out."""
    files = key_files(os.environ)

    async def asked(agent: str) -> str:
        client = await born(shared, agent, Settings(model="stub-echo-key", base_url=stub_url))
        return (await client.ask(agent, "Hello!")).detail

    assert "[removed]" in run(asked("before"))
    files.remove(stub_url)
    try:
        assert f"keys add {stub_url}" in run(asked("between"))
        files.keep(Credentials(url=stub_url, key="sk-another-key-0815"))
        detail = run(asked("after"))
        assert "[removed]" in detail
        assert "another" not in detail
    finally:
        files.keep(Credentials(url=stub_url, key=OWN_KEY))


def command_lines() -> dict[Path, bytes]:
    """What `ps` shows of every process."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found[path] = path.read_bytes()
    return found


def files_below(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
