"""A file is read as it goes: memory does not grow with it. And the odd bytes and lines of real files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.small_files import written
from palimpsest.store.documents import open_document

LINE = "The quick brown fox number {} jumps over the lazy dog, and so on. "
MOST_BYTES = 1_200_000
READ_IT = """
import sys, tracemalloc
from pathlib import Path
from palimpsest.store.tokens import counting as tokens
from palimpsest.store.documents import open_document
tokens.count(tokens.DEFAULT_ENCODING, "the ranks are loaded once a process")
tracemalloc.start()
found = sum(1 for _ in open_document(Path(sys.argv[1])).passages())
print(found, tracemalloc.get_traced_memory()[1])
"""
"""In a process of its own: threads that other tests left behind would be counted here."""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "".join(LINE.format(number) + "\n" for number in range(28_000))),
        ("a.txt", "".join(LINE.format(number) for number in range(28_000))),
        ("a.md", "".join(f"# Part {number}\n{LINE}\n" * (number % 3) + LINE for number in range(14_000))),
        ("a.jsonl", "".join(f'{{"text": "{LINE.format(number)}"}}\n' for number in range(25_000))),
        ("a.json", "[" + ",".join(f'{{"text": "{LINE.format(number)}"}}' for number in range(25_000)) + "]"),
        ("a.csv", "id,text\n" + "".join(f'{number},"{LINE}"\n' for number in range(25_000))),
    ],
    ids=["lines", "one line", "markdown", "json lines", "json", "csv"],
)
def test_memory_does_not_grow_with_the_file(tmp_path: Path, name: str, content: str) -> None:
    path = written(tmp_path / name, content)
    assert path.stat().st_size > 1.5 * MOST_BYTES
    run = subprocess.run([sys.executable, "-c", READ_IT, path], capture_output=True, text=True, check=True)
    found, most = map(int, run.stdout.split())
    assert found > 500
    assert most < MOST_BYTES


def test_a_stray_byte_loses_nothing_and_is_told(tmp_path: Path) -> None:
    content = "naïve café\n".encode() * 50 + b"a stray \xe9 and \x81 here\n" + "naïve café\n".encode() * 50
    document = open_document(written(tmp_path / "a.txt", content))
    text = "\n".join(each.text for each in document.passages(400, 0))
    assert "a stray é and \ufffd here" in text
    assert text.count("naïve café") == 100
    assert document.notes == ["2 bytes that are not UTF-8 were read as Windows-1252 or replaced."]


def test_a_byte_far_behind_the_sample_is_read_too(tmp_path: Path) -> None:
    document = open_document(written(tmp_path / "a.txt", b"plain words\n" * 20_000 + b"caf\xe9\n"))
    *_, last = document.passages()
    assert last.text.endswith("café")
    assert last.last_line == 20_001


def test_characters_and_newlines_across_the_borders_of_reads_are_whole(tmp_path: Path) -> None:
    for shift in range(4):
        content = b"x" * (65_536 - 5 - shift) + b"\r\n" + "\U0001f600\r\n€ end".encode()
        *_, last = open_document(written(tmp_path / "a.txt", content)).passages()
        assert last.text.endswith("\U0001f600\n€ end")
        assert last.last_line == 3


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Der Fluß fließt über die Brücke und „schön“, sagte er. "),
        ("cp1251", "Съешь же ещё этих мягких французских булок, да выпей чаю. "),
        ("shift_jis", "これは日本語の文章です。文字コードを調べます。"),
        ("gb18030", "这是一个用来测试字符编码检测的中文句子。"),
        ("koi8_r", "Съешь же ещё этих мягких французских булок, да выпей чаю. "),
    ],
)
def test_old_encodings_are_told_by_their_text(tmp_path: Path, encoding: str, text: str) -> None:
    (found,) = open_document(written(tmp_path / "a.txt", text.encode(encoding))).passages()
    assert found.text == text.strip()


def test_a_short_western_text_is_windows_1252(tmp_path: Path) -> None:
    (found,) = open_document(written(tmp_path / "a.txt", b"caf\xe9 cr\xe8me")).passages()
    assert found.text == "café crème"


def test_a_document_can_be_read_twice(tmp_path: Path) -> None:
    document = open_document(written(tmp_path / "a.txt", b"caf\xe9 \xc3\xa9 \xc3\xa9 words"))
    assert list(document.passages()) == list(document.passages())
    assert len(document.notes) == 1
