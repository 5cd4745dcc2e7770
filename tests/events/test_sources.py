"""Sources: the fold of a source's stream, and what an attached source changes in an agent's context."""

from __future__ import annotations

import msgspec
import pytest

from palimpsest.events.codec import draft
from palimpsest.events.envelope import GENESIS, Envelope, place
from palimpsest.events.errors import LogDamaged, NewerFormat
from palimpsest.events.passages import place_text
from palimpsest.events.replay import replay
from palimpsest.events.sources import (
    OUTLINE,
    Source,
    document_id,
    fold_source,
    is_source,
    loaded_key,
    opened_key,
    passages_key,
    removed_key,
    source_of,
    stream_of,
)
from palimpsest.events.types import (
    AgentAttached,
    AgentDetached,
    DocumentLoaded,
    DocumentOpened,
    DocumentRefused,
    DocumentRemoved,
    Event,
    FunctionCalled,
    FunctionFailed,
    PassagesLoaded,
    SourceAttached,
    SourceCreated,
    SourceDetached,
    SourceUnloaded,
    UserMessageReceived,
)
from tests.worlds.positions import nth
from tests.worlds.story import START_MS, Story, call, say

CREATED = SourceCreated(passage_tokens=200, overlap_tokens=0)


def opened(path: str, sha256: str = "aa") -> DocumentOpened:
    return DocumentOpened(
        document=document_id(path, sha256), path=path, media_type="text/plain", size_bytes=9, sha256=sha256
    )


def passages(path: str, first: int, count: int, sha256: str = "aa") -> PassagesLoaded:
    return PassagesLoaded(
        document=document_id(path, sha256), path=path, first=first, count=count, chars=100, packed=b""
    )


def loaded(path: str, count: int, sha256: str = "aa") -> DocumentLoaded:
    return DocumentLoaded(document=document_id(path, sha256), passages=count, chars=100 * count)


def stream(*events: Event, name: str = "source:manuals") -> list[Envelope]:
    placed: list[Envelope] = []
    for seq, event in enumerate(events, 1):
        previous = placed[-1].hash if placed else GENESIS
        placed.append(place(draft(name, START_MS + seq, event, key=f"k{seq}"), seq, nth(seq), previous))
    return placed


def folded(*events: Event) -> Source:
    source = fold_source(stream(CREATED, *events))
    assert source is not None, "there are events"
    return source


# --- the fold -----------------------------------------------------------------------------------------------------


def test_a_sources_stream_has_a_name_of_its_own() -> None:
    assert stream_of("manuals") == "source:manuals"
    assert is_source("source:manuals")
    assert not is_source("manuals")
    assert source_of("source:manuals") == "manuals"


def test_a_document_goes_from_loading_to_loaded() -> None:
    source = folded(opened("a.txt"), passages("a.txt", 0, 3), passages("a.txt", 3, 2))
    (document,) = source.loading
    assert (document.path, document.passages, document.status, source.loaded) == ("a.txt", 5, "loading", [])
    source = folded(opened("a.txt"), passages("a.txt", 0, 3), loaded("a.txt", 3))
    (document,) = source.loaded
    assert (document.passages, document.chars, document.opened, document.closed) == (3, 300, 2, 4)
    assert (source.passages, source.chars, source.changed, source.seq) == (3, 300, 4, 4)


def test_passages_may_be_left_out_of_the_fold() -> None:
    whole = stream(CREATED, opened("a.txt"), passages("a.txt", 0, 3), loaded("a.txt", 3), AgentAttached(agent="ada"))
    outline = [envelope for envelope in whole if envelope.kind in OUTLINE]
    assert len(outline) == len(whole) - 1
    one, other = fold_source(whole), fold_source(outline)
    assert one is not None
    assert other is not None
    assert vars(one) == vars(other)


def test_a_removed_document_can_come_again_under_other_keys() -> None:
    source = folded(opened("a.txt"), loaded("a.txt", 1), DocumentRemoved(document=document_id("a.txt", "aa")))
    (document,) = source.documents.values()
    assert (document.status, document.removals, source.loaded) == ("removed", 1, [])
    keys = {key(document.id, removals) for key in (opened_key, loaded_key, removed_key) for removals in range(2)} | {
        passages_key(document.id, removals, 0) for removals in range(2)
    }
    assert len(keys) == 8
    again = folded(
        opened("a.txt"), loaded("a.txt", 1), DocumentRemoved(document=document.id), opened("a.txt"), loaded("a.txt", 1)
    )
    assert [(d.status, d.removals, d.opened, d.closed) for d in again.loaded] == [("loaded", 1, 5, 6)]


def test_a_changed_file_is_another_document_at_the_same_path() -> None:
    source = folded(opened("a.txt"), loaded("a.txt", 1), opened("a.txt", "bb"), loaded("a.txt", 2, "bb"))
    assert [document.sha256 for document in source.at_path("a.txt")] == ["aa", "bb"]


def test_a_refused_file_is_kept_with_its_reason_until_it_is_loaded() -> None:
    source = folded(DocumentRefused(path="a.pdf", reason="It is encrypted."))
    assert source.refused["a.pdf"].reason == "It is encrypted."
    assert folded(DocumentRefused(path="a.pdf", reason="x"), opened("a.pdf"), loaded("a.pdf", 1)).refused == {}


def test_unloading_removes_every_document() -> None:
    source = folded(opened("a.txt"), loaded("a.txt", 1), opened("b.txt"), SourceUnloaded())
    assert [document.status for document in source.documents.values()] == ["removed", "removed"]
    assert source.changed == source.seq


def test_a_source_knows_its_agents() -> None:
    source = folded(AgentAttached(agent="ada"), AgentAttached(agent="bob"), AgentDetached(agent="ada"))
    assert list(source.agents) == ["bob"]


def test_a_document_is_named_by_path_by_id_and_by_the_end_of_its_path() -> None:
    source = folded(opened("en/a.txt"), loaded("en/a.txt", 1), opened("de/a.txt"), loaded("de/a.txt", 1))
    assert [d.path for d in source.named("de/a.txt")] == ["de/a.txt"]
    assert [d.path for d in source.named("A.TXT")] == ["de/a.txt", "en/a.txt"]
    assert [d.path for d in source.named(document_id("en/a.txt", "aa"))] == ["en/a.txt"]
    assert source.named("b.txt") == []


@pytest.mark.parametrize(
    "events",
    [
        (loaded("a.txt", 1),),
        (passages("a.txt", 0, 1),),
        (DocumentRemoved(document="nothing"),),
        (CREATED,),
        (UserMessageReceived(text="Hi."),),
    ],
    ids=lambda events: type(events[0]).__name__,
)
def test_what_makes_no_sense_is_named_as_damage(events: tuple[Event, ...]) -> None:
    with pytest.raises(LogDamaged) as caught:
        folded(*events)
    assert caught.value.seq == 2


def test_a_stream_that_begins_otherwise_is_none() -> None:
    with pytest.raises(LogDamaged):
        fold_source(stream(opened("a.txt")))
    with pytest.raises(NewerFormat, match="upgrade"):
        fold_source(stream(msgspec.structs.replace(CREATED, format=2)))


def test_a_sources_stream_is_proved_by_replay() -> None:
    whole = stream(CREATED, opened("a.txt"), passages("a.txt", 0, 3), loaded("a.txt", 3))
    proof = replay("source:manuals", whole)
    assert (proof.difference, proof.events, proof.hash) == (None, 4, whole[-1].hash)
    cut = replay("source:manuals", [*whole[:2], *whole[3:]], verify=False).difference
    assert cut is not None
    assert "missing" in cut.what


@pytest.mark.parametrize(
    ("where", "text"),
    [((3, 0, 0), "page 3"), ((0, 10, 24), "lines 10-24"), ((0, 7, 7), "line 7"), ((2, 1, 5), "page 2, lines 1-5"),
     ((0, 0, 0), "")],
)  # fmt: skip
def test_a_place_is_said_as_far_as_it_is_known(where: tuple[int, int, int], text: str) -> None:
    assert place_text(*where) == text


# --- an agent's context -------------------------------------------------------------------------------------------


def offered(story: Story) -> list[str]:
    return [tool["function"]["name"] for tool in msgspec.json.decode(story.request)["tools"]]


def status(story: Story) -> dict[str, object]:
    fields: dict[str, object] = msgspec.json.decode(story.messages[-1]["content"])
    return fields


def test_an_attached_source_shows_in_the_last_message_and_in_the_functions() -> None:
    story = Story().says("One.")
    before = story.messages
    assert "attached_sources" not in status(story)
    story.answers(say("Yes.")).happens(SourceAttached(source="manuals")).says("Two.")
    assert status(story)["attached_sources"] == "manuals"
    assert offered(story)[-3:] == ["list_documents", "open_document", "grep_documents"]
    assert story.messages[: len(before) - 1] == before[:-1], "what stands before the last message stays as it was"


def test_detaching_the_last_source_leaves_the_context_as_without() -> None:
    one = Story().happens(SourceAttached(source="a")).happens(SourceDetached(source="a")).says("Hi.")
    other = Story().says("Hi.")
    assert one.request == other.request
    assert one.state.head_tokens == other.state.head_tokens


def test_the_functions_are_counted() -> None:
    plain, attached = Story().says("Hi."), Story().happens(SourceAttached(source="a")).says("Hi.")
    assert attached.state.head_tokens > plain.state.head_tokens + 100


def test_many_sources_with_long_names_take_little_of_the_window() -> None:
    story = Story()
    for number in range(40):
        story.happens(SourceAttached(source=f"{number:03}" + "x" * 90))
    line = str(status(story.says("Hi."))["attached_sources"])
    assert len(line) < 200
    assert line.endswith("and 35 more (list_documents names all)")


def test_attaching_twice_is_attaching_once() -> None:
    story = Story().happens(SourceAttached(source="a")).happens(SourceAttached(source="a"))
    assert story.state.sources == ("a",)


def test_without_a_source_the_functions_for_documents_do_not_exist() -> None:
    story = Story().says("Go.").answers(call("open_document", document="a.txt"))
    (failed,) = story.all(FunctionFailed)
    assert "There is no function 'open_document'" in failed.error
    assert "grep_documents" not in failed.error


def test_a_storage_function_is_told_what_is_attached() -> None:
    story = Story().happens(SourceAttached(source="b")).happens(SourceAttached(source="a")).says("Go.")
    story.answers(call("open_document", document="a.txt", place="line 3"))
    asked = story.the(FunctionCalled)
    assert asked.sources == ("b", "a")
    assert asked.arguments == {"document": "a.txt", "place": "line 3"}


def test_a_turn_sees_the_sources_that_it_began_with() -> None:
    story = Story().happens(SourceAttached(source="a")).says("Go.")
    story.happens(SourceDetached(source="a")).happens(SourceAttached(source="b"))
    assert (story.state.sources, story.state.next_sources) == (("a",), ("b",))
    story.answers(call("list_documents", request_heartbeat=True))
    assert story.the(FunctionCalled).sources == ("a",)
    story.returns().answers(say("So it is."))
    assert (story.state.sources, story.state.next_sources) == (("b",), None)
    assert status(story.says("And now?"))["attached_sources"] == "b"
    assert replay("ada", story.log.read("ada")).difference is None


def test_what_is_attached_and_detached_within_a_turn_leaves_nothing_behind() -> None:
    story = Story().says("Go.").happens(SourceAttached(source="a")).happens(SourceDetached(source="a"))
    assert story.state.next_sources is None
    assert story.answers(say("Yes.")).state.sources == ()
