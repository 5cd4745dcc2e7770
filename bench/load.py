"""How fast documents are loaded, what they take, and how they are searched: `python -m bench.load [--json]`.

Every run boots a real system on a folder of its own and loads a plain text that is made from a seed, as `launch.py
load` does: until it is durable and searches find it. Searches are timed in the storage actor, by its own method.

    python -m bench.load --passages 100000     passages a second, bytes, search latencies
    python -m bench.load --beside              what a load takes from the turns of agents beside it
    python -m bench.load --attach 1000         what it takes to attach one source to so many agents
    python -m bench.load --kills 50            SIGKILL amid loads and turns, and the proof that nothing is lost
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from bench import corpus
from bench.figures import Figures, add_json_option, show
from bench.kills import check, kill_again_and_again
from bench.storage import disk_mib
from palimpsest.actors.client import Client
from palimpsest.actors.on_ray.actors import run_in
from palimpsest.actors.on_ray.runtime import RayRuntime
from palimpsest.actors.system import System, boot
from palimpsest.console import gauge
from palimpsest.console.workload import message
from palimpsest.events.codec import draft
from palimpsest.events.envelope import GENESIS, place
from palimpsest.events.prompts import newborn
from palimpsest.events.types import FunctionCalled, Settings
from palimpsest.store.folder import DataFolder

SOURCE: Final = "bench"
AGENT: Final = "reader"
SEARCHES: Final = 200
SEARCHERS: Final = 50
QUERY_WORDS: Final = 8
TALK_S: Final = 6.0
WAIT_S: Final = 5.0


# --- what every run needs -------------------------------------------------------------------------------------------


async def load(client: Client, path: Path, *agents: str, source: str = SOURCE) -> tuple[int, float, float]:
    """Load a file, until searches find it: its passages, the seconds until it was durable, and until it was found."""
    started = time.perf_counter()
    report = await client.load_source(source, [path], agents=agents)
    durable_s = time.perf_counter() - started
    while await client.indexed(wait_s=WAIT_S):
        pass
    return report.passages, durable_s, time.perf_counter() - started


async def searches(system: System, agent: str, source: str = SOURCE, count: int = SEARCHES) -> Figures:
    """Searches of archival storage by an agent that has the source; the first, which counts its words, apart."""
    client = system.client()
    state = await client.state(agent)
    position = await system.parts.log.position()
    settings = Settings()

    def call(number: int) -> tuple[Any, FunctionCalled]:
        event = FunctionCalled(
            call="c",
            name="archival_memory_search",
            arguments={"query": " ".join(corpus.words(1000 + number, QUERY_WORDS)), "page": 0},
            page_size=settings.page_size,
            sources=(source,),
        )
        return place(draft(agent, 0, event, key=f"bench{number}"), state.seq, position, GENESIS), event

    assert isinstance(system.runtime, RayRuntime), "it was booted on Ray"
    took_s = await run_in(system.runtime.links["storage"], _timed, [call(number) for number in range(count + 1)])
    first, rest = took_s[0], sorted(took_s[1:])
    return {
        "first_search_ms": round(first * 1000, 1),
        "search_p50_ms": round(gauge.percentile(rest, 0.50) * 1000, 2),
        "search_p95_ms": round(gauge.percentile(rest, 0.95) * 1000, 2),
    }


def _timed(actor: Any, calls: list[tuple[Any, FunctionCalled]]) -> list[float]:
    """Runs in the storage actor's process."""
    found: list[float] = actor._storage.timed(calls)
    return found


async def warm(client: Client, folder: Path) -> None:
    """An agent, and a source of one passage: what a process loads when it is first needed is there."""
    small = folder / "small.txt"
    corpus.write(small, 1, seed=99)
    await client.create(AGENT, newborn(Settings()))
    await load(client, small, AGENT, source="small")


# --- the load itself ------------------------------------------------------------------------------------------------


async def measure(folder: Path, passages: int) -> Figures:
    data, text = DataFolder(folder / "data"), folder / "text.txt"
    size = corpus.write(text, passages)
    system = await boot(data, "bench.load")
    try:
        client = system.client()
        await warm(client, folder)
        before, disk = await gauge.at_rest(data.log_path()), _disk(data)
        count, durable_s, searchable_s = await load(client, text, AGENT)
        loaded = await gauge.at_rest(data.log_path())
        found = await searches(system, AGENT)
        after = await gauge.at_rest(data.log_path())
        names = {pid: name for name, pid in (await system.pids()).items()} | {os.getpid(): "loader"}
    finally:
        await system.stop()
    each = 100_000 / count / 2**20
    return {
        "passages": count,
        "text_bytes": size,
        "passages_per_s": round(count / searchable_s),
        "durable_per_s": round(count / durable_s),
        "cpu_us_a_passage": round(gauge.cpu_between_s(before, loaded) / count * 1e6),
        "cpu_us_by_part": {k: round(v * 1000) for k, v in gauge.by_part(before, loaded, names, count).items()},
        "disk_mib_per_100k": {k: round((v - disk[k]) * each) for k, v in _disk(data).items()},
        "rss_mib_per_100k": _rss(before, loaded, names, each),
        "rss_mib_per_100k_searched": _rss(before, after, names, each),
        **found,
    }


def _disk(data: DataFolder) -> dict[str, int]:
    log = sum(path.stat().st_blocks * 512 for path in data.log_path().parent.glob(f"{data.log_path().name}*"))
    return {"log": log, "index": round(disk_mib(data.index_path()) * 2**20)}


def _rss(before: gauge.Reading, after: gauge.Reading, names: Mapping[int, str], each: float) -> dict[str, int]:
    grown = gauge.grown_bytes(before, after, names)
    return {name: round(size * each) for name, size in {**grown, "all": sum(grown.values())}.items()}


# --- turns beside a load --------------------------------------------------------------------------------------------


async def measure_beside(folder: Path, passages: int, agents: int) -> Figures:
    """Turns of agents that talk without a pause: alone, beside a load, and alone again."""
    data, text = DataFolder(folder / "data"), folder / "text.txt"
    corpus.write(text, passages)
    system = await boot(data, "bench.load")
    try:
        client = system.client()
        await warm(client, folder)
        names = [f"talker-{number}" for number in range(agents)]
        await asyncio.gather(*(client.create(name, newborn(Settings())) for name in names))
        await talk(client, names, asyncio.create_task(asyncio.sleep(gauge.REST_S)))
        before = await talk(client, names, asyncio.create_task(asyncio.sleep(TALK_S)))
        loading = asyncio.create_task(load(system.client(), text))
        beside = await talk(client, names, loading)
        after = await talk(client, names, asyncio.create_task(asyncio.sleep(TALK_S)))
        count, _, searchable_s = loading.result()
    finally:
        await system.stop()
    alone = {name: (before[name] + after[name]) / 2 for name in before}
    return {
        "agents": agents,
        "alone": _rounded(alone),
        "beside_a_load": _rounded(beside),
        "turns_kept": round(beside["turns_per_s"] / alone["turns_per_s"], 3),
        "p50_ratio": round(beside["p50_ms"] / alone["p50_ms"], 3),
        "passages_per_s_beside": round(count / searchable_s),
    }


async def talk(client: Client, names: list[str], until: asyncio.Task[Any]) -> dict[str, float]:
    """Turns a second, and their latencies, of these agents until something has ended."""
    took_s: list[float] = []

    async def one(number: int, name: str) -> None:
        while not until.done():
            asked = time.perf_counter()
            await client.ask(name, message("memory", number, len(took_s)))
            took_s.append(time.perf_counter() - asked)

    started = time.perf_counter()
    await asyncio.gather(until, *(one(number, name) for number, name in enumerate(names)))
    turns_per_s = len(took_s) / (time.perf_counter() - started)
    took_s.sort()
    latencies = {f"p{share}_ms": gauge.percentile(took_s, share / 100) * 1000 for share in (50, 95)}
    return {"turns_per_s": turns_per_s, **latencies}


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in figures.items()}


# --- the command ----------------------------------------------------------------------------------------------------


async def measure_attach(folder: Path, passages: int, agents: int) -> Figures:
    """What attaching a source to agents adds, bytes each; they are there, and idle."""
    data, text = DataFolder(folder / "data"), folder / "text.txt"
    corpus.write(text, passages)
    system = await boot(data, "bench.load")
    try:
        client = system.client()
        await warm(client, folder)
        names = [f"agent-{number}" for number in range(agents)]
        await asyncio.gather(*(client.create(name, newborn(Settings())) for name in names))
        count, *_ = await load(client, text, AGENT)
        await searches(system, AGENT)
        # Buffers and caches that are bounded whatever the agents' number are full by then: another source fills them.
        for _ in range(3):
            await client.attach("small", names)
            await client.detach("small", names)
        before, log = await gauge.at_rest(data.log_path()), _disk(data)
        started = time.perf_counter()
        await client.attach(SOURCE, names)
        attach_s = time.perf_counter() - started
        while await client.indexed(wait_s=WAIT_S):
            pass
        attached, disk = await gauge.at_rest(data.log_path()), _disk(data)
        for name in names[:SEARCHERS]:
            found = await searches(system, name, count=1)
        after = await gauge.at_rest(data.log_path())
        parts = {pid: name for name, pid in (await system.pids()).items()} | {os.getpid(): "client"}
    finally:
        await system.stop()

    def each(grown: Mapping[str, int], number: int) -> dict[str, int]:
        return {name: round(size / number) for name, size in {**grown, "all": sum(grown.values())}.items()}

    return {
        "agents": agents,
        "passages": count,
        "attach_s": round(attach_s, 2),
        "log_bytes_an_agent": round((attached.log_bytes - before.log_bytes) / agents),
        "disk_bytes_an_agent": each({name: size - log[name] for name, size in disk.items()}, agents),
        "rss_bytes_an_agent": each(gauge.grown_bytes(before, attached, parts), agents),
        f"rss_bytes_an_agent_that_searched (of {SEARCHERS})": each(
            gauge.grown_bytes(attached, after, parts), SEARCHERS
        ),
        **found,
    }


def measure_kills(folder: Path, kills: int, seed: int) -> Figures:
    """Kill storage and the whole tree so many times amid loads and turns; what the proof afterwards found."""
    done = kill_again_and_again(folder, kills, seed=seed)
    proof = check(folder, seed=seed)
    return {
        "kills_of_storage": done.storage,
        "kills_of_all": done.tree,
        "sound": proof.sound,
        **msgspec.to_builtins(proof),
    }


def _chosen(options: argparse.Namespace, folder: Path) -> Coroutine[Any, Any, Figures]:
    if options.attach:
        return measure_attach(folder, options.passages or 50_000, options.attach)
    if options.beside:
        return measure_beside(folder, options.passages or 20_000, options.agents)
    return measure(folder, options.passages or 100_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=0, help="about so many (100,000; with --attach 50,000)")
    parser.add_argument("--beside", action="store_true", help="compare turns with and without a load beside them")
    parser.add_argument("--agents", type=int, default=20, help="agents that talk, with --beside")
    parser.add_argument("--attach", type=int, default=0, metavar="N", help="attach one source to N agents")
    parser.add_argument("--kills", type=int, default=0, metavar="N", help="kill storage or the whole tree N times")
    parser.add_argument("--seed", type=int, default=1, help="with --kills")
    add_json_option(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="palimpsest-bench-") as folder:
        load_s = os.getloadavg()[0]
        if options.kills:
            figures = measure_kills(Path(folder), options.kills, options.seed)
        else:
            figures = asyncio.run(_chosen(options, Path(folder)))
    figures = {**figures, "machine": gauge.machine(), "load_average_before": round(load_s, 2)}
    show(figures, as_json=options.json)


if __name__ == "__main__":
    main()
