"""Documents from end to end: a folder is loaded, an agent is asked, and cites; a load that is killed goes on."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil
import pytest

from bench.alike import alike
from palimpsest.actors.system import System, join
from palimpsest.events.codec import decode
from palimpsest.events.envelope import Envelope
from palimpsest.events.passages import HitPage
from palimpsest.events.position import FIRST_PARTITION
from palimpsest.events.sources import Source, fold_source
from palimpsest.events.types import PassagesLoaded, UploadFinished
from palimpsest.store.folder import DataFolder
from palimpsest.store.index.bearing import BEARING
from palimpsest.store.index.embeddings import WordLlamaEmbedder
from palimpsest.store.index.points import View
from palimpsest.store.index.projection import MemoryIndex
from palimpsest.store.library.reading import Library
from palimpsest.store.logs.sqlite_reader import SqliteReader
from tests.cluster.test_power import kill_root
from tests.worlds.crowd import HOME, born, check_promises, log_of, run, stream_of

ASKED = "Who founded the archive in Lund?"


def shelf(path: Path) -> Path:
    path.mkdir()
    (path / "pumps.md").write_text("# Pumps\n\n## Valves\n\nOpen the red valve first.\n")
    (path / "lund.txt").write_text("About towns.\n\nThe archive in Lund was founded in 1923 by Elsa Brandt.\n")
    return path


def test_an_agent_is_asked_about_a_folder_and_cites(shared: System, tmp_path: Path) -> None:
    async def talk() -> tuple[str, str, str, int]:
        client = await born(shared, "reader")
        other = await born(shared, "stranger")
        await client.ask("reader", "Hello!")
        await other.ask("stranger", "Hello!")
        report = await client.load_source("shelf", [shelf(tmp_path / "shelf")], agents=["reader"])
        assert (len(report.loaded), report.refused, report.told) == (2, (), ("reader",))
        left = await client.indexed(wait_s=20)
        cited = (await client.ask("reader", ASKED)).text
        unknown = (await other.ask("stranger", ASKED)).text
        await client.detach("shelf", ["reader"])
        return cited, unknown, (await client.ask("reader", f"Once more: {ASKED}")).text, left

    cited, unknown, detached, left = run(talk())
    assert "1923 by Elsa Brandt" in cited
    assert "lund.txt, lines 1-3 (source: shelf)" in cited
    assert "I found nothing" in unknown, "a source is seen by those who have it"
    assert "lund.txt" not in detached.partition("The nearest")[0]
    assert left == 0
    uploads = [event for event in run(stream_of(shared, "reader")) if isinstance(event, UploadFinished)]
    assert [upload.source for upload in uploads] == ["shelf"]


LINES = 30_000


def load_until(folder: DataFolder, files: Path, stop: str) -> None:
    """Run the command until it has printed a line that holds `stop`, then kill it."""
    command = [sys.executable, "launch.py", "--data", str(folder), "load", "big", str(files)]
    with subprocess.Popen(command, cwd=HOME, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as loader:
        assert loader.stderr is not None, "it was piped"
        for line in loader.stderr:
            if stop in line:
                break
        else:
            pytest.fail("the load ended by itself")
        kill_root(psutil.Process(loader.pid))


def test_a_load_that_is_killed_leaves_every_passage_once(folder: DataFolder, tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    with (files / "big.txt").open("w") as file:
        file.writelines(f"Entry {n}: the lamp on pier {n} was lit by keeper {n * 7 % 1000}.\n" for n in range(LINES))
    load_until(folder, files, "40 % of")

    async def again() -> int:
        system = await join(folder, "again")  # once the system that the killed one had started has ended
        client = system.client()
        report = await client.load_source("big", [files])
        assert await client.indexed(wait_s=60) == 0
        await system.stop()
        return report.passages

    fresh = run(again(), limit_s=120)
    with log_of(folder) as log:
        source = _folded(log.read("source:big"))
        (document,) = source.loaded
        loaded = [event for event in map(decode, log.read("source:big")) if isinstance(event, PassagesLoaded)]
        numbers = Counter(n for event in loaded for n in range(event.first, event.first + event.count))
        assert numbers == Counter(range(document.passages)), "every passage is in the log once"
        assert 0 < fresh < document.passages, "the second run went on where the first was cut off"
        total = Library(log).grep([source], "was lit by keeper", None, 0, 5).total
        assert total >= LINES, "no line is missing"
        (view,) = (View("source:big", source.seq),)
        found = [opened_pages(path, log, view) for path in (folder.index_path(), tmp_path / "anew")]
        assert all(map(alike, *found)), "what was cut off finds the same as what is built at once"
    check_promises(folder)


def opened_pages(path: Path, log: SqliteReader, view: View) -> list[HitPage]:
    index = MemoryIndex.open(path, WordLlamaEmbedder(), log.read)
    try:
        while index.position < log.position(FIRST_PARTITION):
            index.apply(*log.tail(index.position, 500, BEARING))
        queries = ("keeper 21 lamp", f"pier {LINES - 1}", "")
        return [index.search((view,), kind="passage", query=query, page=0, size=5) for query in queries]
    finally:
        index.close()


def _folded(envelopes: list[Envelope]) -> Source:
    source = fold_source(envelopes)
    assert source is not None, "it was loaded"
    return source
