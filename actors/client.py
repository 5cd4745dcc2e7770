"""The Python client: create agents, talk to them, wait or stream, list and stop them.

Every input has a message id, which is its idempotency key: a client that sends again gets the same turn. Sends that
come together are appended together, and one long poll waits for all turns.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from palimpsest.actors.links.calls import unknown
from palimpsest.actors.links.log_client import LogClient
from palimpsest.actors.links.protocol import Parts
from palimpsest.actors.loads.pace import Pace
from palimpsest.actors.models.protocol import Piece
from palimpsest.actors.parts.process import now_ms
from palimpsest.actors.requests import births, forks, formats, lifecycle, sources, zones
from palimpsest.actors.requests.births import Birth
from palimpsest.actors.requests.checks import (
    check_born,
    check_id,
    check_label,
    check_name,
    check_room,
    check_settings,
    check_text,
    check_time,
    check_timer,
)
from palimpsest.actors.requests.forks import Origin, Overrides, Undone
from palimpsest.actors.requests.lifecycle import Retirement, Return, refusal
from palimpsest.actors.requests.outbox import Outbox
from palimpsest.actors.requests.previews import Previews
from palimpsest.actors.requests.turns import Reply, Ticket, Turns
from palimpsest.events.alarms import cancelling, setting
from palimpsest.events.codec import decode, draft
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import AgentExists, AtRest
from palimpsest.events.formats import Format
from palimpsest.events.sources import Document, Source
from palimpsest.events.state import State
from palimpsest.events.times import zone_of
from palimpsest.events.types import (
    AgentCreated,
    AlertRaised,
    Event,
    Settings,
    SettingsChanged,
    StopRequested,
    Timer,
    TimerSet,
    UploadFinished,
    UserLoggedIn,
    UserMessageReceived,
)
from palimpsest.events.vocabulary import Opens
from palimpsest.store.logs.contract import MUST_EXIST, THERE, Append, Appended, StreamHead
from palimpsest.store.times.schedule import in_zone

if TYPE_CHECKING:
    from palimpsest.actors.loads.loading import OnProgress, Report

__all__ = ["Client", "Reply", "Ticket"]


class Client:
    """A handle on a running system. Use it from one event loop; close it when done."""

    def __init__(self, parts: Parts) -> None:
        self._log = log = LogClient(parts.log)
        self._memory = parts.memory
        self._previews = Previews(parts.llm)
        self._storage = parts.storage
        self._outbox = Outbox(log)
        self._turns = Turns(log, self._aside)

    # --- agents

    async def create(self, agent: str, born: AgentCreated, *, zone: str | None = None) -> None:
        """Make an agent that goes by the clocks of a time zone: this one, else the event's, else that of this process
        (see `store.times.zones.local`). Raises AgentExists, or BadInput where its name cannot be one, or its settings
        or zone make no sense."""
        check_name(agent)
        born = zones.zoned(born, zone)
        check_born(born)
        # A key of this call's own: made again after the log's process died, it is known for what it is.
        made = draft(agent, now_ms(), born, key=f"create:{uuid.uuid4().hex}")
        answers = await self._outbox.append(Append((made,), {agent: 0}))
        if answers[0].outcome == "conflict":
            raise AgentExists(agent)

    async def create_many(self, agents: Sequence[Birth]) -> None:
        """Make many agents, each with its title and its sources. Raises AgentExists, BadInput, UnknownSource,
        WindowTooSmall, with none of them made."""
        await births.create(self._log, agents)

    async def rename(self, agent: str, title: str) -> str:
        """Give an agent a title ("": none), by which people call it; the one that it had. Raises UnknownAgent."""
        return await lifecycle.rename(self._log, agent, title)

    async def retire(self, agents: Sequence[str], *, reason: str = "") -> list[Retirement]:
        """From now on these take no inputs (AgentIsRetired) and ring no timers; what they were sent before is answered.
        Raises UnknownAgent, with none of them retired."""
        return await lifecycle.retire(self._log, agents, reason=reason)

    async def reinstate(self, agents: Sequence[str]) -> list[Return]:
        """Take retired agents back, with their timers. Raises UnknownAgent."""
        return await lifecycle.reinstate(self._log, agents)

    async def agents(self, *, retired: bool = False) -> list[StreamHead]:
        """The agents, each with its last seq; with `retired` those too that are retired."""
        return await lifecycle.listed(self._log, retired=retired)

    async def state(self, agent: str) -> State:
        """The agent's state now, folded from the log."""
        states = await self._log.states({agent: None})
        if agent not in states:
            raise await unknown(self._log, agent)
        return states[agent]

    async def fork(self, agent: str, name: str, *, at: int | None = None, overrides: Overrides | None = None) -> Origin:
        """Make an agent whose history up to event `at` (None: all so far) is this one's, without a copy; where it was.

        It is at rest until it is given an input, or resumed. Raises UnknownAgent, AgentExists, BadInput.
        """
        where = await forks.place(self._log, agent, at)
        await forks.fork(self._log, where, (name,), overrides or Overrides())
        return where

    async def free_name(self, agent: str) -> str:
        """A name that a fork of this agent can have: ada-2, ada-3 … Raises UnknownAgent."""
        return await forks.free_name(self._log, await self.state(agent))

    async def undo(self, agent: str) -> Undone:
        """Make an agent that goes on from before the last user's message, in this one's place: timers move to it. See
        `actors.requests.forks.undo`."""
        return await forks.undo(self._log, agent)

    async def resume(self, agent: str) -> list[Ticket]:
        """Let a fork go on with what was under way where it was forked; the inputs that it owes a turn, in order.

        Of an agent that is no fork, or goes on already: those. Raises UnknownAgent, AgentSetAside, and AtRest where
        nobody would go on with them.
        """
        await self._turns.follow(agent)
        resumed = await forks.resume(self._log, agent)
        state, positions = resumed.state, resumed.positions
        owed = [(state.turn.input, state.turn.input_key)] if state.turn else []
        owed += [(pending.seq, pending.key) for pending in state.pending]
        if owed and not positions:
            opened = await self._log.open_requests("turn", agent)
            if not opened.envelopes and (await self.state(agent)).seq == state.seq:  # else their turns have ended since
                raise AtRest(agent)
        return [Ticket(agent, seq, key, again=True, position=positions.get(seq)) for seq, key in owed]

    async def change_settings(self, agent: str, settings: Settings) -> None:
        """From its next request on the agent runs with these. Raises BadInput where they make no sense."""
        check_settings(settings)
        await self._put(agent, SettingsChanged(settings=settings), f"settings:{uuid.uuid4().hex}")

    async def change_format(self, agent: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Format:
        """From its next request on the agent's contexts are rendered with these parts too, or without; the format then.

        Raises BadInput for a part that there is not (`events.formats` lists them), UnknownAgent.
        """
        return await formats.change(self._log, agent, add=add, remove=remove)

    async def change_zone(self, agent: str, zone: str) -> zones.ZoneChange:
        """From its next turn on the agent goes by the clocks of this time zone, and so do its timers. Raises BadInput
        for one that there is not, UnknownAgent."""
        return await zones.change(self._log, agent, zone)

    # --- inputs

    async def send(self, agent: str, text: str, *, message_id: str = "", name: str = "", at_ms: int = 0) -> Ticket:
        """A user's message; durable when this returns. With a `message_id` that was sent before: that one's ticket.

        Raises BadInput (empty, too large), UnknownAgent, AgentIsRetired, Overloaded (nothing was taken; says when to
        come back), AgentSetAside (its stream cannot be read; nothing was taken), LogUnavailable (a full disk, say).
        """
        check_text(text)
        check_label(name, "user's name")
        return await self._input(agent, UserMessageReceived(text=text, name=name), message_id, at_ms)

    async def login(self, agent: str, *, last_login: str = "") -> Ticket:
        """The user has come back, an input that wakes the agent; `last_login` says when they last were there, in words.
        Durable when this returns. Raises as `send` does."""
        check_label(last_login, "time of the last login")
        return await self._input(agent, UserLoggedIn(last_login=last_login))

    async def upload(self, agent: str, source: str, detail: str = "", *, message_id: str = "") -> Ticket:
        """Something was uploaded, an input that wakes the agent: `source` names it, and `detail` says what there is to
        know. Durable, sent again and refused as `send` is."""
        check_label(source, "upload's source", may_be_empty=False)
        check_text(detail, "upload's detail", may_be_empty=True)
        return await self._input(agent, UploadFinished(source=source, detail=detail), message_id)

    async def alert(self, agent: str, text: str, *, message_id: str = "") -> Ticket:
        """A system alert, an input that wakes the agent. Durable, sent again and refused as `send` is."""
        check_text(text, "alert")
        return await self._input(agent, AlertRaised(text=text), message_id)

    async def stop(self, agent: str, reason: str = "", *, input: int = 0) -> bool:
        """Cancel the turn of the input at this seq (a ticket's; 0: the oldest that has not ended); the others go on.

        False if there is nothing to stop. A turn that ends before the stop arrives stays as it is.
        """
        check_name(agent)
        check_label(reason, "reason")
        if not input:
            opened = (await self._log.open_requests("turn", agent)).envelopes
            if not opened:
                await self.state(agent)  # raises UnknownAgent
                return False
            input = opened[0].seq
        await self._put(agent, StopRequested(reason=reason, input=input), f"stop:{uuid.uuid4().hex}")
        return True

    async def _input(self, agent: str, event: Event, message_id: str = "", at_ms: int = 0) -> Ticket:
        message_id = message_id or uuid.uuid4().hex
        check_name(agent)
        check_id(message_id)
        check_time(at_ms)
        await self._turns.follow(agent)
        answer = await self._put(agent, event, f"in:{message_id}", opens="turn", at_ms=at_ms)
        return Ticket(agent, answer.seq, message_id, answer.outcome == "duplicate", answer.position)

    async def _put(self, agent: str, event: Event, key: str, *, opens: Opens = "", at_ms: int = 0) -> Appended:
        made = draft(agent, at_ms or now_ms(), event, key=key, opens=opens)
        answer = (await self._outbox.append(Append((made,), {agent: MUST_EXIST})))[0]
        if answer.outcome == "conflict":
            raise await unknown(self._log, agent)
        if answer.outcome == "refused":
            raise refusal(agent, answer)
        return answer

    # --- turns

    async def wait(self, ticket: Ticket, *, timeout_s: float | None = None) -> Reply:
        """The end of the turn that the input led to; as often as you like.

        Raises TimeoutError (the turn goes on), AgentSetAside (its stream cannot be read), ActorLost.
        """
        return await self._turns.end(ticket, timeout_s)

    async def ask(self, agent: str, text: str, *, message_id: str = "", timeout_s: float | None = None) -> Reply:
        """Send, and wait for the turn's end. Raises as `send` and `wait` do."""
        return await self.wait(await self.send(agent, text, message_id=message_id), timeout_s=timeout_s)

    async def stream(self, agent: str, text: str, *, message_id: str = "") -> AsyncIterator[Ticket | Piece | Reply]:
        """Send, and yield the ticket, then the words of this turn as they come; last, the Reply, which has the
        messages whole.

        Kinds of pieces: message, thought, end (of an answer), waiting (the model is silent: the text says for what is
        waited), and again (what was shown of this turn so far is void: a part of the system was started anew, and the
        answer begins again).
        """
        async with self._previews.hear(agent) as place:
            ticket = await self.send(agent, text, message_id=message_id)
            ended = asyncio.create_task(self.wait(ticket))
            ended.add_done_callback(lambda _: place.put(None))
            try:
                yield ticket
                async for piece in place.of_turn(ticket.seq):
                    yield piece
                reply = await ended
                async for piece in place.rest(ticket.seq, 0 if ticket.again else reply.steps):
                    yield piece
                yield reply
            finally:
                ended.cancel()

    def listen(self, agent: str) -> AsyncIterator[Reply]:
        """The end of each turn of an agent from now on, whoever or whatever started it (a timer, another client)."""
        return self._turns.listen(agent)

    async def events(self, agent: str, after: int = 0) -> list[Envelope]:
        """The agent's events with seqs after `after`."""
        return await self._log.read(agent, after=after)

    async def _aside(self, known: int, wait_s: float) -> dict[str, str]:
        return await self._memory.aside(known, wait_s)

    # --- sources of documents

    async def load_source(
        self,
        source: str,
        paths: Sequence[Path],
        *,
        agents: Sequence[str] = (),
        passage_tokens: int = 0,
        overlap_tokens: int = -1,
        on_progress: OnProgress | None = None,
    ) -> Report:
        """Load files and folders into a source, which is made if there is none, and attach it to agents. What is there
        already is skipped, so that it may be called again after anything. See `actors.loads.loader`."""
        from palimpsest.actors.loads.loader import Loader

        pace = Pace(self._log.position, self._storage.indexed)
        loader = Loader(self._log, source, on_progress=on_progress, pace=pace)
        return await loader.load(paths, agents=agents, passage_tokens=passage_tokens, overlap_tokens=overlap_tokens)

    async def attach(self, source: str, agents: Sequence[str]) -> list[str]:
        """Let agents see a source; those that did not yet. Raises UnknownSource, UnknownAgent."""
        return await sources.attach(self._log, source, agents)

    async def detach(self, source: str, agents: Sequence[str]) -> list[str]:
        """Let agents see a source no longer; those that did. Raises UnknownSource, UnknownAgent."""
        return await sources.detach(self._log, source, agents)

    async def unload(self, source: str, documents: Sequence[str] = ()) -> list[Document]:
        """Remove documents, or a whole source; what was removed. Searches as of earlier events still find it."""
        return await sources.unload(self._log, source, documents)

    async def source(self, name: str) -> Source:
        """A source with its documents and agents. Raises UnknownSource."""
        return await sources.known(self._log, name)

    async def sources(self) -> list[str]:
        """The names of all sources."""
        return [name async for name in sources.names(self._log)]

    async def indexed(self, *, wait_s: float = 0.0) -> int:
        """How many of the log's events are not indexed yet; waits up to `wait_s` seconds until none is."""
        position = await self._log.position()
        return max(0, position.since(await self._storage.indexed(position, wait_s)))

    # --- timers

    async def set_timer(self, agent: str, timer: Timer) -> Timer:
        """Set a timer for an agent (see `store.times.schedule`); durable when this returns. It replaces those of its
        id, and goes by the agent's clocks where it names no zone.

        Raises UnknownAgent, AgentIsRetired, BadInput.
        """
        check_name(agent)
        check_timer(timer)
        if not timer.zone:
            timer = in_zone(timer, zone_of(await self.state(agent)))
        set_ = await self._set_timers(agent)
        if timer in set_:
            return timer
        check_room(sum(each.id != timer.id for each in set_))
        await self.cancel_timer(agent, timer.id)
        made = replace(setting(agent, timer, now_ms()), key=f"alarm:{timer.id}:{uuid.uuid4().hex}")
        answer = (await self._outbox.append(Append((made,), {agent: MUST_EXIST})))[0]
        if answer.outcome == "conflict":
            raise await unknown(self._log, agent)
        if answer.outcome == "refused":
            raise refusal(agent, answer)
        return timer

    async def timers(self, agent: str) -> list[Timer]:
        """The agent's timers that are to fire. Raises UnknownAgent."""
        return [alarm.timer for alarm in (await self.state(agent)).alarms]

    async def cancel_timer(self, agent: str, timer_id: str) -> bool:
        """Cancel all timers of this id; False if there is none (any more)."""
        found = False
        while alarm := await self._alarm(agent, timer_id):
            event = decode(alarm)
            assert isinstance(event, TimerSet), "only such an event is an alarm"
            made = cancelling(agent, alarm.key, event.timer, now_ms())
            answer = (await self._outbox.append(Append((made,))))[0]
            # Else it fired in the meantime, and one that repeats is set again.
            found = found or answer.outcome in THERE
        return found

    async def _alarm(self, agent: str, timer_id: str) -> Envelope | None:
        """The event that set a timer of this id, if it is still to fire."""
        for envelope in (await self._log.open_requests("alarm", agent)).envelopes:
            event = decode(envelope)
            if isinstance(event, TimerSet) and event.timer.id == timer_id:
                return envelope
        return None

    async def _set_timers(self, agent: str) -> list[Timer]:
        """The timers that are to fire."""
        events = map(decode, (await self._log.open_requests("alarm", agent)).envelopes)
        return [event.timer for event in events if isinstance(event, TimerSet)]

    async def close(self) -> None:
        """Let go of what the client holds. Turns go on; who waits for one gets ActorLost."""
        self._outbox.close()
        await self._turns.close()
        await self._previews.close()
