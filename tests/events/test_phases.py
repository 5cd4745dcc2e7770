"""A turn moves as the table of `events.phases` says: in the golden logs here, and in every run that the tests' watch
sees. Each move of the table is made somewhere, and the picture in the docs is the table's.

python -m tests.events.test_phases    draws it anew
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest

from palimpsest.events.codec import answer, decode, draft
from palimpsest.events.envelope import Envelope
from palimpsest.events.evolve import evolve
from palimpsest.events.formats import ALTERNATING
from palimpsest.events.phases import MOVES, after, picture
from palimpsest.events.types import AgentForked, Event, FormatChanged, InferenceFailed, TurnEnded, UserLoggedIn
from palimpsest.events.vocabulary import Phase
from tests.events.test_forks import Fork
from tests.golden.make import read
from tests.simulation.promises import check_phase, phase_of
from tests.worlds.story import AGENT, Story, call, say

GOLDEN: Final = sorted((Path(__file__).parents[1] / "golden").glob("*.msgpack"))
DOC: Final = Path(__file__).parents[2] / "docs" / "architecture.md"
DRAWN: Final = re.compile(r"(?<=```mermaid\n)stateDiagram-v2\n.*?(?=\n```)", re.DOTALL)
Made = tuple[Phase | None, type[Event], Phase | None]


def moves(envelopes: Iterable[Envelope]) -> Iterator[Made]:
    """The moves of a stream's turns."""
    state = None
    for envelope in envelopes:
        before, event = phase_of(state), decode(envelope)
        state = evolve(state, envelope, event)
        check_phase(before, event, state)
        yield before, type(event), phase_of(state)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_log_moves_as_the_table_says(path: Path) -> None:
    assert len(set(moves(read(path)))) > 10


def test_each_move_of_the_table_is_made() -> None:
    logs = [*map(read, GOLDEN), *(story.log.read(AGENT) for story in (mended(), changed()))]
    made = {move for log in logs for move in moves(log)} | set(forked())
    assert [
        (m.before, e.__name__, m.after) for m in MOVES for e in m.events if (m.before, e, m.after) not in made
    ] == []


def mended() -> Story:
    """A server takes a request only with a part of the format that the agent has not."""
    return Story().says("Hello?").fails("bad_request", mended_by=(ALTERNATING,))


def changed() -> Story:
    """The user gives the agent another format, just as its server has failed."""
    story = Story().says("Hello?")
    failed = InferenceFailed(error="timeout", detail="No answer came.")
    (asked,) = story.log.open_requests_of(AGENT, "inference")
    chosen = draft(AGENT, story.now_ms, FormatChanged(parts=story.state.format), key="format")
    return story.appends(answer(asked, failed, story.now_ms), chosen)


def forked() -> Iterator[Made]:
    """Forks of an agent that waits for its model, for a search, and for a summary."""
    story = Story().says("Look it up.")
    yield fork_of(story)
    yield fork_of(story.answers(call("conversation_search", query="it", request_heartbeat=True)))
    story.returns().settles()
    while story.phase != "summarising":
        story.says("words " * 200) if not story.phase else story.answers(say())
    yield fork_of(story)


def fork_of(story: Story) -> Made:
    return phase_of(story.state), AgentForked, phase_of(Fork(story.state).state)


def test_what_the_table_does_not_name_leaves_a_turn_where_it_stands() -> None:
    assert after("inferring", UserLoggedIn()) == {"inferring"}
    assert after("ready", TurnEnded(input=1)) == {None}
    state = Story().says("Hello?").state
    with pytest.raises(AssertionError, match="acting --UserLoggedIn--> inferring is no move of a turn"):
        check_phase("acting", UserLoggedIn(), state)


def test_the_docs_have_the_tables_picture() -> None:
    (drawn,) = DRAWN.findall(DOC.read_text())
    assert drawn == picture(), "draw it anew: python -m tests.events.test_phases"


if __name__ == "__main__":
    DOC.write_text(DRAWN.sub(picture(), DOC.read_text()))
