"""How fast the memory index takes messages, and how fast it answers.

    python -m bench.storage --messages 100000 --agents 100

Makes messages of some 25 words, applies them in batches as the storage actor does, and searches with an agent filter.
CPU is this process's own, all threads. Wall times depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from palimpsest.events.codec import draft
from palimpsest.events.envelope import GENESIS, Envelope, place
from palimpsest.events.kinds import Kind
from palimpsest.events.passages import HitPage
from palimpsest.events.position import FIRST_PARTITION, Position
from palimpsest.events.types import MessageSent, UserMessageReceived
from palimpsest.store.index.embeddings import Embedder, Vectors, WordLlamaEmbedder
from palimpsest.store.index.points import Burial, Engine, IndexEntry, Mark, View
from palimpsest.store.index.projection import MemoryIndex

START_MS = 1_795_000_000_000
VOCABULARY = 20_000
_SYLLABLES = "ba co di fu ge ha ki lo mu ne pa ro si ta vu we xo ya zi sho tre pla gri smo"
_STOP = "the of and I you to a in is it that was for on are with as he be at this have"
SYLLABLES, STOP = _SYLLABLES.split(), _STOP.split()


def word(rank: int) -> str:
    letters = [SYLLABLES[rank % 24], SYLLABLES[rank // 24 % 24], SYLLABLES[rank // 576 % 24]]
    return "".join(letters[: 2 + (rank > 500)])


def sentence(random_: random.Random, length: int) -> str:
    """Words with Zipf's frequencies, two in five of them stop words."""
    ranks = (int(VOCABULARY ** random_.random()) for _ in range(length))
    return " ".join(random_.choice(STOP) if random_.random() < 0.4 else word(rank) for rank in ranks)


def messages(count: int, agents: int, words: int) -> Iterator[Envelope]:
    random_ = random.Random(1)
    for number in range(1, count + 1):
        seq = (number - 1) // agents * 4 + 2
        text = sentence(random_, random_.randint(words // 2, words * 3 // 2))
        event = MessageSent(text=text) if seq % 8 == 2 else UserMessageReceived(text=text)
        agent = f"agent-{number % agents}"
        position = Position(FIRST_PARTITION, number)
        yield place(draft(agent, START_MS + number * 1000, event, key=str(seq)), seq, position, GENESIS)


class Timed:
    """An embedder and an engine that count the CPU seconds spent in them."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self.name, self.dimension = embedder.name, embedder.dimension
        self.embed_s = 0.0
        self.put_s = 0.0
        self.flush_s = 0.0

    def embed(self, texts: Sequence[str]) -> Vectors:
        started = time.process_time()
        rows = self.embedder.embed(texts)
        self.embed_s += time.process_time() - started
        return rows

    def watch(self, engine: Engine) -> None:
        put, flush = engine.put, engine.flush

        def timed_put(
            entries: Sequence[IndexEntry], vectors: Vectors, mark: Mark, burials: Sequence[Burial] = ()
        ) -> None:
            started = time.process_time()
            put(entries, vectors, mark, burials)
            self.put_s += time.process_time() - started

        def timed_flush() -> None:
            started = time.process_time()
            flush()
            self.flush_s += time.process_time() - started

        engine.put, engine.flush = timed_put, timed_flush  # type: ignore[method-assign]


def apply_all(index: MemoryIndex, timed: Timed, log: list[Envelope], batch: int) -> None:
    cpu, wall = time.process_time(), time.perf_counter()
    slowest = 0.0
    for start in range(0, len(log), batch):
        began = time.perf_counter()
        events = log[start : start + batch]
        index.apply(events, events[-1].position)
        slowest = max(slowest, time.perf_counter() - began)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    n = len(log) / 1e6
    rest = cpu - timed.embed_s - timed.put_s - timed.flush_s
    print(
        f"apply   {len(log) / wall:,.0f} messages/s wall, {len(log) / cpu:,.0f}/s CPU; {cpu / n:.0f} us CPU a message: "
        f"embed {timed.embed_s / n:.0f}, bm25 + upsert {timed.put_s / n:.0f}, flush {timed.flush_s / n:.0f}, "
        f"decode and rest {rest / n:.0f}; slowest batch of {batch}: {slowest * 1e3:.0f} ms"
    )


def report(name: str, call: Callable[[int], int], rounds: int) -> None:
    took: list[float] = []
    total = 0
    for n in range(rounds):
        started = time.perf_counter()
        total += call(n)
        took.append((time.perf_counter() - started) * 1e3)
    took.sort()
    print(
        f"{name:7} p50 {took[rounds // 2]:.2f} ms, p95 {took[int(rounds * 0.95)]:.2f} ms, "
        f"worst {took[-1]:.2f} ms; {total / rounds:.0f} matches on average"
    )


def compare(index: MemoryIndex, views: Sequence[tuple[View, ...]], queries: Sequence[str], count: int = 10) -> None:
    """How much of the first results of an exhaustive search the bounded one has, and whether the totals agree."""

    def ask() -> list[HitPage]:
        pairs = zip(views, queries, strict=False)
        return [index.search(seen, kind="message", query=query, page=0, size=count) for seen, query in pairs]

    bounded, searches = ask(), index._searches
    limits = searches.exact_points, searches.dense_points
    searches.exact_points = searches.dense_points = 1 << 60
    exact = ask()
    searches.exact_points, searches.dense_points = limits
    shared = [{hit.seq for hit in a.hits} & {hit.seq for hit in b.hits} for a, b in zip(bounded, exact, strict=True)]
    same = sum(map(len, shared)) / max(1, sum(len(page.hits) for page in exact))
    off = max(abs(a.total - b.total) for a, b in zip(bounded, exact, strict=True))
    print(f"bounded recall@{count} against exact {same:.4f}; totals differ by at most {off} (matches in meaning alone)")


def disk_mib(path: Path) -> float:
    return sum(f.stat().st_blocks * 512 for f in path.rglob("*") if f.is_file()) / 2**20


def rss_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--agents", type=int, default=100)
    parser.add_argument("--words", type=int, default=25, help="mean length of a message")
    parser.add_argument("--batch", type=int, default=500, help="events in one apply")
    parser.add_argument("--searches", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder) / "index", options)


def run(path: Path, options: argparse.Namespace) -> None:
    log = list(messages(options.messages, options.agents, options.words))
    timed = Timed(WordLlamaEmbedder())

    streams: dict[str, list[Envelope]] = {}
    for envelope in log:
        streams.setdefault(envelope.stream, []).append(envelope)

    def read(stream: str, after: int, to: int, /, *, kinds: frozenset[Kind] | None = None) -> list[Envelope]:
        found = (envelope for envelope in streams[stream] if after < envelope.seq <= to)
        return [envelope for envelope in found if kinds is None or envelope.kind in kinds]

    index = MemoryIndex.open(path, timed, read)
    timed.watch(index._engine)
    before = rss_mib()
    apply_all(index, timed, log, options.batch)
    print(f"size    {disk_mib(path):.0f} MiB on disk, {rss_mib() - before:+.0f} MiB of memory")
    random_ = random.Random(2)
    queries = [sentence(random_, 8) for _ in range(options.searches)]
    agents = [f"agent-{random_.randrange(options.agents)}" for _ in queries]
    views = [(View(agent, 1 << 40),) for agent in agents]
    first: dict[str, Any] = {"page": 0, "size": 5}

    def search(n: int) -> int:
        return index.search(views[n], kind="message", query=queries[n], **first).total

    def latest(n: int) -> int:
        return index.search(views[n], kind="message", query="", **first).total

    def by_date(n: int) -> int:
        return index.by_date(views[n], start_ms=START_MS, end_ms=START_MS + 86_400_000, **first).total

    report("search", search, options.searches)
    compare(index, views, queries[:40])
    report("latest", latest, options.searches)
    report("by date", by_date, options.searches)
    index.close()
    started = time.perf_counter()
    MemoryIndex.open(path, timed, read).close()
    print(f"reopen  {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main()
