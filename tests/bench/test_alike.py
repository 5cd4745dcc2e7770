"""What counts as the same ranking, where the last bits of scores differ."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bench.alike import alike
from palimpsest.events.passages import Hit, HitPage


def hit(seq: int, score: float) -> Hit:
    return Hit(seq, 0, score, 1_763_800_000_000, "memory", f"passage {seq}", stream="source:killed")


def page(*found: tuple[int, float], total: int = 0) -> HitPage:
    return HitPage(tuple(hit(seq, score) for seq, score in found), total or len(found))


WANTED = page((7, 0.963486), (4, 0.963485), (9, 0.5))
NEXT = page((7, 0.963486), (9, 0.5), total=3)
"""The first two of three."""


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (WANTED, WANTED),
        (page((7, 0.963485), (4, 0.963485), (9, 0.5)), WANTED),
        (page((4, 0.963486), (7, 0.963485), (9, 0.500001)), WANTED),
        (page((7, 0.963486), (2, 0.500001), total=3), NEXT),
        (page(), page()),
    ],
    ids=["the same", "the last bit", "changed places", "changed places with one on the next page", "nothing"],
)
def test_pages_that_differ_in_the_last_bits_of_scores_are_alike(found: HitPage, wanted: HitPage) -> None:
    assert alike(found, wanted)
    assert alike(wanted, found)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (replace(WANTED, total=4), WANTED),
        (page((7, 0.963486), (4, 0.963485), total=3), WANTED),
        (page((7, 0.963486), (4, 0.963485), (9, 0.50001)), WANTED),
        (page((9, 0.963486), (4, 0.963485), (7, 0.5)), WANTED),
        (page((7, 0.963486), (2, 0.963485), (9, 0.5)), WANTED),
        (page((7, 0.963486), (7, 0.963485), (9, 0.5)), WANTED),
        (page((7, 0.963486), (4, 0.963485), (2, 0.500001)), WANTED),
        (page((2, 0.963487), (9, 0.5), total=3), NEXT),
        (page((4, 0.5), (7, 0.5)), page((7, 0.5), (4, 0.5))),
        (page((7, 0.0), (2, 0.0), total=3), page((7, 0.0), (4, 0.0), total=3)),
    ],
    ids=[
        "another total", "one fewer", "not as good", "changed places, not as good", "another one", "one twice",
        "another one at the end of all", "another one, not at the end", "equals in another order", "a listing",
    ],
)  # fmt: skip
def test_pages_that_differ_in_more_are_not(found: HitPage, wanted: HitPage) -> None:
    assert not alike(found, wanted)
    assert not alike(wanted, found)


@pytest.mark.parametrize("field", ["seq", "chunk", "time_ms", "text", "stream", "path"])
def test_a_hit_that_says_another_thing_is_another_hit(field: str) -> None:
    first, *rest = WANTED.hits
    other = replace(first, **{field: 99 if isinstance(getattr(first, field), int) else "other"})
    assert not alike(HitPage((other, *rest), WANTED.total), WANTED)
