"""The retrieval bench: it reads its files in every form, says what is wrong with one, and counts what is found."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import cross_validation, retrieval
from bench.cross_validation import blends_around, held_out
from bench.retrieval_sets import BadData, find, kv, locomo, nq
from store.points import Blend

CONVERSATION = {
    "sample_id": "one",
    "conversation": {
        "speaker_a": "Ana",
        "speaker_b": "Ben",
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_1": [
            {"speaker": "Ana", "dia_id": "D1:1", "text": "I adopted a terrier."},
            {"speaker": "Ben", "dia_id": "D1:2", "text": "Lovely!", "blip_caption": "a red kite"},
        ],
        "session_10_date_time": "9:05 am on 12 June, 2023",
        "session_10": [{"speaker": "Ben", "dia_id": "D10:1", "text": "My flight to Corsica was cancelled."}],
        "session_11_date_time": "9:05 am on 13 June, 2023",
    },
    "qa": [
        {"question": "What did Ana adopt?", "answer": "a dog", "evidence": ["D1:1"], "category": 4},
        {
            "question": "Which flight was cancelled, and where is the kite?",
            "answer": "?",
            "evidence": ["D1:2; D10:01"],
            "category": 1,
        },
        {"question": "Who has a kite?", "answer": "Ben", "evidence": ["D1:2"], "category": 5},
        {"question": "What was never said?", "evidence": ["D7:7"], "category": 4},
        {"question": "What has no evidence?", "category": 4},
    ],
}
GOLD = [("who swam", "Swimmers", "Ana swam."), ("who flew", "Pilots", "Ben flew.")]
PASSAGES = [{"question": q, "answers": [], "ctxs": [{"title": title, "text": text}]} for q, title, text in GOLD]
KEY, OTHER = "3f2a99bb-0c4e-4f6a-9d21-5b7f0a1c2d3e", "99aa99bb-0c4e-4f6a-9d21-5b7f0a1c2d3e"
RECORDS = [{"ordered_kv_records": [[KEY, "one"], [OTHER, "two"]], "key": KEY, "value": "one"}]


def write(folder: Path, name: str, rows: list[Any]) -> Path:
    lines = json.dumps(rows) if ".jsonl" not in name else "\n".join(json.dumps(row) for row in rows)
    path = folder / name
    path.write_bytes(gzip.compress(lines.encode()) if name.endswith(".gz") else lines.encode())
    return path


@pytest.mark.parametrize("ending", ["json", "jsonl", "json.gz", "jsonl.gz"])
def test_files_are_read_in_every_form(tmp_path: Path, ending: str) -> None:
    write(tmp_path, f"locomo-x.{ending}", [CONVERSATION])
    (conversation,) = locomo(find(tmp_path, "locomo"))
    assert [(turn.id, turn.speaker) for turn in conversation.turns] == [
        ((1, 1), "Ana"),
        ((1, 2), "Ben"),
        ((10, 1), "Ben"),
    ]
    assert conversation.turns[1].text == "Lovely! [shares a picture: a red kite]"
    assert [set(question.evidence) for question in conversation.questions] == [{(1, 1)}, {(1, 2), (10, 1)}, {(1, 2)}]
    assert nq(write(tmp_path, f"nq.{ending}", PASSAGES)).questions == [("who swam", 0), ("who flew", 1)]
    assert kv(write(tmp_path, f"kv.{ending}", RECORDS)).questions == [(KEY, 0)]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty|neither JSON"),
        (b"[]", "is empty"),
        (b"{ nonsense", r"neither JSON nor JSON lines: line 1"),
        (b"\x1f\x8bnonsense", "damaged gzip"),
        (b'[{"conversation": {}}]', r"Row 1 of .* it lacks 'qa'"),
        (b"[7]", r"Row 1 of .* is not of its kind"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "locomo.json"
    path.write_bytes(content)
    with pytest.raises(BadData, match=why) as error:
        locomo(path)
    assert str(path) in str(error.value)


def test_a_missing_file_or_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"nq\.json cannot be read: No such file"):
        nq(tmp_path / "nq.json")
    with pytest.raises(BadData, match=r"There is no kv\*\.json"):
        find(tmp_path, "kv")
    with pytest.raises(BadData, match="There is no folder"):
        find(tmp_path / "nowhere", "kv")


def test_the_figures_come_last_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, rows in (("locomo.json", [CONVERSATION]), ("nq.jsonl", PASSAGES), ("kv.jsonl.gz", RECORDS)):
        write(tmp_path, name, rows)
    monkeypatch.setattr("sys.argv", ["bench.retrieval", "--data", str(tmp_path), "--json"])
    assert retrieval.main() == 0
    printed = capsys.readouterr().out.splitlines()
    assert json.loads(printed[-1]) == {
        "locomo": {"recall@5": 1.0, "recall@10": 1.0},
        "nq": {"recall@1": 1.0, "recall@10": 1.0},
        "kv": {"recall@1": 1.0},
    }
    assert any(line.startswith("LoCoMo 1 to 4 pooled") and "n     2" in line for line in printed)


def test_no_data_is_an_error_that_says_what_to_give(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["bench.retrieval"])
    assert retrieval.main() == 2
    assert "--data DIR" in capsys.readouterr().err


def test_each_part_is_ranked_by_the_blend_that_is_best_on_the_others() -> None:
    good, bad = np.array([[1.0], [1.0]]), np.array([[0.0], [0.5]])
    chosen, found = held_out([(bad, good), (good, bad), (good, bad)])
    assert chosen == [0, 0, 0], "of two that are as good the first, which is the one in use"
    assert found.tolist() == np.concatenate((bad, good, good)).tolist()
    chosen, found = held_out([(good, bad), (bad, good)])
    assert chosen == [1, 0]
    assert found.tolist() == np.concatenate((bad, bad)).tolist()


def test_blends_around_one_begin_with_it_and_leave_alone_what_it_has_not() -> None:
    blends = blends_around(Blend(half=20.0, dense=1.0, floor=0.3))
    assert blends[0] == Blend(half=20.0, dense=1.0, floor=0.3)
    assert (len(blends), len(set(blends))) == (9, 9)
    assert {blend.speaker for blend in blends} == {0.0}


def test_cross_validation_prints_both_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, rows in (("locomo.json", [CONVERSATION] * 2), ("nq.jsonl", PASSAGES), ("kv.jsonl.gz", RECORDS)):
        write(tmp_path, name, rows)
    monkeypatch.setattr("sys.argv", ["bench.cross_validation", "--data", str(tmp_path)])
    assert cross_validation.main() == 0
    printed = capsys.readouterr().out
    assert printed.count("\n  in use  ") == printed.count("\n  held out  ") == 2
    assert "LoCoMo 1 to 4 pooled: 27 blends" in printed


def test_cross_validation_says_what_it_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, rows in (("locomo.json", [CONVERSATION]), ("nq.jsonl", PASSAGES), ("kv.jsonl.gz", RECORDS)):
        write(tmp_path, name, rows)
    monkeypatch.setattr("sys.argv", ["bench.cross_validation", "--data", str(tmp_path)])
    assert cross_validation.main() == 2
    assert "two conversations" in capsys.readouterr().err
