"""`copy`, and every command that looks, on a database as on the folder that it was copied from."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from palimpsest.events.envelope import Draft
from palimpsest.questions.debugger import open_log, verify
from palimpsest.store.folder import DataFolder, data_at
from palimpsest.store.logs.contract import Append
from palimpsest.store.logs.copying import copy
from tests.worlds.command_line import Launch, Printed
from tests.worlds.kernel import Kernel
from tests.worlds.postgres_server import contracts_url, execute

SECRET = "s3cret-word"

LOOKS = (
    ("agents", "--json"), ("agents",), ("events", "ada", "--json"), ("events", "ada"), ("context", "ada", "--json"),
    ("state", "ada", "--json"), ("diff", "ada", "5", "60"), ("blame", "ada"), ("why", "ada", "weather"), ("why", "ada"),
    ("bisect", "ada", "--good", "5", "--when", "events > 40"), ("replay", "ada", "--verify"),
    ("transcript", "ada"), ("show", "ada"), ("sources",), ("search", "ada", "weather", "--json"), ("format", "ada"),
    ("timezone", "ada"), ("events", "nobody"), ("context", "ada", "--at", "100000"),
)  # fmt: skip


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A database's URL; the log in it goes with the test."""
    schema = f"copy_{os.getpid()}_{abs(hash(tmp_path)) % 10**9}"
    yield f"{contracts_url()}?schema={schema}"
    execute(contracts_url(), f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@pytest.fixture
def there(kernel: Kernel, call: Launch, url: str) -> Launch:
    """The command line on the kernel's log, copied into the database."""
    assert call("copy", str(kernel.folder), url).code == 0
    return lambda *arguments: call("--data", url, *arguments)


def shown(printed: Printed, *places: str) -> tuple[int, str, str]:
    """What was printed, wherever the log is."""
    out, err = printed.text, printed.err
    for place in places:
        out, err = out.replace(place, "HERE"), err.replace(place, "HERE")
    return printed.code, re.sub(r" in [\d.]+ s \(.*?\)", "", out), err


def test_a_copy_says_what_it_proved_and_goes_on(kernel: Kernel, call: Launch, url: str) -> None:
    end = len(kernel.log.read("ada")) + len(kernel.log.read("ben o'neil"))
    first = call("copy", str(kernel.folder), url)
    assert f"Copied {end} events to postgresql://" in first.text
    assert f"all {end} events of 2 streams are proved" in first.text
    kernel.talk("ada", ["One more."])
    done = msgspec.json.decode(call("copy", str(kernel.folder), url, "--json").out)
    assert (done["streams"], done["there"]) == (2, end)
    assert done["events"] > end


@pytest.mark.parametrize("command", LOOKS, ids=" ".join)
def test_what_looks_prints_on_a_database_what_it_prints_on_the_folder(
    command: tuple[str, ...], launched: Launch, there: Launch, kernel: Kernel, url: str
) -> None:
    ours, theirs = launched(*command), there(*command)
    quoted = f"'{url}'"  # a shell takes the ? for a pattern
    assert shown(theirs, quoted, url) == shown(ours, str(kernel.folder))


def test_a_bundle_from_a_database_is_that_of_the_folder(launched: Launch, there: Launch, tmp_path: Path) -> None:
    assert launched("export", "ada", str(tmp_path / "ours")).code == 0
    assert there("export", "ada", str(tmp_path / "theirs")).code == 0
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_a_program_opens_a_database_by_its_url(there: Launch, url: str) -> None:
    assert there("agents").code == 0
    with open_log(url) as log:
        assert [each.difference for each in verify(log)] == ["", ""]


@pytest.mark.parametrize(
    "command",
    [("chat", "ada"), ("ask", "ada", "Hi"), ("up",), ("create", "zoe"), ("set", "ada", "seed=3"), ("retire", "ada"),
     ("rename", "ada", "x"), ("reindex",), ("fork", "ada", "--as", "b"), ("load", "m", "."), ("demo",)],
    ids=" ".join,
)  # fmt: skip
def test_what_would_write_says_what_to_do(command: tuple[str, ...], there: Launch) -> None:
    printed = there(*command)
    assert printed.code == 2
    assert "nothing runs on it or writes to it yet" in printed.err
    assert "DIR` brings it into a folder" in printed.err


def test_it_comes_back_into_a_folder_that_is_worked_with(
    there: Launch, call: Launch, launched: Launch, url: str, tmp_path: Path
) -> None:
    back = tmp_path / "back"
    assert call("copy", url, str(back)).code == 0
    assert call("--data", str(back), "set", "ada", "seed=3").code == 0
    assert call("--data", str(back), "replay", "--all", "--verify").code == 0
    assert call("copy", str(back), url).code == 0, "it goes on from there"
    refused = launched("copy", str(tmp_path / "data"), url)
    assert (refused.code, "has events that its source has not" in refused.err) == (2, True)
    assert there("show", "ada").text != launched("show", "ada").text


def test_a_copy_that_was_cut_off_is_not_worked_with(kernel: Kernel, call: Launch, tmp_path: Path) -> None:
    half = DataFolder(tmp_path / "half").create()
    with half.log().store() as log:
        log.open_epoch()
        with pytest.raises(KeyboardInterrupt):
            copy(kernel.log, log, _cut, at_once=10)
    for command in (("set", "ada", "seed=3"), ("chat", "zoe", "--local")):
        printed = call("--data", str(half.path), *command)
        assert (printed.code, "it is a copy that was cut off: copy it once more" in printed.err) == (2, True), command
        assert str(half.log()) in printed.err
    assert call("copy", str(kernel.folder), str(half.path)).code == 0
    assert call("--data", str(half.path), "set", "ada", "seed=3").code == 0


def _cut(_: int) -> None:
    raise KeyboardInterrupt


def test_another_log_is_refused_and_stays(call: Launch, there: Launch, url: str, tmp_path: Path) -> None:
    Kernel(tmp_path / "other").close()
    with DataFolder(tmp_path / "other").log().store() as log:
        log.open_epoch()
        log.append([Append(tuple(Draft("ada", n, "TurnStarted", 1, f"k{n}", b"") for n in range(1000)))])
    before = there("agents").text
    refused = call("copy", str(tmp_path / "other"), url)
    assert (refused.code, "another log already" in refused.err) == (2, True)
    assert there("agents").text == before
    assert call("copy", str(tmp_path / "data"), f"{tmp_path}/data/").err.endswith("FROM and TO are the same log.\n")


@pytest.mark.parametrize(
    "given",
    [f"postgresql://ada:{SECRET}@127.0.0.1:1", f"postgresql://ada:x/{SECRET}?y@127.0.0.1:1/db", f"postgresql://h/db?password={SECRET}",
     f"postgresql://h:1/db?p%61ssword={SECRET}&sslmode=foo", f"  POSTGRES://ada:{SECRET}@127.0.0.1:1/db?schema=Bad-Name",
     f"postgresql+psycopg://ada:{SECRET}@h/db", f"host=h password={SECRET}", f"postgresql://a:{SECRET}@[::1]:1/x"],
)  # fmt: skip
def test_a_password_is_in_nothing_that_is_printed(
    call: Launch, given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    commands = (("agents",), ("events", "x"), ("chat", "x"), ("status",), ("config",), ("demo",), ("bench",))
    for command in commands:
        printed = call("--data", given, *command)
        assert SECRET not in printed.text + printed.err, command
    for arguments in (("copy", given, "x"), ("copy", str(tmp_path), given), ("config", "set", "data", given)):
        printed = call(*arguments)
        assert (printed.code, SECRET in printed.text + printed.err) == (2, False), arguments
    monkeypatch.setenv("PALIMPSEST_HOME", given)
    for command in commands[:5]:
        printed = call(*command)
        assert SECRET not in printed.text + printed.err, command
    assert not (tmp_path / "config" / "palimpsest" / "config.toml").exists()


def test_a_database_may_be_the_default(
    call: Launch, there: Launch, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("PALIMPSEST_HOME", raising=False)
    assert call("config", "set", "data", url).code == 0
    assert call("agents").text == there("agents").text


@pytest.mark.parametrize("schema", ["order", "user"])
def test_a_schema_may_have_a_name_that_is_a_word_of_sql(kernel: Kernel, call: Launch, schema: str) -> None:
    place = f"{contracts_url()}?schema={schema}"
    try:
        assert call("copy", str(kernel.folder), place).code == 0
        assert call("--data", place, "replay", "--all", "--verify").code == 0
    finally:
        execute(contracts_url(), f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')


def test_the_folder_beside_a_database_is_not_made(there: Launch, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALIMPSEST_HOME", url)
    assert there("agents").code == 0
    assert there("search", "ada", "weather").code == 0
    assert not data_at(url).path.exists()
