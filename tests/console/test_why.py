"""`why`: what the command prints, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from palimpsest.events.envelope import Draft
from palimpsest.store.folder import DataFolder
from palimpsest.store.logs.contract import Append
from palimpsest.store.logs.sqlite_log import SqliteLog
from tests.questions.test_verdicts import QUESTION, TEXT, forgotten
from tests.worlds.command_line import Launch
from tests.worlds.kernel import Kernel
from tests.worlds.story import AGENT, Story, say
from tests.worlds.story import call as ask


def test_it_prints_the_verdict_with_its_evidence(launched: Launch, kernel: Kernel) -> None:
    printed = launched("why", "ada", "message 3")
    assert printed.code == 0
    assert "SAID, BUT EVICTED, AND NOT SEARCHED FOR" in printed.text
    assert '"message 3": all of its words (message, 3)' in printed.text
    head = kernel.log.head("ada")
    assert head is not None
    searched, context = (line for line in printed.lines if line.startswith("next "))
    assert re.fullmatch(r"next +palimpsest search ada 'message 3' --at \d+ --data \S+", searched)
    assert re.fullmatch(r"next +palimpsest context ada --at \d+ --data \S+", context)
    assert launched(*context.split()[2:6]).code == 0, "it can be typed as it stands"


def saved(story: Story, folder: Path) -> None:
    """The story's log as a data folder."""
    log = SqliteLog(DataFolder(folder).create().log_path())
    log.open_epoch()
    log.append([Append(tuple(Draft(*(getattr(e, f) for f in Draft.__struct_fields__)) for e in story.log.read(AGENT)))])
    log.close()


def test_the_rank_is_that_of_the_same_search_as_of_then(tmp_path: Path, call: Launch) -> None:
    """Six messages speak of sisters: the page has five of them, and the oldest is the one that counts."""
    story = forgotten(
        "Long ago, on a ship, I met the sister of the old captain, who was called Ana and liked to paint."
    )
    story.chats(5, "My sister, my sister. " * 20)
    story.says(QUESTION).answers(ask("conversation_search", query="my sister", request_heartbeat=True))
    story.returns('Showing 5 of 6 results (page 0/1): ["timestamp: now, user: My sister."]')
    story.answers(say("I do not know."))
    saved(story, tmp_path)
    printed = call("why", AGENT, TEXT, "--data", str(tmp_path))
    assert "SEARCHED FOR, AND NOT ON THE PAGE" in printed.text
    assert "did not have it; it is number 6 of " in printed.text
    assert "next         palimpsest search ada 'my sister' --at" in printed.text


def test_as_json_it_is_one_object(launched: Launch) -> None:
    (line,) = launched("why", "ada", "zebra", "--json").lines
    found = msgspec.json.decode(line)
    assert found["cause"] == "never said"
    assert found["agent"] == "ada"
    assert found["next"][0]["command"][:2] == ["context", "ada"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nobody", "x"), "There is no agent 'nobody'"),
        (("ada", "x", "--at", "0"), "has events 1 to"),
        (("ada", "x", "--at", "100000"), "has events 1 to"),
        (("ada", "x", "--at", "1"), "had no turn by event 1"),
        (("ada", " "), "The text to look for is empty"),
        (("ada", '""'), "The text to look for is empty"),
    ],
)
def test_what_cannot_be_judged_is_refused(launched: Launch, arguments: tuple[str, ...], said: str) -> None:
    printed = launched("why", *arguments)
    assert (printed.code, printed.out) == (2, b"")
    assert said in printed.err


def test_an_agent_that_never_answered_is_refused(launched: Launch, kernel: Kernel) -> None:
    kernel.create("eve")
    assert "has not answered yet" in launched("why", "eve", "x").err
