"""SIGKILL in the middle of loads and turns: a program that loads and talks, who kills it, and the proof afterwards.

`kill_again_and_again` runs the program over and over on one folder. Each time it kills the storage actor's process some
times, and at last the whole tree. Then everything is brought to its end, and `check` holds what is there against the
files, against what was acknowledged, and against an index that is built from nothing.

    python -m bench.kills FOLDER FILES ACKS [--to-the-end]      the program: a line for each thing that it got done
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil

from bench import corpus
from bench.alike import alike
from palimpsest.actors.client import Client
from palimpsest.actors.loads.loading import Progress
from palimpsest.actors.system import boot
from palimpsest.events.codec import decode
from palimpsest.events.documents import unpacked
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import AgentExists
from palimpsest.events.passages import HitPage
from palimpsest.events.prompts import newborn
from palimpsest.events.sources import fold_source, stream_of
from palimpsest.events.types import PassagesLoaded, Settings, TurnEnded
from palimpsest.store.folder import DataFolder
from palimpsest.store.index.bearing import BEARING
from palimpsest.store.index.embeddings import WordLlamaEmbedder
from palimpsest.store.index.points import Key, ScopePart, View
from palimpsest.store.index.projection import MemoryIndex
from palimpsest.store.index.settings import PointKind
from palimpsest.store.logs.sqlite_reader import SqliteReader

SOURCE: Final = "killed"
AGENTS: Final = ("ada", "ben", "cleo")
PASSAGES: Final = 3000
"""Of each file, as a rule."""
HOME: Final = Path(__file__).parents[1]
GONE_S: Final = 20.0
SAMPLE: Final = 60


# --- the program that is killed -------------------------------------------------------------------------------------


async def live(folder: Path, files: Path, acks: Path, *, to_the_end: bool) -> None:
    system = await boot(DataFolder(folder), "bench.kills")
    client = system.client()
    for agent in AGENTS:
        try:
            await client.create(agent, newborn(Settings()))
        except AgentExists:
            continue
    shown = 0

    def on_progress(progress: Progress) -> None:
        nonlocal shown
        if progress.passages != shown:
            shown = progress.passages
            _say(f"passages {shown}")

    loading = asyncio.create_task(client.load_source(SOURCE, [files], agents=AGENTS, on_progress=on_progress))
    with acks.open("a") as file:
        await asyncio.gather(*(_talk(client, agent, file, loading, to_the_end=to_the_end) for agent in AGENTS))
    while await client.indexed(wait_s=5.0):
        pass
    await system.stop()


async def _talk(client: Client, agent: str, acks: Any, loading: asyncio.Task[Any], *, to_the_end: bool) -> None:
    """Facts and questions about the documents, until the load has ended (without `to_the_end`: for ever)."""
    number = len(await client.events(agent))
    while not (to_the_end and loading.done()):
        number += 1
        text = f"What does entry 1x{number % PASSAGES} say?" if number % 3 else f"My locker is number {number}."
        ticket = await client.send(agent, text, message_id=f"{agent}/{number}")
        acks.write(f"{agent} {ticket.seq}\n")
        acks.flush()
        os.fsync(acks.fileno())
        await client.wait(ticket)
        _say(f"reply {agent}")
    if to_the_end:
        loading.result()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


# --- who kills it ---------------------------------------------------------------------------------------------------


class Kills(msgspec.Struct):
    """How often each was killed."""

    storage: int = 0
    tree: int = 0

    @property
    def all(self) -> int:
        return self.storage + self.tree


def kill_again_and_again(folder: Path, kills: int, *, seed: int = 1, passages: int = PASSAGES) -> Kills:
    """Kill so many times, then let all come to its end. Each life has a file more to load, of so many passages. The
    folder then has `data`, `files` and `acks`."""
    dice, done = random.Random(seed), Kills()
    files = folder / "files"
    files.mkdir()
    lives = 0
    while done.all < kills:
        lives += 1
        corpus.write(files / f"{lives}.txt", passages, seed=lives)
        storage = min(dice.randrange(4), kills - done.all - 1)
        _life(folder, [dice.randrange(2, 9) for _ in range(storage + 1)], done)
    if _run(folder, "--to-the-end").wait():
        raise RuntimeError("The program could not bring everything to its end; its errors stand above.")
    return done


def _life(folder: Path, lines: Sequence[int], done: Kills) -> None:
    """Run the program; after so many of its lines each kill storage, and after the last the whole tree."""
    with _run(folder) as program:
        root = psutil.Process(program.pid)
        for number, count in enumerate(lines):
            _wait_for(program, count)
            if number + 1 < len(lines):
                done.storage += _kill([p for p in root.children(recursive=True) if _is_storage(p)][:1])
            else:
                _kill([root, *root.children(recursive=True)])
                done.tree += 1


def _run(folder: Path, *more: str) -> subprocess.Popen[str]:
    places = [str(folder / name) for name in ("data", "files", "acks")]
    command = [sys.executable, "-m", "bench.kills", *places, *more]
    return subprocess.Popen(command, cwd=HOME, stdout=subprocess.DEVNULL if more else subprocess.PIPE, text=True)


def _wait_for(program: subprocess.Popen[str], lines: int) -> None:
    assert program.stdout is not None, "it was piped"
    for _ in range(lines):
        if not program.stdout.readline():
            raise RuntimeError("The program that was to be killed ended by itself.")


def _is_storage(process: psutil.Process) -> bool:
    try:
        return "ray::Storage" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def _kill(victims: Sequence[psutil.Process]) -> int:
    for victim in victims:
        try:
            victim.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(victims, timeout=GONE_S)
    return len(victims)


# --- the proof ------------------------------------------------------------------------------------------------------


class Proof(msgspec.Struct, kw_only=True):
    """What was checked; all lists of what is wrong must be empty."""

    passages: int
    messages: int
    searches: int
    not_once: list[str]
    not_found: list[str]
    not_answered: list[str]
    unlike_rebuilt: list[str]

    @property
    def sound(self) -> bool:
        return not (self.not_once or self.not_found or self.not_answered or self.unlike_rebuilt)


def check(folder: Path, *, seed: int = 1) -> Proof:
    """Hold a folder on which all has come to its end against what must be there."""
    data = DataFolder(folder / "data")
    with SqliteReader.open_readonly(data.log_path()) as log:
        envelopes = log.read(stream_of(SOURCE))
        expected, not_once = _passages(envelopes)
        heads = [View(agent, log.read(agent)[-1].seq) for agent in AGENTS]
        source = View(stream_of(SOURCE), envelopes[-1].seq)
        survived = _open(data.index_path(), log)
        rebuilt = _open(folder / "rebuilt", log)
        for index in (survived, rebuilt):  # all is ranked: what a limit cuts off among equals is chance in each of them
            index._searches.exact_points = index.points
        try:
            everything = (ScopePart(stream_of(SOURCE), "passage"),)
            points = survived._engine.listing(everything, survived.points + 1, latest=False)
            listed = Counter(match.key for match in points)
            not_once += [f"indexed {listed[key]} times: {key}" for key in expected.keys() | listed if listed[key] != 1]
            not_once += [f"indexed, not in the log: {key}" for key in listed.keys() - expected.keys()]
            sample = random.Random(seed).sample(sorted(expected), min(SAMPLE, len(expected)))
            not_found = [f"{key}" for key in sample if not _finds(survived, source, key, expected[key])]
            searches: list[tuple[View, PointKind, str]] = [
                (view, "message", text) for view in heads for text in ("locker number", "entry 1x7 say", "")
            ]
            queries = [*(" ".join(corpus.words(n, 6)) for n in range(SAMPLE)), ""]
            searches += [(source, "passage", text) for text in queries]
            unlike = [f"{s}" for s in searches if not alike(_search(survived, *s), _search(rebuilt, *s))]
        finally:
            survived.close()
            rebuilt.close()
        acknowledged = sorted({tuple(line.split()) for line in (folder / "acks").read_text().splitlines()})
        ends = {agent: _ends(log, agent) for agent in AGENTS}
        not_answered = [f"{agent} {seq}" for agent, seq in acknowledged if ends[agent][int(seq)] != 1]
    return Proof(
        passages=len(expected),
        messages=len(acknowledged),
        searches=len(searches),
        not_once=not_once,
        not_found=not_found,
        not_answered=not_answered,
        unlike_rebuilt=unlike,
    )


def _passages(envelopes: Sequence[Envelope]) -> tuple[dict[Key, str], list[str]]:
    """The passages of the whole documents by their key in the index; and those that the log has not exactly once."""
    source = fold_source(envelopes)
    assert source is not None, "it was loaded"
    texts: dict[Key, str] = {}
    numbers: Counter[tuple[str, int]] = Counter()
    for envelope in envelopes:
        event = decode(envelope)
        if isinstance(event, PassagesLoaded):
            for chunk, passage in enumerate(unpacked(envelope, event)):
                numbers[event.document, event.first + chunk] += 1
                texts[Key(envelope.stream, envelope.seq, chunk)] = passage.text
    wanted = Counter({(document.id, n): 1 for document in source.loaded for n in range(document.passages)})
    wrong = [f"in the log {numbers[at]} times: {at}" for at in numbers.keys() | wanted if numbers[at] != wanted[at]]
    wrong += [f"not loaded whole: {document.path}" for document in source.loading]
    return texts, wrong


def _ends(log: SqliteReader, agent: str) -> Counter[int]:
    """How often the turn of each input has ended."""
    return Counter(event.input for event in map(decode, log.read(agent)) if isinstance(event, TurnEnded))


def _open(path: Path, log: SqliteReader) -> MemoryIndex:
    index = MemoryIndex.open(path, WordLlamaEmbedder(), log.read)
    while index.position < log.position(index.partition):
        index.apply(*log.tail(index.position, 100, BEARING))
    return index


def _search(index: MemoryIndex, view: View, kind: PointKind, query: str) -> HitPage:
    return index.search((view,), kind=kind, query=query, page=0, size=5)


def _finds(index: MemoryIndex, source: View, key: Key, text: str) -> bool:
    """Whether a passage's own words find it, once."""
    hits = _search(index, source, "passage", text).hits
    return [(hit.seq, hit.chunk) for hit in hits].count((key.seq, key.chunk)) == 1


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("folder", "files", "acks"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--to-the-end", action="store_true")
    options = parser.parse_args()
    asyncio.run(live(options.folder, options.files, options.acks, to_the_end=options.to_the_end))


if __name__ == "__main__":
    main()
