"""`keys`, and what an import's addresses get before a user has allowed them: nothing."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from palimpsest.console.settings import Flags, servers_named, settings_changed, settings_for_new
from palimpsest.events.codec import draft
from palimpsest.events.errors import BadInput
from palimpsest.events.prompts import newborn
from palimpsest.events.types import Settings
from palimpsest.store.keys.files import KeyFiles, key_files
from palimpsest.store.logs.contract import Append
from tests.worlds.command_line import Launch, Printed
from tests.worlds.kernel import START_MS, Kernel
from tests.worlds.stub_server import Server

KEY = "sk-palimpsest-0123456789"
URL = "http://one.example/v1"
OPENAI = "https://api.openai.com/v1"


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyFiles:
    """This user has nothing yet."""
    monkeypatch.setenv("PALIMPSEST_KEYS", str(tmp_path / "config" / "keys.json"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return key_files(os.environ)


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """What comes by standard input."""
    return lambda text: monkeypatch.setattr(sys, "stdin", io.StringIO(text))


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture
def bundle(kernel: Kernel, launched: Launch, server: Server, tmp_path: Path) -> Path:
    """An agent of somebody else's, who has a server."""
    settings = Settings(model="stub", base_url=server.url, window_tokens=8192, reserve_tokens=400)
    kernel.log.append([Append((draft("eve", START_MS, newborn(settings), key="create"),))])
    kernel.talk("eve", ["Hello!"])
    path = tmp_path / "eve.palimpsest"
    assert launched("export", "eve", str(path)).code == 0
    return path


@pytest.fixture
def elsewhere(call: Launch, tmp_path: Path) -> Launch:
    return lambda *arguments: call("--data", str(tmp_path / "elsewhere"), *arguments)


def rows(printed: Printed) -> dict[str, dict[str, Any]]:
    assert printed.code == 0, printed.err
    return {row["url"]: row for row in msgspec.json.decode(printed.out)["servers"]}


# --- the commands -------------------------------------------------------------------------------------------------


def test_a_key_is_added_listed_and_removed_and_never_shown(
    elsewhere: Launch, files: KeyFiles, typing: Callable[[str], None]
) -> None:
    typing(f"Bearer {KEY}\n")
    added = elsewhere("keys", "add", URL + "/")
    typing("tenant-secret\n")
    header = elsewhere("keys", "add", URL, "--header", "X-Tenant")
    listed, as_json = elsewhere("keys"), elsewhere("keys", "--json")
    removed, again = elsewhere("keys", "remove", URL), elsewhere("keys", "remove", URL)
    assert added.text == f"The key for {URL} is kept in {files.path}, and goes to no other server.\n"
    assert header.text.startswith("The header X-Tenant for")
    assert f"{URL}  gets a key and the header X-Tenant  (key file)" in listed.lines
    assert rows(as_json)[URL]["sends"] == "a key and the header X-Tenant"
    assert (removed.code, again.code) == (0, 2)
    assert "keys" in again.err
    for printed in (added, header, listed, as_json, removed, again):
        for secret in (KEY, "tenant-secret"):
            assert secret not in printed.text + printed.err
    assert files.servers() == ()


@pytest.mark.parametrize(
    "given",
    [
        ("one.example", KEY, "https://HOST/v1"),
        ("https://user:secret-word@one.example/v1", KEY, "A secret stands in the address"),
        ("https://one.example/v1?api_key=secret-word", KEY, "A secret stands in the address"),
        (URL, "", "nothing came"),
        (URL, "sk-secret-word two", "a blank in it"),
        (URL, "sk-secret-wörd", "HTTP cannot carry"),
    ],
)
def test_what_is_no_server_or_no_key_is_refused(
    elsewhere: Launch, files: KeyFiles, typing: Callable[[str], None], given: tuple[str, str, str]
) -> None:
    url, text, says = given
    typing(text + "\n")
    printed = elsewhere("keys", "add", url)
    assert printed.code == 2
    assert says in printed.err
    assert "secret-w" not in printed.err
    assert files.path is not None
    assert not files.path.exists()


def test_azures_host_gets_its_key_in_the_header_that_it_wants(elsewhere: Launch, typing: Callable[[str], None]) -> None:
    typing(KEY + "\n")
    url = "https://me.openai.azure.com"
    assert elsewhere("keys", "add", url).code == 0
    assert rows(elsewhere("keys", "--json"))[url]["sends"] == "the header api-key"


def test_the_list_says_where_the_environments_key_goes(elsewhere: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", URL)
    monkeypatch.setenv("PALIMPSEST_KEY_OTHER", "http://other.example/v1 other-key-0815")
    found = rows(elsewhere("keys", "--json"))
    assert found[URL]["sends"] == "OPENAI_API_KEY"
    assert found["http://other.example/v1"] == {
        "url": "http://other.example/v1", "known": "environment", "sends": "a key", "refused": False,
    }  # fmt: skip
    printed = elsewhere("keys")
    assert KEY not in printed.text
    assert "0815" not in printed.text


def test_a_broken_file_is_said_before_a_key_is_asked_for(
    elsewhere: Launch, files: KeyFiles, typing: Callable[[str], None]
) -> None:
    assert files.path is not None
    files.path.parent.mkdir()
    files.path.write_text("{")
    files.path.chmod(0o640)
    for command in (["keys"], ["keys", "add", URL], ["keys", "remove", URL]):
        typing(KEY + "\n")
        printed = elsewhere(*command)
        assert printed.code == 2
        assert "keys.json cannot be read" in printed.err


# --- imports ------------------------------------------------------------------------------------------------------


def test_an_import_names_what_it_would_call_and_a_rerun_calls_nothing_before_it_may(
    elsewhere: Launch, bundle: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    came = elsewhere("import", str(bundle))
    assert f"It would call {server.url}, which gets nothing before you say so." in came.text
    assert came.lines[-1].strip() == f"palimpsest keys allow {server.url}"
    assert rows(elsewhere("keys", "--json"))[server.url]["refused"]
    forked = elsewhere("fork", "eve", "--as", "eve-2", "--set", "window=9000")
    assert forked.code == 0, forked.err
    for command in (
        ["rerun", "eve"], ["rerun", "eve-2"], ["rerun", "eve", "--set", "window=16000"],
        ["rerun", "eve", "--bundle", str(bundle)],
    ):  # fmt: skip
        refused = elsewhere(*command)
        assert refused.code == 2, refused.text
        assert f"not_allowed: {server.url}" in refused.err
        assert f"keys allow {server.url}" in refused.err
    assert not server.stub.requests
    assert elsewhere("keys", "allow", server.url).code == 0
    for command in (["rerun", "eve"], ["rerun", "eve-2"], ["rerun", "eve", "--bundle", str(bundle)]):
        assert elsewhere(*command).code == 0
    assert server.stub.requests
    assert all(KEY not in value for each in server.stub.requests for value in each.headers.values())


def test_an_address_that_is_typed_is_called_and_remembered(
    elsewhere: Launch, bundle: Path, server: Server, files: KeyFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert elsewhere("import", str(bundle)).code == 0
    ran = elsewhere("rerun", "eve", "--model", "stub", "--base-url", server.url)
    assert ran.code == 0, ran.err
    assert server.stub.requests[-1].headers["authorization"] == f"Bearer {KEY}"
    assert files.trusted().typed == (server.url,)


def test_a_forks_address_is_typed_too(launched: Launch, files: KeyFiles) -> None:
    made = launched("fork", "ada", "--as", "f", "--set", "model=m", "--set", f"base-url={URL}", "--set", "window=8192")
    assert made.code == 0, made.err
    assert files.trusted().typed == (URL,)


def test_an_import_of_an_address_in_use_asks_for_nothing(
    launched: Launch, bundle: Path, server: Server, elsewhere: Launch
) -> None:
    """Where an agent made here has it already, and again for one who has allowed it."""
    here = launched("import", str(bundle), "--as", "eve-2")
    assert f"It calls {server.url}, which you use already." in here.text
    elsewhere("keys", "allow", server.url)
    there = elsewhere("import", str(bundle), "--json")
    assert msgspec.json.decode(there.out)["refused"] == []
    assert msgspec.json.decode(there.out)["addresses"] == [server.url]


def test_openai_is_an_address_like_any_other(
    kernel: Kernel, launched: Launch, elsewhere: Launch, tmp_path: Path
) -> None:
    settings = Settings(model="gpt-4o-mini", window_tokens=8192, reserve_tokens=400)
    kernel.log.append([Append((draft("gil", START_MS, newborn(settings), key="create"),))])
    path = tmp_path / "gil.palimpsest"
    assert launched("export", "gil", str(path)).code == 0
    assert f"keys allow {OPENAI}" in elsewhere("import", str(path)).text


# --- the environment's server -------------------------------------------------------------------------------------


def test_the_environments_server_is_written_down_when_it_is_given() -> None:
    environ = {"OPENAI_BASE_URL": f" {URL} "}
    made = settings_for_new(Flags(model="m"), environ)
    assert (made.base_url, made.output_parameter) == (URL, "max_tokens")
    assert settings_for_new(Flags(model="m", base_url="http://typed/v1"), environ).base_url == "http://typed/v1"
    assert settings_for_new(Flags(), environ).base_url == "", "the offline model has no server"
    assert settings_for_new(Flags(), {**environ, "PALIMPSEST_MODEL": "m"}).base_url == URL
    assert settings_for_new(Flags(model="m"), {"OPENAI_BASE_URL": OPENAI + "/"}).base_url == ""


def test_an_agent_whose_log_names_no_server_stays_with_openai() -> None:
    now = settings_for_new(Flags(model="gpt-4o-mini"), {})
    environ = {"OPENAI_BASE_URL": URL}
    assert settings_changed(now, Flags(), environ) is None
    assert settings_changed(now, Flags(window=9000), environ).base_url == ""  # type: ignore[union-attr]
    changed = settings_changed(now, Flags(model="other"), environ)
    assert changed is not None
    assert changed.base_url == URL, "a model comes with its server"


@pytest.mark.parametrize("url", ["gateway.example/v1", "ftp://x", "http://"])
def test_an_environment_that_names_no_server_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="OPENAI_BASE_URL"):
        settings_for_new(Flags(model="m"), {"OPENAI_BASE_URL": url})


def test_what_is_typed_names_servers() -> None:
    def named(flags: Flags, environ: dict[str, str] | None = None) -> tuple[str, ...]:
        return servers_named(flags, environ or {}, flags.model or "offline")

    assert named(Flags()) == ()
    assert named(Flags(model="offline")) == ()
    assert named(Flags(model="m")) == (OPENAI,)
    assert named(Flags(model="m"), {"OPENAI_BASE_URL": URL}) == (URL,)
    assert named(Flags(model="m", base_url=URL)) == (URL,)
    flags = Flags(fallback=("a@http://two/v1", "offline", "gpt-4o"), summarizer="s@http://three/v1,window=4096")
    assert named(flags) == ("http://two/v1", "http://three/v1"), "a name alone is at the agent's own server"
    assert named(Flags(summarizer="small")) == (), "a model at the agent's own server"
