"""The debugger at the top of the package: each question in a few lines, of a data folder and of a bundle."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

import palimpsest
from palimpsest import (
    BadInput,
    BundleUnreadable,
    DataFolder,
    NoBoundary,
    NoBundle,
    NoLog,
    NoSuchEvent,
    NotAnAgent,
    NotAnswered,
    UnknownAgent,
    blame,
    context_at,
    diff,
    first_bad,
    open_log,
    search,
    state_at,
    verify,
    why,
    why_not,
)
from palimpsest.events.codec import draft
from palimpsest.events.types import FunctionReturned, SourceCreated
from palimpsest.store.logs.contract import Append
from tests.worlds.command_line import file_of
from tests.worlds.kernel import Kernel
from tests.worlds.story import AGENT, Story, call, say

ROOT = Path(__file__).resolve().parents[2]
CASE = ROOT / "docs/cases/sister.palimpsest"


def test_a_state_and_a_window_as_of_any_event() -> None:
    with open_log(CASE) as log:
        then, now = state_at(log, "ines", 54), state_at(log, "ines")
        window = context_at(log, "ines", 92)
    assert (then.seq, now.seq) == (54, 95)
    assert len(now.queue) < len(then.queue), "messages were evicted between them"
    assert (window.asked, window.proved) == (92, True)
    assert b"Where does my sister live?" in window.request
    assert hashlib.sha256(window.request).hexdigest() == window.fingerprint


def test_why_it_said_that() -> None:
    with open_log(str(CASE)) as log:
        found = why(log, "ines")
        earlier = why(log, "ines", 21)
    assert found.writer.input is not None
    assert found.writer.input.text == "Where does my sister live?"
    assert {hint.seq for hint in found.hints} == {56}
    assert earlier.writer.seq == 25


def test_what_an_agent_looked_up_is_given_as_its_call_and_what_came_of_it() -> None:
    story = Story().says("What is my sister's name?")
    story.answers(call("conversation_search", query="sister", request_heartbeat=True))
    story.returns('Showing 1 of 1 results (page 0/0): ["timestamp: now, user: My sister Ana."]').answers(say("Ana."))
    (look,) = why(story.log, AGENT).looks
    assert (look.call.name, look.call.arguments["query"]) == ("conversation_search", "sister")
    assert isinstance(look.result, FunctionReturned)
    assert "My sister Ana." in look.result.result


def test_why_it_did_not_say_that(kernel: Kernel) -> None:
    with open_log(kernel.folder) as log:
        assert why_not(log, "ada", "zebra").cause == "never said"
        evicted = why_not(log, "ada", "message 3")
        assert "evicted" in evicted.cause
        assert why_not(log, "ada", "message three 3", exact=True).cause == "never said"
        kernel.create("eve")
        with pytest.raises(NotAnswered):
            why_not(log, "eve", "zebra")


def test_who_wrote_that() -> None:
    with open_log(CASE) as log:
        (found,) = blame(log, "ines", "Lisbon").standing
        summary = blame(log, "ines", summary=True).summary
        (human,) = blame(log, "ines", block="human", at=30).standing
        assert human.sentence.label == "human"
        with pytest.raises(BadInput, match="no block 'garden'"):
            blame(log, "ines", block="garden")
    assert "Lisbon" in "".join(piece.text for piece in found.sentence.pieces)
    assert summary is not None
    assert summary.covers


def test_what_changed() -> None:
    with open_log(CASE) as log:
        found = diff(log, "ines", 54, 56)
        to_the_end = diff(log, "ines", 54)
    assert {each.evicted for each in found.left} == {55}
    assert (to_the_end.a.seq, to_the_end.b.seq) == (54, 95)


def test_two_agents_are_compared(kernel: Kernel) -> None:
    with open_log(kernel.folder) as log:
        found = diff(log, "ada", 5, 5, other="ben o'neil")
    assert (found.a.agent, found.b.agent, found.parted) == ("ada", "ben o'neil", None)


def test_where_a_state_turned_bad() -> None:
    with open_log(CASE) as log:
        found = first_bad(log, "ines", lambda state: state.seq < 40)
        assert (found.good, found.bad) == (39, 40)
        with pytest.raises(NoBoundary) as never:
            first_bad(log, "ines", lambda _: True, good=3, bad=9)
        assert (never.value.seq, never.value.good) == (9, True)
        with pytest.raises(NoSuchEvent) as none:
            first_bad(log, "ines", lambda _: True, bad=96)
    assert (none.value.seq, none.value.last, none.value.end) == (96, 95, "bad")


@pytest.mark.parametrize("at", [None, 60])
def test_what_it_finds(at: int | None) -> None:
    with open_log(CASE) as log:
        found = search(log, "ines", "Where does my sister live?", at)
    assert set(found) == {"recall", "archival"}
    assert any("sister lives in Lisbon" in hit.text for hit in found["recall"].hits)
    assert all(hit.seq <= (at or 95) for hit in found["recall"].hits)


def test_all_is_proved_or_the_first_difference_is_named(kernel: Kernel) -> None:
    with open_log(DataFolder(kernel.folder)) as log:
        everyone = verify(log)
        (ada,) = verify(log, "ada")
    assert [each.agent for each in everyone] == ["ada", "ben o'neil"]
    assert ada in everyone
    assert ada.contexts > 10
    assert not any(each.difference or each.unreadable for each in everyone)


def test_a_difference_is_named(kernel: Kernel) -> None:
    with file_of(kernel) as file:
        file.execute("UPDATE events SET time = time + 1 WHERE stream = 1 AND seq = 7")
    with open_log(kernel.folder) as log:
        (found,) = verify(log, "ada")
    assert found.seq == 7
    assert found.difference


def test_what_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.palimpsest"
    broken.write_bytes(CASE.read_bytes()[:-20])
    for where, kind in (
        (tmp_path / "nowhere", NoLog),
        (tmp_path, NoLog),
        (tmp_path / "no.palimpsest", NoBundle),
        (broken, BundleUnreadable),
    ):
        with pytest.raises(kind), open_log(where):
            raise AssertionError("it was opened")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.palimpsest"], "nothing was made"


def test_what_cannot_be_asked_is_refused_with_its_fields() -> None:
    with open_log(CASE) as log:
        with pytest.raises(UnknownAgent) as unknown:
            state_at(log, "eve")
        assert (unknown.value.agent, unknown.value.known) == ("eve", ("ines",))
        with pytest.raises(NoSuchEvent) as none:
            context_at(log, "ines", 96)
        assert (none.value.agent, none.value.seq, none.value.last) == ("ines", 96, 95)


def test_a_source_is_no_agent(kernel: Kernel) -> None:
    made = SourceCreated(passage_tokens=300, overlap_tokens=60)
    kernel.log.append([Append((draft("source:docs", 0, made, key="create"),))])
    with open_log(kernel.folder) as log, pytest.raises(NotAnAgent) as refused:
        state_at(log, "source:docs")
    assert refused.value.stream == "source:docs"


def test_another_program_asks_in_three_lines(tmp_path: Path) -> None:
    """Nothing of Ray is loaded for it."""
    program = f"""
from palimpsest import open_log, why_not
with open_log({str(CASE)!r}) as log:
    print(why_not(log, "ines", "zebra").cause)
import sys
print("ray" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "never said\nFalse\n", "")


def test_every_question_says_what_it_is() -> None:
    for question in (open_log, state_at, context_at, why, why_not, blame, diff, first_bad, search, verify):
        assert question.__name__ in palimpsest.__all__
        assert question.__doc__
