"""Memory pressure: the warning, the cut, and the ladder of summaries, which always ends in a context that fits."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st

from palimpsest.events.context import summary_cap_tokens, transcript
from palimpsest.events.eviction import CLIPS_CHARS, budget_tokens, mark_tokens, pieces
from palimpsest.events.state import Entry
from palimpsest.events.types import (
    EvictionStarted,
    MemoryPressureWarned,
    MessagesEvicted,
    SummaryWritten,
    TurnEnded,
)
from palimpsest.events.vocabulary import EntryKind
from tests.worlds.story import Story, call, octets, quarter, say


def pressed(**changes: object) -> Story:
    """An agent whose window has just filled up: a summary is asked for."""
    story = Story(**changes)  # type: ignore[arg-type]
    for number in range(80):
        story.says(f"{number}: I said this and that, on day {number}. " * 6)
        if story.phase == "summarising":
            return story
        story.answers(say("I see. " * 10))
    raise AssertionError("the window never filled up")


def shown(story: Story) -> list[str]:
    """What the open request's messages hold, without the system's and the status."""
    return [message["content"] or "" for message in story.messages[1:-1]]


# --- the warning --------------------------------------------------------------------------------------------------


def test_the_agent_is_warned_once_until_the_next_cut() -> None:
    story = pressed()
    assert len(story.all(MemoryPressureWarned)) == 1
    warned = story.the(MemoryPressureWarned)
    assert 0.7 * 4096 < warned.tokens < mark_tokens(story.state.settings)
    story.answers(content="We talked.").settles()
    while len(story.all(EvictionStarted)) < 2:
        story.chats(1)
    assert len(story.all(MemoryPressureWarned)) == 2


def test_the_warning_is_a_system_alert_in_the_queue() -> None:
    story = Story()
    while not story.all(MemoryPressureWarned):
        story.answers(say()) if story.phase else story.says("words " * 60)
    alert = msgspec.json.decode(story.messages[-2]["content"])
    assert alert["type"] == "system_alert"
    assert "Make sure to save any important information" in alert["message"]


@pytest.mark.slow
@runs(max_examples=25, deadline=None)
@given(
    window=st.integers(2000, 30_000),
    reserve=st.floats(0.05, 0.4),
    sizes=st.lists(st.integers(1, 3000), min_size=10, max_size=25),
)
def test_a_warning_comes_once_and_below_the_mark_in_any_window(window: int, reserve: float, sizes: list[int]) -> None:
    story = Story(window_tokens=window, reserve_tokens=int(window * reserve), met=False, system="Test.")
    mark = mark_tokens(story.state.settings)
    for size in sizes:
        story.says("w " * size).settles()
    kinds = story.kinds
    for at, kind in enumerate(kinds):
        if kind == "MemoryPressureWarned":
            assert kinds[at + 1] == "InferenceRequested", "the warning was not shown before the cut"
    assert all(event.tokens < mark for event in story.all(MemoryPressureWarned))


# --- the cut ------------------------------------------------------------------------------------------------------


def test_one_cut_takes_the_oldest_down_to_the_target() -> None:
    story = pressed()
    started = story.the(EvictionStarted)
    settings_ = story.state.settings
    assert started.reason == "pressure"
    assert started.tokens > mark_tokens(settings_)
    assert started.target_tokens == 2048
    assert list(started.seqs) == [entry.seq for entry in story.state.queue[: len(started.seqs)]]
    story.answers(content="We talked.")
    assert story.tokens <= 2048
    assert story.tokens > 2048 - 400, "a cut takes no more than it must"
    assert story.requested()[-1].tokens == story.tokens


def test_the_turns_input_stays() -> None:
    story = pressed()
    assert story.state.turn is not None
    assert story.state.turn.input not in story.the(EvictionStarted).seqs
    story.answers(content="We talked.")
    assert any("I said this and that" in text for text in shown(story)[-2:])


def entry(seq: int, kind: EntryKind) -> Entry:
    return Entry(seq=seq, kind=kind, wire=b"{}")


@pytest.mark.parametrize(
    ("kinds", "parted"),
    [
        ("", []),
        ("i", ["i"]),
        ("iat", ["i", "at"]),
        ("iattn", ["i", "attn"]),
        ("inatn", ["in", "atn"]),
        ("nia", ["n", "i", "a"]),
        ("tia", ["t", "i", "a"]),
        ("iatnatni", ["i", "atn", "atn", "i"]),
    ],
)
def test_a_call_its_results_and_the_notes_behind_them_are_one_piece(kinds: str, parted: list[str]) -> None:
    names: dict[str, EntryKind] = {"i": "input", "a": "assistant", "t": "tool", "n": "alert"}
    queue = tuple(entry(seq, names[kind]) for seq, kind in enumerate(kinds))
    cut = ["".join(next(k for k, n in names.items() if n == e.kind) for e in piece) for piece in pieces(queue)]
    assert cut == parted


def test_the_results_that_the_model_waits_for_stay_while_they_fit() -> None:
    """Else it would search again and again, and never see what was found."""
    story = Story(window_tokens=6000, reserve_tokens=600, evict_to=0.3)
    while story.tokens < 4700:
        story.chats(1)
    story.says("Search.").marks()
    story.answers(call("conversation_search", query="x", request_heartbeat=True))
    story.returns("found " * 1500)
    while story.phase == "summarising":
        story.answers(content="We talked.")
    assert story.the(MessagesEvicted)
    assert story.results[-1]["message"].startswith("found found")
    assert story.requested()[-1].tokens > story.the(EvictionStarted).target_tokens


def test_results_that_fit_no_context_are_cut_too() -> None:
    story = Story(count=octets, window_tokens=16_000, reserve_tokens=1000, result_chars=9000)
    story.says("Search.").answers(call("conversation_search", query="x", request_heartbeat=True))
    story.returns("🦊" * 9000)
    while story.phase == "summarising":
        story.answers(content="We talked.")
    assert story.phase == "inferring"
    assert story.requested()[-1].tokens <= budget_tokens(story.state.settings)
    assert story.results == []


# --- the ladder ---------------------------------------------------------------------------------------------------


def test_the_models_summary_stands_first_in_the_queue() -> None:
    story = pressed()
    covered = story.the(EvictionStarted).seqs
    total = len(story.state.queue)
    story.answers(content="  Eve talked of her days.  ")
    written = story.the(SummaryWritten)
    assert (written.author, written.text, written.note) == ("model", "Eve talked of her days.", "")
    assert (written.covers, written.previous) == (covered, 0)
    first = msgspec.json.decode(shown(story)[0])
    assert first["type"] == "system_alert"
    assert f"({len(covered)} of {total} total messages)" in first["message"]
    assert first["message"].endswith("Eve talked of her days.")


def test_the_count_of_a_summary_is_that_of_its_message() -> None:
    story = pressed().answers(content="Eve talked of her days.")
    content = story.messages[1]["content"]
    assert story.the(SummaryWritten).tokens == 4 + quarter("", content)


def test_summaries_are_recursive_and_name_all_that_they_cover() -> None:
    story = pressed().answers(content="First.").settles()
    while len(story.all(SummaryWritten)) < 2:
        story.chats(1, "words " * 60)
    first, second = story.all(SummaryWritten)
    assert not set(first.covers) & set(second.covers)
    assert story.state.summary is not None
    assert story.state.summary.hidden == len(first.covers) + len(second.covers)
    seqs = [e.seq for e in story.log.read("ada") if e.kind == "SummaryWritten"]
    assert (first.previous, second.previous) == (0, seqs[0])


def test_a_summarys_request_holds_what_goes_and_the_summary_before() -> None:
    story = pressed().answers(content="First of all.").settles()
    while story.phase != "summarising":
        story.says("words " * 60)
        if story.phase == "inferring":
            story.answers(say())
    system, asked = story.messages
    assert "Only output the summary" in system["content"]
    assert asked["content"].startswith("Previous summary:\nFirst of all.\n\nMessages:\n")
    assert "tools" not in msgspec.json.decode(story.request)


def test_summaries_may_have_a_model_of_their_own() -> None:
    story = pressed(model="big", summarizer="small")
    assert msgspec.json.decode(story.request)["model"] == "small"
    story.answers(content="We talked.")
    assert msgspec.json.decode(story.request)["model"] == "big"


def test_a_first_failure_gets_a_second_try_with_less_text() -> None:
    story = pressed().fails("overflow", "too long")
    assert story.phase == "summarising"
    first, second = story.requested("summary")
    assert second.clip_chars < first.clip_chars
    assert second.clip_chars in CLIPS_CHARS
    story.answers(content="We talked.")
    assert story.the(SummaryWritten).author == "model"


BAD = {
    "failed": lambda story: story.fails("timeout", "no answer"),
    "empty": lambda story: story.answers(content=" \n"),
    "too long": lambda story: story.answers(content="word " * 3000),
    "cut off": lambda story: story.answers(content="I talked", finish="length"),
    "a call": lambda story: story.answers(say("I talked.")),
}


@pytest.mark.parametrize("first", BAD)
@pytest.mark.parametrize("second", BAD)
def test_two_bad_summaries_are_replaced_by_an_extract(first: str, second: str) -> None:
    story = pressed()
    BAD[first](story)
    assert story.phase == "summarising"
    BAD[second](story)
    written = story.the(SummaryWritten)
    assert written.author == "extractive"
    assert "I said this and that" in written.text
    assert written.tokens <= summary_cap_tokens(story.state.settings)
    assert ("timeout" in written.note) == (second == "failed")
    assert len(story.requested("summary")) == 2
    assert story.answers(say()).the(TurnEnded).reason == "yielded"


def test_an_extract_keeps_the_summary_before_it() -> None:
    story = pressed().answers(content="Eve lives in Oslo.").settles()
    while len(story.all(SummaryWritten)) < 2:
        if story.phase == "summarising":
            story.fails()
        elif story.phase:
            story.answers(say())
        else:
            story.says("words " * 60)
    assert story.the(SummaryWritten).text.startswith("Eve lives in Oslo.")


def test_where_nothing_else_fits_there_is_a_bare_note() -> None:
    text = "\u4e16" * 500
    story = Story(count=octets, window_tokens=9000, reserve_tokens=1000, system="T", summary_words=40)
    while story.phase != "summarising":
        if story.phase:
            story.answers(say(text))
        story.says(text)
    assert story.fails().fails().phase == "inferring"
    assert story.the(SummaryWritten).author == "bare"


WORDS = st.sampled_from(["word ", "\n", '"', "🦊", "\u4e16", "x" * 80, "One. Two."])


LEAST_TOKENS = 2300


class Window(NamedTuple):
    """A window of any size, with any tokenizer. `bytewise`: a token a byte, in a window four times as large."""

    tokens: int
    reserve: float
    margin: float
    bytewise: bool

    def holds_an_agent(self) -> bool:
        """Whether the schemas, a summary and some conversation fit: smaller windows are refused."""
        return self.tokens * (1 - self.reserve) >= self.margin * LEAST_TOKENS

    def story(self) -> Story:
        size = int(self.tokens * self.margin) * (4 if self.bytewise else 1)
        return Story(
            count=octets if self.bytewise else quarter,
            met=False,
            system="Test.",
            window_tokens=size,
            reserve_tokens=int(size * self.reserve),
            token_margin=self.margin,
        )


@pytest.mark.slow
@runs(max_examples=40, deadline=None)
@given(
    window=st.builds(
        Window, st.integers(2500, 20_000), st.floats(0.05, 0.3), st.floats(1.0, 1.4), st.booleans()
    ).filter(Window.holds_an_agent),
    said=st.lists(st.tuples(WORDS, st.integers(1, 400)), min_size=3, max_size=15),
    summaries=st.lists(st.sampled_from(["good", *sorted(BAD)]), max_size=12),
    searches=st.booleans(),
)
def test_whatever_becomes_of_summaries_the_context_fits(
    window: Window, said: list[tuple[str, int]], summaries: list[str], searches: bool
) -> None:
    story = window.story()
    for word, times in said:
        story.says(word * times)
        while story.state.turn:
            if story.phase == "summarising":
                how = summaries.pop() if summaries else "good"
                story.answers(content="We talked.") if how == "good" else BAD[how](story)
            elif story.phase == "calling":
                story.returns(word * 3000)
            elif searches and story.state.turn.steps == 1:
                story.answers(
                    call("conversation_search", query="x", request_heartbeat=True), say("So: " + word * 20, "c2")
                )
            else:
                story.answers(say("So: " + word * 20))
        assert story.the(TurnEnded).reason == "yielded"
    assert all(event.tokens <= budget_tokens(story.state.settings) for event in story.requested())
    assert all(event.tokens <= budget_tokens(story.state.settings) for event in story.requested("summary"))


# --- transcripts --------------------------------------------------------------------------------------------------


def test_a_transcript_leaves_out_what_tells_nothing() -> None:
    story = Story().says("I am Eve.", name="heartbeat")
    story.answers(
        call("core_memory_append", "c1", name="human", content="Eve.", request_heartbeat=True),
        say("Noted.", "c2"),
        content="I keep it.",
    )
    lines = [line for entry in story.state.queue[3:] for line in transcript(entry.wire, 500)]
    assert lines == [
        "[2026-11-22 15:26:15 UTC] heartbeat: I am Eve.",
        "assistant (thinking): I keep it.",
        'assistant called core_memory_append({"name":"human","content":"Eve.","request_heartbeat":true})',
        "assistant: Noted.",
    ]


@pytest.mark.parametrize(
    ("name", "value"), [("evict_at", 0.0), ("evict_to", 2.0), ("warn_at", 9.0), ("reserve_tokens", 0)]
)
def test_settings_out_of_all_measure_end_no_worse_than_the_window(name: str, value: float) -> None:
    story = Story().changes(**{name: value}).chats(30)
    assert len(story.requested()) >= 30
    assert all(event.tokens <= budget_tokens(story.state.settings) for event in story.requested())
