"""SIGKILL of storage and of the whole tree amid a load and turns: nothing is lost, nothing is there twice, and what was
cut off finds what an index finds that is built from nothing. `python -m bench.load --kills 50` does it for longer."""

from __future__ import annotations

from pathlib import Path

from bench.kills import check, kill_again_and_again
from palimpsest.store.folder import DataFolder
from tests.worlds.crowd import check_promises

KILLS = 3


def test_whoever_is_killed_amid_a_load_and_turns_all_is_there_once(tmp_path: Path) -> None:
    done = kill_again_and_again(
        tmp_path, KILLS, seed=5, passages=1000
    )  # storage twice, then the tree: one life, and the end
    proof = check(tmp_path)
    assert (done.all, proof.sound) == (KILLS, True), proof
    assert done.storage
    assert done.tree
    assert proof.messages >= KILLS
    check_promises(DataFolder(tmp_path / "data"))
