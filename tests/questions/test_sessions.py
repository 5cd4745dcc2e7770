"""A session as a whole: the story and its windows, what was evicted, how core memory came to be, and the proof."""

from __future__ import annotations

import pytest

from palimpsest.events.debug.moments import Step
from palimpsest.events.debug.timeline import story
from palimpsest.events.debug.window import gist
from palimpsest.events.errors import NoSession
from palimpsest.questions.sessions import session
from palimpsest.store.logs.states import load
from tests.worlds.command_line import file_of
from tests.worlds.kernel import Kernel


def test_it_is_the_whole_story_by_turns(kernel: Kernel) -> None:
    told = session(kernel.log, "ada")
    assert [part for scene in told.scenes for part, _ in scene.told] == list(story(kernel.log.read("ada")))
    assert [scene.began.number if scene.began else 0 for scene in told.scenes] == list(range(26))
    assert all(scene.told[0][0] is scene.began for scene in told.scenes[1:])


def test_a_window_names_the_very_messages_that_the_model_read(kernel: Kernel) -> None:
    told = session(kernel.log, "ada")
    windows = {seen.seq: seen for scene in told.scenes for _, seen in scene.told if seen}
    steps = [part for part in story(kernel.log.read("ada")) if isinstance(part, Step)]
    assert list(windows) == [step.seq for step in steps]
    for step in steps[::5]:
        seen, state = windows[step.seq], load(kernel.log, "ada", step.seq)
        assert state is not None
        if step.purpose == "reply":
            read = [(told.messages[number].who, told.messages[number].text) for number in seen.messages]
            assert read == [gist(entry) for entry in state.queue]
            assert sum(share.messages for share in seen.shares) == len(seen.messages) + 2 + (seen.summary > 0)
        assert seen.tokens == step.tokens
        assert seen.proof == "proved"


def test_evictions_and_changes_of_core_memory_are_all_there(kernel: Kernel) -> None:
    told, kinds = session(kernel.log, "ada"), [each.kind for each in kernel.log.read("ada")]
    assert len(told.evictions) == kinds.count("SummaryWritten") > 0
    assert [each.how for each in told.memory] == ["begins"] * 2 + ["adds"] * kinds.count("CoreMemoryAppended")


def test_the_last_turns_alone(kernel: Kernel) -> None:
    whole, some = session(kernel.log, "ada"), session(kernel.log, "ada", last=3)
    assert some.scenes == whole.scenes[-3:]
    assert (some.left_out, whole.left_out) == (22, 0)
    assert some.proof == whole.proof, "the proof is of all of it"


def test_a_stream_that_differs_from_its_first_event_on_is_no_session(kernel: Kernel) -> None:
    with file_of(kernel) as file:
        file.execute("UPDATE events SET time = time + 1 WHERE stream = 1 AND seq = 1")
    with pytest.raises(NoSession) as found:
        session(kernel.log, "ada")
    assert found.value.difference.startswith("event 1: ")
