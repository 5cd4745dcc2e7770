"""Two runs held against each other: their turns paired by what they answer, and their sums."""

from __future__ import annotations

import pytest

from palimpsest.events.codec import draft
from palimpsest.events.debug.compare import Prices, TurnRun, compare, turns
from palimpsest.events.types import Timer, TimerSet, Usage
from tests.worlds.story import AGENT, Story, call, say


def told(answer: str, *, searches: bool = False) -> dict[int, TurnRun]:
    """Two turns after the greeting; in the first the agent may look something up."""
    story = Story()
    after = story.state.seq
    story.says("Where is the key?")
    if searches:
        story.answers(call("conversation_search", query="key", request_heartbeat=True))
        story.returns("No results found.")
    story.answers(say(answer), usage=Usage(prompt=1000, completion=10))
    story.says("Thank you.")
    story.answers(say("You are welcome."), usage=Usage(prompt=2000, completion=20))
    return turns(story.log.read(AGENT, after=after))


def test_a_turn_has_what_was_said_and_what_it_took() -> None:
    first, second = told("Under the mat.", searches=True).values()
    assert (first.input, first.said, first.ended) == ("Where is the key?", ["Under the mat."], "yielded")
    assert (first.searches, first.inferences, second.inferences) == (["conversation_search(key)"], 2, 1)
    assert (first.usage.prompt, first.context_tokens > 0) == (1000, True)


def test_turns_are_paired_by_what_they_answer() -> None:
    recorded, again = told("Under the mat."), told("I do not know.", searches=True)
    paired = dict(zip(recorded, again, strict=True))
    found = compare(recorded, again, paired, first_prices=None, second_prices=Prices(prompt=1.0, completion=10.0))
    assert [pair.same_answer for pair in found.pairs] == [False, True]
    (other,) = found.other_answers
    assert other.first is not None and other.second is not None
    assert (other.first.said, other.second.said) == (["Under the mat."], ["I do not know."])
    assert (found.first.searches, found.second.searches) == (0, 1)
    assert (found.first.prompt_tokens, found.first.cost) == (3000, None)
    assert found.second.cost == pytest.approx((3000 * 1.0 + 30 * 10.0) / 1e6)


def test_a_turn_that_only_one_run_has_stands_alone() -> None:
    recorded = told("Under the mat.")
    first, second = recorded
    ran = {first: recorded[first], second: TurnRun(seq=second, input="timer")}  # another input, of the same seq
    found = compare(recorded, ran, {first: first})
    assert [(pair.first is not None, pair.second is not None) for pair in found.pairs] == [
        (True, True), (True, False), (False, True),
    ]  # fmt: skip
    assert found.pairs[1].first is recorded[second]
    assert len(found.other_answers) == 2


def test_timers_that_are_the_same_are_not_told_apart_by_ids_that_are_made_of_seqs() -> None:
    runs = []
    for before, note in ((0, "tea"), (1, "tea"), (1, "bus")):
        story = Story()
        for _ in range(before):
            story.sets(Timer(id="other", due_ms=1, note="other"))
        after = story.state.seq
        story.says("Remind me.").answers(call("set_timer", note=note, in_minutes=5, request_heartbeat=True))
        timer = Timer(id=f"timer-{story.state.seq}", due_ms=story.now_ms + 300_000, note=note)
        alarm = draft(AGENT, story.now_ms, TimerSet(timer=timer), key="alarm:1", opens="alarm")
        story.returns(f"Timer {timer.id} is set.", alarm)
        story.answers(say(f"Done: {timer.id} is set; timer-999 is not."))
        runs.append((turns(story.log.read(AGENT, after=after)), after + 1))
    (first, seq), *others = runs
    same = [compare(first, run, {seq: other}).pairs[0] for run, other in others]
    assert same[0].first is not None and same[0].second is not None
    assert same[0].first.said != same[0].second.said, "the texts are shown as they are"
    assert [pair.same_answer for pair in same] == [True, False]
