"""One storage design, two engines: the same log makes the same answers on each, and a server that fails says so."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from qdrant_client import models

from palimpsest.events.documents import Passage, pack_passages
from palimpsest.events.errors import BadInput, EmbedderChanged, StorageAway, StorageUnavailable
from palimpsest.events.passages import HitPage
from palimpsest.events.types import DocumentRemoved, PassagesLoaded
from palimpsest.store.index.engine_server import ServerHome, connected
from palimpsest.store.index.points import View
from palimpsest.store.index.projection import MemoryIndex, reindex
from tests.store.index.test_projection import Other
from tests.worlds.engines import Homes, Memory
from tests.worlds.journal import EVERYTHING, START_MS, Journal, answers, chatter, embedder, feed, own
from tests.worlds.positions import nth
from tests.worlds.qdrant_rest import answering, serving

AGENTS = ("ann", "bob", "cyd")
SOURCE = "source:manuals"
KEY = "qd-secret-key-0815"
DIGITS = 5
"""An engine adds in an order of its own: scores may differ in the sixth place."""


@pytest.fixture
def remote(homes: Homes) -> Homes:
    """The homes that are a server's."""
    if homes.memory is None:
        pytest.skip("of the server's engine in local mode")
    return homes


def library() -> Journal:
    """Agents that talk, and a source of which a document was removed."""
    journal = chatter(18, AGENTS)
    for number in range(12):
        texts = [f"Chapter {number}, part {part}: the {word} valve." for part, word in enumerate(("red", "blue"))]
        passages = pack_passages([Passage(text=text, page=number + 1) for text in texts])
        name = f"book-{number % 3}"
        loaded = PassagesLoaded(document=name, path=f"{name}.md", first=2 * number, count=2, chars=60, packed=passages)
        journal.add(SOURCE, loaded)
    journal.add(SOURCE, DocumentRemoved(document="book-1", reason="unload"))
    journal.say("ann", "Thank you for the valves")
    return journal


def opened(homes: Homes, path: Path, journal: Journal, batch: int = 40) -> MemoryIndex:
    index = MemoryIndex.at(homes.home(path), embedder(), journal.read)
    feed(index, journal, batch=batch)
    return index


def answered(index: MemoryIndex, journal: Journal) -> list[Any]:
    """What it says to many questions, of several as-ofs, kinds and views; scores to `DIGITS`."""
    pages = [each for as_of in (7, EVERYTHING) for each in answers(index, AGENTS, as_of)]
    removed = next(e.seq for e in journal.events if e.kind == "DocumentRemoved")
    for as_of in (4, removed - 1, removed):
        views = (View("ann", EVERYTHING), View(SOURCE, as_of))
        pages += [
            [index.search(views, kind="passage", query=query, page=p, size=5) for p in range(3)]
            for query in ("the red valve", "chapter 7", "painter", "")
        ]
    start, end = START_MS + 20_000, START_MS + 90_000
    pages += [
        [index.by_date(own(agent), start_ms=start, end_ms=end, page=p, size=5) for p in range(3)] for agent in AGENTS
    ]
    return [[_rounded(page) for page in each] for each in pages]


def _rounded(page: HitPage) -> tuple[int, list[Any]]:
    return page.total, [msgspec.structs.replace(hit, score=round(hit.score, DIGITS)) for hit in page.hits]


def test_the_same_log_makes_the_same_answers_on_every_engine(tmp_path: Path, homes: Homes) -> None:
    journal = library()
    embedded = MemoryIndex.open(tmp_path / "embedded", embedder(), journal.read)
    feed(embedded, journal, batch=17)
    expected = answered(embedded, journal)
    embedded.close()
    index = opened(homes, tmp_path / "index", journal)
    assert answered(index, journal) == expected
    position, points = index.position, index.points
    index.close()
    again = MemoryIndex.at(homes.home(tmp_path / "index"), embedder(), journal.read)
    assert (again.position, again.points) == (position, points)
    again.close()
    reindex(homes.home(tmp_path / "index"))
    anew = opened(homes, tmp_path / "index", journal, batch=1000)
    assert answered(anew, journal) == expected
    anew.close()


def test_another_embedder_is_refused_on_every_engine_until_the_index_is_dropped(tmp_path: Path, homes: Homes) -> None:
    journal = chatter(5)
    opened(homes, tmp_path / "index", journal).close()
    with pytest.raises(EmbedderChanged, match=r"and another .* is set"):
        MemoryIndex.at(homes.home(tmp_path / "index"), Other(), journal.read)
    reindex(homes.home(tmp_path / "index"))
    index = MemoryIndex.at(homes.home(tmp_path / "index"), Other(), journal.read)
    assert index.position.number == 0
    index.close()


def test_one_process_at_a_time_has_an_index_on_every_engine(tmp_path: Path, homes: Homes) -> None:
    index = opened(homes, tmp_path / "index", chatter(3))
    with pytest.raises(StorageUnavailable, match="in use by another process"):
        homes.home(tmp_path / "index")
    index.close()


# --- a server's own troubles: crashes between operations, collections that go, names ------------------------------


class Torn(Memory):
    """Loses the connection in the middle of a batch, once `breaks`: after its first operation."""

    breaks = False

    def batch_update_points(self, collection_name: str, update_operations: Sequence[Any], **options: Any) -> Any:  # type: ignore[override]
        if self.breaks:
            super().batch_update_points(collection_name, update_operations[:1], **options)
            raise StorageAway("the connection is lost")
        return super().batch_update_points(collection_name, update_operations, **options)


@pytest.mark.parametrize("cut", [30, 70])
def test_a_batch_that_was_cut_off_is_done_again_with_nothing_twice(tmp_path: Path, cut: int) -> None:
    journal, client = library(), Torn()
    whole = opened(_homes_of(Memory()), tmp_path / "whole", journal)
    expected, points = answered(whole, journal), whole.points
    homes = _homes_of(client)
    index = MemoryIndex.at(homes.home(tmp_path / "index"), embedder(), journal.read)
    feed(index, journal, batch=25, to=cut)
    client.breaks = True
    with pytest.raises(StorageAway):
        feed(index, journal, batch=25)
    client.breaks = False
    index.close()
    index = opened(homes, tmp_path / "index", journal, batch=7)
    assert index.points == points
    assert answered(index, journal) == expected
    index.close()


def _homes_of(client: Memory) -> Homes:
    homes = Homes("local", "")
    homes.memory = client
    return homes


def test_a_collection_that_lost_points_or_its_mark_or_is_another_logs_is_built_again(
    tmp_path: Path, remote: Homes
) -> None:
    journal, memory = chatter(10), remote.memory
    assert memory is not None
    index = opened(remote, tmp_path / "index", journal)
    expected, points = answers(index, AGENTS), index.points
    index.close()
    (name,) = [each.name for each in memory.get_collections().collections]
    some, _ = memory.scroll(name, limit=3)
    nothing = "00000000-0000-0000-0000-000000000000"
    lost = next(str(point.id) for point in some if str(point.id) != nothing)
    for gone in (lost, nothing):
        memory.delete(name, models.PointIdsList(points=[gone]))
        index = MemoryIndex.at(remote.home(tmp_path / "index"), embedder(), journal.read)
        assert index.position.number == 0
        feed(index, journal)
        assert (answers(index, AGENTS), index.points) == (expected, points)
        index.close()
    index = MemoryIndex.at(remote.home(tmp_path / "index"), embedder(), chatter(10, seed=2).read)
    assert index.position.number == 0, "of another log"
    index.close()


def test_neither_a_copy_of_a_folder_nor_another_has_its_collection(tmp_path: Path, remote: Homes) -> None:
    memory = remote.memory
    assert memory is not None
    names = []
    for path in (tmp_path / "one", tmp_path / "two"):
        opened(remote, path, chatter(3)).close()
        names.append({each.name for each in memory.get_collections().collections})
    shutil.copytree(tmp_path / "one", tmp_path / "copy")
    opened(remote, tmp_path / "copy", chatter(3)).close()
    opened(remote, tmp_path / "one", chatter(3)).close()
    last = {each.name for each in memory.get_collections().collections}
    assert [len(each) for each in (*names, last)] == [1, 2, 3]
    assert all(name.startswith("palimpsest-") for name in last)


# --- over HTTP: down, a wrong key, a question that is refused -------------------------------------------------------


def at(url: str, path: Path) -> MemoryIndex:
    return MemoryIndex.at(ServerHome(path, connected(url, KEY, timeout_s=5), url), embedder(), chatter(1).read)


def test_a_server_that_is_down_is_said_to_be_and_lets_the_folder_go(tmp_path: Path) -> None:
    with answering(200, "") as url:
        pass
    for _ in range(2):
        with pytest.raises(StorageAway, match=r"127\.0\.0\.1:\d+ does not answer .* Start it, or check") as caught:
            at(url, tmp_path / "index")
        assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "says"),
    [(401, "refuses the key"), (403, "refuses the key"), (429, "too much|429"), (500, "status 500: it broke")],
)
def test_a_server_that_refuses_is_quoted_without_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, says: str
) -> None:
    monkeypatch.setenv("QDRANT_API_KEY", KEY)
    seen: list[str] = []
    with answering(status, f"it broke with {KEY}", seen) as url:
        with pytest.raises(StorageAway, match=says) as caught:
            at(url, tmp_path / "index")
        assert KEY not in str(caught.value)
    assert seen == [KEY]


@pytest.mark.parametrize("url", ["localhost:6333", "http://", "http://me:secret@host", "http://host?key=1", "ftp://x"])
def test_what_is_no_servers_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(BadInput, match="QDRANT_API_KEY") as caught:
        connected(url)
    assert "secret" not in str(caught.value)


def test_a_key_that_http_cannot_carry_is_refused_and_not_shown() -> None:
    with pytest.raises(BadInput, match="characters that HTTP cannot carry") as caught:
        connected("http://host", "schlüssel")
    assert "schl" not in str(caught.value)


def test_a_server_that_goes_away_and_comes_back_empty_gets_all_again(tmp_path: Path) -> None:
    journal = chatter(6)
    with serving(Memory()) as url:
        index = MemoryIndex.at(ServerHome(tmp_path / "index", connected(url), url), embedder(), journal.read)
        feed(index, journal)
        expected = answers(index, AGENTS)
    with pytest.raises(StorageAway, match="does not answer"):
        index.search(own("ann"), kind="message", query="remark", page=0, size=5)
    with pytest.raises(StorageAway, match="does not answer"):
        index.apply([], nth(journal.position + 1))
    index.close()
    with serving(Memory()) as url:
        index = MemoryIndex.at(ServerHome(tmp_path / "index", connected(url), url), embedder(), journal.read)
        assert index.position.number == 0
        feed(index, journal)
        assert answers(index, AGENTS) == expected
        index.close()


def test_a_collection_that_is_dropped_under_a_running_index_is_missed_and_made_again(tmp_path: Path) -> None:
    journal, memory = chatter(6), Memory()
    with serving(memory) as url:
        homes = Homes("http", url)
        index = opened(homes, tmp_path / "index", journal)
        (name,) = [each.name for each in memory.get_collections().collections]
        memory.delete_collection(name)
        with pytest.raises(StorageAway, match="status 404"):
            index.apply([], nth(journal.position + 1))
        index.close()
        index = opened(homes, tmp_path / "index", journal)
        assert index.points > 0
        index.close()
