"""Sections of core memory: what they are for is shown, and the functions name those that there are."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from palimpsest.actors.models.offline.request import RequestView
from palimpsest.events.formats import BRIEF, DESCRIBED_BLOCKS, NEWBORN, TEXT_CALLS, changed
from palimpsest.events.functions.entry import SECTION
from palimpsest.events.replay import replay
from palimpsest.events.types import AgentCreated, Block, FormatChanged
from tests.worlds.story import AGENT, Story, call, say

BLOCKS = (
    Block(label="persona", value="I am Ada.", description="Who the agent is."),
    Block(label="garden", value="Tomatoes.", limit=500, description='What "grows"\n there > here.'),
)


class Gardener(Story):
    """An agent with sections of its own."""

    def happens(self, event: Any, **options: Any) -> Story:
        made = msgspec.structs.replace(event, blocks=BLOCKS) if isinstance(event, AgentCreated) else event
        return super().happens(made, **options)


def named(story: Story) -> set[str]:
    """How the functions for core memory describe their sections."""
    tools = msgspec.json.decode(story.request)["tools"]
    found = [tool["function"] for tool in tools if tool["function"]["name"].startswith("core_memory")]
    assert len(found) == 2
    return {each["parameters"]["properties"]["name"].get("description", "") for each in found}


def test_each_section_says_what_it_is_for_and_the_functions_name_it() -> None:
    story = Gardener().says("Hi.")
    system = story.messages[0]["content"]
    assert '<garden characters="9/500" description="What \'grows\' there > here.">\nTomatoes.\n</garden>' in system
    assert named(story) == {"Section of the memory to be edited (persona or garden)."}
    story.answers(call("core_memory_append", name="garden", content="Beans."), say()).says("And?")
    assert "Tomatoes.\nBeans." in story.messages[0]["content"]


def test_without_the_part_nothing_of_it_is_there_and_it_can_be_had_later() -> None:
    story = Gardener(parts=changed(NEWBORN, remove=(DESCRIBED_BLOCKS,))).says("Hi.")
    assert "description=" not in story.messages[0]["content"].partition("### Core memory")[2]
    assert named(story) == {SECTION}
    before = story.state.head_tokens
    story.answers(say()).happens(FormatChanged(parts=NEWBORN)).says("And?")
    assert named(story) == {"Section of the memory to be edited (persona or garden)."}
    assert story.state.head_tokens > before, "it is counted"
    assert replay(AGENT, story.log.read(AGENT)).difference is None


def test_the_usual_sections_are_named_as_before() -> None:
    assert named(Story().says("Hi.")) == {SECTION}


@pytest.mark.parametrize("part", [BRIEF, TEXT_CALLS])
def test_in_few_words_and_in_the_text_they_are_named_too(part: str) -> None:
    story = Gardener(parts=changed(NEWBORN, add=(part,)), model="m", base_url="http://x/v1").says("Hi.")
    assert "(persona or garden)" in story.request.decode()


def test_the_built_in_model_reads_what_it_is_told() -> None:
    blocks = RequestView(Gardener().says("Hi.").request).blocks
    assert (blocks["garden"].text, blocks["garden"].limit) == ("Tomatoes.", 500)
