"""One agent under anything that may happen to it, in any order: a state machine that hypothesis drives.

Every event is checked by the promises' watch (`Story.watch`); the invariants here are what holds between events.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings as runs
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from palimpsest.events.context import with_margin
from palimpsest.events.decide import decide
from palimpsest.events.evolve import fold
from palimpsest.events.types import AlertRaised, Timer, ToolCall, TurnEnded, UploadFinished, UserLoggedIn
from palimpsest.events.vocabulary import FinishOrNone, NoAnswer
from tests.worlds.story import AGENT, Story, call, octets, quarter, say

TEXTS = st.one_of(
    st.text(max_size=30),
    st.tuples(st.sampled_from(["word ", "\n", "🦊", '"', "\u4e16"]), st.integers(1, 1200)).map(lambda t: t[0] * t[1]),
)
BEAT = st.booleans()
IDS = st.sampled_from(["", "a", "b"])


def calls_of(function: str, **arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[ToolCall]:
    return st.builds(lambda id, given: call(function, id, **given), IDS, st.fixed_dictionaries(arguments))


CALLS = st.one_of(
    st.builds(say, TEXTS, IDS),
    calls_of("core_memory_append", name=st.just("human"), content=TEXTS, request_heartbeat=BEAT),
    calls_of("core_memory_replace", name=st.just("human"), old_content=TEXTS, new_content=st.just("")),
    calls_of("conversation_search", query=TEXTS, request_heartbeat=BEAT),
    calls_of("archival_memory_insert", content=TEXTS),
    calls_of("pause_heartbeats", minutes=st.integers(-5, 500)),
    calls_of("cancel_timer", timer=st.sampled_from(["t0", "t1", "t2"])),
    calls_of("fly"),
    st.builds(ToolCall, id=IDS, name=st.just("send_message"), arguments=st.text(max_size=10)),
)


class Agent(RuleBasedStateMachine):
    """Inputs, answers, failures and stops in any order."""

    story: Story

    @initialize(window=st.integers(2600, 8000), worst=st.booleans(), margin=st.sampled_from([1.0, 1.15]))
    def begins(self, window: int, worst: bool, margin: float) -> None:
        size = window * (4 if worst else 1)
        self.story = Story(
            count=octets if worst else quarter,
            met=False,
            system="Test.",
            window_tokens=size,
            reserve_tokens=size // 8,
            token_margin=margin,
            max_failures=3,
            max_steps=12,
        )
        self.beats = 0

    # --- what may happen at any time

    @rule(text=TEXTS)
    def user_speaks(self, text: str) -> None:
        self.story.says(text)

    @rule(text=TEXTS, which=st.integers(0, 2))
    def something_happens(self, text: str, which: int) -> None:
        self.story.comes((AlertRaised(text=text), UploadFinished(source="a.txt", detail=text), UserLoggedIn())[which])

    @rule()
    def stops(self) -> None:
        self.story.stops()

    @rule(heartbeat=BEAT, note=st.text(max_size=20))
    def a_timer_is_set(self, heartbeat: bool, note: str) -> None:
        self.beats += 1
        self.story.sets(Timer(id=f"t{self.beats % 4}", due_ms=self.beats, note=note, heartbeat=heartbeat))

    @precondition(lambda self: self.story.state.alarms)
    @rule(which=st.integers(0, 9))
    def a_timer_fires(self, which: int) -> None:
        alarms = self.story.state.alarms
        self.story.fires(alarms[which % len(alarms)].timer)

    @rule(encoding=st.sampled_from(["one", "two"]), model=st.sampled_from(["a", "b"]))
    def settings_change(self, encoding: str, model: str) -> None:
        self.story.changes(encoding=encoding, model=model)

    # --- what may happen to what is open: sound answers have rules of their own, so that turns get on

    @precondition(lambda self: self.story.phase in {"inferring", "summarising"})
    @rule(times=st.integers(1, 60))
    def the_model_speaks(self, times: int) -> None:
        words = "So it is. " * times
        self.story.answers(say(words)) if self.story.phase == "inferring" else self.story.answers(content=words)

    @precondition(lambda self: self.story.phase == "inferring")
    @rule(more=st.lists(CALLS, max_size=2))
    def the_model_searches(self, more: list[ToolCall]) -> None:
        self.story.answers(call("archival_memory_search", query="x", request_heartbeat=True), *more)

    @precondition(lambda self: self.story.phase == "calling")
    @rule(times=st.integers(0, 1000))
    def a_search_finds_something(self, times: int) -> None:
        self.story.returns("found " * times)

    @precondition(lambda self: self.story.phase in {"inferring", "summarising"})
    @rule(text=TEXTS)
    def the_model_speaks_plainly(self, text: str) -> None:
        self.story.answers(content=text)

    @precondition(lambda self: self.story.phase in {"inferring", "summarising"})
    @rule(
        calls=st.lists(CALLS, max_size=4), content=TEXTS, finish=st.sampled_from(["", "length"]), stopped=st.booleans()
    )
    def the_model_answers(self, calls: list[ToolCall], content: str, finish: FinishOrNone, stopped: bool) -> None:
        self.story.answers(*calls, content=content, finish=finish, stopped=stopped and finish == "")

    @precondition(lambda self: self.story.phase in {"inferring", "summarising"})
    @rule(error=st.sampled_from(["overflow", "timeout", "wrong_key"]))
    def the_model_fails(self, error: NoAnswer) -> None:
        self.story.fails(error)

    @precondition(lambda self: self.story.phase == "calling")
    @rule(result=TEXTS, works=st.booleans())
    def a_part_answers(self, result: str, works: bool) -> None:
        self.story.returns(result) if works else self.story.refuses("It is down.")

    # --- what holds

    @invariant()
    def an_agent_with_something_to_do_waits_for_somebody(self) -> None:
        state = self.story.state
        assert decide(state, self.story.count) == ()
        waits = sum(len(self.story.log.open_requests_of(AGENT, t)) for t in ("inference", "storage", "timer"))
        assert waits == (1 if state.turn else 0), "one thing is in flight in a turn, and nothing outside of one"
        assert state.turn or not state.pending, "an input waits, and nobody works"

    @invariant()
    def the_log_alone_gives_the_state(self) -> None:
        if self.story.state.seq % 5 == 0:
            assert fold(self.story.log.read(AGENT)) == self.story.state

    @invariant()
    def the_window_was_never_too_small(self) -> None:
        ended = self.story.all(TurnEnded)[-1:]
        assert not ended or ended[0].reason != "window_too_small", ended

    @invariant()
    def a_request_is_counted_as_it_is(self) -> None:
        if self.story.phase == "inferring" and self.story.kinds[-1] == "InferenceRequested":
            assert self.story.requested()[-1].tokens == self.story.tokens >= with_margin(0, self.story.state.settings)


TestAgent = pytest.mark.slow(Agent.TestCase)
TestAgent.settings = runs(max_examples=40, stateful_step_count=40, deadline=None)
