"""Which events are meant, by seqs, times and turns, and what is refused with its fields."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from palimpsest.events.errors import BadInput, HasNoTurns, InNoTurn, NoSuchEvent, NoSuchTurn, UnknownAgent
from palimpsest.events.types import SettingsChanged, TurnEnded
from palimpsest.questions.stretch import Bound, bounded, first_of_last, of_turn
from tests.worlds.story import AGENT, Story


@pytest.fixture
def story() -> Story:
    """Two turns, and a change of settings between them."""
    story = Story().says("Hello!").settles()
    story.changes(max_steps=7)
    return story.says("I live in Oslo.").settles()


def seqs(story: Story, kind: str) -> list[int]:
    return [each.seq for each in story.log.read(AGENT) if each.kind == kind]


def test_all_of_a_stream_and_a_part_of_it(story: Story) -> None:
    end = story.log.read(AGENT)[-1].seq
    whole, part = bounded(story.log, AGENT), bounded(story.log, AGENT, Bound(3), Bound(5))
    assert (whole.first, whole.last) == (1, end)
    assert (part.first, part.last) == (3, 5)
    assert bounded(story.log, AGENT, until=Bound(end + 50)).last == end


def test_a_time_bounds_what_is_wanted(story: Story) -> None:
    time_ms = story.log.read(AGENT)[-1].time
    found = bounded(story.log, AGENT, since=Bound(time_ms=time_ms))
    assert found.wanted.since_ms == time_ms
    assert found.last == story.log.read(AGENT)[-1].seq


def test_a_turn_is_named_by_any_event_of_it_or_by_its_number(story: Story) -> None:
    whole = bounded(story.log, AGENT)
    *_, first, second = seqs(story, "UserMessageReceived")
    ends = seqs(story, TurnEnded.__name__)
    for seq in (second, ends[-1], ends[-1] - 1):
        found = of_turn(story.log, whole, seq=seq)
        assert (found.first, found.last, found.wanted.turn) == (second, ends[-1], second)
    assert of_turn(story.log, whole, number=story.state.turns - 1).first == first
    assert first_of_last(story.log, replace(whole, newest=1)) == second + 1


def test_what_is_not_there_is_refused_with_its_fields(story: Story) -> None:
    whole = bounded(story.log, AGENT)
    (between,) = seqs(story, SettingsChanged.__name__)
    with pytest.raises(InNoTurn) as stray:
        of_turn(story.log, whole, seq=between)
    assert (stray.value.seq, stray.value.kind) == (between, "SettingsChanged")
    with pytest.raises(NoSuchTurn) as turn:
        of_turn(story.log, whole, number=99)
    assert (turn.value.number, turn.value.turns, turn.value.last) == (99, story.state.turns, whole.last)
    with pytest.raises(NoSuchTurn):
        of_turn(story.log, whole, number=0)
    with pytest.raises(NoSuchEvent):
        of_turn(story.log, whole, seq=whole.last + 1)
    with pytest.raises(UnknownAgent):
        bounded(story.log, "eve")


def test_an_end_before_the_beginning_is_said_as_it_was_written(story: Story) -> None:
    with pytest.raises(BadInput, match="nothing from noon to 3"):
        bounded(story.log, AGENT, Bound(5, said="noon"), Bound(3))
    with pytest.raises(BadInput, match="there is none from 1000 on"):
        bounded(story.log, AGENT, Bound(1000))


def test_a_source_has_no_turns(story: Story) -> None:
    with pytest.raises(HasNoTurns):
        of_turn(story.log, replace(bounded(story.log, AGENT), agent="source:docs"), seq=1)
