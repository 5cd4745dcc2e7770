"""What is found before a system is started: with real servers over HTTP, and no Ray."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bench.openai_stub import Reply
from palimpsest.console.preflight import Foreseen, check_own, foresee, state_of
from palimpsest.console.settings import Flags
from palimpsest.events.codec import draft
from palimpsest.events.errors import BadInput
from palimpsest.events.prompts import newborn
from palimpsest.events.types import Server as Asked
from palimpsest.events.types import Settings
from palimpsest.store.folder import DataFolder
from palimpsest.store.logs.contract import Append
from palimpsest.store.logs.sqlite_log import SqliteLog
from tests.worlds.command_line import Launch
from tests.worlds.stub_server import Server, running

LISTED = {"/v1/models": {"data": [{"id": "small"}, {"id": "large"}]}}
OPENAI = Settings(model="gpt-4o", window_tokens=32_768, reserve_tokens=4096)


@pytest.fixture(scope="module")
def one() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture
def server(one: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    one.stub.requests.clear()
    one.stub.about = LISTED
    return one


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "data")


def nobody() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"


def ahead(folder: DataFolder, **flags: Any) -> Foreseen:
    return asyncio.run(foresee(folder, "ada", Flags(**flags)))


def made(folder: DataFolder, settings: Settings) -> None:
    with SqliteLog(folder.create().log_path()) as log:
        log.open_epoch()
        log.append([Append((draft("ada", 1, newborn(settings), key="create"),))])


def test_a_new_agents_model_must_be_there(server: Server, folder: DataFolder) -> None:
    assert ahead(folder, model="small", base_url=server.url).typed == (server.url,)
    with pytest.raises(BadInput, match=r"has no model 'smal'\. Did you mean small\?.*--unchecked"):
        ahead(folder, model="smal", base_url=server.url)
    assert ahead(folder, model="smal", base_url=server.url, unchecked=True).notes == ()
    assert not folder.path.exists()


def test_a_server_that_lists_nothing_denies_nothing(server: Server, folder: DataFolder) -> None:
    bodies: tuple[Any, ...] = (Reply(404, b""), {"data": []}, ["x"], "text")
    for said in bodies:
        server.stub.about = {"/v1/models": said}
        assert ahead(folder, model="any", base_url=server.url).notes == ()


def test_a_server_that_wants_a_key_is_found_out(server: Server, folder: DataFolder) -> None:
    server.stub.about = {"/v1/models": Reply(401, b"{}")}
    with pytest.raises(BadInput, match=r"wants a key \(401\): `palimpsest keys add"):
        ahead(folder, model="small", base_url=server.url)


def test_openai_without_a_key_is_not_even_asked(server: Server, folder: DataFolder) -> None:
    with pytest.raises(BadInput, match="answers nobody without a key"):
        ahead(folder, model="gpt-4o")
    assert not server.stub.requests


def test_nobody_at_an_address_refuses_a_new_agent_and_warns_one_that_there_is(folder: DataFolder) -> None:
    url = nobody()
    with pytest.raises(BadInput, match="cannot be reached: the connection was refused"):
        ahead(folder, model="small", base_url=url)
    made(folder, Settings(model="small", base_url=url))
    (note,) = ahead(folder, model="small", base_url=url).notes
    assert "cannot be reached" in note
    assert ahead(folder).notes == (), "what is not named is not asked"


def test_an_agent_that_there_is_does_not_move_to_what_is_not_there(server: Server, folder: DataFolder) -> None:
    made(folder, Settings(model="small", base_url=server.url))
    with pytest.raises(BadInput, match="has no model 'huge'"):
        ahead(folder, model="huge", base_url=server.url)


def test_a_fallback_is_told_of_and_lets_the_first_fail(server: Server, folder: DataFolder) -> None:
    first, second = ahead(folder, model="smal", base_url=server.url, fallback=(f"larg@{server.url}", "offline")).notes
    assert "no model 'smal'" in first
    assert "A fallback answers until then." in first
    assert "no model 'larg'" in second


def test_of_an_agents_own_server_only_what_is_known_here_is_looked_at(server: Server, folder: DataFolder) -> None:
    made(folder, OPENAI)
    state = state_of(folder, "ada")
    assert state is not None
    with pytest.raises(BadInput, match=r"keys add https://api\.openai\.com/v1.*Nothing was sent"):
        check_own(folder, state)
    behind = replace(state, settings=replace(OPENAI, fallbacks=(Asked(model="offline"),)))
    assert "A fallback answers" in check_own(folder, behind)[0]
    local = replace(state, settings=Settings(model="small", base_url=server.url))
    assert check_own(folder, local) == []
    assert not server.stub.requests


def test_a_chat_ends_before_anything_is_made(server: Server, folder: DataFolder, call: Launch) -> None:
    chat = call("chat", "ada", "--model", "smal", "--base-url", server.url, "--data", str(folder.path))
    assert (chat.code, chat.out) == (2, b"")
    assert chat.err.startswith(f"Error: {server.url} has no model 'smal'. Did you mean small?")
    assert "Starting Ray" not in chat.err
    assert not folder.path.exists()
