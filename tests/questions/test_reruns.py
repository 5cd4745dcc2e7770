"""Which part of a recording can be run again, and what its fork is called."""

from __future__ import annotations

import pytest

from palimpsest.events.codec import draft
from palimpsest.events.errors import AgentExists, BadInput, ForkedOtherwise, NoSuchEvent, NothingToRerun
from palimpsest.events.types import AgentForked, Parent, UserMessageReceived
from palimpsest.questions.reruns import name_for, part_of
from palimpsest.store.logs.contract import Append
from tests.worlds.story import AGENT, Story


@pytest.fixture
def story() -> Story:
    return Story().says("Hello!").settles().says("I live in Oslo.").settles()


def forked(story: Story, name: str, at: int, system: str | None) -> None:
    hash = story.log.hash_at(AGENT, at)
    assert hash is not None
    parent = Parent(agent=AGENT, seq=at)
    made = draft(name, story.now_ms, AgentForked(parent=parent, hash=hash, system=system), key="fork")
    story.log.append([Append((made,), {name: 0}, forks={name: parent})])
    text = draft(name, story.now_ms, UserMessageReceived(text="Again."), key="in:again")
    story.log.append([Append((text,))])


def test_without_bounds_it_is_all_behind_the_first_event(story: Story) -> None:
    part = part_of(story.log, AGENT)
    assert (part.agent, part.first, part.last) == (AGENT, 1, story.state.seq)
    assert part.before.seq == 1


def test_what_cannot_be_run_again_is_refused_with_its_fields(story: Story) -> None:
    with pytest.raises(NothingToRerun) as nothing:
        part_of(story.log, AGENT, 9, 7)
    assert (nothing.value.first, nothing.value.last) == (9, 7)
    with pytest.raises(NoSuchEvent) as none:
        part_of(story.log, AGENT, 9999)
    assert none.value.end == "from"
    with pytest.raises(NoSuchEvent) as none:
        part_of(story.log, AGENT, 1, 9999)
    assert none.value.end == "to"


@pytest.mark.parametrize(("system", "begins"), [(None, 1), ("Be brief.", 6)])
def test_a_fork_that_is_otherwise_begins_at_its_own_first_event(story: Story, system: str | None, begins: int) -> None:
    forked(story, "fay", 5, system)
    assert part_of(story.log, "fay").first == begins
    if begins > 1:
        with pytest.raises(ForkedOtherwise) as refused:
            part_of(story.log, "fay", 2)
        assert refused.value.seq == begins


def test_the_fork_has_the_first_name_that_is_free(story: Story) -> None:
    assert name_for(story.log, AGENT) == f"{AGENT}.rerun-1"
    forked(story, f"{AGENT}.rerun-1", 5, None)
    assert name_for(story.log, AGENT) == f"{AGENT}.rerun-2"
    assert name_for(story.log, AGENT, "other") == "other"
    with pytest.raises(AgentExists):
        name_for(story.log, AGENT, AGENT)
    with pytest.raises(BadInput, match="cannot be an agent's name"):
        name_for(story.log, AGENT, "source:docs")
