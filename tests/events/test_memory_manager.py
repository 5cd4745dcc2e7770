"""The memory manager without its shell: what it plans, and what it makes of the log's answers."""

from __future__ import annotations

import msgspec
import pytest

from palimpsest.events.codec import draft
from palimpsest.events.envelope import Draft, Envelope
from palimpsest.events.memory_manager import FOREIGN, MemoryManager, Plan
from palimpsest.events.position import FIRST_PARTITION
from palimpsest.events.prompts import newborn
from palimpsest.events.state import State
from palimpsest.events.types import (
    ALL_EVENTS,
    INPUTS,
    AgentCreated,
    Event,
    InferenceCancelled,
    Settings,
    StopRequested,
    UserMessageReceived,
)
from palimpsest.store.logs.contract import Append, Appended
from palimpsest.store.logs.in_memory import InMemoryLog
from palimpsest.store.logs.states import load
from tests.worlds.positions import nth
from tests.worlds.story import START_MS, quarter


class Partition:
    """A log with a memory manager on it, moved by hand."""

    def __init__(self, **options: int) -> None:
        self.log = InMemoryLog()
        self.log.open_epoch()
        self.options = options
        self.manager = MemoryManager(quarter, **options)
        self.manager.position = nth(0)

    def create(self, *agents: str) -> None:
        self.put(*(draft(agent, START_MS, newborn(Settings()), key="create") for agent in agents))

    def say(self, agent: str, text: str = "Hi.") -> None:
        key = f"in:{self.log.position(FIRST_PARTITION)}"
        self.put(draft(agent, START_MS, UserMessageReceived(text=text), key=key, opens="turn"))

    def put(self, *drafts: Draft) -> list[Appended]:
        return self.log.append([Append(drafts)])[0]

    def tail(self) -> list[Envelope]:
        """Take what is new; the snapshots that are due are put beside the log."""
        envelopes, position = self.log.tail(self.manager.position, 1000, FOREIGN)
        for agent, to in self.manager.missing(envelopes).items():
            state = load(self.log, agent, to=to)
            assert state is not None
            self.manager.states.put(state)
        self.due = self.manager.take(envelopes, position)
        return envelopes

    def append(self, plan: Plan) -> list[str]:
        """Append a plan, and settle it; the agents that are behind."""
        answers = self.log.append([Append(plan.drafts, plan.expected, ("memory", plan.position))])[0]
        return self.manager.settle([(d.stream, a.outcome) for d, a in zip(plan.drafts, answers, strict=True)])

    def plan(self, limit: int = 512) -> Plan:
        plan = self.manager.plan(START_MS, limit)
        assert plan is not None, "there is something to be done"
        return plan

    def held(self, agent: str) -> State:
        state = self.manager.states.get(agent)
        assert state is not None
        return state


def kinds(plan: Plan) -> list[str]:
    return [made.kind for made in plan.drafts]


def test_a_plan_expects_the_seq_it_was_decided_on_and_carries_the_cursor() -> None:
    partition = Partition()
    partition.create("ada", "bob")
    partition.say("ada")
    partition.tail()
    plan = partition.plan()
    assert kinds(plan) == ["TurnStarted", "InferenceRequested"]
    assert (dict(plan.expected), plan.position) == ({"ada": 2}, nth(3))
    assert partition.append(plan) == []
    assert partition.log.cursor("memory", FIRST_PARTITION) == nth(3)
    assert partition.held("ada") == load(partition.log, "ada")


def test_what_it_wrote_itself_is_not_decided_again() -> None:
    partition = Partition()
    partition.create("ada")
    partition.say("ada")
    partition.tail()
    partition.append(partition.plan())
    assert partition.tail() == []
    assert partition.manager.plan(START_MS) is None


def test_an_agent_that_was_overtaken_is_named_and_decided_again() -> None:
    partition = Partition()
    partition.create("ada", "bob")
    partition.say("ada")
    partition.say("bob")
    partition.tail()
    plan = partition.plan()
    partition.put(draft("ada", START_MS, StopRequested(), key="stop"))
    assert partition.append(plan) == ["ada"]
    assert partition.held("bob") == load(partition.log, "bob")
    state = load(partition.log, "ada")
    assert state is not None
    partition.manager.owe(state)
    again = partition.plan()
    assert kinds(again) == ["TurnStarted", "TurnEnded"]
    assert partition.append(again) == []
    partition.tail()
    assert partition.held("ada") == load(partition.log, "ada")


def test_an_append_whose_answer_got_lost_is_taken_once() -> None:
    partition = Partition()
    partition.create("ada")
    partition.say("ada")
    partition.tail()
    plan = partition.plan()
    partition.log.append([Append(plan.drafts, plan.expected)])
    assert partition.append(plan) == ["ada"], "it may be a predecessor's: look at the log"
    state = load(partition.log, "ada")
    assert state is not None
    partition.manager.owe(state)
    assert partition.manager.plan(START_MS) is None
    assert [e.kind for e in partition.log.read("ada", after=2)] == ["TurnStarted", "InferenceRequested"]


def test_a_new_manager_takes_up_what_is_owed() -> None:
    partition = Partition()
    partition.create("ada")
    partition.say("ada")
    manager = MemoryManager(quarter)
    manager.position = partition.log.cursor("memory", FIRST_PARTITION)
    state = load(partition.log, "ada")
    assert state is not None
    manager.owe(state)
    plan = manager.plan(START_MS)
    assert plan is not None and kinds(plan) == ["TurnStarted", "InferenceRequested"]


def test_agents_are_decided_in_portions() -> None:
    partition = Partition()
    names = [f"agent-{number}" for number in range(5)]
    partition.create(*names)
    for name in names:
        partition.say(name)
    partition.tail()
    sizes = []
    while (plan := partition.manager.plan(START_MS, limit=2)) is not None:
        sizes.append(len(plan.expected))
        partition.append(plan)
    assert sizes == [2, 2, 1]


def test_idle_agents_are_dropped_between_batches_and_loaded_when_needed() -> None:
    partition = Partition(capacity=2)
    names = [f"agent-{number}" for number in range(6)]
    partition.create(*names)
    for name in names:
        partition.say(name)
    partition.tail()
    assert len(partition.manager.states) == 6, "never within a batch"
    partition.append(partition.plan())
    assert len(partition.manager.states) == 2
    partition.say("agent-0", "Again.")
    partition.tail()
    assert partition.manager.plan(START_MS) is None, "a turn is under way: the input waits"
    assert len(partition.held("agent-0").pending) == 1


def test_snapshots_are_due_now_and_then_and_match_the_log() -> None:
    partition = Partition(snapshot_every=10)
    partition.create("ada")
    due = []
    for _ in range(40):
        partition.say("ada", "x")
        partition.tail()
        due += partition.due
        while (plan := partition.manager.plan(START_MS)) is not None:
            partition.append(plan)
    assert 3 <= len(due) <= 5
    for each in due:
        assert each.state == load(partition.log, "ada", to=each.state.seq)
        assert each.chain == partition.log.hash_at("ada", each.state.seq)


def test_a_state_that_cannot_be_decided_is_set_down_and_the_others_go_on() -> None:
    partition = Partition()
    partition.create("ada", "bob")
    partition.say("ada")
    partition.say("bob")
    partition.tail()
    state = partition.held("ada")
    settings = msgspec.structs.replace(state.settings, token_margin=float("nan"))
    partition.manager.states.put(msgspec.structs.replace(state, settings=settings))
    assert {made.stream for made in partition.plan().drafts} == {"bob"}
    assert set(partition.manager.broken) == {"ada"}


def test_foreign_are_the_kinds_that_others_write() -> None:
    """A kind that is missing here would never reach the manager; the simulation would come to rest too early."""
    only_its_own = {event.__name__ for event in ALL_EVENTS} - FOREIGN
    assert {event.__name__ for event in INPUTS} <= FOREIGN
    assert {AgentCreated.__name__, InferenceCancelled.__name__, "TurnStarted", "MessageSent"} <= only_its_own


@pytest.mark.parametrize("event", [StopRequested()], ids=lambda event: type(event).__name__)
def test_an_event_that_changes_nothing_plans_nothing(event: Event) -> None:
    partition = Partition()
    partition.create("ada")
    partition.put(draft("ada", START_MS, event, key="x"))
    partition.tail()
    assert partition.manager.plan(START_MS) is None
