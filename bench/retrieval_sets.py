"""The question sets that retrieval is measured with, read from files: LoCoMo, NQ passages, key-value records.

Rules. (1) A file is JSON (a list, or one object) or JSON lines, gzipped or not, whatever its name ends with. (2) A file
that is missing or not of its kind is a `BadData` that says so. (3) Evidence that names no turn is dropped, and a
question without evidence is not asked.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T")

_EVIDENCE: Final = re.compile(r"D:?(\d+):(\d+)")
_WHEN: Final = "%I:%M %p on %d %B, %Y"
LOCOMO_CATEGORIES: Final = {1: "several hops", 2: "time", 3: "open", 4: "single hop", 5: "adversarial"}


class BadData(Exception):
    """A file cannot be used; the message says which and why."""


class Turn(msgspec.Struct, frozen=True):
    id: tuple[int, int]
    speaker: str
    text: str
    time_ms: int


class Question(msgspec.Struct, frozen=True):
    text: str
    evidence: frozenset[tuple[int, int]]
    category: int


class Conversation(msgspec.Struct, frozen=True):
    name: str
    turns: list[Turn]
    questions: list[Question]


class Lookup(msgspec.Struct, frozen=True):
    """A pool of texts, and questions with the number of the text that answers each."""

    texts: list[str]
    questions: list[tuple[str, int]]


def find(folder: Path, kind: str) -> Path:
    """The one file of a kind (`locomo`, `nq`, `kv`) in a folder: the first by name that begins with it."""
    if not folder.is_dir():
        raise BadData(f"There is no folder {folder}: name the one with the data by --data DIR.")
    found = sorted(path for path in folder.iterdir() if re.match(rf"{kind}.*\.jsonl?(\.gz)?$", path.name))
    if not found:
        raise BadData(f"There is no {kind}*.json or {kind}*.jsonl (or .gz of them) in {folder}; name it by --{kind}.")
    return found[0]


def locomo(path: Path) -> list[Conversation]:
    return [_of(path, number, _conversation, row) for number, row in enumerate(_rows(path))]


def nq(path: Path) -> Lookup:
    """All distinct gold passages are one pool."""
    golds = [(row, _of(path, number, _gold, row)) for number, row in enumerate(_rows(path))]
    return _lookup([(row["question"], text) for row, text in golds])


def kv(path: Path) -> Lookup:
    """All distinct records of all rows are one pool; a question is a row's key."""
    rows = _rows(path)
    records = [record for number, row in enumerate(rows) for record in _of(path, number, _records, row)]
    pool = list(dict.fromkeys(records))
    at = {text: number for number, text in enumerate(pool)}
    return Lookup(pool, [(row["key"], at[f"{row['key']}: {row['value']}"]) for row in rows])


def key_values(path: Path) -> list[list[tuple[str, str]]]:
    """Each row's pairs of a key and its value."""
    return [
        _of(path, number, lambda row: [(str(key), str(value)) for key, value in row["ordered_kv_records"]], row)
        for number, row in enumerate(_rows(path))
    ]


# --- rows ---------------------------------------------------------------------------------------------------------


def _rows(path: Path) -> list[Any]:
    try:
        data = path.read_bytes()
        text = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadData(f"{path} is a damaged gzip file: {error}.") from error
    except OSError as error:
        raise BadData(f"{path} cannot be read: {error.strerror or error}.") from error
    try:
        whole = msgspec.json.decode(text)
        rows = whole if isinstance(whole, list) else [whole]
    except msgspec.DecodeError:
        rows = _lines(path, text)
    if not rows:
        raise BadData(f"{path} is empty.")
    return rows


def _lines(path: Path, text: bytes) -> list[Any]:
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                rows.append(msgspec.json.decode(line))
            except msgspec.DecodeError as error:
                raise BadData(f"{path} is neither JSON nor JSON lines: line {number}: {error}.") from error
    return rows


def _of(path: Path, number: int, read: Callable[[Any], T], row: Any) -> T:
    try:
        return read(row)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise BadData(f"Row {number + 1} of {path} is not of its kind: {what}.") from error


def _lookup(asked: list[tuple[str, str]]) -> Lookup:
    pool = list(dict.fromkeys(text for _, text in asked))
    at = {text: number for number, text in enumerate(pool)}
    return Lookup(pool, [(question, at[text]) for question, text in asked])


def _gold(row: Any) -> str:
    passage = row["ctxs"][0]
    if not row["question"]:
        raise ValueError("the question is empty")
    return f"{passage['title']}\n{passage['text']}"


def _records(row: Any) -> list[str]:
    records = [f"{key}: {value}" for key, value in row["ordered_kv_records"]]
    if f"{row['key']}: {row['value']}" not in records:
        raise ValueError("its key and value are not among its records")
    return records


# --- LoCoMo -------------------------------------------------------------------------------------------------------


def _conversation(row: Any) -> Conversation:
    said = row["conversation"]
    numbers = sorted(int(key[8:]) for key in said if re.fullmatch(r"session_\d+", key))
    turns = [turn for number in numbers for turn in _session(said, number)]
    known = {turn.id for turn in turns}
    asked = [Question(q["question"], _evidence(q) & known, int(q["category"])) for q in row["qa"]]
    return Conversation(str(row.get("sample_id", "")), turns, [question for question in asked if question.evidence])


def _session(said: Any, number: int) -> list[Turn]:
    began = datetime.strptime(said[f"session_{number}_date_time"], _WHEN).replace(tzinfo=UTC)
    time_ms = int(began.timestamp() * 1000)
    return [
        Turn((number, int(turn["dia_id"].split(":")[1])), turn["speaker"], _said(turn), time_ms)
        for turn in said[f"session_{number}"]
    ]


def _said(turn: Any) -> str:
    """A turn's text, and what is to be seen on a picture that was shared with it."""
    caption = turn.get("blip_caption")
    return f"{turn['text']} [shares a picture: {caption}]" if caption else str(turn["text"])


def _evidence(question: Any) -> frozenset[tuple[int, int]]:
    ids = _EVIDENCE.findall(" ".join(map(str, question.get("evidence") or ())))
    return frozenset((int(session), int(turn)) for session, turn in ids)
