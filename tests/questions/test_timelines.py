"""Which events are meant, and what comes later."""

from __future__ import annotations

import itertools

import pytest

from palimpsest.events.debug.choice import EventChoice
from palimpsest.events.debug.moments import TurnBegan
from palimpsest.events.debug.timeline import story
from palimpsest.questions.stretch import seq_before
from palimpsest.questions.timelines import later, newest
from tests.worlds.kernel import START_MS, Kernel


def test_a_time_is_found_by_halving(kernel: Kernel) -> None:
    last = kernel.log.read("ada")[-1].seq
    assert seq_before(kernel.log, "ada", last, 0) == 1
    assert seq_before(kernel.log, "ada", last, START_MS * 2) == last


def test_what_comes_later_is_followed(kernel: Kernel) -> None:
    last = kernel.log.read("ada")[-1].seq
    looks = itertools.count()

    def pause() -> None:
        look = next(looks)
        if look == 1:
            kernel.talk("ada", ["One more thing."])
        if look == 3:
            raise KeyboardInterrupt

    seen: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        seen.extend(each.seq for each in later(kernel.log, "ada", last, pause))
    assert seen == list(range(last + 1, kernel.log.read("ada")[-1].seq + 1))


def test_a_newest_turn_with_nothing_wanted_is_not_counted(kernel: Kernel) -> None:
    parts = list(newest(story(kernel.log.read("ada")), EventChoice(kinds=frozenset({"CoreMemoryAppended"})), 1))
    assert len(parts) == 2
    assert isinstance(parts[0], TurnBegan)
