"""The fold: pure, total, and honest about streams that are none."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest

from palimpsest.events.codec import decode, draft
from palimpsest.events.envelope import GENESIS, Envelope, place
from palimpsest.events.errors import LogDamaged, NewerFormat
from palimpsest.events.evolve import evolve, fold
from palimpsest.events.formats import NAMED, NEWBORN
from palimpsest.events.prompts import newborn
from palimpsest.events.replay import freeze, thaw
from palimpsest.events.state import FOLD, UNCOUNTED, State, from_bytes, to_bytes
from palimpsest.events.types import (
    AgentCreated,
    Event,
    FunctionReturned,
    InferenceCompleted,
    InferenceRequested,
    MessageSent,
    Settings,
    SettingsChanged,
    SummaryWritten,
    Timer,
    TimerFired,
    TurnEnded,
    TurnStarted,
    UserMessageReceived,
)
from tests.worlds.positions import nth
from tests.worlds.simulated import World
from tests.worlds.story import START_MS, Story, call, say


def stream(*events: Event) -> list[Envelope]:
    """Events placed one behind the other, whatever sense they make."""
    placed: list[Envelope] = []
    for seq, event in enumerate(events, 1):
        previous = placed[-1].hash if placed else GENESIS
        placed.append(place(draft("ada", START_MS, event, key=f"k{seq}"), seq, nth(seq), previous))
    return placed


@pytest.fixture(scope="module")
def session() -> list[Envelope]:
    """A long random session: the longest stream of a few simulated worlds."""
    streams: list[list[Envelope]] = []
    for seed in range(5):
        world = World(seed, agents=1, inputs=25)
        world.run()
        streams.append(world.log.read(world.names[0]))
    return max(streams, key=len)


def states(envelopes: Iterable[Envelope]) -> list[State]:
    """The state after each event."""
    state: State | None = None
    return [state := evolve(state, envelope, decode(envelope)) for envelope in envelopes]


def test_the_session_is_worth_the_name(session: list[Envelope]) -> None:
    assert len(session) > 200
    assert {"SummaryWritten", "MessagesEvicted", "FunctionReturned"} <= {envelope.kind for envelope in session}


def test_a_fold_twice_gives_the_same_bytes(session: list[Envelope]) -> None:
    assert [to_bytes(state) for state in states(session)] == [to_bytes(state) for state in states(session)]


def test_a_snapshot_at_every_seq_goes_on_as_the_fold_does(session: list[Envelope]) -> None:
    folded = states(session)
    for state in folded:
        data, digest = freeze(state)
        thawed = thaw(data, digest, FOLD, state.agent, state.seq)
        assert thawed == state
        following = session[state.seq : state.seq + 3]
        assert fold(following, thawed) == folded[min(state.seq + 3, len(folded)) - 1]


def test_a_state_does_not_change_under_its_successor(session: list[Envelope]) -> None:
    half = fold(session[: len(session) // 2])
    assert half is not None
    before = to_bytes(half)
    fold(session[len(session) // 2 :], half)
    assert to_bytes(half) == before


def test_a_states_bytes_are_bounded_by_the_window_not_by_the_history(session: list[Envelope]) -> None:
    window_bytes = 6000 * 8
    assert max(len(to_bytes(state)) for state in states(session) if not state.pending) < window_bytes


def test_to_bytes_and_back() -> None:
    state = Story().says("Hi.").state
    assert from_bytes(to_bytes(state)) == state


# --- streams that are none ----------------------------------------------------------------------------------------


def test_nothing_folds_to_nothing() -> None:
    assert fold([]) is None


def test_a_stream_begins_with_its_agent() -> None:
    with pytest.raises(LogDamaged, match="begins with AgentCreated"):
        fold(stream(UserMessageReceived(text="hi")))


def test_an_agent_is_created_once() -> None:
    with pytest.raises(LogDamaged, match="middle of a stream"):
        fold(stream(newborn(Settings()), newborn(Settings())))


def test_a_gap_is_named() -> None:
    events = stream(newborn(Settings()), UserMessageReceived(text="a"), UserMessageReceived(text="b"))
    with pytest.raises(LogDamaged, match="Event 3 of agent 'ada' is damaged: it follows event 1"):
        fold([events[0], events[2]])


@pytest.mark.parametrize(
    "event",
    [
        TurnStarted(input=7),
        MessageSent(text="x", call="c"),
        InferenceRequested(purpose="reply", fingerprint=b"", tokens=1),
        InferenceRequested(purpose="summary", fingerprint=b"", tokens=1),
        InferenceCompleted(),
        FunctionReturned(call="c", result="x"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_belongs_to_a_turn_is_refused_outside_of_one(event: Event) -> None:
    with pytest.raises(LogDamaged, match="Event 2"):
        fold(stream(newborn(Settings()), event))


def test_times_that_no_calendar_has_fold_too() -> None:
    fired = TimerFired(timer=Timer(id="t", due_ms=10**18, note="tea"))
    state = fold(stream(newborn(Settings()), fired))
    assert state is not None
    assert b"9999-12-31 23:59:59 UTC" in state.pending[0].wire


# --- settings -----------------------------------------------------------------------------------------------------


def test_another_encoding_makes_every_count_void() -> None:
    story = Story().chats(25)
    assert story.state.summary is not None
    assert story.all(SummaryWritten)
    counted = [entry.tokens for entry in story.state.queue]
    assert UNCOUNTED not in counted[:-2]
    story.changes(encoding="cl100k_base")
    assert {entry.tokens for entry in story.state.queue} == {UNCOUNTED}
    assert story.state.summary.tokens == story.state.head_tokens == UNCOUNTED
    story.says("And now?")
    assert len(story.requested()[-1].counted) == len(story.state.queue)
    assert story.requested()[-1].tokens == story.tokens


def test_other_settings_leave_the_counts_of_messages() -> None:
    story = Story().chats(2)
    before = story.state.queue
    story.changes(model="other", window_tokens=9000)
    assert story.state.queue == before
    assert story.state.head_tokens == UNCOUNTED


def test_settings_changed_while_an_inference_is_open_leave_its_request() -> None:
    story = Story().says("Hi.")
    assert b'"model":"offline"' in story.request
    story.changes(model="other").answers(call("list_timers", request_heartbeat=True))
    assert b'"model":"other"' in story.request
    assert story.answers(say()).the(TurnEnded).reason == "yielded"


def test_an_agent_keeps_its_parent_and_its_birth() -> None:
    born = newborn(Settings())
    state = fold(stream(born, SettingsChanged(settings=Settings(model="m"))))
    assert isinstance(born, AgentCreated) and state is not None
    assert (state.created_ms, state.parent, state.format) == (START_MS, None, NEWBORN)
    assert msgspec.structs.replace(state, settings=born.settings, seq=1) == fold(stream(born))


def test_an_agent_of_a_newer_format_is_refused_by_name() -> None:
    born = msgspec.structs.replace(newborn(Settings()), format=NAMED + 1)
    with pytest.raises(NewerFormat, match=f"'ada' has contexts of format {NAMED + 1}.*renders {NAMED}: upgrade"):
        fold(stream(born))
