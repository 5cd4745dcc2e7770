"""`palimpsest bench`: what a turn costs, end to end, with the log fully durable.

Every run boots a real system on a folder of its own (or on `--data DIR`, which is kept), warms up, then measures: turns
a second, latencies, CPU over all processes (Ray's own included), resident memory, bytes of the log. `--growth` and
`--idle` answer two more questions.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from palimpsest.console import gauge
from palimpsest.console.options import given_folder, index_options, index_settings
from palimpsest.console.show import print_json
from palimpsest.console.workload import MIXES, message
from palimpsest.events.errors import BadInput

if TYPE_CHECKING:
    from palimpsest.actors.requests.turns import Reply

WARM_UP_TURNS = 2


class BenchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a run."""

    agents: int
    turns: int
    model: str
    window: int
    mix: str
    stream: bool
    growth: bool
    idle: int


@click.command("bench")
@click.option("--agents", default=100, show_default=True, help="Agents that talk at once.")
@click.option("--turns", default=20, show_default=True, help="Turns of each agent, after the warm-up.")
@click.option(
    "--model",
    type=click.Choice(["offline", "stub"]),
    default="offline",
    show_default=True,
    help="offline: the built-in model. stub: the real openai client, over HTTP, against a stub server (a process of "
    "its own, whose CPU is not counted).",
)
@click.option("--window", default=8192, show_default=True, help="Context window, in tokens.")
@click.option(
    "--mix",
    type=click.Choice(MIXES),
    default="chat",
    show_default=True,
    help="memory: facts and questions; the stub makes three calls of functions a turn.",
)
@click.option("--stream", is_flag=True, help="Stream the answers, as chat does, and watch each turn.")
@click.option("--growth", is_flag=True, help="Compare each agent's 50th turns with its last ones, in CPU and bytes.")
@click.option("--idle", default=0, show_default=True, help="Also create so many idle agents, and weigh them.")
@index_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
def command(as_json: bool, **settings: Any) -> None:
    """Measure what a turn costs: throughput, latency, CPU, memory and bytes."""
    result = asyncio.run(run(BenchPlan(**settings), given_folder()))
    for line in lines(result):
        click.echo(line)
    if as_json:
        print_json(result)


async def run(plan: BenchPlan, data: Path | None) -> dict[str, Any]:
    """One run; the figures by name. Its log stays in `data` if that is given, and goes with the run if not."""
    with tempfile.TemporaryDirectory(prefix="palimpsest-bench-") as folder, _stub(plan) as (url, stub_pids):
        return await _run(plan, data or Path(folder) / "data", url, stub_pids)


@contextmanager
def _stub(plan: BenchPlan) -> Iterator[tuple[str, list[int]]]:
    """The stub server, if the plan wants it: its address and its process."""
    if plan.model != "stub":
        yield "", []
        return
    home = Path(__file__).resolve().parent.parent
    if not (home / "bench").is_dir():
        raise BadInput("The stub server comes with the source and not with the package: measure it in a checkout.")
    script = [sys.executable, "-m", "bench.openai_stub", "--port", "0"]
    with subprocess.Popen(script, stdout=subprocess.PIPE, text=True, cwd=home) as server:
        assert server.stdout is not None, "a pipe was asked for"
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}/v1", [server.pid]
        finally:
            server.terminate()


async def _run(plan: BenchPlan, folder: Path, url: str, stub_pids: list[int]) -> dict[str, Any]:
    from palimpsest.actors.system import Options, boot
    from palimpsest.events.prompts import newborn
    from palimpsest.events.types import Settings
    from palimpsest.store.folder import DataFolder

    data = DataFolder(folder)
    started = time.perf_counter()
    system = await boot(data, "bench", Options(model={"max_in_flight": 256} if url else {}, index=index_settings()))
    boot_s = time.perf_counter() - started
    settings = Settings(
        model=_model(plan),
        base_url=url,
        window_tokens=plan.window,
        output_parameter="max_tokens" if url else "max_completion_tokens",
    )
    bench = _Bench(plan, system, data.log_path(), stub_pids)
    try:
        await bench.create([f"agent-{i}" for i in range(plan.agents)], newborn(settings))
        result = await bench.measure()
        if plan.idle:
            result["idle"] = await bench.weigh_idle(newborn(settings))
    finally:
        await system.stop()
    if plan.idle:
        result["idle"] |= await _restart_s(data)
    return {**result, "boot_s": round(boot_s, 1), "settings": msgspec.to_builtins(plan), "machine": gauge.machine()}


def _model(plan: BenchPlan) -> str:
    """The stub's name says what it does."""
    if plan.model != "stub":
        return plan.model
    return "stub-memory" if plan.mix == "memory" else "stub"


async def _restart_s(data: Any) -> dict[str, float]:
    """How long a system takes to be ready on a folder with many idle agents, and on an empty one."""
    from palimpsest.actors.system import boot
    from palimpsest.store.folder import DataFolder

    took = {}
    with tempfile.TemporaryDirectory(prefix="palimpsest-bench-") as empty:
        for name, folder in (("boot_s", data), ("boot_empty_s", DataFolder(Path(empty) / "data"))):
            started = time.perf_counter()
            system = await boot(folder, "bench")
            took[name] = round(time.perf_counter() - started, 2)
            await system.stop()
    return took


class _Bench:
    """A booted system under load."""

    def __init__(self, plan: BenchPlan, system: Any, log: Path, stub_pids: list[int]) -> None:
        self._plan = plan
        self._system = system
        self._client = system.client()
        self._log = log
        self._stub_pids = stub_pids
        self._latencies_s: list[float] = []
        self._next_turn = [0] * plan.agents

    async def create(self, names: list[str], born: Any) -> None:
        for start in range(0, len(names), 1000):
            await asyncio.gather(*(self._client.create(name, born) for name in names[start : start + 1000]))

    def _read(self) -> gauge.Reading:
        return gauge.read(self._log, without=self._stub_pids)

    async def _turns(self, counts: Sequence[int]) -> None:
        """So many more turns of each agent, all agents at once, each waiting for its answers."""

        async def talk(agent: int, count: int) -> None:
            for _ in range(count):
                asked = time.perf_counter()
                text = message(self._plan.mix, agent, self._next_turn[agent])
                self._next_turn[agent] += 1
                reply = await self._asked(f"agent-{agent}", text)
                self._latencies_s.append(time.perf_counter() - asked)
                if reply.reason != "yielded":
                    raise click.ClickException(f"A turn ended with {reply.reason}: {reply.detail}")

        await asyncio.gather(*(talk(agent, count) for agent, count in enumerate(counts)))

    async def _asked(self, agent: str, text: str) -> Reply:
        """A turn: asked for, and with `--stream` watched."""
        from palimpsest.actors.models.protocol import Piece
        from palimpsest.actors.requests.turns import Reply

        if not self._plan.stream:
            reply: Reply = await self._client.ask(agent, text)
            return reply
        shown = ""
        async for item in self._client.stream(agent, text):
            if isinstance(item, Piece):
                shown = "" if item.kind == "again" else shown + item.text * (item.kind == "message")
            elif isinstance(item, Reply):
                if shown not in (item.text, ""):
                    raise click.ClickException(f"Another answer was streamed than the one that was given: {shown!r}")
                return item
        raise click.ClickException("A stream ended without its turn's end.")

    def _each(self, count: int) -> list[int]:
        return [count] * self._plan.agents

    async def measure(self) -> dict[str, Any]:
        await self._turns(self._each(WARM_UP_TURNS))
        if self._plan.growth:
            return await self._measure_growth()
        return await self._stretch(self._plan.turns)

    async def _stretch(self, count: int) -> dict[str, Any]:
        """The figures of a stretch of turns."""
        self._latencies_s = []
        before, started = self._read(), time.perf_counter()
        await self._turns(self._each(count))
        took_s, after = time.perf_counter() - started, self._read()
        turns, latencies_s = self._plan.agents * count, sorted(self._latencies_s)
        return {
            "turns_per_s": round(turns / took_s, 1),
            "p50_ms": round(gauge.percentile(latencies_s, 0.50) * 1000, 1),
            "p95_ms": round(gauge.percentile(latencies_s, 0.95) * 1000, 1),
            "cpu_ms_per_turn": round(gauge.cpu_between_s(before, after) / turns * 1000, 3),
            "cpu_ms_by_part": gauge.by_part(before, after, await self._parts(), turns),
            "rss_mb": round(sum(after.rss_bytes.values()) / 2**20),
            "bytes_per_turn": round((after.log_bytes - before.log_bytes) / turns),
        }

    async def _parts(self) -> dict[int, str]:
        """The name of each process that is ours."""
        named = {pid: name for name, pid in (await self._system.pids()).items()}
        return {**named, os.getpid(): "client"}

    async def _measure_growth(self) -> dict[str, Any]:
        """50 turns after the 25th or so, and the last 50, of each agent.

        Before that they are given up to 25 turns more each, so that they are as little in step early as late: those
        that evict at the same moment share their commits, and such a turn costs less.
        """
        last = self._plan.turns
        if last < 150:
            raise click.ClickException("--growth compares early with late turns: give --turns 150 or more.")
        leads = [25 * agent // self._plan.agents for agent in range(self._plan.agents)]
        await self._turns([25 - WARM_UP_TURNS + lead for lead in leads])
        early = await self._stretch(50)
        await self._turns([last - 50 - 75 - lead for lead in leads])
        late = await self._stretch(50)
        ratios = {name: round(late[name] / early[name], 2) for name in ("cpu_ms_per_turn", "bytes_per_turn", "p50_ms")}
        return {**late, "early": early, "late": late, "late_to_early": ratios}

    async def weigh_idle(self, born: Any) -> dict[str, Any]:
        """What so many agents that were created and never used add to the resident memory of all processes."""
        before = await gauge.at_rest(self._log, without=self._stub_pids)
        started = time.perf_counter()
        await self.create([f"idle-{i}" for i in range(self._plan.idle)], born)
        status = await self._system.status()
        while min(part["position"] for part in status.values()) < status["log"]["position"]:
            await asyncio.sleep(0.05)
            status = await self._system.status()
        took_s = time.perf_counter() - started
        grown = gauge.grown_bytes(before, await gauge.at_rest(self._log, without=self._stub_pids), await self._parts())
        return {
            "agents": self._plan.idle,
            "created_per_s": round(self._plan.idle / took_s),
            "rss_bytes_per_agent": round(sum(grown.values()) / self._plan.idle),
            "rss_bytes_per_agent_by_part": {name: round(size / self._plan.idle) for name, size in grown.items()},
        }


def lines(result: dict[str, Any]) -> Iterator[str]:
    """The figures for people."""
    plan = result["settings"]
    yield f"{plan['agents']} agents, {plan['turns']} turns each, model {plan['model']}, window {plan['window']}, "
    yield f"mix {plan['mix']}{', streamed' * plan['stream']}, on {result['machine']}; log on SQLite, synchronous=FULL."
    yield ""
    for name, label in _LABELS.items():
        yield f"  {label:<44}{result[name]:>12,}"
    yield f"  {'of that, by part, ms a turn':<44}{_parts_line(result['cpu_ms_by_part'])}"
    if "late_to_early" in result:
        early, late, ratios = result["early"], result["late"], result["late_to_early"]
        yield ""
        for name, ratio in ratios.items():
            text = f"{_LABELS[name]}, early / last 50"
            yield f"  {text:<44}{early[name]:>12,} {late[name]:>12,}   x {ratio}"
    if "idle" in result:
        yield ""
        for name, value in result["idle"].items():
            yield f"  idle agents: {name:<31}{_parts_line(value) if isinstance(value, dict) else f'{value:>12,}'}"


def _parts_line(by_part: dict[str, float]) -> str:
    return ", ".join(f"{name} {ms:g}" for name, ms in by_part.items())


_LABELS = {
    "turns_per_s": "turns/s",
    "p50_ms": "latency p50, ms",
    "p95_ms": "latency p95, ms",
    "cpu_ms_per_turn": "CPU of all processes, ms a turn",
    "rss_mb": "resident memory of all processes, MiB",
    "bytes_per_turn": "log file, bytes a turn",
    "boot_s": "start-up (Ray included), s",
}
