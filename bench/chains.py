"""The cases of MemGPT's nested key-value task: pairs of a file's row, some of whose values are other pairs' keys.

Rule: at level n, n + 1 look-ups lead from the key that is asked for to a value that is nobody's key.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec

from bench.retrieval_sets import BadData, key_values

LEVELS: Final = tuple(range(7))
UUID: Final = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_ID: Final = re.compile(UUID)

Pairs = Sequence[tuple[str, str]]


class Task(msgspec.Struct, frozen=True):
    """A case: its pairs, the key that is asked for, and the value at the end of the chain."""

    name: str
    level: int
    pairs: list[tuple[str, str]]
    key: str
    value: str


def tasks_of(path: Path, rows: int | None, seed: int) -> list[Task]:
    """A case for each row and level; `rows`: of the first so many."""
    if rows is not None and rows < 1:
        raise BadData(f"--rows {rows}: give the number of rows to use, 1 at least.")
    dice, used = random.Random(seed), key_values(path)[:rows]
    return [task(f"row-{n}-level-{level}", pairs, level, dice) for n, pairs in enumerate(used, 1) for level in LEVELS]


def task(name: str, pairs: Pairs, level: int, dice: random.Random) -> Task:
    """A chain of `level` + 1 keys in these pairs, each the value of the one before. Raises BadData where these pairs
    cannot have one."""
    values = dict(pairs)
    if any(not _ID.fullmatch(each) for pair in pairs for each in pair):
        raise BadData(f"{name}: these pairs are not all of UUIDs, which the task is made of.")
    last = [key for key, value in values.items() if value not in values]
    if len(values) <= level or not last:
        raise BadData(f"{name}: {len(values)} pairs cannot hold a chain of {level + 1} keys with a value at its end.")
    end = dice.choice(last)
    chain = [*dice.sample([key for key in values if key != end], level), end]
    values.update(pairwise(chain))
    return Task(name, level, [(key, values[key]) for key, _ in pairs], chain[0], values[end])
