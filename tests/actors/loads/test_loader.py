"""The loader and the calls on sources, on a log in memory: every passage once, whatever was cut off, changed or bad."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bench.small_files import W, paragraph, zipped
from palimpsest.actors.links.calls import KNOWN
from palimpsest.actors.links.direct import DirectLog
from palimpsest.actors.loads.loader import Loader
from palimpsest.actors.loads.loading import Progress, Report
from palimpsest.actors.requests import sources
from palimpsest.events.codec import decode, draft
from palimpsest.events.errors import BadInput, LogUnavailable, UnknownAgent, UnknownSource, WindowTooSmall
from palimpsest.events.evolve import fold
from palimpsest.events.position import FIRST_PARTITION
from palimpsest.events.prompts import newborn
from palimpsest.events.sources import Source
from palimpsest.events.types import PassagesLoaded, Settings, SettingsChanged, UploadFinished
from palimpsest.store.library.reading import Library
from palimpsest.store.logs.contract import Append, Appended
from palimpsest.store.logs.in_memory import InMemoryLog
from tests.simulation.promises import Watch

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


class Place:
    """A folder of files, and a log with two agents."""

    def __init__(self, path: Path) -> None:
        self.folder = path / "files"
        self.folder.mkdir()
        self.log = InMemoryLog()
        self.log.open_epoch()
        for agent in ("ada", "bob"):
            self.log.append([Append((draft(agent, 0, newborn(Settings()), key="create"),))])

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def load(self, *paths: Path, log: DirectLog | None = None, **options: Any) -> Report:
        loader = Loader(log or DirectLog(self.log), "manuals", on_progress=options.pop("on_progress", None))
        report = run(loader.load(paths or (self.folder,), **options))
        Watch().look(self.log)
        return report

    @property
    def source(self) -> Source:
        return run(sources.known(DirectLog(self.log), "manuals", gone=True))

    def text(self, path: str) -> str:
        """A document's text, as its passages in the log have it."""
        library = Library(self.log)
        (source,) = library.sources({"manuals": self.source.seq})
        shelf = library.find([source], path)
        return "".join(library.page(shelf, page, 500).text for page in range(-(-shelf.document.chars // 500)))

    def numbers(self, path: str) -> list[int]:
        """The numbers of all passages that the log has of the living documents at a path."""
        living = {document.id: document.opened for document in self.source.at_path(path)}
        events = [(e.seq, decode(e)) for e in self.log.read("source:manuals")]
        return sorted(
            number
            for seq, event in events
            if isinstance(event, PassagesLoaded) and seq > living.get(event.document, 1 << 60)
            for number in range(event.first, event.first + event.count)
        )

    def uploads(self, agent: str) -> list[UploadFinished]:
        return [event for event in map(decode, self.log.read(agent)) if isinstance(event, UploadFinished)]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def prose(lines: int, word: str = "pump") -> str:
    return "".join(f"Line {n}: the {word} number {n} is checked every {n} days by two people.\n" for n in range(lines))


class Dies(DirectLog):
    """A log whose client is killed at its nth append; before or after that append is durable."""

    def __init__(self, store: InMemoryLog, at: int, *, after: bool) -> None:
        super().__init__(store)
        self.left = at
        self.after = after

    async def append(self, append: Append) -> list[Appended]:
        self.left -= 1
        if self.left < 0:
            raise KeyError("killed")
        answers = await super().append(append) if self.left or self.after else []
        if self.left == 0:
            raise KeyError("killed")
        return answers


# --- loading ------------------------------------------------------------------------------------------------------


def test_a_folder_becomes_a_source(place: Place) -> None:
    place.write("a.txt", prose(300))
    place.write("sub/b.md", "# Install\n\nOpen the red valve first.\n")
    report = place.load(agents=("ada",))
    assert [(each.path, each.replaced) for each in report.loaded] == [("a.txt", False), ("sub/b.md", False)]
    assert (report.skipped, report.refused, report.attached) == ((), (), ("ada",))
    source = place.source
    assert [document.path for document in source.loaded] == ["a.txt", "sub/b.md"]
    assert source.passages == report.passages == sum(each.passages for each in report.loaded)
    assert list(source.agents) == ["ada"]
    assert place.numbers("a.txt") == list(range(source.loaded[0].passages))
    assert [line for line in place.text("a.txt").splitlines() if line.strip()] == prose(300).splitlines()
    state = fold(place.log.read("ada"))
    assert state is not None
    assert state.sources == ("manuals",)


def test_what_is_there_is_skipped_and_nothing_is_told_again(place: Place) -> None:
    place.write("a.txt", prose(30))
    first = place.load(agents=("ada", "bob"))
    assert first.told == ("ada", "bob")
    position = place.log.position(FIRST_PARTITION)
    again = place.load(agents=("ada",))
    assert (again.skipped, again.loaded, again.told, again.attached, again.passages) == (("a.txt",), (), (), (), 0)
    assert place.log.position(FIRST_PARTITION) == position
    assert first.position == position == again.position, "its word to the agents is there already"
    (upload,) = place.uploads("ada")
    assert upload.source == "manuals"
    assert upload.detail.startswith(f"1 document, {first.passages} passages: a.txt. Search them with")


def test_bytes_that_are_there_under_another_path_are_told(place: Place) -> None:
    path = place.write("sub/b.txt", prose(3))
    assert place.load().same == ()
    place.write("a.txt", prose(3))
    place.write("c.txt", prose(4))
    assert place.load(place.folder).same == (("a.txt", "sub/b.txt"),)
    assert place.load(path).same == (("b.txt", "sub/b.txt"),)
    assert place.load(path).same == (), "it is skipped"


def test_a_changed_file_takes_the_place_of_what_it_was(place: Place) -> None:
    place.write("a.txt", prose(30))
    place.load(agents=("ada",))
    place.write("a.txt", prose(20, "valve"))
    report = place.load()
    assert [each.replaced for each in report.loaded] == [True]
    assert len(place.source.loaded) == 1
    assert "valve" in place.text("a.txt")
    assert len(place.uploads("ada")) == 2
    place.write("a.txt", prose(30))
    place.load()
    assert "pump" in place.text("a.txt"), "what it was before comes back under keys of its own"
    assert place.numbers("a.txt") == list(range(place.source.passages))


@pytest.mark.parametrize("after", [False, True], ids=["before it was durable", "after it was durable"])
@pytest.mark.parametrize("at", range(1, 14))
def test_a_load_that_is_killed_at_any_append_goes_on_where_it_stopped(place: Place, at: int, after: bool) -> None:
    place.write("a.txt", prose(2500))
    place.write("b.txt", prose(9))
    place.load(place.write("old/a.txt", "old"))
    with pytest.raises(KeyError):
        place.load(place.folder, log=Dies(place.log, at, after=after), agents=("ada",))
    place.load(place.folder, agents=("ada",))
    source = place.source
    assert [document.path for document in source.loaded if "old" not in document.path] == ["a.txt", "b.txt"]
    assert source.loading == []
    for document in source.loaded:
        assert place.numbers(document.path) == list(range(document.passages)), "every passage is there once"
    assert len(place.uploads("ada")) == 1
    assert place.load(place.folder).loaded == ()


def test_one_bad_file_does_not_stop_the_rest(place: Place) -> None:
    place.write("a.txt", prose(3))
    place.write("empty.txt", "")
    place.write("blank.txt", "\n \n")
    place.write("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(100))
    place.write("z.txt", prose(3))
    (place.folder / "loop").symlink_to(place.folder)
    report = place.load(place.folder, place.folder / "nothing", agents=("ada",))
    assert [each.path for each in report.loaded] == ["a.txt", "z.txt"]
    refused = {Path(each.path).name: each.reason for each in report.refused}
    assert set(refused) == {"blank.txt", "empty.txt", "picture.png", "loop", "nothing"}
    assert all(reason for reason in refused.values())
    assert {document.reason for document in place.source.refused.values()} == set(refused.values())
    position = place.log.position(FIRST_PARTITION)
    assert len(place.load(place.folder, place.folder / "nothing").refused) == 5
    assert place.log.position(FIRST_PARTITION) == position, "a refusal that is known is not written again"
    assert len(place.uploads("ada")) == 1


def test_what_shows_late_that_it_is_bad_is_no_news_to_agents(place: Place) -> None:
    place.write("a.txt", prose(3))
    paragraphs = "".join(paragraph(line) for line in prose(4000).splitlines())
    place.write("torn.docx", zipped({"word/document.xml": f"<w:document {W}>{paragraphs}"}))
    for told in (("ada",), ()):
        report = place.load(agents=("ada",))
        assert ([each.path for each in report.refused], report.told) == (["torn.docx"], told)
    assert place.source.at_path("torn.docx") == []


def test_a_file_that_changes_while_it_is_read_leaves_nothing(place: Place) -> None:
    path = place.write("a.txt", prose(3000))

    def change(progress: Progress) -> None:
        if 0 < progress.done_bytes < progress.total_bytes:
            path.write_text(prose(10))

    report = place.load(on_progress=change)
    assert "changed while it was read" in report.refused[0].reason
    assert (place.source.loaded, place.source.loading, place.source.at_path("a.txt")) == ([], [], [])
    assert [each.path for each in place.load().loaded] == ["a.txt"]
    assert place.source.refused == {}


def test_progress_comes_to_the_whole(place: Place) -> None:
    place.write("a.txt", prose(3000))
    place.write("b.txt", prose(3000))
    seen: list[Progress] = []
    report = place.load(on_progress=seen.append)
    done = [progress.done_bytes for progress in seen]
    assert done == sorted(done)
    assert (done[-1], seen[-1].documents, seen[-1].passages) == (seen[-1].total_bytes, 2, report.passages)
    assert len(seen) > 4


def test_a_log_that_is_away_for_a_while_is_waited_for(place: Place) -> None:
    class Away(DirectLog):
        failures = 2

        async def append(self, append: Append) -> list[Appended]:
            if self.failures:
                self.failures -= 1
                raise LogUnavailable("The disk is full.")
            return await super().append(append)

    place.write("a.txt", prose(3))
    assert len(place.load(log=Away(place.log)).loaded) == 1


def test_the_size_of_passages_is_a_sources_own_for_good(place: Place) -> None:
    place.write("a.txt", prose(200))
    place.load(passage_tokens=64, overlap_tokens=8)
    assert (place.source.passage_tokens, place.source.overlap_tokens) == (64, 8)
    place.write("b.txt", prose(200))
    assert len(place.load().loaded) == 1
    with pytest.raises(BadInput, match="load into a source of another name"):
        place.load(passage_tokens=100)


@pytest.mark.parametrize(
    ("sizes", "why"),
    [({"passage_tokens": 5}, "16 to 2000"), ({"passage_tokens": 9999}, "16 to 2000"),
     ({"passage_tokens": 100, "overlap_tokens": 60}, "at most half")],
)  # fmt: skip
def test_sizes_that_cannot_be_are_refused_before_anything_is_written(
    place: Place, sizes: dict[str, Any], why: str
) -> None:
    with pytest.raises(BadInput, match=why):
        place.load(**sizes)
    assert place.log.head("source:manuals") is None


@pytest.mark.parametrize("name", ["", " ", "a" * 65, "-x", "source:x", "a\nb", " a"])
def test_a_name_that_cannot_be_a_sources_is_refused(place: Place, name: str) -> None:
    with pytest.raises(BadInput, match="cannot be a source's name"):
        Loader(DirectLog(place.log), name)


def test_an_unknown_agent_is_named_before_anything_is_loaded(place: Place) -> None:
    place.write("a.txt", prose(3))
    with pytest.raises(UnknownAgent, match="Known agents: ada, bob"):
        place.load(agents=("ada", "eve"))
    assert place.log.head("source:manuals") is None


def test_the_agents_that_there_are_are_named_however_many_sources_there_are(place: Place) -> None:
    """Streams are read in the order of names, some at a time: sources come between `ada` and `tom`."""
    for number in range(2 * KNOWN):
        run(Loader(DirectLog(place.log), f"s{number:02}").load([place.folder]))
    with pytest.raises(UnknownAgent, match=r"Known agents: ada, bob\.$"):
        place.load(agents=("eve",))
    for agent in (f"tom{number:02}" for number in range(2 * KNOWN)):
        place.log.append([Append((draft(agent, 0, newborn(Settings()), key="create"),))])
    with pytest.raises(UnknownAgent, match=r"Known agents: ada, bob, tom00, .*, tom09\.$"):
        place.load(agents=("eve",))


def test_a_window_that_cannot_hold_the_functions_on_documents_is_refused_with_the_least_that_can(place: Place) -> None:
    place.write("a.txt", prose(3))
    place.load()
    small = newborn(Settings(window_tokens=1400, reserve_tokens=600))
    place.log.append([Append((draft("small", 0, small, key="create"),))])
    log = DirectLog(place.log)
    with pytest.raises(WindowTooSmall, match=r"a window of at least [\d,]+ tokens, and has one of 1,400") as refused:
        run(sources.attach(log, "manuals", ["ada", "small"]))
    assert attached(place, "ada") == (), "nothing was attached"
    with pytest.raises(WindowTooSmall):
        place.load(agents=("small",))
    least = refused.value.least_tokens
    for window, fits in ((least - 1, False), (least, True)):
        changed = SettingsChanged(settings=Settings(window_tokens=window, reserve_tokens=600))
        place.log.append([Append((draft("small", 0, changed, key=f"settings:{window}"),))])
        if fits:
            assert run(sources.attach(log, "manuals", ["small"])) == ["small"]
        else:
            with pytest.raises(WindowTooSmall):
                run(sources.attach(log, "manuals", ["small"]))


# --- attach, detach, unload ---------------------------------------------------------------------------------------


def attached(place: Place, agent: str) -> tuple[str, ...]:
    state = fold(place.log.read(agent))
    assert state is not None
    return state.sources


def test_an_attachment_stands_in_both_streams(place: Place) -> None:
    place.write("a.txt", prose(3))
    place.load()
    log = DirectLog(place.log)
    assert run(sources.attach(log, "manuals", ["ada", "bob", "ada"])) == ["ada", "bob"]
    assert run(sources.attach(log, "manuals", ["ada"])) == []
    assert (attached(place, "ada"), attached(place, "bob")) == (("manuals",), ("manuals",))
    assert run(sources.detach(log, "manuals", ["ada"])) == ["ada"]
    assert run(sources.detach(log, "manuals", ["ada"])) == []
    assert (attached(place, "ada"), list(place.source.agents)) == ((), ["bob"])
    Watch().look(place.log)


def test_what_there_is_not_cannot_be_attached(place: Place) -> None:
    log = DirectLog(place.log)
    with pytest.raises(UnknownSource, match=r"no source 'nothing'\. There is no source yet"):
        run(sources.attach(log, "nothing", ["ada"]))
    place.write("a.txt", prose(3))
    place.load()
    with pytest.raises(UnknownSource, match="Known sources: manuals"):
        run(sources.attach(log, "nothing", ["ada"]))
    with pytest.raises(UnknownAgent):
        run(sources.attach(log, "manuals", ["ada", "source:manuals"]))
    assert attached(place, "ada") == ()


def names(place: Place) -> list[str]:
    async def listed() -> list[str]:
        return [name async for name in sources.names(DirectLog(place.log))]

    return run(listed())


def test_a_document_is_unloaded_by_name_and_a_source_whole(place: Place) -> None:
    place.write("a.txt", prose(3))
    place.write("b.txt", prose(3))
    place.load(agents=("ada",))
    log = DirectLog(place.log)
    assert [document.path for document in run(sources.unload(log, "manuals", ["b.txt"]))] == ["b.txt"]
    assert [document.path for document in place.source.loaded] == ["a.txt"]
    with pytest.raises(BadInput, match=r"no document 'a\.text' in source 'manuals'\. Did you mean a\.txt"):
        run(sources.unload(log, "manuals", ["a.text"]))
    assert len(run(sources.unload(log, "manuals"))) == 1
    assert (place.source.loaded, attached(place, "ada")) == ([], ())
    assert run(sources.unload(log, "manuals")) == []
    assert names(place) == []
    assert len(place.load().loaded) == 2, "it can be loaded again"
    assert names(place) == ["manuals"]


def test_the_names_of_many_sources_come_in_order(place: Place) -> None:
    for number in range(30):
        run(Loader(DirectLog(place.log), f"s{number:02}").load([place.folder]))
    assert names(place) == [f"s{number:02}" for number in range(30)]
