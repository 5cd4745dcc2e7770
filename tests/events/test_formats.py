"""Formats are named parts: each is had from an event on, and what was rendered before stays as it was."""

from __future__ import annotations

import msgspec
import pytest

from palimpsest.events.codec import draft
from palimpsest.events.envelope import GENESIS, place
from palimpsest.events.errors import BadInput, NewerFormat
from palimpsest.events.evolve import fold
from palimpsest.events.formats import EMPTY_CONTENT, NEWBORN, NUMBERED, PARTS, TIMED_HEARTBEATS, changed, ordered
from palimpsest.events.prompts import newborn
from palimpsest.events.replay import replay
from palimpsest.events.types import FormatChanged, Settings, TurnEnded
from tests.worlds.positions import nth
from tests.worlds.story import AGENT, Story, call, say


def contents(story: Story) -> list[object]:
    """The content of each message that calls functions."""
    return [message["content"] for message in story.messages if message.get("tool_calls")]


def test_a_message_of_calls_alone_has_an_empty_content_and_with_an_old_format_null() -> None:
    assert contents(Story().says("Hi.")) == [""]
    assert contents(Story(format=2, parts=()).says("Hi.")) == [None]
    assert contents(Story(parts=(TIMED_HEARTBEATS,)).says("Hi.")) == [None]


def test_a_part_that_is_given_holds_for_what_is_in_the_queue_already_and_back() -> None:
    story = Story(format=1, parts=()).says("Hi.").answers(call("list_timers", request_heartbeat=True))
    assert contents(story) == [None, None]
    before = story.request
    story.answers(say()).happens(FormatChanged(parts=NEWBORN)).says("And?")
    assert contents(story) == ["", "", ""]
    assert before != story.request
    story.answers(say()).happens(FormatChanged(parts=())).says("Back?")
    assert contents(story) == [None] * 4
    assert replay(AGENT, story.log.read(AGENT)).difference is None


def test_an_agent_takes_a_part_by_itself_when_its_server_refuses_what_the_part_mends() -> None:
    story = Story(format=2, parts=()).says("Hi.")
    story.fails("bad_request", "No null here.", mended_by=(EMPTY_CONTENT,))
    moved = story.the(FormatChanged)
    assert (moved.parts, moved.reason) == ((*NUMBERED[2], EMPTY_CONTENT), "No null here.")
    assert contents(story) == [""], "it asked once more, in the new format"
    assert story.answers(say()).the(TurnEnded).reason == "yielded"
    assert replay(AGENT, story.log.read(AGENT)).difference is None


def test_a_part_that_it_has_is_not_tried_again() -> None:
    story = Story().says("Hi.")
    story.fails("bad_request", "No null here.", mended_by=(EMPTY_CONTENT,))
    assert story.the(TurnEnded).reason == "inference_failed"
    assert not story.all(FormatChanged)


def test_parts_are_ordered_and_unknown_ones_are_named() -> None:
    assert ordered(reversed(NEWBORN)) == NEWBORN
    assert changed((), add=NEWBORN) == NEWBORN
    assert changed((TIMED_HEARTBEATS, EMPTY_CONTENT), remove=[EMPTY_CONTENT]) == NUMBERED[2]
    with pytest.raises(BadInput, match=r"no part 'nonsense'.*The parts are: timed_heartbeats, "):
        changed((), add=["nonsense"])
    assert len({part.name for part in PARTS}) == len(PARTS)


def test_a_part_of_a_newer_version_is_refused_by_name() -> None:
    born = draft(AGENT, 0, msgspec.structs.replace(newborn(Settings()), parts=("holograms",)), key="create")
    with pytest.raises(NewerFormat, match=r"'ada' has contexts with the part 'holograms' \(event 1\).*upgrade"):
        fold([place(born, 1, nth(1), GENESIS)])
    moved = draft(AGENT, 0, FormatChanged(parts=("holograms",)), key="moved")
    with pytest.raises(NewerFormat, match=r"'holograms' \(event 9\)"):
        fold([place(moved, 9, nth(9), GENESIS)], msgspec.structs.replace(Story().state, seq=8))


def test_a_context_does_not_hang_on_the_order_in_which_parts_are_named() -> None:
    one, other = Story(parts=NEWBORN).says("Hi."), Story(parts=tuple(reversed(NEWBORN))).says("Hi.")
    assert msgspec.json.decode(one.request) == msgspec.json.decode(other.request)
