"""Forks in the fold and in the decisions: what a fork takes over, what it opens again, and when."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from palimpsest.events.codec import decode, draft
from palimpsest.events.context import reply_request
from palimpsest.events.decide import decide, resumption
from palimpsest.events.envelope import GENESIS, Draft, Envelope, place
from palimpsest.events.errors import LogDamaged
from palimpsest.events.evolve import evolve
from palimpsest.events.forks import KEPT, is_awake
from palimpsest.events.replay import Replayer, replay
from palimpsest.events.state import UNCOUNTED, State
from palimpsest.events.types import (
    AgentForked,
    Block,
    Event,
    FunctionCalled,
    InferenceRequested,
    InputAdopted,
    Parent,
    SettingsChanged,
    StopRequested,
    Timer,
    TimerSet,
    TurnEnded,
    UserMessageReceived,
)
from palimpsest.events.vocabulary import Opens
from tests.worlds.positions import nth
from tests.worlds.story import AGENT, START_MS, Story, call, quarter

FORK = "fay"
TIMER = Timer(id="tea", due_ms=START_MS + 600_000, note="Tea.")


class Fork:
    """A fork of an agent as it is, told event by event; nothing is decided unless it is asked."""

    def __init__(self, state: State, name: str = FORK, **overrides: Any) -> None:
        self.state = state
        self.name = name
        self.number = 0
        parent = Parent(agent=state.agent, seq=state.seq)
        self.happens(AgentForked(parent=parent, hash=b"", **overrides))

    def happens(self, event: Event, *, opens: Opens = "", key: str = "") -> Fork:
        self.number += 1
        made = draft(self.name, START_MS, event, key=key or f"x:{self.number}", opens=opens)
        self.take(made)
        return self

    def take(self, made: Draft) -> None:
        self.state = evolve(self.state, place(made, self.state.seq + 1, nth(0), GENESIS), decode(made))

    def resumes(self) -> list[Draft]:
        drafts = resumption(self.state, START_MS)
        for made in drafts:
            self.take(made)
        return drafts

    def next(self) -> list[str]:
        return [type(event).__name__ for event in decide(self.state, quarter)]


def test_a_fork_has_its_parents_state_under_its_own_name() -> None:
    story = Story().chats(3)
    fork = Fork(story.state)
    theirs, ours = story.state, fork.state
    assert (ours.agent, ours.parent, ours.seq) == (FORK, Parent(agent=AGENT, seq=theirs.seq), theirs.seq + 1)
    same = {"queue", "summary", "blocks", "system", "settings", "head_tokens", "recall_messages", "created_ms", "turns"}
    assert {name: getattr(ours, name) for name in same} == {name: getattr(theirs, name) for name in same}
    assert ours.unadopted is None


@pytest.mark.parametrize(
    ("overrides", "changed"),
    [
        ({"system": "You are another."}, {"system": "You are another."}),
        ({"blocks": (Block(label="human", value="Eve."),)}, {"blocks": (Block(label="human", value="Eve."),)}),
        ({"system": ""}, {"system": ""}),
    ],
)
def test_what_is_set_at_the_fork_is_otherwise(overrides: dict[str, Any], changed: dict[str, Any]) -> None:
    state = Fork(Story().state, **overrides).state
    assert {name: getattr(state, name) for name in changed} == changed
    assert state.head_tokens == UNCOUNTED


def test_another_encoding_makes_the_counts_void() -> None:
    story = Story().chats(2)
    settings = replace(story.state.settings, encoding="other", window_tokens=9000)
    state = Fork(story.state, settings=settings).state
    assert state.settings == settings
    assert {entry.tokens for entry in state.queue} == {UNCOUNTED}
    kept = Fork(story.state, settings=replace(story.state.settings, window_tokens=9000)).state
    assert UNCOUNTED not in {entry.tokens for entry in kept.queue[:-2]}


# --- at rest


def test_a_fork_in_the_middle_of_a_turn_is_at_rest_until_it_is_given_an_input() -> None:
    fork = Fork(Story().says("Look.").state)
    assert fork.state.turn is not None
    assert (fork.state.turn.phase, fork.state.turn.rewound) == ("ready", "inferring")
    for event in (SettingsChanged(settings=fork.state.settings), TimerSet(timer=TIMER)):
        fork.happens(event)
        assert not is_awake(fork.state)
        assert fork.next() == []
    fork.happens(UserMessageReceived(text="Go on."), opens="turn")
    assert fork.next() == ["InputAdopted"]


def test_a_fork_between_turns_has_nothing_to_take_up() -> None:
    fork = Fork(Story().state)
    assert fork.resumes() == []
    assert fork.next() == []


def test_what_is_taken_up_is_opened_in_the_forks_own_stream() -> None:
    story = Story().sets(TIMER).says("First.")
    first = story.state.turn
    assert first is not None
    story.says("Second.")
    fork = Fork(story.state, timers=KEPT)
    drafts = fork.resumes()
    assert [(d.kind, d.opens) for d in drafts] == [
        ("InputAdopted", "turn"),
        ("InputAdopted", "turn"),
        ("TimerSet", "alarm"),
    ]
    assert [decode(d) for d in drafts[:2]] == [InputAdopted(input=first.input), InputAdopted(input=story.state.seq)]
    assert [d.turn for d in drafts] == [first.input, story.state.seq, 0]
    assert drafts[2].key == story.state.alarms[0].key
    state = fork.state
    assert state.turn is not None
    assert [state.turn.input_key, *(p.key for p in state.pending)] == [d.key for d in drafts[:2]]
    assert [alarm.key for alarm in state.alarms] == [drafts[2].key]
    assert (state.unadopted, state.shift) == (None, 4)


def test_timers_are_dropped_unless_they_are_kept() -> None:
    story = Story().sets(TIMER)
    assert Fork(story.state).state.alarms == ()
    assert Fork(story.state).state.unadopted is None
    kept = Fork(story.state, timers=KEPT).state
    assert kept.alarms == story.state.alarms
    assert kept.unadopted is not None


# --- what was open is asked for again


def test_an_open_inference_is_asked_for_again_with_the_same_bytes() -> None:
    story = Story().says("Look.")
    asked = story.the(InferenceRequested)
    fork = Fork(story.state)
    fork.resumes()
    (again,) = decide(fork.state, quarter)
    assert isinstance(again, InferenceRequested)
    assert (again.fingerprint, again.tokens) == (asked.fingerprint, asked.tokens)
    assert reply_request(fork.state) == reply_request(story.state)
    before = story.state.turn
    fork.happens(again, opens="inference")
    assert before is not None
    assert fork.state.turn is not None
    assert fork.state.turn.steps == before.steps


def test_an_open_call_is_made_again_under_its_first_number() -> None:
    story = Story().says("Wake me.").answers(call("set_timer", note="Up.", in_minutes=5))
    called = story.state.seq
    assert story.the(FunctionCalled).number == 0
    story.says("Are you there?")
    fork = Fork(story.state)
    fork.resumes()
    (again,) = decide(fork.state, quarter)
    assert isinstance(again, FunctionCalled)
    assert again.number == called
    assert again.arguments == story.the(FunctionCalled).arguments
    fork.happens(again, opens="timer")
    turn = Fork(fork.state, "gus").state.turn
    assert turn is not None
    assert turn.number == called, "in a fork of the fork too"


def test_a_turn_that_was_to_be_stopped_ends_and_asks_for_nothing() -> None:
    fork = Fork(Story().says("Look.").state)
    fork.happens(StopRequested(reason="enough"))
    fork.resumes()
    assert fork.next() == ["TurnEnded"]
    ended = decide(fork.state, quarter)[0]
    shift = fork.state.shift
    assert isinstance(ended, TurnEnded)
    fork.happens(ended)
    assert fork.state.shift == shift - 1, "the parent has an InferenceCancelled there"


# --- streams that make no sense


@pytest.mark.parametrize(
    ("agent", "parent"), [(AGENT, (AGENT, 0)), (FORK, ("bob", 0)), (FORK, (AGENT, 1)), (FORK, (AGENT, -1))]
)
def test_a_fork_that_does_not_stand_where_it_says_is_damage(agent: str, parent: tuple[str, int]) -> None:
    state = Story().state
    event = AgentForked(parent=Parent(agent=parent[0], seq=state.seq + parent[1]), hash=b"")
    with pytest.raises(LogDamaged, match="it forks agent"):
        evolve(state, place(draft(agent, 0, event, key="f"), state.seq + 1, nth(0), GENESIS), event)


def test_an_input_is_not_taken_up_twice() -> None:
    fork = Fork(Story().says("Look.").state)
    assert fork.state.turn is not None
    event = InputAdopted(input=fork.state.turn.input)
    fork.happens(event)
    with pytest.raises(LogDamaged, match="is none that the fork is to take up"):
        fork.happens(event)


def _stream(hash_: bytes | None = None) -> list[Envelope]:
    story = Story().chats(2).says("Look.")
    stream = story.log.read(AGENT)
    parent = Parent(agent=AGENT, seq=stream[-1].seq)
    event = AgentForked(parent=parent, hash=stream[-1].hash if hash_ is None else hash_)
    begun = place(draft(FORK, START_MS, event, key="fork"), parent.seq + 1, nth(99), stream[-1].hash)
    return [*stream, begun]


def test_a_fork_is_proved_from_its_parents_first_event_or_from_its_parents_proof() -> None:
    stream = _stream()
    whole = replay(FORK, stream)
    assert (whole.difference, whole.events) == (None, len(stream))
    replayer = Replayer(AGENT)
    for envelope in stream[:-1]:
        assert replayer.feed(envelope) is None
    since = Replayer(FORK, since=replayer.here())
    assert since.feed(stream[-1]) is None
    assert (since.state, since.hash, since.seq, since.events) == (whole.state, whole.hash, len(stream), 1)


def test_a_fork_of_another_event_than_it_says_differs() -> None:
    proof = replay(FORK, _stream(hash_=b"\x00" * 32))
    assert proof.difference is not None
    assert "is not the one that was forked" in proof.difference.what
