"""How fast files become passages, format by format, on one core: `python -m bench.documents [MB]`.

The text is made of sentences that do not repeat, so that no count of tokens is remembered from before.
"""

from __future__ import annotations

import csv
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from palimpsest.store.documents import open_document
from palimpsest.store.tokens import counting as tokens

_TEXT: Final = (
    "the of and to in is that it was for on are as with they be at one have this from by hot but some what there we "
    "can out other were all your when up use word how said an each which their time will way about many then would "
    "agent memory passage search document index archive process storage inference recovery snapshot deterministic"
)
_WORDS: Final = _TEXT.split()


def main(megabytes: float) -> None:
    tokens.count(tokens.DEFAULT_ENCODING, "loaded before the clock starts")
    with tempfile.TemporaryDirectory() as folder:
        for name, write in _FORMATS.items():
            path = Path(folder) / name
            write(path, _paragraphs(int(megabytes * 1e6)))
            list(zip(range(100), open_document(path).passages(), strict=False))
            start = time.perf_counter()
            found = sum(1 for _ in open_document(path).passages())
            took_s = time.perf_counter() - start
            size = path.stat().st_size
            speed = f"{found / took_s:8,.0f}/s  {size / took_s / 1e6:5.1f} MB/s"
            print(f"{name:8} {size / 1e6:6.1f} MB  {found:7,} passages  {speed}")
            path.unlink()
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def _paragraphs(chars: int) -> Iterator[str]:
    chance = random.Random(1)
    while chars > 0:
        sentences = (
            " ".join(chance.choices(_WORDS, k=chance.randint(6, 22))).capitalize() + f" {chance.randint(1, 9999)}."
            for _ in range(chance.randint(2, 9))
        )
        paragraph = " ".join(sentences)
        chars -= len(paragraph)
        yield paragraph


def _text(path: Path, paragraphs: Iterator[str]) -> None:
    with path.open("w") as stream:
        stream.writelines(paragraph + "\n\n" for paragraph in paragraphs)


def _markdown(path: Path, paragraphs: Iterator[str]) -> None:
    with path.open("w") as stream:
        for number, paragraph in enumerate(paragraphs):
            stream.write((f"## Section {number}\n\n" if number % 4 == 0 else "") + paragraph + "\n\n")


def _html(path: Path, paragraphs: Iterator[str]) -> None:
    with path.open("w") as stream:
        stream.write("<!doctype html><html><body>")
        for number, paragraph in enumerate(paragraphs):
            stream.write((f"<h2>Section {number}</h2>" if number % 4 == 0 else "") + f"<p>{paragraph}</p>\n")


def _jsonl(path: Path, paragraphs: Iterator[str]) -> None:
    with path.open("w") as stream:
        stream.writelines(json.dumps({"id": at, "text": text}) + "\n" for at, text in enumerate(paragraphs))


def _csv(path: Path, paragraphs: Iterator[str]) -> None:
    with path.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("id", "text"))
        rows.writerows(enumerate(paragraphs))


_FORMATS: Final[dict[str, Callable[[Path, Iterator[str]], None]]] = {
    "a.txt": _text,
    "a.md": _markdown,
    "a.html": _html,
    "a.jsonl": _jsonl,
    "a.csv": _csv,
}

if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10)
