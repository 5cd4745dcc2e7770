"""A model that calls the functions on documents, through the whole kernel and the storage part, on a real log."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from palimpsest.actors.storage import WAIT_S, Storage
from palimpsest.events.replay import replay
from palimpsest.events.sources import stream_of
from palimpsest.events.types import FunctionCalled, FunctionFailed, FunctionReturned, ToolCall
from palimpsest.store.index.embeddings import WordLlamaEmbedder
from palimpsest.store.index.projection import MemoryIndex
from palimpsest.store.logs.sqlite_log import SqliteLog
from tests.worlds.one_process import Parts, parts, run


def calls(*wanted: tuple[str, dict[str, object]]) -> tuple[ToolCall, ...]:
    return tuple(
        ToolCall(id=f"c{number}", name=name, arguments=msgspec.json.encode(arguments).decode())
        for number, (name, arguments) in enumerate(wanted)
    )


SCRIPT = {
    "list": calls(("list_documents", {}), ("send_message", {"message": "Listed."})),
    "open": calls(("open_document", {"document": "pumps.md"}), ("send_message", {"message": "Opened."})),
    "place": calls(("open_document", {"document": "pumps.md", "place": "line 5"}), ("send_message", {"message": "x"})),
    "grep": calls(("grep_documents", {"text": "RED valve"}), ("send_message", {"message": "Found."})),
    "search": calls(("archival_memory_search", {"query": "red valve"}), ("send_message", {"message": "Found."})),
    "wrong": calls(("open_document", {"document": "pump.md"}), ("send_message", {"message": "Oh."})),
}


@asynccontextmanager
async def reading(folder: Path) -> AsyncIterator[Parts]:
    """The parts with storage beside them, and a source of one document."""
    files = folder / "files"
    files.mkdir()
    (files / "pumps.md").write_text("# Pumps\n\n## Valves\n\nOpen the red valve first.\n")
    async with parts(folder, SCRIPT) as living:
        await living.born("ada")
        reader = SqliteLog.open_readonly(folder / "log.sqlite")
        embedder = WordLlamaEmbedder()
        storage = Storage(living.log, reader, lambda: MemoryIndex.open(folder / "index", embedder, reader.read))
        serving = asyncio.create_task(storage.run())
        try:
            await living.client.load_source("manuals", [files])
            yield living
        finally:
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving
            await storage.close()
            reader.close()


def test_what_bears_nothing_holds_up_nobody_who_waits_for_the_index(tmp_path: Path) -> None:
    async def wait() -> int:
        (tmp_path / "files").mkdir()
        async with parts(tmp_path) as living:
            reader = SqliteLog.open_readonly(tmp_path / "log.sqlite")
            storage = Storage(
                living.log, reader, lambda: MemoryIndex.open(tmp_path / "index", WordLlamaEmbedder(), reader.read)
            )
            serving = asyncio.create_task(storage.run())
            await living.born("ada")
            await living.says("ada", "Hello.")  # its turn ends with an event that is not indexed
            reached = (await storage.indexed(await living.position(), WAIT_S / 2)).since(await living.position())
            await living.client.load_source("manuals", [tmp_path / "files"])  # nothing but the source's own first event
            reached += (await storage.indexed(await living.position(), WAIT_S / 2)).since(await living.position())
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            await storage.close()
            reader.close()
            return reached

    assert run(wait()) == 0, "it would have waited until the tail's time is up"


async def result_of(living: Parts, text: str) -> str:
    """What the model was told by the function that it called."""
    before = len(await living.log.read("ada"))
    assert (await living.says("ada", text)).reason == "yielded"
    told = [e for e in await living.log.read("ada", after=before) if e.kind in {"FunctionReturned", "FunctionFailed"}]
    event = msgspec.msgpack.decode(told[0].body)
    return str(event.get("result") or event.get("error"))


def test_a_model_lists_opens_and_greps_what_is_attached(tmp_path: Path) -> None:
    async def talk() -> dict[str, str]:
        async with reading(tmp_path) as living:
            told = {"before": await result_of(living, "list")}
            await living.client.attach("manuals", ["ada"])
            told |= {text: await result_of(living, text) for text in SCRIPT}
            sources = [event.sources for event in await living.events("ada", FunctionCalled.__name__)]
            assert sources == [("manuals",)] * len(SCRIPT)
            (found,) = [
                e.found for e in await living.events("ada", FunctionReturned.__name__) if "timestamp" in e.result
            ]
            assert [one.stream for one in found] == [stream_of("manuals")]
            assert len(await living.events("ada", FunctionFailed.__name__)) == 2
            assert replay("ada", await living.log.read("ada")).difference is None
            return told

    told = run(talk())
    assert told["before"].startswith("There is no function 'list_documents'")
    assert told["list"].startswith("Documents 1 to 1 of 1 (page 0/0):\n")
    assert told["open"] == (
        "manuals: pumps.md (page 0/0, lines 1-5; this is its end)\n# Pumps\n\n## Valves\n\nOpen the red valve first.\n"
    )
    assert told["place"] == told["open"]
    assert "source: manuals, document: pumps.md, line 5, under “Pumps > Valves”: " in told["grep"]
    assert "source: manuals, document: pumps.md, lines 1-5, under “Pumps > Valves”: # Pumps" in told["search"]
    assert "There is no document 'pump.md'. There are 1, among them 'pumps.md'" in told["wrong"]
