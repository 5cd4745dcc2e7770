"""The timeline tells each event once, wherever the reading begins, and adds up to what the log says."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from palimpsest.events.codec import decode, draft
from palimpsest.events.debug.choice import EventChoice
from palimpsest.events.debug.moments import (
    Called,
    Evicted,
    Item,
    Noted,
    Step,
    TurnBegan,
    TurnClosed,
    WholeTurn,
    moment,
    turns,
)
from palimpsest.events.debug.timeline import Timeline, story, under_way
from palimpsest.events.envelope import GENESIS, Envelope, place
from palimpsest.events.kinds import Kind, kinds_of
from palimpsest.events.types import AgentCreated, MessageSent, Settings, SettingsChanged, TurnEnded, UserMessageReceived
from palimpsest.store.logs.states import load
from tests.worlds.positions import nth
from tests.worlds.sessions import SEEDS, session


def seqs_told(parts: list[Item]) -> list[int]:
    return [each.seq for part in parts for each in part.events]


def bare(part: Item) -> Item:
    """A part without what a single event before it told, which is not open."""
    return replace(part, events=(), why="") if isinstance(part, Step) else replace(part, events=())


@pytest.mark.parametrize("seed", SEEDS)
def test_every_event_is_told_once(seed: int) -> None:
    log, agent = session(seed)
    envelopes = log.read(agent)
    parts = list(story(envelopes))
    assert sorted(seqs_told(parts)) == [each.seq for each in envelopes]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SEEDS), st.data())
def test_reading_may_begin_and_end_anywhere(seed: int, data: st.DataObject) -> None:
    log, agent = session(seed)
    last = len(log.read(agent))
    first = data.draw(st.integers(2, last))
    to = data.draw(st.integers(first, last))
    before = load(log, agent, first - 1)
    assert before is not None
    opened = [each for key in under_way(before) if (each := log.find(agent, key))]
    parts = list(story(log.read(agent, first - 1, to), before, opened))
    told = seqs_told(parts)
    assert len(told) == len(set(told)), "none is told twice"
    assert set(range(first, to + 1)) <= set(told) <= set(range(first, to + 1)) | {each.seq for each in opened}
    whole = {part.seq: part for part in story(log.read(agent, to=to))}
    for part in parts:
        if isinstance(part, TurnBegan):
            began = whole[part.seq]
            assert isinstance(began, TurnBegan)
            assert (part.number, part.input) == (began.number, began.input)
        elif isinstance(part, (Step, Called, Evicted)):
            assert bare(part) == bare(whole[part.seq]), "what is under way at the beginning is known whole"


@pytest.mark.parametrize("seed", SEEDS)
def test_turns_add_up(seed: int) -> None:
    log, agent = session(seed)
    envelopes = log.read(agent)
    found = [each for each in turns(story(envelopes)) if isinstance(each, WholeTurn)]
    ended = [event for each in envelopes if isinstance(event := decode(each), TurnEnded)]
    assert [each.began.turn for each in found] == [event.input for event in ended]
    assert [each.began.number for each in found] == list(range(1, len(found) + 1))
    for each, event in zip(found, ended, strict=True):
        assert each.ended is not None
        assert sum(step.purpose == "reply" for step in each.steps) == event.steps
        assert sum(step.usage.prompt + step.usage.completion for step in each.steps) == event.tokens
        assert each.ended.prompt_tokens + each.ended.completion_tokens == event.tokens
        assert each.began.input is not None
        assert all(step.answered for step in each.steps), "none of an ended turn's steps is open"


@pytest.mark.parametrize("seed", SEEDS[:10])
def test_a_call_is_told_with_its_name_and_its_outcome(seed: int) -> None:
    log, agent = session(seed)
    calls = [part for part in story(log.read(agent)) if isinstance(part, Called)]
    assert calls
    outcomes = {"send_message": "MessageSent", "core_memory_append": "CoreMemoryAppended", "": "MessageSent"}
    for call in calls:
        if call.ok:
            assert call.events[-1].kind == outcomes.get(call.name, call.events[-1].kind), call
        else:
            assert call.result


def test_evictions_name_what_left_and_which_summary_stands_for_it() -> None:
    evicted = [part for seed in SEEDS for part in story(session(seed)[0].read("agent-0")) if isinstance(part, Evicted)]
    assert len(evicted) > 10
    assert all(len(part.events) == 2 and part.seqs and part.text for part in evicted)
    assert any(part.previous for part in evicted)


def test_an_open_request_is_told_at_the_end() -> None:
    log, agent = session(0)
    asked = next(each.seq for each in log.read(agent) if each.kind == "InferenceRequested")
    last = next(part for part in story(log.read(agent, to=asked)) if isinstance(part, Step))
    assert (last.seq, last.outcome, last.answered) == (asked, "open", 0)


def test_what_nobody_knows_is_told_as_it_stands() -> None:
    unknown = Envelope("a", 1, nth(1), 5, cast(Kind, "Sneezed"), 1, "k", b"", 0, "", "", "", GENESIS)
    (part,) = story([unknown])
    assert isinstance(part, Noted)
    assert "'Sneezed' is unknown" in part.events[0].problem


def test_a_change_of_settings_says_what_changed() -> None:
    created = AgentCreated(system="", blocks=(), settings=Settings())
    changed = SettingsChanged(settings=Settings(window_tokens=9000, model="m"))
    events = [
        place(draft("a", n, event, key=str(n)), n, nth(n), GENESIS) for n, event in enumerate((created, changed), 1)
    ]
    *_, part = story(events)
    assert [(c.name, c.before, c.after) for c in getattr(part, "changes", ())] == [
        ("model", "offline", "m"),
        ("window_tokens", 8192, 9000),
    ]


# --- what is wanted


@pytest.mark.parametrize("seed", SEEDS[:10])
def test_a_choice_of_parts_takes_those_whose_events_fit(seed: int) -> None:
    log, agent = session(seed)
    parts = list(story(log.read(agent)))
    kinds = kinds_of(MessageSent)
    assert [p.seq for p in parts if EventChoice(kinds=kinds).takes(p)] == [
        each.seq for each in log.read(agent) if each.kind == "MessageSent"
    ]
    closed = next(part for part in parts if isinstance(part, TurnClosed))
    mine = [part for part in parts if EventChoice(turn=closed.turn).takes(part)]
    assert {part.turn for part in mine} == {closed.turn}
    assert closed in mine
    late = EventChoice(since_ms=closed.time_ms, until_ms=closed.time_ms)
    assert closed in [part for part in parts if late.takes(part)]
    assert not any(EventChoice(until_ms=1).takes(part) for part in parts)


def test_a_text_is_found_in_whatever_case_and_is_told_once() -> None:
    log, agent = session(0)
    parts = [part for part in story(log.read(agent)) if EventChoice(text="HELLO words").takes(part)]
    assert parts
    assert all(isinstance(part, (TurnBegan, Noted)) for part in parts), "the inputs say it, and nothing else does"
    assert EventChoice(text="hello WORDS").takes_event(moment(log.read(agent, parts[0].seq - 1, parts[0].seq)[0]))


def test_an_input_that_waits_is_told_with_its_turn() -> None:
    timeline = Timeline()
    first = place(draft("a", 1, UserMessageReceived(text="one"), key="1"), 1, nth(1), GENESIS)
    assert list(timeline.feed(moment(first))) == []
    assert [part.seq for part in timeline.rest()] == [1]
    assert list(timeline.rest()) == [], "only once"
