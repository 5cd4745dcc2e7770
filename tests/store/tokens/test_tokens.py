"""store/tokens/counting.py: exact, air-gapped, and safe on text that breaks the tokenizer."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiktoken import Encoding

from palimpsest.events.errors import BadInput
from palimpsest.store.tokens import counting as tokens

ROOT = Path(__file__).parents[3]
ENCODINGS = ("o200k_base", "cl100k_base", "o200k_harmony")
CACHE_FILE = hashlib.sha1(b"https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken").hexdigest()
NO_NETWORK = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}


def fresh(code: str, **environment: str) -> str:
    """Run code in a new process that can download nothing; its output."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("TIKTOKEN", "DATA_GYM", "XDG"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**inherited, **NO_NETWORK, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


COUNT_HELLO = "from palimpsest.store.tokens import counting as tokens; print(tokens.count('o200k_base', 'hello world'))"


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("offline", ("o200k_base", 1.0)),
        ("gpt-4o", ("o200k_base", 1.0)),
        ("gpt-4o-mini-2024-07-18", ("o200k_base", 1.0)),
        ("gpt-5-mini", ("o200k_base", 1.0)),
        ("openai/gpt-4.1", ("o200k_base", 1.0)),
        ("ft:gpt-4.1-mini:org::id", ("o200k_base", 1.0)),
        ("ft:gpt-3.5-turbo:org::id", ("cl100k_base", 1.0)),
        ("gpt-4", ("cl100k_base", 1.0)),
        ("gpt-oss-20b", ("o200k_harmony", 1.0)),
        ("llama3.1:8b", ("o200k_base+scripts", tokens.UNKNOWN_MARGIN)),
        ("Qwen/Qwen2.5-7B-Instruct", ("o200k_base+scripts", tokens.UNKNOWN_MARGIN)),
        ("", ("o200k_base+scripts", tokens.UNKNOWN_MARGIN)),
    ],
)
def test_encoding_for_model(model: str, expected: tuple[str, float]) -> None:
    assert tokens.encoding_for(model) == expected


@pytest.mark.parametrize(
    "text", ["", "a", "hello world", "你好世界", "👩‍👩‍👧‍👦", "\x00\x1c\x85", "def f(x):\n\treturn x\r\n"]
)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_counts_what_tiktoken_encodes(encoding: str, text: str) -> None:
    ids = tokens._load(encoding).encode_ordinary(text)
    assert tokens.count(encoding, text) == len(ids)
    assert tokens._load(encoding).decode(ids) == text


def test_known_counts() -> None:
    assert tokens.count("o200k_base", "hello world") == 2
    assert tokens.count("o200k_base", "a" * 1000) == 125


@pytest.mark.parametrize("special", ["<|endoftext|>", "<|endofprompt|>", "<|start|>", "<|fim_prefix|>"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_special_tokens_in_a_text_are_ordinary_text(encoding: str, special: str) -> None:
    assert tokens.count(encoding, special) > 3


def test_lone_surrogates_are_counted() -> None:
    assert tokens.count("o200k_base", "a\ud800b") >= 3


@given(st.text(alphabet=" \t\r\n\x85\u3000!/aA1'é中", max_size=40))
@settings(max_examples=400, deadline=None)
def test_cutting_at_long_white_space_changes_no_count(text: str) -> None:
    """With the limit set low, so that short texts take the guarded path."""
    with lowered_limit(2):
        for encoding in ("o200k_base", "cl100k_base"):
            assert tokens._count(encoding, text) == len(tokens._load(encoding).encode_ordinary(text))


@given(st.text(alphabet=" \t\r\n!a1", max_size=30))
@settings(max_examples=200, deadline=None)
def test_cutting_holds_for_the_gpt2_family_of_patterns(text: str) -> None:
    encoder = gpt2_like()
    with lowered_limit(2):
        parts = list(tokens._parts("r50k_base", text))
    assert sum(tokens._count_part(encoder, *part) for part in parts) == len(encoder.encode_ordinary(text))


@pytest.mark.parametrize(
    "shape", ["{}", "{}x", "x\n{}x", "{}\nx", "!\n{}!"], ids=["blanks", "then x", "newline first", "newline", "marks"]
)
@pytest.mark.parametrize("encoding", ["o200k_base", "cl100k_base"])
def test_long_white_space_is_exact_and_longer_does_not_panic(encoding: str, shape: str) -> None:
    """tiktoken alone panics at a million; what it can still count is compared exactly."""
    long, longer = shape.format(" " * 101_000), shape.format(" " * 1_010_000)
    assert tokens.count(encoding, long) == len(tokens._load(encoding).encode_ordinary(long))
    assert abs(tokens.count(encoding, longer) - 10 * tokens.count(encoding, long)) < 50


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a" * 1_000_000, 125_000), ("😀" * 200_000, 200_000), (bytes(range(256)).decode("latin-1") * 1000, None)],
    ids=["letters", "emoji", "bytes"],
)
def test_pathological_text_is_exact(text: str, expected: int | None) -> None:
    ids = tokens._load("o200k_base").encode_ordinary(text)
    assert tokens.count("o200k_base", text) == len(ids)
    assert expected in (None, len(ids))


def test_threads_agree() -> None:
    texts = [f"text number {n} of many, said again and again, so that it is long enough to be kept" for n in range(200)]
    barrier = threading.Barrier(8)

    def work(_: int) -> list[int]:
        barrier.wait()
        return [tokens.count("cl100k_base", text) for text in texts]

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, range(8)))
    assert all(result == results[0] for result in results)


def test_nothing_is_downloaded_and_the_environment_is_left_alone(tmp_path: Path) -> None:
    code = (
        "import os, tiktoken.load; before = dict(os.environ)\n"
        "def refuse(url): raise AssertionError('download of ' + url)\n"
        "tiktoken.load.read_file = refuse\n"
        f"{COUNT_HELLO}\nprint(dict(os.environ) == before)"
    )
    assert fresh(code, XDG_CACHE_HOME=str(tmp_path)) == "2\nTrue"
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == [CACHE_FILE]


@pytest.mark.parametrize("content", [b"", b"damaged"])
def test_a_damaged_cache_file_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CACHE_FILE).write_bytes(content)
    assert fresh(COUNT_HELLO, TIKTOKEN_CACHE_DIR=str(tmp_path)) == "2"
    assert (tmp_path / CACHE_FILE).stat().st_size > 3_000_000


def test_a_named_cache_folder_is_respected(tmp_path: Path) -> None:
    named, own = tmp_path / "named", tmp_path / "own"
    assert fresh(COUNT_HELLO, TIKTOKEN_CACHE_DIR=str(named), XDG_CACHE_HOME=str(own)) == "2"
    assert (named / CACHE_FILE).exists()
    assert not own.exists()


@pytest.mark.parametrize("named", ["", "/dev/null/nowhere"])
def test_an_unusable_named_folder_falls_back_to_the_users_own(tmp_path: Path, named: str) -> None:
    code = COUNT_HELLO + "; import os; print(os.environ['TIKTOKEN_CACHE_DIR'])"
    assert fresh(code, TIKTOKEN_CACHE_DIR=named, XDG_CACHE_HOME=str(tmp_path)) == f"2\n{named}".strip()


def test_many_processes_may_start_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda _: fresh(COUNT_HELLO, XDG_CACHE_HOME=str(tmp_path)), range(4)))
    assert counts == ["2"] * 4
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == [CACHE_FILE]


def test_an_encoding_out_of_reach_falls_back_with_a_margin(tmp_path: Path) -> None:
    code = (
        "from palimpsest.store.tokens import counting as tokens; from palimpsest.events.errors import BadInput\n"
        "print(tokens.encoding_for('text-davinci-003'))\n"
        "try: tokens.count('p50k_base', 'x')\nexcept BadInput as error: print(error)"
    )
    said = fresh(code, TIKTOKEN_CACHE_DIR=str(tmp_path))
    assert said.startswith("('cl100k_base', 1.3)\nThe token encoding 'p50k_base' is neither at hand nor reachable.")


def test_an_unknown_encoding_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match="no_such_encoding"):
        tokens.count("no_such_encoding", "x")


def test_the_wheel_has_the_ranks_that_tiktoken_expects() -> None:
    for name, sha256 in (("o200k_base", "446a9538"), ("cl100k_base", "223921b7")):
        ranks = tokens._shipped_ranks(name)
        assert ranks is not None
        assert hashlib.sha256(ranks).hexdigest().startswith(sha256)


class lowered_limit:  # noqa: N801 (reads as a statement)
    """The guard's limit, lowered for a while."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def __enter__(self) -> None:
        self.before = tokens._LONG_RUN
        self._set(self.limit)

    def __exit__(self, *_: object) -> None:
        self._set(self.before)

    @staticmethod
    def _set(limit: int) -> None:
        tokens._LONG_RUN = limit  # type: ignore[misc]
        tokens._long_runs.cache_clear()


@functools.cache
def gpt2_like() -> Encoding:
    """The GPT-2 family's pattern over ranks that are at hand."""
    from tiktoken_ext.openai_public import r50k_pat_str  # type: ignore[import-untyped]

    ranks = tokens._load("cl100k_base")._mergeable_ranks
    return Encoding("gpt2_like", pat_str=r50k_pat_str, mergeable_ranks=ranks, special_tokens={})


@pytest.fixture(autouse=True, scope="module")
def _warm() -> Iterator[None]:
    for encoding in ENCODINGS:
        tokens.count(encoding, "")
    yield
