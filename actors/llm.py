"""The LLM processor actor: carries out the inferences that the log asks for.

It folds the log itself (`events.inference`), runs each job on its model, and appends what came of it. Answers that are
ready together are appended together. Pieces of an answer go to whoever watches the agent, beside the log.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import structlog
from msgspec.structs import replace

from palimpsest.actors.links.log_client import LogClient
from palimpsest.actors.links.protocol import LogPart
from palimpsest.actors.links.wire import Batch
from palimpsest.actors.models.protocol import Model, Piece, Tokenizer
from palimpsest.actors.parts.inferring import infer
from palimpsest.actors.parts.owed import append_owed
from palimpsest.actors.parts.process import Life, now_ms, others_first, until_taken
from palimpsest.actors.parts.streams import Streams
from palimpsest.actors.parts.watch import AgentPiece, Watches
from palimpsest.events.codec import answer, decode
from palimpsest.events.envelope import Draft
from palimpsest.events.errors import BadInput
from palimpsest.events.inference import InferenceDesk, Job, job
from palimpsest.events.kinds import kinds_of
from palimpsest.events.position import UNPLACED
from palimpsest.events.types import (
    AGENT_EVENTS,
    OFFLINE,
    AgentCreated,
    AgentForked,
    InferenceCancelled,
    InferenceRequested,
)
from palimpsest.store.keys.files import Handed
from palimpsest.store.keys.keys import keys_in, merged
from palimpsest.store.logs.contract import THERE, Append

BATCH = 2000
WAIT_S = 30.0
KINDS = kinds_of(*AGENT_EVENTS) - kinds_of(AgentCreated, AgentForked)
"""An agent that does nothing costs nothing here: its first event is read when it is first needed."""
WAKE = kinds_of(InferenceRequested, InferenceCancelled)
CHUNK = 64
"""Jobs started before the loop looks up: so that answers flow out while more are begun."""


class Processor:
    """Runs inferences on `offline` and `openai` models. `live` is called with what is streamed."""

    def __init__(
        self,
        log: LogClient,
        offline: Model,
        hosted: Model,
        *,
        capacity: int = 4096,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        self.watches = Watches()
        self._client = log
        self._offline = offline
        self._hosted = hosted
        self._tokenizer = tokenizer
        self._desk = InferenceDesk(capacity=capacity)
        self._logger = structlog.get_logger("llm")
        self._streams = Streams(log, self._logger)
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._outbox: list[tuple[tuple[Draft, ...], int | None]] = []
        """Answers, each with what follows from it, and the seq that its stream must have for that (None: any)."""
        self._ready = asyncio.Event()
        self._position = UNPLACED
        self._done = 0

    async def run(self) -> None:
        """Recover, then serve for ever."""
        flusher = asyncio.create_task(self._flush())
        await self._recover()
        serving = asyncio.create_task(self._serve())
        await asyncio.wait([flusher, serving], return_when=asyncio.FIRST_COMPLETED)
        for task in (flusher, serving):
            if task.done():
                task.result()

    async def _recover(self) -> None:
        """Run again what is open: the answer that was under way when the process died never reached the log."""
        opened = await until_taken(lambda: self._client.open_requests("inference"), self._logger, "open requests")
        self._position = opened.position
        wanted = {envelope.stream: envelope.seq for envelope in opened.envelopes}
        states = {state.agent: state for state in await self._streams.states(wanted)}
        for envelope in opened.envelopes:
            if envelope.stream in states:
                event = decode(envelope)
                assert isinstance(event, InferenceRequested), "an inference is asked for by InferenceRequested"
                self._start(job(states[envelope.stream], envelope, event))
        self._logger.info("started", position=self._position.number, open=len(opened.envelopes))

    async def _serve(self) -> None:
        while True:
            batch = await until_taken(self._tail, self._logger, "tail")
            sound = self._streams.sound(batch.envelopes)
            for state in await self._streams.states(self._desk.missing(sound)):
                self._desk.states.put(state)
            self._position = batch.position
            jobs, cancelled = self._desk.take(self._streams.sound(sound))
            self._streams.set_aside(self._desk.broken)
            for index, each in enumerate(jobs):
                self._start(each)
                if index % CHUNK == CHUNK - 1:
                    await asyncio.sleep(0)
            for key in cancelled:
                if key in self._running:
                    self._running.pop(key).cancel()
            await others_first()

    async def _tail(self) -> Batch:
        """All that an agent's context may hang on, as soon as there is something to do."""
        return await self._client.tail(self._position, BATCH, WAIT_S, kinds=KINDS, wake=WAKE)

    def _start(self, each: Job) -> None:
        key = (each.agent, each.key)
        if key not in self._running:
            self._running[key] = asyncio.create_task(self._infer(each))

    async def _infer(self, each: Job) -> None:
        """One inference, from its bytes to its answer in the outbox."""
        model = self._offline if each.model == OFFLINE else self._hosted
        on_piece = self.watches.listener(each.agent, each.turn) if each.purpose == "reply" else None
        try:
            made = await infer(each, model, self._logger, on_piece, self._tokenizer)
        finally:
            if on_piece:
                on_piece(Piece("end", ""))
        if made.sent and made.sent != each.asked:
            self._desk.states.drop(each.agent)  # whatever it was, the next request is rendered from a fresh fold
        self._running.pop((each.agent, each.key), None)
        self._outbox.append(self._desk.followed(answer(each, made, now_ms()), made, now_ms()))
        self._ready.set()

    async def _flush(self) -> None:
        """Append answers as they come, all that are ready at once."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            owed: dict[str, tuple[tuple[Draft, ...], int | None]] = {}
            later = []
            for drafts, expected in self._outbox:
                if drafts[0].stream in owed:  # of a stream all drafts of one append are taken, or none
                    later.append((drafts, expected))
                else:
                    owed[drafts[0].stream] = drafts, expected
            self._outbox = later
            if later:
                self._ready.set()
            self._done += await self._append(owed)

    async def _append(self, owed: dict[str, tuple[tuple[Draft, ...], int | None]]) -> int:
        """Append answers, each with what follows from it where its stream is where it should be; how many."""
        alone = [[drafts[0]] for drafts, expected in owed.values() if expected is None]
        expected = {agent: seq for agent, (_, seq) in owed.items() if seq is not None}
        if not expected:
            return await append_owed(self._client, alone, self._logger)
        drafts = tuple(draft for each, _ in owed.values() for draft in each)
        try:
            append = Append(drafts, expected)
            answers = await until_taken(lambda: self._client.append(append), self._logger, "append")
        except BadInput:
            overtaken = set(expected)
        else:
            outcomes = zip(drafts, answers, strict=True)
            refused = {draft.stream for draft, each in outcomes if each.outcome not in THERE}
            overtaken = set(expected) & refused
            alone = []
        alone += [[owed[agent][0][0]] for agent in overtaken]
        await append_owed(self._client, alone, self._logger)
        return len(owed)

    def figures(self) -> dict[str, Any]:
        return {
            "position": self._position.number,
            "running": len(self._running),
            "done": self._done,
            "states": len(self._desk.states),
            "servers": getattr(self._hosted, "figures", dict)(),
        }


class LLMActor:
    """The part around it. `model` holds the options of the hosted model; of the parts, this one alone has keys."""

    def __init__(self, log: LogPart, model: dict[str, Any], capacity: int, keys: Handed) -> None:
        from palimpsest.actors.models.hosted.lazy import LazyHosted
        from palimpsest.actors.models.offline.model import OfflineModel

        offline = OfflineModel(latency_s=float(model.pop("offline_latency_s", 0.0)))
        around = keys_in(os.environ)  # of a cluster's node; what the driver has counts before it
        hosted = LazyHosted(model, replace(keys, environment=merged(around, keys.environment)))
        self._keys = hosted.keys
        self._processor = Processor(LogClient(log), offline, hosted, capacity=capacity, tokenizer=hosted)
        self._life = Life("llm", self._processor.run)

    async def watch(self, watcher: str, agents: list[str]) -> None:
        """Let a watcher see these agents' answers from now on, until it asks for no pieces for a minute."""
        self._processor.watches.watch(watcher, agents)

    async def pieces(self, watcher: str, wait_s: float, left: list[str]) -> list[AgentPiece] | None:
        """What came for a watcher since it last asked, once it sees the agents in `left` no more; waits up to `wait_s`
        for the first. None: this process does not know it."""
        self._processor.watches.leave(watcher, left)
        return await self._life.until_ending(self._processor.watches.pieces(watcher, wait_s))

    async def take_keys(self, keys: Handed) -> None:
        """Use also what another driver has."""
        self._keys.take(keys)

    async def status(self) -> dict[str, Any]:
        return self._processor.figures()
