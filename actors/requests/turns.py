"""How a client learns what became of its inputs: one long poll on the log for all turns, one for agents set aside.

Rules. (1) Whoever waits is always told: the turn's end, that its agent is set aside, or that the log has ended.
(2) A ticket may be waited for any number of times, also long after; what is not held here is read from the log.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal, TypeAlias

import msgspec

from palimpsest.actors.links.log_client import LogClient
from palimpsest.actors.parts.process import others_first
from palimpsest.events.codec import decode
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import ActorLost, AgentSetAside, LogDamaged, LogUnavailable, NewerFormat, PalimpsestError
from palimpsest.events.kinds import kinds_of
from palimpsest.events.margins import told
from palimpsest.events.position import UNPLACED, Position
from palimpsest.events.types import CutNoticed, InputSkipped, MessageSent, ServerSwitched, TurnEnded
from palimpsest.events.vocabulary import CutOrNot, End

KINDS = kinds_of(MessageSent, ServerSwitched, CutNoticed, TurnEnded, InputSkipped)
BATCH = 4000
WAIT_S = 30.0
RETRY_S = 0.5
MAX_ENDED = 10_000
"""Ends of turns that are held; older ones are read from the log."""
READ_AT_ONCE = 500

Key = tuple[str, int]
Aside = Callable[[int, float], Awaitable[dict[str, str]]]
"""(how many are known, seconds to wait for another number) -> the agents set aside, with the reasons."""


class Ticket(msgspec.Struct, frozen=True):
    """An input that is durable: its agent, its seq, its message id, and its position (None: unknown). `again`: it had
    been sent before."""

    agent: str
    seq: int
    message_id: str
    again: bool = False
    position: Position | None = None


Ending: TypeAlias = End | Literal["skipped"]
"""How a turn ended, or that there was none."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """How a turn ended. `reason` as in TurnEnded ("yielded": all is well); `detail` says what went wrong, and `notes`
    what did not go as usual and went well in the end."""

    agent: str
    input: int
    messages: tuple[str, ...]
    reason: Ending
    detail: str = ""
    steps: int = 0
    tokens: int = 0
    cut: CutOrNot = ""
    """What cut the last message off: as in MessageSent."""
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return "\n".join(self.messages)


class TurnProgress:
    """What is known of a turn that runs: what the user was sent, and what else there is to know."""

    def __init__(self) -> None:
        self.messages: list[MessageSent] = []
        self.notes: list[str] = []


class Turns:
    """The ends of turns, for one client."""

    def __init__(self, log: LogClient, aside: Aside) -> None:
        self._log = log
        self._ask_aside = aside
        self._aside: dict[str, str] = {}
        self._waiting: dict[Key, asyncio.Future[Reply]] = {}
        self._heard: dict[Key, TurnProgress] = {}
        self._ended: OrderedDict[Key, tuple[Reply, Position]] = OrderedDict()
        self._position = UNPLACED
        self._complete_from = UNPLACED
        """Of the inputs after this position, every end so far is held, with all that was said."""
        self._listeners: dict[str, list[asyncio.Queue[Reply | PalimpsestError]]] = {}
        self._starting = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._failure: PalimpsestError | None = None

    async def follow(self, agent: str) -> None:
        """See to it that ends are learned of, from before the agent's next input. Raises AgentSetAside, ActorLost."""
        async with self._starting:
            if not self._tasks:
                self._position = self._complete_from = await self._log.position()
                self._aside = await self._ask_aside(-1, 0.0)
                loops = (self._learn_ends, self._learn_asides)
                self._tasks = [asyncio.create_task(self._guarded(loop)) for loop in loops]
        if self._failure is not None:
            raise self._failure
        if agent in self._aside:
            raise AgentSetAside(agent, self._aside[agent])

    async def end(self, ticket: Ticket, timeout_s: float | None) -> Reply:
        """The end of the turn that the input led to. Raises TimeoutError, AgentSetAside, ActorLost."""
        await self.follow(ticket.agent)
        key = (ticket.agent, ticket.seq)
        if ticket.position is not None and ticket.position > self._complete_from:
            if key in self._ended:
                return self._ended[key][0]
            return await asyncio.wait_for(asyncio.shield(self._future(key)), timeout_s)
        future = self._future(key)  # before the log is read: an end that comes meanwhile is not missed
        past = await self._past(ticket)
        if past is None:
            await asyncio.wait_for(asyncio.shield(future), timeout_s)
            past = await self._past(ticket)
        else:
            self._tell(key, past)  # others may wait for it too
        assert past is not None, "the log told of this turn's end"
        return past

    async def listen(self, agent: str) -> AsyncIterator[Reply]:
        """The end of each turn of an agent from now on, whoever or whatever started it. Raises ActorLost."""
        await self.follow(agent)
        heard: asyncio.Queue[Reply | PalimpsestError] = asyncio.Queue()
        listeners = self._listeners.setdefault(agent, [])
        listeners.append(heard)
        try:
            while isinstance(outcome := await heard.get(), Reply):
                yield outcome
            raise outcome
        finally:
            listeners.remove(heard)

    def _future(self, key: Key) -> asyncio.Future[Reply]:
        future = self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = asyncio.get_running_loop().create_future()
            future.add_done_callback(_looked_at)
        return future

    async def _past(self, ticket: Ticket) -> Reply | None:
        """The reply, if the log has the turn's end already."""
        heard = TurnProgress()
        seq = ticket.seq
        while envelopes := await self._log.read(ticket.agent, after=seq, limit=READ_AT_ONCE):
            for envelope in envelopes:
                if envelope.turn == ticket.seq and envelope.kind in KINDS:
                    reply = note(envelope, heard)
                    if reply:
                        return reply
            seq = envelopes[-1].seq
        return None

    # --- the two loops

    async def _learn_ends(self) -> None:
        while True:
            try:
                batch = await self._log.tail(self._position, BATCH, WAIT_S, kinds=KINDS)
            except (ActorLost, LogUnavailable) as error:
                if isinstance(error, ActorLost) and error.for_good:
                    raise
                await asyncio.sleep(RETRY_S)  # it is being started anew, or waits for its disk
                continue
            self._position = batch.position
            for envelope in batch.envelopes:
                self._learn(envelope)
            await others_first()  # whoever was waiting goes on before more is asked for

    async def _learn_asides(self) -> None:
        while True:
            try:
                self._aside = await self._ask_aside(len(self._aside), WAIT_S)
            except ActorLost as error:
                if error.for_good:
                    raise
                continue  # it is being started anew; the next call waits for it
            for key in [key for key in self._waiting if key[0] in self._aside]:
                self._tell(key, AgentSetAside(key[0], self._aside[key[0]]))

    def _learn(self, envelope: Envelope) -> None:
        key = (envelope.stream, envelope.turn)
        if not envelope.turn:
            return  # it belongs to no turn
        heard = self._heard.setdefault(key, TurnProgress())
        try:
            reply = note(envelope, heard)
        except (LogDamaged, NewerFormat) as error:
            self._tell(key, error)
            return
        if reply is not None:
            del self._heard[key]
            self._ended[key] = reply, envelope.position
            if len(self._ended) > MAX_ENDED:
                _, (_, position) = self._ended.popitem(last=False)
                self._complete_from = max(self._complete_from, position)
            self._tell(key, reply)
            for listener in self._listeners.get(envelope.stream, ()):
                listener.put_nowait(reply)

    def _tell(self, key: Key, outcome: Reply | PalimpsestError) -> None:
        future = self._waiting.pop(key, None)
        if future is None or future.done():
            return
        if isinstance(outcome, Reply):
            future.set_result(outcome)
        else:
            future.set_exception(outcome)

    async def _guarded(self, loop: Callable[[], Awaitable[None]]) -> None:
        """Run a loop; when it ends, however it does, those who wait are told."""
        try:
            await loop()
        except PalimpsestError as error:
            self._fail(error)
        except BaseException as error:
            self._fail(ActorLost(f"This client no longer follows the log ({type(error).__name__}). Make a new one."))
            raise

    def _fail(self, error: PalimpsestError) -> None:
        self._failure = self._failure or error
        for key in list(self._waiting):
            self._tell(key, error)
        for listeners in self._listeners.values():
            for heard in listeners:
                heard.put_nowait(error)

    async def close(self) -> None:
        running = [task for task in self._tasks if not task.done()]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)


def _looked_at(future: asyncio.Future[Reply]) -> None:
    """A failure that nobody waits for any more is no news."""
    if not future.cancelled():
        future.exception()


def note(envelope: Envelope, heard: TurnProgress) -> Reply | None:
    """Take one event of a turn: what was said joins what was heard, and the end gives the reply."""
    match decode(envelope):
        case MessageSent() as sent:
            heard.messages.append(sent)
        case ServerSwitched(settings=settings, reason=reason) if reason:
            place = settings.model + f" at {settings.base_url}" * bool(settings.base_url)
            heard.notes.append(f"{place} was asked, since the server before failed ({reason}).")
        case CutNoticed() as noticed:
            heard.notes.append(told(noticed))
        case TurnEnded() as ended:
            return Reply(
                agent=envelope.stream,
                input=ended.input,
                messages=tuple(sent.text for sent in heard.messages),
                reason=ended.reason,
                detail=ended.detail,
                steps=ended.steps,
                tokens=ended.tokens,
                cut=heard.messages[-1].cut if heard.messages else "",
                notes=tuple(heard.notes),
            )
        case InputSkipped() as skipped:
            return Reply(
                agent=envelope.stream, input=skipped.input, messages=(), reason="skipped", detail=skipped.reason
            )
    return None
