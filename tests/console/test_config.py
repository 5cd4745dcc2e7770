"""`config`, and the commands that go by it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from palimpsest.console.settings import Flags, settings_for_new
from palimpsest.events.types import OFFLINE
from palimpsest.store.config import around
from tests.worlds.command_line import Launch
from tests.worlds.kernel import Kernel

OLLAMA = "http://localhost:11434/v1"


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("PALIMPSEST_MODEL", "PALIMPSEST_HOME", "QDRANT_URL", "TZ"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "config" / "palimpsest" / "config.toml"


def values(call: Launch, *arguments: str) -> dict[str, tuple[str, str]]:
    found = json.loads(call("config", "--json", *arguments).text)
    return {name: (each["value"], each["whence"]) for name, each in found["values"].items()}


def test_it_says_where_each_value_comes_from(call: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    assert values(call)["model"] == (OFFLINE, "built in")
    assert call("config", "set", "model", "llama3").code == 0
    assert values(call)["model"] == ("llama3", "config.toml")
    monkeypatch.setenv("PALIMPSEST_MODEL", "other")
    assert values(call)["model"] == ("other", "$PALIMPSEST_MODEL")
    assert values(call, "--data", "/d")["data"] == ("/d", "--data")
    assert "goes before it here" in call("config", "set", "model", "x").err
    assert call("config", "unset", "model").code == 0
    again = call("config", "unset", "model")
    assert (again.code, again.out) == (2, b"")


def test_an_unknown_name_and_a_key_are_refused(call: Launch, file: Path) -> None:
    assert "Did you mean 'timezone'?" in call("config", "set", "time-zone", "UTC").err
    assert "`palimpsest keys add URL`" in call("config", "set", "api-key", "sk-1234").err
    assert call("config", "set", "embedder", "nonsense").code == 2
    assert not file.exists()


def test_it_works_with_a_file_that_is_broken_and_the_others_say_what_to_do(call: Launch, file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_text("model = \n")
    shown = call("config")
    assert shown.code == 2
    assert "built in" in shown.text
    assert "config.toml, line 1" in shown.err
    for arguments in (("agents",), ("config", "set", "model", "x")):
        assert "config.toml, line 1" in call(*arguments).err
    assert "config.toml" not in call("agents", "--data", "/nowhere").err, "who names the folder needs no default"


def test_the_data_folder_is_the_files(kernel: Kernel, call: Launch) -> None:
    assert call("agents").code == 2
    assert call("config", "set", "data", str(kernel.folder)).code == 0
    assert call("agents").text.startswith("ada ")


def test_a_folder_from_here_is_kept_whole(
    call: Launch, file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("config", "set", "data", "agents").code == 0
    assert f'data = "{tmp_path}/agents"' in file.read_text()


def test_new_agents_have_the_files_model_and_server(call: Launch, file: Path) -> None:
    call("config", "set", "model", "llama3")
    call("config", "set", "base-url", OLLAMA)
    environ = {"XDG_CONFIG_HOME": str(file.parents[1])}
    made = settings_for_new(Flags(), around(environ))
    assert (made.model, made.base_url) == ("llama3", OLLAMA)
    assert settings_for_new(Flags(model=OFFLINE), around(environ)).base_url == ""
    assert settings_for_new(Flags(), around({**environ, "OPENAI_BASE_URL": "http://b/v1"})).base_url == "http://b/v1"
