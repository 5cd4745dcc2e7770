"""A user's defaults in a file: what is taken, what is refused by its line, and what a change leaves as it was."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from palimpsest.events.errors import BadInput
from palimpsest.store.config import around, checked, config_path, configured, known, put

OLLAMA = "http://localhost:11434/v1"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def written(environ: dict[str, str], text: str) -> Path:
    path = config_path(environ)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_what_is_set_is_there_in_a_private_file(environ: dict[str, str]) -> None:
    assert configured(environ) == {}
    path = put(environ, "model", "llama3")
    put(environ, "timezone", "europe/berlin")
    assert configured(environ) == {"model": "llama3", "timezone": "Europe/Berlin"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["config.toml"], "no half file is left"


def test_the_environment_goes_before_the_file(environ: dict[str, str]) -> None:
    put(environ, "model", "llama3")
    put(environ, "data", "/of/file")
    said = {**environ, "PALIMPSEST_HOME": "/of/environment", "PALIMPSEST_MODEL": " "}
    assert around(said)["PALIMPSEST_HOME"] == "/of/environment"
    assert around(said)["PALIMPSEST_MODEL"] == "llama3", "what is empty says nothing"


def test_a_change_leaves_comments_and_other_lines_as_they_were(environ: dict[str, str]) -> None:
    before = "# mine\nmodel = \"a\"  # a small one\n\n# where\ndata = '/d'\n"
    path = written(environ, before)
    put(environ, "model", 'b "2"')
    assert path.read_text() == before.replace('"a"', '"b \\"2\\""')
    put(environ, "base-url", OLLAMA)
    put(environ, "model", None)
    assert path.read_text() == f"# mine\n\n# where\ndata = '/d'\nbase-url = \"{OLLAMA}\"\n"


def test_a_link_to_the_file_stays_one(environ: dict[str, str], tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_text('model = "a"\n')
    path = written(environ, "")
    path.unlink()
    path.symlink_to(real)
    put(environ, "model", "b")
    assert path.is_symlink()
    assert real.read_text() == 'model = "b"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('model = "a"\ndata = "/d\n', "line 2"),
        ('# x\nmodle = "a"\n', "line 2: There is no default 'modle'. Did you mean 'model'?"),
        ('model = "a"\n\ndata = 3\n', "line 3: 'data' is no text"),
        ('base-url = "localhost"\n', "line 1: 'base-url' is 'localhost', which is no address"),
        ('data = "here"\n', "line 1: 'data' is 'here'"),
        ('timezone = "Berlin/Europe"\n', "line 1: There is no time zone"),
        ('[model]\nx = "1"\n', "line 1: 'model' is no text"),
    ],
)
def test_what_cannot_be_used_is_named_by_its_line(environ: dict[str, str], text: str, said: str) -> None:
    path = written(environ, text)
    for use in (lambda: configured(environ), lambda: put(environ, "model", "b")):
        with pytest.raises(BadInput, match=r"config\.toml, ") as error:
            use()
        assert said in str(error.value)
        assert "Mend the line" in str(error.value)
    assert path.read_text() == text


def test_a_file_that_is_no_text_is_named_by_its_line(environ: dict[str, str]) -> None:
    written(environ, "").write_bytes(b'# ok\nmodel = "\xff"\n')
    with pytest.raises(BadInput, match="line 2, is not UTF-8"):
        configured(environ)


def test_a_value_that_is_written_in_another_way_is_left_to_its_owner(environ: dict[str, str]) -> None:
    path = written(environ, 'model = """\na"""\n')
    with pytest.raises(BadInput, match="by hand"):
        put(environ, "model", "b")
    written(environ, before := 'model = """a"""\n')
    with pytest.raises(BadInput, match="by hand"):
        put(environ, "model", "b")
    assert path.read_text() == before


@pytest.mark.parametrize("name", ["api-key", "openai_api_key", "token"])
def test_no_key_is_a_default(name: str) -> None:
    with pytest.raises(BadInput, match="`keys add URL`"):
        known(name)


@pytest.mark.parametrize("url", ["https://me:secret@host/v1", "https://host/v1?key=sk-123456789"])
def test_no_secret_stands_in_an_address(url: str) -> None:
    with pytest.raises(BadInput, match="secret"):
        checked("base-url", url)


def test_without_a_home_there_are_no_defaults() -> None:
    nowhere = {"XDG_CONFIG_HOME": "relative"}
    assert configured(nowhere) == {}
    with pytest.raises(BadInput, match="no place"):
        config_path(nowhere)
