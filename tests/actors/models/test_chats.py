"""The offline model on chats of forty messages, of different people: twenty questions, eighteen good answers.

The rules were made on the others; the violin teacher's was written last, and only checked.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.worlds.long_chats import CHATS, live, read
from tests.worlds.one_process import run


@pytest.mark.parametrize("name", sorted(path.stem for path in CHATS.glob("*.txt")))
def test_a_chat_is_remembered(name: str, tmp_path: Path) -> None:
    said, asked = read(name)
    assert (len(said), len(asked)) == (40, 20)
    answers = run(live(tmp_path, [*said, *(each.text for each in asked)]))[len(said) :]
    bad = [(each.text, answer) for each, answer in zip(asked, answers, strict=True) if not each.answered_by(answer)]
    assert len(bad) <= 2, bad
