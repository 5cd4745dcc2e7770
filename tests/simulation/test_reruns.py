"""Reruns of random sessions: from any event on, with the recorded answers or a model that answers alike, nothing is
otherwise; and what is otherwise is found at the first event that shows it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from palimpsest.actors.reruns.counterfactual import Outcome
from palimpsest.actors.reruns.rerun import RerunPlan, rerun
from palimpsest.events.alarms import firing
from palimpsest.events.codec import decode, draft
from palimpsest.events.debug.compare import compare, turns
from palimpsest.events.envelope import Envelope
from palimpsest.events.forks import KEPT
from palimpsest.events.inference import Job
from palimpsest.events.position import FIRST_PARTITION, Position
from palimpsest.events.prompts import newborn
from palimpsest.events.types import (
    AgentForked,
    Event,
    FunctionCalled,
    FunctionReturned,
    InferenceCompleted,
    InferenceFailed,
    InferenceRequested,
    Parent,
    Settings,
    SettingsChanged,
    Timer,
    TimerSet,
    TimeZoneSet,
    UserMessageReceived,
)
from palimpsest.store.logs.contract import DECIDER, Append, Appended
from palimpsest.store.logs.in_memory import InMemoryLog
from palimpsest.store.logs.states import load
from tests.worlds.forking import Continuation, replayed
from tests.worlds.simulated import World, count, searched, sound_model
from tests.worlds.story import START_MS, Story, call, quarter, say

SEEDS = st.integers(0, 10_000)
SHARES = st.floats(0, 1, exclude_max=True)


async def sound(job: Job) -> InferenceCompleted | InferenceFailed:
    return sound_model(job)


async def nobody(_job: Job) -> InferenceCompleted | InferenceFailed:
    raise AssertionError("with recorded answers no model is asked before the runs part")


class Stored:
    """The simulation's storage."""

    def __init__(self, log: InMemoryLog) -> None:
        self._log = log

    def carry_out(self, asked: Envelope, call: FunctionCalled) -> Event:
        return searched(self._log, asked, call)


class Nothing:
    def carry_out(self, _asked: Envelope, _call: FunctionCalled) -> Event:
        raise AssertionError("with recorded answers no function is carried out before the runs part")


def session(seed: int, inputs: int = 5, *, stops: bool = True) -> tuple[InMemoryLog, str, int]:
    world = World(seed, agents=1, inputs=inputs)
    world.stops = stops
    world.run()
    (agent,) = world.names
    head = world.log.head(agent)
    assert head is not None
    return world.log, agent, head.seq


def contexts(log: InMemoryLog, agent: str, after: int) -> list[bytes]:
    events = [decode(envelope) for envelope in log.read(agent, after=after)]
    return [event.fingerprint for event in events if isinstance(event, InferenceRequested)]


def run(log: InMemoryLog, plan: RerunPlan) -> Outcome:
    model, functions = (nobody, Nothing()) if plan.recorded_answers else (sound, Stored(log))
    return asyncio.run(rerun(log, plan, infer=model, functions=functions, count=count))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=SEEDS, share=SHARES)
@example(seed=114, share=0.0)  # an answer came behind a stop that nobody had seen
def test_with_the_recorded_answers_a_rerun_is_the_recording(seed: int, share: float) -> None:
    log, agent, end = session(seed)
    first = 1 + int(share * end)
    outcome = run(log, RerunPlan(agent=agent, fork="again", first=first, to=end, recorded_answers=True))
    assert outcome.divergence is None, outcome
    asked = contexts(log, agent, first)
    assert contexts(log, "again", first)[-len(asked) :] == asked or not asked
    mine, theirs = load(log, "again"), load(log, agent)
    assert mine is not None and theirs is not None
    assert [entry.wire for entry in mine.queue] == [entry.wire for entry in theirs.queue]
    assert mine.blocks == theirs.blocks


class Watched(Stored):
    """Notes the positions at which it is asked."""

    def __init__(self, log: InMemoryLog) -> None:
        super().__init__(log)
        self.positions: list[Position] = []

    def carry_out(self, asked: Envelope, call: FunctionCalled) -> Event:
        self.positions.append(asked.position)
        return super().carry_out(asked, call)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(seed=SEEDS, share=SHARES)
def test_sources_are_seen_as_they_were_when_the_recorded_call_was_made(seed: int, share: float) -> None:
    log, agent, end = session(seed, stops=False)
    first = 1 + int(share * end)
    before, watched = log.position(FIRST_PARTITION), Watched(log)
    plan = RerunPlan(agent=agent, fork="again", first=first, to=end, recorded_answers=False)
    outcome = asyncio.run(rerun(log, plan, infer=sound, functions=watched, count=count))
    calls = [each.position for each in log.read(agent, after=first) if each.opens == "storage"]
    assert all(position <= before for position in watched.positions)
    if outcome.divergence is None:
        assert watched.positions[-len(calls) :] == calls or not calls


@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=SEEDS, share=SHARES, before=SHARES, other=st.booleans())
def test_a_fork_is_run_again_from_before_it_was_forked(seed: int, share: float, before: float, other: bool) -> None:
    """What it asked again since it was open at its parent is asked once, and settings of its own hold from there on."""
    log, parent, end = session(seed, inputs=3, stops=False)
    seq = 2 + int(share * (end - 2))
    fork = Continuation(log, parent, seq, "fork", replayed(log, parent))
    assume(not fork.changed_since_asked())
    fork.run()
    if other:
        narrow = replace(fork.state.settings, result_chars=fork.state.settings.result_chars // 2)
        log.append([_given("fork", SettingsChanged(settings=narrow), "settings:1")])
        forked = fork.state.seq + 1
        state, hash = load(log, "fork"), log.hash_at("fork", forked)
        assert state is not None and hash is not None
        begun = AgentForked(
            parent=Parent(agent="fork", seq=forked), hash=hash, settings=fork.state.settings, timers=KEPT
        )
        made = draft("second", START_MS, begun, key="fork:2")
        log.append([Append((made,), {"second": 0}, forks={"second": begun.parent})])
    name = "second" if other else "fork"
    head = log.head(name)
    assert head is not None
    first = 1 + int(before * seq)
    outcome = run(log, RerunPlan(agent=name, fork="again", first=first, to=head.seq, recorded_answers=True))
    assert outcome.divergence is None, outcome
    mine, theirs = load(log, "again"), load(log, name)
    assert mine is not None and theirs is not None
    assert [entry.wire for entry in mine.queue] == [entry.wire for entry in theirs.queue]
    assert mine.settings == theirs.settings


@pytest.mark.parametrize("recorded", [False, True])
def test_the_memory_manager_has_nothing_to_decide_in_what_was_run_again(recorded: bool) -> None:
    log, agent, end = session(1)
    before = log.position(FIRST_PARTITION)
    run(log, RerunPlan(agent=agent, fork="again", first=1, to=end, recorded_answers=recorded))
    assert log.cursor(DECIDER, FIRST_PARTITION) == log.position(FIRST_PARTITION) > before


def _given(agent: str, event: Event, key: str) -> Append:
    return Append(
        (draft(agent, START_MS, event, key=key, opens="turn" if isinstance(event, UserMessageReceived) else ""),)
    )


def test_an_input_of_one_key_that_a_fork_and_its_parent_had_is_given_twice() -> None:
    log = InMemoryLog()
    log.open_epoch()
    log.append([_given("ada", newborn(Settings()), "create")])
    log.append([_given("ada", UserMessageReceived(text="Hello"), "in:1")])
    hash = log.hash_at("ada", 2)
    assert hash is not None
    begun = AgentForked(parent=Parent(agent="ada", seq=2), hash=hash)
    made = draft("fay", START_MS, begun, key="fork:1")
    log.append([Append((made,), {"fay": 0}, forks={"fay": begun.parent})])
    log.append([_given("fay", UserMessageReceived(text="Hello"), "in:1")])
    outcome = run(log, RerunPlan(agent="fay", fork="again", first=1, to=4, recorded_answers=True))
    assert list(outcome.inputs) == [2, 4]
    given = load(log, "again")
    assert given is not None and len(given.pending) == 2


def test_a_timer_that_was_set_again_with_its_firing_rings_on_where_it_is_run_again_from_there() -> None:
    story = Story()
    tea = Timer(id="tea", due_ms=story.now_ms + 60_000, note="Tea!", every_s=300)
    story.sets(tea)
    first, key = 0, f"alarm:tea:{tea.due_ms}"
    for _ in range(2):
        story.now_ms = tea.due_ms
        drafts = firing("ada", tea, key, tea.due_ms, replace(tea, due_ms=tea.due_ms + 300_000))
        story.appends(*drafts).answers(say("Tea."))
        first = first or next(each.seq for each in story.log.read("ada") if each.key == drafts[0].key)
        tea, key = replace(tea, due_ms=tea.due_ms + 300_000), drafts[1].key
    end = story.state.seq
    outcome = run(story.log, RerunPlan(agent="ada", fork="again", first=first, to=end, recorded_answers=True))
    assert outcome.divergence is None, outcome
    again = load(story.log, "again")
    assert again is not None
    assert [alarm.timer for alarm in again.alarms] == [alarm.timer for alarm in story.state.alarms]


def test_a_search_that_was_called_off_is_not_carried_out_by_a_rerun() -> None:
    search = call("conversation_search", query="tea")
    story = Story().says("Tea?").answers(search).stops("enough")
    assert "FunctionFailed" in story.kinds

    async def alike(_job: Job) -> InferenceCompleted | InferenceFailed:
        return story.the(InferenceCompleted)

    plan = RerunPlan(agent="ada", fork="again", first=story.mark + 1, to=story.state.seq)
    outcome = asyncio.run(rerun(story.log, plan, infer=alike, functions=Nothing(), count=quarter))
    assert outcome.divergence is None, outcome


def test_a_rerun_can_be_interrupted_also_where_no_model_is_waited_for() -> None:
    log, agent, end = session(1)

    async def interrupted() -> list[int]:
        done: list[int] = []

        def on_progress(number: int) -> None:
            done.append(number)
            task.cancel()

        plan = RerunPlan(agent=agent, fork="again", first=1, to=end)
        running = rerun(log, plan, infer=sound, functions=Stored(log), count=count, on_progress=on_progress)
        task = asyncio.create_task(running)
        with pytest.raises(asyncio.CancelledError):
            await task
        return done

    assert max(asyncio.run(interrupted())) < end - 1


def test_a_rerun_that_is_cut_off_leaves_no_fork_that_would_go_on_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its timers too are taken up at rest, in one transaction with its beginning."""
    story = Story()
    tea = Timer(id="tea", due_ms=story.now_ms + 60_000, note="Tea!", every_s=300)
    story.sets(tea).says("Hello?")
    first = story.state.seq
    story.answers(say("Hi."))

    taken = story.log.append

    def dies_after_one(appends: Sequence[Append]) -> list[list[Appended]]:
        if story.log.head("again") is not None:
            raise KeyboardInterrupt
        return taken(appends)

    monkeypatch.setattr(story.log, "append", dies_after_one)
    plan = RerunPlan(agent="ada", fork="again", first=first, to=story.state.seq)
    with contextlib.suppress(KeyboardInterrupt):
        run(story.log, plan)
    left = load(story.log, "again")
    assert left is not None and left.unadopted is None
    assert story.log.open_requests_of("again", "alarm") == story.log.open_requests_of("again", "turn") == []


# --- what is another step -----------------------------------------------------------------------------------------


def looked_up() -> Story:
    """An agent that searched once, and said what it found."""
    story = Story(window_tokens=8192)
    story.says("What did I say?").answers(call("conversation_search", query="said", request_heartbeat=True))
    return story.returns("Showing 1 of 1 results: hello").answers(say("Hello."))


class Answering:
    """Says that it was asked."""

    def __init__(self) -> None:
        self.calls: list[FunctionCalled] = []

    def carry_out(self, _asked: Envelope, call: FunctionCalled) -> Event:
        self.calls.append(call)
        return FunctionReturned(call=call.call, result="Showing 1 of 1 results: hello")


@pytest.mark.parametrize(("changed", "says"), [
    ({"page_size": 2}, "conversation_search with page_size 5 -> 2"),
    ({"result_chars": 500}, "conversation_search with max_chars 3000 -> 500"),
])  # fmt: skip
def test_a_call_with_another_page_or_cap_is_another_step_and_is_carried_out(changed: dict[str, int], says: str) -> None:
    story, functions = looked_up(), Answering()
    other = replace(story.state.settings, **changed)
    plan = RerunPlan(agent="ada", fork="again", first=1, to=story.state.seq, settings=other, recorded_answers=True)
    outcome = asyncio.run(rerun(story.log, plan, infer=sound, functions=functions, count=count))
    assert outcome.divergence is not None
    assert (outcome.divergence.kind, outcome.divergence.otherwise) == ("FunctionCalled", says)
    assert len(functions.calls) >= 1


def test_a_timer_is_set_alike_whatever_may_be_shown_of_it() -> None:
    story = Story(window_tokens=8192).says("Tea!").answers(call("set_timer", note="tea", in_minutes=5), say("Yes."))
    story.returns("Timer timer-8 is set.")
    other = replace(story.state.settings, result_chars=500, page_size=2)
    plan = RerunPlan(agent="ada", fork="again", first=1, to=story.state.seq, settings=other, recorded_answers=True)
    assert run(story.log, plan).divergence is None


@pytest.mark.parametrize("recorded", [True, False])
def test_another_server_s_answers_are_not_those_that_were_recorded(recorded: bool) -> None:
    story = looked_up()
    other = replace(story.state.settings, base_url="http://127.0.0.1:9/v1")
    plan = RerunPlan(agent="ada", fork="again", first=1, to=story.state.seq, settings=other, recorded_answers=recorded)
    outcome = asyncio.run(rerun(story.log, plan, infer=sound, functions=Answering(), count=count))
    assert outcome.recorded_answers == 0
    assert outcome.divergence is not None
    if recorded:
        assert (outcome.divergence.kind, outcome.divergence.otherwise) == ("InferenceRequested", "another base_url")


def test_what_is_no_part_of_a_step_lets_the_runs_be_one() -> None:
    story = looked_up()
    other = replace(story.state.settings, timeout_s=5.0, in_flight=1, max_steps=40, max_failures=4)
    plan = RerunPlan(agent="ada", fork="again", first=1, to=story.state.seq, settings=other, recorded_answers=True)
    assert run(story.log, plan).divergence is None


def test_a_timer_that_rings_after_the_runs_have_parted_is_the_same_input_in_both() -> None:
    """Its id is made of a seq, and seqs are others there."""
    story = Story(window_tokens=8192).says("Tea in five.")
    story.answers(call("set_timer", note="tea", in_minutes=5, request_heartbeat=True))
    assert story.state.turn is not None
    asked, now_ms = story.state.turn.request_key, story.now_ms
    tea = Timer(id=f"timer-{story.state.seq}", due_ms=now_ms + 300_000, note="tea")
    alarm = draft("ada", now_ms, TimerSet(timer=tea), key=f"alarm:{tea.id}:{tea.due_ms}", cause=asked, opens="alarm")
    story.returns(f"Timer {tea.id} is set for then: tea", alarm).answers(content=f"I set {tea.id}.")
    fired = story.state.seq + 1
    story.now_ms = tea.due_ms - 60_000
    story.fires(tea).answers(content=f"{tea.id} rang.")
    story.says("Thanks.").answers(content="Yes.")

    async def model(job: Job) -> InferenceCompleted | InferenceFailed:
        said = job.request.decode()
        number = said.rsplit("Timer timer-", 1)[1].split(" ", 1)[0] if "Timer timer-" in said else ""
        if not number:
            made = call("set_timer", note="tea", in_minutes=5, request_heartbeat=True)
            return InferenceCompleted(calls=(made,), finish="tool_calls")
        rang = f"timer-{number} rang." in said
        words = f"timer-{number} rang." if f"I set timer-{number}." in said else f"I set timer-{number}."
        return InferenceCompleted(content="Yes." if rang else words)

    warned = replace(story.state.settings, warn_at=0.01)
    first = story.mark
    plan = RerunPlan(agent="ada", fork="again", first=first, to=story.state.seq, settings=warned)
    outcome = asyncio.run(rerun(story.log, plan, infer=model, functions=Nothing(), count=count))
    assert outcome.divergence is not None and outcome.divergence.kind == "MemoryPressureWarned"
    ids = [event.timer.id for event in map(decode, story.log.read("again", after=first)) if isinstance(event, TimerSet)]
    assert ids != [tea.id]
    assert fired in outcome.inputs
    recorded, again = (turns(story.log.read(agent, after=first)) for agent in ("ada", "again"))
    found = compare(recorded, again, outcome.inputs)
    assert len(found.pairs) == 3
    assert not found.other_answers


def test_a_rerun_takes_from_the_recording_what_was_reckoned_with_zone_data(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story(window_tokens=8192)
    story.happens(TimeZoneSet(zone="America/New_York", offset_s=-18_000)).says("Wake me.").answers(say("Yes."))
    daily = Timer(id="up", due_ms=story.now_ms, note="Up!", cron="0 9 * * *", zone="America/New_York", offset_s=-18_000)
    story.sets(daily)
    then = replace(daily, due_ms=daily.due_ms + 86_400_000)
    story.appends(*firing("ada", daily, f"alarm:up:{daily.due_ms}", daily.due_ms, then)).answers(say("Up!"))
    plan = RerunPlan(agent="ada", fork="again", first=1, to=story.state.seq, recorded_answers=True)
    monkeypatch.setattr(
        "palimpsest.actors.reruns.counterfactual.offset_s", lambda *_: 3_600
    )  # the rules there were changed since
    monkeypatch.setattr(
        "palimpsest.actors.reruns.counterfactual.next_of", lambda timer, _: replace(timer, due_ms=timer.due_ms + 1)
    )
    assert run(story.log, plan).divergence is None
    again = load(story.log, "again")
    assert again is not None
    assert [alarm.timer for alarm in again.alarms] == [then]
    assert again.offset_s == -18_000
