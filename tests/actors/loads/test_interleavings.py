"""Loads and unloads of one source at once, in any order: what is found at the end is of whole documents, and once."""

from __future__ import annotations

import asyncio
import functools
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palimpsest.actors.links.direct import DirectLog
from palimpsest.actors.loads import cutter, loader
from palimpsest.actors.loads.loader import Loader
from palimpsest.actors.requests import sources
from palimpsest.events.codec import decode
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import BadInput, UnknownSource
from palimpsest.events.sources import Source, fold_source
from palimpsest.events.types import DocumentRemoved, PassagesLoaded, SourceUnloaded
from palimpsest.store.library.reading import Library
from palimpsest.store.logs.contract import Append, Appended
from palimpsest.store.logs.in_memory import InMemoryLog
from tests.actors.loads.test_loader import prose

NAME = "manuals"
LINES = 60
Meddling = dict[int, Callable[[], Awaitable[None]]]
"""What is done before which call."""


class KilledError(Exception):
    """A loader's process was killed."""


class Meddled(DirectLog):
    """A log on which others do something before a client's nth call."""

    def __init__(self, store: InMemoryLog, meddling: Meddling) -> None:
        super().__init__(store)
        self._meddling = meddling
        self._calls = 0

    async def _meddle(self) -> None:
        self._calls += 1
        if work := self._meddling.pop(self._calls, None):
            await work()

    async def append(self, append: Append) -> list[Appended]:
        await self._meddle()
        return await super().append(append)

    async def read(self, *args: Any, **options: Any) -> list[Envelope]:
        await self._meddle()
        return await super().read(*args, **options)


class Scene:
    """Two files, an empty log, and those who meddle."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = InMemoryLog()
        self.log.open_epoch()
        self.write("pump")
        (folder / "b.txt").write_text(prose(3))

    def write(self, word: str) -> None:
        (self.folder / "a.txt").write_text(prose(LINES, word))

    async def load(self, meddling: Meddling | None = None) -> None:
        log = Meddled(self.log, meddling or {})
        await Loader(log, NAME).load([self.folder], passage_tokens=16, overlap_tokens=0)

    async def unload(self, *documents: str) -> None:
        try:
            await sources.unload(DirectLog(self.log), NAME, documents)
        except (BadInput, UnknownSource):
            return  # there was nothing to unload yet

    async def meddle(self, what: str) -> None:
        match what:
            case "unload all":
                await self.unload()
            case "unload one":
                await self.unload("a.txt")
            case "load":
                await self.load()
            case "change and load":
                self.write("valve")
                await self.load()
            case "die":
                raise KilledError

    def check(self) -> Source:
        """Every passage that is found is of a whole document, and all of those are found, once."""
        envelopes = self.log.read(f"source:{NAME}")
        found: Counter[tuple[str, int]] = Counter()
        for event in map(decode, envelopes):
            match event:
                case PassagesLoaded(document=id, first=first, count=count):
                    found.update((id, number) for number in range(first, first + count))
                case DocumentRemoved(document=id):
                    found = Counter({at: n for at, n in found.items() if at[0] != id})
                case SourceUnloaded():
                    found.clear()
        source = fold_source(envelopes)
        assert source is not None
        whole = [document for document in source.documents.values() if document.status == "loaded"]
        assert found == Counter((document.id, n) for document in whole for n in range(document.passages))
        assert source.loading == []
        assert len({document.path for document in whole}) == len(whole), "one document a path"
        library = Library(self.log)
        for shelf in (library.find([source], document.id) for document in whole):
            pages = range(max(1, -(-shelf.document.chars // 5000)))
            words = "".join(library.page(shelf, page, 5000).text for page in pages).split()
            lines = 3 if shelf.document.path == "b.txt" else LINES
            assert words in [prose(lines, word).split() for word in ("pump", "valve")]
        return source


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Many stretches of short documents, and a look after every other."""
    monkeypatch.setattr(cutter, "BATCH_PASSAGES", 20)
    monkeypatch.setattr(loader, "LOOKS_AFTER", 2)
    yield


WHAT = st.sampled_from(["unload all", "unload one", "load", "change and load", "die"])


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.integers(1, 22), WHAT, max_size=4))
def test_whatever_happens_during_a_load_nothing_is_left_half(plan: dict[int, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(Path(folder))
        meddling: Meddling = {n: functools.partial(scene.meddle, what) for n, what in plan.items()}

        async def live() -> None:
            try:
                await scene.load(meddling)
            except KilledError:
                await scene.load()  # the next load clears up

        asyncio.run(live())
        scene.check()
        asyncio.run(scene.load())
        assert [document.path for document in scene.check().loaded] == ["a.txt", "b.txt"], "and it can be loaded again"


@pytest.mark.parametrize("call", range(6, 14))
def test_a_document_that_is_unloaded_while_it_is_loaded_is_gone(tmp_path: Path, call: int) -> None:
    scene = Scene(tmp_path)
    asyncio.run(scene.load({call: lambda: scene.meddle("unload all")}))
    assert all(document.path == "b.txt" for document in scene.check().loaded)


def test_a_document_that_another_version_began_is_cut_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(tmp_path)
    with monkeypatch.context() as other, pytest.raises(KilledError):
        really = cutter.Cutter.__init__

        def cuts_otherwise(self: Any, document: Any, passages: Any, there: Any) -> None:
            really(self, document, (p for n, p in enumerate(passages) if n != 5), there)

        other.setattr(cutter.Cutter, "__init__", cuts_otherwise)
        asyncio.run(scene.load({8: lambda: scene.meddle("die")}))
    begun = scene.log.read(f"source:{NAME}", kinds=frozenset({"PassagesLoaded"}))
    assert begun, "some of it is there"
    asyncio.run(scene.load())
    source = scene.check()
    assert [document.path for document in source.loaded] == ["a.txt", "b.txt"]
    assert [document.reason for document in source.documents.values() if document.status == "removed"] == [
        "cut anew, by another version than began it"
    ]
