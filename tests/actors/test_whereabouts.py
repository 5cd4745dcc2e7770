"""Which driver may serve a folder that a cluster knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from palimpsest.actors.on_ray.whereabouts import Node, Whereabouts, judge, settle
from palimpsest.events.errors import BadInput
from palimpsest.store.folder import DataFolder

HERE = Node("aaaa1111", "one", "10.0.0.1")
KEPT = Whereabouts("/data", "log-a", HERE)


@pytest.mark.parametrize(
    ("here", "alive"),
    [(HERE, True), (HERE, False), (Node("bbbb2222", "one", "10.0.0.7"), False)],
    ids=["there", "there, and the cluster has not seen it yet", "the machine came back as another node"],
)
def test_the_same_log_on_the_same_machine_is_served(here: Node, *, alive: bool) -> None:
    judge(KEPT, "log-a", here, alive=alive)


@pytest.mark.parametrize(
    ("found", "here", "alive", "said"),
    [
        (
            "",
            HERE,
            True,
            r"log-a on one \(10.0.0.1, node aaaa1111\), and it is not there any more.*Put the",
        ),
        ("log-b", HERE, True, r"log-a on one .*, and now the log log-b lies there"),
        ("", Node("bbbb2222", "two", ""), True, r"log-a on one .*, and here, on two .*there is none.*Run this on that"),
        ("log-a", Node("bbbb2222", "two", ""), True, r"on one .*, and here, on two .*lies the log log-a"),
        (
            "log-a",
            Node("bbbb2222", "two", ""),
            False,
            r"on one .*which is not in the cluster now, .*Bring that",
        ),
        ("log-a", Node("bbbb2222", "one", ""), True, r"and here, on one \(, node bbbb2222\), lies the log log-a"),
        ("log-b", Node("bbbb2222", "one", ""), False, r"and now the log log-b lies there"),
    ],
)
def test_what_lies_elsewhere_or_is_another_log_is_refused_with_both_named(
    found: str, here: Node, said: str, *, alive: bool
) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        judge(KEPT, found, here, alive=alive)
    assert "--rehome" in str(refused.value)


class Cluster:
    """A cluster as one of its drivers has it, and what all of them share."""

    def __init__(self, here: Node, shared: dict[str, bytes]) -> None:
        self.node = here
        self.shared = shared
        self.ended: list[str] = []

    def here(self) -> Node:
        return self.node

    def alive(self) -> set[str]:
        return {HERE.id, ELSEWHERE.id}

    def kept(self, name: str) -> bytes | None:
        return self.shared.get(name)

    def keep(self, name: str, value: bytes, *, overwrite: bool) -> None:
        if overwrite or name not in self.shared:
            self.shared[name] = value

    def end(self, name: str) -> None:
        self.ended.append(name)


ELSEWHERE = Node("bbbb2222", "two", "10.0.0.2")


def test_a_log_is_begun_once_and_announced(tmp_path: Path) -> None:
    folder, cluster = DataFolder(tmp_path / "data"), Cluster(HERE, {})
    log, node, notes = settle(cluster, folder, "-x", rehome=False)
    assert (log, node) == (folder.log().log_id(), HERE.id)
    assert [note.split(":")[0] for note in notes] == ["A log was begun"]
    assert settle(cluster, folder, "-x", rehome=False) == (log, HERE.id, ())


def test_a_driver_elsewhere_makes_nothing_until_it_is_said_to_be_on_purpose(tmp_path: Path) -> None:
    here = Cluster(HERE, {})
    settle(here, DataFolder(tmp_path / "data"), "-x", rehome=False)
    there, folder = Cluster(ELSEWHERE, here.shared), DataFolder(tmp_path / "theirs")
    with pytest.raises(BadInput, match=r"and here, on two .*there is none"):
        settle(there, folder, "-x", rehome=False)
    assert not folder.path.exists()
    log, node, _ = settle(there, folder, "-x", rehome=True)
    assert (log, node, there.ended) == (folder.log().log_id(), ELSEWHERE.id, ["-x"])
    with pytest.raises(BadInput, match="has its log"):
        settle(here, DataFolder(tmp_path / "data"), "-x", rehome=False)
