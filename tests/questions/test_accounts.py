"""Accounts: who wrote a sentence, in core memory, in the summary and in archival storage."""

from __future__ import annotations

from palimpsest.events.codec import draft
from palimpsest.events.context import fingerprint, reply_request
from palimpsest.events.debug.blame import Account
from palimpsest.events.debug.provenance import WrittenRun
from palimpsest.events.evolve import fold
from palimpsest.events.types import (
    AgentForked,
    ArchivalMemoryInserted,
    Block,
    CoreMemoryAppended,
    CoreMemoryReplaced,
    InputArchived,
    Parent,
    SummaryWritten,
)
from palimpsest.questions.accounts import Blaming, account
from palimpsest.store.logs.contract import Append
from tests.worlds.story import AGENT, Story, call, say


def moved() -> Story:
    """Somebody who lived in Oslo, and moved to Bergen."""
    story = Story(human="Name: Ben.")
    story.says("I live in Oslo with Ana.")
    story.answers(
        call("core_memory_append", name="human", content="Lives in Oslo with Ana."), say(), content="I keep it."
    )
    story.says("We moved to Bergen.")
    story.answers(
        call("core_memory_replace", name="human", old_content="Oslo", new_content="Bergen"),
        say(),
        content="They moved.",
    )
    return story


def blamed(story: Story, text: str | None = None, at: int | None = None, **asked: object) -> Account:
    return account(story.log, AGENT, Blaming(text=text, **asked), at or story.state.seq)  # type: ignore[arg-type]


def seq_of(story: Story, kind: type, number: int = -1) -> int:
    return [envelope.seq for envelope in story.log.read(AGENT) if envelope.kind == kind.__name__][number]


# --- core memory


def test_all_of_core_memory_has_its_writers() -> None:
    story = moved()
    found = blamed(story)
    wrote, replaced = seq_of(story, CoreMemoryAppended), seq_of(story, CoreMemoryReplaced)
    by_text = {each.sentence.text: each.sentence for each in found.standing}
    assert by_text["I am Ada."].writers == by_text["Name: Ben."].writers == (1,)
    assert by_text["Lives in Bergen with Ana."].writers == (wrote, replaced)
    assert by_text["Lives in Bergen with Ana."].pieces == (
        WrittenRun("Lives in ", wrote),
        WrittenRun("Bergen", replaced),
        WrittenRun(" with Ana.", wrote),
    )


def test_a_writer_has_its_turn_its_reasons_and_its_window() -> None:
    story = moved()
    found = blamed(story, block="human")
    assert {each.sentence.label for each in found.standing} == {"human"}
    writer = next(each for each in found.writers if each.kind == "CoreMemoryReplaced")
    assert writer.input is not None and writer.input.text == "We moved to Bergen."
    assert writer.reasons == "They moved."
    assert writer.call is not None and writer.call.name == "core_memory_replace"
    assert writer.over is not None and writer.over.text == "Oslo"
    assert writer.over.writers == (seq_of(story, CoreMemoryAppended),)
    assert writer.window is not None
    state = fold(story.log.read(AGENT, to=writer.window.seq))
    assert state is not None
    assert writer.window.fingerprint == fingerprint(reply_request(state)).hex()
    assert writer.window.messages == len(state.queue)


def test_hints_say_where_a_sentence_may_be_from() -> None:
    story = moved()
    sentence = next(each for each in blamed(story).standing if "Bergen" in each.sentence.text)
    by_window = {hint.window: hint for hint in reversed(sentence.hints)}
    first, second = sorted(by_window)
    assert by_window[first].text == "I live in Oslo with Ana."
    assert by_window[first].words == ("Lives", "Ana")
    assert by_window[second].text == "We moved to Bergen."


def test_what_was_given_at_the_making_has_no_reasons() -> None:
    writer = blamed(moved(), block="persona").writers[0]
    assert (writer.seq, writer.kind, writer.answer, writer.window) == (1, "AgentCreated", 0, None)


def test_as_of_an_earlier_event_it_is_as_it_was() -> None:
    story = moved()
    found = blamed(story, at=seq_of(story, CoreMemoryReplaced) - 1)
    assert "Lives in Oslo with Ana." in {each.sentence.text for each in found.standing}
    assert len(found.writers) == 2


# --- a text


def test_a_text_that_was_overwritten_is_told_with_the_event_that_did_it() -> None:
    story = moved()
    found = blamed(story, "living in oslo")
    assert found.standing == ()
    (gone,) = found.gone
    assert gone.sentence.text == "Lives in Oslo with Ana."
    assert gone.sentence.since == seq_of(story, CoreMemoryAppended)
    assert gone.sentence.until == seq_of(story, CoreMemoryReplaced)
    assert {each.seq for each in found.writers} == {gone.sentence.since, gone.sentence.until}


def test_a_text_in_an_archival_passage_is_found() -> None:
    story = moved()
    story.says("Keep this.").answers(
        call("archival_memory_insert", content="The spare key hangs in the shed."), say(), content="For later."
    )
    found = blamed(story, "key in the shed")
    (each,) = found.standing
    assert (each.sentence.place, each.sentence.seq) == ("archival", seq_of(story, ArchivalMemoryInserted))
    assert found.writers[0].reasons == "For later."


def test_a_text_in_an_archived_input_was_written_by_the_input() -> None:
    story = Story()
    story.says("The lighthouse is red. " + "Much more is to be said. " * 900).settles()
    found = blamed(story, "red lighthouse")
    archived = seq_of(story, InputArchived)
    (each,) = [each for each in found.standing if each.sentence.place == "archival"]
    assert each.sentence.seq == archived
    assert [writer.kind for writer in found.writers] == ["UserMessageReceived"]


def test_word_for_word_is_word_for_word() -> None:
    assert len(blamed(moved(), "ana with").standing) == 1
    assert blamed(moved(), "ana with", exact=True).standing == ()
    assert blamed(moved(), '"with ana"').matched.startswith("word for word")
    assert len(blamed(moved(), '"with  ANA"').standing) == 1
    assert blamed(moved(), '"with an"').standing == (), "not within a word"


def test_a_text_that_never_stood_there_gives_nothing() -> None:
    found = blamed(moved(), "zebra")
    assert (found.standing, found.gone, found.summary, found.writers) == ((), (), None, ())


# --- the summary


def summed_up(*texts: str) -> Story:
    """As many summaries as texts."""
    story = Story(window_tokens=3600, reserve_tokens=400)
    for text in texts:
        before = len(story.all(SummaryWritten))
        while len(story.all(SummaryWritten)) == before:
            story.says("words " * 60)
            story.settles(summary=text)
    return story


def test_a_sentence_of_the_summary_has_the_generation_in_which_it_first_stood() -> None:
    story = summed_up("Ben sails. Ana paints bridges.", "Ben sails. Ana paints old bridges. The dog barks.")
    found = blamed(story, summary=True)
    assert found.summary is not None
    first, second = (seq_of(story, SummaryWritten, number) for number in (0, 1))
    told = {each.saying.text: (each.saying.since.seq, each.saying.origin.seq) for each in found.summary.sayings}
    assert told == {
        "Ben sails.": (first, first),
        "Ana paints old bridges.": (second, first),
        "The dog barks.": (second, second),
    }
    assert [each.author for each in found.summary.generations] == ["model", "model"]


def test_a_summary_covers_all_that_left_the_queue() -> None:
    story = summed_up("Ben sails.", "Ben sails on.", "Ben sailed.")
    found = blamed(story, summary=True).summary
    assert found is not None
    events = story.all(SummaryWritten)
    assert found.covers == tuple(sorted(seq for event in events for seq in event.covers))
    queued = {entry.seq for entry in story.state.queue}
    assert not queued & set(found.covers)
    assert found.stretches[0][0] == found.covers[0]
    assert found.stretches[-1][1] == found.covers[-1]


def test_a_sentence_that_a_summary_dropped_is_told_once() -> None:
    story = summed_up("Ben sails.", "Ben sails.", "Ana paints.")
    (gone,) = blamed(story, "sailing Ben").gone
    assert (gone.sentence.since, gone.sentence.until) == (
        seq_of(story, SummaryWritten, 0),
        seq_of(story, SummaryWritten, 2),
    )
    assert gone.sentence.writers == (seq_of(story, SummaryWritten, 0),)


# --- forks


def test_a_fork_has_its_parents_writers_up_to_the_fork_and_then_its_own() -> None:
    story = moved()
    at = seq_of(story, CoreMemoryReplaced)
    chain = story.log.hash_at(AGENT, at)
    assert chain is not None
    blocks = (Block(label="human", value="Name: Eve."), *(b for b in story.state.blocks if b.label == "persona"))
    parent = Parent(agent=AGENT, seq=at)
    born = AgentForked(parent=parent, hash=chain, blocks=blocks)
    (outcome,) = story.log.append([Append((draft("fay", 1, born, key="fork"),), forks={"fay": parent})])[0]
    assert (outcome.outcome, outcome.seq) == ("appended", at + 1)
    before, after = (account(story.log, "fay", Blaming(), seq) for seq in (at, at + 1))
    assert [each.sentence for each in before.standing] == [each.sentence for each in blamed(story, at=at).standing]
    assert {each.sentence.text: each.sentence.writers for each in after.standing} == {
        "Name: Eve.": (at + 1,),
        "I am Ada.": (1,),
    }
    (gone,) = account(story.log, "fay", Blaming(text="lives in Bergen"), at + 1).gone
    assert gone.sentence.until == at + 1
