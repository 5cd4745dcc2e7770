"""How every look into a log begins: where a stream stands, and its events, read in chunks while others may write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import AtRest, NoSuchEvent, NotAnAgent
from palimpsest.events.kinds import Kind
from palimpsest.events.sources import is_source
from palimpsest.events.state import State
from palimpsest.events.vocabulary import Topic
from palimpsest.store.logs.contract import LAST_SEQ, LogReader, StreamHead, unknown_agent
from palimpsest.store.logs.states import load

CHUNK: Final = 2000


def head_of(log: LogReader, agent: str) -> StreamHead:
    """Where the agent's stream stands. Raises UnknownAgent."""
    head = log.head(agent)
    if head is None:
        raise unknown_agent(agent, log.heads())
    return head


def agent_head(log: LogReader, agent: str) -> StreamHead:
    """The same where only an agent will do. Raises NotAnAgent for a source's stream."""
    head = head_of(log, agent)
    if is_source(agent):
        raise NotAnAgent(agent)
    return head


def state_now(log: LogReader, agent: str) -> State:
    """An agent as it is now. Raises UnknownAgent, NotAnAgent."""
    agent_head(log, agent)
    state = load(log, agent)
    assert state is not None, "a stream with a head has events"
    return state


def check_event(head: StreamHead, seq: int | None, end: str = "") -> None:
    """Raises NoSuchEvent where the agent has no such event (None: none is asked for); `end` is what it was given as."""
    if seq is not None and not 1 <= seq <= head.seq:
        raise NoSuchEvent(head.stream, seq, head.seq, end)


_ASKED: Final[tuple[Topic, ...]] = ("inference", "storage", "timer")


def check_is_owed(log: LogReader, state: State) -> None:
    """Raises AtRest where what is under way is owed by no part. (A fork that has not taken up what was its parent's
    rests too, but can be let go on.)"""
    if state.unadopted or not (state.turn or state.pending):
        return
    topics: tuple[Topic, ...] = _ASKED if state.turn and state.turn.request_key else ("turn",)
    if not any(log.open_requests_of(state.agent, topic) for topic in topics):
        raise AtRest(state.agent)


def find(log: LogReader, agent: str, key: str, to: int) -> Envelope | None:
    """The event with this key among events 1 to `to` of an agent; of a fork's, also those that it goes on from."""
    streams = (agent, *(parent.agent for parent in log.lineage(agent)))
    found = (log.find(stream, key) for stream in streams)
    return next((each for each in found if each and each.seq <= to), None)


def unprovable(log: LogReader, agent: str) -> frozenset[int]:
    """The seqs of an agent's requests whose contexts hold text that was masked, its ancestors' included: in a bundle,
    or before it was imported."""
    ends = {agent: LAST_SEQ} | {parent.agent: parent.seq for parent in log.lineage(agent)}
    redactions = (log.redaction(stream) for stream in ends)
    return frozenset(seq for each in redactions if each for seq in each.unprovable if seq <= ends[each.stream])


def is_masked(log: LogReader, agent: str, first: int = 1) -> bool:
    """Whether texts of an agent's were masked before this log had them: of its own events, or of those that it goes on
    from, `first` or later."""
    parents = (parent.agent for parent in log.lineage(agent) if parent.seq >= first)
    return any(log.redaction(stream) is not None for stream in (agent, *parents))


def stretches(
    log: LogReader, agent: str, first: int, last: int, kinds: frozenset[Kind] | None = None
) -> Iterator[Envelope]:
    """Events first … last of a stream, of the wanted kinds, read in chunks, so that memory stays bounded."""
    after = first - 1
    while after < last:
        chunk = log.read(agent, after=after, to=last, limit=CHUNK, kinds=kinds)
        if not chunk:
            return
        yield from chunk
        after = chunk[-1].seq
