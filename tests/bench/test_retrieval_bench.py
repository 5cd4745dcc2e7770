"""The retrieval bench: it reads its files in every form, says what is wrong with one, and counts what is found."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from bench import retrieval
from bench.agent_sets import Asked, first_person, languages, talks
from bench.retrieval_sets import BadData, find, kv, locomo, nq

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
    figures = json.loads(printed[-1])
    agents, languages = figures.pop("agents"), figures.pop("languages")
    assert agents["tuned on"]["echoed"]["recall@10"] == 1.0
    assert languages["kept aside"]["German"]["questions"] == 5
    assert figures == {
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


# --- the sets of agents' chats ----------------------------------------------------------------------------------------


def test_a_question_about_the_user_is_asked_in_the_first_person() -> None:
    assert first_person("What does Ana like about her job?", "Ana", "Ben") == "What do I like about my job?"
    assert first_person("When did Ben see Ana's dog?", "Ana", "Ben") == "When did you see my dog?"
    assert first_person("Where is Ben's kite?", "Ana", "Ben") == "Where is your kite?"


def test_a_talk_holds_long_answers_echoes_and_corrections(tmp_path: Path) -> None:
    conversation = locomo(write(tmp_path, "locomo.json", [CONVERSATION]))
    passages = [{"question": "who adopts?", "ctxs": [{"title": "Dogs", "text": "They adopted a terrier in Rome."}]}]
    one, other = talks(conversation, nq(write(tmp_path, "nq.jsonl", [*passages, *PASSAGES])))
    assert (one.name, other.name, one.aside) == ("one as Ana", "one as Ben", False)
    lines, by_kind = one.lines, {asked.kind: asked for asked in one.questions}
    assert [line.user for line in lines[:3]] == [True, False, False]
    assert lines[1].text.startswith("You said: I adopted a terrier.\n\nLovely!")
    assert lines[1].text.endswith("They adopted a terrier in Rome.")
    assert by_kind["answers"].evidence == {1}
    echoed = by_kind["echoed"]
    assert (echoed.text, set(echoed.evidence)) == ("What did I adopt?", {0})
    assert {lines[n].text for n in echoed.echoes if lines[n].user} == {"What did I adopt?"}
    assert any("I adopted a terrier." in lines[n].text for n in echoed.echoes if not lines[n].user)
    corrected = [asked for asked in one.questions if asked.kind == "corrected"]
    assert [lines[n].text for n in sorted(corrected[0].evidence)] == [
        "My favourite colour is blue.",
        "No wait, it's green.",
    ]


def test_every_language_has_a_half_that_is_kept_aside() -> None:
    found = list(languages(0))
    assert len(found) == 16
    for tuned, aside in zip(found[::2], found[1::2], strict=True):
        assert (tuned.aside, aside.aside, tuned.lines) == (False, True, aside.lines)
        assert _evidence(tuned.questions) | _evidence(aside.questions) == set(range(0, len(tuned.lines), 2))


def _evidence(questions: list[Asked]) -> set[int]:
    return {line for asked in questions for line in asked.evidence}
