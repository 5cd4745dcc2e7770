"""An agent's context window as it was at any event, its tokens by part, and the very bytes of the request.

Rule: counts that the log has recorded are shown, not made again. What it has no count of is said to be uncounted, or
counted on request: that takes the tokenizer, whose tables are half a second's work.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from palimpsest.events.codec import decode
from palimpsest.events.context import Count, open_request
from palimpsest.events.debug.window import Share, window, with_recorded
from palimpsest.events.kinds import kind_of
from palimpsest.events.phases import AT_MODEL
from palimpsest.events.servers import summarizer
from palimpsest.events.state import State
from palimpsest.events.types import InferenceRequested, Settings
from palimpsest.questions.streams import CHUNK, agent_head, check_event, unprovable
from palimpsest.store.logs.contract import LogReader
from palimpsest.store.logs.states import load


class ContextView(msgspec.Struct, frozen=True, kw_only=True):
    """A context window. `asked` is the seq of the event that asked for it (0: it was not asked for at this seq).

    `total_tokens` has the margin, and is the least where messages are `uncounted`. `proved`: the bytes have the
    fingerprint that the log recorded (None: none to hold them against).
    """

    agent: str
    seq: int
    asked: int
    purpose: str
    settings: Settings
    shares: tuple[Share, ...]
    total_tokens: int
    uncounted: int
    request: bytes
    proved: bool | None
    redacted: bool = False
    """Text in it was masked, so that it cannot have the fingerprint."""

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.request).hexdigest()

    @property
    def free_tokens(self) -> int:
        return self.settings.window_tokens - self.settings.reserve_tokens - self.total_tokens


_ASKED: Final = kind_of(InferenceRequested)
LOOK_AHEAD: Final = 200
"""So many events after a state are looked through for the counts of its messages."""


def lazy_count(encoding: str, text: str) -> int:
    """`store.tokens.counting.count`, whose tables are loaded (half a second) only where something has to be counted."""
    from palimpsest.store.tokens.counting import count

    return count(encoding, text)


def view(state: State, count: Count | None, asked: tuple[int, InferenceRequested] | None = None) -> ContextView:
    """The window at a state. `asked`: the seq and event of the inference that is open there, if one is; `count`: what
    counts what has no count."""
    request = open_request(state)
    seq, event = asked or (0, None)
    purpose = event.purpose if event else "reply"
    parts = window(state, event, count)
    return ContextView(
        agent=state.agent,
        seq=state.seq,
        asked=seq,
        purpose=purpose,
        settings=summarizer(state.settings) if purpose == "summary" else state.settings,
        shares=parts.shares,
        total_tokens=parts.total_tokens,
        uncounted=parts.uncounted,
        request=request,
        proved=hashlib.sha256(request).digest() == event.fingerprint if event else None,
    )


# --- which window -------------------------------------------------------------------------------------------------


def view_at(log: LogReader, agent: str, at: int | None, count: Count | None = None) -> ContextView:
    """The window at event `at` (None: the last one that the model was asked with; where there is none, the next).

    Raises UnknownAgent, and BadInput where the agent has no such event.
    """
    head = agent_head(log, agent)
    state = state_at(log, agent, at if at is not None else last_asked(log, agent, head.seq) or head.seq, end="at")
    asked = open_inference(log, state)
    seen = view(state if asked or count else recorded(log, state), count, asked)
    return msgspec.structs.replace(seen, redacted=seen.asked in unprovable(log, agent))


def state_at(log: LogReader, agent: str, seq: int, end: str = "") -> State:
    """An agent's state after event `seq`. Raises UnknownAgent, and BadInput where the agent has no such event."""
    head = agent_head(log, agent)
    check_event(head, seq, end)
    state = load(log, agent, seq)
    assert state is not None, "a stream with a head has events"
    return state


def recorded(log: LogReader, state: State, agent: str = "") -> State:
    """The state, with the counts that the log recorded soon after it."""
    return with_recorded(state, log.read(agent or state.agent, after=state.seq, limit=LOOK_AHEAD))


def last_asked(log: LogReader, agent: str, to: int) -> int:
    """The seq of the last inference that was asked for, up to seq `to` (0: none)."""
    while to > 0:
        after = max(0, to - CHUNK)
        for envelope in reversed(log.read(agent, after=after, to=to)):
            if envelope.kind == _ASKED:
                return envelope.seq
        to = after
    return 0


def open_inference(log: LogReader, state: State) -> tuple[int, InferenceRequested] | None:
    """The inference that is open at a state: its seq, and its event."""
    if state.turn is None or state.turn.phase not in AT_MODEL:
        return None
    envelope = log.find(state.agent, state.turn.request_key)
    event = decode(envelope) if envelope else None
    return (envelope.seq, event) if envelope and isinstance(event, InferenceRequested) else None
