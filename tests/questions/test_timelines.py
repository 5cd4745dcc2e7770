"""Which events are meant, and what comes later."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from palimpsest.events.debug.choice import EventChoice
from palimpsest.events.debug.moments import Step, TurnBegan
from palimpsest.events.debug.timeline import story
from palimpsest.questions.stretch import Bound, Excerpt, bounded, seq_before
from palimpsest.questions.timelines import later, newest, story_of, wanted_events
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


def test_what_is_followed_goes_on_with_what_comes(kernel: Kernel) -> None:
    def following() -> tuple[Excerpt, Callable[[], None]]:
        """The last turn and what comes next: at the first look a turn, at the second the user has had enough."""
        looks = iter([lambda: kernel.talk("ada", ["One more thing."])])

        def pause() -> None:
            look = next(looks, None)
            if look is None:
                raise KeyboardInterrupt
            look()

        return replace(bounded(kernel.log, "ada"), newest=1, follow=True), pause

    numbers: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        for part in story_of(kernel.log, *following()):
            numbers += [part.number] if isinstance(part, TurnBegan) else []
    assert numbers == [25, 26]

    seqs: list[int] = []
    end = kernel.log.read("ada")[-1].seq
    with pytest.raises(KeyboardInterrupt):
        seqs.extend(each.seq for each in wanted_events(kernel.log, *following()))
    assert seqs == list(range(end, kernel.log.read("ada")[-1].seq + 1))
    assert len(seqs) > 5


def test_what_is_open_where_a_story_is_followed_is_told_with_its_answer(kernel: Kernel) -> None:
    def pause() -> None:
        if next(looks):
            raise KeyboardInterrupt

    looks = itertools.count()
    asked = [each.seq for each in kernel.log.read("ada") if each.kind == "InferenceRequested"][-1]
    stretch = bounded(kernel.log, "ada", Bound(asked - 2), Bound(asked))
    (still,) = (part for part in story_of(kernel.log, stretch, pause) if isinstance(part, Step))
    assert still.outcome == "open"
    steps: list[Step] = []
    with pytest.raises(KeyboardInterrupt):
        for part in story_of(kernel.log, replace(stretch, follow=True), pause):
            steps += [part] if isinstance(part, Step) else []
    assert [step.outcome for step in steps] == ["answered"]
