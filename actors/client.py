"""The Python client: create agents, talk to them, wait or stream, list and stop them.

Every input has a message id, which is its idempotency key: a client that sends again gets the same turn. Sends that
come together are appended together, and one long poll waits for all turns.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from actors.log_client import LogClient, unwrapped
from actors.models.protocol import Piece
from actors.process import now_ms
from actors.timer import setting
from events.codec import decode, draft
from events.envelope import Envelope, Topic, answer_key
from events.errors import ActorLost, AgentExists, BadInput, Overloaded, PalimpsestError, UnknownAgent
from events.state import State
from events.types import (
    AgentCreated,
    AlertRaised,
    Event,
    InputSkipped,
    MessageSent,
    Settings,
    SettingsChanged,
    StopRequested,
    Timer,
    TimerCancelled,
    TimerSet,
    TurnEnded,
    UploadFinished,
    UserLoggedIn,
    UserMessageReceived,
)
from store.log import MUST_EXIST, Append, Appended, StreamHead

MAX_NAME_CHARS = 100
MAX_MESSAGE_BYTES = 4_000_000
KINDS = ("MessageSent", "TurnEnded", "InputSkipped")
BATCH = 4000
MAX_ENDED = 10_000
"""Ends of turns kept for a `wait` that comes late; of older ones the log is asked."""


class Ticket(msgspec.Struct, frozen=True):
    """An input that is durable: its agent, its seq, and its message id. `again`: it had been sent before."""

    agent: str
    seq: int
    message_id: str
    again: bool = False


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """How a turn ended. `reason` as in TurnEnded ("yielded": all is well); `detail` says what went wrong."""

    agent: str
    input: int
    messages: tuple[str, ...]
    reason: str
    detail: str = ""
    steps: int = 0
    tokens: int = 0

    @property
    def text(self) -> str:
        return "\n".join(self.messages)


class Client:
    """A handle on a running system. Use it from one event loop; close it when done."""

    def __init__(self, log: LogClient, llm: Any) -> None:
        self._log = log
        self._llm = llm
        self._outbox: list[tuple[Append, asyncio.Future[list[Appended]]]] = []
        self._flusher: asyncio.Task[None] | None = None
        self._follower: asyncio.Task[None] | None = None
        self._waiting: dict[tuple[str, int], asyncio.Future[Reply]] = {}
        self._said: dict[tuple[str, int], list[str]] = {}
        self._ended: OrderedDict[tuple[str, int], Reply] = OrderedDict()
        self._forgot = False
        self._starting = asyncio.Lock()
        self._position = 0

    # --- agents

    async def create(self, agent: str, born: AgentCreated) -> None:
        """Make an agent. Raises AgentExists, or BadInput where its name cannot be one."""
        check_name(agent)
        made = draft(agent, now_ms(), born, key="create")
        answers = await self._append(Append((made,), {agent: 0}))
        if answers[0].outcome != "appended":
            raise AgentExists(agent)

    async def agents(self) -> list[StreamHead]:
        return await self._log.heads()

    async def state(self, agent: str) -> State:
        """The agent's state now, folded from the log."""
        states = await self._log.states({agent: None})
        if agent not in states:
            raise await self._unknown(agent)
        return states[agent]

    async def change_settings(self, agent: str, settings: Settings) -> None:
        await self._put(agent, SettingsChanged(settings=settings), f"settings:{uuid.uuid4().hex}")

    # --- inputs

    async def send(self, agent: str, text: str, *, message_id: str = "", name: str = "", at_ms: int = 0) -> Ticket:
        """A user's message; durable when this returns. With a `message_id` that was sent before: that one's ticket.

        Raises BadInput (empty, too large), UnknownAgent, Overloaded (nothing was taken; says when to come back).
        """
        check_text(text)
        return await self._input(agent, UserMessageReceived(text=text, name=name), message_id, at_ms)

    async def login(self, agent: str, *, last_login: str = "") -> Ticket:
        return await self._input(agent, UserLoggedIn(last_login=last_login))

    async def upload(self, agent: str, source: str, detail: str = "", *, message_id: str = "") -> Ticket:
        return await self._input(agent, UploadFinished(source=source, detail=detail), message_id)

    async def alert(self, agent: str, text: str, *, message_id: str = "") -> Ticket:
        check_text(text)
        return await self._input(agent, AlertRaised(text=text), message_id)

    async def stop(self, agent: str, reason: str = "") -> None:
        """Cancel the agent's running turn; inputs that wait go on after it."""
        await self._put(agent, StopRequested(reason=reason), f"stop:{uuid.uuid4().hex}")

    async def _input(self, agent: str, event: Event, message_id: str = "", at_ms: int = 0) -> Ticket:
        message_id = message_id or uuid.uuid4().hex
        await self._follow()
        answer = await self._put(agent, event, f"in:{message_id}", opens=Topic.TURN, at_ms=at_ms)
        return Ticket(agent, answer.seq, message_id, answer.outcome == "duplicate")

    async def _put(self, agent: str, event: Event, key: str, *, opens: str = "", at_ms: int = 0) -> Appended:
        made = draft(agent, at_ms or now_ms(), event, key=key, opens=opens)
        answer = (await self._append(Append((made,), {agent: MUST_EXIST})))[0]
        if answer.outcome == "conflict":
            raise await self._unknown(agent)
        if answer.outcome == "refused":
            raise Overloaded(f"Agent '{agent}', or the system, has too many inputs waiting.", answer.position / 1000)
        return answer

    async def _unknown(self, agent: str) -> UnknownAgent:
        return UnknownAgent(agent, tuple(head.agent for head in await self._log.heads(limit=12)))

    # --- turns

    async def wait(self, ticket: Ticket, *, timeout_s: float | None = None) -> Reply:
        """The end of the turn that the input led to.

        Raises TimeoutError; the turn goes on, and may be waited for again.
        """
        await self._follow()
        key = (ticket.agent, ticket.seq)
        if key in self._ended:
            return self._ended.pop(key)
        future = self._waiting.get(key)
        if future is None:
            future = asyncio.get_running_loop().create_future()
            self._waiting[key] = future
            past = await self._past(ticket) if ticket.again or self._forgot else None
            if past and not future.done():
                self._waiting.pop(key, None)
                future.set_result(past)
        return await asyncio.wait_for(asyncio.shield(future), timeout_s)

    async def ask(self, agent: str, text: str, *, message_id: str = "", timeout_s: float | None = None) -> Reply:
        """Send, and wait for the turn's end."""
        return await self.wait(await self.send(agent, text, message_id=message_id), timeout_s=timeout_s)

    async def stream(self, agent: str, text: str, *, message_id: str = "") -> AsyncIterator[Piece | Reply]:
        """Send, and yield the model's words as they come (kinds: message, thought, end); last, the Reply."""
        await unwrapped(self._llm.watch.remote(agent))
        ticket = await self.send(agent, text, message_id=message_id)
        ended = asyncio.create_task(self.wait(ticket))
        cursor = 0
        while True:
            polled = asyncio.create_task(self._pieces(agent, cursor))
            await asyncio.wait([polled, ended], return_when=asyncio.FIRST_COMPLETED)
            if ended.done() and not polled.done():
                polled.cancel()
                last, _ = await self._pieces(agent, cursor, wait_s=0.0)
            else:
                last, cursor = await polled
            for kind, piece in last:
                yield Piece(kind, piece)
            if ended.done():
                yield ended.result()
                return

    async def _pieces(self, agent: str, cursor: int, wait_s: float = 5.0) -> tuple[list[tuple[str, str]], int]:
        pieces, following = await unwrapped(self._llm.pieces.remote(agent, cursor, wait_s))
        return list(pieces), int(following)

    async def _past(self, ticket: Ticket) -> Reply | None:
        """The reply, if the log has the turn's end already."""
        said: list[str] = []
        for envelope in await self._log.read(ticket.agent, after=ticket.seq):
            if envelope.turn == ticket.seq and envelope.kind in KINDS:
                reply = self._note(envelope, said)
                if reply:
                    return reply
        return None

    @staticmethod
    def _note(envelope: Envelope, said: list[str]) -> Reply | None:
        match decode(envelope):
            case MessageSent(text=text):
                said.append(text)
            case TurnEnded() as ended:
                return Reply(
                    agent=envelope.agent,
                    input=ended.input,
                    messages=tuple(said),
                    reason=ended.reason,
                    detail=ended.detail,
                    steps=ended.steps,
                    tokens=ended.tokens,
                )
            case InputSkipped() as skipped:
                return Reply(
                    agent=envelope.agent, input=skipped.input, messages=(), reason="skipped", detail=skipped.reason
                )
        return None

    # --- timers

    async def set_timer(self, agent: str, timer: Timer) -> Timer:
        """Set a timer for an agent (see `store.schedule`); durable when this returns."""
        made = setting(agent, timer, now_ms())
        answer = (await self._append(Append((made,), {agent: MUST_EXIST})))[0]
        if answer.outcome == "conflict":
            raise await self._unknown(agent)
        return timer

    async def timers(self, agent: str) -> list[Timer]:
        return [alarm.timer for alarm in (await self.state(agent)).alarms]

    async def cancel_timer(self, agent: str, timer_id: str) -> bool:
        """Cancel a timer; False if there is none of that id (any more)."""
        opened = await self._log.open_requests(Topic.ALARM, agent)
        for envelope in opened.envelopes:
            event = decode(envelope)
            if isinstance(event, TimerSet) and event.timer.id == timer_id:
                cancelled = TimerCancelled(timer_id=timer_id)
                key = answer_key(envelope.key)
                made = draft(agent, now_ms(), cancelled, key=key, cause=envelope.key, closes=envelope.key)
                return (await self._append(Append((made,))))[0].outcome == "appended"
        return False

    # --- the two loops

    async def _append(self, append: Append) -> list[Appended]:
        future: asyncio.Future[list[Appended]] = asyncio.get_running_loop().create_future()
        self._outbox.append((append, future))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        return await future

    async def _flush(self) -> None:
        """Send what has gathered, in one call, until nothing gathers."""
        while self._outbox:
            items, self._outbox = self._outbox[:500], self._outbox[500:]
            try:
                answers = await self._log.append_many([append for append, _ in items])
            except (PalimpsestError, OSError) as error:
                for _, future in items:
                    future.set_exception(error)
                continue
            for (_, future), answer in zip(items, answers, strict=True):
                if not future.cancelled():
                    future.set_result(answer)

    async def _follow(self) -> None:
        """See to it that the loop which learns of turns' ends is running, from before the next input."""
        async with self._starting:
            if self._follower is None:
                self._position = int((await self._log.status())["position"])
                self._follower = asyncio.create_task(self._watch_turns())
        if self._follower.done():
            raise ActorLost("The connection to the log is closed.")

    async def _watch_turns(self) -> None:
        while True:
            try:
                batch = await self._log.tail(self._position, BATCH, 30.0, kinds=KINDS)
            except ActorLost as error:
                for future in self._waiting.values():
                    future.set_exception(error)
                self._waiting.clear()
                raise
            self._position = batch.position
            for envelope in batch.envelopes:
                self._learn(envelope)

    def _learn(self, envelope: Envelope) -> None:
        key = (envelope.agent, envelope.turn)
        said = self._said.setdefault(key, [])
        reply = self._note(envelope, said)
        if reply is None:
            return
        del self._said[key]
        future = self._waiting.pop(key, None)
        if future is None:
            self._ended[key] = reply
            if len(self._ended) > MAX_ENDED:
                self._ended.popitem(last=False)
                self._forgot = True
        elif not future.done():
            future.set_result(reply)

    async def close(self) -> None:
        for task in (self._flusher, self._follower):
            if task is not None and not task.done():
                task.cancel()


def check_name(agent: str) -> None:
    """Raises BadInput where a name cannot be an agent's."""
    if not agent.strip() or len(agent) > MAX_NAME_CHARS or not agent.isprintable():
        raise BadInput(f"'{agent[:40]}' cannot be an agent's name: give 1 to {MAX_NAME_CHARS} printable characters.")
    if agent.startswith("-"):
        raise BadInput(f"'{agent[:40]}' cannot be an agent's name: it begins with a dash.")


def check_text(text: str) -> None:
    """Raises BadInput where a text cannot be a message."""
    if not text.strip():
        raise BadInput("The message is empty. Write something.")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise BadInput("The message is not valid Unicode text (it holds lone surrogates). Send UTF-8 text.") from None
    if size > MAX_MESSAGE_BYTES:
        raise BadInput(
            f"The message has {size:,} bytes, and at most {MAX_MESSAGE_BYTES:,} can be taken at once. Split it."
        )
