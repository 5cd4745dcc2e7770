"""The nested key-value bench's cases: a chain ends at a value that is nobody's key; what can hold none is refused."""

from __future__ import annotations

import json
import random
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.chains import LEVELS, Pairs, task, tasks_of
from bench.retrieval_sets import BadData


def pairs_of(count: int, seed: int = 1) -> list[tuple[str, str]]:
    dice = random.Random(seed)
    return [(str(UUID(int=dice.getrandbits(128))), str(UUID(int=dice.getrandbits(128)))) for _ in range(count)]


def write(path: Path, *rows: Pairs) -> Path:
    path.write_text("\n".join(json.dumps({"ordered_kv_records": row, "key": "", "value": ""}) for row in rows))
    return path


@settings(max_examples=50)
@given(seed=st.integers(0, 1 << 32), level=st.sampled_from(LEVELS), more=st.integers(1, 20), again=st.booleans())
def test_level_and_one_look_ups_lead_to_a_value_that_is_nobodys_key(
    seed: int, level: int, more: int, again: bool
) -> None:
    pairs = pairs_of(level + more, seed)
    pairs += pairs[:2] if again else []
    made = task("one", pairs, level, random.Random(seed))
    values = dict(made.pairs)
    assert [key for key, _ in made.pairs] == [key for key, _ in pairs]
    found, looked_up = made.key, 0
    while found in values:
        found, looked_up = values[found], looked_up + 1
    assert (found, looked_up) == (made.value, level + 1)


def test_a_file_that_is_nested_already_still_ends(tmp_path: Path) -> None:
    (a, b), (c, d) = pairs_of(2)
    nested = [*pairs_of(6, seed=2), (a, c), (c, d), (b, b)]
    for made in tasks_of(write(tmp_path / "kv.jsonl", nested), None, 1):
        assert made.value not in dict(made.pairs)


def test_every_row_has_a_case_at_every_level_the_same_for_a_seed(tmp_path: Path) -> None:
    path = write(tmp_path / "kv.jsonl", pairs_of(9), pairs_of(9, seed=2), pairs_of(9, seed=3))
    made = tasks_of(path, None, seed=5)
    assert [(each.name, each.level) for each in made] == [
        (f"row-{n}-level-{m}", m) for n in (1, 2, 3) for m in range(7)
    ]
    assert made == tasks_of(path, 3, seed=5) == tasks_of(path, 99, seed=5)
    assert made[:14] == tasks_of(path, 2, seed=5)
    assert made != tasks_of(path, None, seed=6)


def test_what_can_hold_no_chain_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"row-1-level-6: 6 pairs cannot hold a chain of 7 keys"):
        tasks_of(write(tmp_path / "few.jsonl", pairs_of(6)), None, 1)
    (a, b), *_ = pairs_of(1)
    with pytest.raises(BadData, match="with a value at its end"):
        tasks_of(write(tmp_path / "round.jsonl", [(a, b), (b, a)]), None, 1)
    with pytest.raises(BadData, match="not all of UUIDs"):
        tasks_of(write(tmp_path / "words.jsonl", [("one", "two")]), None, 1)
    with pytest.raises(BadData, match="--rows 0"):
        tasks_of(write(tmp_path / "kv.jsonl", pairs_of(9)), 0, 1)
