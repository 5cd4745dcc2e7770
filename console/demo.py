"""`palimpsest demo`: the main job, end to end, in under a minute, with no key and no server.

Several agents talk through several sessions in a small window; a process is killed; all is proved by replay. Each thing
that is shown is explained in a line, and checked: the demo fails if what it claims did not happen.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from palimpsest.console.called import PROGRAM
from palimpsest.events.codec import decode
from palimpsest.events.context import open_request
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import PalimpsestError
from palimpsest.events.functions import CONVERSATION_SEARCH
from palimpsest.events.kinds import kinds_of
from palimpsest.events.replay import Proof, replay
from palimpsest.events.types import (
    FunctionCalled,
    FunctionReturned,
    InferenceRequested,
    MessagesEvicted,
    Settings,
    SummaryWritten,
    TimerFired,
)

DAY_MS = 86_400_000
AGENTS = ("ada", "ben", "cleo", "dan")
WINDOW_TOKENS = 4096
PARAGRAPHS = (
    "Yesterday we cycled out to the lighthouse, had coffee in the wind, and on the way back the chain came off twice, "
    "so it was dark before we reached the harbour and everybody was hungry and in a very good mood.",
    "The new neighbours moved in with two pianos, which the movers carried up four floors without a single word, while "
    "the whole staircase stood and watched and somebody made tea for all of them in the end.",
    "At work we spent the week on the old billing code; it turns out that half of it handles a currency that has not "
    "existed for twenty years, and nobody dares to delete it before the audit in spring.",
    "The museum has a room full of clocks now, each of them showing a slightly different time, and the guard told us "
    "that he sets them wrong on purpose every morning because visitors like to argue about them.",
)
SECRET = "The spare key is under the blue flowerpot behind the shed."
QUESTION = "Where is the spare key?"


class DemoFailed(PalimpsestError):
    """What the demo claims did not happen."""


def run(data: Path | None) -> int:
    """Run the demo; in `data`, or in a new folder that is kept, so that it can be looked into afterwards."""
    folder = data or Path(tempfile.mkdtemp(prefix="palimpsest-demo-"))
    started = time.perf_counter()
    _say("Palimpsest", "Four MemGPT agents on Ray, each in a window of 4,096 tokens, on the built-in offline model:")
    _say("", "it is not an LLM, it matches words and quotes. With a key, the same code drives a real one.")
    asyncio.run(_live(folder))
    _look_back(folder, started)
    return 0


def _say(head: str, text: str) -> None:
    click.echo(click.style(f"{head:<14}", bold=True) + text)


def _claim(true: bool, what: str) -> None:
    if not true:
        raise DemoFailed(f"The demo did not show what it should: {what}.")


# --- while it runs ------------------------------------------------------------------------------------------------


async def _live(folder: Path) -> None:
    from palimpsest.actors.system import boot
    from palimpsest.store.folder import DataFolder

    click.echo("\nStarting Ray and the five actors (log, memory manager, LLM processor, storage, timer) …")
    system = await boot(DataFolder(folder), "demo")
    try:
        show = _Show(system)
        await show.create()
        await show.sessions()
        await show.recall()
        await show.timer()
        await show.kill()
    finally:
        await system.stop()


class _Show:
    """The live part, step by step."""

    def __init__(self, system: Any) -> None:
        self._system = system
        self._client = system.client()
        self._now_ms = time.time_ns() // 1_000_000

    async def create(self) -> None:
        from palimpsest.events.prompts import newborn

        settings = Settings(window_tokens=WINDOW_TOKENS, reserve_tokens=512)
        for name in AGENTS:
            await self._client.create(name, newborn(settings))

    async def _tell(self, name: str, text: str, days_ago: float, number: int) -> Any:
        at_ms = self._now_ms - int(days_ago * DAY_MS) + number * 60_000
        ticket = await self._client.send(name, text, at_ms=at_ms)
        return await self._client.wait(ticket, timeout_s=60)

    async def sessions(self) -> None:
        """Session 1: facts. Sessions 2 and 3: so much talk that session 1 leaves the window."""

        async def live(index: int, name: str) -> None:
            await self._tell(name, f"My name is {name.title()}. I'm allergic to walnuts.", 9, 0)
            await self._tell(name, SECRET, 9, 1)
            for session, days_ago in enumerate((6, 3)):
                for turn in range(12):
                    text = PARAGRAPHS[(index + turn + session) % len(PARAGRAPHS)]
                    await self._tell(name, f"Story {turn + 1}: {text}", days_ago, turn)

        started = time.perf_counter()
        await asyncio.gather(*(live(index, name) for index, name in enumerate(AGENTS)))
        turns = len(AGENTS) * 26
        took_s = time.perf_counter() - started
        click.echo()
        _say(
            "3 sessions", f"{turns} turns of {len(AGENTS)} agents at once in {took_s:.1f} s, every event durable first."
        )

    async def recall(self) -> None:
        core = await self._client.ask("ada", "What am I allergic to?")
        _say("core memory", f"ada, what am I allergic to?  ->  {core.text}")
        _claim("walnuts" in core.text, "the allergy is answered from core memory")
        found = await self._client.ask("ada", QUESTION)
        _say("recall", f"{QUESTION}  ->  {found.text}")
        turn = await self._client.events("ada", after=found.input)
        searches = [event.name for event in map(decode, turn) if isinstance(event, FunctionCalled)]
        _claim(CONVERSATION_SEARCH.name in searches, "the question led to a search of recall")
        _claim("flowerpot" in found.text, "a fact that left the window is answered from recall")
        _say(
            "", f"({found.steps} steps: said nine days ago, long out of the window, found by {' and '.join(searches)})"
        )

    async def timer(self) -> None:
        from palimpsest.actors.client import Ticket
        from palimpsest.actors.links.log_client import LogClient

        log = LogClient(self._system.parts.log)
        position = await log.position()
        asked = await self._client.ask("ben", "Remind me in 0.03 minutes to water the plants.")
        _say("timer", f"ben: {asked.text}")
        batch = await log.tail(position, 1000, 30.0, kinds=kinds_of(TimerFired))
        _claim(len(batch.envelopes) == 1, "the timer fires once")
        fired = batch.envelopes[0]
        reply = await self._client.wait(Ticket(fired.stream, fired.seq, "", again=True), timeout_s=30)
        _say("", f"… and it fired, an interrupt that no user typed. ben: {reply.text}")

    async def kill(self) -> None:
        """SIGKILL the memory manager while every agent has turns in flight."""
        from palimpsest.actors.links.log_client import LogClient

        pid = (await self._system.pids())["memory"]
        texts = [*PARAGRAPHS[:2], "What is my name?"]
        sends = [self._client.send(name, text) for text in texts for name in AGENTS]
        tickets = await asyncio.gather(*sends)
        owed = len((await LogClient(self._system.parts.log).open_requests("turn")).envelopes)
        os.kill(pid, signal.SIGKILL)
        started = time.perf_counter()
        replies = await asyncio.gather(*(self._client.wait(ticket, timeout_s=60) for ticket in tickets))
        took_s = time.perf_counter() - started
        _claim(owed > 0, "turns were in flight when the process was killed")
        _claim(all(reply.reason == "yielded" and len(reply.messages) == 1 for reply in replies), "one answer each")
        _claim((await self._system.pids())["memory"] != pid, "the memory manager is another process now")
        _say(
            "kill -9",
            f"the memory manager's process ({pid}) was killed with {owed} of {len(replies)} messages unanswered:",
        )
        _say("", "each got exactly one answer. Ray started it anew, and the log told it what it owed")
        _say("", f"({took_s:.1f} s, most of it Python starting). ada: {replies[-len(AGENTS)].text}")


# --- afterwards, from the log alone -------------------------------------------------------------------------------


def _look_back(folder: Path, started: float) -> None:
    from palimpsest.store.folder import DataFolder

    with DataFolder(folder).log().reader() as log:
        streams = {name: log.read(name) for name in AGENTS}
    _pressure(streams)
    began = time.perf_counter()
    proofs = [replay(name, stream) for name, stream in streams.items()]
    _proved(proofs, time.perf_counter() - began)
    _past_window(streams["ada"])
    click.echo()
    _say("done", f"in {time.perf_counter() - started:.0f} s. The agents are still there; look into them:")
    for command in ("agents", "events ada --kind SummaryWritten", "context ada", "replay --all --verify", "chat ada"):
        click.echo(f"{'':14}{PROGRAM} --data {folder} {command}")


def _pressure(streams: dict[str, list[Envelope]]) -> None:
    kinds = Counter(envelope.kind for stream in streams.values() for envelope in stream)
    evicted = sum(
        len(event.seqs)
        for stream in streams.values()
        for event in map(decode, stream)
        if isinstance(event, MessagesEvicted)
    )
    _claim(kinds["SummaryWritten"] > 0 and kinds["MemoryPressureWarned"] > 0, "warnings, evictions and summaries")
    _say(
        "pressure", f"{kinds['MemoryPressureWarned']} warnings, {kinds['SummaryWritten']} evictions: {evicted} messages"
    )
    _say("", "left the windows, each named by the summary that stands for it. The last one of ada's:")
    written = [event for event in map(decode, streams["ada"]) if isinstance(event, SummaryWritten)][-1]
    _say("", f"“{written.text[:160]} …” (covers seqs {written.covers[0]} to {written.covers[-1]})")


def _proved(proofs: Sequence[Proof], took_s: float) -> None:
    for proof in proofs:
        if proof.difference:
            raise DemoFailed(
                f"Replay differs: {proof.difference.agent}/{proof.difference.seq}: {proof.difference.what}."
            )
    events, contexts = sum(p.events for p in proofs), sum(p.contexts for p in proofs)
    _say("replay", f"{events} events folded again from the log alone, and {contexts} contexts proved byte for byte")
    _say("", f"({events / took_s:,.0f} events/s; hash chain and fingerprints of what was really sent to the model).")


def _past_window(stream: list[Envelope]) -> None:
    """The window in which ada found the key: which of its seqs, how many tokens, what its search had returned."""
    from palimpsest.events.evolve import fold

    returned = [e for e in stream if isinstance(event := decode(e), FunctionReturned) and event.total]
    _claim(bool(returned), "a search found something")
    request = next(e for e in stream if e.seq > returned[0].seq and isinstance(decode(e), InferenceRequested))
    event, state = decode(request), fold(stream[: request.seq])
    assert isinstance(event, InferenceRequested) and state is not None, "a request of this stream"
    _say("time travel", f"ada's window at seq {request.seq}, when the search had come back: {event.tokens} tokens,")
    size, digest = len(open_request(state)), event.fingerprint.hex()[:16]
    _say("", f"{len(state.queue)} messages and a summary, {size:,} bytes, SHA-256 {digest}…")
