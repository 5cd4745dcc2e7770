"""Verdicts: each on a small session that was made for it."""

from __future__ import annotations

import re
from collections.abc import Collection

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from palimpsest.events.codec import decode, draft
from palimpsest.events.debug.phrases import Phrase, is_question
from palimpsest.events.debug.told import INPUT_KINDS, Told
from palimpsest.events.debug.turns import Search
from palimpsest.events.debug.verdict import Cause, Ranked, Verdict
from palimpsest.events.documents import Passage, pack_passages
from palimpsest.events.errors import BadInput
from palimpsest.events.passages import input_text
from palimpsest.events.sources import stream_of
from palimpsest.events.types import (
    AgentForked,
    AlertRaised,
    CoreMemoryReplaced,
    DocumentLoaded,
    DocumentOpened,
    Event,
    EvictionStarted,
    Found,
    FunctionCalled,
    FunctionReturned,
    MessageSent,
    MessagesEvicted,
    Parent,
    PassagesLoaded,
    SourceAttached,
    SourceCreated,
    SummaryWritten,
    Timer,
    UserLoggedIn,
    UserMessageReceived,
)
from palimpsest.questions.verdicts import turn_at, verdict_at
from palimpsest.questions.words import search_terms
from palimpsest.store.logs.contract import Append
from palimpsest.store.logs.states import load
from tests.worlds.simulated import World
from tests.worlds.story import AGENT, Story, say
from tests.worlds.story import call as ask

FACT = "My sister Ana paints bridges."
TEXT = "sister Ana painting"
QUESTION = "What does she do?"
SMALL = {"window_tokens": 3600, "reserve_tokens": 400}


def no_rank(_search: Search, _told: Collection[Told]) -> Ranked:
    return Ranked(unknown="nobody looked")


def judged(story: Story, text: str = TEXT, at: int | None = None, rank: object = no_rank, **exact: bool) -> Verdict:
    wanted = Phrase(text, search_terms(), **exact)
    return verdict_at(story.log, AGENT, wanted, at, rank)  # type: ignore[arg-type]


def seqs_of(story: Story, kind: type[Event]) -> list[int]:
    return [envelope.seq for envelope in story.log.read(AGENT) if envelope.kind == kind.__name__]


def forgotten(fact: str = FACT, **changes: object) -> Story:
    """A fact, and so much talk after it that it has left the window."""
    story = Story(**{**SMALL, **changes})  # type: ignore[arg-type]
    story.says(fact).settles()
    seq = story.state.queue[-3].seq
    while any(entry.seq <= seq for entry in story.state.queue):
        story.says("words " * 60).settles()
    return story


def seqs(verdict: Verdict) -> list[int]:
    return [each.seq for each in verdict.evidence]


# --- which turn


@pytest.mark.parametrize("later", ["exit", "Thank you!", "I am off now, bye.", "Good. Write that down."])
def test_without_an_event_the_last_turn_is_judged_that_answers_a_question(later: str) -> None:
    story = Story().says(FACT).settles()
    asked = story.says(QUESTION).answers(say("I do not know.")).state.seq
    story.says(later).answers(say("Bye."))
    verdict = judged(story)
    assert (verdict.question, verdict.passed_over) == (QUESTION, 1)
    assert verdict.answer < asked
    assert verdict.cause == Cause.IGNORED
    assert judged(story, at=verdict.input).answer == verdict.answer


def test_timers_logins_and_alerts_ask_nothing() -> None:
    story = Story().says(FACT).settles()
    story.says(QUESTION).answers(say("I do not know."))
    tea = Timer(id="tea", due_ms=story.now_ms, note="Is it time for tea?")
    story.sets(tea).fires(tea).answers(say("Tea!"))
    story.comes(UserLoggedIn()).answers(say("Welcome back."))
    story.comes(AlertRaised(text="Is the disk full?")).answers(say("I saw it."))
    assert (judged(story).question, judged(story).passed_over) == (QUESTION, 3)


def test_a_question_that_got_no_answer_is_not_judged() -> None:
    story = Story().says(QUESTION).answers(say("I do not know."))
    story.says("Who is Ana?").fails("timeout", "No answer.")
    assert judged(story).question == QUESTION


def test_where_nothing_was_asked_the_last_answer_to_the_user_is_judged() -> None:
    story = Story().says(FACT).answers(say("Fine."))
    story.comes(UserLoggedIn()).answers(say("Welcome back."))
    assert (judged(story).question, judged(story).passed_over) == (FACT, 0)


def test_nothing_can_be_judged_where_nothing_was_answered() -> None:
    with pytest.raises(BadInput, match="has not answered yet"):
        judged(Story(met=False).says(QUESTION))


@pytest.mark.parametrize("text", [
    "Where does she live?", "where does she live", "Tell me where she lives.", "So, what is her name", "¿Dónde vive?",
    "她住在哪里\uff1f", "أين تسكن\u061f", "I forgot. Who painted it? Thanks.", "How many cats do I have",
    "do you know her name", "What\u2019s her name", "(Is that so?)", "remind me where she lives",
])  # fmt: skip
def test_what_is_a_question(text: str) -> None:
    assert is_question(text)


@pytest.mark.parametrize("text", [
    "exit", "quit", "Thanks.", FACT, "When I was young we lived in Lisbon.", "", "  ", "!", "How nice!", "Do it.",
    "What the doctor said is on paper.", "Remind me of the tea in five minutes.", "Have fun!",
])  # fmt: skip
def test_what_is_none(text: str) -> None:
    assert not is_question(text)


# --- the five


def test_never_said() -> None:
    story = Story().says(QUESTION).answers(say("I do not know."))
    verdict = judged(story)
    assert verdict.cause == Cause.NEVER_SAID
    assert verdict.evidence == ()
    assert verdict.nearest is None


def test_never_said_shows_what_came_nearest() -> None:
    story = Story().says("My sister lives in Oslo.").answers(say("Fine."))
    story.says(QUESTION).answers(say("I do not know."))
    verdict = judged(story)
    assert verdict.cause == Cause.NEVER_SAID
    assert verdict.nearest is not None
    assert verdict.nearest.told.text == "My sister lives in Oslo."
    assert (verdict.nearest.match.found, verdict.nearest.match.missing) == (1, ("Ana", "painting"))


def test_what_was_only_asked_was_never_said() -> None:
    story = Story().says("Does my sister Ana paint?").answers(say("I do not know."))
    verdict = judged(story)
    assert verdict.cause == Cause.NEVER_SAID
    assert [each.what for each in verdict.evidence] == ["only asks: the user"]


def test_said_but_evicted_and_not_searched() -> None:
    story = forgotten()
    story.says(QUESTION).answers(say("I do not know."))
    verdict = judged(story)
    assert verdict.cause == Cause.NOT_SEARCHED
    (said,) = [each for each in verdict.evidence if each.what == "said: the user"]
    (gone,) = [each for each in verdict.evidence if each.what.startswith("evicted")]
    assert said.text == FACT
    assert gone.seq in seqs_of(story, MessagesEvicted)
    assert ("search", AGENT, TEXT, "--at", str(verdict.request)) in [step.command for step in verdict.next]


def test_a_summary_that_had_it_for_a_while_is_told() -> None:
    story = Story(**SMALL)  # type: ignore[arg-type]
    story.says(FACT).settles()
    for text in ("Sister Ana paints.", "We talked."):
        before = len(story.all(SummaryWritten))
        while len(story.all(SummaryWritten)) == before:
            story.says("words " * 60)
            story.settles(summary=text)
    verdict = judged(story)
    first, second = seqs_of(story, SummaryWritten)
    what = {each.seq: each.what for each in verdict.evidence}
    assert verdict.cause == Cause.NOT_SEARCHED
    assert (what[first], what[second]) == ("a summary that had it", "the first summary that left it out")


def test_searched_and_not_on_the_page() -> None:
    story = forgotten()
    story.says(QUESTION).answers(ask("conversation_search", query="sister", request_heartbeat=True))
    story.returns('Showing 1 of 9 results (page 0/1): ["timestamp: now, user: Something else."]', found=(Found(seq=4),))
    story.answers(say("I do not know."))
    verdict = judged(story, rank=lambda _search, _told: Ranked(rank=7, total=9, looked=7))
    assert verdict.cause == Cause.NOT_ON_PAGE
    (searched,) = [each for each in verdict.evidence if each.what.startswith("conversation_search")]
    assert searched.seq == seqs_of(story, FunctionCalled)[-1]
    assert searched.what.endswith("it is number 7 of 9, on page 1")
    assert searched.text == "sister"
    assert verdict.next[0].command == ("search", AGENT, "sister", "--at", str(searched.seq))


def test_a_rank_that_is_not_known_is_said_to_be_so() -> None:
    story = forgotten()
    story.says(QUESTION).answers(ask("conversation_search", query="sister", request_heartbeat=True))
    story.returns("No results found.").answers(say("I do not know."))
    verdict = judged(story)
    assert verdict.cause == Cause.NOT_ON_PAGE
    assert any("its rank is not known: nobody looked" in each.what for each in verdict.evidence)


def test_a_search_for_something_else_is_none() -> None:
    story = forgotten()
    story.says(QUESTION).answers(ask("conversation_search", query="harbour", request_heartbeat=True))
    story.returns("No results found.").answers(say("I do not know."))
    verdict = judged(story)
    assert verdict.cause == Cause.NOT_SEARCHED
    assert "conversation_search, which looked for something else" in [each.what for each in verdict.evidence]


def test_a_search_of_other_storage_is_none() -> None:
    story = forgotten()
    story.says(QUESTION).answers(ask("archival_memory_search", query="sister", request_heartbeat=True))
    story.returns("No results found.").answers(say("I do not know."))
    verdict = judged(story)
    assert verdict.cause == Cause.NOT_SEARCHED
    assert "archival_memory_search, which looked elsewhere" in [each.what for each in verdict.evidence]


def test_a_search_by_date_counts_by_its_days() -> None:
    story = forgotten()
    for day, cause in (("2026-11-22", Cause.NOT_ON_PAGE), ("2020-01-01", Cause.NOT_SEARCHED)):
        search = ask("conversation_search_date", start_date=day, end_date=day, request_heartbeat=True)
        story.says(QUESTION).answers(search).returns("No results found.").answers(say("I do not know."))
        assert judged(story).cause == cause


def test_on_the_page_and_pushed_out_before_the_answer() -> None:
    """The window that had the page overflows at the provider, and the page is what has to go."""
    story = forgotten()
    story.says(QUESTION).answers(ask("conversation_search", query="sister", request_heartbeat=True))
    page = f'Showing 1 of 1 results (page 0/0): ["timestamp: now, user: {FACT}"]'
    story.returns(page)
    while seqs_of(story, FunctionReturned)[-1] in {entry.seq for entry in story.state.queue}:
        story.fails("overflow")
        story.answers(content="We talked.")
    story.answers(say("I do not know."))
    verdict = judged(story)
    assert verdict.cause == Cause.PUSHED_OUT
    assert seqs(verdict) == [seqs_of(story, FunctionReturned)[-1], verdict.evidence[1].seq]
    assert verdict.evidence[1].seq in seqs_of(story, MessagesEvicted)
    assert verdict.evidence[1].seq < verdict.request


@pytest.mark.parametrize("block", [False, True])
def test_in_the_window_and_ignored(block: bool) -> None:
    story = Story()
    keep = [ask("core_memory_append", "keep", name="human", content="Sister: Ana, who paints.")] if block else []
    story.says(FACT).answers(*keep, say("Fine."))
    story.says(QUESTION).answers(say("I do not know."))
    verdict = judged(story)
    assert verdict.cause == Cause.IGNORED
    assert ("in the window: core memory, human" in [each.what for each in verdict.evidence]) == block
    assert seqs_of(story, UserMessageReceived)[1] in seqs(verdict)
    assert (("blame", AGENT, TEXT, "--at", str(verdict.at)) in [step.command for step in verdict.next]) == block
    assert verdict.request == max(seq for seq in (verdict.request, verdict.answer) if seq < verdict.answer)


def test_in_the_summary_counts_where_the_summary_itself_has_it() -> None:
    story = Story(**SMALL)  # type: ignore[arg-type]
    story.says(FACT).settles()
    while not story.state.summary:
        story.says("words " * 60).settles(summary="His sister Ana paints.")
    verdict = judged(story)
    assert verdict.cause == Cause.IGNORED
    assert [each.what for each in verdict.evidence] == ["in the window: the summary"]


# --- what else there can be


def test_an_answer_that_has_it_missed_nothing() -> None:
    story = Story().says(FACT).answers(say("Fine."))
    story.says(QUESTION).answers(say("Your sister Ana paints."))
    verdict = judged(story)
    assert verdict.cause == Cause.ANSWERED
    assert verdict.answer in seqs(verdict)


def test_cut_out_of_the_excerpt() -> None:
    story = forgotten()
    (fact,) = [e.seq for e in story.log.read(AGENT) if e.kind == "UserMessageReceived" and b"bridges" in e.body]
    story.says(QUESTION).answers(ask("conversation_search", query="sister", request_heartbeat=True))
    story.returns('Showing 1 of 1 results (page 0/0): ["timestamp: now, user: My …"]', found=(Found(seq=fact),))
    story.answers(say("I do not know."))
    verdict = judged(story)
    assert verdict.cause == Cause.CUT_OFF
    assert seqs(verdict) == [fact, seqs_of(story, FunctionReturned)[-1]]


def test_answered_before_the_page_was_read() -> None:
    story = forgotten()
    story.says(QUESTION).answers(say("I do not know."), ask("conversation_search", query="sister"))
    story.returns(f'Showing 1 of 1 results (page 0/0): ["timestamp: now, user: {FACT}"]')
    assert judged(story, at=seqs_of(story, FunctionReturned)[-1]).cause == Cause.UNREAD


def test_its_input_still_waited() -> None:
    story = Story().says(QUESTION).says(FACT)
    story.answers(say("I do not know."))
    answer = seqs_of(story, MessageSent)[-1]
    verdict = judged(story, at=answer)
    assert verdict.cause == Cause.WAITING
    assert seqs(verdict) == [seqs_of(story, UserMessageReceived)[-1]]


def test_said_later() -> None:
    story = Story().says(QUESTION).answers(say("I do not know."))
    asked = seqs_of(story, UserMessageReceived)[-1]
    story.says(FACT).answers(say("Fine."))
    verdict = judged(story, at=asked)
    assert verdict.cause == Cause.SAID_LATER
    assert verdict.input == asked
    assert seqs(verdict) == [seqs_of(story, UserMessageReceived)[-1]]


def test_kept_where_no_search_looks() -> None:
    story = Story(human="Sister Ana paints.", **SMALL)  # type: ignore[arg-type]
    story.says("No.").answers(
        ask("core_memory_replace", name="human", old_content="Sister Ana paints.", new_content="Nothing."),
        say("Fine."),
    )
    while seqs_of(story, CoreMemoryReplaced)[-1] in {entry.seq for entry in story.state.queue}:
        story.says("words " * 60).settles()
    verdict = judged(story)
    assert verdict.cause == Cause.UNSEARCHABLE
    assert seqs(verdict)[0] == 1
    assert verdict.next[0].command[0] == "blame"


def test_an_alert_is_kept_where_no_search_looks() -> None:
    story = Story(**SMALL)  # type: ignore[arg-type]
    story.comes(AlertRaised(text=FACT)).settles()
    seq = seqs_of(story, AlertRaised)[-1]
    while seq in {entry.seq for entry in story.state.queue}:
        story.says("words " * 60).settles()
    assert judged(story).cause == Cause.UNSEARCHABLE


def loaded(story: Story, name: str, text: str) -> None:
    """A source with a document of one passage."""
    packed = pack_passages([Passage(text=text)])
    events: list[Event] = [
        SourceCreated(passage_tokens=300, overlap_tokens=0),
        DocumentOpened(document="d", path="art.txt", media_type="text/plain", size_bytes=1, sha256="0"),
        PassagesLoaded(document="d", path="art.txt", first=0, count=1, chars=len(text), packed=packed),
        DocumentLoaded(document="d", passages=1, chars=len(text)),
    ]
    stream = stream_of(name)
    story.log.append([Append(tuple(draft(stream, 1, event, key=f"k{n}") for n, event in enumerate(events)))])


def test_in_a_document_of_a_source_that_is_not_attached() -> None:
    story = Story()
    loaded(story, "shelf", FACT)
    story.says(QUESTION).answers(say("I do not know."))
    verdict = judged(story)
    assert verdict.cause == Cause.NOT_ATTACHED
    assert [(each.stream, each.seq, each.what) for each in verdict.evidence] == [
        ("source:shelf", 3, "in a document: art.txt")
    ]
    assert verdict.next[0].command == ("attach", "shelf", AGENT)


def test_in_an_attached_document_that_was_not_searched() -> None:
    story = Story()
    loaded(story, "shelf", FACT)
    story.happens(SourceAttached(source="shelf"))
    story.says(QUESTION).answers(say("I do not know."))
    verdict = judged(story)
    assert verdict.cause == Cause.NOT_SEARCHED
    assert "the documents" in verdict.says
    story.says(QUESTION).answers(ask("archival_memory_search", query="Ana", request_heartbeat=True))
    story.returns("No results found.").answers(say("I do not know."))
    assert judged(story).cause == Cause.NOT_ON_PAGE


# --- any session


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 13), st.floats(0, 1))
def test_in_any_session_the_verdict_is_what_the_log_says(seed: int, number: int, share: float) -> None:
    """Of the input with this number: was it there, did it wait, was it in the window?"""
    world = World(seed, agents=1, inputs=14)
    world.run()
    log, agent = world.log, "agent-0"
    stream = log.read(agent)
    inputs = {e.seq: input_text(decode(e)) for e in stream if e.kind in INPUT_KINDS}
    said = next((seq for seq, text in inputs.items() if text.startswith(f"{number}: hello")), 0)
    at = 1 + int(share * (len(stream) - 1))
    assume(any(e.kind == "TurnStarted" for e in stream[:at]))
    turn = turn_at(log, agent, at, len(stream))
    state = load(log, agent, turn.until)
    assert state is not None
    verdict = verdict_at(log, agent, Phrase(f'"{number}: hello"', search_terms()), at, no_rank)
    if not said:
        assert verdict.cause == Cause.NEVER_SAID
    elif said > turn.end:
        assert verdict.cause == Cause.SAID_LATER
    elif said > turn.until or said in {pending.seq for pending in state.pending}:
        assert verdict.cause == Cause.WAITING
    elif said in {entry.seq for entry in state.queue}:
        assert verdict.cause == Cause.IGNORED
        assert said in seqs(verdict)
    elif state.summary and re.search(rf"\b{number}: hello", state.summary.text):
        assert verdict.cause == Cause.IGNORED
        assert seqs(verdict) == [state.summary.seq]
    else:
        gone = {seq for e in stream[: turn.until] for seq in getattr(decode(e), "seqs", ())}
        assert said in gone or any(e.kind == "InputSkipped" for e in stream)
        lost = {Cause.NOT_SEARCHED, Cause.NOT_ON_PAGE, Cause.PUSHED_OUT, Cause.UNSEARCHABLE}
        assert verdict.cause in lost


# --- which turn, and how it is matched


def test_at_names_the_answer_or_the_input() -> None:
    story = Story().says(QUESTION).answers(say("I do not know."))
    asked, answer = seqs_of(story, UserMessageReceived)[-1], seqs_of(story, MessageSent)[-1]
    story.says(FACT).answers(say("Fine."))
    for at in (asked, answer, answer + 1):
        verdict = judged(story, at=at)
        assert (verdict.input, verdict.answer) == (asked, answer)
    assert judged(story).input == asked, "what came later asks nothing"


def test_evicted_is_judged_as_of_then() -> None:
    """The same fact: in the window at first, and evicted later."""
    story = forgotten()
    first = seqs_of(story, EvictionStarted)[0]
    assert judged(story).cause == Cause.NOT_SEARCHED
    before = [seq for seq in seqs_of(story, MessageSent) if seq < first][-1]
    assert judged(story, at=before).cause == Cause.IGNORED


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("sisters, paint ANA", True),
        ("painting the bridge", True),
        ("Ana sings", False),
        ('"paints bridges"', True),
        ('"bridges paints"', False),
        ('"paint bridges"', False),
        ("my", True),
        ("whom", False),
    ],
)
def test_words_count_whatever_their_endings_and_quotes_word_for_word(text: str, has: bool) -> None:
    assert Phrase(text, search_terms()).holds(FACT) == has


def test_words_count_in_one_place_only() -> None:
    far = "My sister is here. " + "Many other words are said. " * 30 + "Ana paints."
    wanted = Phrase(TEXT, search_terms())
    match = wanted.match(far)
    assert (match.whole, match.found, match.missing) == (False, 3, ())
    near = "Hello. My sister is here. Ana paints. Goodbye."
    (span,) = wanted.where(near + " Words." * 80)
    assert near[span[0] : span[1]] == "My sister is here. Ana paints."


def test_a_fork_is_judged_by_what_it_has_of_its_parent() -> None:
    story = forgotten()
    story.says(QUESTION).answers(say("I do not know."))
    at = seqs_of(story, MessageSent)[-1]
    chain = story.log.hash_at(AGENT, at)
    assert chain is not None
    parent = Parent(agent=AGENT, seq=at)
    born = AgentForked(parent=parent, hash=chain)
    story.log.append([Append((draft("fay", 1, born, key="fork"),), forks={"fay": parent})])
    theirs = judged(story)
    ours = verdict_at(story.log, "fay", Phrase(TEXT, search_terms()), None, no_rank)
    assert ours.cause == theirs.cause == Cause.NOT_SEARCHED
    assert ours.evidence == theirs.evidence
    assert ours.next[0].command[:2] == ("search", "fay")
