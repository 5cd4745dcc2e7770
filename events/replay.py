"""Replay: a stream (an agent's, or a source's) folded again from the log alone, and proved.

Proved are (1) the hash chain: no event is altered, missing or out of order, and a fork hangs on the event of its parent
that it says; (2) each inference: the request rendered from the fold has the fingerprint that the memory manager asked
for, and the one that the LLM processor really sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from palimpsest.events.codec import decode
from palimpsest.events.context import fingerprint, open_request
from palimpsest.events.envelope import GENESIS, Envelope, chain
from palimpsest.events.errors import PalimpsestError
from palimpsest.events.evolve import evolve
from palimpsest.events.sources import Source, fold_source, is_source
from palimpsest.events.state import FOLD, State, from_bytes, to_bytes
from palimpsest.events.types import AgentForked, Event, InferenceCompleted, InferenceFailed, InferenceRequested


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A thing in a stream that is not as the log says. Where it is a `context` that renders otherwise than it was
    recorded, the fold is sound, and may go on."""

    agent: str
    seq: int
    what: str
    context: bool = False


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay showed. `contexts` counts the requests that were proved to be what the model got; `state` and
    `hash` are the last good ones."""

    agent: str
    events: int
    contexts: int
    state: State | None
    hash: bytes
    difference: Difference | None = None


class Proved(msgspec.Struct, frozen=True):
    """Where a replay stood at a seq: its state, and the stream's hash. A fork at that seq goes on from there."""

    state: State
    hash: bytes


class Replayer:
    """Folds one stream event by event, and proves it where `verify` is set.

    A fork's is fed with its parent's events first; or, `since` its parent's replay, with its own alone.
    """

    def __init__(self, agent: str, *, verify: bool = True, since: Proved | None = None) -> None:
        self.agent = agent
        self.verify = verify
        self.state: State | None = since.state if since else None
        self.source: Source | None = None
        """What a source's stream amounts to; it has no `state`."""
        self.hash = since.hash if since else GENESIS
        self.seq = since.state.seq if since else 0
        """The seq of the last event that was good."""
        self.events = 0
        """How many were fed, and good."""
        self.contexts = 0
        self._asked: dict[str, tuple[bytes, bool]] = {}
        """The open request's fingerprint by its key, and whether its context rendered so."""

    def feed(self, envelope: Envelope) -> Difference | None:
        """Take the next event; the difference, if this is where one shows."""
        if self.verify and chain(self.hash, envelope.seq, envelope) != envelope.hash:
            what = f"{envelope.kind}: its bytes do not match the hash chain; it, or an event before it, was altered"
            return self._differs(envelope, what)
        try:
            event = decode(envelope)
            if is_source(self.agent):
                if envelope.seq != self.seq + 1:
                    return self._differs(envelope, f"it follows event {self.seq}: events between them are missing")
                self.source = fold_source([envelope], self.source)
            else:
                if self.verify and isinstance(event, AgentForked) and event.hash != self.hash:
                    return self._differs(envelope, "the event that it goes on from is not the one that was forked")
                self.state = evolve(self.state, envelope, event)
        except PalimpsestError as error:
            return self._differs(envelope, str(error))
        self.hash, self.seq = envelope.hash, envelope.seq
        self.events += 1
        return self._check(envelope, event) if self.state else None

    def _check(self, envelope: Envelope, event: Event) -> Difference | None:
        assert self.state is not None, "an event was folded"
        match event:
            case InferenceRequested() if self.verify:
                return self._check_asked(envelope, event, self.state)
            case InferenceCompleted() | InferenceFailed() if self.verify:
                return self._check_sent(envelope, event)
        return None

    def _check_asked(self, envelope: Envelope, event: InferenceRequested, state: State) -> Difference | None:
        good = fingerprint(open_request(state)) == event.fingerprint
        self._asked = {envelope.key: (event.fingerprint, good)}
        if good:
            return None
        what = "the context rendered from the log is not the one that was asked for"
        return self._differs(envelope, what, context=True)

    def _check_sent(self, envelope: Envelope, event: InferenceCompleted | InferenceFailed) -> Difference | None:
        """A failure may have sent nothing at all."""
        asked, good = self._asked.pop(envelope.closes, (b"", False))
        if isinstance(event, InferenceFailed) and not event.sent:
            return None
        if event.sent != asked:
            return self._differs(envelope, "the request that was sent is not the one that the log gives")
        self.contexts += good
        return None

    def _differs(self, envelope: Envelope, what: str, *, context: bool = False) -> Difference:
        return Difference(agent=self.agent, seq=envelope.seq, what=what, context=context)

    def here(self) -> Proved | None:
        """Where the replay stands; None for a source, or before its first event."""
        return Proved(self.state, self.hash) if self.state else None

    def proof(self, difference: Difference | None = None) -> Proof:
        return Proof(
            agent=self.agent,
            events=self.events,
            contexts=self.contexts,
            state=self.state,
            hash=self.hash,
            difference=difference,
        )


def replay(agent: str, envelopes: Iterable[Envelope], *, verify: bool = True) -> Proof:
    """Replay a whole stream, to its end or its first difference."""
    replayer = Replayer(agent, verify=verify)
    for envelope in envelopes:
        difference = replayer.feed(envelope)
        if difference:
            return replayer.proof(difference)
    return replayer.proof()


# --- snapshots ----------------------------------------------------------------------------------------------------


def freeze(state: State) -> tuple[bytes, bytes]:
    """A state as a snapshot's bytes, and their digest."""
    data = to_bytes(state)
    return data, hashlib.sha256(data).digest()


def thaw(data: bytes, digest: bytes, fold: str, agent: str, seq: int) -> State | None:
    """The state of a snapshot; None if its bytes are not those that were written, or another fold made them.

    Whether it belongs to the stream's events (the chain's hash at `seq`) is for the caller to compare.
    """
    if fold != FOLD or hashlib.sha256(data).digest() != digest:
        return None
    try:
        state = from_bytes(data)
    except msgspec.MsgspecError:
        return None
    return state if state.agent == agent and state.seq == seq else None
