"""Counts by a model's own tokenizer.json: here the one of Llama 2's family that the package `wordllama` has."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tokenizers import Tokenizer

from palimpsest.events.context import tools_json, tools_tokens
from palimpsest.events.errors import BadInput
from palimpsest.events.formats import NEWBORN
from palimpsest.events.functions import given_by
from palimpsest.store.tokens import counting as tokens
from palimpsest.store.tokens import tokenizers as tokenizer_file
from palimpsest.store.tokens.tokenizers import check


def llama_file() -> Path:
    package = find_spec("wordllama")
    assert package is not None and package.origin is not None
    return Path(package.origin).parent / "tokenizers" / "l2_supercat_tokenizer_config.json"


LLAMA = f"hf:{llama_file()}"
WORDS = json.dumps({"version": "1.0", "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "?"}}).encode()
"""A vocabulary that has no token for what it does not know."""


@pytest.mark.parametrize(
    ("text", "count"), [("", 0), ("hello world", 2), ("12345", 6), ("नमस्ते दुनिया", 14), ("北京", 3), (" " * 100, 7)]
)
def test_it_counts_what_the_models_own_tokenizer_makes_of_a_text(text: str, count: int) -> None:
    ids = Tokenizer.from_file(str(llama_file())).encode(text, add_special_tokens=False).ids
    assert tokens.count(LLAMA, text) == len(ids) == count


def test_a_file_that_cuts_and_pads_counts_the_whole_text(tmp_path: Path) -> None:
    cutting = Tokenizer.from_file(str(llama_file()))
    cutting.enable_truncation(8)
    cutting.enable_padding(length=64)
    cutting.save(str(tmp_path / "tokenizer.json"))
    assert tokens.count(f"hf:{tmp_path / 'tokenizer.json'}", "word " * 40) == tokens.count(LLAMA, "word " * 40)
    assert tokens.count(f"hf:{tmp_path / 'tokenizer.json'}", "word") == 1


def test_a_folder_stands_for_the_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(llama_file().read_bytes())
    assert check(str(tmp_path)) == str(tmp_path / "tokenizer.json")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (WORDS, "WordLevel error"),
        (None, "No such file"),
        (b"", "EOF while parsing"),
        (b"\x00\xff", "expected value"),
        (b"{}", "Model missing"),
        (b'{"tokenizer_class": "LlamaTokenizer"}', "is no tokenizer"),
        (json.dumps({"version": "1.0", "model": {"type": "Unheard-of"}}).encode(), "is no tokenizer"),
    ],
)
def test_what_is_no_tokenizer_is_said_at_the_door(tmp_path: Path, content: bytes | None, says: str) -> None:
    file = tmp_path / "tokenizer.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        check(str(file))
    assert says in str(caught.value)
    assert "give the tokenizer.json of the model's repository" in str(caught.value)


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(BadInput, match="it is no file"):
            check(str(place))
        assert tokenizer_file.count(str(place), "a text") is None
    with pytest.raises(BadInput, match="is no tokenizer"):
        check("~nobody-of-this-name/tokenizer.json")


def test_a_text_that_the_vocabulary_cannot_have_is_estimated(tmp_path: Path) -> None:
    (tmp_path / "words.json").write_bytes(WORDS)
    assert tokens.count(f"hf:{tmp_path}/words.json", "unheard-of") == tokens.estimated("unheard-of")


def test_a_link_stays_the_name_that_was_given(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").symlink_to(llama_file())
    assert check(str(tmp_path)) == str(tmp_path / "tokenizer.json")


def test_a_file_that_is_gone_is_said_once_and_counts_go_by_estimate_until_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("palimpsest.store.tokens.tokenizers.time.monotonic", lambda: now)
    file = tmp_path / "tokenizer.json"
    with capture_logs() as logs:
        counts = [tokens.count(f"hf:{file}", text) for text in ("a text", "another text")]
    assert counts == [tokens.estimated("a text"), tokens.estimated("another text")]
    assert [each["file"] for each in logs] == [str(file)]
    file.write_bytes(llama_file().read_bytes())
    long = "12345 67 " * 20
    assert tokens.count(f"hf:{file}", long) == tokens.estimated(long)
    assert tools_tokens(f"hf:{file}", tokens.count, given_by(NEWBORN), NEWBORN) != tools_tokens(
        LLAMA, tokens.count, given_by(NEWBORN), NEWBORN
    )
    now += tokenizer_file.RETRY_S
    assert tokens.count(f"hf:{file}", long) == tokens.count(LLAMA, long) != tokens.estimated(long)
    assert tools_tokens(f"hf:{file}", tokens.count, given_by(NEWBORN), NEWBORN) == tools_tokens(
        LLAMA, tokens.count, given_by(NEWBORN), NEWBORN
    )


def test_functions_are_counted_as_the_json_that_templates_write_them_as() -> None:
    text = tools_json(given_by(NEWBORN), NEWBORN).decode()
    assert tools_tokens(LLAMA, tokens.count, given_by(NEWBORN), NEWBORN) >= tokens.count(LLAMA, text)
