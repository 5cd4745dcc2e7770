"""Which driver may serve a folder that a cluster knows."""

from __future__ import annotations

import pytest

from palimpsest.actors.on_ray.whereabouts import Node, Whereabouts, judge
from palimpsest.events.errors import BadInput

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
