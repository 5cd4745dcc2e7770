"""The index over a log: what it finds, that it finds it whenever asked, and that it can always be built again."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from palimpsest.events.codec import KINDS, decode
from palimpsest.events.documents import Passage
from palimpsest.events.errors import BadInput, EmbedderChanged, StorageUnavailable
from palimpsest.events.passages import DAY_MS, search_page
from palimpsest.events.position import FIRST_PARTITION
from palimpsest.events.types import (
    AlertRaised,
    DocumentOpened,
    FunctionCalled,
    InputArchived,
    SourceUnloaded,
    Timer,
    TimerFired,
    TurnEnded,
    UploadFinished,
    UserLoggedIn,
    UserMessageReceived,
)
from palimpsest.store.index.bearing import BEARING
from palimpsest.store.index.embeddings import WordLlamaEmbedder, embedder_named
from palimpsest.store.index.engine_edge import EdgeEngine, EdgeHome
from palimpsest.store.index.points import View
from palimpsest.store.index.projection import MemoryIndex, reindex
from palimpsest.store.index.settings import PointKind
from palimpsest.store.index.surroundings import MESSAGE_CHARS, PAUSE_MS
from palimpsest.store.library.functions import search, sight_of
from tests.worlds.journal import (
    EVERYTHING,
    START_MS,
    TOPICS,
    Journal,
    all_pages,
    answers,
    chatter,
    embedder,
    feed,
    open_index,
    own,
)
from tests.worlds.library import Desk
from tests.worlds.positions import nth

AGENTS = ("ann", "bob", "cyd")


def texts(
    index: MemoryIndex, agent: str, query: str, kind: PointKind = "message", as_of: int = EVERYTHING
) -> list[str]:
    return [hit.text for page in all_pages(index, agent, query, kind, as_of) for hit in page.hits]


# --- what is found ------------------------------------------------------------------------------------------------


def test_user_and_agent_are_found_with_the_events_own_time(index: MemoryIndex, journal: Journal) -> None:
    said = journal.say("ann", "I live in Oslo", time_ms=START_MS)
    told = journal.answer("ann", "Noted: your flat is in Oslo")
    journal.say("ann", "I like herring", time_ms=START_MS + DAY_MS)
    feed(index, journal)
    page = index.search(own("ann"), kind="message", query="Oslo?", page=0, size=5)
    assert page.total == 2
    assert {(h.seq, h.speaker, h.text, h.time_ms) for h in page.hits} == {
        (said.seq, "user", "I live in Oslo", START_MS),
        (told.seq, "assistant", "Noted: your flat is in Oslo", told.time),
    }


def test_a_named_user_is_the_speaker_and_is_found_by_name(index: MemoryIndex, journal: Journal) -> None:
    journal.say("ann", "I bake bread", name="Marguerite")
    journal.say("ann", "I bake cakes", name="Theo")
    feed(index, journal)
    page = index.search(own("ann"), kind="message", query="what does Marguerite bake", page=0, size=5)
    assert [(h.speaker, h.text) for h in page.hits] == [("Marguerite", "I bake bread"), ("Theo", "I bake cakes")]


def test_endings_case_and_accents_do_not_matter(index: MemoryIndex, journal: Journal) -> None:
    journal.say("ann", "We were RUNNING to the café")
    feed(index, journal)
    assert texts(index, "ann", "who runs") == texts(index, "ann", "Cafe") == ["We were RUNNING to the café"]


def test_agents_do_not_see_each_other(index: MemoryIndex, journal: Journal) -> None:
    journal.say("ann", "the code is zebra")
    journal.say("bob", "the code is walrus")
    journal.say("an", "the code is gnu")
    feed(index, journal)
    assert texts(index, "ann", "code") == ["the code is zebra"]
    assert texts(index, "bob", "code") == ["the code is walrus"]
    assert texts(index, "nobody", "code") == []


def test_what_the_system_told_is_no_conversation(index: MemoryIndex, journal: Journal) -> None:
    journal.add("ann", UserLoggedIn(last_login="oslo"))
    journal.add("ann", UploadFinished(source="oslo.pdf", detail="oslo"))
    journal.add("ann", AlertRaised(text="oslo"))
    journal.add("ann", TimerFired(timer=Timer(id="t", due_ms=1, note="oslo")))
    journal.say("ann", "oslo, said by me")
    feed(index, journal)
    assert texts(index, "ann", "oslo") == texts(index, "ann", "") == ["oslo, said by me"]
    assert index.by_date(own("ann"), start_ms=0, end_ms=1 << 50, page=0, size=5).total == 1
    assert len(texts(index, "ann", "oslo", kind="notice")) == 3


def test_passages_and_messages_are_apart(index: MemoryIndex, journal: Journal) -> None:
    journal.say("ann", "remember that Oslo is cold")
    journal.archive("ann", "Oslo is cold. Lisbon is warm.", 13, 29)
    feed(index, journal)
    page = index.search(own("ann"), kind="passage", query="Oslo", page=0, size=5)
    assert [(h.seq, h.chunk, h.speaker, h.text) for h in page.hits] == [(2, 0, "memory", "Oslo is cold.")]
    assert texts(index, "ann", "Lisbon", kind="passage") == [" Lisbon is warm."]


@pytest.mark.parametrize("batch", [1, 100], ids=["input in an earlier batch", "input in the same batch"])
def test_an_archived_input_is_cut_from_its_own_event(index: MemoryIndex, journal: Journal, batch: int) -> None:
    said = journal.say("ann", "first part, on herons; second part, on storks")
    journal.add("ann", InputArchived(input=said.seq, ends=(23, 45)))
    feed(index, journal, batch)
    page = index.search(own("ann"), kind="passage", query="storks", page=0, size=5)
    assert [(h.seq, h.chunk, h.text) for h in page.hits] == [(2, 1, "second part, on storks")]


def test_an_archived_upload_is_cut_from_its_detail(index: MemoryIndex, journal: Journal) -> None:
    upload = journal.add("ann", UploadFinished(source="a", detail="herons and storks"))
    journal.add("ann", InputArchived(input=upload.seq, ends=(6, 17)))
    feed(index, journal, 1)
    assert texts(index, "ann", "storks", kind="passage") == [" and storks"]


def test_keys_are_found_whole_and_days_by_their_date(index: MemoryIndex, journal: Journal) -> None:
    journal.archive("ann", "3f2a99bb-0c4e-4f6a-9d21-5b7f0a1c2d3e: 99aa99bb-0c4e-4f6a-9d21-5b7f0a1c2d3e")
    journal.archive("ann", "3f2a99bb-ffff-4f6a-9d21-5b7f0a1c2d3e: 3f2a99bb-0c4e-4f6a-9d21-ffffffffffff")
    journal.say("ann", "tea", time_ms=START_MS)
    journal.say("ann", "milk", time_ms=START_MS - 40 * 86_400_000)
    feed(index, journal)
    assert texts(index, "ann", "3F2A99BB-0C4E-4F6A-9D21-5B7F0A1C2D3E", kind="passage")[0].startswith("3f2a99bb-0c4e")
    assert texts(index, "ann", "what did I drink on 2026-11-22?")[0] == "tea"
    assert texts(index, "ann", "in October")[0] == "milk"


def test_scripts_without_spaces_are_found_by_word(index: MemoryIndex, journal: Journal) -> None:
    journal.say("ann", "我住在北京的公寓里")
    feed(index, journal)
    assert texts(index, "ann", "公寓") == ["我住在北京的公寓里"]


def test_a_long_message_is_kept_in_pieces_that_are_all_found(index: MemoryIndex, journal: Journal) -> None:
    text = " ".join(f"word{n} and so on." for n in range(300))
    journal.say("ann", text)
    feed(index, journal)
    kept = [hit for page in all_pages(index, "ann", "") for hit in page.hits]
    assert "".join(hit.text for hit in sorted(kept, key=lambda h: h.chunk)) == text
    assert max(len(hit.text) for hit in kept) <= MESSAGE_CHARS
    assert "word299 " in texts(index, "ann", "word299")[0]


# --- pages --------------------------------------------------------------------------------------------------------


def test_a_message_takes_one_place_by_its_best_piece(index: MemoryIndex, journal: Journal) -> None:
    filler = "Nothing of the kind stands here. " * 40
    for n in range(7):
        journal.answer(
            "ann", f"{filler}\n\nThe herring number {n}.\n\n{filler}\n\nAnother herring, salted herring {n}."
        )
    feed(index, journal)
    pages = all_pages(index, "ann", "salted herring")
    assert [len(page.hits) for page in pages] == [5, 2]
    assert {page.total for page in pages} == {7}
    assert len({hit.seq for page in pages for hit in page.hits}) == 7
    assert all("salted herring" in hit.text for page in pages for hit in page.hits)


def test_a_long_answer_is_no_better_for_its_length(index: MemoryIndex, journal: Journal) -> None:
    journal.say("ann", "The harbour has a new crane.", time_ms=START_MS)
    talk = "The harbour has boats, and a crane may be seen there; many a boat comes with wind, salt and ropes. " * 4
    journal.answer("ann", talk + "A harbour, a crane and the sea are what one paints.")
    feed(index, journal)
    assert texts(index, "ann", "harbour crane")[0] == "The harbour has a new crane."


def test_who_says_i_is_the_user_and_who_is_told_you_the_assistant(index: MemoryIndex, journal: Journal) -> None:
    journal.say("ann", "The bread that goes with soup is rye.", time_ms=START_MS)
    journal.answer("ann", "Rye bread it is.")
    feed(index, journal)
    assert texts(index, "ann", "Which bread do I like?")[0].startswith("The bread")
    assert texts(index, "ann", "Which bread did you propose?")[0] == "Rye bread it is."


def test_pages_cover_every_match_once_and_say_the_true_total(index: MemoryIndex, journal: Journal) -> None:
    for n in range(23):
        journal.say("ann", "nothing of the kind", time_ms=START_MS + 2 * n * DAY_MS)
        journal.say("ann", f"herring number {n}", time_ms=START_MS + (2 * n + 1) * DAY_MS)
    feed(index, journal)
    pages = all_pages(index, "ann", "herring")
    assert [len(page.hits) for page in pages] == [5, 5, 5, 5, 3]
    assert {page.total for page in pages} == {23}
    hits = [hit for page in pages for hit in page.hits]
    assert len({hit.seq for hit in hits}) == 23
    assert hits == sorted(hits, key=lambda h: (-h.score, -h.seq))
    for page in (5, 1000, -1):
        beyond = index.search(own("ann"), kind="message", query="herring", page=page, size=5)
        assert (beyond.hits, beyond.total) == ((), 23)


def test_equal_scores_come_newest_first(index: MemoryIndex, journal: Journal) -> None:
    for _ in range(7):
        journal.say("ann", "the same words", time_ms=START_MS)
    feed(index, journal)
    assert [h.seq for page in all_pages(index, "ann", "same words") for h in page.hits] == [7, 6, 5, 4, 3, 2, 1]


def test_days_are_listed_in_the_order_of_time(index: MemoryIndex, journal: Journal) -> None:
    times = [START_MS + offset for offset in (0, 5000, 2000, 2000, 9000, 3000, 4000, 10_000)]
    for n, time_ms in enumerate(times):
        journal.say("ann", f"remark {n}", time_ms=time_ms)
        journal.say("bob", f"other {n}", time_ms=time_ms)
    feed(index, journal)
    within: dict[str, Any] = {"start_ms": START_MS, "end_ms": START_MS + 9000, "size": 3}
    pages = [index.by_date(own("ann"), page=page, **within) for page in range(4)]
    assert [hit.text for page in pages for hit in page.hits] == [f"remark {n}" for n in (0, 2, 3, 5, 6, 1, 4)]
    assert {page.total for page in pages} == {7}
    assert index.by_date(own("ann"), start_ms=0, end_ms=START_MS - 1, page=0, size=3).total == 0
    assert index.by_date(own("ann", 3), **within, page=0).total == 3


@pytest.mark.parametrize("query", ["", "   ", "\n\t"])
def test_an_empty_query_shows_the_latest_first(index: MemoryIndex, journal: Journal, query: str) -> None:
    for n in range(6):
        journal.say("ann", f"remark {n}")
    feed(index, journal)
    assert texts(index, "ann", query) == [f"remark {n}" for n in (5, 4, 3, 2, 1, 0)]


def test_a_query_of_stop_words_falls_back_on_meaning(index: MemoryIndex, journal: Journal) -> None:
    journal.say("ann", "who is it that you are", time_ms=START_MS)
    journal.say("ann", "granite quarries", time_ms=START_MS + DAY_MS)
    feed(index, journal)
    assert texts(index, "ann", "who are you") == ["who is it that you are"]


@pytest.mark.parametrize(
    "query",
    ["herring " * 12_500, "x" * 100_000, "é🦊 " * 25_000, "\x00", "\ud800 herring", "!!! ???", "' OR 1=1 --"],
    ids=["words", "one word", "emoji", "nul", "surrogate", "punctuation", "sql"],
)
def test_odd_queries_are_answered(index: MemoryIndex, journal: Journal, query: str) -> None:
    journal.say("ann", "herring is a fish")
    feed(index, journal)
    page = index.search(own("ann"), kind="message", query=query, page=0, size=5)
    assert page.total == len(page.hits) == ("herring" in query)


def test_odd_texts_are_taken(index: MemoryIndex, journal: Journal) -> None:
    odd = ["", " ", "\x00", "🦊", "a\n" * 10, "the of and", "\u202eltr"]
    for text in odd:
        journal.say("ann", text)
    feed(index, journal)
    assert sorted(texts(index, "ann", "")) == sorted(odd[1:])
    assert texts(index, "ann", "granite") == []


# --- as of --------------------------------------------------------------------------------------------------------


def test_a_search_as_of_seq_n_sees_what_there_was_at_n(index: MemoryIndex, journal: Journal) -> None:
    for n in range(1, 11):
        journal.say("ann", f"herring {n}")
    feed(index, journal)
    assert sorted(h.seq for page in all_pages(index, "ann", "herring", as_of=4) for h in page.hits) == [1, 2, 3, 4]
    assert texts(index, "ann", "herring", as_of=0) == []


def test_results_as_of_n_do_not_change_when_more_is_applied(tmp_path: Path) -> None:
    journal = chatter(120)
    index = open_index(tmp_path / "memory", journal)
    cut = 200
    seqs = {agent: max(e.seq for e in journal.events[:cut] if e.stream == agent) for agent in AGENTS}
    feed(index, journal, to=cut)
    before = {agent: answers(index, (agent,), as_of=seqs[agent]) for agent in AGENTS}
    feed(index, journal)
    assert {agent: answers(index, (agent,), as_of=seqs[agent]) for agent in AGENTS} == before
    assert any(answers(index, (agent,)) != before[agent] for agent in AGENTS)
    index.close()


def test_results_do_not_depend_on_other_agents(tmp_path: Path) -> None:
    journal = chatter(120)
    alone = Journal()
    alone.events = [e for e in journal.events if e.stream == "ann"]
    together, apart = open_index(tmp_path / "together", journal), open_index(tmp_path / "apart", alone)
    feed(together, journal)
    apart.apply(alone.events, nth(journal.position))
    assert answers(together, ("ann",)) == answers(apart, ("ann",))
    together.close()
    apart.close()


# --- a projection -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_a_rebuild_in_other_batches_gives_the_same_answers(tmp_path: Path, batch: int) -> None:
    journal = chatter(60)
    path = tmp_path / "memory"
    index = open_index(path, journal)
    feed(index, journal, 50)
    first = answers(index, AGENTS)
    index.close()
    shutil.rmtree(path)
    index = open_index(path, journal)
    assert index.position.number == 0
    feed(index, journal, batch)
    assert index.position.number == journal.position
    assert answers(index, AGENTS) == first
    index.close()


def test_it_goes_on_where_it_was_and_passes_over_what_it_has(tmp_path: Path) -> None:
    journal = chatter(60)
    index = open_index(tmp_path / "memory", journal)
    feed(index, journal, to=100)
    index.close()
    index = open_index(tmp_path / "memory", journal)
    assert index.position.number == 100
    index.apply(journal.events[:150], nth(150))
    index.apply(journal.events[:150], nth(150))
    index.apply(journal.events[:10], nth(10))
    assert index.position.number == 150
    feed(index, journal)
    fresh = open_index(tmp_path / "fresh", journal)
    feed(fresh, journal)
    assert answers(index, AGENTS) == answers(fresh, AGENTS)
    index.close()
    fresh.close()


def test_events_that_bear_nothing_need_not_be_shown(tmp_path: Path) -> None:
    journal = chatter(30)
    journal.add("ann", TurnEnded(input=1))
    every, wanted = open_index(tmp_path / "every", journal), open_index(tmp_path / "wanted", journal)
    feed(every, journal)
    wanted.apply([e for e in journal.events if e.kind in BEARING], nth(journal.position))
    assert wanted.position.number == every.position.number == journal.position
    assert answers(wanted, AGENTS) == answers(every, AGENTS)
    every.close()
    wanted.close()


def test_a_batch_larger_than_one_write_is_taken_whole(index: MemoryIndex, journal: Journal) -> None:
    text = "".join(f"passage {n:05d}. " for n in range(2500))
    journal.archive("ann", text, *range(15, len(text) + 1, 15))
    for n in range(1500):
        journal.say("bob", f"remark {n}")
    feed(index, journal, 10_000)
    assert index.search(own("ann"), kind="passage", query="", page=0, size=1).total == 2500
    assert texts(index, "ann", "02499", kind="passage")[0] == "passage 02499. "
    assert index.search(own("bob"), kind="message", query="", page=0, size=1).total == 1500


APPLY_FOR_EVER = """
import sys
from pathlib import Path
from tests.worlds.journal import chatter, feed, open_index
journal = chatter(1500)
index = open_index(Path(sys.argv[1]), journal)
print("open", index.position.number, flush=True)
while index.position.number < journal.position:
    feed(index, journal, 7, to=min(index.position.number + 7, journal.position))
    if index.position.number % 5 == 0:
        index.flush()
    print(index.position.number, flush=True)
"""


def test_killed_again_and_again_it_ends_as_a_fresh_rebuild(tmp_path: Path) -> None:
    path, acknowledged = tmp_path / "memory", 0
    for round_ in range(3):
        command = [sys.executable, "-c", APPLY_FOR_EVER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert int(process.stdout.readline().split()[1]) >= acknowledged
            for _ in range(20 + 13 * round_):
                acknowledged = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
    journal = chatter(1500)
    index = open_index(path, journal)
    reached = index.position.number
    assert acknowledged <= reached < journal.position, "killed in the middle"
    feed(index, journal, to=reached + 50)
    fresh = open_index(tmp_path / "fresh", journal)
    feed(fresh, journal, 1000, to=reached + 50)
    assert answers(index, AGENTS) == answers(fresh, AGENTS)
    index.close()
    fresh.close()


# --- folders ------------------------------------------------------------------------------------------------------


def test_a_folder_in_use_is_refused_by_name(tmp_path: Path) -> None:
    journal = chatter(5)
    path = tmp_path / "memory"
    index = open_index(path, journal)
    feed(index, journal)
    with pytest.raises(StorageUnavailable, match=rf"{path} is in use by another process\. Stop that one"):
        open_index(path, journal)
    feed(index, journal)
    first = answers(index, AGENTS)
    index.close()
    index = open_index(path, journal)
    assert index.position.number == journal.position
    assert answers(index, AGENTS) == first
    index.close()


def test_a_folder_that_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnavailable, match=r"memory cannot be used: Not a directory .* Move the file away"):
        open_index(tmp_path / "file" / "memory", Journal())


def garbage(file: Path) -> None:
    file.write_bytes(b"garbage!" * 100)


def gone(file: Path) -> None:
    file.unlink()


HEALED = ("versions", "tracker.dat")
"""What the engine's own write-ahead log may mend, when it still holds every write."""


def test_what_stands_where_a_shard_is_set_aside_is_no_hindrance(tmp_path: Path) -> None:
    for name in ("shard", "shard.bad"):
        (tmp_path / name).write_text("no shard")
    reindex(EdgeHome(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "shard.bad"]
    reindex(EdgeHome(tmp_path))


@pytest.mark.parametrize(
    ("pattern", "harm"),
    [
        ("edge_config.json", garbage),
        ("wal/open-*", garbage),
        ("segments/*/segment.json", garbage),
        ("segments/*/version.info", gone),
        ("segments/*/mutable_id_tracker.versions", garbage),
        ("segments/*/mutable_id_tracker.mappings", garbage),
        ("segments/*/payload_storage/page_0.dat", garbage),
        ("segments/*/payload_storage/tracker.dat", garbage),
        ("segments/*/vector_storage-words/store/page_0.dat", gone),
        ("damaged", garbage),
    ],
)
def test_a_damaged_folder_is_set_aside_and_built_again(
    tmp_path: Path, pattern: str, harm: Callable[[Path], None]
) -> None:
    journal = chatter(40)
    path = tmp_path / "memory"
    index = open_index(path, journal)
    feed(index, journal, 10)
    first = answers(index, AGENTS)
    index.close()
    shard = path / "shard"
    for file in list(shard.glob(pattern)) or [shard / pattern]:
        harm(file)
    with capture_logs() as logs:
        index = open_index(path, journal)
    rebuilt = [log["event"] for log in logs] == ["index is built again from the log"]
    assert rebuilt or pattern.endswith(HEALED)
    assert rebuilt == (path / "shard.bad").is_dir()
    assert index.position.number == (0 if rebuilt else journal.position)
    feed(index, journal)
    assert answers(index, AGENTS) == first
    index.close()


def test_an_index_of_another_log_is_built_again(tmp_path: Path) -> None:
    journal = chatter(5)
    path = tmp_path / "memory"
    index = open_index(path, journal)
    feed(index, journal)
    index.close()
    index = open_index(path, journal)
    index.apply([], nth(journal.position + 3))  # events that bear nothing
    index.close()
    index = open_index(path, journal)
    assert index.position.number == journal.position + 3
    index.close()
    for seed in (2, 3):  # the second time there is a folder set aside already
        other = chatter(9, seed=seed)
        assert other.position > journal.position, "that it is ahead of the log is not what tells"
        index = open_index(path, other)
        assert index.position.number == 0
        assert texts(index, "ann", "") == []
        feed(index, other)
        index.close()


def test_an_empty_folder_is_a_new_index(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "memory"
    path.mkdir(parents=True)
    index = open_index(path, Journal())
    assert index.position.number == 0
    index.close()


def test_the_kinds_that_bear_points_are_events() -> None:
    assert set(KINDS) >= BEARING


def test_a_texts_vector_does_not_depend_on_its_batch() -> None:
    some = ["short", "", "a much longer text, " * 400, *TOPICS]
    together = embedder().embed(some)
    apart = np.concatenate([embedder().embed([text]) for text in some])
    assert together.tobytes() == apart.tobytes()
    assert not together[1].any()


def test_messages_with_the_same_words_in_two_streams_are_two_points(index: MemoryIndex, journal: Journal) -> None:
    for agent in ("ann", "bob"):
        journal.add(agent, UserMessageReceived(text="same"), time_ms=START_MS, seq=5)
    feed(index, journal)
    assert texts(index, "ann", "same") == texts(index, "bob", "same") == ["same"]


def test_what_is_hidden_is_not_found_and_does_not_count(index: MemoryIndex, journal: Journal) -> None:
    """The input that is being answered, and those that wait, are not the agent's memory yet."""
    for n in range(4):
        journal.say("ann", f"the spare key of door {n}", time_ms=START_MS)
    feed(index, journal)
    hidden = frozenset({2, 4})
    found = index.search(own("ann"), kind="message", query="key", page=0, size=9, hidden=hidden)
    dated = index.by_date(own("ann"), start_ms=START_MS, end_ms=START_MS, page=0, size=9, hidden=hidden)
    assert [hit.seq for hit in found.hits] == [3, 1]
    assert [hit.seq for hit in dated.hits] == [1, 3]
    assert found.total == dated.total == 2


# --- what was said before -----------------------------------------------------------------------------------------


def test_an_answer_is_found_by_the_question_before_it(index: MemoryIndex, journal: Journal) -> None:
    journal.say("ann", "What is the terrier called?")
    journal.answer("ann", "Biscuit.")
    journal.say("ann", "Biscuit for tea", time_ms=START_MS + DAY_MS)
    feed(index, journal)
    page = index.search(own("ann"), kind="message", query="terrier", page=0, size=5)
    assert [hit.text for hit in page.hits] == ["Biscuit.", "What is the terrier called?"]
    assert page.total == 2


def test_a_login_and_a_pause_begin_a_session(index: MemoryIndex, journal: Journal) -> None:
    journal.say("ann", "the terrier barks", time_ms=START_MS)
    journal.say("ann", "after a pause", time_ms=START_MS + PAUSE_MS)
    journal.say("ann", "the heron stalks", time_ms=START_MS + PAUSE_MS)
    journal.add("ann", UserLoggedIn(), time_ms=START_MS + PAUSE_MS)
    journal.say("ann", "after a login", time_ms=START_MS + PAUSE_MS)
    feed(index, journal)
    assert texts(index, "ann", "terrier") == ["the terrier barks"]
    assert texts(index, "ann", "heron") == ["the heron stalks"]


def test_who_is_named_comes_first(index: MemoryIndex, journal: Journal) -> None:
    journal.say("ann", "Theo, which bread do you bake?", name="Marguerite")
    journal.say("ann", "I bake rye bread, Marguerite", name="Theo")
    feed(index, journal)
    assert texts(index, "ann", "What bread does Theo bake?")[0] == "I bake rye bread, Marguerite"


def test_irregular_forms_are_one_word(index: MemoryIndex, journal: Journal) -> None:
    journal.say("ann", "the children went swimming")
    feed(index, journal)
    assert (
        texts(index, "ann", "where did the child go") == texts(index, "ann", "swam") == ["the children went swimming"]
    )


@pytest.mark.parametrize("batch", [1, 13])
def test_contexts_are_the_same_after_restarts_in_the_middle(tmp_path: Path, batch: int) -> None:
    """What was said before is read from the log where it is not held: the points are the same to the last bit."""
    journal = chatter(60)
    whole = open_index(tmp_path / "whole", journal)
    feed(whole, journal)
    cut = tmp_path / "cut"
    for _ in range(0, journal.position, 40):
        index = open_index(cut, journal)
        feed(index, journal, batch, to=min(index.position.number + 40, journal.position))
        index.close()
    index = open_index(cut, journal)
    feed(index, journal)
    assert points(index) == points(whole)
    assert answers(index, AGENTS) == answers(whole, AGENTS)
    index.close()
    whole.close()


def points(index: MemoryIndex) -> list[tuple[object, object]]:
    """All points of a shard, with their vectors."""
    from qdrant_edge import ScrollRequest, SparseVector

    engine = index._engine
    assert isinstance(engine, EdgeEngine)
    records, _ = engine._shard.scroll(ScrollRequest(limit=10_000, with_payload=True, with_vector=True))

    def plain(vector: object) -> object:
        return sorted(zip(vector.indices, vector.values, strict=True)) if isinstance(vector, SparseVector) else vector

    return [
        (record.payload, {name: plain(v) for name, v in record.vector.items()})
        for record in records
        if isinstance(record.vector, dict) and "mark" not in (record.payload or {})
    ]


# --- documents ----------------------------------------------------------------------------------------------------


def test_a_documents_passages_are_found_with_what_it_takes_to_cite_them(tmp_path: Path) -> None:
    desk, index = shelf(tmp_path)
    hits = index.search(seen(desk), kind="passage", query="valve", page=0, size=5).hits
    assert [(h.speaker, h.path, h.first_line, h.last_line, h.heading) for h in hits] == [
        ("manuals", "pumps.md", 10, 12, "Pumps > Valves")
    ]
    assert search_page(hits, 1, 0, 5) == (
        'Showing 1 of 1 results (page 0/0): ["timestamp: 2026-11-22 15:24:15 UTC, source: manuals, document: pumps.md, '
        'lines 10-12, under “Pumps > Valves”: Open the red valve first."]'
    )
    by_heading = index.search(seen(desk), kind="passage", query="pumps", page=0, size=5).hits
    assert [h.path for h in by_heading] == ["pumps.md"]
    index.close()


def test_a_removed_document_is_found_as_of_before_and_not_after(tmp_path: Path) -> None:
    desk, index = shelf(tmp_path)
    before = seen(desk)
    (first, *_) = desk.read("source:manuals", kinds=frozenset({"DocumentOpened"}))
    opened = decode(first)
    assert isinstance(opened, DocumentOpened)
    desk.remove("manuals", opened.document)
    catch_up(index, desk)
    assert index.search(before, kind="passage", query="valve", page=0, size=5).total == 1
    assert index.search(seen(desk), kind="passage", query="valve", page=0, size=5).total == 0
    assert index.search(seen(desk), kind="passage", query="drill", page=0, size=5).total == 1
    desk.add("source:manuals", SourceUnloaded())
    catch_up(index, desk)
    assert index.search(seen(desk), kind="passage", query="", page=0, size=5).total == 0
    desk.document("manuals", "pumps.md", [Passage(text="The valve is back.")])
    catch_up(index, desk)
    assert index.search(seen(desk), kind="passage", query="valve", page=0, size=5).total == 1
    anew = MemoryIndex.open(tmp_path / "anew", embedder(), desk.read)
    catch_up(anew, desk)
    for views in (before, seen(desk)):
        for query in ("valve", "drill", ""):
            pages = [each.search(views, kind="passage", query=query, page=0, size=5) for each in (index, anew)]
            assert pages[0] == pages[1], "what is built again finds the same"
    index.close()
    anew.close()


def shelf(tmp_path: Path) -> tuple[Desk, MemoryIndex]:
    """A source of two documents, and the index that has them."""
    desk = Desk()
    desk.source("manuals")
    valve = Passage(text="Open the red valve first.", first_line=10, last_line=12, heading="Pumps > Valves")
    desk.document("manuals", "pumps.md", [valve])
    desk.document("manuals", "drills.md", [Passage(text="A drill makes holes.")])
    index = MemoryIndex.open(tmp_path / "index", embedder(), desk.read)
    catch_up(index, desk)
    return desk, index


def catch_up(index: MemoryIndex, desk: Desk) -> None:
    index.apply(*desk.tail(index.position, 1 << 30, BEARING))


def seen(desk: Desk) -> tuple[View, ...]:
    return View("ada", 0), View("source:manuals", desk.seq_at("source:manuals", desk.position(FIRST_PARTITION)))


# --- embedders ----------------------------------------------------------------------------------------------------


class Other(WordLlamaEmbedder):
    name = "another"  # type: ignore[misc]  # by another name


def test_a_changed_embedder_is_refused_until_the_index_is_dropped(tmp_path: Path) -> None:
    journal = chatter(10)
    path = tmp_path / "memory"
    index = open_index(path, journal)
    feed(index, journal)
    with pytest.raises(StorageUnavailable, match="in use by another process"):
        reindex(EdgeHome(path))
    index.close()
    for _ in range(2):  # the refusal changes nothing, and lets the folder go
        with pytest.raises(EmbedderChanged, match=r"embedder wordllama \(256.* another \(.* is set"):
            MemoryIndex.open(path, Other(), journal.read)
    reindex(EdgeHome(path))
    index = MemoryIndex.open(path, Other(), journal.read)
    assert index.position.number == 0
    index.close()


def test_an_embedder_that_is_not_there_is_named() -> None:
    with pytest.raises(BadInput, match=r"no embedder 'nonsense' here.*wordllama"):
        embedder_named("nonsense")


# --- who said it, and when ----------------------------------------------------------------------------------------


def test_a_search_may_name_who_said_it_and_the_days(index: MemoryIndex, journal: Journal) -> None:
    journal.say("ann", "The herring is salted.", name="Eve", time_ms=START_MS)
    journal.answer("ann", "A herring, then.")
    journal.say("ann", "Another herring came.", time_ms=START_MS + 3 * DAY_MS)
    feed(index, journal)

    def seqs(**arguments: str) -> list[int]:
        call = FunctionCalled(call="c", name="conversation_search", arguments={"query": "herring", **arguments})
        page = search(index, call, sight_of("ann", EVERYTHING, ()))
        assert page.total == len(page.hits)
        return sorted(hit.seq for hit in page.hits)

    assert seqs() == seqs(who="", start_date=" ") == [1, 2, 3]
    assert seqs(who="user") == [1, 3], "whatever name they have"
    assert seqs(who="Assistant") == [2]
    assert seqs(who="eve") == [1]
    assert seqs(start_date="2026-11-23") == [3]
    assert seqs(end_date="2026-11-22") == [1, 2]
    assert seqs(who="user", start_date="2026-11-22", end_date="2026-11-24") == [1]
    assert seqs(query="", who="user") == [1, 3]
    with pytest.raises(ValueError, match=r"Nobody is called 'Bob' here: who is one of Eve, assistant, user"):
        seqs(who="Bob")
    with pytest.raises(ValueError, match="is not a date written as YYYY-MM-DD"):
        seqs(start_date="yesterday")
    with pytest.raises(ValueError, match=r"start_date .* is after end_date"):
        seqs(start_date="2026-11-23", end_date="2026-11-22")


@pytest.mark.parametrize("kind", ["message", "passage"])
def test_the_one_that_has_the_word_comes_first_for_a_query_of_one_word(tmp_path: Path, kind: PointKind) -> None:
    journal = Journal()
    minutes = "The next meeting takes place on Thursday, in the small room. " + (
        "The budget was accepted with two votes against, and the roof is to be mended before the winter. " * 6
    )
    day = START_MS + 2 * 86_400_000  # a Tuesday
    for text in (minutes, "The library is closed on Sunday and Monday.", "Friday is fish day.", "Saturday is market."):
        journal.say("ann", text, time_ms=day)
        journal.archive("ann", text)
        day += 3 * 3_600_000
    index = open_index(tmp_path / "index", journal)
    feed(index, journal)
    assert index.search(own("ann"), kind=kind, query="Thursday", page=0, size=5).hits[0].text == minutes
    index.close()


def test_more_words_find_no_less_in_a_table(tmp_path: Path) -> None:
    journal, table = Journal(), "Vessel; Length\nRazorbill; 31 m\nGuillemot; 12 m\nFulmar; 17 m"
    for text in (table, *(f"How long is the {race} race? As long as ever." for race in ("river", "island", "winter"))):
        journal.archive("ann", text)
    index = open_index(tmp_path / "index", journal)
    feed(index, journal)
    for asked in ("Razorbill", "How long is Razorbill?", "how long is razorbill"):
        hits = index.search(own("ann"), kind="passage", query=asked, page=0, size=5).hits
        assert table in [hit.text for hit in hits]
    index.close()


@pytest.mark.parametrize("restarted", [False, True])
def test_a_correction_that_names_nothing_is_found_by_what_it_corrects(tmp_path: Path, restarted: bool) -> None:
    journal = Journal()
    journal.say("ann", "The launch of the shop is on Tuesday.")
    journal.answer("ann", "Thank you.")
    journal.say("ann", "My sister Ana paints.")
    journal.say("ann", "Actually, make that Thursday.", time_ms=START_MS + 86_400_000)
    index = open_index(tmp_path / "index", journal)
    if restarted:
        feed(index, journal, to=journal.position - 1)
        index.close()
        index = open_index(tmp_path / "index", journal)
    feed(index, journal)
    hits = index.search(own("ann"), kind="message", query="launch of the shop", page=0, size=5).hits
    assert "Actually, make that Thursday." in [hit.text for hit in hits]
    index.close()
